//! Which issuers are trusted, and how their claims become users: flags, or the
//! file `AuthenticationConfiguration` of `apiserver.config.k8s.io/v1`. Pure.

use jsonwebtoken::Algorithm;
use serde::Deserialize;

use crate::authn::ISSUER;

const API_VERSIONS: [&str; 2] = ["apiserver.config.k8s.io/v1", "apiserver.config.k8s.io/v1beta1"];

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuthenticationConfiguration {
    api_version: String,
    kind: String,
    #[serde(default)]
    pub jwt: Vec<Jwt>,
    #[serde(default)]
    pub anonymous: Option<Anonymous>,
}

/// Whether requests without credentials are let in, and for which paths (none: all).
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Anonymous {
    pub enabled: bool,
    #[serde(default)]
    pub conditions: Vec<PathCondition>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PathCondition {
    pub path: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Jwt {
    pub issuer: Issuer,
    #[serde(default)]
    pub claim_validation_rules: Vec<ClaimRule>,
    pub claim_mappings: Mappings,
    #[serde(default)]
    pub user_validation_rules: Vec<serde_json::Value>,
    #[serde(skip, default = "all_algorithms")]
    pub algorithms: Vec<Algorithm>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Issuer {
    pub url: String,
    #[serde(default, rename = "discoveryURL")]
    discovery_url: String,
    /// PEM text; none: the machine's roots.
    #[serde(default)]
    pub certificate_authority: Option<String>,
    pub audiences: Vec<String>,
    #[serde(default)]
    audience_match_policy: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ClaimRule {
    pub claim: String,
    pub required_value: String,
    expression: String,
    message: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mappings {
    pub username: Mapping,
    pub groups: Mapping,
    pub uid: Mapping,
    extra: Vec<serde_json::Value>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mapping {
    pub claim: String,
    pub prefix: Option<String>,
    expression: String,
}

/// The options `--oidc-*`, for one issuer.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    pub issuer_url: String,
    pub client_id: String,
    /// PEM text.
    pub certificate_authority: Option<String>,
    pub username_claim: String,
    pub username_prefix: String,
    pub groups_claim: String,
    pub groups_prefix: String,
    pub signing_algorithms: Vec<String>,
    /// `key=value`
    pub required_claims: Vec<String>,
}

/// Why a configuration is none.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("authentication configuration is not valid: {0}")]
    Syntax(String),
    #[error("authentication configuration: {field}: {why}")]
    Field { field: String, why: String },
    #[error("certificate authority of an issuer is not valid: {0}")]
    Authority(String),
}

fn wrong(field: impl Into<String>, why: &str) -> ConfigError {
    ConfigError::Field { field: field.into(), why: why.into() }
}

fn all_algorithms() -> Vec<Algorithm> {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    vec![RS256, RS384, RS512, ES256, ES384, PS256, PS384, PS512, EdDSA]
}

impl AuthenticationConfiguration {
    /// Reads YAML or JSON.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let config: Self =
            serde_saphyr::from_str(text).map_err(|error| ConfigError::Syntax(error.to_string()))?;
        if !API_VERSIONS.contains(&config.api_version.as_str())
            || config.kind != "AuthenticationConfiguration"
        {
            return Err(wrong(
                "kind",
                "an AuthenticationConfiguration of apiserver.config.k8s.io/v1 is needed",
            ));
        }
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        for (index, jwt) in self.jwt.iter().enumerate() {
            jwt.check(&format!("jwt[{index}]"))?;
            if self.jwt[..index].iter().any(|other| other.issuer.url == jwt.issuer.url) {
                return Err(wrong(format!("jwt[{index}].issuer.url"), "is there twice"));
            }
        }
        let paths = self.anonymous.iter().flat_map(|anonymous| &anonymous.conditions);
        if paths.into_iter().any(|condition| !condition.path.starts_with('/')) {
            return Err(wrong("anonymous.conditions", "a path begins with \"/\""));
        }
        Ok(())
    }
}

impl Jwt {
    fn check(&self, at: &str) -> Result<(), ConfigError> {
        self.issuer.check(&format!("{at}.issuer"))?;
        let mappings = &self.claim_mappings;
        let username = format!("{at}.claimMappings.username");
        let expressions =
            [&mappings.username, &mappings.groups, &mappings.uid].map(|mapping| &mapping.expression);
        let uses_cel = expressions.iter().any(|expression| !expression.is_empty())
            || !mappings.extra.is_empty()
            || !self.user_validation_rules.is_empty()
            || self.claim_validation_rules.iter().any(|rule| !rule.expression.is_empty());
        if uses_cel {
            return Err(wrong(at, "expressions of CEL are not supported here; map claims by their names"));
        }
        if mappings.username.claim.is_empty() {
            return Err(wrong(format!("{username}.claim"), "is required"));
        }
        for (name, mapping) in [("username", &mappings.username), ("groups", &mappings.groups)] {
            if !mapping.claim.is_empty() && mapping.prefix.is_none() {
                let field = format!("{at}.claimMappings.{name}.prefix");
                return Err(wrong(field, "is required when claim is set; it may be \"\""));
            }
        }
        for (index, rule) in self.claim_validation_rules.iter().enumerate() {
            let field = format!("{at}.claimValidationRules[{index}].claim");
            if rule.claim.is_empty() {
                return Err(wrong(field, "is required"));
            }
            if self.claim_validation_rules[..index].iter().any(|other| other.claim == rule.claim) {
                return Err(wrong(field, "is there twice"));
            }
        }
        Ok(())
    }
}

impl Issuer {
    /// Where the issuer says where its keys are.
    pub fn discovery_url(&self) -> String {
        match self.discovery_url.as_str() {
            "" => format!("{}/.well-known/openid-configuration", self.url.trim_end_matches('/')),
            url => url.to_owned(),
        }
    }

    fn check(&self, at: &str) -> Result<(), ConfigError> {
        check_url(&self.url, &format!("{at}.url"))?;
        if self.url == ISSUER {
            return Err(wrong(format!("{at}.url"), "is the issuer of service account tokens"));
        }
        if !self.discovery_url.is_empty() {
            check_url(&self.discovery_url, &format!("{at}.discoveryURL"))?;
        }
        let audiences = format!("{at}.audiences");
        if self.audiences.is_empty() || self.audiences.iter().any(String::is_empty) {
            return Err(wrong(audiences, "at least one is required, and none is empty"));
        }
        match (self.audiences.len(), self.audience_match_policy.as_str()) {
            (1, "") | (_, "MatchAny") => Ok(()),
            _ => Err(wrong(format!("{at}.audienceMatchPolicy"), "must be MatchAny for multiple audiences")),
        }
    }
}

fn check_url(url: &str, field: &str) -> Result<(), ConfigError> {
    let parsed: http::Uri = url.parse().map_err(|_| wrong(field, "is no URL"))?;
    if parsed.scheme_str() != Some("https") {
        return Err(wrong(field, "URL scheme must be https"));
    }
    if parsed.host().is_none_or(str::is_empty) || url.contains(['?', '#', '@']) {
        return Err(wrong(field, "must be a host and a path, without user, query and fragment"));
    }
    Ok(())
}

impl Flags {
    /// The configuration that the flags mean.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn config(&self) -> Result<AuthenticationConfiguration, ConfigError> {
        let claim = if self.username_claim.is_empty() { "sub" } else { &self.username_claim };
        // Names that an issuer may choose freely must not be taken for another's.
        let prefix = match (self.username_prefix.as_str(), claim) {
            ("-", _) | ("", "email") => String::new(),
            ("", _) => format!("{}#", self.issuer_url),
            (prefix, _) => prefix.to_owned(),
        };
        let rules = self.required_claims.iter().map(|required| {
            let (claim, value) = required
                .split_once('=')
                .ok_or_else(|| wrong("--oidc-required-claim", "must have the form key=value"))?;
            Ok(ClaimRule { claim: claim.into(), required_value: value.into(), ..ClaimRule::default() })
        });
        let mapping = |claim: &str, prefix: String| Mapping {
            claim: claim.into(),
            prefix: Some(prefix),
            ..Mapping::default()
        };
        let jwt = Jwt {
            issuer: Issuer {
                url: self.issuer_url.clone(),
                discovery_url: String::new(),
                certificate_authority: self.certificate_authority.clone(),
                audiences: vec![self.client_id.clone()],
                audience_match_policy: String::new(),
            },
            claim_validation_rules: rules.collect::<Result<_, _>>()?,
            claim_mappings: Mappings {
                username: mapping(claim, prefix),
                groups: mapping(&self.groups_claim, self.groups_prefix.clone()),
                ..Mappings::default()
            },
            user_validation_rules: Vec::new(),
            algorithms: self.algorithms()?,
        };
        let config = AuthenticationConfiguration { jwt: vec![jwt], ..AuthenticationConfiguration::default() };
        config.check()?;
        Ok(config)
    }

    fn algorithms(&self) -> Result<Vec<Algorithm>, ConfigError> {
        if self.signing_algorithms.is_empty() {
            return Ok(vec![Algorithm::RS256]);
        }
        let parse = |name: &String| {
            let found: Result<Algorithm, _> = name.parse();
            found
                .ok()
                .filter(|algorithm| all_algorithms().contains(algorithm))
                .ok_or_else(|| wrong("--oidc-signing-algs", &format!("{name:?} is not known")))
        };
        self.signing_algorithms.iter().map(parse).collect()
    }
}
