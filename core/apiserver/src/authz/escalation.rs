//! Nobody grants what they do not have: the check before a role or binding is written.
//!
//! A writer of a role must hold each of its rules already, or have the verb
//! `escalate` on it; a writer of a binding must hold the rules of the role it
//! binds, or have the verb `bind` on that role. Members of `system:masters` and
//! writes that leave the rules as they are pass.

use serde_json::Value;
use tiphys_api::auth::{Attributes, Authorizer, UserInfo};

use super::{
    RBAC_GROUP, Rbac, Refusal,
    rbac::{all_rules, is_master},
    rule::{Rule, has, resource_matches, url_matches},
};

/// Checks a create or update (`old` is there) of `roles`, `clusterroles`,
/// `rolebindings` or `clusterrolebindings`; anything else passes.
pub fn check_escalation(
    rbac: &Rbac,
    user: &UserInfo,
    resource: &str,
    namespace: &str,
    new: &Value,
    old: Option<&Value>,
) -> Result<(), Refusal> {
    if is_master(user) {
        return Ok(());
    }
    let name = new["metadata"]["name"].as_str().unwrap_or_default();
    let granted = match resource {
        "roles" | "clusterroles" => {
            let unchanged = |old: &Value| same(old, new, "rules") && same(old, new, "aggregationRule");
            if old.is_some_and(unchanged) || may(rbac, user, "escalate", resource, namespace, name) {
                return Ok(());
            }
            // What an aggregated role will hold is not known: only who may everything may write it.
            if new["aggregationRule"].is_object() { all_rules() } else { Rule::of_role(new) }
        }
        "rolebindings" | "clusterrolebindings" => {
            let unchanged = |old: &Value| same(old, new, "roleRef") && same(old, new, "subjects");
            if old.is_some_and(unchanged) {
                return Ok(());
            }
            match bound_rules(rbac, user, namespace, new)? {
                Some(rules) => rules,
                None => return Ok(()),
            }
        }
        _ => return Ok(()),
    };
    let held = rbac.rules_of(user, namespace);
    let uncovered: Vec<Rule> = granted
        .iter()
        .flat_map(break_down)
        .filter(|part| !held.iter().any(|rule| covers(rule, part)))
        .collect();
    if uncovered.is_empty() {
        return Ok(());
    }
    Err(Refusal::forbidden(RBAC_GROUP, resource, name, &explain(user, &uncovered)))
}

/// The rules of the role that a binding binds; `None` when the user may bind it anyhow.
fn bound_rules(
    rbac: &Rbac,
    user: &UserInfo,
    namespace: &str,
    binding: &Value,
) -> Result<Option<Vec<Rule>>, Refusal> {
    let text = |field: &str| binding["roleRef"][field].as_str().unwrap_or_default();
    let (kind, name) = (text("kind"), text("name"));
    let role_resource = if kind == "Role" { "roles" } else { "clusterroles" };
    if may(rbac, user, "bind", role_resource, namespace, name) {
        return Ok(None);
    }
    match rbac.role(kind, namespace, name) {
        Some(rules) => Ok(Some(rules.to_vec())),
        None => Err(Refusal::not_found(RBAC_GROUP, role_resource, name)),
    }
}

fn may(rbac: &Rbac, user: &UserInfo, verb: &str, resource: &str, namespace: &str, name: &str) -> bool {
    let attributes = Attributes::Resource {
        verb: verb.into(),
        group: RBAC_GROUP.into(),
        version: "v1".into(),
        resource: resource.into(),
        subresource: String::new(),
        namespace: namespace.into(),
        name: name.into(),
    };
    rbac.authorize(user, &attributes).is_ok()
}

/// Whether a field is the same in both; a missing one, `null` and an empty list are.
fn same(old: &Value, new: &Value, field: &str) -> bool {
    let is_empty = |value: &Value| value.is_null() || value.as_array().is_some_and(Vec::is_empty);
    old[field] == new[field] || (is_empty(&old[field]) && is_empty(&new[field]))
}

/// A rule as rules of one verb on one resource (of one name) or one path each.
fn break_down(rule: &Rule) -> Vec<Rule> {
    let mut parts = Vec::new();
    let one = |word: &String| vec![word.clone()];
    for verb in &rule.verbs {
        for url in &rule.non_resource_urls {
            parts.push(Rule { verbs: one(verb), non_resource_urls: one(url), ..Rule::default() });
        }
        for group in &rule.api_groups {
            for resource in &rule.resources {
                let part = Rule {
                    verbs: one(verb),
                    api_groups: one(group),
                    resources: one(resource),
                    ..Rule::default()
                };
                if rule.resource_names.is_empty() {
                    parts.push(part);
                    continue;
                }
                let named = |name| Rule { resource_names: one(name), ..part.clone() };
                parts.extend(rule.resource_names.iter().map(named));
            }
        }
    }
    parts
}

/// Whether a held rule grants all of a broken-down one.
fn covers(held: &Rule, part: &Rule) -> bool {
    let verbs = part.verbs.iter().all(|verb| has(&held.verbs, verb));
    if let Some(url) = part.non_resource_urls.first() {
        return verbs && held.non_resource_urls.iter().any(|rule| url_matches(rule, url));
    }
    let resource_covered = |wanted: &String| {
        let (resource, subresource) = wanted.split_once('/').unwrap_or((wanted, ""));
        held.resources.iter().any(|rule| rule == wanted || resource_matches(rule, resource, subresource))
    };
    let names = held.resource_names.is_empty()
        || (!part.resource_names.is_empty()
            && part.resource_names.iter().all(|name| held.resource_names.contains(name)));
    verbs
        && part.api_groups.iter().all(|group| has(&held.api_groups, group))
        && part.resources.iter().all(resource_covered)
        && names
}

fn explain(user: &UserInfo, uncovered: &[Rule]) -> String {
    let mut text = format!(
        "user {:?} (groups={:?}) is attempting to grant RBAC permissions not currently held:",
        user.name, user.groups
    );
    for rule in uncovered {
        let mut parts = Vec::new();
        for (label, words) in [
            ("APIGroups", &rule.api_groups),
            ("Resources", &rule.resources),
            ("ResourceNames", &rule.resource_names),
            ("NonResourceURLs", &rule.non_resource_urls),
            ("Verbs", &rule.verbs),
        ] {
            if !words.is_empty() {
                parts.push(format!("{label}:{words:?}"));
            }
        }
        text.push_str(&format!("\n{{{}}}", parts.join(", ")));
    }
    text
}
