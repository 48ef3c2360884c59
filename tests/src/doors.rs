//! The collectors' doors, opened for a sender outside the cluster: a Service of node ports, and
//! an account that may send and no more. A sender inside needs the [`account`] only.

use std::ffi::OsStr;

use anyhow::{Context, Result};

use crate::{Cluster, clients};

/// OTLP by gRPC and by HTTP.
pub const OTLP: [(&str, u16); 2] = [("grpc", 4317), ("http", 4318)];

/// The account that may send.
pub const SENDER: &str = "sender";

/// What a sender may create in its namespace.
#[derive(Debug, Clone, Copy)]
pub struct Right<'a> {
    /// Of the API.
    pub group: &'a str,
    pub resources: &'a [&'a str],
}

/// Doors that are open until they are closed.
pub struct Doors<'a> {
    cluster: &'a Cluster,
    namespace: &'a str,
    /// Of a node that is not the first.
    pub address: String,
    /// The node's ports, in the order of those that were asked for.
    pub ports: Vec<u16>,
}

impl<'a> Doors<'a> {
    /// Makes the namespace with its account, and opens these ports of the collectors by name.
    ///
    /// # Errors
    /// kubectl's.
    pub fn open(
        cluster: &'a Cluster,
        namespace: &'a str,
        right: Right<'_>,
        ports: &[(&str, u16)],
    ) -> Result<Self> {
        cluster.apply(&[account(namespace, right), exposed(namespace, ports)].join("---"))?;
        let node = cluster.get(&["node", "node-2"])?;
        let address = node["status"]["addresses"][0]["address"].as_str().context("an address")?;
        let service = cluster.get(&["service", "-n", "tiphys-system", &service(namespace)])?;
        let given = service["spec"]["ports"].as_array().context("ports")?.iter();
        let ports = given.map(|port| port["nodePort"].as_u64().and_then(|port| u16::try_from(port).ok()));
        let ports = ports.collect::<Option<Vec<_>>>().context("node ports")?;
        Ok(Self { cluster, namespace, address: address.to_owned(), ports })
    }

    /// A token of the account.
    ///
    /// # Errors
    /// kubectl's.
    pub fn token(&self) -> Result<String> {
        let token = self.cluster.kubectl(&["create", "token", SENDER, "-n", self.namespace])?;
        Ok(token.trim().to_owned())
    }

    /// Runs a sender of `tests/clients` to its end. It is told the address, these ports, a token
    /// of the account, and what more there is.
    ///
    /// # Errors
    /// It failed, or ended early.
    pub fn send(&self, script: &str, ports: &[u16], more: &[&OsStr]) -> Result<()> {
        let mut python = clients::script(&clients::senders()?, script);
        python.arg(&self.address).args(ports.iter().map(ToString::to_string)).arg(self.token()?).args(more);
        clients::done(&mut python)
    }

    /// Takes the Service and the namespace away.
    ///
    /// # Errors
    /// kubectl's.
    pub fn close(self) -> Result<()> {
        self.cluster.kubectl(&["delete", "-n", "tiphys-system", "service", &service(self.namespace)])?;
        self.cluster.kubectl(&["delete", "namespace", self.namespace, "--timeout=120s"]).map(drop)
    }
}

/// The manifest of a namespace, and in it of the account [`SENDER`], which may send there and no more.
pub fn account(namespace: &str, right: Right<'_>) -> String {
    let Right { group, resources } = right;
    let resources = resources.join(", ");
    format!(
        "
apiVersion: v1
kind: Namespace
metadata: {{name: {namespace}}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: {SENDER}, namespace: {namespace}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: {SENDER}, namespace: {namespace}}}
rules:
- {{apiGroups: [{group}], resources: [{resources}], verbs: [create]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: {SENDER}, namespace: {namespace}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: {SENDER}}}
subjects: [{{kind: ServiceAccount, name: {SENDER}, namespace: {namespace}}}]
"
    )
}

fn service(namespace: &str) -> String {
    format!("doors-of-{namespace}")
}

/// The manifest of the Service that exposes these ports of the collectors by name.
fn exposed(namespace: &str, ports: &[(&str, u16)]) -> String {
    let service = service(namespace);
    let ports = ports.iter().map(|(name, port)| format!("{{name: {name}, port: {port}}}"));
    let ports = ports.collect::<Vec<_>>().join(", ");
    format!(
        "
apiVersion: v1
kind: Service
metadata: {{name: {service}, namespace: tiphys-system}}
spec: {{type: NodePort, selector: {{app: tiphys-collector}}, ports: [{ports}]}}
"
    )
}
