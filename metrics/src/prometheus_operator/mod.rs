//! What is shared by the custom resources of the Prometheus operator that are understood here:
//! their definitions, and how durations are written in them.

pub mod duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, Client, api::PostParams};
use serde_json::{Value, json};

/// Makes the definition of a kind where there is none, so that charts that bring such objects
/// work as they are. One that a user has installed is left alone.
pub async fn install(client: &Client, kind: &str, plural: &str, short: &str) {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let made = match serde_json::from_value(definition(kind, plural, short)) {
        Ok(definition) => definitions.create(&PostParams::default(), &definition).await.map(drop),
        Err(error) => Err(kube::Error::SerdeError(error)),
    };
    match made {
        Ok(()) => tracing::info!(kind, "the definition of a kind of the Prometheus operator was made"),
        Err(kube::Error::Api(status)) if status.code == 409 => {}
        Err(error) => tracing::warn!(kind, %error, "the definition of a kind can't be made"),
    }
}

/// A definition that takes any spec: what is wrong in one is told where it is used.
fn definition(kind: &str, plural: &str, short: &str) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": format!("{plural}.monitoring.coreos.com"),
            "labels": { "app.kubernetes.io/managed-by": "tiphys" },
        },
        "spec": {
            "group": "monitoring.coreos.com",
            "names": {
                "kind": kind, "plural": plural, "singular": kind.to_lowercase(), "listKind": format!("{kind}List"),
                "shortNames": [short], "categories": ["prometheus-operator"],
            },
            "scope": "Namespaced",
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "subresources": { "status": {} },
                "schema": { "openAPIV3Schema": {
                    "type": "object",
                    "required": ["spec"],
                    "properties": {
                        "spec": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
                        "status": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
                    },
                } },
            }],
        },
    })
}
