//! The names of a new kind: their form, and who gets them when two definitions of a group want the same.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::conditions::{self, Condition};
use crate::{
    access::{ensure, list, set, text},
    field::FieldError,
    validate::{Errors, names::dns_1035_label},
};

/// What is wrong with names at `path`; those that are empty are others' matter.
pub fn validate(names: &Value, path: &str, errors: &mut Errors) {
    for (key, mixed) in [("plural", false), ("singular", false), ("kind", true), ("listKind", true)] {
        let name = text(names, &format!("/{key}"));
        let wrong = dns_1035_label(&if mixed { name.to_lowercase() } else { name.to_owned() });
        if !name.is_empty() && !wrong.is_empty() {
            let prefix = if mixed { "may have mixed case, but should otherwise match: " } else { "" };
            let detail = format!("{prefix}{}", wrong.join(","));
            errors.push(FieldError::invalid(format!("{path}.{key}"), &name.into(), detail));
        }
    }
    for key in ["shortNames", "categories"] {
        for (index, name) in list(names, &format!("/{key}")).iter().enumerate() {
            let wrong = dns_1035_label(name.as_str().unwrap_or_default());
            if !wrong.is_empty() {
                let field = format!("{path}.{key}[{index}]");
                errors.push(FieldError::invalid(field, name, wrong.join(",")));
            }
        }
    }
    let (kind, list_kind) = (text(names, "/kind"), text(names, "/listKind"));
    if !kind.is_empty() && kind == list_kind {
        let detail = "kind and listKind may not be the same";
        errors.push(FieldError::invalid(format!("{path}.listKind"), &list_kind.into(), detail));
    }
}

/// Names that other definitions of a group have, or that are built in.
#[derive(Debug, Default, Clone)]
pub struct Taken {
    pub resources: BTreeSet<String>,
    pub kinds: BTreeSet<String>,
}

impl Taken {
    /// Adds the accepted names of another definition.
    pub fn add(&mut self, accepted: &Value) {
        let words = |pointers: &[&str]| -> Vec<String> {
            pointers.iter().map(|p| text(accepted, p)).filter(|w| !w.is_empty()).map(String::from).collect()
        };
        self.resources.extend(words(&["/plural", "/singular"]));
        let short = list(accepted, "/shortNames").iter();
        self.resources.extend(short.filter_map(|name| name.as_str().map(String::from)));
        self.kinds.extend(words(&["/kind", "/listKind"]));
    }
}

/// The names that a definition gets of those it wants, and why not others.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    pub names: Value,
    /// Reason and message of the conflict.
    pub conflict: Option<(&'static str, String)>,
}

/// What was accepted before stays accepted; of the rest, what nobody else has.
pub fn accept(definition: &Value, taken: &Taken) -> Accepted {
    let nothing = json!({});
    let wanted = definition.pointer("/spec/names").unwrap_or(&nothing);
    let before = definition.pointer("/status/acceptedNames").unwrap_or(&nothing);
    let mut names = if before.is_object() { before.clone() } else { json!({}) };
    let mut conflict = None;
    let rows = [
        ("plural", "PluralConflict", &taken.resources),
        ("singular", "SingularConflict", &taken.resources),
        ("shortNames", "ShortNamesConflict", &taken.resources),
        ("kind", "KindConflict", &taken.kinds),
        ("listKind", "ListKindConflict", &taken.kinds),
    ];
    for (key, reason, others) in rows {
        let (new, old) = (wanted.get(key), before.get(key));
        let words = |value: Option<&Value>| -> Vec<String> {
            let all = match value {
                Some(Value::Array(items)) => items.clone(),
                Some(one) => vec![one.clone()],
                None => Vec::new(),
            };
            all.iter().filter_map(|word| word.as_str().map(String::from)).collect()
        };
        let own = words(old);
        let used = words(new).into_iter().find(|word| !own.contains(word) && others.contains(word));
        match used {
            Some(word) => conflict = Some((reason, format!("{word:?} is already in use"))),
            None => copy(&mut names, key, new),
        }
    }
    copy(&mut names, "categories", wanted.get("categories"));
    Accepted { names, conflict }
}

fn copy(names: &mut Value, key: &str, value: Option<&Value>) {
    let Some(map) = names.as_object_mut() else { return };
    match value {
        Some(value) => map.insert(key.into(), value.clone()),
        None => map.remove(key),
    };
}

/// Writes the outcome into the definition's status.
pub fn write(definition: &mut Value, accepted: &Accepted, now: &str) {
    if let Some(status) = ensure(definition, "status") {
        set(status, "acceptedNames", accepted.names.clone());
    }
    let established = crate::access::condition(definition, "Established");
    let (names, state) = match &accepted.conflict {
        None => (
            Condition {
                kind: "NamesAccepted",
                holds: true,
                reason: "NoConflicts",
                message: "no conflicts found",
            },
            Condition {
                kind: "Established",
                holds: true,
                reason: "InitialNamesAccepted",
                message: "the initial names have been accepted",
            },
        ),
        Some((reason, message)) => (
            Condition { kind: "NamesAccepted", holds: false, reason, message },
            Condition {
                kind: "Established",
                holds: false,
                reason: "NotAccepted",
                message: "not all names are accepted",
            },
        ),
    };
    conditions::set(definition, names, now);
    // A kind that is served stays so when it wants a name that it can't have.
    if !(established && accepted.conflict.is_some()) {
        conditions::set(definition, state, now);
    }
}
