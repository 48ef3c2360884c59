//! Whose logs `--for deploy/web` means: the labels that a workload or a Service selects
//! Pods by, so that Pods of rollouts before and after are in.

use k8s_openapi::{
    api::{
        apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet},
        batch::v1::{CronJob, Job},
        core::v1::{Pod, ReplicationController, Service},
    },
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use kube::{Api, Client, ResourceExt, api::ListParams};
use tiphys_logging::query::{Expr, Glob, Part, Text, Value};

use super::scope::{has_label, label, named, not};
use crate::failure::{Failure, OrAsked, Outcome};

/// What can stand before the `/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Pod,
    Deployment,
    StatefulSet,
    DaemonSet,
    ReplicaSet,
    ReplicationController,
    Job,
    CronJob,
    Service,
}

const KINDS: [(Kind, &[&str]); 9] = [
    (Kind::Pod, &["pod", "pods", "po"]),
    (Kind::Deployment, &["deployment", "deployments", "deploy"]),
    (Kind::StatefulSet, &["statefulset", "statefulsets", "sts"]),
    (Kind::DaemonSet, &["daemonset", "daemonsets", "ds"]),
    (Kind::ReplicaSet, &["replicaset", "replicasets", "rs"]),
    (Kind::ReplicationController, &["replicationcontroller", "replicationcontrollers", "rc"]),
    (Kind::Job, &["job", "jobs"]),
    (Kind::CronJob, &["cronjob", "cronjobs", "cj"]),
    (Kind::Service, &["service", "services", "svc"]),
];

/// A workload's kind and name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    kind: Kind,
    name: String,
}

impl Workload {
    /// `deploy/web`, with kubectl's names of kinds.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, name) = text.split_once('/')?;
        let kind = KINDS.iter().find(|(_, names)| names.contains(&kind.to_ascii_lowercase().as_str()))?.0;
        is_name(name).then(|| Self { kind, name: name.to_owned() })
    }

    /// What its Pods' records have.
    ///
    /// # Errors
    /// There is no such object, or it selects nothing.
    pub async fn query(&self, client: &Client, namespace: &str) -> Outcome<Expr> {
        let name = self.name.as_str();
        let pods = match self.kind {
            Kind::Pod => Some(named("pod", name)),
            Kind::CronJob => {
                get::<CronJob>(client, namespace, name).await?;
                // Its Pods are called after it; labels that select them have only its Jobs.
                let parts = vec![Part::Literal(format!("{name}-")), Part::Any];
                Some(Expr::Field { name: "pod".into(), value: Value::Text(Text::Glob(Glob(parts))) })
            }
            Kind::Service => {
                let spec = get::<Service>(client, namespace, name).await?.spec;
                labels(spec.and_then(|spec| spec.selector).iter().flatten())
            }
            Kind::ReplicationController => {
                let spec = get::<ReplicationController>(client, namespace, name).await?.spec;
                labels(spec.and_then(|spec| spec.selector).iter().flatten())
            }
            Kind::Deployment => selected(&get::<Deployment>(client, namespace, name).await?.spec.selector),

            Kind::StatefulSet => selected(&get::<StatefulSet>(client, namespace, name).await?.spec.selector),

            Kind::DaemonSet => selected(&get::<DaemonSet>(client, namespace, name).await?.spec.selector),

            Kind::ReplicaSet => selected(&get::<ReplicaSet>(client, namespace, name).await?.spec.selector),

            Kind::Job => {
                let spec = get::<Job>(client, namespace, name).await?.spec;
                spec.and_then(|spec| spec.selector).and_then(|selector| selected(&selector))
            }
        };
        let pods = pods.ok_or_else(|| {
            Failure::new(format!("{name} selects no Pods"), format!("tiphys logs --pod '{name}-*'"))
        })?;
        Ok(Expr::and(vec![named("ns", namespace), pods]))
    }
}

async fn get<K>(client: &Client, namespace: &str, name: &str) -> Outcome<K>
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    // What is gone has logs all the same.
    api.get(name)
        .await
        .or_asked(&format!("tiphys logs -n {namespace} --pod '{name}-*', or name its namespace with -n"))
}

fn selected(selector: &LabelSelector) -> Option<Expr> {
    let mut parts: Vec<Expr> = labels(selector.match_labels.iter().flatten()).into_iter().collect();
    for requirement in selector.match_expressions.iter().flatten() {
        let values: Vec<_> = requirement.values.iter().flatten().map(String::as_str).collect();
        parts.push(match requirement.operator.as_str() {
            "In" => label(&requirement.key, &values),
            "NotIn" => not(label(&requirement.key, &values)),
            "Exists" => has_label(&requirement.key),
            _ => not(has_label(&requirement.key)),
        });
    }
    (!parts.is_empty()).then(|| Expr::and(parts))
}

fn labels<'a>(pairs: impl Iterator<Item = (&'a String, &'a String)>) -> Option<Expr> {
    let parts: Vec<_> = pairs.map(|(key, value)| label(key, &[value])).collect();
    (!parts.is_empty()).then(|| Expr::and(parts))
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b))
}

/// The namespace of the Pod that is called exactly so, if the query is nothing but its
/// name and there is such a Pod: what people who come from `kubectl logs` write. Who may
/// not list Pods searches for the word.
pub async fn pod_called(client: &Client, namespace: Option<&str>, query: &str) -> Option<String> {
    if !is_name(query) {
        return None;
    }
    let api: Api<Pod> = match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    let called = ListParams::default().fields(&format!("metadata.name={query}")).limit(1);
    api.list(&called).await.ok()?.items.first()?.namespace()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workloads_have_kubectls_names() {
        let kind = |text: &str| Workload::parse(text).map(|workload| workload.kind);
        assert_eq!(kind("deploy/web"), Some(Kind::Deployment));
        assert_eq!(kind("Deployment/web.1-a"), Some(Kind::Deployment));
        assert_eq!(kind("svc/db"), Some(Kind::Service));
        for none in ["web", "deploy/", "deploy/Web", "deploy/a b", "path/to", "/deploy/web", "deploy/a/b"] {
            assert_eq!(kind(none), None, "{none}");
        }
    }

    #[test]
    fn selectors_become_conditions_on_labels() {
        let selector: LabelSelector = serde_json::from_value(serde_json::json!({
            "matchLabels": {"app": "web"},
            "matchExpressions": [
                {"key": "tier", "operator": "In", "values": ["a", "b"]},
                {"key": "x", "operator": "DoesNotExist"},
            ],
        }))
        .expect("a selector");
        assert_eq!(
            selected(&selector).map(|query| query.to_string()).as_deref(),
            Some("@label.app:/^(?:web)$/ AND @label.tier:/^(?:a|b)$/ AND NOT @label.x:*")
        );
        assert_eq!(selected(&LabelSelector::default()), None);
    }
}
