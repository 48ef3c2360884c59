//! A namespace and a selector, made ready for the objects of one cache.

use std::sync::Arc;

use super::{LabelSelector, Selector};
use crate::cache::CachedObject;

/// Decides for each object of a cache.
#[derive(Debug, Clone)]
pub struct Matcher {
    namespace: Option<String>,
    labels: LabelSelector,
    fields: Vec<Bound>,
}

/// A condition on a field, with the field found.
#[derive(Debug, Clone)]
struct Bound {
    field: Field,
    value: String,
    negated: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Name,
    Namespace,
    Extracted(usize),
    /// Not among the kind's selectable ones: empty in every object.
    Unknown,
}

/// The smallest group of objects that surely holds all that a matcher can match.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Scope {
    All,
    Namespace(String),
    Name(String),
    Field(usize, String),
}

impl Matcher {
    /// `fields` are the names that the cache extracts, in its order.
    pub fn new(namespace: Option<&str>, selector: &Selector, fields: &[String]) -> Self {
        let bind = |condition: &super::fields::Condition| Bound {
            field: match condition.field.as_str() {
                "metadata.name" => Field::Name,
                "metadata.namespace" => Field::Namespace,
                other => {
                    let at = fields.iter().position(|field| field == other);
                    at.map_or(Field::Unknown, Field::Extracted)
                }
            },
            value: condition.value.clone(),
            negated: condition.negated,
        };
        Self {
            namespace: namespace.map(String::from),
            labels: selector.labels.clone(),
            fields: selector.fields.0.iter().map(bind).collect(),
        }
    }

    pub fn matches(&self, object: &CachedObject) -> bool {
        self.namespace.as_ref().is_none_or(|namespace| namespace == object.namespace())
            && self.fields.iter().all(|condition| condition.holds(object))
            && self.labels.matches(&object.labels)
    }

    /// The object, if it is there and matches.
    pub fn select<'a>(&self, object: Option<&'a Arc<CachedObject>>) -> Option<&'a Arc<CachedObject>> {
        object.filter(|object| self.matches(object))
    }

    /// The name that an object must have to match.
    pub fn name(&self) -> Option<&str> {
        let name = self.fields.iter().find(|condition| condition.field == Field::Name && !condition.negated);
        name.map(|condition| condition.value.as_str())
    }

    pub fn scope(&self) -> Scope {
        if let Some(name) = self.name() {
            return Scope::Name(name.to_owned());
        }
        let extracted = self.fields.iter().filter(|condition| !condition.negated).find_map(|condition| {
            match condition.field {
                Field::Extracted(at) => Some(Scope::Field(at, condition.value.clone())),
                _ => None,
            }
        });
        let namespace = || self.namespace.clone().map(Scope::Namespace);
        extracted.or_else(namespace).unwrap_or(Scope::All)
    }
}

impl Bound {
    fn holds(&self, object: &CachedObject) -> bool {
        let value = match self.field {
            Field::Name => object.name(),
            Field::Namespace => object.namespace(),
            Field::Extracted(at) => object.fields.get(at).unwrap_or_default(),
            Field::Unknown => "",
        };
        (value == self.value) != self.negated
    }
}
