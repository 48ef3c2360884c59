//! The event recorder: what `kubectl describe` shows below an object.
//!
//! Callers never wait: events go through a bounded channel (the newest are
//! dropped when it is full) to one task. The same event again within the memory
//! of [`REMEMBERED`] events raises the count of the first instead of making
//! another object.

use std::collections::{HashMap, VecDeque};

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Event, EventSource, ObjectReference},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
};
use kube::{
    Api, Client, Resource,
    api::{Patch, PatchParams, PostParams},
};
use tiphys_lifecycle::{OnError, Tasks};
use tokio::sync::mpsc;

const IN_FLIGHT: usize = 1024;
const REMEMBERED: usize = 4096;

/// Clones record into the same place.
#[derive(Clone)]
pub struct Events {
    sender: mpsc::Sender<Report>,
}

/// What is said about an object; equal reports are one event with a count.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Report {
    kind: String,
    api_version: String,
    namespace: String,
    name: String,
    uid: String,
    /// `Normal` or `Warning`.
    severity: &'static str,
    reason: &'static str,
    message: String,
}

impl Events {
    /// Starts the task that writes events as `component`.
    pub fn start(client: &Client, tasks: &Tasks, component: &'static str) -> Self {
        let (sender, mut reports) = mpsc::channel(IN_FLIGHT);
        let mut writer =
            Writer { client: client.clone(), component, known: HashMap::new(), order: VecDeque::new() };
        tasks.spawn("write events", OnError::Log, async move {
            while let Some(report) = reports.recv().await {
                writer.write(report).await;
            }
            Ok::<(), std::convert::Infallible>(())
        });
        Self { sender }
    }

    pub fn normal<K: Resource<DynamicType = ()>>(&self, about: &K, reason: &'static str, message: String) {
        self.record(about, "Normal", reason, message);
    }

    pub fn warning<K: Resource<DynamicType = ()>>(&self, about: &K, reason: &'static str, message: String) {
        self.record(about, "Warning", reason, message);
    }

    fn record<K: Resource<DynamicType = ()>>(
        &self,
        about: &K,
        severity: &'static str,
        reason: &'static str,
        message: String,
    ) {
        let meta = about.meta();
        let report = Report {
            kind: K::kind(&()).into_owned(),
            api_version: K::api_version(&()).into_owned(),
            namespace: meta.namespace.clone().unwrap_or_default(),
            name: meta.name.clone().unwrap_or_default(),
            uid: meta.uid.clone().unwrap_or_default(),
            severity,
            reason,
            message,
        };
        if let Err(error) = self.sender.try_send(report) {
            tracing::debug!(%error, "event dropped");
        }
    }
}

struct Writer {
    client: Client,
    component: &'static str,
    known: HashMap<Report, (String, i32)>,
    order: VecDeque<Report>,
}

impl Writer {
    async fn write(&mut self, report: Report) {
        let namespace = if report.namespace.is_empty() { "default" } else { &report.namespace };
        let api: Api<Event> = Api::namespaced(self.client.clone(), namespace);
        let now = Timestamp::now();
        if let Some((name, count)) = self.known.get_mut(&report) {
            *count += 1;
            let patch = serde_json::json!({"count": *count, "lastTimestamp": Time(now)});
            match api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await {
                Ok(_) => return,
                // It has expired or can't be written: say it anew.
                Err(error) => tracing::debug!(%error, "event was not counted up"),
            }
        }
        let event = event(&report, self.component, namespace, now);
        let name = event.metadata.name.clone().unwrap_or_default();
        match api.create(&PostParams::default(), &event).await {
            Ok(_) => self.remember(report, name),
            Err(error) => tracing::debug!(%error, reason = report.reason, "event was not written"),
        }
    }

    fn remember(&mut self, report: Report, name: String) {
        if self.known.insert(report.clone(), (name, 1)).is_none() {
            self.order.push_back(report);
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

fn event(report: &Report, component: &str, namespace: &str, now: Timestamp) -> Event {
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{}.{:x}", report.name, now.as_nanosecond())),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        },
        involved_object: ObjectReference {
            api_version: Some(report.api_version.clone()),
            kind: Some(report.kind.clone()),
            name: Some(report.name.clone()),
            namespace: Some(report.namespace.clone()).filter(|namespace| !namespace.is_empty()),
            uid: Some(report.uid.clone()),
            ..ObjectReference::default()
        },
        reason: Some(report.reason.to_owned()),
        message: Some(report.message.clone()),
        type_: Some(report.severity.to_owned()),
        count: Some(1),
        first_timestamp: Some(Time(now)),
        last_timestamp: Some(Time(now)),
        source: Some(EventSource { component: Some(component.to_owned()), host: None }),
        reporting_component: Some(component.to_owned()),
        reporting_instance: Some(String::new()),
        ..Event::default()
    }
}
