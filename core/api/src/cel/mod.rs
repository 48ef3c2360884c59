//! The Common Expression Language, as Kubernetes' rules, policies and conditions speak it.
//!
//! ```text
//! text ── parse (macros expanded) ──> Expression          once
//! Expression + World (what its names stand for) + Meter ── evaluate ──> value, or Fault
//! ```
//!
//! The parser is that of the crate `cel`, as are the values. The interpreter is our own: theirs copies
//! what it reads and knows no bound, so that an expression of a line could take a server for hours.
//! What an evaluation may cost is counted while it is made ([`meter`]); who writes a rule is told
//! before what it can cost at worst (`custom/cel/estimate.rs`).

pub mod evaluate;
pub mod fault;
pub mod library;
pub mod macros;
pub mod meter;
pub mod operators;
pub mod parse;
pub mod signatures;
pub mod stack;
pub mod tree;
pub mod words;
