//! Errors of the other parts as [`ApiError`]s: the store's, the cache's, those of
//! patches, and refusals of authentication, authorization and admission.

use http::StatusCode;
use serde_json::Value;
use tiphys_store::StoreError;

use crate::{
    authz::Refusal,
    cache::{CacheError, SelectorError},
    patch::{PatchError, apply::conflict_message},
    status::{ApiError, Cause, Details},
};

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Closed => Self::unavailable("the store is closed"),
            StoreError::Unavailable(_) => Self::timeout(error.to_string()),
            StoreError::InvalidTxn(why) => Self::bad_request(why),
            other => Self::internal(other),
        }
    }
}

impl From<CacheError> for ApiError {
    fn from(error: CacheError) -> Self {
        match error {
            CacheError::Expired { .. } => Self::expired(error.to_string()),
            CacheError::TooLarge { requested, current } => Self::revision_too_large(requested, current),
            CacheError::NotReady => Self::too_many_requests(error.to_string(), 1),
            CacheError::SlowWatcher | CacheError::Closed => Self::unavailable(error.to_string()),
            CacheError::BadContinue(_) => Self::bad_request(error.to_string()),
            CacheError::Store(error) => error.into(),
        }
    }
}

impl From<SelectorError> for ApiError {
    fn from(error: SelectorError) -> Self {
        Self::bad_request(error.to_string())
    }
}

impl From<PatchError> for ApiError {
    fn from(error: PatchError) -> Self {
        match error {
            PatchError::Malformed(why) => Self::bad_request(why),
            PatchError::Unprocessable(why) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", why),
            PatchError::TooLarge(why) => {
                let message = format!("Request entity too large: {why}");
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", message)
            }
            PatchError::Conflicts(conflicts) => {
                let message = conflict_message(&conflicts);
                let causes = conflicts.into_iter().map(|conflict| Cause {
                    reason: "FieldManagerConflict".into(),
                    message: format!("conflict with {}", conflict.owner()),
                    field: conflict.field,
                });
                let details = Details { causes: causes.collect(), ..Details::default() };
                Self::new(StatusCode::CONFLICT, "Conflict", message).about(Some(Box::new(details)))
            }
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let code = StatusCode::from_u16(refusal.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let details = refusal.details.as_ref().map(|details| Box::new(read_details(details)));
        Self::new(code, refusal.reason, refusal.message).about(details)
    }
}

fn read_details(details: &Value) -> Details {
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let causes = details["causes"].as_array().into_iter().flatten().map(|cause| Cause {
        reason: text(cause, "reason"),
        message: text(cause, "message"),
        field: text(cause, "field"),
    });
    Details {
        name: text(details, "name"),
        group: text(details, "group"),
        kind: text(details, "kind"),
        uid: text(details, "uid"),
        causes: causes.collect(),
        retry_after_seconds: details["retryAfterSeconds"].as_u64().unwrap_or_default() as u32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_does_not_answer_leaves_the_choice_to_the_client() {
        let error = ApiError::from(StoreError::Unavailable("etcdserver: request timed out".into()));
        assert_eq!((error.code.as_u16(), &*error.reason), (504, "Timeout"));
        assert!(error.details.is_none() && error.message.contains("request timed out"));
    }
}
