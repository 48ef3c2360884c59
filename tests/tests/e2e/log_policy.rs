//! What is kept of logs, and for how long: sampling, retention, deletion by hand. And doors
//! that take nothing in plain text.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tiphys_tests::{
    Cluster,
    doors::{self, Right},
    eventually, run,
};

use crate::Shared;

const LIMIT: Duration = Duration::from_secs(120);

/// Who sends, by the account of `tiphys_tests::doors`, and whose lines are sampled.
const MOOR: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: sender, namespace: moor}
spec:
  serviceAccountName: sender
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: test.local/curl:1
    command: [sleep, "3600"]
---
apiVersion: v1
kind: Pod
metadata:
  name: sampled
  namespace: moor
  annotations: {logs.tiphys.io/sample: "0.1"}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: test.local/busybox:1
    command:
    - sh
    - -c
    - |
      for i in $(seq 1000); do echo "level=info plover $i"; done
      for i in $(seq 5); do echo "level=error plover in need $i"; done
      sleep 3600
"#;

/// Sends what it reads as OTLP, to the address that it is given; says the status, and the answer below it.
const SEND: &str = r#"
of=/var/run/secrets/kubernetes.io/serviceaccount
curl -sSm 120 -o /answer -w '%{http_code}\n' --cacert $of/ca.crt --data-binary @- \
  -H "Authorization: Bearer $(cat $of/token)" -H 'Content-Type: application/json' "$@"
cat /answer
"#;

/// The status and the answer to one record, of so many days ago.
fn send(cluster: &Cluster, to: &[&str], body: &str, days: u64) -> Result<String> {
    let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let time = time.saturating_sub(Duration::from_secs(days * 86_400)).as_nanos().to_string();
    let record = json!({ "timeUnixNano": time, "body": { "stringValue": body } });
    let request = json!({ "resourceLogs": [{ "scopeLogs": [{ "logRecords": [record] }] }] });
    let exec = ["exec", "-i", "-n", "moor", "sender", "--", "sh", "-c", SEND, "send"];
    run(&mut cluster.kubectl_command(&[&exec[..], to].concat()), &request.to_string())?.ok()
}

/// The bodies of records, the oldest first.
fn bodies(cluster: &Cluster, query: &str) -> Result<Vec<String>> {
    let records = cluster.logs(&[query, "-n", "moor", "--since", "30d", "--limit", "0"])?;
    Ok(records.iter().filter_map(|record| Some(record["body"].as_str()?.to_owned())).collect())
}

pub fn kept(shared: &Shared) -> Result<()> {
    let cluster = shared.cluster()?;
    let right = Right { group: "logs.tiphys.io", resources: &["otlp"] };
    cluster.apply(&doors::account("moor", right))?;
    cluster.apply(MOOR)?;
    cluster.kubectl(&["wait", "-n", "moor", "--for=condition=Ready", "pod", "--all", "--timeout=120s"])?;
    sampled(&cluster)?;
    aged(&cluster)?;
    tls_only(&cluster)?;
    cluster.kubectl(&["delete", "namespace", "moor", "--timeout=120s"]).map(drop)
}

/// A tenth of what is not grave, and all that is.
fn sampled(cluster: &Cluster) -> Result<()> {
    // The last lines come last.
    eventually(LIMIT, || {
        let grave = bodies(cluster, "pod:sampled level:error")?;
        ensure!(grave.len() == 5, "{grave:?}");
        Ok(())
    })?;
    let rest = bodies(cluster, "pod:sampled level:info")?;
    ensure!((90..=110).contains(&rest.len()), "{} of 1000 lines are kept", rest.len());
    Ok(())
}

