//! Expressions in webhook configurations and policies that nobody could evaluate: refused when they are
//! written. Pure.

use serde_json::Value;
use tiphys_api::{field::FieldError, kind::Kind};

use super::{
    expressions::{CONDITION_NAMES, policy_names},
    items,
};
use crate::cel::{CelError, Expression, Type};

/// What is wrong with the expressions of an object that was not wrong before.
pub fn compile_errors(kind: &Kind, new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let before = old.map(|old| of(kind, old)).unwrap_or_default();
    of(kind, new).into_iter().filter(|error| !before.contains(error)).collect()
}

fn of(kind: &Kind, object: &Value) -> Vec<FieldError> {
    if kind.group != super::compiled::GROUP {
        return Vec::new();
    }
    let mut found = Found::default();
    match kind.kind {
        "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration" => {
            for (index, webhook) in items(&object["webhooks"]).enumerate() {
                found.conditions(webhook, &format!("webhooks[{index}]"), CONDITION_NAMES);
            }
        }
        "ValidatingAdmissionPolicy" => validating(&object["spec"], &mut found),
        "MutatingAdmissionPolicy" => mutating(&object["spec"], &mut found),
        _ => {}
    }
    found.errors
}

fn validating(spec: &Value, found: &mut Found) {
    let names = &policy_names(spec, true);
    found.conditions(spec, "spec", names);
    let variables = found.variables(spec, names);
    let message_names = &policy_names(spec, false);
    let text = ("string", [Type::Text].as_slice());
    for (index, validation) in items(&spec["validations"]).enumerate() {
        let path = format!("spec.validations[{index}]");
        found.one(validation, "expression", &path, names, &variables, BOOL);
        found.one(validation, "messageExpression", &path, message_names, &variables, text);
    }
    let text_or_none = ("string or null", [Type::Text, Type::Null].as_slice());
    for (index, annotation) in items(&spec["auditAnnotations"]).enumerate() {
        let path = format!("spec.auditAnnotations[{index}]");
        found.one(annotation, "valueExpression", &path, names, &variables, text_or_none);
    }
}

fn mutating(spec: &Value, found: &mut Found) {
    let names = &policy_names(spec, true);
    found.conditions(spec, "spec", names);
    let variables = found.variables(spec, names);
    let object = [Type::Made("Object".into())];
    let patches = [Type::List(Box::new(Type::Made("JSONPatch".into()))), Type::List(Box::new(Type::Dyn))];
    for (index, mutation) in items(&spec["mutations"]).enumerate() {
        let path = format!("spec.mutations[{index}]");
        let wanted = ("Object", object.as_slice());
        let at = format!("{path}.applyConfiguration");
        found.one(&mutation["applyConfiguration"], "expression", &at, names, &variables, wanted);
        let wanted = ("list(JSONPatch)", patches.as_slice());
        found.one(
            &mutation["jsonPatch"],
            "expression",
            &format!("{path}.jsonPatch"),
            names,
            &variables,
            wanted,
        );
    }
}

const BOOL: (&str, &[Type]) = ("bool", &[Type::Bool]);

#[derive(Default)]
struct Found {
    errors: Vec<FieldError>,
}

impl Found {
    fn conditions(&mut self, of: &Value, path: &str, names: &[&str]) {
        for (index, condition) in items(&of["matchConditions"]).enumerate() {
            self.one(condition, "expression", &format!("{path}.matchConditions[{index}]"), names, &[], BOOL);
        }
    }

    /// The names of all; each may use those before it.
    fn variables(&mut self, spec: &Value, names: &[&str]) -> Vec<String> {
        let mut known = Vec::new();
        for (index, variable) in items(&spec["variables"]).enumerate() {
            let source = variable["expression"].as_str().unwrap_or_default().trim();
            if !source.is_empty() {
                let compiled = Expression::compile(source, names, &known);
                self.told(compiled, source, format!("spec.variables[{index}].expression"));
            }
            known.push(variable["name"].as_str().unwrap_or_default().to_owned());
        }
        known
    }

    fn one(
        &mut self,
        of: &Value,
        key: &str,
        path: &str,
        names: &[&str],
        variables: &[String],
        (wanted, types): (&'static str, &[Type]),
    ) {
        let source = of[key].as_str().unwrap_or_default().trim();
        if !source.is_empty() {
            let compiled = Expression::compile(source, names, variables);
            self.told(compiled.and_then(|it| it.giving(wanted, types)), source, format!("{path}.{key}"));
        }
    }

    fn told(&mut self, compiled: Result<Expression, CelError>, source: &str, path: String) {
        if let Err(why) = compiled {
            self.errors.push(FieldError::invalid(path, &source.into(), why));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tiphys_api::kinds;

    use super::*;

    fn told(kind: &str, object: &Value, old: Option<&Value>) -> Vec<String> {
        let kind = kinds::all().iter().find(|other| other.kind == kind && other.version == "v1").unwrap();
        compile_errors(kind, object, old).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_can_not_be_evaluated_is_named() {
        let policy = |spec: Value| json!({ "spec": spec });
        let validation = |expression: &str| policy(json!({ "validations": [{ "expression": expression }] }));
        let unknown =
            |name: &str| format!("compilation failed: undeclared reference to '{name}' (in container '')");
        let table = [
            (validation("object.spec.replicas > 1"), None),
            (
                validation("params.a == 1"),
                Some(format!("spec.validations[0].expression: Invalid value: \"params.a == 1\": {}", unknown("params"))),
            ),
            (
                validation("'a'"),
                Some("spec.validations[0].expression: Invalid value: \"'a'\": must evaluate to bool".into()),
            ),
            (policy(json!({ "paramKind": {}, "validations": [{ "expression": "params.a == 1" }] })), None),
            (
                policy(json!({ "variables": [{ "name": "a", "expression": "variables.b" },
                                             { "name": "b", "expression": "1" }] })),
                Some(
                    "spec.variables[0].expression: Invalid value: \"variables.b\": compilation failed: undefined field 'b'"
                        .into(),
                ),
            ),
            (
                policy(json!({ "auditAnnotations": [{ "key": "a", "valueExpression": "1" }] })),
                Some(
                    "spec.auditAnnotations[0].valueExpression: Invalid value: \"1\": must evaluate to string or null"
                        .into(),
                ),
            ),
        ];
        for (object, expected) in table {
            assert_eq!(
                told("ValidatingAdmissionPolicy", &object, None),
                Vec::from_iter(expected),
                "{object}"
            );
        }
        let mutation = |expression: &str| {
            policy(json!({ "mutations": [{ "jsonPatch": { "expression": expression } }] }))
        };
        let good = mutation("[JSONPatch{op: 'remove', path: '/a'}]");
        assert!(told("MutatingAdmissionPolicy", &good, None).is_empty());
        assert_eq!(
            told("MutatingAdmissionPolicy", &mutation("1"), None),
            [
                "spec.mutations[0].jsonPatch.expression: Invalid value: \"1\": must evaluate to list(JSONPatch)"
            ]
        );
    }

    #[test]
    fn what_was_wrong_before_stays() {
        let old = json!({ "webhooks": [{ "matchConditions": [{ "name": "a", "expression": "nobody" }] }] });
        assert_eq!(told("ValidatingWebhookConfiguration", &old, None).len(), 1);
        assert!(told("ValidatingWebhookConfiguration", &old, Some(&old)).is_empty());
    }
}
