//! What the tables are called: by the plural, as in `kubectl get`. Of several groups with
//! the same plural the core group has it, then whoever comes first in the API's order, and what other
//! parts and extension servers answer comes last; every kind of another group is found as
//! `plural.group` too. Pure.

use std::{borrow::Cow, collections::BTreeSet};

use tiphys_api::kind::Kind;
use tiphys_apiserver::Elsewhere;

/// What has a table: objects that the API lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    pub group: Cow<'static, str>,
    pub version: Cow<'static, str>,
    pub plural: Cow<'static, str>,
    pub is_namespaced: bool,
    /// Another part or an extension server answers, which may not know how to choose and how to page.
    pub is_elsewhere: bool,
}

impl Resource {
    fn of_kind(kind: &Kind) -> Option<Self> {
        let is_listed = kind.verbs.is_empty() || kind.verbs.contains(&"list");
        is_listed.then(|| Self {
            group: kind.group.into(),
            version: kind.version.into(),
            plural: kind.plural.into(),
            is_namespaced: kind.is_namespaced(),
            is_elsewhere: false,
        })
    }

    fn of_other(other: &Elsewhere) -> Option<Self> {
        other.verbs.iter().any(|verb| verb == "list").then(|| Self {
            group: other.group.clone().into(),
            version: other.version.clone().into(),
            plural: other.plural.clone().into(),
            is_namespaced: other.is_namespaced,
            is_elsewhere: true,
        })
    }
}

/// The tables, each once, with the version that is listed first of its group.
pub fn of(kinds: &[&'static Kind], others: &[Elsewhere]) -> Vec<(String, Resource)> {
    let mut ordered: Vec<Resource> = kinds.iter().filter_map(|kind| Resource::of_kind(kind)).collect();
    // `false` comes first: the core group.
    ordered.sort_by_key(|resource| !resource.group.is_empty());
    ordered.extend(others.iter().filter_map(Resource::of_other));
    let mut named = Vec::new();
    let (mut plurals, mut full) = (BTreeSet::new(), BTreeSet::new());
    for resource in ordered {
        if !full.insert((resource.group.clone(), resource.plural.clone())) {
            continue;
        }
        let name = match plurals.insert(resource.plural.clone()) {
            true => resource.plural.to_string(),
            false => format!("{}.{}", resource.plural, resource.group),
        };
        named.push((name, resource));
    }
    named.sort_by(|(one, _), (other, _)| one.cmp(other));
    named
}

#[cfg(test)]
mod tests {
    use tiphys_api::kinds;

    use super::*;

    fn other(group: &str, version: &str, plural: &str, verb: &str) -> Elsewhere {
        Elsewhere {
            group: group.to_owned(),
            version: version.to_owned(),
            plural: plural.to_owned(),
            is_namespaced: true,
            verbs: vec![verb.to_owned()],
        }
    }

    #[test]
    fn a_plural_belongs_to_the_core_group_first() {
        let named = of(kinds::all(), &[]);
        let group = |name: &str| {
            let found = named.iter().find(|(own, _)| own == name);
            found.map(|(_, resource)| &*resource.group)
        };
        assert_eq!(group("pods"), Some(""));
        assert_eq!(group("deployments"), Some("apps"));
        assert_eq!(group("events"), Some(""));
        assert_eq!(group("events.events.k8s.io"), Some("events.k8s.io"));
        // What is only asked has no rows.
        assert_eq!(group("tokenreviews"), None);
    }

    #[test]
    fn what_others_answer_takes_no_name_away() {
        let others = [
            other("a.example", "v2", "flunders", "list"),
            other("a.example", "v1", "flunders", "list"),
            other("b.example", "v1", "flunders", "list"),
            other("metrics.k8s.io", "v1beta1", "pods", "list"),
            other("", "v1", "pods", "list"),
            other("a.example", "v2", "reviews", "create"),
        ];
        let before = of(kinds::all(), &[]);
        let named = of(kinds::all(), &others);
        assert!(before.iter().all(|table| named.contains(table)));
        let new = named.iter().filter(|table| !before.contains(table));
        let new: Vec<_> = new.map(|(name, one)| (&**name, &*one.group, &*one.version)).collect();
        assert_eq!(
            new,
            [
                ("flunders", "a.example", "v2"),
                ("flunders.b.example", "b.example", "v1"),
                ("pods.metrics.k8s.io", "metrics.k8s.io", "v1beta1"),
            ]
        );
    }
}
