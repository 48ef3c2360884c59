//! StorageObjectInUseProtection: claims and volumes get a finalizer, which controllers
//! take off when nothing uses them any more.

use async_trait::async_trait;

use super::{Cluster, Plugin, Request, list_mut};
use crate::authz::Refusal;

const FINALIZERS: &[(&str, &str, &str)] = &[
    ("", "persistentvolumeclaims", "kubernetes.io/pvc-protection"),
    ("", "persistentvolumes", "kubernetes.io/pv-protection"),
    ("storage.k8s.io", "volumeattributesclasses", "kubernetes.io/vac-protection"),
];

pub struct StorageObjectInUseProtection;

#[async_trait]
impl Plugin for StorageObjectInUseProtection {
    fn name(&self) -> &'static str {
        "StorageObjectInUseProtection"
    }

    async fn mutate(&self, _: &Cluster, request: &mut Request<'_>) -> Result<(), Refusal> {
        if !request.creates() {
            return Ok(());
        }
        let known = FINALIZERS.iter().find(|(group, resource, _)| request.is(group, resource));
        let (Some((_, _, finalizer)), Some(object)) = (known, request.object.as_deref_mut()) else {
            return Ok(());
        };
        let finalizers = list_mut(&mut object["metadata"], "finalizers");
        if !finalizers.iter().any(|other| other == finalizer) {
            finalizers.push((*finalizer).into());
        }
        Ok(())
    }
}
