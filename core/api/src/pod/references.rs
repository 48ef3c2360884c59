//! What of the API a Pod refers to. One that a node makes of a file must refer to nothing:
//! it would read what nobody gave it, and could not start while the API is away. Pure.

use serde_json::Value;

use crate::access::{has, list};

/// What the spec refers to, as a word in the plural; `None` if it stands for itself.
pub fn of_spec(spec: &Value) -> Option<&'static str> {
    let volumes = list(spec, "/volumes");
    let sources = || volumes.iter().flat_map(|volume| list(volume, "/projected/sources"));
    let in_volume = |field: &str| volumes.iter().any(|volume| has(volume, field));
    let in_projection = |field: &str| sources().any(|source| has(source, field));
    let containers = || {
        let lists = ["/containers", "/initContainers", "/ephemeralContainers"];
        lists.into_iter().flat_map(|path| list(spec, path))
    };
    let in_environment = |whole: &str, key: &str| {
        containers().any(|container| {
            list(container, "/envFrom").iter().any(|source| has(source, whole))
                || list(container, "/env").iter().any(|variable| has(variable, key))
        })
    };
    if !list(spec, "/imagePullSecrets").is_empty()
        || in_volume("/secret")
        || in_projection("/secret")
        || in_environment("/secretRef", "/valueFrom/secretKeyRef")
    {
        return Some("secrets");
    }
    if in_volume("/configMap")
        || in_projection("/configMap")
        || in_environment("/configMapRef", "/valueFrom/configMapKeyRef")
    {
        return Some("configmaps");
    }
    if in_volume("/persistentVolumeClaim") || in_volume("/ephemeral") {
        return Some("persistentvolumeclaims");
    }
    if in_projection("/clusterTrustBundle") {
        return Some("clustertrustbundles");
    }
    in_projection("/serviceAccountToken").then_some("service account tokens")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_way_to_the_api_is_found() {
        let check = |spec: Value, expected: Option<&str>| assert_eq!(of_spec(&spec), expected, "{spec}");
        let volume = |volume: Value| json!({ "volumes": [{ "name": "a", "emptyDir": {} }, volume] });
        let projected = |source: Value| volume(json!({ "name": "v", "projected": { "sources": [source] } }));
        let container = |list: &str, container: Value| json!({ list: [{ "name": "a" }, container] });
        let from = |what: &str| json!({ "env": [{ "name": "V", "valueFrom": { what: { "name": "x" } } }] });
        check(json!({}), None);
        check(volume(json!({ "name": "v", "hostPath": { "path": "/x" } })), None);
        check(projected(json!({ "downwardAPI": {} })), None);
        check(container("containers", from("fieldRef")), None);
        check(json!({ "imagePullSecrets": [{ "name": "x" }] }), Some("secrets"));
        check(volume(json!({ "name": "v", "secret": {} })), Some("secrets"));
        check(projected(json!({ "secret": {} })), Some("secrets"));
        check(container("initContainers", from("secretKeyRef")), Some("secrets"));
        check(container("containers", json!({ "envFrom": [{ "secretRef": {} }] })), Some("secrets"));
        check(volume(json!({ "name": "v", "configMap": {} })), Some("configmaps"));
        check(projected(json!({ "configMap": {} })), Some("configmaps"));
        check(container("ephemeralContainers", from("configMapKeyRef")), Some("configmaps"));
        check(container("containers", json!({ "envFrom": [{ "configMapRef": {} }] })), Some("configmaps"));
        for kind in ["persistentVolumeClaim", "ephemeral"] {
            check(volume(json!({ "name": "v", kind: {} })), Some("persistentvolumeclaims"));
        }
        check(projected(json!({ "clusterTrustBundle": {} })), Some("clustertrustbundles"));
        check(projected(json!({ "serviceAccountToken": {} })), Some("service account tokens"));
    }
}
