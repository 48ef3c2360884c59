//! Rules asked of one object.

use kube_cel::cel::Value as Cel;
use serde_json::Value;

use super::{Rule, values};
use crate::{
    cel::{
        evaluate::{Outcome, World, optional},
        fault::Fault,
        meter::{Meter, PER_CALL},
        parse::Expression,
    },
    custom::{Structural, path::Path},
    field::{FieldError, Reason},
    validate::Errors,
};

/// The longest message that an expression may make.
const MESSAGE_LIMIT: usize = 5 * 1024;
/// Making so many steps' worth of values is one step.
const MADE_FOR_A_UNIT: u64 = 10;
const EXHAUSTED: &str =
    "validation failed due to running out of cost budget, no further validation rules will be run";

/// `self` and `oldSelf`.
type Variables = [(&'static str, Cel)];

struct Names<'a>(&'a Variables);

impl World for Names<'_> {
    fn value(&self, name: &str, _: &mut Meter) -> Option<Outcome> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| Ok(value.clone()))
    }
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
        let place = Place { schema, new, at };
        let own = values::typed(new, schema, whole);
        let former = old.map(|old| values::typed(old, schema, whole));
        // Values are made anew for each place that has rules.
        let mut meter = Meter::new(self.budget.saturating_mul(MADE_FOR_A_UNIT));
        let made = meter.whole(&own).and_then(|()| former.iter().try_for_each(|former| meter.whole(former)));
        if made.is_err() {
            return self.exhausted(&place, EXHAUSTED);
        }
        self.budget -= meter.spent() / MADE_FOR_A_UNIT;
        for rule in rules {
            if self.over || (rule.uses_old && old.is_none() && !rule.optional_old) {
                continue;
            }
            let mut variables = vec![("self", own.clone())];
            if rule.optional_old {
                variables.push(("oldSelf", optional(former.clone())));
            } else if let Some(former) = &former {
                variables.push(("oldSelf", former.clone()));
            }
            self.rule(rule, &place, &variables);
        }
    }

    fn rule(&mut self, rule: &Rule, place: &Place<'_>, variables: &Variables) {
        let expression = match &rule.expression {
            Ok(expression) => expression,
            Err(why) => {
                return self.fault(place, &format!("rule compile error: compilation failed: {why}"));
            }
        };
        let told = rule.told();
        match self.evaluate(expression, variables) {
            Ok(Cel::Bool(true)) => {}
            Ok(_) => {
                let message = self.message(rule, place, variables);
                if let Some(message) = message {
                    self.failed(rule, place, &message);
                }
            }
            Err(Fault::Cost) if self.budget == 0 => self.exhausted(place, EXHAUSTED),
            Err(Fault::Cost) => {
                let detail = format!(
                    "'{}': no further validation rules will be run due to call cost exceeds limit for rule: {told}",
                    Fault::Cost
                );
                self.exhausted(place, &detail);
            }
            Err(Fault::Told(why)) if why.starts_with("no such overload") => {
                let detail = format!(
                    "'{why}': call arguments did not match a supported operator, function or macro signature for \
                     rule: {told}"
                );
                self.fault(place, &detail);
            }
            Err(Fault::Told(why)) => self.fault(place, &format!("{why} evaluating rule: {told}")),
        }
    }

    fn evaluate(&mut self, expression: &Expression, variables: &Variables) -> Outcome {
        let mut meter = Meter::new(PER_CALL.min(self.budget));
        let outcome = expression.evaluate(&Names(variables), &mut meter);
        self.budget = self.budget.saturating_sub(meter.spent());
        outcome
    }

    /// What is said of a rule that does not hold; nothing if finding it out costs too much.
    fn message(&mut self, rule: &Rule, place: &Place<'_>, variables: &Variables) -> Option<String> {
        let Some(expression) = &rule.message else { return Some(rule.fallback.clone()) };
        match self.evaluate(expression, variables) {
            Ok(Cel::String(text)) => Some(match text.trim() {
                "" => rule.fallback.clone(),
                text if text.len() > MESSAGE_LIMIT || text.contains('\n') => rule.fallback.clone(),
                text => text.to_owned(),
            }),
            Err(Fault::Cost) => {
                let why = "messageExpression evaluation failed due to running out of cost budget, no further \
                           validation rules will be run";
                self.exhausted(place, why);
                None
            }
            _ => Some(rule.fallback.clone()),
        }
    }

    fn failed(&mut self, rule: &Rule, place: &Place<'_>, message: &str) {
        let base = place.at.to_string();
        let below = rule.field_path.join(".");
        let field = match (base.is_empty(), below.is_empty()) {
            (_, true) => base,
            (true, false) => below,
            (false, false) => format!("{base}.{below}"),
        };
        let field = if field.is_empty() { "<nil>".to_owned() } else { field };
        // What is large is not repeated.
        let large = matches!(place.schema.ty.as_str(), "object" | "array");
        self.errors.push(match rule.reason.as_str() {
            "FieldValueForbidden" => FieldError::forbidden(field, message),
            "FieldValueRequired" => FieldError::required(field, message),
            "FieldValueDuplicate" if large => {
                FieldError { reason: Reason::Duplicate, field, message: "Duplicate value".into() }
            }
            "FieldValueDuplicate" => FieldError::duplicate(field, place.new),
            _ if large => FieldError::unfit(field, message),
            _ => FieldError::invalid(field, place.new, message),
        });
    }

    /// The rule itself is at fault.
    fn fault(&mut self, place: &Place<'_>, detail: &str) {
        let message = format!("Invalid value: {:?}: {detail}", place.shown());
        let field = match place.at.to_string() {
            empty if empty.is_empty() => "<nil>".into(),
            field => field,
        };
        self.errors.push(FieldError { reason: Reason::Invalid, field, message });
    }

    fn exhausted(&mut self, place: &Place<'_>, detail: &str) {
        self.over = true;
        self.fault(place, detail);
    }
}

/// Where a rule is asked.
struct Place<'a> {
    schema: &'a Structural,
    new: &'a Value,
    at: &'a Path<'a>,
}

impl Place<'_> {
    /// The value as messages show it: its type.
    fn shown(&self) -> &str {
        match self.schema.ty.as_str() {
            "" if self.schema.int_or_string => "",
            ty => ty,
        }
    }
}
