//! PersistentVolumeClaimResize: a claim grows only when it is bound and its class allows it.

use async_trait::async_trait;
use serde_json::Value;
use tiphys_api::{amounts, quota};

use super::{Cluster, Operation, Plugin, Request};
use crate::authz::{Refusal, find};

pub struct PersistentVolumeClaimResize;

#[async_trait]
impl Plugin for PersistentVolumeClaimResize {
    fn name(&self) -> &'static str {
        "PersistentVolumeClaimResize"
    }

    async fn validate(&self, cluster: &Cluster, request: &Request<'_>) -> Result<(), Refusal> {
        let updates = request.operation == Operation::Update;
        if !request.is("", "persistentvolumeclaims") || !updates {
            return Ok(());
        }
        let (new, old) = (request.new_object(), request.old_object());
        if size(new) <= size(old) {
            return Ok(());
        }
        if old["status"]["phase"] != "Bound" {
            return Err(request.forbid("Only bound persistent volume claims can be expanded"));
        }
        let class = quota::class_of(new);
        let same = !class.is_empty() && class == quota::class_of(old);
        let found = match same {
            true => find(&*cluster.objects, "storage.k8s.io", "storageclasses", "", class).await,
            false => None,
        };
        if found.is_some_and(|class| class["allowVolumeExpansion"] == true) {
            return Ok(());
        }
        Err(request.forbid(
            "only dynamically provisioned pvc can be resized and \
             the storageclass that provisions the pvc must support resize",
        ))
    }
}

fn size(claim: &Value) -> Option<tiphys_api::quantity::Quantity> {
    amounts::read(claim, "/spec/resources/requests").remove("storage")
}
