//! The event recorder: what `kubectl describe` shows below an object.
//!
//! ```text
//! record() ──> queue (bounded) ──> said before? count it up : create
//! ```
//!
//! Events are for people, so recording never waits: a full queue drops the newest.
//! The same thing said again within ten minutes raises the count of the first
//! event instead of making another. It must not be used to tell other parts
//! anything: they watch objects.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use k8s_openapi::{
    api::core::v1::{Event, EventSource, ObjectReference},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
    jiff::Timestamp,
};
use kube::{
    Api, Client, Resource,
    api::{Patch, PatchParams, PostParams},
};
use tiphys_lifecycle::{OnError, Tasks};
use tokio::{sync::mpsc, time::Instant};

use crate::Held;

const QUEUE: usize = 4096;
const SAME_WITHIN: Duration = Duration::from_secs(600);
/// Events that can still be counted up; the first said are forgotten first.
const REMEMBERED: usize = 4096;

/// Whether something is as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    Normal,
    Warning,
}

impl Severity {
    /// The event's `type`.
    fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// Who says it: the event's `source` and `reportingComponent`.
#[derive(Debug, Clone)]
pub struct Reporter {
    pub component: &'static str,
    /// The node, where the component runs on each.
    pub host: Option<String>,
}

/// Records events; clones record into the same queue.
#[derive(Clone)]
pub struct Events {
    queue: mpsc::Sender<Said>,
    reporter: Reporter,
}

struct Said {
    by: Reporter,
    about: ObjectReference,
    severity: Severity,
    reason: String,
    message: String,
}

impl Events {
    /// Starts the task that writes events through `client`.
    pub fn start(client: Client, tasks: &Tasks, reporter: Reporter) -> Self {
        let (queue, mut said) = mpsc::channel(QUEUE);
        let mut writer = Writer { client, known: Known::default() };
        tasks.spawn("write events", OnError::Log, async move {
            while let Some(said) = said.recv().await {
                writer.write(said).await;
            }
            Ok::<(), std::convert::Infallible>(())
        });
        Self { queue, reporter }
    }

    /// The same recorder for a part that has a name of its own.
    pub fn of(&self, component: &'static str) -> Self {
        let reporter = Reporter { component, host: self.reporter.host.clone() };
        Self { queue: self.queue.clone(), reporter }
    }

    /// As it should be, about `about`.
    pub fn normal<K: Held>(&self, about: &K, reason: &str, message: String) {
        self.record(reference(about), Severity::Normal, reason, message);
    }

    /// Not as it should be, about `about`.
    pub fn warning<K: Held>(&self, about: &K, reason: &str, message: String) {
        self.record(reference(about), Severity::Warning, reason, message);
    }

