//! What the types of the objects that a ValidatingAdmissionPolicy names say about its expressions.
//!
//! Only a help to who writes the policy: `status.typeChecking` warns of fields and operators that
//! can't be evaluated, and nothing else depends on it. It is written with the policy.

use serde_json::{Value, json};
use tiphys_api::kind::Kind;

use super::{Version, Versions, expressions::policy_names, items};
use crate::cel::{Expression, Names, Type};

/// So many types are looked at.
const MOST_TYPES: usize = 10;

/// Sets the policy's status.
pub fn type_check(versions: &dyn Versions, kind: &Kind, policy: &mut Value) {
    if kind.group != super::compiled::GROUP || kind.kind != "ValidatingAdmissionPolicy" {
        return;
    }
    let warnings = warnings(versions, &policy["spec"]);
    let checked = if warnings.is_empty() { json!({}) } else { json!({ "expressionWarnings": warnings }) };
    policy["status"]["observedGeneration"] = policy["metadata"]["generation"].clone();
    policy["status"]["typeChecking"] = checked;
}

fn warnings(versions: &dyn Versions, spec: &Value) -> Vec<Value> {
    let types = types(versions, spec);
    let params = params(versions, spec);
    let mut warnings = Vec::new();
    for (index, validation) in items(&spec["validations"]).enumerate() {
        for key in ["expression", "messageExpression"] {
            let source = validation[key].as_str().unwrap_or_default().trim();
            let told: Vec<String> = types
                .iter()
                .filter_map(|(version, object)| {
                    let why = check(spec, source, object, &params)?;
                    Some(format!(
                        "{}, Kind={}: ERROR: {why}\n | {source}",
                        version.api_version(),
                        version.kind
                    ))
                })
                .collect();
            if !told.is_empty() {
                let field = format!("spec.validations[{index}].{key}");
                warnings.push(json!({ "fieldRef": field, "warning": told.join("\n") }));
            }
        }
    }
    warnings
}

/// The types that the policy names without wildcards.
fn types(versions: &dyn Versions, spec: &Value) -> Vec<(Version, Type)> {
    let mut found: Vec<(Version, Type)> = Vec::new();
    for rule in items(&spec["matchConstraints"]["resourceRules"]) {
        let named = |key: &str| -> Vec<&str> { items(&rule[key]).filter_map(Value::as_str).collect() };
        for resource in named("resources") {
            for group in named("apiGroups") {
                let wanted = |it: &Version| named("apiVersions").contains(&it.version.as_str());
                for version in versions.of(group, resource).into_iter().filter(wanted) {
                    let is_new = !found.iter().any(|(other, _)| *other == version);
                    if let Some(schema) =
                        versions.schema(&version).filter(|_| is_new && version.group == group)
                    {
                        found.push((version, Type::from(&schema)));
                    }
                }
            }
        }
    }
    found.sort_by(|(a, _), (b, _)| (&a.group, &a.version, &a.kind).cmp(&(&b.group, &b.version, &b.kind)));
    found.truncate(MOST_TYPES);
    found
}

fn params(versions: &dyn Versions, spec: &Value) -> Type {
    let kind = &spec["paramKind"];
    let text = |key: &str| kind[key].as_str().unwrap_or_default();
    let served = versions.of_kind(text("apiVersion"), text("kind"));
    let schema = served.and_then(|(version, _)| versions.schema(&version));
    schema.map_or(Type::Dyn, |schema| Type::from(&schema))
}

fn check(spec: &Value, source: &str, object: &Type, params: &Type) -> Option<String> {
    if source.is_empty() {
        return None;
    }
    let known = policy_names(spec, true);
    let named = [("object", object), ("oldObject", object), ("params", params)];
    let mut names: Names = named.into_iter().map(|(name, ty)| (name.to_owned(), ty.clone())).collect();
    let mut variables = Vec::new();
    for variable in items(&spec["variables"]) {
        let text = |key: &str| variable[key].as_str().unwrap_or_default().trim();
        let compiled = Expression::compile(text("expression"), &known, &variables).ok();
        let ty = compiled.and_then(|expression| expression.type_in(&names).ok()).unwrap_or(Type::Dyn);
        names.insert(format!("variables.{}", text("name")), ty);
        variables.push(text("name").to_owned());
    }
    let expression = Expression::compile(source, &known, &variables).ok()?;
    expression.type_in(&names).err()
}
