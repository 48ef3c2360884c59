//! Encryption at rest: values are sealed on their way into the store and opened on
//! their way out.
//!
//! ```text
//! storage, caches ──> Encrypted (a Store) ──> the store
//!                        └── keyring: which resources, which keys (EncryptionConfiguration)
//! ```
//!
//! It stands between everything of the API server and the store, so nothing else
//! knows of it, and snapshots of the store hold what the disk holds. The store's
//! key is bound to each value: a sealed value moved to another key can't be opened.
//! What was written with another than the first key is written anew after a start
//! ([`Encrypted::renew`]); that is how a key is rotated.

mod config;
mod keyring;
mod renew;
mod resource;
mod store;

pub use config::ConfigError;
pub use keyring::Keyring;
pub use store::Encrypted;
