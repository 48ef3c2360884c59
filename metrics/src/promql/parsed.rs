//! Queries that were parsed lately: dashboards and scripts ask the same again and again, and for a
//! short answer parsing takes longest, most of it for regular expressions.
//!
//! What is kept is little: so many queries of so many bytes, none with a regular expression whose
//! automaton may be large.

use std::{num::NonZero, sync::Arc};

use lru::LruCache;
use promql_parser::{
    label::MatchOp,
    parser::{Expr, VectorSelector},
};

use super::walk::selectors;

/// Queries that are kept.
const MOST: NonZero<usize> = NonZero::new(128).expect("not zero");
/// Bytes of a query.
const LONGEST: usize = 512;

/// By their text; the one that was not asked for longest goes first.
pub struct Parsed(LruCache<Box<str>, Arc<Expr>>);

impl Default for Parsed {
    fn default() -> Self {
        Self(LruCache::new(MOST))
    }
}

impl Parsed {
    pub fn get(&mut self, query: &str) -> Option<Arc<Expr>> {
        self.0.get(query).cloned()
    }

    /// Keeps it unless it is large.
    pub fn keep(&mut self, query: &str, expr: &Arc<Expr>) {
        if query.len() <= LONGEST && selectors(expr).into_iter().all(is_small) {
            self.0.put(query.into(), expr.clone());
        }
    }
}

/// Repetitions by number and classes of characters make much of a short text.
fn is_small(selector: &VectorSelector) -> bool {
    let mut all = selector.matchers.matchers.iter().chain(selector.matchers.or_matchers.iter().flatten());
    all.all(|matcher| match matcher.op {
        MatchOp::Re(_) | MatchOp::NotRe(_) => !matcher.value.contains(['{', '\\']),
        MatchOp::Equal | MatchOp::NotEqual => true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(parsed: &mut Parsed, query: &str) {
        parsed.keep(query, &Arc::new(promql_parser::parser::parse(query).expect("valid")));
    }

    #[test]
    fn what_is_asked_for_stays_and_the_rest_goes() {
        let mut parsed = Parsed::default();
        keep(&mut parsed, "often");
        for number in 0..10 * MOST.get() {
            keep(&mut parsed, &format!("m{number}"));
            assert_eq!(parsed.get("often").map(|expr| expr.to_string()), Some("often".to_owned()));
        }
        assert!(parsed.get("m0").is_none() && parsed.0.len() == MOST.get());
    }

    #[test]
    fn what_takes_much_memory_is_not_kept() {
        let mut parsed = Parsed::default();
        let long = format!("up{{job=\"{}\"}}", "a".repeat(LONGEST));
        for large in [r#"up{job=~"a{1000}"}"#, r#"rate(up{job!~"\\w+"}[5m])"#, &long] {
            keep(&mut parsed, large);
            assert!(parsed.get(large).is_none(), "{large}");
        }
        for small in [r#"up{job=~"a.*|b"}"#, r#"up{job="a{1000}"}"#] {
            keep(&mut parsed, small);
            assert!(parsed.get(small).is_some(), "{small}");
        }
    }
}
