//! The resources of groups that another part or an extension server answers: what lists all there is
//! needs them beside the kinds of the registry.
//!
//! They are what was heard last. An extension server that doesn't answer keeps them, and whoever asks
//! for its objects is told that it doesn't.

use serde_json::Value;

use super::groups::{Content, Version, groups};
use crate::state::Core;

/// A resource that is not of the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elsewhere {
    pub group: String,
    pub version: String,
    pub plural: String,
    pub is_namespaced: bool,
    pub verbs: Vec<String>,
}

/// All of them, in the order in which discovery shows their groups and versions.
pub fn elsewhere(core: &Core) -> Vec<Elsewhere> {
    let groups = groups(core);
    let versions = groups.iter().flat_map(|group| {
        let of_group = |version: &Version| resources(&group.name, version);
        group.versions.iter().flat_map(of_group).collect::<Vec<_>>()
    });
    versions.collect()
}

fn resources(group: &str, version: &Version) -> Vec<Elsewhere> {
    let of = |plural: &str, is_namespaced: bool, verbs: Vec<String>| Elsewhere {
        group: group.to_owned(),
        version: version.name.clone(),
        plural: plural.to_owned(),
        is_namespaced,
        verbs,
    };
    match &version.content {
        Content::Kinds(_) => Vec::new(),
        Content::Mounted(mounted) => {
            let resources = mounted.resources.iter();
            resources.map(|one| of(one.name, one.namespaced, texts(one.verbs.iter().copied()))).collect()
        }
        Content::Extension(seen) => {
            let own = |one: &Value| {
                let verbs = one["verbs"].as_array().into_iter().flatten().filter_map(Value::as_str);
                Some(of(one["resource"].as_str()?, one["scope"] == "Namespaced", texts(verbs)))
            };
            seen.resources.iter().filter_map(own).collect()
        }
    }
}

fn texts<'a>(verbs: impl Iterator<Item = &'a str>) -> Vec<String> {
    verbs.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::{
        aggregation::Seen,
        mounts::{MountedGroup, MountedResource},
    };

    #[test]
    fn what_is_mounted_and_what_was_heard_is_told_alike() {
        let resource = MountedResource {
            name: "pods",
            singular: "",
            kind: "PodMetrics",
            namespaced: true,
            verbs: &["get", "list"],
            short_names: &[],
        };
        let mounted = MountedGroup { group: "metrics.k8s.io", version: "v1beta1", resources: vec![resource] };
        let heard = json!({ "resource": "wares", "scope": "Cluster", "verbs": ["list"] });
        let odd = [json!(null), json!({ "resource": 1 }), json!({ "resource": "x" })];
        let seen = Seen { resources: [vec![heard], odd.to_vec()].concat(), ..Seen::default() };
        let told = |group: &str, version: &str, content: Content| {
            let version = Version { name: version.to_owned(), content };
            let told = resources(group, &version).into_iter();
            told.map(|one| (one.plural, one.is_namespaced, one.verbs.join(","))).collect::<Vec<_>>()
        };
        let expected = [("pods".to_owned(), true, "get,list".to_owned())];
        assert_eq!(told("metrics.k8s.io", "v1beta1", Content::Mounted(mounted)), expected);
        let expected = [("wares", "list"), ("x", "")];
        let expected = expected.map(|(name, verbs)| (name.to_owned(), false, verbs.to_owned()));
        assert_eq!(told("wares.example", "v1", Content::Extension(Arc::new(seen))), expected);
        assert!(told("apps", "v1", Content::Kinds(Vec::new())).is_empty());
    }
}
