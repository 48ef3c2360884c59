//! How the work of an election stands on this server, for who asks after its health.
//!
//! As upstream's health check of a leader: who waits for the Lease is well, and who leads is well
//! as long as the Lease is renewed. The work itself is well while none of its tasks has fallen.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tiphys_apiserver::HealthCheck;
use tiphys_lifecycle::Tasks;
use tokio::time::Instant;

use super::lease::DURATION;

/// Clones share it.
#[derive(Clone)]
pub struct Standing(Arc<Mutex<Place>>);

enum Place {
    /// Another server may lead.
    Waiting,
    /// There is no other server.
    Alone {
        work: Tasks,
    },
    Leading {
        work: Tasks,
        renewed: Instant,
    },
    /// Nobody contends any longer.
    Left,
}

impl Standing {
    pub fn alone(work: Tasks) -> Self {
        Self(Arc::new(Mutex::new(Place::Alone { work })))
    }

    fn set(&self, place: Place) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = place;
    }
}

#[async_trait]
impl HealthCheck for Standing {
    async fn check(&self) -> Result<String, String> {
        let place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*place {
            Place::Waiting => judge(&[], Duration::ZERO),
            Place::Alone { work } => judge(&work.fallen(), Duration::ZERO),
            Place::Leading { work, renewed } => judge(&work.fallen(), renewed.elapsed()),
            Place::Left => Err("the election has ended".to_owned()),
        }
    }
}

/// By the tasks that fell, and the time since the Lease was renewed.
fn judge(fallen: &[String], since_renewed: Duration) -> Result<String, String> {
    if !fallen.is_empty() {
        return Err(fallen.join("; "));
    }
    if since_renewed > DURATION {
        return Err(format!("the lease was not renewed for {} s", since_renewed.as_secs()));
    }
    Ok("ok".to_owned())
}

/// The place in an election; it is left when this is dropped, however that comes about.
pub struct Seat(Standing);

impl Seat {
    pub fn take() -> Self {
        Self(Standing(Arc::new(Mutex::new(Place::Waiting))))
    }

    pub fn standing(&self) -> Standing {
        self.0.clone()
    }

    pub fn waits(&self) {
        self.0.set(Place::Waiting);
    }

    pub fn leads(&self, work: &Tasks, renewed: Instant) {
        self.0.set(Place::Leading { work: work.clone(), renewed });
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.set(Place::Left);
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use tiphys_lifecycle::OnError;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_leader_is_well_while_it_renews_and_its_tasks_go_on() {
        let seat = Seat::take();
        let standing = seat.standing();
        let well = Ok("ok".to_owned());
        assert_eq!(standing.check().await, well);
        let work = Tasks::new();
        work.spawn("going", OnError::Log, std::future::pending::<Result<(), Infallible>>());
        seat.leads(&work, Instant::now());
        tokio::time::advance(DURATION).await;
        assert_eq!(standing.check().await, well);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(standing.check().await, Err("the lease was not renewed for 17 s".to_owned()));
        seat.leads(&work, Instant::now());
        assert_eq!(standing.check().await, well);
        work.spawn("a worker", OnError::Log, async { Err("out of luck") });
        while work.fallen().is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(standing.check().await, Err("a worker: out of luck".to_owned()));
        assert!(Standing::alone(work).check().await.is_err());
        seat.waits();
        assert_eq!(standing.check().await, well);
        drop(seat);
        assert!(standing.check().await.is_err());
    }
}
