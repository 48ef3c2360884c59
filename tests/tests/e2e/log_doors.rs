//! Logs that others send: `tests/clients/send.py` says which senders.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    io::{Read, Write},
    net::{TcpStream, UdpSocket},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;
use tempfile::NamedTempFile;
use tiphys_tests::{
    Cluster,
    doors::{Doors, OTLP, Right},
    eventually,
};

use crate::Shared;

/// Lines of syslog come without a token.
const SYSLOG: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: tiphys-collector, namespace: tiphys-system}
data:
  TIPHYS_SYSLOG_TCP: 0.0.0.0:5514
  TIPHYS_SYSLOG_UDP: 0.0.0.0:5514
  TIPHYS_SYSLOG_TLS: 0.0.0.0:6514
  TIPHYS_SYSLOG_NAMESPACE: doors
  TIPHYS_SYSLOG_FROM: 0.0.0.0/0
";

/// Beside the ports of [`Doors`], which are TCP's.
const UDP: &str = "
apiVersion: v1
kind: Service
metadata: {name: syslog-by-udp, namespace: tiphys-system}
spec:
  type: NodePort
  selector: {app: tiphys-collector}
  ports: [{name: syslog, port: 5514, protocol: UDP}]
";

pub fn send(shared: &Shared) -> Result<()> {
    let cluster = shared.cluster()?;
    let right = Right { group: "logs.tiphys.io", resources: &["otlp", "loki", "elasticsearch"] };
    let ports = [&OTLP[..], &[("syslog", 5514), ("syslog-tls", 6514)]].concat();
    let doors = Doors::open(&cluster, "doors", right, &ports)?;
    cluster.apply(SYSLOG)?;
    restart(&cluster)?;
    eventually(Duration::from_secs(120), || are_open(&cluster, &ports))?;
    let [grpc, http, syslog, syslog_tls] = doors.ports[..] else {
        bail!("not four ports: {:?}", doors.ports)
    };
    refusals(&cluster, &doors, http)?;

    let authority = authority(&cluster)?;
    doors.send("send.py", &[grpc, http, syslog], &[OsStr::new("kittiwake")])?;
    let with_authority = [OsStr::new("guillemot"), authority.path().as_os_str()];
    doors.send("send.py", &[grpc, http, syslog_tls], &with_authority)?;

    // What was acknowledged is found at once; a line of syslog is not acknowledged.
    check(&cluster, "kittiwake AND (service.name:by-grpc OR service.name:by-http)", 200)?;
    check(&cluster, "kittiwake number:42", 4)?;
    check(&cluster, "kittiwake index:orders", 100)?;
    check(&cluster, "kittiwake team:blue level:warn", 200)?;
    check(&cluster, "kittiwake container:by-loki pod:edge-7 job:by-loki level:error", 100)?;
    eventually(Duration::from_secs(120), || {
        check(&cluster, "kittiwake container:sender level:error procid:7", 1)
    })?;

    datagrams(&cluster, &doors)?;

    check(&cluster, "guillemot number:42", 4)?;
    check(&cluster, "guillemot index:orders", 100)?;
    eventually(Duration::from_secs(120), || {
        check(&cluster, "guillemot container:sender level:error procid:7", 1)
    })?;

    let made = ["configmap/tiphys-collector", "service/syslog-by-udp"];
    cluster.kubectl(&[&["delete", "-n", "tiphys-system"][..], &made].concat())?;
    restart(&cluster)?;
    // All of it is there once, whatever was in memory or in the log only.
    eventually(Duration::from_secs(120), || check(&cluster, "ns:doors kittiwake", 401))?;
    eventually(Duration::from_secs(120), || {
        DATAGRAMS.iter().try_for_each(|(word, _)| is_found(&cluster, word))
    })?;
    doors.close()
}

/// Syslog by UDP, in both of its forms, with a word that each has.
const DATAGRAMS: [(&str, &str); 2] = [
    ("razorbill", "<11>1 - edge sender 7 - - razorbill by datagram"),
    ("dunlin", "<11>sender[7]: dunlin by datagram"),
];

fn is_found(cluster: &Cluster, word: &str) -> Result<()> {
    let records = cluster.logs(&[&format!("ns:doors {word} container:sender level:error procid:7")])?;
    ensure!(!records.is_empty(), "`{word}` is not found");
    Ok(())
}

