//! Rules asked of one object.

use std::sync::Arc;

use kube_cel::{
    KubeCelExt,
    cel::{Context, ExecutionError, Value as Cel, common::ast::IdedExpr, objects::ValueType},
};
use serde_json::Value;

use super::{
    PER_CALL, Rule,
    estimate::{Part, TYPES, Walk},
    parse, values,
};
use crate::{
    cel::stack,
    custom::{Structural, path::Path},
    field::{FieldError, Reason},
    validate::Errors,
};

/// The longest message that an expression may make.
const MESSAGE_LIMIT: usize = 5 * 1024;

thread_local! {
    /// The functions, made once a thread: they are many, and not all of their table can be shared.
    static FUNCTIONS: Context<'static> = functions();
}

fn functions() -> Context<'static> {
    let mut context = Context::default().with_all();
    crate::cel::macros::register(&mut context);
    context.add_function("dyn", |value: Cel| -> Result<Cel, ExecutionError> { Ok(value) });
    context.add_function("type", |value: Cel| -> Result<Cel, ExecutionError> {
        Ok(type_value(&type_name(&value)))
    });
    context.add_function("bool", |value: Cel| match value {
        Cel::Bool(value) => Ok(value),
        Cel::String(text) if *text == "true" => Ok(true),
        Cel::String(text) if *text == "false" => Ok(false),
        _ => Err(ExecutionError::NoSuchOverload),
    });
    for name in TYPES {
        context.add_variable_from_value(name, type_value(name));
    }
    context
}

/// A type as a value: a word that no string in an object can be, since control characters aren't printed.
fn type_value(name: &str) -> Cel {
    Cel::String(Arc::new(format!("\u{1}type {name}")))
}

fn type_name(value: &Cel) -> String {
    match value.type_of() {
        ValueType::Float => "double".into(),
        ValueType::Null => "null_type".into(),
        other => other.to_string(),
    }
}

/// A function of one text, for values that the language reads by itself.
pub fn call(function: &str, text: &str) -> Option<Cel> {
    let expression = parse::parse(&format!("{function}(text)")).ok()?;
    let variables = vec![("text", Cel::String(Arc::new(text.to_owned())))];
    resolve(&expression, variables).ok()
}

