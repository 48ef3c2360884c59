//! Paths that other parts answer, and the API groups that they serve.
//!
//! A mounted path is authenticated and authorized here; what stands behind it
//! finds the user in the request's extensions.

use arc_swap::ArcSwap;
use serde_json::{Value, json};
use tiphys_api::serve::{Handler, Mount};

/// A resource of a mounted API group, as discovery shows it.
#[derive(Debug, Clone)]
pub struct MountedResource {
    pub name: &'static str,
    pub singular: &'static str,
    pub kind: &'static str,
    pub namespaced: bool,
    pub verbs: &'static [&'static str],
    pub short_names: &'static [&'static str],
}

/// An API group and version that a mount serves below `/apis/GROUP/VERSION`.
#[derive(Debug, Clone)]
pub struct MountedGroup {
    pub group: &'static str,
    pub version: &'static str,
    pub resources: Vec<MountedResource>,
}

impl MountedGroup {
    /// The entries of an APIResourceList.
    pub fn resources(&self) -> Vec<Value> {
        let entry = |resource: &MountedResource| {
            json!({
                "name": resource.name,
                "singularName": resource.singular,
                "namespaced": resource.namespaced,
                "kind": resource.kind,
                "verbs": resource.verbs,
                "shortNames": resource.short_names,
            })
        };
        self.resources.iter().map(entry).collect()
    }
}

/// All mounts. Few, and read for every request: so a list that is swapped as a whole.
#[derive(Default)]
pub struct Mounts {
    mounts: ArcSwap<Vec<Mount>>,
    groups: ArcSwap<Vec<MountedGroup>>,
}

impl Mounts {
    pub fn add(&self, mount: Mount) {
        self.mounts.rcu(|mounts| {
            let mut mounts = mounts.to_vec();
            mounts.retain(|other| other.prefix != mount.prefix);
            mounts.push(mount.clone());
            // The longest prefix first: it is the one that is meant.
            mounts.sort_by_key(|mount| std::cmp::Reverse(mount.prefix.len()));
            mounts
        });
    }

    pub fn add_group(&self, group: MountedGroup) {
        self.groups.rcu(|groups| {
            let mut groups = groups.to_vec();
            groups.retain(|other| (other.group, other.version) != (group.group, group.version));
            groups.push(group.clone());
            groups
        });
    }

    /// Who answers for a path, if anyone.
    pub fn find(&self, path: &str) -> Option<Handler> {
        let mounts = self.mounts.load();
        mounts.iter().find(|mount| is_below(path, &mount.prefix)).map(|mount| mount.handler.clone())
    }

    pub fn groups(&self) -> Vec<MountedGroup> {
        self.groups.load().to_vec()
    }
}

/// Whole segments only: `/apis/a` is not above `/apis/ab`.
fn is_below(path: &str, prefix: &str) -> bool {
    let rest = path.strip_prefix(prefix.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_owns_whole_segments() {
        assert!(is_below("/tiphys/v1/sql", "/tiphys/v1/sql"));
        assert!(is_below("/tiphys/v1/sql/a", "/tiphys/v1/sql/"));
        assert!(!is_below("/tiphys/v1/sqlite", "/tiphys/v1/sql"));
        assert!(!is_below("/tiphys", "/tiphys/v1"));
    }
}
