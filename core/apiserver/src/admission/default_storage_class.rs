//! DefaultStorageClass: a claim that names no class gets the one marked as default.

use async_trait::async_trait;
use serde_json::Value;

use super::{Cluster, Plugin, Request, newest_marked};
use crate::authz::Refusal;

const MARKS: &[&str] =
    &["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];
const OLD_FIELD: &str = "volume.beta.kubernetes.io/storage-class";

pub struct DefaultStorageClass;

#[async_trait]
impl Plugin for DefaultStorageClass {
    fn name(&self) -> &'static str {
        "DefaultStorageClass"
    }

    async fn mutate(&self, cluster: &Cluster, request: &mut Request<'_>) -> Result<(), Refusal> {
        if !request.is("", "persistentvolumeclaims") || !request.creates() || has_class(request.new_object())
        {
            return Ok(());
        }
        let classes = cluster.objects.list("storage.k8s.io", "storageclasses", "", &[]);
        let (Some(class), Some(claim)) = (newest_marked(&classes, MARKS), request.object.as_deref_mut())
        else {
            return Ok(());
        };
        claim["spec"]["storageClassName"] = class["metadata"]["name"].clone();
        Ok(())
    }
}

/// The empty class is one, too: it means none.
fn has_class(claim: &Value) -> bool {
    claim["spec"]["storageClassName"].is_string() || claim["metadata"]["annotations"][OLD_FIELD].is_string()
}
