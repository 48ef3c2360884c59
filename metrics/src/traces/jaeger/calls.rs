//! Which services call which: spans whose parent is another service's, counted. Pure.
//!
//! A parent may come before its child or behind it, so what is known of each span is kept until the
//! end: a number of its ids and one of its service, and no more.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{DefaultHasher, Hash, Hasher},
};

use crate::traces::Span;

/// What was seen so far.
#[derive(Default)]
pub struct Calls {
    services: Vec<String>,
    numbers: HashMap<String, u32>,
    /// The service of each span.
    of: HashMap<u64, u32>,
    /// The parents of spans, with these' services.
    calls: Vec<(u64, u32)>,
}

impl Calls {
    pub fn add(&mut self, span: &Span) {
        let service = match self.numbers.get(&span.service) {
            Some(number) => *number,
            None => {
                let number = u32::try_from(self.services.len()).unwrap_or(u32::MAX);
                self.services.push(span.service.clone());
                self.numbers.insert(span.service.clone(), number);
                number
            }
        };
        self.of.insert(key(&span.trace_id, &span.span_id), service);
        if !span.parent_span_id.is_empty() {
            self.calls.push((key(&span.trace_id, &span.parent_span_id), service));
        }
    }

    /// How many spans were seen.
    pub fn spans(&self) -> usize {
        self.of.len()
    }

    /// How often a service called another.
    pub fn links(&self) -> BTreeMap<(&str, &str), u64> {
        let mut links = BTreeMap::new();
        for (parent, service) in &self.calls {
            if let Some(caller) = self.of.get(parent).filter(|caller| *caller != service) {
                *links.entry((self.name(*caller), self.name(*service))).or_default() += 1;
            }
        }
        links
    }

    fn name(&self, service: u32) -> &str {
        self.services.get(service as usize).map_or("", String::as_str)
    }
}

/// Stands for a span: of two there is no telling apart once in many millions of millions.
fn key(trace: &str, span: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (trace, span).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_between_services_of_one_trace() {
        let span = |trace: &str, id: &str, parent: &str, service: &str| Span {
            trace_id: trace.into(),
            span_id: id.into(),
            parent_span_id: parent.into(),
            service: service.into(),
            ..Span::default()
        };
        let mut calls = Calls::default();
        for one in [
            // The child comes first.
            span("t1", "2", "1", "cart"),
            span("t1", "1", "", "web"),
            // Within a service.
            span("t1", "3", "2", "cart"),
            span("t1", "4", "3", "store"),
            span("t2", "2", "1", "cart"),
            span("t2", "1", "", "web"),
            // Its parent is not there, or is of another trace.
            span("t3", "9", "8", "cart"),
            span("t3", "2", "4", "web"),
        ] {
            calls.add(&one);
        }
        let expected = BTreeMap::from([(("cart", "store"), 1), (("web", "cart"), 2)]);
        assert_eq!((calls.links(), calls.spans()), (expected, 8));
    }
}