    /// `reason` is one CamelCase word, `message` a sentence for people.
    pub fn record(&self, about: ObjectReference, severity: Severity, reason: &str, message: String) {
        tracing::debug!(reason, message, object = about.name, "event");
        let by = self.reporter.clone();
        let said = Said { by, about, severity, reason: reason.to_owned(), message };
        if let Err(error) = self.queue.try_send(said) {
            tracing::debug!(%error, "event dropped");
        }
    }
}

/// What `involvedObject` says of an object.
pub fn reference<K: Held>(about: &K) -> ObjectReference {
    let said = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    ObjectReference {
        api_version: Some(K::Wire::api_version(&()).into_owned()),
        kind: Some(K::Wire::kind(&()).into_owned()),
        name: said(about.name()),
        namespace: said(about.namespace()),
        uid: said(about.uid()),
        resource_version: said(about.resource_version()),
        field_path: None,
    }
}

struct Writer {
    client: Client,
    known: Known,
}

impl Writer {
    async fn write(&mut self, said: Said) {
        // Events about cluster-scoped objects are kept in the default namespace.
        let namespace = said.about.namespace.clone().unwrap_or_else(|| "default".to_owned());
        let api: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        let key = key(&said);
        let now = Timestamp::now();
        if let Some((name, count)) = self.known.again(&key, Instant::now()) {
            let patch = serde_json::json!({"count": count, "lastTimestamp": Time(now)});
            match api.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await {
                Ok(_) => return,
                // It has expired, or its namespace is gone: say it anew.
                Err(error) => tracing::debug!(%error, "event was not counted up"),
            }
        }
        let reason = said.reason.clone();
        let event = event(said, namespace, now);
        let name = event.metadata.name.clone().unwrap_or_default();
        match api.create(&PostParams::default(), &event).await {
            Ok(_) => self.known.first(key, name, Instant::now()),
            Err(error) => {
                self.known.forget(&key);
                tracing::debug!(%error, reason, "event was not written");
            }
        }
    }
}

/// What makes two events the same. The object's resourceVersion does not.
fn key(said: &Said) -> String {
    let about = ObjectReference { resource_version: None, ..said.about.clone() };
    let (by, severity) = (said.by.component, said.severity.as_str());
    format!("{about:?}\0{by}\0{severity}\0{}\0{}", said.reason, said.message)
}

fn event(said: Said, namespace: String, now: Timestamp) -> Event {
    let subject = said.about.name.clone().unwrap_or_default();
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{subject}.{:x}", now.as_nanosecond())),
            namespace: Some(namespace),
            ..ObjectMeta::default()
        },
        involved_object: said.about,
        reason: Some(said.reason),
        message: Some(said.message),
        type_: Some(said.severity.as_str().to_owned()),
        count: Some(1),
        first_timestamp: Some(Time(now)),
        last_timestamp: Some(Time(now)),
        source: Some(EventSource {
            component: Some(said.by.component.to_owned()),
            host: said.by.host.clone(),
        }),
        reporting_component: Some(said.by.component.to_owned()),
        reporting_instance: Some(said.by.host.unwrap_or_default()),
        ..Event::default()
    }
}

/// The events written of late, by their key.
#[derive(Default)]
struct Known {
    entries: HashMap<String, Entry>,
    order: VecDeque<String>,
}

struct Entry {
    name: String,
    count: i32,
    last: Instant,
}

impl Known {
    /// Counts an event up that was said of late: its name and new count.
    fn again(&mut self, key: &str, now: Instant) -> Option<(String, i32)> {
        let entry = self.entries.get_mut(key)?;
        if now.duration_since(entry.last) >= SAME_WITHIN {
            return None;
        }
        entry.count += 1;
        entry.last = now;
        Some((entry.name.clone(), entry.count))
    }

    fn first(&mut self, key: String, name: String, now: Instant) {
        if self.entries.insert(key.clone(), Entry { name, count: 1, last: now }).is_none() {
            self.order.push_back(key);
        }
        while self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.entries.remove(&oldest);
        }
    }

    fn forget(&mut self, key: &str) {
        if self.entries.remove(key).is_some() {
            self.order.retain(|other| other != key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_again_is_counted_while_it_is_fresh() {
        let mut known = Known::default();
        let start = Instant::now();
        assert_eq!(known.again("a", start), None);
        known.first("a".to_owned(), "a.1".to_owned(), start);
        assert_eq!(known.again("a", start + SAME_WITHIN / 2), Some(("a.1".to_owned(), 2)));
        // Each time it is said keeps it fresh.
        assert_eq!(known.again("a", start + SAME_WITHIN), Some(("a.1".to_owned(), 3)));
        assert_eq!(known.again("a", start + SAME_WITHIN * 2), None);
        assert_eq!(known.again("b", start), None);
    }

    #[test]
    fn memory_is_bounded_and_the_first_goes_first() {
        let mut known = Known::default();
        let now = Instant::now();
        for number in 0..REMEMBERED + 2 {
            known.first(number.to_string(), String::new(), now);
        }
        assert_eq!((known.entries.len(), known.order.len()), (REMEMBERED, REMEMBERED));
        assert!(known.again("1", now).is_none() && known.again("2", now).is_some());
        known.forget("2");
        assert_eq!((known.entries.len(), known.order.len()), (REMEMBERED - 1, REMEMBERED - 1));
    }
}
