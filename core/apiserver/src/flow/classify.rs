//! Which FlowSchema a request falls under. Pure.

use serde::Deserialize;
use serde_json::Value;
use tiphys_api::auth::UserInfo;

use crate::{authn::service_account_user, request::info::RequestInfo};

/// The spec of a FlowSchema, as far as it decides something.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Schema {
    pub matching_precedence: i64,
    pub priority_level_configuration: Named,
    distinguisher_method: Option<Method>,
    #[serde(deserialize_with = "list")]
    rules: Vec<Policy>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Named {
    pub name: String,
    namespace: String,
}

#[derive(Debug, Clone, Deserialize)]
struct Method {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Policy {
    #[serde(deserialize_with = "list")]
    subjects: Vec<Subject>,
    #[serde(deserialize_with = "list")]
    resource_rules: Vec<Resources>,
    #[serde(deserialize_with = "list")]
    non_resource_rules: Vec<Paths>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Subject {
    user: Option<Named>,
    group: Option<Named>,
    service_account: Option<Named>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Resources {
    #[serde(deserialize_with = "list")]
    verbs: Vec<String>,
    #[serde(deserialize_with = "list")]
    api_groups: Vec<String>,
    #[serde(deserialize_with = "list")]
    resources: Vec<String>,
    cluster_scope: bool,
    #[serde(deserialize_with = "list")]
    namespaces: Vec<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Paths {
    #[serde(deserialize_with = "list")]
    verbs: Vec<String>,
    #[serde(rename = "nonResourceURLs", deserialize_with = "list")]
    urls: Vec<String>,
}

/// A list that may be `null`.
fn list<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// What a request is about.
pub enum About<'a> {
    Resource(&'a RequestInfo),
    Path { verb: &'a str, path: &'a str },
}

impl Schema {
    pub fn of(object: &Value) -> Option<Self> {
        Self::deserialize(&object["spec"]).ok()
    }

    pub fn fits(&self, user: &UserInfo, about: &About<'_>) -> bool {
        self.rules.iter().any(|rule| {
            rule.subjects.iter().any(|subject| subject.is(user))
                && match about {
                    About::Resource(info) => rule.resource_rules.iter().any(|rule| rule.fits(info)),
                    About::Path { verb, path } => {
                        rule.non_resource_rules.iter().any(|rule| rule.fits(verb, path))
                    }
                }
        })
    }

    /// What tells flows of this schema apart.
    pub fn distinguisher<'a>(&self, user: &'a UserInfo, about: &About<'a>) -> &'a str {
        match (self.distinguisher_method.as_ref().map(|method| method.kind.as_str()), about) {
            (Some("ByUser"), _) => &user.name,
            (Some("ByNamespace"), About::Resource(info)) => &info.namespace,
            _ => "",
        }
    }
}

impl Subject {
    fn is(&self, user: &UserInfo) -> bool {
        let is_user = |named: &Named| named.name == "*" || named.name == user.name;
        let is_group = |named: &Named| named.name == "*" || user.groups.contains(&named.name);
        let is_account = |named: &Named| match named.name.as_str() {
            "*" => user.name.starts_with(&service_account_user(&named.namespace, "")),
            name => user.name == service_account_user(&named.namespace, name),
        };
        self.user.as_ref().is_some_and(is_user)
            || self.group.as_ref().is_some_and(is_group)
            || self.service_account.as_ref().is_some_and(is_account)
    }
}

fn has(list: &[String], word: &str) -> bool {
    list.iter().any(|entry| entry == "*" || entry == word)
}

impl Resources {
    fn fits(&self, info: &RequestInfo) -> bool {
        let in_place = match info.namespace.as_str() {
            "" => self.cluster_scope,
            namespace => has(&self.namespaces, namespace),
        };
        let named = |rule: &String| match rule.split_once('/') {
            None => *rule == info.resource && info.subresource.is_empty(),
            Some((resource, sub)) => resource == info.resource && sub == info.subresource,
        };
        in_place
            && has(&self.verbs, info.verb)
            && has(&self.api_groups, &info.group)
            && self.resources.iter().any(|rule| rule == "*" || named(rule))
    }
}

impl Paths {
    fn fits(&self, verb: &str, path: &str) -> bool {
        let fits = |url: &String| match url.strip_suffix('*') {
            Some(prefix) => path.starts_with(prefix),
            None => url == path,
        };
        has(&self.verbs, verb) && self.urls.iter().any(fits)
    }
}
