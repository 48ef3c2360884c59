//! What an expression is evaluated in: the request's values, a policy's variables, and what is left
//! of the budget.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use kube_cel::{
    KubeCelExt,
    cel::{Context, Value},
};

use tiphys_api::cel::{macros, stack::with_room};

use super::{CelError, Expression, authorizer, budget, guarded, rewrite::VARIABLE};

/// A policy's variables, in the order in which they may use each other.
pub type Variables = [(String, Expression)];

/// Values for the expressions of one request.
pub struct Scope<'a> {
    values: Vec<(&'static str, Value)>,
    variables: &'a Variables,
    /// What became of the variables that were needed.
    known: RefCell<BTreeMap<String, Result<Value, CelError>>>,
    turns: Cell<u64>,
}

/// Works with a context that has all functions and no value.
pub fn with_library<T>(work: impl FnOnce(&Context<'static>) -> T) -> T {
    // There are hundreds of functions: once a thread is often enough.
    thread_local!(static LIBRARY: Context<'static> = library());
    LIBRARY.with(work)
}

fn library() -> Context<'static> {
    let mut context = Context::default();
    context.register_all();
    budget::register(&mut context);
    macros::register(&mut context);
    authorizer::register(&mut context);
    context
}

impl<'a> Scope<'a> {
    pub fn new(values: Vec<(&'static str, Value)>, variables: &'a Variables) -> Self {
        Self { values, variables, known: RefCell::default(), turns: Cell::new(budget::TURNS) }
    }

    /// The same with one more value; variables that use it are evaluated anew.
    pub fn with(&self, name: &'static str, value: Value) -> Self {
        let mut values: Vec<_> = self.values.iter().filter(|(other, _)| *other != name).cloned().collect();
        values.push((name, value));
        Self { turns: self.turns.clone(), ..Self::new(values, self.variables) }
    }

    pub(super) fn evaluate(&self, expression: &Expression) -> Result<Value, CelError> {
        let (result, left) = budget::within(self.turns.get(), || guarded(|| self.resolve(expression)));
        self.turns.set(left);
        result.unwrap_or_else(|panic| Err(CelError::Execution(panic)))
    }

    fn resolve(&self, expression: &Expression) -> Result<Value, CelError> {
        for (name, expression) in self.needed(expression) {
            let value = self.alone(expression);
            self.known.borrow_mut().insert(name.clone(), value);
        }
        self.alone(expression)
    }

    /// The variables that the expression needs and nobody needed before, in their order: one that
    /// is used by another one comes first.
    fn needed(&self, expression: &Expression) -> Vec<&'a (String, Expression)> {
        let mut names: BTreeSet<String> = expression.variables.iter().cloned().collect();
        let mut needed = Vec::new();
        for variable in self.variables.iter().rev() {
            if names.contains(&variable.0) && !self.known.borrow().contains_key(&variable.0) {
                names.extend(variable.1.variables.iter().cloned());
                needed.push(variable);
            }
        }
        needed.reverse();
        needed
    }

    /// With the variables that are known. One that failed is missing, and the failure told if it is missed.
    fn alone(&self, expression: &Expression) -> Result<Value, CelError> {
        with_library(|library| {
            let mut context = library.new_inner_scope();
            for (name, value) in &self.values {
                context.add_variable_from_value(*name, value.clone());
            }
            let known = self.known.borrow();
            for name in &expression.variables {
                if let Some(Ok(value)) = known.get(name) {
                    context.add_variable_from_value(format!("{VARIABLE}{name}"), value.clone());
                }
            }
            let result = with_room(expression.levels, || context.resolve(&expression.root));
            result.map_err(|error| self.told(expression, &error.to_string()))
        })
    }

    /// The interpreter's words; for a variable that has no value, why it has none.
    fn told(&self, expression: &Expression, error: &str) -> CelError {
        let known = self.known.borrow();
        let failed = expression.variables.iter().find_map(|name| {
            let mentioned = error.contains(&format!("'{VARIABLE}{name}'"));
            match known.get(name) {
                Some(Err(why)) if mentioned => {
                    Some(format!("composited variable {name:?} fails to evaluate: {why}"))
                }
                _ => None,
            }
        });
        CelError::Execution(failed.unwrap_or_else(|| words(error)))
    }
}

/// As Kubernetes words it.
fn words(error: &str) -> String {
    match error.strip_prefix("No such key: ") {
        Some(key) => format!("no such key: {key}"),
        None if error == "No such overload" => "no such overload".into(),
        None => error.to_owned(),
    }
}
