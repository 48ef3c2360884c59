//! Queries that were parsed lately: dashboards and scripts ask the same again and again, and for a
//! short answer parsing takes longest, most of it for regular expressions.
//!
//! What is kept is little: so many queries of so many bytes, none with a regular expression whose
//! automaton may be large.

use std::{collections::HashMap, sync::Arc};

use promql_parser::{
    label::MatchOp,
    parser::{Expr, VectorSelector},
};

use super::walk::selectors;

/// Queries of one generation.
const MOST: usize = 64;
/// Bytes of a query.
const LONGEST: usize = 512;

/// By their text, in two generations: when the younger is full the older goes, but for what was
/// asked for meanwhile.
#[derive(Default)]
pub struct Known {
    young: HashMap<Box<str>, Arc<Expr>>,
    old: HashMap<Box<str>, Arc<Expr>>,
}

impl Known {
    pub fn get(&mut self, query: &str) -> Option<Arc<Expr>> {
        if let Some(expr) = self.young.get(query) {
            return Some(expr.clone());
        }
        let (query, expr) = self.old.remove_entry(query)?;
        self.insert(query, expr.clone());
        Some(expr)
    }

    /// Keeps it unless it is large.
    pub fn keep(&mut self, query: &str, expr: &Arc<Expr>) {
        if query.len() <= LONGEST && selectors(expr).into_iter().all(is_small) {
            self.insert(query.into(), expr.clone());
        }
    }

    fn insert(&mut self, query: Box<str>, expr: Arc<Expr>) {
        if self.young.len() >= MOST {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(query, expr);
    }
}

/// Repetitions by number and classes of characters make much of a short text.
fn is_small(selector: &VectorSelector) -> bool {
    let all = selector.matchers.matchers.iter().chain(selector.matchers.or_matchers.iter().flatten());
    let patterns = all.filter(|matcher| matches!(matcher.op, MatchOp::Re(_) | MatchOp::NotRe(_)));
    patterns.into_iter().all(|matcher| !matcher.value.contains(['{', '\\']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(known: &mut Known, query: &str) {
        known.keep(query, &Arc::new(promql_parser::parser::parse(query).expect("valid")));
    }

    #[test]
    fn what_is_asked_for_stays_and_the_rest_goes() {
        let mut known = Known::default();
        keep(&mut known, "often");
        for number in 0..10 * MOST {
            keep(&mut known, &format!("m{number}"));
            assert_eq!(known.get("often").map(|expr| expr.to_string()), Some("often".to_owned()));
        }
        assert!(known.get("m0").is_none() && known.get(&format!("m{}", 10 * MOST - 1)).is_some());
        assert!(known.young.len() + known.old.len() <= 2 * MOST);
    }

    #[test]
    fn what_takes_much_memory_is_not_kept() {
        let mut known = Known::default();
        let long = format!("up{{job=\"{}\"}}", "a".repeat(LONGEST));
        for large in [r#"up{job=~"a{1000}"}"#, r#"rate(up{job!~"\\w+"}[5m])"#, &long] {
            keep(&mut known, large);
            assert!(known.get(large).is_none(), "{large}");
        }
        for small in [r#"up{job=~"a.*|b"}"#, r#"up{job="a{1000}"}"#] {
            keep(&mut known, small);
            assert!(known.get(small).is_some(), "{small}");
        }
    }
}
