//! The doors through which others ask and send, on the real cluster with clients that others
//! made: psql, psycopg, ADBC, the OpenTelemetry SDK, and kubectl for what is plain HTTP, which
//! dashboards ask for. And what `tiphys` itself prints of the same tables.

mod dashboards;

use std::{
    io::Write,
    process::Command,
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tempfile::NamedTempFile;
use tiphys_tests::{
    Cluster, Output, clients,
    doors::{Doors, OTLP, Right},
    eventually, run,
};

use crate::Shared;

/// Where Postgres' clients are answered when no port is asked for.
const USUAL_PORT: u64 = 6432;

/// Commands of the prompt that are asked without one, and words of their answers.
const COMMANDS: &[(&str, &[&str])] = &[
    (r"\d", &["node", "pod", "container", "volume", "samples", "spans", "advise", "logs", "decisions"]),
    (r"\d spans", &["time", "duration_us", "trace_id", "service"]),
    (r"\df rate", &["rate"]),
];

/// Who sends spans may list what the tables show, too; no more.
const ASKER: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: asker}
rules:
- {apiGroups: [''], resources: [nodes, pods], verbs: [list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: asker}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: asker}
subjects: [{kind: ServiceAccount, name: sender, namespace: asked}]
";

pub fn ask(shared: &Shared) -> Result<()> {
    let cluster = shared.cluster()?;
    let right = Right { group: "metrics.tiphys.io", resources: &["otlp"] };
    let doors = Doors::open(&cluster, "asked", right, &OTLP)?;
    cluster.apply(ASKER)?;
    eventually(Duration::from_secs(120), || {
        let rows = cluster.sql("select count(distinct node) as nodes from node")?;
        ensure!(rows[0]["nodes"] == 3, "figures of three nodes were expected: {rows:?}");
        Ok(())
    })?;
    let token = doors.token()?;
    postgres(&cluster, &token)?;
    flight(&cluster, &token)?;
    prometheus(&cluster)?;
    dashboards::ask(&cluster)?;
    doors.send("send_spans.py", &doors.ports, &[])?;
    for how in ["grpc", "http"] {
        spans(&cluster, &format!("spans-by-{how}")).with_context(|| format!("spans sent over {how}"))?;
    }
    printed(&cluster)?;
    cluster.kubectl(&["delete", "clusterrolebinding/asker", "clusterrole/asker"])?;
    doors.close()
}

/// The port is the one that `--postgres-port` asked for, a free one; TLS is required, and the
/// password is a token.
fn postgres(cluster: &Cluster, token: &str) -> Result<()> {
    let port = cluster.state()?["postgres_port"].as_u64().context("a port")?;
    ensure!(port != USUAL_PORT && port != 0, "it listens on {port}, where a free port was asked for");
    let told = cluster.tiphys(&["status"])?.stdout;
    ensure!(told.contains(&format!("127.0.0.1:{port}")), "the port {port} is not told:\n{told}");
    let nodes = "select distinct node from node order by node";
    let answer = psql(port, "require", token, nodes)?.ok()?;
    ensure!(answer.lines().eq(["node-1", "node-2", "node-3"]), "psql is answered {answer:?}");
    for (sslmode, password) in [("require", "wrong"), ("disable", token)] {
        let refused = psql(port, sslmode, password, nodes)?;
        ensure!(refused.code != 0 && refused.stdout.is_empty(), "sslmode={sslmode}: {refused:?}");
    }
    let mut python = clients::script(&clients::drivers()?, "ask_postgres.py");
    python.arg(port.to_string()).arg(token);
    clients::done(&mut python)
}

fn psql(port: u64, sslmode: &str, password: &str, statement: &str) -> Result<Output> {
    let target = format!("host=127.0.0.1 port={port} user=me dbname=tiphys sslmode={sslmode}");
    let mut psql = Command::new("psql");
    psql.arg(target).args(["-X", "-A", "-t", "-w", "-c", statement]).env("PGPASSWORD", password);
    run(&mut psql, "")
}

