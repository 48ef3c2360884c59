//! Which secrets a Pod may refer to. Pure.

use serde_json::Value;

use crate::admission::items;

/// An account that bears it lets its Pods use only the secrets that it names.
const ENFORCE: &str = "kubernetes.io/enforce-mountable-secrets";

/// A mirror Pod comes from a node: it must not reach for the API's secrets.
pub fn of_mirror_pod(pod: &Value) -> Option<String> {
    let spec = &pod["spec"];
    if spec["serviceAccountName"].as_str().is_some_and(|name| !name.is_empty()) {
        return Some("a mirror pod may not reference service accounts".into());
    }
    let sources = || items(&spec["volumes"]).flat_map(|volume| items(&volume["projected"]["sources"]));
    let has = |field: &str| sources().any(|source| !source[field].is_null());
    let containers = ["containers", "initContainers"].into_iter().flat_map(|list| items(&spec[list]));
    let in_environment = containers.flat_map(environment_secrets).next().is_some();
    let in_volumes = items(&spec["volumes"]).any(|volume| !volume["secret"].is_null());
    if in_volumes || in_environment || has("secret") {
        return Some("a mirror pod may not reference secrets".into());
    }
    has("serviceAccountToken")
        .then(|| "a mirror pod may not use ServiceAccountToken volume projections".into())
}

/// `(variable, secret)`
fn environment_secrets(container: &Value) -> impl Iterator<Item = (&str, &str)> {
    items(&container["env"]).filter_map(|variable| {
        let secret = variable["valueFrom"]["secretKeyRef"]["name"].as_str()?;
        Some((variable["name"].as_str().unwrap_or_default(), secret))
    })
}

struct Account<'a> {
    name: &'a str,
    account: &'a Value,
}

impl<'a> Account<'a> {
    /// `None` where the account leaves its Pods free.
    fn strict(account: &'a Value) -> Option<Self> {
        let value = account["metadata"]["annotations"][ENFORCE].as_str().unwrap_or_default();
        let strict = matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True");
        let name = account["metadata"]["name"].as_str().unwrap_or_default();
        strict.then_some(Self { name, account })
    }

    fn names(&self, list: &str, secret: &str) -> bool {
        items(&self.account[list]).any(|reference| reference["name"] == secret)
    }

    fn of_environment(&self, spec: &Value, list: &str, word: &str) -> Option<String> {
        items(&spec[list]).find_map(|container| {
            let name = container["name"].as_str().unwrap_or_default();
            let (variable, secret) =
                environment_secrets(container).find(|(_, secret)| !self.names("secrets", secret))?;
            Some(format!(
                "{word} {name} with envVar {variable} referencing secret.secretName={secret:?} is not allowed \
                 because service account {} does not reference that secret",
                self.name
            ))
        })
    }
}

pub fn beyond_account(pod: &Value, account: &Value) -> Option<String> {
    let account = Account::strict(account)?;
    let spec = &pod["spec"];
    let mut in_volumes = items(&spec["volumes"]).filter_map(|volume| volume["secret"]["secretName"].as_str());
    if let Some(secret) = in_volumes.find(|secret| !account.names("secrets", secret)) {
        return Some(format!(
            "volume with secret.secretName={secret:?} is not allowed because service account {} does not \
             reference that secret",
            account.name
        ));
    }
    let environment = [("initContainers", "init container"), ("containers", "container")];
    if let Some(why) = environment.iter().find_map(|(list, word)| account.of_environment(spec, list, word)) {
        return Some(why);
    }
    let pulls = items(&spec["imagePullSecrets"]).enumerate();
    let mut pulls = pulls.filter_map(|(index, secret)| Some((index, secret["name"].as_str()?)));
    let (index, secret) = pulls.find(|(_, secret)| !account.names("imagePullSecrets", secret))?;
    Some(format!(
        "imagePullSecrets[{index}].name={secret:?} is not allowed because service account {} does not \
         reference that imagePullSecret",
        account.name
    ))
}

pub fn of_ephemeral_containers(pod: &Value, account: &Value) -> Option<String> {
    let account = Account::strict(account)?;
    account.of_environment(&pod["spec"], "ephemeralContainers", "ephemeral container")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(spec: Value) -> Value {
        json!({ "spec": spec })
    }

    #[test]
    fn a_strict_account_bounds_its_pods() {
        let strict = json!({
            "metadata": { "name": "robot", "annotations": { ENFORCE: "true" } },
            "secrets": [{ "name": "known" }], "imagePullSecrets": [{ "name": "pull" }],
        });
        let variable = |secret: &str| json!([{ "name": "c", "env": [{ "name": "V", "valueFrom": { "secretKeyRef": { "name": secret } } }] }]);
        let table = [
            (json!({ "volumes": [{ "name": "v", "secret": { "secretName": "known" } }] }), ""),
            (
                json!({ "volumes": [{ "name": "v", "secret": { "secretName": "x" } }] }),
                "volume with secret.secretName=\"x\" is not allowed because service account robot does not reference that secret",
            ),
            (json!({ "containers": variable("known") }), ""),
            (
                json!({ "initContainers": variable("x") }),
                "init container c with envVar V referencing secret.secretName=\"x\" is not allowed because service account robot does not reference that secret",
            ),
            (
                json!({ "imagePullSecrets": [{ "name": "pull" }, { "name": "x" }] }),
                "imagePullSecrets[1].name=\"x\" is not allowed because service account robot does not reference that imagePullSecret",
            ),
        ];
        let free = json!({ "metadata": { "name": "robot" } });
        for (spec, expected) in table {
            let pod = pod(spec);
            assert_eq!(beyond_account(&pod, &strict).unwrap_or_default(), expected);
            assert_eq!(beyond_account(&pod, &free), None);
        }
        let debug = pod(json!({ "ephemeralContainers": variable("x") }));
        assert!(of_ephemeral_containers(&debug, &strict).unwrap().starts_with("ephemeral container c"));
    }

    #[test]
    fn a_mirror_pod_reaches_for_nothing() {
        assert_eq!(of_mirror_pod(&pod(json!({ "containers": [{ "name": "c" }] }))), None);
        for bad in [
            json!({ "serviceAccountName": "robot" }),
            json!({ "volumes": [{ "secret": { "secretName": "x" } }] }),
            json!({ "volumes": [{ "projected": { "sources": [{ "secret": {} }] } }] }),
            json!({ "volumes": [{ "projected": { "sources": [{ "serviceAccountToken": {} }] } }] }),
            json!({ "containers": [{ "env": [{ "valueFrom": { "secretKeyRef": { "name": "x" } } }] }] }),
        ] {
            assert!(of_mirror_pod(&pod(bad.clone())).is_some(), "{bad}");
        }
    }
}