/// A datagram is a message. Nothing acknowledges one, and none arrives before the nodes have the
/// rules of the Service, so each is sent until it is found.
fn datagrams(cluster: &Cluster, doors: &Doors<'_>) -> Result<()> {
    cluster.apply(UDP)?;
    let service = cluster.get(&["service", "-n", "tiphys-system", "syslog-by-udp"])?;
    let port = service["spec"]["ports"][0]["nodePort"].as_u64().context("a node port")?;
    let port = u16::try_from(port)?;
    for (word, message) in DATAGRAMS {
        eventually(Duration::from_secs(120), || {
            // Another socket each time: what one sends goes where its first datagram went.
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            socket.send_to(message.as_bytes(), (doors.address.as_str(), port))?;
            is_found(cluster, word)
        })?;
    }
    Ok(())
}

/// The authority of the doors' certificate, in a file.
fn authority(cluster: &Cluster) -> Result<NamedTempFile> {
    let secret = cluster.get(&["secret", "-n", "tiphys-system", "tiphys-logs-tls"])?;
    let text = secret["data"]["ca.crt"].as_str().context("the certificate's authority")?;
    let mut file = NamedTempFile::new()?;
    file.write_all(&STANDARD.decode(text)?)?;
    Ok(file)
}

/// Collectors read their configuration when they start.
fn restart(cluster: &Cluster) -> Result<()> {
    cluster.kubectl(&["rollout", "restart", "-n", "tiphys-system", "daemonset/tiphys-collector"])?;
    let wait = ["rollout", "status", "-n", "tiphys-system", "daemonset/tiphys-collector", "--timeout=180s"];
    cluster.kubectl(&wait).map(drop)
}

/// A collector is ready before its doors are open: each of these ports takes connections on each node.
fn are_open(cluster: &Cluster, ports: &[(&str, u16)]) -> Result<()> {
    let pods = cluster.get(&["pods", "-n", "tiphys-system", "-l", "app=tiphys-collector"])?;
    let pods = pods["items"].as_array().context("Pods")?;
    ensure!(pods.len() == 3, "{} collectors", pods.len());
    for pod in pods {
        let address = pod["status"]["podIP"].as_str().context("an address")?;
        for (name, port) in ports {
            TcpStream::connect((address, *port)).with_context(|| format!("{name} of {address}"))?;
        }
    }
    Ok(())
}

/// So many records match, of the one namespace, each once.
fn check(cluster: &Cluster, query: &str, count: usize) -> Result<()> {
    let records = cluster.logs(&[query, "--limit", "1000"])?;
    let ids: BTreeSet<_> = records.iter().filter_map(|record| record["id"].as_str()).collect();
    ensure!(records.len() == count && ids.len() == count, "`{query}` finds {} records", records.len());
    let elsewhere = records.iter().find(|record| record["namespace"] != "doors");
    ensure!(elsewhere.is_none(), "a record is in another namespace: {elsewhere:?}");
    Ok(())
}

/// The API server's word counts: no token, no right, another's namespace.
fn refusals(cluster: &Cluster, doors: &Doors<'_>, port: u16) -> Result<()> {
    let status = |token: &str, more: &str| -> Result<String> {
        // A collector that starts is behind the port as soon as it is ready.
        let (answer, _) = eventually(Duration::from_secs(120), || post(&doors.address, port, token, more))?;
        Ok(answer)
    };
    let answer = status("wrong", "")?;
    ensure!(answer.starts_with("HTTP/1.1 401"), "a wrong token is answered {answer}");
    let of_default = cluster.kubectl(&["create", "token", "default", "-n", "doors"])?;
    let answer = status(of_default.trim(), "")?;
    ensure!(answer.starts_with("HTTP/1.1 403"), "an account without the right is answered {answer}");
    ensure!(
        answer.contains("logs.tiphys.io") && answer.contains("otlp"),
        "it isn't said what to do: {answer}"
    );
    let answer = status(&doors.token()?, "X-Tiphys-Namespace: kube-system\r\n")?;
    ensure!(answer.starts_with("HTTP/1.1 403"), "another namespace is answered {answer}");
    Ok(())
}

/// One record by OTLP in JSON, by hand.
fn post(address: &str, port: u16, token: &str, more: &str) -> Result<String> {
    let record: Value = serde_json::json!({"body": {"stringValue": "kittiwake that is refused"}});
    let body = serde_json::json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}).to_string();
    let mut stream = TcpStream::connect((address, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(120)))?;
    write!(
        stream,
        "POST /v1/logs HTTP/1.1\r\nHost: doors\r\nContent-Type: application/json\r\nConnection: close\r\n\
         Authorization: Bearer {token}\r\n{more}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    ensure!(!answer.is_empty(), "the door said nothing");
    Ok(answer)
}