/// The port is the API server's own; the certificate is verified.
fn flight(cluster: &Cluster, token: &str) -> Result<()> {
    let published = cluster.get(&["configmap", "kube-root-ca.crt", "-n", "kube-system"])?;
    let mut authority = NamedTempFile::new()?;
    authority.write_all(published["data"]["ca.crt"].as_str().context("the authority")?.as_bytes())?;
    let port = cluster.state()?["api_port"].as_u64().context("a port")?;
    let mut python = clients::script(&clients::drivers()?, "ask_flight.py");
    python.arg(format!("127.0.0.1:{port}")).arg(token).arg(authority.path());
    clients::done(&mut python)
}

/// What plain HTTP at the API server answers.
fn raw(cluster: &Cluster, path: &str) -> Result<String> {
    cluster.kubectl(&["get", "--raw", path])
}

fn json(cluster: &Cluster, path: &str) -> Result<Value> {
    let text = raw(cluster, path)?;
    serde_json::from_str(&text).with_context(|| format!("{path} is answered {text}"))
}

fn prometheus(cluster: &Cluster) -> Result<()> {
    eventually(Duration::from_secs(120), || {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
        let path = format!(
            "/prometheus/api/v1/query_range?query=count%28kube_node_info%29&start={}&end={now}&step=15",
            now - 60
        );
        let told = json(cluster, &path)?;
        let values = told["data"]["result"][0]["values"].as_array().context("no series is answered")?;
        let last = values.last().context("a series without values")?;
        ensure!(told["data"]["resultType"] == "matrix" && last[1] == "3", "{told}");
        Ok(())
    })?;
    let text = raw(cluster, "/prometheus/federate?match%5B%5D=kube_node_info")?;
    for node in ["node-1", "node-2", "node-3"] {
        let named = format!("node=\"{node}\"");
        let line = text.lines().find(|line| line.starts_with("kube_node_info{") && line.contains(&named));
        ensure!(line.is_some(), "{node} is not federated:\n{text}");
    }
    Ok(())
}

/// What was acknowledged is found at once: in SQL, and as Jaeger's pages ask for it.
fn spans(cluster: &Cluster, service: &str) -> Result<()> {
    let rows = cluster.sql(&format!("select * from spans where service = '{service}' order by name"))?;
    let [order, pay] = &rows[..] else { bail!("two spans were expected: {rows:?}") };
    ensure!(
        order["name"] == "order" && order["kind"] == "server" && order["namespace"] == "asked",
        "{order}"
    );
    ensure!(pay["trace_id"] == order["trace_id"] && pay["parent_span_id"] == order["span_id"], "{pay}");

    let services = json(cluster, "/jaeger/api/services")?;
    let named = services["data"].as_array().context("services")?.iter().any(|name| name == service);
    ensure!(named, "{service} is not among {services}");
    let found = json(cluster, &format!("/jaeger/api/traces?service={service}&operation=pay"))?;
    let id = order["trace_id"].as_str().context("a trace")?;
    let one = json(cluster, &format!("/jaeger/api/traces/{id}"))?;
    for told in [&found, &one] {
        let trace = &told["data"][0];
        let count = trace["spans"].as_array().map_or(0, Vec::len);
        ensure!(told["data"].as_array().map_or(0, Vec::len) == 1 && count == 2, "{told}");
        ensure!(trace["traceID"] == id && trace["processes"]["p1"]["serviceName"] == service, "{trace}");
    }
    Ok(())
}

/// What people read at a terminal.
fn printed(cluster: &Cluster) -> Result<()> {
    eventually(Duration::from_secs(120), || {
        let advice = cluster.tiphys(&["advise", "-n", "tiphys-system"])?.ok()?;
        ensure!(advice.contains("DaemonSet/tiphys-collector"), "no advice for the collectors:\n{advice}");
        Ok(())
    })?;
    for (command, expected) in COMMANDS {
        let told = cluster.tiphys(&["sql", *command])?.ok()?;
        let words: Vec<_> = told.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        let missing: Vec<_> = expected.iter().filter(|name| !words.contains(name)).collect();
        ensure!(missing.is_empty(), "`tiphys sql '{command}'` lacks {missing:?}:\n{told}");
    }
    Ok(())
}
