//! Whose logs `--for deploy/web` means: the labels that a workload or a Service selects
//! Pods by, so that Pods of rollouts before and after are in. A CronJob selects none: its
//! Pods are those of the Jobs that it made.

use k8s_openapi::{
    api::{
        apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet},
        batch::v1::{CronJob, Job},
        core::v1::{ReplicationController, Service},
    },
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use kube::{Api, Client, ResourceExt, api::ListParams};
use tiphys_logging::query::Expr;

use super::scope::{has_label, label, label_like, literally, named, not};
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

    /// The Pod that it is, if it is one.
    pub fn pod(&self) -> Option<&str> {
        (self.kind == Kind::Pod).then_some(self.name.as_str())
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
                let cron_job = get::<CronJob>(client, namespace, name).await?;
                let jobs = jobs(client, namespace).await?;
                Some(of_cron_job(name, cron_job.uid().as_deref(), &jobs))
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

/// The labels by which a Job's Pods tell whose they are: today's, and that of old versions.
const OF_JOB: [&str; 2] = ["batch.kubernetes.io/job-name", "job-name"];
/// Digits of the minutes since 1970 that end the name of a Job on schedule, from 1989 to 2160.
const MINUTES: usize = 8;

/// The Jobs that are still there; none for those who may not list them.
async fn jobs(client: &Client, namespace: &str) -> Outcome<Vec<Job>> {
    let api: Api<Job> = Api::namespaced(client.clone(), namespace);
    match api.list(&ListParams::default()).await {
        Ok(list) => Ok(list.items),
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(Vec::new()),
        Err(error) => Err::<Vec<Job>, _>(error).or_asked("tiphys logs --help"),
    }
}

/// Pods of the Jobs that have names as a CronJob's controller gives them, and of those that
/// it owns whatever they are called, as when they were started by hand; a Job that is there and
/// only looks so is left out.
fn of_cron_job(name: &str, uid: Option<&str>, jobs: &[Job]) -> Expr {
    let is_own = |job: &Job| job.owner_references().iter().any(|owner| Some(owner.uid.as_str()) == uid);
    let on_schedule = |job: &str| {
        let minutes = job.strip_prefix(name).and_then(|rest| rest.strip_prefix('-'));
        minutes.is_some_and(|minutes| {
            minutes.len() == MINUTES && minutes.bytes().all(|byte| byte.is_ascii_digit())
        })
    };
    let mut own = vec![format!("{}-[0-9]{{{MINUTES}}}", literally(name))];
    let mut foreign = Vec::new();
    for job in jobs {
        match (is_own(job), on_schedule(&job.name_any())) {
            (true, false) => own.push(literally(&job.name_any())),
            (false, true) => foreign.push(literally(&job.name_any())),
            _ => {}
        }
    }
    let of = |pattern: &str| Expr::or(OF_JOB.iter().map(|key| label_like(key, pattern)).collect());
    let mut parts = vec![of(&own.join("|"))];
    if !foreign.is_empty() {
        parts.push(not(of(&foreign.join("|"))));
    }
    Expr::and(parts)
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

/// Whether an object can have this name.
pub fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b))
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
    fn a_cron_job_has_the_pods_of_its_jobs_and_no_others() {
        let job = |name: &str, owner: Option<&str>| -> Job {
            let by = |uid: &str| serde_json::json!({"apiVersion": "batch/v1", "kind": "CronJob", "name": "x", "uid": uid});
            let owners: Vec<_> = owner.map(by).into_iter().collect();
            let metadata = serde_json::json!({"name": name, "ownerReferences": owners});
            serde_json::from_value(serde_json::json!({"metadata": metadata})).expect("a Job")
        };
        let shown = |jobs: &[Job]| of_cron_job("back.up", Some("u1"), jobs).to_string();
        let both = |pattern: &str| {
            let of = |key: &str| format!("@label.{key}:/^(?:{pattern})$/");
            format!("{} OR {}", of("batch.kubernetes.io/job-name"), of("job-name"))
        };
        let scheduled = r"back\.up-[0-9]{8}";
        assert_eq!(shown(&[]), both(scheduled));
        // Its own on schedule need no name, one by hand does; those of another CronJob are none.
        let own = [job("back.up-29384756", Some("u1")), job("by-hand", Some("u1")), job("other", Some("u2"))];
        assert_eq!(shown(&own), both(&format!("{scheduled}|by-hand")));
        let foreign = [job("back.up-29384757", None), job("back.up-db-1", Some("u2"))];
        let expected = format!("({}) AND NOT ({})", both(scheduled), both(r"back\.up-29384757"));
        assert_eq!(shown(&foreign), expected);
        let pattern = format!("^(?:{scheduled})$");
        for (name, finds) in [("back.up-29384756", true), ("back.up-db-0", false), ("back.up-1", false)] {
            assert_eq!(tiphys_logging::query::compile::finds(&pattern, name), Some(finds), "{name}");
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
