//! The doors: series that others send.
//!
//! ```text
//! request -> gate (whose namespace) -> body (read, unpack, within bounds) -> write | otlp (what it says) -> intake -> Store
//! ```
//!
//! | door | where | file |
//! |---|---|---|
//! | Prometheus' remote write, 1.0 and 2.0 | `POST /prometheus/api/v1/write` | `write` |
//! | OTLP metrics, protobuf and JSON | `POST /otlp/v1/metrics` | `otlp` |
//! | both, and OTLP by gRPC | the ports of a node's collector | `forward` |
//!
//! All of them are paths of the API server, which knows who sends; what a sender may
//! write to is an RBAC rule on the door's name in a namespace, as with logs. What it must
//! not do: let anybody's series bear another namespace than the one asked for.

mod amount;
pub mod body;
mod forward;
mod gate;
mod intake;
mod otlp;
mod refusal;
#[cfg(test)]
mod tests;
pub mod walk;
mod write;

use std::{sync::Arc, time::Duration};

use axum::{Router, extract::DefaultBodyLimit, routing::post};
use http::{HeaderMap, StatusCode};
use tiphys_api::auth::{Authorizer, SharedAuthorizer, UserInfo};
use tokio::sync::Semaphore;

pub use forward::forward;
pub use otlp::{Form, attributes, json};
pub use refusal::Refusal;

use crate::{
    scrape::counts::{Counts, RefusedRequest},
    series::Store,
};
use body::Room;
use otlp::Sums;

/// Where remote write and OTLP metrics are sent.
pub const WRITE_PATH: &str = "/prometheus/api/v1/write";
pub const OTLP_PATH: &str = "/otlp/v1/metrics";

/// Requests that are understood at once; more wait.
const DECODING: usize = 2;
/// Bytes of requests that are being read, or wait to be understood, at all of the server's doors.
const ROOM: usize = 256 << 20;
/// So long one waits where there is no more room.
const ROOM_TIME: Duration = Duration::from_secs(10);

/// What all doors share. Clones share it.
#[derive(Clone)]
pub struct Doors {
    store: Arc<Store>,
    counts: Counts,
    authorizer: SharedAuthorizer,
    decoding: Arc<Semaphore>,
    room: Room,
    sums: Arc<Sums>,
}

impl Doors {
    pub fn new(store: Arc<Store>, counts: Counts, authorizer: SharedAuthorizer) -> Self {
        let (decoding, room) = (Arc::new(Semaphore::new(DECODING)), Room::new(ROOM, ROOM_TIME));
        Self { store, counts, authorizer, decoding, room, sums: Arc::default() }
    }

    /// What the bodies at other doors of the server share with those here.
    pub fn room(&self) -> Room {
        self.room.clone()
    }

    /// Understands a request on a thread that may block.
    async fn understood<T: Send + 'static>(
        self,
        work: impl FnOnce(&Self) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let stopping = || Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping: send again");
        let turn = self.decoding.clone().acquire_owned().await.map_err(|_| stopping())?;
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work(&self)
        });
        done.await.map_err(|_| stopping())?
    }

    /// Counts a request that is refused as a whole: how many samples it had is not known.
    fn count_refused(&self, door: Door, refusal: &Refusal) {
        let label = RefusedRequest { door: door.resource(), reason: refusal.reason() };
        self.counts.requests_refused.get_or_create(&label).inc();
    }

    pub fn routes(&self) -> Router {
        Router::new()
            .route(WRITE_PATH, post(write::http::take))
            .route(OTLP_PATH, post(otlp::http::take))
            // The doors bound the bodies themselves.
            .layer(DefaultBodyLimit::disable())
            .with_state(self.clone())
    }
}

/// The one namespace that a sender's records get, at doors of what has no labels.
///
/// # Errors
/// As at any door; and `*` is none.
pub fn admit_namespace(
    user: Option<&UserInfo>,
    headers: &HeaderMap,
    door: Door,
    authorizer: &dyn Authorizer,
) -> Result<String, Refusal> {
    match gate::admit(user, headers, door, authorizer)? {
        gate::Into::Namespace(namespace) => Ok(namespace),
        gate::Into::Any => Err(Refusal::malformed("X-Tiphys-Namespace must name one namespace here")),
    }
}

/// A protocol by which series come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    RemoteWrite,
    Otlp,
}

impl Door {
    /// The resource of the right to use it.
    pub fn resource(self) -> &'static str {
        match self {
            Self::RemoteWrite => "remotewrite",
            Self::Otlp => "otlp",
        }
    }
}
