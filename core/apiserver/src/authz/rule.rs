//! One rule of a role, and what it matches. Pure.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tiphys_api::auth::Attributes;

/// A PolicyRule of `rbac.authorization.k8s.io/v1`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rule {
    #[serde(deserialize_with = "list")]
    pub verbs: Vec<String>,
    #[serde(deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    pub api_groups: Vec<String>,
    #[serde(deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    #[serde(deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    pub resource_names: Vec<String>,
    #[serde(rename = "nonResourceURLs", deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    pub non_resource_urls: Vec<String>,
}

/// A list that may be `null`.
fn list<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl Rule {
    /// The rules of a role object; what is not a rule is left out.
    pub fn of_role(role: &Value) -> Vec<Self> {
        let rules = role["rules"].as_array().into_iter().flatten();
        rules.filter_map(|rule| Self::deserialize(rule).ok()).collect()
    }

    pub fn allows(&self, attributes: &Attributes) -> bool {
        match attributes {
            Attributes::NonResource { verb, path } => {
                has(&self.verbs, verb) && self.non_resource_urls.iter().any(|url| url_matches(url, path))
            }
            Attributes::Resource { verb, group, resource, subresource, name, .. } => {
                has(&self.verbs, verb)
                    && has(&self.api_groups, group)
                    && self.resources.iter().any(|rule| resource_matches(rule, resource, subresource))
                    && (self.resource_names.is_empty() || self.resource_names.contains(name))
            }
        }
    }
}

/// Whether the list holds the word, or `*`.
pub fn has(list: &[String], word: &str) -> bool {
    list.iter().any(|entry| entry == "*" || entry == word)
}

/// `*` is everything, `*/scale` that subresource of everything, `pods` not its subresources.
pub fn resource_matches(rule: &str, resource: &str, subresource: &str) -> bool {
    match rule.split_once('/') {
        None => rule == "*" || (rule == resource && subresource.is_empty()),
        Some(("*", rule_subresource)) => rule_subresource == subresource,
        Some((rule_resource, rule_subresource)) => {
            rule_resource == resource && rule_subresource == subresource
        }
    }
}

/// `*` is everything, `/healthz/*` everything below (and `/healthz/` itself).
pub fn url_matches(rule: &str, path: &str) -> bool {
    rule == path || rule.strip_suffix('*').is_some_and(|prefix| path.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(rule: Value, verb: &str, what: &str, expected: bool) {
        let rule: Rule = serde_json::from_value(rule).unwrap();
        let attributes = if what.starts_with('/') {
            Attributes::NonResource { verb: verb.into(), path: what.into() }
        } else {
            let (what, name) = what.split_once(' ').unwrap_or((what, ""));
            let (group, resource) = what.split_once(':').unwrap_or(("", what));
            let Attributes::Resource { verb, version, resource, subresource, namespace, .. } =
                Attributes::core(verb, resource, "ns")
            else {
                unreachable!()
            };
            let (group, name) = (group.into(), name.into());
            Attributes::Resource { verb, group, version, resource, subresource, namespace, name }
        };
        assert_eq!(rule.allows(&attributes), expected, "{rule:?} {attributes:?}");
    }

    #[test]
    fn a_rule_matches_what_it_names() {
        let pods = json!({ "apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get", "list"] });
        check(pods.clone(), "get", "pods web", true);
        check(pods.clone(), "delete", "pods web", false);
        check(pods.clone(), "get", "pods/log web", true);
        check(pods.clone(), "get", "pods/exec web", false);
        check(pods.clone(), "get", "metrics.k8s.io:pods web", false);
        check(pods, "get", "/pods", false);
        let scale = json!({ "apiGroups": ["*"], "resources": ["*/scale"], "verbs": ["*"] });
        check(scale.clone(), "patch", "apps:deployments/scale", true);
        check(scale, "patch", "apps:deployments", false);
        let all = json!({ "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"] });
        check(all.clone(), "create", "pods/exec web", true);
        check(all, "get", "/healthz", false);
    }

    #[test]
    fn names_and_urls_narrow_a_rule() {
        let named =
            json!({ "apiGroups": [""], "resources": ["secrets"], "verbs": ["get"], "resourceNames": ["a"] });
        check(named.clone(), "get", "secrets a", true);
        check(named.clone(), "get", "secrets b", false);
        check(named, "get", "secrets", false);
        let urls = json!({ "nonResourceURLs": ["/healthz", "/livez/*"], "verbs": ["get"] });
        check(urls.clone(), "get", "/healthz", true);
        check(urls.clone(), "get", "/healthz/etcd", false);
        check(urls.clone(), "get", "/livez/ping", true);
        check(urls.clone(), "post", "/healthz", false);
        check(urls, "get", "secrets a", false);
        check(json!({ "nonResourceURLs": ["*"], "verbs": ["*"] }), "put", "/anything", true);
        check(json!({ "verbs": null, "rules": 3 }), "get", "pods", false);
    }
}
