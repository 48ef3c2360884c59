//! The served kinds by group and version, mounted groups included.

use std::collections::BTreeMap;

use tiphys_api::kind::Kind;

use crate::{
    mounts::{MountedGroup, Mounts},
    registry::Registry,
};

/// An API group with its versions, the preferred one first.
pub struct Group {
    /// Empty for the core group, which is always the first.
    pub name: String,
    pub versions: Vec<Version>,
}

pub struct Version {
    pub name: String,
    pub content: Content,
}

/// Where a version's resources come from.
pub enum Content {
    Kinds(Vec<&'static Kind>),
    Mounted(MountedGroup),
}

/// All groups: core, then the others in the order of their kinds.
pub fn groups(registry: &Registry, mounts: &Mounts) -> Vec<Group> {
    let mut order: Vec<&'static str> = vec![""];
    let mut kinds: BTreeMap<(&str, &str), Vec<&'static Kind>> = BTreeMap::new();
    for resource in registry.all() {
        let kind = resource.kind;
        if !order.contains(&kind.group) {
            order.push(kind.group);
        }
        kinds.entry((kind.group, kind.version)).or_default().push(kind);
    }
    let mut groups: Vec<Group> =
        order.iter().map(|name| Group { name: (*name).into(), versions: Vec::new() }).collect();
    for ((group, version), kinds) in kinds {
        if let Some(group) = groups.iter_mut().find(|other| other.name == group) {
            group.versions.push(Version { name: version.into(), content: Content::Kinds(kinds) });
        }
    }
    for mounted in mounts.groups() {
        let version = Version { name: mounted.version.into(), content: Content::Mounted(mounted.clone()) };
        match groups.iter_mut().find(|group| group.name == mounted.group) {
            Some(group) => group.versions.push(version),
            None => groups.push(Group { name: mounted.group.into(), versions: vec![version] }),
        }
    }
    for group in &mut groups {
        group.versions.sort_by_key(|version| std::cmp::Reverse(rank(&version.name)));
    }
    groups
}

/// Stable before beta before alpha, then the higher number: v2 > v1 > v2beta1 > v1alpha1.
fn rank(version: &str) -> (u8, u32, u32) {
    let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>();
    let rest = version.strip_prefix('v').unwrap_or(version);
    let major = digits(rest);
    let tail = &rest[major.len()..];
    let stage = match tail {
        "" => 2,
        beta if beta.starts_with("beta") => 1,
        _ => 0,
    };
    let minor = tail.trim_start_matches(char::is_alphabetic);
    (stage, major.parse().unwrap_or(0), minor.parse().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_stable_version_is_preferred() {
        let mut versions = ["v1beta1", "v1", "v2alpha1", "v2", "v2beta2"];
        versions.sort_by_key(|version| std::cmp::Reverse(rank(version)));
        assert_eq!(versions, ["v2", "v1", "v2beta2", "v1beta1", "v2alpha1"]);
    }
}
