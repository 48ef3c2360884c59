//! Labels as they are held where there are very many of them, and what a selector asks of any labels.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Serialize, Serializer};

/// What selectors ask of labels, whatever form they have.
pub trait LabelMap {
    /// The label's value; `None` when it is absent.
    fn value(&self, key: &str) -> Option<&str>;
}

impl LabelMap for BTreeMap<String, String> {
    fn value(&self, key: &str) -> Option<&str> {
        self.get(key).map(String::as_str)
    }
}

/// Labels of an object, sorted by key. They take what they say and little more; clones share them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Labels(pub Arc<[Label]>);

/// Key and value.
pub type Label = (Box<str>, Box<str>);

impl Labels {
    pub fn new(mut labels: Vec<Label>) -> Self {
        labels.sort_unstable();
        Self(labels.into())
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        let at = self.0.binary_search_by(|(name, _)| (**name).cmp(key)).ok()?;
        Some(&self.0[at].1)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (&**key, &**value))
    }
}

/// As an object has them.
impl Serialize for Labels {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.iter())
    }
}

impl LabelMap for Labels {
    fn value(&self, key: &str) -> Option<&str> {
        self.get(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_found_in_whatever_order_they_come() {
        let labels = Labels::new(vec![("b".into(), "2".into()), ("a".into(), "1".into())]);
        assert_eq!((labels.get("a"), labels.get("b"), labels.get("c")), (Some("1"), Some("2"), None));
        assert_eq!(labels.iter().collect::<Vec<_>>(), [("a", "1"), ("b", "2")]);
    }
}
