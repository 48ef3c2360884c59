//! HTTPS requests to what users run beside the API server: one JSON document there, one back.
//!
//! - [`Target`]: where a webhook is, from its `clientConfig`.
//! - [`Client::post`]: the request. A redirect is an error like any other answer but 200: it is not
//!   followed, and what came with it is neither told nor logged.
//!
//! What it must not do: know what is asked.

mod client;
mod target;

use http::StatusCode;

pub use client::{Client, Limits};
pub use target::Target;

/// Why there is no answer. Never holds what the other side sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    #[error("clientConfig: {0}")]
    Config(String),
    #[error("Post {url:?}: {why}")]
    Unreachable { url: String, why: String },
    #[error("Post {url:?}: the webhook answered with status {}{}", code.as_u16(), unfollowed(*code))]
    Refused { url: String, code: StatusCode },
    #[error("Post {url:?}: context deadline exceeded")]
    TimedOut { url: String },
    #[error("Post {url:?}: the answer can't be read: {why}")]
    Unreadable { url: String, why: String },
}

fn unfollowed(code: StatusCode) -> &'static str {
    if code.is_redirection() { ", which is not followed" } else { "" }
}
