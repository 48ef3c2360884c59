//! What is said of metrics: kind, help and unit, by the namespace of who says it.
//!
//! A namespace's word stands beside those of others and never for them: nobody changes what a metric of
//! somebody else is. What Tiphys says of its own stands for good. Words of others stay as far as the limits
//! go, and until the namespace has had no series of the metric for as long as series are kept. Pure: whether
//! there are series says who asks.

use std::collections::{BTreeMap, HashSet};

use super::{
    limits::Limits,
    meta::{Meta, parts_of},
};

/// What a word takes beside its texts, about.
const EACH: usize = 128;

/// What somebody says of a metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// Whose series it is said of; empty: those of the whole cluster.
    pub namespace: String,
    pub metric: String,
    pub meta: Meta,
}

/// All that is said.
#[derive(Debug, Default)]
pub struct Descriptions {
    own: BTreeMap<String, Meta>,
    said: BTreeMap<String, Said>,
}

/// Of one namespace.
#[derive(Debug, Default)]
struct Said {
    words: BTreeMap<String, Word>,
    bytes: usize,
}

#[derive(Debug)]
struct Word {
    meta: Meta,
    /// When the namespace had series of the metric, as far as is known, milliseconds.
    seen: i64,
}

fn bytes(metric: &str, meta: &Meta) -> usize {
    metric.len() + meta.help.len() + meta.unit.len() + EACH
}

impl Descriptions {
    /// What Tiphys says of a metric.
    pub fn set_own(&mut self, metric: &str, meta: Meta) {
        self.own.insert(metric.to_owned(), meta);
    }

    /// Whether a namespace's last word is this.
    pub fn has(&self, namespace: &str, metric: &str, meta: &Meta) -> bool {
        let word = self.said.get(namespace).and_then(|said| said.words.get(metric));
        word.is_some_and(|word| word.meta == *meta)
    }

    /// The newest word of a namespace. `false`: it has said too much to keep another one.
    pub fn set(&mut self, namespace: &str, metric: &str, meta: Meta, now: i64, limits: &Limits) -> bool {
        let said = self.said.entry(namespace.to_owned()).or_default();
        let before = said.words.get(metric).map(|word| bytes(metric, &word.meta));
        let after = said.bytes - before.unwrap_or_default() + bytes(metric, &meta);
        if after > limits.described_bytes || (before.is_none() && said.words.len() >= limits.described) {
            return false;
        }
        said.bytes = after;
        said.words.insert(metric.to_owned(), Word { meta, seen: now });
        true
    }

    /// Lets go the words about metrics of which there has been nothing since `before`. `there` tells
    /// the names of the series that a namespace has; of an empty one, those of all.
    pub fn forget(&mut self, now: i64, before: i64, there: impl Fn(&str) -> HashSet<String>) {
        for (namespace, said) in &mut self.said {
            let there = there(namespace);
            let mut freed = 0;
            said.words.retain(|metric, word| {
                if parts_of(metric).any(|name| there.contains(&name)) {
                    word.seen = word.seen.max(now);
                }
                let stays = word.seen >= before;
                freed += if stays { 0 } else { bytes(metric, &word.meta) };
                stays
            });
            said.bytes -= freed;
        }
        self.said.retain(|_, said| !said.words.is_empty());
    }

    /// All of it: Tiphys' own words, then those of each namespace.
    pub fn all(&self) -> Vec<Described> {
        let of = |namespace: &str, metric: &str, meta: &Meta| Described {
            namespace: namespace.to_owned(),
            metric: metric.to_owned(),
            meta: meta.clone(),
        };
        let own = self.own.iter().map(|(metric, meta)| of("", metric, meta));
        let said = self.said.iter().flat_map(|(namespace, said)| {
            said.words.iter().map(move |(metric, word)| of(namespace, metric, &word.meta))
        });
        own.chain(said).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(help: &str) -> Meta {
        Meta { help: help.to_owned(), ..Meta::default() }
    }

    fn told(all: &Descriptions) -> Vec<String> {
        let line = |one: Described| format!("{}/{} {}", one.namespace, one.metric, one.meta.help);
        all.all().into_iter().map(line).collect()
    }

    #[test]
    fn each_namespace_has_its_own_word() {
        let (mut all, limits) = (Descriptions::default(), Limits::default());
        all.set_own("up", meta("ours"));
        for (namespace, help) in [("shop", "first"), ("bank", "other"), ("", "cluster"), ("shop", "second")] {
            assert!(!all.has(namespace, "up", &meta(help)));
            assert!(all.set(namespace, "up", meta(help), 0, &limits));
            assert!(all.has(namespace, "up", &meta(help)));
        }
        assert_eq!(told(&all), ["/up ours", "/up cluster", "bank/up other", "shop/up second"]);
    }

    #[test]
    fn abuse_34_words_without_end_are_not_kept() {
        let limits = Limits { described: 3, described_bytes: 1000, ..Limits::default() };
        let mut all = Descriptions::default();
        let said = |all: &mut Descriptions, namespace: &str, help: &str| {
            let set = |n: &i32| all.set(namespace, &format!("m{n}"), meta(help), 0, &limits);
            (0..50).filter(set).count()
        };
        assert_eq!(said(&mut all, "shop", "x"), 3, "so many metrics");
        assert_eq!(said(&mut all, "shop", "another"), 3, "what is known may change");
        assert_eq!(said(&mut all, "bank", &"x".repeat(400)), 1, "so many bytes");
        assert_eq!(said(&mut all, "bank", "x"), 3, "a shorter word makes room");
        assert_eq!(said(&mut all, "shop", &"x".repeat(900)), 0);
        assert_eq!(told(&all).len(), 6);
    }

    #[test]
    fn words_go_when_their_series_have_been_gone_for_long() {
        let (mut all, limits) = (Descriptions::default(), Limits::default());
        all.set_own("ours", meta(""));
        for (namespace, metric) in [("shop", "jobs"), ("shop", "gone"), ("bank", "jobs"), ("", "jobs")] {
            assert!(all.set(namespace, metric, meta("x"), 0, &limits));
        }
        // The parts of a metric are series of it.
        let there = |namespace: &str| match namespace {
            "bank" => HashSet::new(),
            _ => HashSet::from(["jobs_total".to_owned()]),
        };
        all.forget(100, 0, there);
        assert_eq!(told(&all).len(), 5);
        all.forget(100, 50, there);
        assert_eq!(told(&all), ["/ours ", "/jobs x", "shop/jobs x"]);
        // What they took is free again.
        let few = Limits { described_bytes: 3 * EACH, ..limits };
        assert!(all.set("shop", "more", meta("x"), 100, &few));
        all.forget(200, 150, |_| HashSet::new());
        assert_eq!(told(&all), ["/ours "]);
        assert!(all.said.is_empty());
    }
}
