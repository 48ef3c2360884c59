//! LogQL, as far as exploring needs it, by a parser of its own. Pure.
//!
//! ```text
//! {app="web", namespace=~"sh.*"} |= "error" | json | status >= 500 | line_format "{{.path}}"
//! sum by (namespace) (rate({app="web"} | logfmt | took > 1s [5m])) / 60
//! ```
//!
//! [`parse`] gives a [`Query`]; its `Display` parses to the same [`Query`] again. What
//! isn't understood (`ip()`, `|>`, functions in formats, `group_left`,
//! `label_replace`) is refused by its name, at its place.

pub mod ast;
mod display;
mod format;
mod parse;
mod scan;
mod stages;

pub use ast::{LogQuery, Query};
pub use parse::{parse, parse_selector};
pub use scan::ParseError;
pub use stages::regex;

#[cfg(test)]
mod tests;
