//! `EncryptionConfiguration` of apiserver.config.k8s.io/v1, as
//! `--encryption-provider-config` names it. Pure but for reading the file.

use std::path::{Path, PathBuf};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Deserialize;

use super::{
    keyring::{Key, Keyring, Provider, Rule},
    resource::Pattern,
};
use crate::request::yaml;

/// Why a configuration can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{} can't be read", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("{}: {why}", path.display())]
    Invalid { path: PathBuf, why: String },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Document {
    api_version: String,
    kind: String,
    resources: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    resources: Vec<String>,
    providers: Vec<serde_json::Map<String, serde_json::Value>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AesGcm {
    keys: Vec<NamedKey>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedKey {
    name: String,
    secret: String,
}

impl Keyring {
    /// Reads a configuration from a file.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::File { path: path.to_owned(), source })?;
        Self::parse(&text).map_err(|why| ConfigError::Invalid { path: path.to_owned(), why })
    }

    /// Reads a configuration from YAML or JSON text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let value = yaml::read(text).map_err(|error| error.message.clone())?;
        let document: Document = serde_json::from_value(value).map_err(|error| error.to_string())?;
        if document.api_version != "apiserver.config.k8s.io/v1" || document.kind != "EncryptionConfiguration"
        {
            return Err(format!(
                "it must be an EncryptionConfiguration of apiserver.config.k8s.io/v1, not {} of {}",
                document.kind, document.api_version
            ));
        }
        let rules =
            document.resources.iter().enumerate().map(|(n, entry)| {
                rule(entry).map_err(|(field, why)| format!("resources[{n}].{field}: {why}"))
            });
        Ok(Self::new(rules.collect::<Result<_, _>>()?))
    }
}

type Wrong = (String, String);

fn rule(entry: &Entry) -> Result<Rule, Wrong> {
    let at = |field: &str, n: usize| format!("{field}[{n}]");
    let mut patterns = Vec::new();
    for (n, text) in entry.resources.iter().enumerate() {
        let wrong = || (at("resources", n), format!("{text:?} is no resource such as secrets or *.apps"));
        patterns.push(Pattern::parse(text).ok_or_else(wrong)?);
    }
    let mut providers = Vec::new();
    for (n, named) in entry.providers.iter().enumerate() {
        let mut names = named.iter();
        let (Some((name, settings)), None) = (names.next(), names.next()) else {
            return Err((at("providers", n), "it must have exactly one provider".to_owned()));
        };
        providers.push(provider(name, settings).map_err(|why| (at("providers", n), why))?);
    }
    match (patterns.is_empty(), providers.is_empty()) {
        (true, _) => Err(("resources".to_owned(), "at least one is needed".to_owned())),
        (_, true) => Err(("providers".to_owned(), "at least one is needed".to_owned())),
        _ => Ok(Rule { patterns, providers }),
    }
}

fn provider(name: &str, settings: &serde_json::Value) -> Result<Provider, String> {
    match name {
        "identity" => Ok(Provider::Identity),
        "aesgcm" => {
            let AesGcm { keys } =
                serde_json::from_value(settings.clone()).map_err(|error| format!("aesgcm: {error}"))?;
            let mut read = Vec::new();
            for NamedKey { name, secret } in keys {
                if name.is_empty() || name.contains(':') {
                    return Err(format!("aesgcm: {name:?} is no name of a key: it must have no colon"));
                }
                let secret = BASE64_STANDARD.decode(secret.trim());
                let secret = secret.map_err(|_| format!("aesgcm: the secret of {name} is not base64"))?;
                read.push(Key::new(&name, &secret).map_err(|why| format!("aesgcm: {why}"))?);
            }
            if read.is_empty() { Err("aesgcm: it has no key".to_owned()) } else { Ok(Provider::AesGcm(read)) }
        }
        other => Err(format!("provider {other} is not supported; use aesgcm")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [secrets, configmaps]
  providers:
  - aesgcm:
      keys:
      - {name: key1, secret: c2VjcmV0IGlzIHNlY3VyZQ==}
  - identity: {}
";

    #[test]
    fn the_format_of_kubernetes_is_understood() {
        Keyring::parse(GOOD).expect("good");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (from, to, word) in [
            ("EncryptionConfiguration", "Pod", "must be an EncryptionConfiguration"),
            ("[secrets, configmaps]", "[]", "resources[0].resources: at least one"),
            ("[secrets, configmaps]", "['*']", "resources[0].resources[0]: \"*\" is no resource"),
            ("aesgcm", "aescbc", "resources[0].providers[0]: provider aescbc is not supported"),
            ("c2VjcmV0IGlzIHNlY3VyZQ==", "'###'", "the secret of key1 is not base64"),
            ("c2VjcmV0IGlzIHNlY3VyZQ==", "c2hvcnQ=", "16, 24 or 32 bytes, not 5"),
            ("key1", "'a:b'", "must have no colon"),
            ("secret:", "sekret:", "sekret"),
        ] {
            let error = Keyring::parse(&GOOD.replace(from, to)).expect_err(to);
            assert!(error.contains(word), "{to}: {error}");
            assert!(!error.contains("c2VjcmV0"), "a key is shown: {error}");
        }
    }
}
