//! DefaultIngressClass: an Ingress that names no class gets the one marked as default.

use async_trait::async_trait;

use super::{Cluster, Plugin, Request, newest_marked};
use crate::authz::Refusal;

const GROUP: &str = "networking.k8s.io";
const MARKS: &[&str] = &["ingressclass.kubernetes.io/is-default-class"];
const OLD_FIELD: &str = "kubernetes.io/ingress.class";

pub struct DefaultIngressClass;

#[async_trait]
impl Plugin for DefaultIngressClass {
    fn name(&self) -> &'static str {
        "DefaultIngressClass"
    }

    async fn mutate(&self, cluster: &Cluster, request: &mut Request<'_>) -> Result<(), Refusal> {
        if !request.is(GROUP, "ingresses") || !request.creates() {
            return Ok(());
        }
        let ingress = request.new_object();
        let named = ingress["spec"]["ingressClassName"].is_string()
            || ingress["metadata"]["annotations"][OLD_FIELD].is_string();
        if named {
            return Ok(());
        }
        let classes = cluster.objects.list(GROUP, "ingressclasses", "", &[]);
        let (Some(class), Some(ingress)) = (newest_marked(&classes, MARKS), request.object.as_deref_mut())
        else {
            return Ok(());
        };
        ingress["spec"]["ingressClassName"] = class["metadata"]["name"].clone();
        Ok(())
    }
}
