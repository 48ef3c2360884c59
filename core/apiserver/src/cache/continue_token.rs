//! The `continue` parameter of a LIST: which revision the first page showed and
//! where the next one begins. Opaque to clients.
//!
//! When that revision is forgotten, a client may go on at the same place with what is there now;
//! it gets a token without a revision for that, and its list is of no single moment.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use tiphys_store::Revision;

use super::CacheError;

const VERSION: &str = "meta.k8s.io/v1";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContinueToken {
    /// None: whatever is the newest.
    pub revision: Option<Revision>,
    /// The last key of the page before, relative to the resource's prefix: `default/web`.
    pub start_after: String,
}

#[derive(Serialize, Deserialize)]
struct Encoded {
    v: String,
    /// -1: none.
    rv: i64,
    start: String,
}

impl ContinueToken {
    /// As it goes into `metadata.continue`.
    pub fn encode(&self) -> String {
        let rv = self.revision.map_or(-1, |revision| revision.cast_signed());
        let encoded = Encoded { v: VERSION.into(), rv, start: self.start_after.clone() };
        let json = serde_json::to_vec(&encoded).expect("two strings and a number are always JSON");
        URL_SAFE_NO_PAD.encode(json)
    }

    /// From the query string.
    pub fn decode(token: &str) -> Result<Self, CacheError> {
        let bad = |what: String| CacheError::BadContinue(what);
        let json =
            URL_SAFE_NO_PAD.decode(token.trim_end_matches('=')).map_err(|error| bad(error.to_string()))?;
        let encoded: Encoded = serde_json::from_slice(&json).map_err(|error| bad(error.to_string()))?;
        match encoded {
            Encoded { v, .. } if v != VERSION => {
                Err(bad(format!("server does not recognize this encoded version {v:?}")))
            }
            Encoded { rv: 0, .. } => Err(bad("it has no resource version".into())),
            Encoded { rv, start, .. } => Ok(Self { revision: rv.try_into().ok(), start_after: start }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_and_anything_else_is_refused() {
        for revision in [Some(42), None] {
            let token = ContinueToken { revision, start_after: "default/web".into() };
            assert_eq!(ContinueToken::decode(&token.encode()).unwrap(), token);
        }
        for bad in ["", "?", "e30", &URL_SAFE_NO_PAD.encode(r#"{"v":"x","rv":1,"start":"a"}"#)] {
            assert!(matches!(ContinueToken::decode(bad), Err(CacheError::BadContinue(_))), "{bad}");
        }
    }
}
