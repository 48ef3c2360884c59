//! Work that only one server of a cluster does: the scheduler, the controllers.
//!
//! ```text
//! contend for a Lease ──> lead: the work runs in a task group of its own ──> lost: it is stopped
//!        ▲                                                                          │
//!        └──────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Names and times are Kubernetes' own: a Lease in kube-system lives 15 seconds, is
//! renewed every 2, and a leader that could not renew it for 10 stops its work, so
//! that it has stopped before another one begins.

mod decide;
mod lease;
mod standing;

use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Client, runtime::watcher};
use tiphys_client::Cache;
use tiphys_lifecycle::{BoxError, CancellationToken, OnError, Tasks};
use tokio::time::{Instant, sleep, timeout_at};

use self::{
    decide::{Holder, Step, decide},
    lease::{Leases, holder},
    standing::{Seat, Standing},
};

const RENEW_WITHIN: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_secs(2);
/// For the work to stop.
const STOPS_WITHIN: Duration = Duration::from_secs(4);

/// Starts the work; it stops with the group it is handed.
pub type Start = Box<dyn Fn(&Tasks) -> anyhow::Result<()> + Send + Sync>;

/// Who this process is in elections: the machine's name and something unique.
pub fn identity() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}_{:016x}", host.trim(), rand::random::<u64>())
}

/// Does the work at once: this process is the only one.
pub fn alone(tasks: &Tasks, start: &Start) -> anyhow::Result<Standing> {
    let work = tasks.part();
    start(&work)?;
    Ok(Standing::alone(work))
}

/// Does the work whenever this process holds the Lease of that name.
pub fn elect(name: &'static str, identity: String, client: Client, tasks: &Tasks, start: Start) -> Standing {
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let leases = Leases::new(client, name, identity);
    let cache = Cache::start(tasks, leases.api.clone(), config);
    let seat = Seat::take();
    let standing = seat.standing();
    let elector = Elector { name, leases, cache, start, seat };
    tasks.spawn_draining(format!("leader election {name}"), OnError::Stop, |stop| elector.run(stop));
    standing
}

struct Elector {
    name: &'static str,
    leases: Leases,
    cache: Cache<Lease>,
    start: Start,
    seat: Seat,
}

/// How a term ended.
enum End {
    Stopping,
    Lost,
    Failed(String),
}

impl Elector {
    async fn run(self, stop: CancellationToken) -> Result<(), BoxError> {
        loop {
            let won = tokio::select! {
                won = self.contend() => won,
                () = stop.cancelled() => return Ok(()),
            };
            tracing::info!(lease = self.name, identity = self.leases.identity(), "leading");
            let term = Tasks::new();
            let (end, last) = match (self.start)(&term) {
                Ok(()) => self.lead(won, &term, &stop).await,
                Err(error) => (End::Failed(format!("{error:#}")), won),
            };
            self.seat.waits();
            let left = term.shutdown(STOPS_WITHIN).await;
            if !left.is_empty() {
                // Another one may lead by now: better no server than two that work at once.
                return Err(format!("{}: tasks did not stop with the term: {left:?}", self.name).into());
            }
            match end {
                End::Lost => tracing::warn!(lease = self.name, "leadership lost"),
                End::Stopping => {
                    self.give_back(&last).await;
                    return Ok(());
                }
                End::Failed(why) => {
                    self.give_back(&last).await;
                    return Err(why.into());
                }
            }
        }
    }

    /// Waits until this process holds the Lease.
    async fn contend(&self) -> Lease {
        let mut changes = Box::pin(self.cache.changes());
        let mut seen: Option<(Holder, Instant)> = None;
        loop {
            let wait = match self.attempt(&mut seen).await {
                Ok(Ok(lease)) => return lease,
                Ok(Err(wait)) => wait,
                Err(error) => {
                    tracing::debug!(lease = self.name, %error, "lease was not taken");
                    RETRY
                }
            };
            tokio::select! {
                _ = changes.next() => {}
                () = sleep(wait) => {}
            }
        }
    }

    /// Takes the Lease, or says how long it is somebody's.
    async fn attempt(
        &self,
        seen: &mut Option<(Holder, Instant)>,
    ) -> Result<Result<Lease, Duration>, kube::Error> {
        let found = self.leases.get().await?;
        let current = found.as_ref().map(holder);
        let now = Instant::now();
        if seen.as_ref().map(|(holder, _)| holder) != current.as_ref() {
            *seen = current.clone().map(|holder| (holder, now));
        }
        let unchanged = seen.as_ref().map_or(Duration::ZERO, |(_, since)| now - *since);
        match (decide(current.as_ref(), unchanged, self.leases.identity()), found) {
            (Step::Wait(left), _) => Ok(Err(left)),
            (Step::Take { transitions }, Some(lease)) => self.leases.take(&lease, transitions).await.map(Ok),
            (Step::Renew, Some(lease)) => self.leases.renew(&lease).await.map(Ok),
            (_, _) => self.leases.create().await.map(Ok),
        }
    }

    /// Renews the Lease until it is lost, the work fails, or the process stops.
    async fn lead(&self, mut lease: Lease, term: &Tasks, stop: &CancellationToken) -> (End, Lease) {
        let mut renewed = Instant::now();
        loop {
            self.seat.leads(term, renewed);
            tokio::select! {
                () = stop.cancelled() => return (End::Stopping, lease),
                failure = term.failed() => return (End::Failed(failure), lease),
                () = sleep(RETRY) => {}
            }
            let began = Instant::now();
            let deadline = renewed + RENEW_WITHIN;
            match timeout_at(deadline, self.renew(&lease)).await {
                Ok(Ok(Some(fresh))) => (lease, renewed) = (fresh, began),
                Ok(Ok(None)) => return (End::Lost, lease),
                Ok(Err(error)) => tracing::warn!(lease = self.name, %error, "lease was not renewed"),
                Err(_) => tracing::warn!(lease = self.name, "lease was not renewed in time"),
            }
            if Instant::now() >= deadline {
                return (End::Lost, lease);
            }
        }
    }

    /// The renewed Lease; `None` if somebody else has it.
    async fn renew(&self, lease: &Lease) -> Result<Option<Lease>, kube::Error> {
        match self.leases.renew(lease).await {
            // Changed meanwhile: by a write of one's own whose answer was lost, or by somebody else.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {
                let found = self.leases.get().await?;
                let own = found.filter(|lease| holder(lease).identity == self.leases.identity());
                match own {
                    Some(lease) => self.leases.renew(&lease).await.map(Some),
                    None => Ok(None),
                }
            }
            renewed => renewed.map(Some),
        }
    }

    async fn give_back(&self, lease: &Lease) {
        if let Err(error) = self.leases.give_back(lease).await {
            tracing::debug!(lease = self.name, %error, "lease was not given back and has to run out");
        }
    }
}
