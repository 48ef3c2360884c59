//! The objects that a binding gives to its policy as parameters.

use serde_json::Value;
use tiphys_api::validate::labels;

use crate::{
    admission::{Cluster, Request, Version, matching},
    authz::find,
};

/// One evaluation for each: with `Null` for none at all.
///
/// # Errors
/// The binding can't be used as it is.
pub async fn params(
    cluster: &Cluster,
    kind: &Value,
    reference: &Value,
    request: &Request<'_>,
) -> Result<Vec<Value>, String> {
    if !kind.is_object() || !reference.is_object() {
        return Ok(vec![Value::Null]);
    }
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let (api_version, kind_name) = (text(kind, "apiVersion"), text(kind, "kind"));
    let served = cluster.versions.of_kind(&api_version, &kind_name);
    let (version, namespaced) =
        served.ok_or_else(|| format!("paramKind kind `{api_version}, Kind={kind_name}` not known"))?;
    let given = text(reference, "namespace");
    let namespace = match (namespaced, given.as_str()) {
        (false, "") => "",
        (false, _) => {
            return Err("paramRef.namespace must not be provided for a cluster-scoped `paramKind`".into());
        }
        (true, "") if request.namespace.is_empty() => {
            return Err(
                "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources"
                    .into(),
            );
        }
        (true, "") => request.namespace,
        (true, given) => given,
    };
    let found = found(cluster, &version, namespace, reference).await?;
    if found.is_empty() && reference["parameterNotFoundAction"] == "Deny" {
        return Err("no params found for policy binding with `Deny` parameterNotFoundAction".into());
    }
    Ok(found)
}

async fn found(
    cluster: &Cluster,
    version: &Version,
    namespace: &str,
    reference: &Value,
) -> Result<Vec<Value>, String> {
    let objects = &*cluster.objects;
    if let Some(name) = reference["name"].as_str().filter(|name| !name.is_empty()) {
        let object = find(objects, &version.group, &version.resource, namespace, name).await;
        return match object {
            Some(object) => Ok(vec![cluster.versions.show(&object, version).await?]),
            None => Ok(Vec::new()),
        };
    }
    let selector = &reference["selector"];
    if !selector.is_object() {
        return Err("one of name or selector must be provided".into());
    }
    let mut all = objects.list(&version.group, &version.resource, namespace, &[]);
    all.retain(|object| labels::matches(selector, matching::labels_of(object)));
    all.sort_by(|a, b| a["metadata"]["name"].as_str().cmp(&b["metadata"]["name"].as_str()));
    let mut shown = Vec::with_capacity(all.len());
    for object in all {
        shown.push(cluster.versions.show(&object, version).await?);
    }
    Ok(shown)
}
