//! The roles and bindings every cluster has, and how they are kept.
//!
//! ```text
//! roles.rs (components), user_facing.rs (admin, edit, view), namespaced.rs (kube-system) ──> objects() ──> create what is missing,
//!                                                                         reconcile() what is stored
//! ```
//!
//! As upstream does at each start: what a stored role or binding lacks is added,
//! what somebody added stays, and the annotation
//! `rbac.authorization.kubernetes.io/autoupdate: "false"` keeps the hands off.

mod namespaced;
mod roles;
mod user_facing;

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{rule::Rule, table::resolved_rules};

const AUTOUPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";
const API_VERSION: &str = "rbac.authorization.k8s.io/v1";

/// A rule as data: verbs, groups and resources (or paths), each a list of words.
struct Fact {
    verbs: &'static [&'static str],
    groups: &'static [&'static str],
    resources: &'static [&'static str],
    names: &'static [&'static str],
    paths: &'static [&'static str],
}

const fn on(
    verbs: &'static [&'static str],
    groups: &'static [&'static str],
    resources: &'static [&'static str],
) -> Fact {
    Fact { verbs, groups, resources, names: &[], paths: &[] }
}

const fn at(verbs: &'static [&'static str], paths: &'static [&'static str]) -> Fact {
    Fact { verbs, groups: &[], resources: &[], names: &[], paths }
}

const READ: &[&str] = &["get", "list", "watch"];
const WRITE: &[&str] = &["create", "delete", "deletecollection", "patch", "update"];
const ALL: &[&str] = &["*"];
const CREATE: &[&str] = &["create"];
const CORE: &[&str] = &[""];

/// A ClusterRole as data. `label` puts it into an aggregated role.
struct RoleFact {
    name: &'static str,
    labels: &'static [&'static str],
    rules: &'static [Fact],
}

/// All roles and bindings, aggregated roles with the rules they resolve to.
pub fn objects() -> Vec<Value> {
    let plain: Vec<Arc<Value>> =
        roles::ROLES.iter().chain(user_facing::PARTS).map(|role| Arc::new(cluster_role(role))).collect();
    let aggregated: Vec<Arc<Value>> =
        user_facing::AGGREGATED.iter().map(|role| Arc::new(aggregated(role))).collect();
    let all: Vec<Arc<Value>> = plain.iter().chain(&aggregated).cloned().collect();
    let mut objects: Vec<Value> = plain.iter().map(|role| Value::clone(role)).collect();
    for role in &aggregated {
        let mut role_with_rules = Value::clone(role);
        role_with_rules["rules"] = json!(resolved_rules(role, &all));
        objects.push(role_with_rules);
    }
    objects.extend(roles::BINDINGS.iter().map(|(role, subjects)| binding(role, subjects)));
    objects.extend(namespaced::objects());
    objects
}

/// What to write over a stored role or binding so that it has all that `wanted`
/// has; `None` when it has, or when its owner keeps it.
pub fn reconcile(stored: &Value, wanted: &Value) -> Option<Value> {
    if stored["metadata"]["annotations"][AUTOUPDATE] == "false" {
        return None;
    }
    let mut merged = stored.clone();
    for map in ["labels", "annotations"] {
        for (key, value) in wanted["metadata"][map].as_object().into_iter().flatten() {
            if merged["metadata"][map].is_null() {
                merged["metadata"][map] = Map::new().into();
            }
            merged["metadata"][map][key.as_str()] = value.clone();
        }
    }
    let mut rules = Rule::of_role(stored);
    let missing: Vec<Rule> = Rule::of_role(wanted).into_iter().filter(|rule| !rules.contains(rule)).collect();
    if !missing.is_empty() {
        rules.extend(missing);
        merged["rules"] = json!(rules);
    }
    if wanted["aggregationRule"].is_object() {
        merged["aggregationRule"] = wanted["aggregationRule"].clone();
    }
    for subject in wanted["subjects"].as_array().into_iter().flatten() {
        let has_it = merged["subjects"].as_array().is_some_and(|subjects| subjects.contains(subject));
        match &mut merged["subjects"] {
            Value::Array(subjects) if !has_it => subjects.push(subject.clone()),
            Value::Array(_) => {}
            other => *other = json!([subject]),
        }
    }
    (merged != *stored).then_some(merged)
}

