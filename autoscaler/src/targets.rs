//! The scale of an autoscaler's target: where it is, reading it, writing it.
//!
//! ```text
//! group and kind ──> remembered? ── no ──> discovery ──> resource ──> GET, PATCH …/scale
//! ```
//!
//! As upstream's, the version that a reference names does not count: a kind is looked for in all
//! versions of its group. What was found is remembered for all autoscalers, so that a sample costs
//! no request; it is looked for again after a minute, or soon after the API knew no such thing.

mod served;

use std::{collections::HashMap, sync::Arc, time::Duration};

use k8s_openapi::api::autoscaling::{v1::Scale, v2::CrossVersionObjectReference};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, Patch, PatchParams},
};
use parking_lot::Mutex;
use serde_json::json;
use tokio::time::Instant;

/// How long a kind's resource counts as known.
const KNOWN: Duration = Duration::from_secs(60);
/// How long it does where the kind was not served, or no longer where it had been.
const DOUBTED: Duration = Duration::from_secs(5);
/// How often a scale is written whose object others write at the same time.
const TRIES: u32 = 5;

/// Why a target's scale can't be read or written, in upstream's words.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    #[error("unexpected GroupVersion string: {0}")]
    Version(String),
    #[error("no matches for kind {kind:?} in group {group:?}")]
    NoMatch { kind: String, group: String },
    #[error("{}", sentence(.0))]
    Api(#[from] kube::Error),
}

/// The API's own sentence; the client's wraps it in what it says already.
pub fn sentence(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

/// How many replicas a scale asks for.
pub fn replicas(scale: &Scale) -> i32 {
    scale.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(0)
}

/// What discovery said of a kind, and when.
struct Found {
    resource: Option<ApiResource>,
    at: Instant,
    doubted: bool,
}

impl Found {
    fn holds(&self, now: Instant) -> bool {
        let is_known = self.resource.is_some() && !self.doubted;
        now.duration_since(self.at) < if is_known { KNOWN } else { DOUBTED }
    }
}

/// Held while discovery is asked: of many autoscalers one asks.
type Slot = Arc<tokio::sync::Mutex<Option<Found>>>;

/// All targets, and which resources their kinds are.
pub struct Targets {
    client: Client,
    /// By group and kind.
    known: Mutex<HashMap<(String, String), Slot>>,
}

impl Targets {
    pub fn new(client: Client) -> Self {
        Self { client, known: Mutex::default() }
    }

    /// The scale of an object in this namespace.
    ///
    /// # Errors
    /// Nothing of the kind is served, it has no scale, or the object is not there.
    pub async fn scale(
        &self,
        namespace: &str,
        of: &CrossVersionObjectReference,
    ) -> Result<Scale, TargetError> {
        let resource = self.resource(of).await?;
        let read = self.api(namespace, &resource).get_scale(&of.name).await;
        if let Err(kube::Error::Api(status)) = &read
            && status.is_not_found()
            && let Some(found) = self.slot(&resource.group, &of.kind).lock().await.as_mut()
        {
            found.doubted = true;
        }
        read.map_err(TargetError::Api)
    }

    /// Writes the number of replicas that was decided on the scale `read`. An object that others
    /// wrote in between is read again; who changed its replicas is not overruled.
    ///
    /// # Errors
    /// As above; the API refused, or the object was written by others again and again.
    pub async fn write(
        &self,
        namespace: &str,
        of: &CrossVersionObjectReference,
        read: &Scale,
        desired: i32,
    ) -> Result<(), TargetError> {
        let target = self.api(namespace, &self.resource(of).await?);
        let mut version = read.metadata.resource_version.clone();
        let mut tries = 1;
        loop {
            let patch = Patch::Merge(json!({
                "metadata": {"resourceVersion": version},
                "spec": {"replicas": desired},
            }));
            let conflict = match target.patch_scale(&of.name, &PatchParams::default(), &patch).await {
                Ok(_) => return Ok(()),
                Err(kube::Error::Api(status)) if status.is_conflict() && tries < TRIES => status,
                Err(error) => return Err(error.into()),
            };
            let fresh = target.get_scale(&of.name).await?;
            if replicas(&fresh) != replicas(read) {
                return Err(kube::Error::Api(conflict).into());
            }
            version = fresh.metadata.resource_version;
            tries += 1;
        }
    }

    fn api(&self, namespace: &str, resource: &ApiResource) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, resource)
    }

    /// The resource of a target's kind, from memory where it is still known.
    async fn resource(&self, of: &CrossVersionObjectReference) -> Result<ApiResource, TargetError> {
        let group = group_of(of.api_version.as_deref().unwrap_or_default())?;
        let slot = self.slot(group, &of.kind);
        let mut known = slot.lock().await;
        let now = Instant::now();
        if !known.as_ref().is_some_and(|found| found.holds(now)) {
            match served::find(&self.client, group, &of.kind).await {
                Ok(resource) => *known = Some(Found { resource, at: now, doubted: false }),
                // What was so counts on while nobody can be asked.
                Err(error) => match known.as_mut().filter(|found| found.resource.is_some()) {
                    Some(found) => (found.at, found.doubted) = (now, true),
                    None => return Err(error.into()),
                },
            }
        }
        let resource = known.as_ref().and_then(|found| found.resource.clone());
        resource.ok_or_else(|| TargetError::NoMatch { kind: of.kind.clone(), group: group.to_owned() })
    }

    /// The place of a kind. A new one takes away those that nobody asked for since long.
    fn slot(&self, group: &str, kind: &str) -> Slot {
        let key = (group.to_owned(), kind.to_owned());
        let mut known = self.known.lock();
        if !known.contains_key(&key) {
            let now = Instant::now();
            known.retain(|_, slot| match slot.try_lock() {
                Ok(found) => found.as_ref().is_some_and(|found| found.holds(now)),
                Err(_) => true,
            });
        }
        known.entry(key).or_default().clone()
    }
}

