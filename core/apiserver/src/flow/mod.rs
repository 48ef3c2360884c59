//! Priority and fairness: which request goes now, which waits, which comes back later.
//!
//! ```text
//! request ──> classify (FlowSchemas by precedence) ──> level: a share of all seats
//!                                                       │ free seat: goes at once
//!                                                       │ none: one of the queues dealt to its flow, served in turn
//!                                                       └ queue full, or too long in it: 429 with Retry-After
//! FlowSchema, PriorityLevelConfiguration ── follow ──> Table
//! ```
//!
//! A flow (a user or a namespace within a schema) reaches a few queues only, so
//! its flood fills those and leaves others' free; the kubelets' heartbeats have a
//! level of their own. A seat is held until the head of the answer is there: a
//! watch holds one while it begins. Levels do not lend each other seats.

mod bootstrap;
mod classify;
mod follow;
mod level;
mod shard;
mod table;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arc_swap::ArcSwap;
use http::{HeaderName, HeaderValue, Request, Response};
use tiphys_api::{
    auth::UserInfo,
    serve::{Body, BoxError},
};

pub use follow::{follow, write};

use crate::{
    request::{accept, info::Target},
    respond,
    state::Core,
    status::ApiError,
};
use table::Table;

const SCHEMA_UID: HeaderName = HeaderName::from_static("x-kubernetes-pf-flowschema-uid");
const LEVEL_UID: HeaderName = HeaderName::from_static("x-kubernetes-pf-prioritylevel-uid");

/// The seats of the server and who gets them.
pub struct Flow {
    table: ArcSwap<Table>,
    /// Requests that may be worked on at once, in all limited levels together.
    seats: usize,
}

impl Flow {
    pub fn new(seats: usize) -> Self {
        Self { table: ArcSwap::default(), seats }
    }
}

/// Answers a request by `work` when it has a seat.
pub async fn around<F>(
    core: &Arc<Core>,
    target: Option<&Target>,
    request: Request<Body>,
    work: impl FnOnce(Request<Body>) -> F,
) -> Response<Body>
where
    F: Future<Output = Response<Body>>,
{
    let table = core.flow.table.load();
    let user = request.extensions().get::<UserInfo>();
    let found = user
        .filter(|_| counts(core, target, &request))
        .and_then(|user| table.classify(user, target, request.method(), request.uri().path()));
    let Some(found) = found else { return work(request).await };
    let format = accept::format(accept::header(request.headers()));
    let (schema_uid, level_uid) = (found.schema_uid.clone(), found.level_uid.clone());
    let seat = found.level.enter(found.flow).await;
    drop(table);
    let mut response = match seat {
        Ok(seat) => {
            let response = work(request).await;
            drop(seat);
            response
        }
        Err(why) => {
            tracing::debug!(%why, "request is turned away");
            let error = ApiError::too_many_requests("too many requests, please try again later", 1);
            respond::error(&error, format)
        }
    };
    for (name, uid) in [(SCHEMA_UID, schema_uid), (LEVEL_UID, level_uid)] {
        if let Some(uid) = uid {
            response.headers_mut().insert(name, uid);
        }
    }
    response
}

/// Streams to a kubelet go on for hours, and mounted parts and extension servers ask the API
/// themselves: none of them holds a seat.
fn counts(core: &Core, target: Option<&Target>, request: &Request<Body>) -> bool {
    let streams = matches!(target, Some(Target::Resource(info)) if info.is_stream());
    let path = request.uri().path();
    let passed_on = target.is_some_and(|target| core.aggregation.serving(target, path).is_some());
    !streams && !passed_on && core.mounts.find(path).is_none()
}

/// A UID as a header; none while the object has none.
fn header(uid: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(uid).ok().filter(|value| !value.is_empty())
}

type Result<T, E = BoxError> = std::result::Result<T, E>;
