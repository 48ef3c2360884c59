//! The names of a custom resource as a [`Kind`], the form in which every part knows kinds.
//!
//! Kinds live as long as the process, as the built-in ones do: parts hold on to them. So each
//! distinct set of names is made once and kept, and the same definition made a
//! thousand times costs what it costs once. What is large or changes often (schema,
//! columns, descriptions) is not in the kind but in the [`Version`](super::Version), and goes with it.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    sync::{LazyLock, Mutex},
};

use crate::kind::{Kind, METADATA, ScalePaths, Scope, Subresource};

/// What makes up a kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Names {
    pub group: String,
    pub version: String,
    pub kind: String,
    pub list_kind: String,
    pub plural: String,
    pub singular: String,
    pub short_names: Vec<String>,
    pub categories: Vec<String>,
    pub namespaced: bool,
    pub status: bool,
    pub scale: Option<[String; 3]>,
    pub selectable: Vec<String>,
}

static KINDS: LazyLock<Mutex<HashMap<Names, &'static Kind>>> = LazyLock::new(Mutex::default);
static WORDS: LazyLock<Mutex<HashSet<&'static str>>> = LazyLock::new(Mutex::default);

/// The one kind of these names.
pub fn of(names: &Names) -> &'static Kind {
    let mut kinds = KINDS.lock().expect("no holder panics");
    if let Some(known) = kinds.get(names) {
        return known;
    }
    let kind: &'static Kind = Box::leak(Box::new(build(names)));
    kinds.insert(names.clone(), kind);
    kind
}

fn build(names: &Names) -> Kind {
    let mut subresources = Vec::new();
    if names.status {
        subresources.push(Subresource::Status);
    }
    if let Some([spec_replicas, status_replicas, selector]) = &names.scale {
        subresources.push(Subresource::Scale(ScalePaths {
            spec_replicas: word(spec_replicas),
            status_replicas: word(status_replicas),
            selector: word(selector),
        }));
    }
    Kind {
        short_names: words(&names.short_names),
        categories: words(&names.categories),
        list_kind: word(&names.list_kind),
        scope: if names.namespaced { Scope::Namespaced } else { Scope::Cluster },
        subresources: Box::leak(subresources.into_boxed_slice()),
        status_keeps: METADATA,
        selectable: words(&names.selectable),
        ..Kind::namespaced(
            word(&names.group),
            word(&names.version),
            word(&names.kind),
            word(&names.plural),
            word(&names.singular),
            word(&definition(&names.group, &names.version, &names.kind)),
        )
    }
}

/// `com.example.stable.v1.CronTab` for the group `stable.example.com`.
pub fn definition(group: &str, version: &str, kind: &str) -> String {
    let reversed: Vec<&str> = group.split('.').rev().collect();
    format!("{}.{version}.{kind}", reversed.join("."))
}

fn words(all: &[String]) -> &'static [&'static str] {
    Box::leak(all.iter().map(|one| word(one)).collect())
}

fn word(text: &str) -> &'static str {
    let mut known = WORDS.lock().expect("no holder panics");
    if let Some(word) = known.get(text) {
        return word;
    }
    let word: &'static str = Box::leak(text.to_owned().into_boxed_str());
    known.insert(word);
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_names_are_one_kind() {
        let names = Names {
            group: "stable.example.com".into(),
            version: "v1".into(),
            kind: "CronTab".into(),
            list_kind: "CronTabList".into(),
            plural: "crontabs".into(),
            singular: "crontab".into(),
            short_names: vec!["ct".into()],
            categories: Vec::new(),
            namespaced: true,
            status: true,
            scale: None,
            selectable: Vec::new(),
        };
        assert!(std::ptr::eq(of(&names), of(&names.clone())));
        assert_eq!(of(&names).definition, "com.example.stable.v1.CronTab");
        let other = Names { namespaced: false, ..names.clone() };
        assert!(!std::ptr::eq(of(&names), of(&other)));
    }
}
