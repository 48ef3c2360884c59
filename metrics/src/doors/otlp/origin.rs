//! Which Pod, container and node a resource's metrics are of: what the resource says, else whose
//! token was shown. By these labels autoscalers find the metrics of Pods, and replicas that have no
//! `service.instance.id` are several series. Pure.
//!
//! What it must not do: give anybody's series the Pod of another namespace than their own.

use opentelemetry_proto::tonic::common::v1::KeyValue;
use tiphys_api::auth::UserInfo;

use super::attributes::find;
use crate::doors::gate::Into;

/// Whose requests are understood.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sender {
    /// What its series get; absent: what they say.
    namespace: Option<String>,
    /// Of the Pod whose token it shows, where that is of the namespace. Empty: there is none.
    pod: String,
    uid: String,
    node: String,
}

/// What is known of where metrics come from.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Labels of all points that don't say otherwise.
    pub labels: Vec<(&'static str, String)>,
    /// What tells replicas apart that don't do so themselves.
    pub instance: Option<String>,
}

impl Sender {
    pub fn new(user: Option<&UserInfo>, into: &Into) -> Self {
        let Into::Namespace(namespace) = into else { return Self::default() };
        let account = user.and_then(|user| user.name.strip_prefix("system:serviceaccount:"));
        let own = account.and_then(|account| account.split(':').next());
        let said = |key: &str| {
            let user = user.filter(|_| own == Some(namespace.as_str()))?;
            user.extra.get(&format!("authentication.kubernetes.io/{key}"))?.first().cloned()
        };
        let said = |key| said(key).unwrap_or_default();
        let (pod, uid, node) = (said("pod-name"), said("pod-uid"), said("node-name"));
        Self { namespace: Some(namespace.clone()), pod, uid, node }
    }

    /// The namespace that its series get, or `*`.
    pub fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or("*")
    }

    /// Where the metrics of a resource with these attributes come from.
    pub fn origin(&self, resource: &[KeyValue]) -> Origin {
        let said = |key| find(resource, key);
        let namespace = said("k8s.namespace.name");
        let mut labels = Vec::new();
        let mut put = |label: &'static str, value: Option<String>| {
            labels.extend(value.filter(|value| !value.is_empty()).map(|value| (label, value)));
        };
        let node = said("k8s.node.name");
        if let (Some(own), Some(other)) = (&self.namespace, &namespace)
            && own != other
        {
            // A Pod of that name may be here, too, and is another one.
            put("node", node);
            return Origin { labels, instance: None };
        }
        let (name, uid) = (said("k8s.pod.name"), said("k8s.pod.uid"));
        let is_senders =
            name.is_none() && !self.pod.is_empty() && uid.as_ref().is_none_or(|uid| *uid == self.uid);
        let pod = if is_senders { Some(self.pod.clone()) } else { name };
        if self.namespace.is_none() {
            put("namespace", namespace);
        }
        put("pod", pod.clone());
        put("container", said("k8s.container.name"));
        put("node", node.or_else(|| is_senders.then(|| self.node.clone())));
        Origin { labels, instance: pod.or(uid) }
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value};

    use super::*;

    fn attributes(pairs: &[(&str, &str)]) -> Vec<KeyValue> {
        let pair = |(key, value): &(&str, &str)| {
            let value = AnyValue { value: Some(any_value::Value::StringValue((*value).into())) };
            KeyValue { key: (*key).into(), value: Some(value), ..Default::default() }
        };
        pairs.iter().map(pair).collect()
    }

    /// A service account whose token was made for Pod `web-1`.
    fn user(namespace: &str) -> UserInfo {
        let mut user = UserInfo::named(format!("system:serviceaccount:{namespace}:app"), &[]);
        for (key, value) in [("pod-name", "web-1"), ("pod-uid", "u1"), ("node-name", "n1")] {
            user.extra.insert(format!("authentication.kubernetes.io/{key}"), vec![value.into()]);
        }
        user
    }

    fn told(sender: &Sender, resource: &[(&str, &str)]) -> String {
        let Origin { labels, instance } = sender.origin(&attributes(resource));
        let labels = labels.iter().map(|(label, value)| format!("{label}={value}"));
        let instance = instance.into_iter().map(|instance| format!("instance:{instance}"));
        labels.chain(instance).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_a_resource_says_of_its_pod_comes_before_the_token() {
        let shop = Into::Namespace("shop".into());
        let (with, without) = (Sender::new(Some(&user("shop")), &shop), Sender::new(None, &shop));
        let said = [("k8s.pod.name", "db-0"), ("k8s.container.name", "db"), ("k8s.node.name", "n2")];
        for sender in [&with, &without] {
            assert_eq!(told(sender, &said), "pod=db-0 container=db node=n2 instance:db-0");
            // Another Pod, whose name isn't known.
            assert_eq!(told(sender, &[("k8s.pod.uid", "u7")]), "instance:u7");
        }
        let own = "pod=web-1 node=n1 instance:web-1";
        assert_eq!(told(&with, &[]), own);
        assert_eq!(told(&with, &[("k8s.pod.uid", "u1"), ("k8s.namespace.name", "shop")]), own);
        let of_container = told(&with, &[("k8s.container.name", "app")]);
        assert_eq!(of_container, "pod=web-1 container=app node=n1 instance:web-1");
        assert_eq!(told(&without, &[("service.name", "cart")]), "");
    }

    #[test]
    fn abuse_29_a_pod_of_another_namespace_is_not_named() {
        let shop = Into::Namespace("shop".into());
        let said = [("k8s.namespace.name", "bank"), ("k8s.pod.name", "teller"), ("k8s.node.name", "n2")];
        let own = Sender::new(Some(&user("shop")), &shop);
        assert_eq!(told(&own, &said), "node=n2");
        assert_eq!(told(&own, &said[..1]), "", "and it is not the sender's");
        // Who may write to a namespace beside its own has no Pod there.
        assert_eq!(told(&Sender::new(Some(&user("ops")), &shop), &[]), "");
        // Who may write to all forwards for others.
        let any = Sender::new(Some(&user("ops")), &Into::Any);
        assert_eq!(told(&any, &said), "namespace=bank pod=teller node=n2 instance:teller");
        assert_eq!((told(&any, &[]), any.namespace()), (String::new(), "*"));
    }
}