/// The group of an `apiVersion`; "" is the core's.
fn group_of(api_version: &str) -> Result<&str, TargetError> {
    match api_version.split_once('/') {
        None => Ok(""),
        Some((_, version)) if version.contains('/') => Err(TargetError::Version(api_version.to_owned())),
        Some((group, _)) => Ok(group),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::GroupVersionKind;

    #[test]
    fn a_group_is_read_off_an_api_version() {
        for (given, expected) in [("", ""), ("v1", ""), ("/", ""), ("apps/v1", "apps"), ("a.b/v2", "a.b")] {
            assert_eq!(group_of(given).ok(), Some(expected), "{given}");
        }
        let error = group_of("a/b/c").expect_err("not a version");
        assert_eq!(error.to_string(), "unexpected GroupVersion string: a/b/c");
    }

    #[test]
    fn troubles_are_worded_as_upstream_words_them() {
        let none = TargetError::NoMatch { kind: "Goose".into(), group: "farm.example.com".into() };
        assert_eq!(none.to_string(), "no matches for kind \"Goose\" in group \"farm.example.com\"");
        let core = TargetError::NoMatch { kind: "Goose".into(), group: String::new() };
        assert_eq!(core.to_string(), "no matches for kind \"Goose\" in group \"\"");
        let status = kube::core::Status::failure("deployments.apps \"web\" not found", "NotFound");
        let missing = TargetError::Api(kube::Error::Api(status.boxed()));
        assert_eq!(missing.to_string(), "deployments.apps \"web\" not found");
    }

    #[test]
    fn what_is_in_doubt_is_forgotten_sooner() {
        let at = Instant::now();
        let gvk = GroupVersionKind::gvk("farm.example.com", "v1", "Goose");
        let geese = || Some(ApiResource::from_gvk_with_plural(&gvk, "geese"));
        for (resource, doubted, seconds) in [(geese(), false, 60), (geese(), true, 5), (None, false, 5)] {
            let found = Found { resource, at, doubted };
            let after = |millis| at + Duration::from_millis(millis);
            assert!(found.holds(after(seconds * 1000 - 1)), "{doubted} {seconds}");
            assert!(!found.holds(after(seconds * 1000)), "{doubted} {seconds}");
        }
    }
}
