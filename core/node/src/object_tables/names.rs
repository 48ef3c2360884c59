//! What the tables are called: by the plural, as in `kubectl get`. Of several groups with
//! the same plural the core group has it, then whoever comes first in the API's order;
//! every kind of another group is found as `plural.group` too. Pure.

use std::collections::BTreeSet;

use tiphys_api::kind::Kind;

/// The tables, each once, with the version that is listed first of its group.
pub fn of(kinds: &[&'static Kind]) -> Vec<(String, &'static Kind)> {
    let mut named = Vec::new();
    let (mut plurals, mut full) = (BTreeSet::new(), BTreeSet::new());
    let listed = kinds.iter().copied().filter(|kind| kind.verbs.is_empty() || kind.verbs.contains(&"list"));
    // `false` comes first: the core group.
    let mut ordered: Vec<_> = listed.collect();
    ordered.sort_by_key(|kind| !kind.group.is_empty());
    for kind in ordered {
        if !full.insert((kind.group, kind.plural)) {
            continue;
        }
        if plurals.insert(kind.plural) {
            named.push((kind.plural.to_owned(), kind));
        } else {
            named.push((format!("{}.{}", kind.plural, kind.group), kind));
        }
    }
    named.sort_by(|(one, _), (other, _)| one.cmp(other));
    named
}

#[cfg(test)]
mod tests {
    use tiphys_api::kinds;

    use super::of;

    #[test]
    fn a_plural_belongs_to_the_core_group_first() {
        let named = of(kinds::all());
        let group = |name: &str| named.iter().find(|(own, _)| own == name).map(|(_, kind)| kind.group);
        assert_eq!(group("pods"), Some(""));
        assert_eq!(group("deployments"), Some("apps"));
        assert_eq!(group("events"), Some(""));
        assert_eq!(group("events.events.k8s.io"), Some("events.k8s.io"));
        // What is only asked has no rows.
        assert_eq!(group("tokenreviews"), None);
    }
}
