//! HTTPS requests to what users run beside the API server: one JSON document there, one back.
//!
//! - [`Target`]: where a webhook is, from its `clientConfig`.
//! - [`Webhooks::post`]: the request. A redirect is an error like any other answer but 200: it is not followed, and what
//!   came with it is neither told nor logged.
//!
//! What it must not do: know what is asked.

mod call;
mod target;

pub use call::{WebhookError, Webhooks};
pub use target::Target;
