//! What all that evaluates expressions in CEL has in common.
//!
//! Parser and interpreter are those of `kube-cel`. Neither knows a bound: whoever
//! uses them bounds the text, its depth and its cost.

pub mod macros;
pub mod stack;
pub mod words;