fn metadata(name: &str, more_labels: &[&str]) -> Value {
    let mut labels = Map::from_iter([("kubernetes.io/bootstrapping".to_owned(), "rbac-defaults".into())]);
    labels.extend(more_labels.iter().map(|label| ((*label).to_owned(), "true".into())));
    json!({ "name": name, "labels": labels, "annotations": { AUTOUPDATE: "true" } })
}

fn cluster_role(role: &RoleFact) -> Value {
    let rules: Vec<Rule> = role.rules.iter().map(rule).collect();
    json!({
        "apiVersion": API_VERSION,
        "kind": "ClusterRole",
        "metadata": metadata(role.name, role.labels),
        "rules": rules,
    })
}

/// A role whose rules are those of all roles with the label `to`.
fn aggregated(role: &user_facing::Aggregated) -> Value {
    json!({
        "apiVersion": API_VERSION,
        "kind": "ClusterRole",
        "metadata": metadata(role.name, role.labels),
        "aggregationRule": { "clusterRoleSelectors": [{ "matchLabels": { role.to: "true" } }] },
    })
}

fn rule(fact: &Fact) -> Rule {
    let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect();
    Rule {
        verbs: words(fact.verbs),
        api_groups: words(fact.groups),
        resources: words(fact.resources),
        resource_names: words(fact.names),
        non_resource_urls: words(fact.paths),
    }
}

/// A binding of the role's own name. Subjects are `user:NAME` or `group:NAME`.
fn binding(role: &str, subjects: &[&str]) -> Value {
    let subjects: Vec<Value> = subjects
        .iter()
        .map(|subject| {
            let (kind, name) = subject.split_once(':').unwrap_or(("group", subject));
            let kind = if kind == "user" { "User" } else { "Group" };
            json!({ "apiGroup": super::RBAC_GROUP, "kind": kind, "name": name })
        })
        .collect();
    json!({
        "apiVersion": API_VERSION,
        "kind": "ClusterRoleBinding",
        "metadata": metadata(role, &[]),
        "roleRef": { "apiGroup": super::RBAC_GROUP, "kind": "ClusterRole", "name": role },
        "subjects": subjects,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(kind: &str, name: &str) -> Value {
        let all = objects();
        all.into_iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name).unwrap()
    }

    #[test]
    fn every_binding_binds_a_role_that_is_there() {
        let all = objects();
        for binding in all.iter().filter(|object| object["kind"] == "ClusterRoleBinding") {
            find("ClusterRole", binding["roleRef"]["name"].as_str().unwrap());
        }
        let mut names: Vec<_> = all
            .iter()
            .map(|object| (object["kind"].to_string(), object["metadata"]["name"].to_string()))
            .collect();
        names.sort();
        names.windows(2).for_each(|pair| assert_ne!(pair[0], pair[1]));
    }

    #[test]
    fn user_facing_roles_contain_one_another() {
        let rules = |name| Rule::of_role(&find("ClusterRole", name));
        let (view, edit, admin) = (rules("view"), rules("edit"), rules("admin"));
        assert!(view.iter().all(|rule| edit.contains(rule)) && view.len() < edit.len());
        assert!(edit.iter().all(|rule| admin.contains(rule)) && edit.len() < admin.len());
        let secrets =
            |rules: &[Rule]| rules.iter().any(|rule| rule.resources.iter().any(|it| it == "secrets"));
        assert!(!secrets(&view) && secrets(&edit));
    }

    #[test]
    fn what_is_missing_is_added_and_what_was_added_stays() {
        let wanted = find("ClusterRoleBinding", "system:basic-user");
        assert_eq!(reconcile(&wanted, &wanted), None);
        let mut stored = wanted.clone();
        stored["metadata"]["resourceVersion"] = "7".into();
        stored["subjects"] = json!([{ "kind": "User", "name": "guest" }]);
        let merged = reconcile(&stored, &wanted).unwrap();
        assert_eq!(merged["subjects"].as_array().unwrap().len(), 2);
        assert_eq!(merged["metadata"]["resourceVersion"], "7");
        stored["metadata"]["annotations"][AUTOUPDATE] = "false".into();
        assert_eq!(reconcile(&stored, &wanted), None);

        let role = find("ClusterRole", "system:discovery");
        let mut stored = role.clone();
        stored["rules"] = json!([]);
        assert_eq!(reconcile(&stored, &role).unwrap()["rules"], role["rules"]);
    }
}
