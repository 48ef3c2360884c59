//! The policy file: `audit.k8s.io/v1` Policy, read and checked. Pure.

use serde::Deserialize;

/// How much of a request is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub enum Level {
    None,
    Metadata,
    Request,
    RequestResponse,
}

impl Level {
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Metadata => "Metadata",
            Self::Request => "Request",
            Self::RequestResponse => "RequestResponse",
        }
    }
}

/// When something is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Stage {
    RequestReceived,
    ResponseStarted,
    ResponseComplete,
    Panic,
}

impl Stage {
    pub fn name(self) -> &'static str {
        match self {
            Self::RequestReceived => "RequestReceived",
            Self::ResponseStarted => "ResponseStarted",
            Self::ResponseComplete => "ResponseComplete",
            Self::Panic => "Panic",
        }
    }
}

/// Rules in their order: the first that fits decides, and without one nothing is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Policy {
    api_version: String,
    kind: String,
    #[serde(default)]
    #[allow(dead_code, reason = "it may be there, and means nothing")]
    metadata: serde_json::Value,
    pub rules: Vec<Rule>,
    #[serde(default)]
    pub omit_stages: Vec<Stage>,
    #[serde(default)]
    pub omit_managed_fields: bool,
}

/// Which requests are written how. An empty list is everything.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    pub level: Level,
    #[serde(default)]
    pub users: Vec<String>,
    #[serde(default)]
    pub user_groups: Vec<String>,
    #[serde(default)]
    pub verbs: Vec<String>,
    #[serde(default)]
    pub resources: Vec<GroupResources>,
    #[serde(default)]
    pub namespaces: Vec<String>,
    #[serde(default, rename = "nonResourceURLs")]
    pub non_resource_urls: Vec<String>,
    #[serde(default)]
    pub omit_stages: Vec<Stage>,
    #[serde(default)]
    pub omit_managed_fields: Option<bool>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct GroupResources {
    pub group: String,
    pub resources: Vec<String>,
    pub resource_names: Vec<String>,
}

/// Why a policy is none.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    #[error("audit policy is not valid: {0}")]
    Syntax(String),
    #[error("audit policy is {0} {1}; a Policy of audit.k8s.io/v1 is needed")]
    Kind(String, String),
    #[error("audit policy has no rules; write at least one, such as \"- level: Metadata\"")]
    Empty,
    #[error("audit policy: rules[{index}]: {why}")]
    Rule { index: usize, why: String },
}

impl Default for Policy {
    /// Every request without its content, once it is answered.
    fn default() -> Self {
        let everything = Rule {
            level: Level::Metadata,
            users: Vec::new(),
            user_groups: Vec::new(),
            verbs: Vec::new(),
            resources: Vec::new(),
            namespaces: Vec::new(),
            non_resource_urls: Vec::new(),
            omit_stages: Vec::new(),
            omit_managed_fields: None,
        };
        Self {
            api_version: API_VERSION.into(),
            kind: "Policy".into(),
            metadata: serde_json::Value::Null,
            rules: vec![everything],
            omit_stages: vec![Stage::RequestReceived],
            omit_managed_fields: true,
        }
    }
}

const API_VERSION: &str = "audit.k8s.io/v1";

impl Policy {
    /// Reads YAML or JSON.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let policy: Self =
            serde_saphyr::from_str(text).map_err(|error| PolicyError::Syntax(error.to_string()))?;
        if policy.api_version != API_VERSION || policy.kind != "Policy" {
            return Err(PolicyError::Kind(policy.api_version, policy.kind));
        }
        if policy.rules.is_empty() {
            return Err(PolicyError::Empty);
        }
        for (index, rule) in policy.rules.iter().enumerate() {
            rule.check().map_err(|why| PolicyError::Rule { index, why })?;
        }
        Ok(policy)
    }
}

impl Rule {
    fn check(&self) -> Result<(), String> {
        let of_resources = !self.resources.is_empty() || !self.namespaces.is_empty();
        if of_resources && !self.non_resource_urls.is_empty() {
            return Err("rules cannot apply to both regular resources and non-resource URLs".into());
        }
        for url in &self.non_resource_urls {
            let inner = url.strip_suffix('*').unwrap_or(url);
            if url != "*" && (!url.starts_with('/') || inner.contains('*')) {
                return Err(format!(
                    "{url:?} is no path: it begins with \"/\" and has \"*\" at its end only"
                ));
            }
        }
        for resources in &self.resources {
            if resources.resources.is_empty() && !resources.resource_names.is_empty() {
                return Err("resourceNames need resources beside them".into());
            }
            if let Some(bad) = resources.group.split('.').find(|label| label.contains('/')) {
                return Err(format!("group {bad:?} must not include a version"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str, why: &str) {
        let error = Policy::parse(text).expect_err(text).to_string();
        assert!(error.contains(why), "{text}: {error}");
    }

    #[test]
    fn a_policy_is_read_and_a_wrong_one_refused() {
        let head = "apiVersion: audit.k8s.io/v1\nkind: Policy\n";
        let policy = Policy::parse(&format!(
            "{head}omitStages: [RequestReceived]\nrules:\n- level: None\n  users: [a]\n  verbs: [watch]\n  \
             resources:\n  - group: ''\n    resources: [endpoints]\n- level: RequestResponse\n"
        ))
        .unwrap();
        assert_eq!((policy.rules[0].level, policy.rules[1].level), (Level::None, Level::RequestResponse));
        assert_eq!(policy.omit_stages, [Stage::RequestReceived]);
        refused(&format!("{head}rules: []"), "no rules");
        refused(&format!("{head}rules:\n- level: Loud"), "not valid");
        refused(&format!("{head}rules:\n- level: None\n  colour: red"), "not valid");
        refused("apiVersion: audit.k8s.io/v1beta1\nkind: Policy\nrules: []", "v1beta1");
        let both = "rules:\n- level: None\n  namespaces: [a]\n  nonResourceURLs: ['/x']";
        refused(&format!("{head}{both}"), "rules[0]: rules cannot apply to both");
        refused(&format!("{head}rules:\n- level: None\n  nonResourceURLs: ['/a*b']"), "is no path");
    }
}
