//! Policies and bindings as they are used.

use serde_json::Value;

use crate::{
    admission::{
        expressions::{self, policy_names},
        items,
    },
    cel::{CelError, Expression},
};

pub type Compiled = Result<Expression, CelError>;

pub struct Policy {
    pub name: String,
    pub spec: Value,
    pub conditions: Vec<(String, Compiled)>,
    /// Those that could be compiled.
    pub variables: Vec<(String, Expression)>,
    pub validations: Vec<Validation>,
    pub audit_annotations: Vec<(String, Compiled)>,
    pub mutations: Vec<Mutation>,
}

pub struct Validation {
    pub expression: Compiled,
    /// As it is written.
    pub source: String,
    pub message: String,
    pub message_expression: Option<Compiled>,
    pub reason: String,
}

pub enum Mutation {
    /// Gives an object that is merged as server-side apply merges.
    Apply(Compiled),
    /// Gives a JSON patch.
    Patch(Compiled),
}

pub struct Binding {
    pub name: String,
    pub policy: String,
    pub spec: Value,
}

impl Policy {
    pub fn ignores_failure(&self) -> bool {
        self.spec["failurePolicy"] == "Ignore"
    }

    pub fn follows(&self) -> bool {
        self.spec["reinvocationPolicy"] == "IfNeeded"
    }
}

pub fn binding(object: &Value) -> Binding {
    Binding { name: name(object), policy: text(&object["spec"], "policyName"), spec: object["spec"].clone() }
}

pub fn validating(object: &Value) -> Policy {
    let spec = &object["spec"];
    let policy = common(object);
    let known: Vec<String> = policy.variables.iter().map(|(name, _)| name.clone()).collect();
    let (names, message_names) = (policy_names(spec, true), policy_names(spec, false));
    let compile = |source: &str, names: &[&str]| Expression::compile(source.trim(), names, &known);
    let validation = |validation: &Value| {
        let source = text(validation, "expression").trim().to_owned();
        Validation {
            expression: compile(&source, &names),
            source,
            message: text(validation, "message").trim().to_owned(),
            message_expression: Some(text(validation, "messageExpression"))
                .filter(|source| !source.trim().is_empty())
                .map(|source| compile(&source, &message_names)),
            reason: text(validation, "reason"),
        }
    };
    let annotation = |annotation: &Value| {
        (text(annotation, "key"), compile(&text(annotation, "valueExpression"), &message_names))
    };
    Policy {
        validations: items(&spec["validations"]).map(validation).collect(),
        audit_annotations: items(&spec["auditAnnotations"]).map(annotation).collect(),
        ..policy
    }
}

pub fn mutating(object: &Value) -> Policy {
    let spec = &object["spec"];
    let policy = common(object);
    let known: Vec<String> = policy.variables.iter().map(|(name, _)| name.clone()).collect();
    let names = policy_names(spec, true);
    let compile = |of: &Value| Expression::compile(text(of, "expression").trim(), &names, &known);
    let mutation = |mutation: &Value| match mutation["patchType"].as_str() {
        Some("JSONPatch") => Mutation::Patch(compile(&mutation["jsonPatch"])),
        _ => Mutation::Apply(compile(&mutation["applyConfiguration"])),
    };
    Policy { mutations: items(&spec["mutations"]).map(mutation).collect(), ..policy }
}

fn common(object: &Value) -> Policy {
    let spec = &object["spec"];
    let names = policy_names(spec, true);
    let mut known = Vec::new();
    let mut variables = Vec::new();
    for variable in items(&spec["variables"]) {
        let name = text(variable, "name");
        if let Ok(expression) = Expression::compile(text(variable, "expression").trim(), &names, &known) {
            variables.push((name.clone(), expression));
            known.push(name);
        }
    }
    Policy {
        name: name(object),
        spec: spec.clone(),
        conditions: expressions::conditions(&spec["matchConditions"], &names, &[]),
        variables,
        validations: Vec::new(),
        audit_annotations: Vec::new(),
        mutations: Vec::new(),
    }
}

fn name(object: &Value) -> String {
    text(&object["metadata"], "name")
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}
