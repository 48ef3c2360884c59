//! Events about Pods, their containers and the node, as the kubelet says them.
//!
//! What is the kubelet's own here is whom an event is about; writing and counting
//! up is the client's recorder.

use k8s_openapi::api::core::v1::{Node, ObjectReference, Pod};
use kube::Client;
pub(crate) use tiphys_client::Severity as Kind;
use tiphys_client::{Events, Reporter, reference};
use tiphys_lifecycle::Tasks;

use crate::pod::spec;

#[derive(Clone)]
pub(crate) struct Recorder(Events);

impl Recorder {
    pub(crate) fn start(client: Client, node: &str, tasks: &Tasks) -> Self {
        let reporter = Reporter { component: "kubelet", host: Some(node.to_owned()) };
        Self(Events::start(client, tasks, reporter))
    }

    pub(crate) fn pod(&self, pod: &Pod, kind: Kind, reason: &str, message: impl Into<String>) {
        self.0.record(reference(pod), kind, reason, message.into());
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
        let field_path = Some(spec::field_path(pod, name));
        self.0.record(ObjectReference { field_path, ..reference(pod) }, kind, reason, message.into());
    }

    pub(crate) fn node(&self, node: &Node, kind: Kind, reason: &str, message: impl Into<String>) {
        let about = reference(node);
        // Before it is registered the node has no uid yet.
        let uid = about.uid.clone().or_else(|| about.name.clone());
        self.0.record(ObjectReference { uid, ..about }, kind, reason, message.into());
    }
}
