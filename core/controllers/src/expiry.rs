//! Objects that are removed when their time is over.

use std::time::Duration;

use jiff::Timestamp;
use kube::{
    Api,
    api::{DeleteParams, Preconditions},
};

use crate::{
    error::{Error, found},
    object,
    runtime::Requeue,
    watched::Kind,
};

/// Removes the object at its `end`, or comes back then; one without an end stays.
/// Whoever has changed it meanwhile, to live longer, keeps it.
///
/// # Errors
/// The API refuses; a conflict is looked at again.
pub async fn remove_at<K: Kind>(api: &Api<K>, object: &K, end: Option<Timestamp>) -> Result<Requeue, Error> {
    let Some(end) = end else { return Ok(Requeue::No) };
    let left = Duration::try_from(end.duration_since(Timestamp::now())).unwrap_or_default();
    if !left.is_zero() {
        return Ok(Requeue::After(left));
    }
    let only_this = Preconditions {
        uid: Some(object::uid(object).to_owned()),
        resource_version: object.meta().resource_version.clone(),
    };
    let params = DeleteParams::default().preconditions(only_this);
    found(api.delete(object::name(object), &params).await.map(|_| ()))?;
    Ok(Requeue::No)
}
