//! Events: what happened to a Pod or the node, for people.
//!
//! ```text
//! record() ──> queue (bounded, lossy) ──> same as before? count it up : create
//! ```
//!
//! Recording never waits. The same thing said again within ten minutes raises
//! the count of the first event instead of making another.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Event, EventSource, Node, ObjectReference, Pod},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use tiphys_lifecycle::{OnError, Tasks};
use tokio::sync::mpsc;

const QUEUE: usize = 1024;
const SAME_WITHIN: Duration = Duration::from_secs(600);
/// Remembered events; the oldest are forgotten first.
const REMEMBERED: usize = 2048;

/// Whether something is as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Normal,
    Warning,
}

#[derive(Clone)]
pub(crate) struct Recorder {
    queue: mpsc::Sender<Said>,
}

struct Said {
    about: ObjectReference,
    kind: Kind,
    reason: String,
    message: String,
}

struct Known {
    name: String,
    count: i32,
    last: Instant,
}

impl Recorder {
    pub(crate) fn start(client: Client, node: &str, tasks: &Tasks) -> Self {
        let (queue, receiver) = mpsc::channel(QUEUE);
        tasks.spawn("kubelet events", OnError::Log, write(client, node.to_owned(), receiver));
        Self { queue }
    }

    pub(crate) fn pod(&self, pod: &Pod, kind: Kind, reason: &str, message: impl Into<String>) {
        self.say(pod_reference(pod, None), kind, reason, message.into());
    }

    /// About one container of a Pod.
    pub(crate) fn container(
        &self,
        pod: &Pod,
        name: &str,
        kind: Kind,
        reason: &str,
        message: impl Into<String>,
    ) {
        self.say(pod_reference(pod, Some(name)), kind, reason, message.into());
    }

    pub(crate) fn node(&self, node: &Node, kind: Kind, reason: &str, message: impl Into<String>) {
        let name = node.metadata.name.clone();
        let about = ObjectReference {
            kind: Some("Node".into()),
            api_version: Some("v1".into()),
            uid: node.metadata.uid.clone().or(name.clone()),
            name,
            ..Default::default()
        };
        self.say(about, kind, reason, message.into());
    }

    fn say(&self, about: ObjectReference, kind: Kind, reason: &str, message: String) {
        tracing::debug!(reason, message, object = about.name, "event");
        // A full queue drops: events are for people, Pods must not wait for them.
        let _ = self.queue.try_send(Said { about, kind, reason: reason.to_owned(), message });
    }
}

fn pod_reference(pod: &Pod, container: Option<&str>) -> ObjectReference {
    ObjectReference {
        kind: Some("Pod".into()),
        api_version: Some("v1".into()),
        name: pod.metadata.name.clone(),
        namespace: pod.metadata.namespace.clone(),
        uid: pod.metadata.uid.clone(),
        resource_version: pod.metadata.resource_version.clone(),
        field_path: container.map(|name| format!("spec.containers{{{name}}}")),
    }
}

async fn write(
    client: Client,
    node: String,
    mut queue: mpsc::Receiver<Said>,
) -> Result<(), std::convert::Infallible> {
    let mut known: HashMap<String, Known> = HashMap::new();
    while let Some(said) = queue.recv().await {
        let namespace = said.about.namespace.clone().unwrap_or_else(|| "default".into());
        let api: Api<Event> = Api::namespaced(client.clone(), &namespace);
        let key = format!("{:?}\0{}\0{}", said.about, said.reason, said.message);
        if let Err(error) = write_one(&api, &node, said, &key, &mut known).await {
            tracing::debug!(%error, "event was not written");
            known.remove(&key);
        }
    }
    Ok(())
}

async fn write_one(
    api: &Api<Event>,
    node: &str,
    said: Said,
    key: &str,
    known: &mut HashMap<String, Known>,
) -> Result<(), kube::Error> {
    let now = Timestamp::now();
    if let Some(before) = known.get_mut(key).filter(|before| before.last.elapsed() < SAME_WITHIN) {
        before.count += 1;
        before.last = Instant::now();
        let patch = serde_json::json!({"count": before.count, "lastTimestamp": Time(now)});
        return api.patch(&before.name, &PatchParams::default(), &Patch::Merge(patch)).await.map(drop);
    }
    let subject = said.about.name.clone().unwrap_or_default();
    let name = format!("{subject}.{:016x}", now.as_nanosecond() & i128::from(u64::MAX));
    let kind = if said.kind == Kind::Warning { "Warning" } else { "Normal" };
    let event = Event {
        metadata: ObjectMeta { name: Some(name.clone()), ..Default::default() },
        involved_object: said.about,
        type_: Some(kind.into()),
        reason: Some(said.reason),
        message: Some(said.message),
        count: Some(1),
        first_timestamp: Some(Time(now)),
        last_timestamp: Some(Time(now)),
        source: Some(EventSource { component: Some("kubelet".into()), host: Some(node.to_owned()) }),
        reporting_component: Some("kubelet".into()),
        reporting_instance: Some(node.to_owned()),
        ..Default::default()
    };
    api.create(&PostParams::default(), &event).await?;
    if known.len() >= REMEMBERED {
        let oldest = known.iter().min_by_key(|(_, known)| known.last).map(|(key, _)| key.clone());
        oldest.and_then(|key| known.remove(&key));
    }
    known.insert(key.to_owned(), Known { name, count: 1, last: Instant::now() });
    Ok(())
}
