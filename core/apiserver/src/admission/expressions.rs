//! The expressions of webhooks and policies over one write: their variables and their conditions.

use kube_cel::cel::Value as Cel;
use serde_json::Value;
use tiphys_api::cel::meter::PER_CONDITIONS;

use super::{
    Cluster, Request, Version, items,
    review::{self, Pictures},
};
use crate::{
    authz::{Refusal, find},
    cel::{Asker, CelError, Expression, Scope, Variables, from_json},
};

/// What match conditions of webhooks may name.
pub const CONDITION_NAMES: &[&str] =
    &["object", "oldObject", "request", "namespaceObject", "authorizer", "authorizer.requestResource"];

/// What the expressions of a policy may name; those that make messages may not ask for permissions.
pub fn policy_names(spec: &Value, asking: bool) -> Vec<&'static str> {
    let mut names = CONDITION_NAMES.to_vec();
    names.retain(|name| asking || !name.starts_with("authorizer"));
    if spec["paramKind"].is_object() {
        names.push("params");
    }
    names
}

/// Name and expression of each condition.
pub fn conditions(
    conditions: &Value,
    names: &[&str],
    variables: &[String],
) -> Vec<(String, Result<Expression, CelError>)> {
    let text = |condition: &Value, key: &str| condition[key].as_str().unwrap_or_default().to_owned();
    let one = |condition: &Value| {
        (text(condition, "name"), Expression::compile(text(condition, "expression").trim(), names, variables))
    };
    items(conditions).map(one).collect()
}

/// What expressions see of a write.
pub struct Values {
    pub pictures: Pictures,
    values: Vec<(&'static str, Cel)>,
}

impl Values {
    /// In the version in which a rule names it.
    ///
    /// # Errors
    /// The objects have no form in that version.
    pub async fn new(
        cluster: &Cluster,
        request: &Request<'_>,
        version: &Version,
        namespace: &Value,
    ) -> Result<Self, String> {
        let pictures = review::pictures(&*cluster.versions, request, version).await?;
        let about = review::request(request, version, &pictures);
        let values = values(cluster, request, &about, &pictures, namespace);
        Ok(Self { pictures, values })
    }

    pub fn scope<'a>(&self, variables: &'a Variables) -> Scope<'a> {
        Scope::new(self.values.clone(), variables)
    }
}

/// The values of a write.
pub fn values(
    cluster: &Cluster,
    request: &Request<'_>,
    about: &Value,
    pictures: &Pictures,
    namespace: &Value,
) -> Vec<(&'static str, Cel)> {
    let asker = Asker { authorizer: cluster.authorizer.clone(), user: request.user.clone() };
    let own = asker.about(
        request.group,
        request.resource,
        request.subresource,
        request.namespace,
        request.object_name(),
    );
    vec![
        ("object", from_json(&pictures.new)),
        ("oldObject", from_json(&pictures.old)),
        ("request", from_json(about)),
        ("namespaceObject", from_json(namespace)),
        ("authorizer", asker.value()),
        ("authorizer.requestResource", own),
    ]
}

/// The Namespace that the object is in, without what only servers read.
///
/// # Errors
/// There is none of that name.
pub async fn namespace_object(cluster: &Cluster, request: &Request<'_>) -> Result<Value, Refusal> {
    let is_namespace = request.group.is_empty() && request.resource == "namespaces";
    if request.namespace.is_empty() || is_namespace {
        return Ok(Value::Null);
    }
    let found = find(&*cluster.objects, "", "namespaces", "", request.namespace).await;
    let found = found.ok_or_else(|| Refusal::not_found("", "namespaces", request.namespace))?;
    let mut namespace = (*found).clone();
    if let Some(metadata) = namespace["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    Ok(namespace)
}

/// Whether all conditions are true: one that is false decides, before one that has no value.
///
/// # Errors
/// None is false, and some have no value.
pub fn all_hold(
    conditions: &[(String, Result<Expression, CelError>)],
    scope: &Scope<'_>,
) -> Result<bool, String> {
    let scope = &scope.within(PER_CONDITIONS);
    let mut errors = Vec::new();
    for (_, condition) in conditions {
        let held = condition
            .as_ref()
            .map_err(Clone::clone)
            .and_then(|condition| condition.is_true(scope).map_err(|error| evaluation(condition, &error)));
        match held {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(error) => errors.push(error.to_string()),
        }
    }
    match errors.as_slice() {
        [] => Ok(true),
        [one] => Err(one.clone()),
        many => Err(format!("[{}]", many.join(", "))),
    }
}

/// `expression 'x' resulted in error: why`
pub fn evaluation(expression: &Expression, error: &CelError) -> CelError {
    CelError::Execution(format!("expression '{}' resulted in error: {error}", expression.source()))
}
