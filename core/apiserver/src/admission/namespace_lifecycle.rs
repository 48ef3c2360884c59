//! NamespaceLifecycle: nothing new in a namespace that is missing or ending, and
//! no end for the namespaces a cluster cannot be without.

use async_trait::async_trait;
use serde_json::json;

use super::{Cluster, Operation, Plugin, Request};
use crate::authz::{Refusal, find};

const IMMORTAL: &[&str] = &["default", "kube-system", "kube-public"];

pub struct NamespaceLifecycle;

#[async_trait]
impl Plugin for NamespaceLifecycle {
    fn name(&self) -> &'static str {
        "NamespaceLifecycle"
    }

    async fn mutate(&self, cluster: &Cluster, request: &mut Request<'_>) -> Result<(), Refusal> {
        let objects = &*cluster.objects;
        let is_review = request.resource == "localsubjectaccessreviews";
        if is_namespace(request) || request.namespace.is_empty() || !request.writes() || is_review {
            return Ok(());
        }
        let namespace = request.namespace;
        let found = find(objects, "", "namespaces", "", namespace)
            .await
            .ok_or_else(|| Refusal::not_found("", "namespaces", namespace))?;
        let ends =
            found["metadata"]["deletionTimestamp"].is_string() || found["status"]["phase"] == "Terminating";
        if request.operation != Operation::Create || !ends {
            return Ok(());
        }
        let why =
            format!("unable to create new content in namespace {namespace} because it is being terminated");
        let mut refusal = request.forbid(&why);
        if let Some(details) = &mut refusal.details {
            details["causes"] = json!([{
                "reason": "NamespaceTerminating",
                "message": format!("namespace {namespace} is being terminated"),
                "field": "metadata.namespace",
            }]);
        }
        Err(refusal)
    }

    async fn validate(&self, _: &Cluster, request: &Request<'_>) -> Result<(), Refusal> {
        let deletes = request.operation == Operation::Delete;
        if is_namespace(request) && deletes && IMMORTAL.contains(&request.name) {
            return Err(request.forbid("this namespace may not be deleted"));
        }
        Ok(())
    }
}

fn is_namespace(request: &Request<'_>) -> bool {
    request.group.is_empty() && request.resource == "namespaces"
}
