//! Room on the stack for deep expressions.
//!
//! Parser and interpreter call themselves for each level, and a stack that overflows would take the
//! whole server with it. How deep an expression can be is known before: what needs more
//! than its thread has left gets a stack of its own.

use kube_cel::cel::IdedExpr;

use super::tree::children;

/// The parser goes down some sixteen rules for a bracket. Generous, and more so for a build
/// without optimization; only what is used is taken from the machine.
const LEVEL: usize = if cfg!(debug_assertions) { 512 * 1024 } else { 64 * 1024 };
/// Calls that are there without any level.
const BASE: usize = 8;
/// What a new stack has beyond what is needed: room for evaluations within this one.
const MORE: usize = 16 * 1024 * 1024;

/// More than this of a text's [`most_levels`] is refused before it is parsed.
pub const MOST_LEVELS: usize = 1024;

/// Runs `work`, which goes down so many levels of an expression, with room enough.
pub fn with_room<T>(levels: usize, work: impl FnOnce() -> T) -> T {
    let needed = (levels + BASE) * LEVEL;
    stacker::maybe_grow(needed, needed + MORE, work)
}

/// More levels than this the text can't have: each takes a sign or `in`.
pub fn most_levels(source: &str) -> usize {
    const SIGNS: &[u8] = b".[({+-*/%?:&|<>=!,";
    source.bytes().filter(|byte| SIGNS.contains(byte)).count() + source.matches("in").count()
}

/// How deep an expression is nested.
pub fn levels(expression: &IdedExpr) -> usize {
    1 + children(expression).into_iter().map(levels).max().unwrap_or(0)
}
