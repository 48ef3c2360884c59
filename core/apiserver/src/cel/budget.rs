//! A bound on the work that the expressions of one request may do.
//!
//! What can make an expression expensive are loops, and texts and lists that grow by their own length:
//! `rewrite` puts a [`TICK`] into the condition of each loop and an [`ADD`] for each `+`, and this
//! counts. The count is the thread's, as functions of the interpreter have no state, and
//! evaluation does not leave its thread.

use std::cell::Cell;

use kube_cel::cel::{Context, ExecutionError, ResolveResult, Value, extractors::This};

/// The function that a loop calls before each turn.
pub const TICK: &str = "@tick";

/// `+`, with a bound on what comes out.
pub const ADD: &str = "@add";

/// So much of a text costs as much as a turn.
const BYTES: usize = 64;

/// Turns of loops for the expressions of one request.
pub const TURNS: u64 = 1_000_000;

thread_local! {
    static LEFT: Cell<u64> = const { Cell::new(0) };
}

pub fn register(context: &mut Context<'_>) {
    context.add_function(TICK, tick);
    context.add_function(ADD, add);
}

fn tick() -> ResolveResult {
    spend(1)?;
    Ok(Value::Bool(true))
}

fn add(This(left): This<Value>, right: Value) -> ResolveResult {
    let size = |value: &Value| match value {
        Value::String(text) => text.len() / BYTES,
        Value::Bytes(bytes) => bytes.len() / BYTES,
        Value::List(items) => items.len(),
        _ => 0,
    };
    spend((size(&left) + size(&right)) as u64)?;
    left + right
}

fn spend(turns: u64) -> Result<(), ExecutionError> {
    LEFT.with(|left| match left.get().checked_sub(turns) {
        Some(rest) => {
            left.set(rest);
            Ok(())
        }
        None => Err(ExecutionError::function_error("budget", "call cost exceeds limit")),
    })
}

/// Runs `work` with so many turns, and says how many are left.
pub fn within<T>(turns: u64, work: impl FnOnce() -> T) -> (T, u64) {
    let before = LEFT.with(|left| left.replace(turns));
    let result = work();
    (result, LEFT.with(|left| left.replace(before)))
}
