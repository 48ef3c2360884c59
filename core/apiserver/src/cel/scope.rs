//! What an expression is evaluated in: the request's values, a policy's variables, and what is left
//! of the budget.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
};

use kube_cel::cel::Value;
use tiphys_api::cel::{
    evaluate::{Outcome, World},
    fault::Fault,
    library::Function,
    meter::{Meter, PER_CALL, PER_OBJECT},
};

use super::{CelError, Expression, authorizer, rewrite::VARIABLE};

/// A policy's variables, in the order in which they may use each other.
pub type Variables = [(String, Expression)];

/// Values for the expressions of one request.
pub struct Scope<'a> {
    values: Vec<(&'static str, Value)>,
    variables: &'a Variables,
    /// What became of the variables that were needed.
    known: RefCell<BTreeMap<String, Outcome>>,
    left: Cell<u64>,
}

impl<'a> Scope<'a> {
    pub fn new(values: Vec<(&'static str, Value)>, variables: &'a Variables) -> Self {
        Self { values, variables, known: RefCell::default(), left: Cell::new(PER_OBJECT) }
    }

    /// The same with one more value; variables that use it are evaluated anew.
    pub fn with(&self, name: &'static str, value: Value) -> Self {
        let mut values: Vec<_> = self.values.iter().filter(|(other, _)| *other != name).cloned().collect();
        values.push((name, value));
        Self { left: self.left.clone(), ..Self::new(values, self.variables) }
    }

    /// The same values with a budget of its own.
    pub fn within(&self, budget: u64) -> Self {
        Self { left: Cell::new(budget), ..Self::new(self.values.clone(), self.variables) }
    }

    pub(super) fn evaluate(&self, expression: &Expression) -> Result<Value, CelError> {
        let mut meter = Meter::new(PER_CALL.min(self.left.get()));
        // Who reads the value goes through all of it; one whose parts are shared is larger than it cost.
        let outcome = expression.parsed.evaluate(self, &mut meter);
        let outcome = outcome.and_then(|value| meter.whole(&value).map(|()| value));
        self.left.set(self.left.get().saturating_sub(meter.spent()));
        outcome.map_err(|fault| {
            match fault {
            Fault::Cost if self.left.get() == 0 => CelError::Execution(
                "validation failed due to running out of cost budget, no further validation rules will be run"
                    .into(),
            ),
            fault => CelError::Execution(fault.to_string()),
        }
        })
    }

    fn variable(&self, name: &str, meter: &mut Meter) -> Option<Outcome> {
        if let Some(known) = self.known.borrow().get(name) {
            return Some(known.clone());
        }
        let (_, expression) = self.variables.iter().find(|(other, _)| other == name)?;
        let outcome = expression.parsed.evaluate(self, meter).map_err(|fault| match fault {
            Fault::Told(why) => Fault::told(format!("composited variable {name:?} fails to evaluate: {why}")),
            Fault::Cost => Fault::Cost,
        });
        self.known.borrow_mut().insert(name.to_owned(), outcome.clone());
        Some(outcome)
    }
}

impl World for Scope<'_> {
    fn value(&self, name: &str, meter: &mut Meter) -> Option<Outcome> {
        match name.strip_prefix(VARIABLE) {
            Some(variable) => self.variable(variable, meter),
            None => self.values.iter().find(|(known, _)| *known == name).map(|(_, value)| Ok(value.clone())),
        }
    }

    fn function(&self, name: &str) -> Option<Function> {
        authorizer::find(name)
    }
}
