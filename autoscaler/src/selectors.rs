//! Which autoscalers claim the same Pods: their selectors by namespace.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use parking_lot::RwLock;
use tiphys_api::selector::LabelSelector;
use tiphys_client::LeanPod;

use crate::trouble::Trouble;

#[derive(Default)]
struct OfNamespace {
    selectors: BTreeMap<String, LabelSelector>,
    /// Changes with every change of `selectors`.
    version: u64,
}

/// The selector of every autoscaler's target, as far as they have been looked at.
#[derive(Default)]
pub struct Selectors {
    namespaces: RwLock<HashMap<String, OfNamespace>>,
}

impl Selectors {
    /// Says what an autoscaler's target selects; gives the version of the namespace's selectors.
    pub fn set(&self, namespace: &str, name: &str, selector: &LabelSelector) -> u64 {
        if let Some(found) = self.namespaces.read().get(namespace)
            && found.selectors.get(name) == Some(selector)
        {
            return found.version;
        }
        let mut namespaces = self.namespaces.write();
        let found = namespaces.entry(namespace.to_owned()).or_default();
        found.selectors.insert(name.to_owned(), selector.clone());
        found.version += 1;
        found.version
    }

    /// An autoscaler is gone.
    pub fn forget(&self, namespace: &str, name: &str) {
        let mut namespaces = self.namespaces.write();
        let Some(found) = namespaces.get_mut(namespace) else { return };
        found.version += u64::from(found.selectors.remove(name).is_some());
        if found.selectors.is_empty() {
            namespaces.remove(namespace);
        }
    }

    /// The autoscalers that select any of these Pods, by name.
    pub fn claiming(&self, namespace: &str, pods: &[Arc<LeanPod>]) -> Vec<String> {
        let namespaces = self.namespaces.read();
        let Some(found) = namespaces.get(namespace) else { return Vec::new() };
        let claims = |selector: &LabelSelector| pods.iter().any(|pod| selector.matches(&pod.labels));
        let claiming = found.selectors.iter().filter(|(_, selector)| claims(selector));
        claiming.map(|(name, _)| name.clone()).collect()
    }
}

/// The target's selector as the API gives it, or why no metric can be asked.
pub fn parse(text: &str) -> Result<LabelSelector, Trouble> {
    if text.is_empty() {
        return Err(Trouble {
            reason: "InvalidSelector",
            message: "the HPA target's scale is missing a selector".to_owned(),
            wrapped: "selector is required".to_owned(),
        });
    }
    LabelSelector::parse(text).map_err(|error| {
        let why = format!("couldn't convert selector into a corresponding internal selector object: {error}");
        Trouble { reason: "InvalidSelector", message: why.clone(), wrapped: why }
    })
}

/// What several autoscalers over the same Pods are told; two of them are named.
pub fn ambiguous(namespace: &str, selector: &str, names: &[String]) -> Trouble {
    let keys: Vec<_> = names.iter().take(2).map(|name| format!("{namespace}/{name}")).collect();
    let keys = keys.join(" ");
    let why = format!("pods by selector {selector} are controlled by more than one HPA (e.g. [{keys}])");
    Trouble { reason: "AmbiguousSelector", message: why.clone(), wrapped: why }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn two_autoscalers_over_the_same_pods_are_both_named() {
        let pod = json!({"metadata": {"name": "web-1", "namespace": "shop", "labels": {"app": "web", "tier": "front"}}});
        let pods = [Arc::new(serde_json::from_value::<LeanPod>(pod).expect("a Pod"))];
        let selectors = Selectors::default();
        let of = |text: &str| parse(text).expect("a selector");
        let first = selectors.set("shop", "a", &of("app=web"));
        assert_eq!(selectors.set("shop", "a", &of("app=web")), first);
        assert_ne!(selectors.set("shop", "b", &of("tier=front")), first);
        selectors.set("shop", "c", &of("app=db"));
        selectors.set("other", "d", &of("app=web"));
        assert_eq!(selectors.claiming("shop", &pods), ["a", "b"]);
        let trouble = ambiguous("shop", "app=web", &selectors.claiming("shop", &pods));
        let text = "pods by selector app=web are controlled by more than one HPA (e.g. [shop/a shop/b])";
        assert_eq!((trouble.reason, &*trouble.message), ("AmbiguousSelector", text));
        let three = ["a".to_owned(), "b".to_owned(), "c".to_owned()];
        assert_eq!(ambiguous("shop", "app=web", &three), trouble);
        selectors.forget("shop", "b");
        assert_eq!(selectors.claiming("shop", &pods), ["a"]);
    }

    #[test]
    fn a_scale_without_a_selector_is_said_as_upstream_says_it() {
        let trouble = parse("").expect_err("none");
        assert_eq!((trouble.reason, &*trouble.wrapped), ("InvalidSelector", "selector is required"));
        assert!(parse("a in (").is_err());
    }
}
