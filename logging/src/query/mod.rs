//! The query language, as people know it from Lucene and Kibana, with
//! Kubernetes' names.
//!
//! ```text
//! error timeout                 both words (AND is implied), case ignored for ASCII letters
//! "connection reset"            the phrase
//! time* *reset con?ection       * is any run without white space, ? one character
//! /time(d )?out/                a regular expression on the body, case counts
//! pod:web-*  ns:shop  node:n1   also container, app, uid, stream (stdout, stderr)
//! level:error  level:>=warn
//! time:>=2026-01-31T12:00:00Z  time:[now-1h TO now-5m]
//! status:500  status:>=500  status:[400 TO 499]  http.path:/^\/api/  user:*
//!                               a label of the Pod, or a field of the body: see [`fields`]
//! status:=500  user:="a b"      equal: a number however it is written, a text to the letter
//! @body.pod:web                 the field of the body, where a record or its Pod has the name too
//! @label.tier:front             the label of the Pod, whatever the body has
//! a AND (b OR NOT c)   -a       brackets; `-` and `!` are NOT
//! field:(a OR b)                the field holds for all of the bracket: status:(>=400 AND <500)
//! ```
//!
//! A word ends where a letter, digit or `_` meets something else: `error` finds
//! `error:` but not `errors`. `\` takes the next character's meaning away.
//!
//! [`parse`] gives an [`Expr`]; its `Display` parses to the same [`Expr`] again.
//! [`compile`](compile::Compiled::new) makes the form that search works with.

mod along;
mod ast;
mod body;
pub mod compile;
mod display;
pub mod fields;
mod glob;
mod hits;
mod lex;
pub mod lines;
pub mod number;
mod parse;
pub mod plain;
pub mod required;
mod seen;
pub mod text;
mod times;
pub mod weight;

pub use ast::{Expr, Glob, Op, Part, Text, Value};
pub use body::{OfBody, parse_of_body};
pub use hits::Hits;
pub use parse::{QueryError, parse};
pub use times::{Within, is_time};

#[cfg(test)]
mod tests;
