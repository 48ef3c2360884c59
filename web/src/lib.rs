//! The dashboard's server: sign-in, the embedded pages, and the way to the API.
//!
//! ```text
//! request ─> guard (Host, Origin, headers) ─┬─> /auth/link/{code}, /auth/token, /auth/session   sign-in
//!                                           ├─> /k8s/...   the API server's handler, as the signed-in user
//!                                           └─> pages      embedded, compressed
//! ```
//!
//! It may do what the signed-in user's RBAC allows and nothing more: it has no
//! rights of its own towards the API but to look up whose token is shown.
//!
//! What it must not do: listen beyond loopback without TLS in front.

mod assets;
mod guard;
mod proxy;
mod sessions;
mod sign_in;
mod web;

pub use web::{LINK_PATH, Web};