fn resolve(expression: &IdedExpr, variables: Vec<(&'static str, Cel)>) -> Result<Cel, String> {
    FUNCTIONS.with(|functions| {
        let mut context = functions.new_inner_scope();
        for (name, value) in variables {
            context.add_variable_from_value(name, value);
        }
        let resolve = || Cel::resolve(expression, &context).map_err(|error| error.to_string());
        stack::with_room(stack::levels(expression), resolve)
    })
}

/// What is left of an object's budget, and what was found.
pub struct Run {
    budget: u64,
    over: bool,
    pub errors: Errors,
}

impl Run {
    pub fn new(budget: u64) -> Self {
        Self { budget, over: false, errors: Vec::new() }
    }

    /// The budget is used up: no more rules are asked.
    pub fn is_over(&self) -> bool {
        self.over
    }

    pub fn rules(
        &mut self,
        rules: &[Rule],
        schema: &Structural,
        new: &Value,
        old: Option<&Value>,
        at: &Path<'_>,
        whole: bool,
    ) {
        let place = Place { schema, new, old, whole };
        let own = values::typed(new, schema, whole);
        let former = old.map(|old| values::typed(old, schema, whole));
        for rule in rules {
            if self.over || (rule.uses_old && old.is_none() && !rule.optional_old) {
                continue;
            }
            let mut variables = vec![("self", own.clone())];
            if rule.optional_old {
                variables.push(("oldSelf", values::optional(former.clone())));
            } else if let Some(former) = &former {
                variables.push(("oldSelf", former.clone()));
            }
            self.rule(rule, &place, &variables, at);
        }
    }

    fn rule(&mut self, rule: &Rule, place: &Place<'_>, variables: &[(&'static str, Cel)], at: &Path<'_>) {
        let expression = match &rule.expression {
            Ok(expression) => expression,
            Err(why) => {
                return self.fault(place, at, &format!("rule compile error: compilation failed: {why}"));
            }
        };
        match place.cost(expression, rule.optional_old) {
            Ok(cost) if cost > PER_CALL => {
                return self.exhausted(
                    place,
                    at,
                    "validation failed due to running out of cost budget, no further \
                                                  validation rules will be run",
                );
            }
            Ok(cost) if cost > self.budget => {
                return self.exhausted(
                    place,
                    at,
                    "validation failed due to running out of cost budget, no further \
                                                  validation rules will be run",
                );
            }
            Ok(cost) => self.budget -= cost,
            Err(why) => {
                return self.fault(place, at, &format!("rule compile error: compilation failed: {why}"));
            }
        }
        match resolve(expression, variables.to_vec()) {
            Ok(Cel::Bool(true)) => {}
            Ok(Cel::Bool(false)) => {
                let message = self.message(rule, place, variables);
                self.failed(rule, place, at, &message);
            }
            Ok(_) => self.fault(place, at, "cel expression must evaluate to a bool"),
            Err(why) => {
                let detail = format!("{} evaluation error: {why}", rule.fallback);
                self.fault(place, at, &detail);
            }
        }
    }

    fn message(&mut self, rule: &Rule, place: &Place<'_>, variables: &[(&'static str, Cel)]) -> String {
        let Some(expression) = &rule.message else { return rule.fallback.clone() };
        let affordable =
            place.cost(expression, rule.optional_old).ok().filter(|cost| *cost <= PER_CALL.min(self.budget));
        let Some(cost) = affordable else { return rule.fallback.clone() };
        self.budget -= cost;
        match resolve(expression, variables.to_vec()) {
            Ok(Cel::String(text)) => match text.trim() {
                "" => rule.fallback.clone(),
                text if text.len() > MESSAGE_LIMIT || text.contains('\n') => rule.fallback.clone(),
                text => text.to_owned(),
            },
            _ => rule.fallback.clone(),
        }
    }

    fn failed(&mut self, rule: &Rule, place: &Place<'_>, at: &Path<'_>, message: &str) {
        let base = at.to_string();
        let below = rule.field_path.join(".");
        let field = match (base.is_empty(), below.is_empty()) {
            (_, true) => base,
            (true, false) => below,
            (false, false) => format!("{base}.{below}"),
        };
        let field = if field.is_empty() { "<nil>".to_owned() } else { field };
        self.errors.push(match rule.reason.as_str() {
            "FieldValueForbidden" => FieldError::forbidden(field, message),
            "FieldValueRequired" => FieldError::required(field, message),
            "FieldValueDuplicate" => FieldError::duplicate(field, &place.shown().into()),
            _ => FieldError::invalid(field, &place.shown().into(), message),
        });
    }

    /// The rule itself is at fault.
    fn fault(&mut self, place: &Place<'_>, at: &Path<'_>, detail: &str) {
        let message = format!("Invalid value: {:?}: {detail}", place.shown());
        let field = match at.to_string() {
            empty if empty.is_empty() => "<nil>".into(),
            field => field,
        };
        self.errors.push(FieldError { reason: Reason::Invalid, field, message });
    }

    fn exhausted(&mut self, place: &Place<'_>, at: &Path<'_>, detail: &str) {
        self.over = true;
        self.fault(place, at, detail);
    }
}

/// Where a rule is asked.
struct Place<'a> {
    schema: &'a Structural,
    new: &'a Value,
    old: Option<&'a Value>,
    whole: bool,
}

impl Place<'_> {
    /// The value as messages show it: its type.
    fn shown(&self) -> &str {
        match self.schema.ty.as_str() {
            "" if self.schema.int_or_string => "",
            ty => ty,
        }
    }

    /// What this evaluation will cost.
    fn cost(&self, expression: &IdedExpr, optional_old: bool) -> Result<u64, String> {
        let old = self.old.map(|old| vec![old]).unwrap_or_default();
        let own = super::faults::own_type(self.schema, self.whole);
        let former = if optional_old { super::schema_type::Ty::Dyn } else { own };
        let variables = [
            ("self", Part::variable(own, Some(vec![self.new]))),
            ("oldSelf", Part::variable(former, Some(old))),
        ];
        Walk::new(variables).part(expression).map(|part| part.cost)
    }
}
