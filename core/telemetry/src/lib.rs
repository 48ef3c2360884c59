//! What the process says about itself: log lines, traces, metrics.
//!
//! - [`init`] sets up tracing once, first thing in main; with an OTLP endpoint it exports
//!   spans, log records and figures there too, and [`trace`] carries the spans' context from
//!   one part to the next.
//! - [`Component`] is one component's own metrics registry. A registry a
//!   component, so that an endpoint prints only what is its own, and behind it what the
//!   process uses. [`Requests`] is what one asks of the API, [`Storage`] what that asks of its store.

mod component;
mod export;
mod init;
mod process;
mod requests;
mod storage;
pub mod trace;

pub use component::Component;
pub use init::{Guard, LogFormat, TelemetryConfig, TelemetryError, init};
pub use requests::Requests;
pub use storage::Storage;
