//! Room on the stack for deep expressions.
//!
//! Parser and interpreter call themselves for each level, and a stack that overflows would take the
//! whole server with it. How deep an expression can be is known before: what needs more
//! than its thread has left gets a stack of its own.

use kube_cel::cel::{
    IdedExpr,
    common::ast::{EntryExpr, Expr},
};

/// The parser goes down some sixteen rules for a bracket. Generous, and more so for a build
/// without optimization; only what is used is taken from the machine.
const LEVEL: usize = if cfg!(debug_assertions) { 512 * 1024 } else { 64 * 1024 };
/// Calls that are there without any level.
const BASE: usize = 8;

/// More than this of a text's [`most_levels`] is refused before it is parsed.
pub const MOST_LEVELS: usize = 1024;

/// Runs `work`, which goes down so many levels of an expression, with room enough.
pub fn with_room<T>(levels: usize, work: impl FnOnce() -> T) -> T {
    let needed = (levels + BASE) * LEVEL;
    stacker::maybe_grow(needed, needed, work)
}

/// More levels than this the text can't have: each takes a sign or `in`.
pub fn most_levels(source: &str) -> usize {
    const SIGNS: &[u8] = b".[({+-*/%?:&|<>=!,";
    source.bytes().filter(|byte| SIGNS.contains(byte)).count() + source.matches("in").count()
}

/// How deep an expression is nested.
pub fn levels(expression: &IdedExpr) -> usize {
    1 + children(&expression.expr).into_iter().map(levels).max().unwrap_or(0)
}

fn children(expression: &Expr) -> Vec<&IdedExpr> {
    match expression {
        Expr::Select(select) => vec![&select.operand],
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Map(map) => map.entries.iter().flat_map(|entry| of_entry(&entry.expr)).collect(),
        Expr::Struct(object) => object.entries.iter().flat_map(|entry| of_entry(&entry.expr)).collect(),
        Expr::Comprehension(loop_) => {
            let outer = [&loop_.iter_range, &loop_.accu_init];
            outer.into_iter().chain([&loop_.loop_cond, &loop_.loop_step, &loop_.result]).collect()
        }
        Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => Vec::new(),
    }
}

fn of_entry(entry: &EntryExpr) -> Vec<&IdedExpr> {
    match entry {
        EntryExpr::MapEntry(pair) => vec![&pair.key, &pair.value],
        EntryExpr::StructField(field) => vec![&field.value],
    }
}
