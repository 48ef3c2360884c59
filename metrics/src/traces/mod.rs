//! Traces: spans that applications send, kept, in SQL as `spans`, and shown as Jaeger shows them.
//!
//! ```text
//! POST /otlp/v1/traces ─> otlp (rows) ─> log (a line a span) ─> store (memory) ──┬─> table `spans`
//!                                          each hour, or when it is much: files (Parquet) ─┴─> jaeger
//! ```
//!
//! A span is of the namespace that its sender may write to, and is seen by whoever may list
//! Pods there. What is acknowledged is in the log, so an end by force loses none; a machine
//! that loses power loses the last second. Who reads has bounds, too (`jaeger::reading`). What it
//! must not do: keep more than its bounds.

mod door;
mod file;
mod former;
mod jaeger;
mod log;
mod otlp;
mod span;
mod store;
mod table;
#[cfg(test)]
mod tests;

pub use door::PATH as DOOR_PATH;
pub use jaeger::PATH as JAEGER_PATH;
pub use span::Span;
pub use store::{Gap, Spans, SpansConfig, SpansError};
pub use table::SpansTable;

use axum::Router;
use tiphys_api::auth::SharedAuthorizer;

use std::sync::Arc;

use crate::doors::body::Room;

/// The door, whose bodies have this room with those of others, and Jaeger's API.
pub fn routes(spans: &Arc<Spans>, authorizer: SharedAuthorizer, room: Room) -> Router {
    door::routes(spans.clone(), authorizer.clone(), room).merge(jaeger::routes(spans.clone(), authorizer))
}
