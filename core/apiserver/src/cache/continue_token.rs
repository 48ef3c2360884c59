//! The `continue` parameter of a LIST: which revision the first page showed and
//! where the next one begins.

use tiphys_store::Revision;

use super::CacheError;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContinueToken {
    pub revision: Revision,
    /// The last key of the page before, relative to the resource's prefix: `default/web`.
    pub start_after: String,
}

impl ContinueToken {
    /// As it goes into `metadata.continue`.
    pub fn encode(&self) -> String;
    /// From the query string.
    pub fn decode(token: &str) -> Result<Self, CacheError>;
}
