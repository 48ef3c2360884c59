//! The functions there are, by name: those that Kubernetes 1.37 gives to its expressions.
//!
//! A file a library; a function charges what it reads and makes before it does so.

mod addresses;
mod conversions;
mod format;
mod formats;
mod lists;
mod operators;
mod optionals;
pub mod patterns;
mod quantities;
#[cfg(test)]
mod tests;
mod texts;
pub mod times;
mod urls;
mod versions;

use std::{collections::HashMap, sync::LazyLock};

use kube_cel::cel::{
    Value,
    common::ast::{CallExpr, Expr},
    objects::Opaque,
};

use super::{evaluate::Outcome, fault::Fault, meter::Meter};

pub use conversions::type_named;

/// Called with the target, if there is one, before the arguments.
pub type Function = fn(&[Value], &mut Meter) -> Outcome;
type Table = &'static [(&'static str, Function)];

/// Words before a dot that are part of a function's name: `sets.contains`.
const LIBRARIES: &[&str] = &["format", "ip", "jsonpatch", "lists", "optional", "sets", "strings"];

const ALL: &[Table] = &[
    addresses::FUNCTIONS,
    conversions::FUNCTIONS,
    formats::FUNCTIONS,
    lists::FUNCTIONS,
    operators::FUNCTIONS,
    optionals::FUNCTIONS,
    patterns::FUNCTIONS,
    quantities::FUNCTIONS,
    texts::FUNCTIONS,
    times::FUNCTIONS,
    urls::FUNCTIONS,
    versions::FUNCTIONS,
];

pub fn find(name: &str) -> Option<Function> {
    static BY_NAME: LazyLock<HashMap<&str, Function>> =
        LazyLock::new(|| ALL.iter().flat_map(|table| table.iter().copied()).collect());
    BY_NAME.get(name).copied()
}

#[cfg(test)]
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().flat_map(|table| table.iter().map(|(name, _)| *name))
}

/// The function's whole name, if what stands before the dot is part of it.
pub fn qualified(call: &CallExpr, is_bound: impl Fn(&str) -> bool) -> Option<String> {
    match &call.target.as_deref()?.expr {
        Expr::Ident(word) if LIBRARIES.contains(&word.as_str()) && !is_bound(word) => {
            Some(format!("{word}.{}", call.func_name))
        }
        _ => None,
    }
}

/// A value of a type of Kubernetes' own.
fn opaque<T: Opaque>(value: &Value) -> Result<&T, Fault> {
    match value {
        Value::Opaque(opaque) => <dyn Opaque>::downcast_ref(&**opaque),
        _ => None,
    }
    .ok_or_else(Fault::overload)
}
