//! The served kinds by group and version, mounted groups and extension servers' included, in the
//! order that their APIServices give them.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use tiphys_api::{kind::Kind, kinds::api_service};

use crate::{
    aggregation::{Seen, Table},
    mounts::MountedGroup,
    state::Core,
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
    Extension(Arc<Seen>),
}

/// All groups: core, then the others by their priorities.
pub fn groups(core: &Core) -> Vec<Group> {
    let mut all: BTreeMap<(String, String), Content> = BTreeMap::new();
    for resource in core.registry.all() {
        let kind = resource.kind;
        let entry = all.entry((kind.group.into(), kind.version.into()));
        if let Content::Kinds(kinds) = entry.or_insert_with(|| Content::Kinds(Vec::new())) {
            kinds.push(kind);
        }
    }
    for mounted in core.mounts.groups() {
        all.insert((mounted.group.into(), mounted.version.into()), Content::Mounted(mounted));
    }
    let table = core.aggregation.table();
    for service in &table.remote {
        let seen = core.aggregation.seen(service).unwrap_or_default();
        all.insert((service.group.clone(), service.version.clone()), Content::Extension(seen));
    }
    ordered(all, &table)
}

fn ordered(all: BTreeMap<(String, String), Content>, table: &Table) -> Vec<Group> {
    let mut groups: BTreeMap<String, Vec<Version>> = BTreeMap::new();
    for ((group, name), content) in all {
        groups.entry(group).or_default().push(Version { name, content });
    }
    let mut groups: Vec<Group> =
        groups.into_iter().map(|(name, versions)| Group { name, versions }).collect();
    for group in &mut groups {
        let priority = |version: &Version| table.priority(&group.name, &version.name).version;
        group
            .versions
            .sort_by_cached_key(|version| (Reverse(priority(version)), Reverse(rank(&version.name))));
    }
    groups.sort_by_cached_key(|group| {
        let place = |version: &Version| {
            let priority = table.priority(&group.name, &version.name).group;
            (Reverse(priority), api_service::name(&group.name, &version.name))
        };
        (!group.name.is_empty(), group.versions.iter().map(place).min())
    });
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
    use serde_json::json;

    use super::*;

    #[test]
    fn the_newest_stable_version_is_preferred() {
        let mut versions = ["v1beta1", "v1", "v2alpha1", "v2", "v2beta2"];
        versions.sort_by_key(|version| std::cmp::Reverse(rank(version)));
        assert_eq!(versions, ["v2", "v1", "v2beta2", "v1beta1", "v2alpha1"]);
    }

    #[test]
    fn groups_stand_in_the_order_of_their_priorities() {
        let object = |group: &str, version: &str, priorities: (i64, i64)| {
            json!({ "spec": { "group": group, "version": version,
                    "groupPriorityMinimum": priorities.0, "versionPriority": priorities.1 } })
        };
        let table = Table::of(&[
            object("high.example", "v1", (1, 1)),
            object("high.example", "v2", (17_790, 2)),
            object("high.example", "v3", (1, 3)),
            object("b.example", "v1", (50, 1)),
            object("a.example", "v1", (50, 1)),
        ]);
        let served = [
            ("", "v1"),
            ("a.example", "v1"),
            ("apiregistration.k8s.io", "v1"),
            ("apps", "v1"),
            ("autoscaling", "v1"),
            ("autoscaling", "v2"),
            ("b.example", "v1"),
            ("custom.example", "v1alpha1"),
            ("custom.example", "v1"),
            ("high.example", "v1"),
            ("high.example", "v2"),
            ("high.example", "v3"),
        ];
        let all = served.map(|(group, version)| ((group.into(), version.into()), Content::Kinds(Vec::new())));
        let shown: Vec<String> = ordered(BTreeMap::from(all), &table)
            .iter()
            .flat_map(|group| group.versions.iter().map(|version| format!("{}/{}", group.name, version.name)))
            .collect();
        assert_eq!(
            shown,
            [
                "/v1",
                "apiregistration.k8s.io/v1",
                "apps/v1",
                "high.example/v3",
                "high.example/v2",
                "high.example/v1",
                "autoscaling/v2",
                "autoscaling/v1",
                "custom.example/v1",
                "custom.example/v1alpha1",
                "a.example/v1",
                "b.example/v1",
            ]
        );
    }
}
