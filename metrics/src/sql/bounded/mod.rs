//! Functions that make more than they get, with a bound on what they make.
//!
//! The engine's pool of memory knows what is sorted, grouped and joined, not what a function makes of a
//! batch: `range(0, 2000000000)` is 16 GB, and it is made while the statement is planned. So each
//! function of [`LIST`] tells beforehand how much it makes at most, takes that of its statement's
//! memory, and is refused beyond [`function::MOST`] of a batch.
//!
//! ```text
//! a name in a statement ──────────────────────> the session's functions ─┐
//! [a, b], a || b, as the planner has them ────> rewrite ─────────────────┴─> Bounded ─> the engine's
//! ```
//!
//! What is not in the list makes no more than it gets, or no more than a few times as much however
//! often it is applied to what it made: upper, lower and initcap (a letter becomes three at most, and
//! those no more), translate (a character for a character), substr, left, right, split_part, btrim,
//! reverse and array_slice (a part), flatten, array_sort, array_distinct, array_remove, array_intersect,
//! array_except, map_keys, map_values and get_field (what is there), coalesce, nullif, greatest and
//! least (one of what they get), to_hex, chr, md5, sha512, uuid and whatever gives numbers and times (of
//! fixed size). What aggregates gather is counted by the engine; where each row of a window would have
//! all that was gathered before it, [`rewrite`] refuses it. Functions of lambdas can't be written in the
//! dialect that statements are in. What `unnest`, joins and windows make of what they get is counted by
//! [`multiplied`].

mod account;
mod arg;
mod function;
mod joined;
mod kept;
mod lists;
mod multiplied;
mod partitions;
mod repeats;
mod rewrite;
mod series;
mod sizes;
mod text;
mod windows;

use std::sync::Arc;

use datafusion::{
    common::Result,
    execution::{FunctionRegistry, memory_pool::MemoryPool},
    logical_expr::{ScalarUDF, expr::ScalarFunction},
    prelude::SessionContext,
};

pub use multiplied::gates;
pub use sizes::Sizes;

use super::constants::Constants;
use function::Bounded;
use text::Most;

/// By name: the bytes that a call makes of some rows, at most.
static LIST: &[(&str, Most)] = &[
    ("array_append", text::together),
    ("array_concat", text::together),
    ("array_prepend", text::together),
    ("array_repeat", lists::repeated),
    ("array_replace", lists::replaced),
    ("array_replace_all", lists::replaced),
    ("array_replace_n", lists::replaced),
    ("array_resize", lists::resized),
    ("array_to_string", lists::written),
    ("array_union", text::together),
    ("arrays_zip", lists::zipped),
    // They have no bytes of their own, and a type that may be of any width.
    ("arrow_cast", text::together),
    ("arrow_try_cast", text::together),
    ("concat", text::together),
    ("concat_ws", text::with_separator),
    ("encode", text::twice),
    ("generate_series", series::listed),
    ("lpad", text::padded),
    ("make_array", text::together),
    ("map", text::together),
    ("named_struct", text::together),
    ("overlay", text::twice),
    ("quote_ident", text::twice),
    ("range", series::listed),
    ("regexp_count", text::found),
    ("regexp_instr", text::found),
    ("regexp_like", text::found),
    ("regexp_match", text::matched),
    ("regexp_replace", text::pattern_replaced),
    ("repeat", text::repeated),
    ("replace", text::replaced),
    ("rpad", text::padded),
    ("string_to_array", text::split),
    ("struct", text::together),
    ("to_char", text::written),
];

/// What functions take of: the memory of their session, and what its constants may take.
#[derive(Debug, Clone)]
pub struct Room {
    pool: Arc<dyn MemoryPool>,
    constants: Arc<Constants>,
}

impl Room {
    fn of(session: &SessionContext) -> Self {
        let constants = session.state_ref().read().config().get_extension().unwrap_or_default();
        Self { pool: session.runtime_env().memory_pool.clone(), constants }
    }

    /// The function with its bound; absent: it needs none, or has it.
    fn wrapped(&self, function: &ScalarUDF) -> Option<Arc<ScalarUDF>> {
        if function.inner().is::<Bounded>() {
            return None;
        }
        let (_, most) = LIST.iter().find(|(name, _)| *name == function.name())?;
        let bounded = Bounded::new(function.inner().clone(), *most, self.clone());
        Some(Arc::new(ScalarUDF::new_from_impl(bounded)))
    }

    /// The call, of the function with its bound.
    fn bounded(&self, call: ScalarFunction) -> ScalarFunction {
        match self.wrapped(&call.func) {
            Some(func) => ScalarFunction { func, args: call.args },
            None => call,
        }
    }
}

/// Gives the functions of a session their bounds, also those that the planner makes of operators.
///
/// # Errors
/// None in practice: the session takes any name.
pub fn register(session: &SessionContext) -> Result<()> {
    wrap(session)?;
    let rewrite = Arc::new(rewrite::Rewrite::new(Room::of(session)));
    session.state_ref().write().register_function_rewrite(rewrite)
}

/// Gives those their bounds that were added since.
///
/// # Errors
/// As above.
pub fn wrap(session: &SessionContext) -> Result<()> {
    let room = Room::of(session);
    let state = session.state_ref();
    let mut state = state.write();
    let known = LIST.iter().filter_map(|(name, _)| state.scalar_functions().get(*name));
    let wrapped: Vec<Arc<ScalarUDF>> = known.filter_map(|function| room.wrapped(function)).collect();
    wrapped.into_iter().try_for_each(|function| state.register_udf(function).map(drop))
}

#[cfg(test)]
mod tests;
