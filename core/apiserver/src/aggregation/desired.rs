//! The APIServices that there are to be without anybody's doing: one for each group and version
//! that this server answers itself. Pure.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tiphys_api::{
    access::{list, text},
    kinds::api_service,
};

use super::priorities::{self, Priority};

/// The label that says by its value how an APIService is kept.
pub const MANAGED: &str = "kube-aggregator.kubernetes.io/automanaged";

/// How long an APIService is kept as it is desired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Put right when a server starts, and left to others then.
    OnStart,
    Always,
    /// Made when there is none, and never changed: an extension server may take its place.
    WhenMissing,
}

impl Keep {
    /// The label's value.
    pub fn label(self) -> Option<&'static str> {
        match self {
            Self::OnStart => Some("onstart"),
            Self::Always => Some("true"),
            Self::WhenMissing => None,
        }
    }

    /// How an object is kept, by its label.
    pub fn of(object: &Value) -> Option<Self> {
        let value = object["metadata"]["labels"][MANAGED].as_str()?;
        [Self::OnStart, Self::Always].into_iter().find(|keep| keep.label() == Some(value))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desired {
    pub spec: Value,
    pub keep: Keep,
}

impl Desired {
    fn new(group: &str, version: &str, priority: Priority, keep: Keep) -> Self {
        let mut spec = json!({
            "version": version,
            "groupPriorityMinimum": priority.group,
            "versionPriority": priority.version,
        });
        if !group.is_empty() {
            spec["group"] = group.into();
        }
        Self { spec, keep }
    }

    /// The whole object.
    pub fn object(&self, name: &str) -> Value {
        let mut metadata = json!({ "name": name });
        if let Some(value) = self.keep.label() {
            metadata["labels"] = json!({ MANAGED: value });
        }
        json!({
            "apiVersion": "apiregistration.k8s.io/v1", "kind": api_service::KIND.kind,
            "metadata": metadata, "spec": self.spec,
        })
    }
}

/// All of them by name: of built-in groups, of definitions of custom resources, of mounted groups.
pub fn all<'a>(
    builtin: impl IntoIterator<Item = (&'a str, &'a str)>,
    definitions: &[Value],
    mounted: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> BTreeMap<String, Desired> {
    let mut all = BTreeMap::new();
    for (group, version) in builtin {
        if let Some(priority) = priorities::builtin(group, version) {
            let desired = Desired::new(group, version, priority, Keep::OnStart);
            all.insert(api_service::name(group, version), desired);
        }
    }
    for definition in definitions {
        let group = text(definition, "/spec/group");
        for version in list(definition, "/spec/versions").iter().filter(|version| version["served"] == true) {
            let version = text(version, "/name");
            let desired = Desired::new(group, version, priorities::CUSTOM, Keep::Always);
            // A definition in a built-in group changes nothing about that one.
            all.entry(api_service::name(group, version)).or_insert(desired);
        }
    }
    for (group, version) in mounted {
        let desired = Desired::new(group, version, priorities::MOUNTED, Keep::WhenMissing);
        all.entry(api_service::name(group, version)).or_insert(desired);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_that_is_served_has_one() {
        let definition = json!({ "spec": { "group": "a.example", "versions": [
            { "name": "v1", "served": true }, { "name": "v0", "served": false }, { "name": "v2", "served": true },
        ] } });
        let squatter = json!({ "spec": { "group": "apps", "versions": [{ "name": "v1", "served": true }] } });
        let builtin = [("", "v1"), ("apps", "v1"), (api_service::GROUP, "v1")];
        let all = all(builtin, &[definition, squatter], [("metrics.k8s.io", "v1beta1")]);
        let shown: Vec<(&str, Option<&str>, i64, i64)> = all
            .iter()
            .map(|(name, desired)| {
                let number = |key: &str| desired.spec[key].as_i64().unwrap();
                (
                    name.as_str(),
                    desired.keep.label(),
                    number("groupPriorityMinimum"),
                    number("versionPriority"),
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                ("v1.", Some("onstart"), 18000, 1),
                ("v1.a.example", Some("true"), 1000, 100),
                ("v1.apps", Some("onstart"), 17800, 15),
                ("v1beta1.metrics.k8s.io", None, 100, 100),
                ("v2.a.example", Some("true"), 1000, 100),
            ]
        );
        for (name, desired) in &all {
            let object = desired.object(name);
            assert!(api_service::KIND.check_create(&object).is_empty(), "{object}");
            assert_eq!(Keep::of(&object), Some(desired.keep).filter(|keep| *keep != Keep::WhenMissing));
        }
    }
}