/// Records of different ages: one goes by an order, one by the namespace's annotation.
fn aged(cluster: &Cluster) -> Result<()> {
    for days in [0, 2, 5] {
        let url = "http://tiphys-logs.tiphys-system.svc:4318/v1/logs";
        let answer = send(cluster, &[url], &format!("bittern of {days} days"), days)?;
        ensure!(answer.starts_with("200"), "the door answered {answer}");
    }
    let found = |expected: &[&str]| -> Result<()> {
        let found = bodies(cluster, "bittern")?;
        ensure!(found == expected, "{found:?} are found, not {expected:?}");
        Ok(())
    };
    found(&["bittern of 5 days", "bittern of 2 days", "bittern of 0 days"])?;
    let unsure = cluster.tiphys(&["logs", "delete", "-n", "moor", "--before", "4d"])?;
    ensure!(unsure.code != 0 && unsure.stderr.contains("--yes"), "nobody was asked: {unsure:?}");
    found(&["bittern of 5 days", "bittern of 2 days", "bittern of 0 days"])?;
    // From the moment of the answer on.
    cluster.tiphys(&["logs", "delete", "-n", "moor", "--before", "4d", "--yes"])?.ok()?;
    found(&["bittern of 2 days", "bittern of 0 days"])?;
    cluster.kubectl(&["annotate", "namespace", "moor", "logs.tiphys.io/retention=1d"])?;
    eventually(LIMIT, || found(&["bittern of 0 days"])).map(drop)
}

/// Of one node: the others' collectors go on as they are.
const OF_NODE: [&str; 6] =
    ["-n", "tiphys-system", "-l", "app=tiphys-collector", "--field-selector", "spec.nodeName=node-2"];

/// A collector of node-2 that has read the configuration as it is now; its address.
fn restarted(cluster: &Cluster) -> Result<String> {
    cluster.kubectl(&[&["delete", "pod"][..], &OF_NODE[..]].concat())?;
    let ready = || -> Result<String> {
        let pods = cluster.get(&[&["pods"][..], &OF_NODE[..]].concat())?;
        let status = &pods["items"][0]["status"];
        let conditions = status["conditions"].as_array().context("it has no state yet")?;
        let is_ready = |condition: &Value| condition["type"] == "Ready" && condition["status"] == "True";
        ensure!(conditions.iter().any(is_ready), "the collector is not ready: {conditions:?}");
        Ok(status["podIP"].as_str().context("an address")?.to_owned())
    };
    Ok(eventually(LIMIT, ready)?.0)
}

/// The answers to plain text, and to TLS with the certificate's own name.
fn both(cluster: &Cluster, address: &str, body: &str) -> Result<[String; 2]> {
    let name = "tiphys-logs.tiphys-system.svc";
    let (place, url) = (format!("{name}:4318:{address}"), format!("https://{name}:4318/v1/logs"));
    let plain = [&*format!("http://{address}:4318/v1/logs")];
    let plain = send(cluster, &plain, &format!("{body} in plain text"), 0)?;
    let by_tls = send(cluster, &["--resolve", &place, &url], &format!("{body} by TLS"), 0)?;
    // curl's word for no answer: the door may not be open yet, or was closed before it was heard.
    ensure!(!plain.starts_with("000") && !by_tls.starts_with("000"), "{plain} {by_tls}");
    Ok([plain, by_tls])
}

fn tls_only(cluster: &Cluster) -> Result<()> {
    let with = "--from-literal=TIPHYS_DOORS_TLS_ONLY=true";
    cluster.kubectl(&["create", "configmap", "-n", "tiphys-system", "tiphys-collector", with])?;
    let address = restarted(cluster)?;
    let held_to = eventually(LIMIT, || {
        let [plain, by_tls] = both(cluster, &address, "curlew")?;
        let is_told = plain.starts_with("400") && plain.contains("speaks TLS only");
        ensure!(is_told, "plain text is answered {plain}");
        ensure!(by_tls.starts_with("200"), "TLS is answered {by_tls}");
        Ok(())
    });
    cluster.kubectl(&["delete", "configmap", "-n", "tiphys-system", "tiphys-collector"])?;
    let address = restarted(cluster)?;
    held_to?;
    eventually(LIMIT, || {
        let answers = both(cluster, &address, "whimbrel")?;
        ensure!(answers.iter().all(|answer| answer.starts_with("200")), "{answers:?}");
        Ok(())
    })?;
    let found = bodies(cluster, "curlew")?;
    ensure!(!found.is_empty() && found.iter().all(|body| body == "curlew by TLS"), "{found:?}");
    Ok(())
}
