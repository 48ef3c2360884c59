//! A StatefulSet on real containers, driven by kubectl: up in order, found by name, scaled,
//! rolled to a partition, undone, restarted, left and taken over.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tiphys_tests::eventually;

use crate::{
    Shared,
    kubectl_every::{Session, Step, once},
};

const LIMIT: Duration = Duration::from_secs(120);

/// Each Pod serves its host name.
const MANIFEST: &str = "
apiVersion: v1
kind: Service
metadata: {name: peers}
spec:
  clusterIP: None
  selector: {app: db}
  ports: [{name: http, port: 8080}]
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  replicas: 2
  serviceName: peers
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: main
        image: test.local/curl:1
        env: [{name: STEP, value: '1'}]
        command: [sh, -c, 'mkdir -p /tmp/www; hostname > /tmp/www/who; exec httpd -f -p 8080 -h /tmp/www']
        # One that is ready stays so, also on a machine that stands still for a moment.
        readinessProbe: {httpGet: {path: /who, port: 8080}, periodSeconds: 1, timeoutSeconds: 60, failureThreshold: 60}
";

const STEPS: &[Step] = &[
    ("comes up in order", comes_up),
    ("is found by name", named),
    ("scale", scale),
    ("roll to a partition", roll),
    ("history and undo", undo),
    ("restart", restart),
    ("leave and take over", take_over),
];

pub fn walk(shared: &Shared) -> Result<()> {
    once(shared, "stateful", STEPS)
}

fn rolled_out(session: &Session<'_>) -> Result<()> {
    session.says(&["rollout", "status", "sts/db", "--timeout=120s"], &[])
}

/// The Pods that are not going, by name.
fn pods(session: &Session<'_>) -> Result<Vec<Value>> {
    let pods = session.json(&["get", "pods", "-l", "app=db", "--sort-by=.metadata.name"])?;
    let mut pods = pods["items"].as_array().cloned().unwrap_or_default();
    pods.retain(|pod| pod["metadata"]["deletionTimestamp"].is_null());
    Ok(pods)
}

/// `STEP` of each Pod.
fn steps(session: &Session<'_>) -> Result<Vec<String>> {
    let step = |pod: &Value| pod["spec"]["containers"][0]["env"][0]["value"].as_str().map(str::to_owned);
    Ok(pods(session)?.iter().filter_map(step).collect())
}

fn comes_up(session: &Session<'_>) -> Result<()> {
    session.manifest(&["apply"], MANIFEST, &["statefulset.apps/db created"])?;
    rolled_out(session)?;
    let pods = pods(session)?;
    let [first, second] = &pods[..] else { anyhow::bail!("not two Pods: {pods:?}") };
    let ready = |pod: &Value| {
        let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let ready = conditions.into_iter().find(|condition| condition["type"] == "Ready");
        ready.and_then(|ready| ready["lastTransitionTime"].as_str().map(str::to_owned))
    };
    let made = second["metadata"]["creationTimestamp"].as_str().map(str::to_owned);
    let (ready, made) = (ready(first).context("db-0 is not ready")?, made.context("a time")?);
    ensure!(ready <= made, "db-1 was made at {made}, before db-0 was ready at {ready}");
    let events =
        ["create Pod db-0 in StatefulSet db successful", "create Pod db-1 in StatefulSet db successful"];
    eventually(LIMIT, || session.says(&["describe", "sts", "db"], &events)).map(drop)
}

/// One Pod asks each by its name in the headless Service, which is also what it calls itself.
fn named(session: &Session<'_>) -> Result<()> {
    for name in ["db-0", "db-1"] {
        let url = format!("http://{name}.peers:8080/who");
        eventually(LIMIT, || {
            let said = session.ok(&["exec", "db-0", "--", "curl", "-sfm", "5", &url])?;
            ensure!(said.trim() == name, "{url} says {said:?}");
            Ok(())
        })?;
    }
    Ok(())
}

fn scale(session: &Session<'_>) -> Result<()> {
    for (count, expected) in [(3, "db-0 db-1 db-2"), (1, "db-0"), (3, "db-0 db-1 db-2")] {
        session.says(&["scale", "sts", "db", &format!("--replicas={count}")], &["scaled"])?;
        eventually(LIMIT, || {
            let pods = pods(session)?;
            let names: Vec<_> = pods.iter().filter_map(|pod| pod["metadata"]["name"].as_str()).collect();
            ensure!(names.join(" ") == expected, "there are {names:?}");
            Ok(())
        })?;
        rolled_out(session)?;
    }
    session.ends(&["scale", "sts", "db", "--current-replicas=7", "--replicas=1"], "", 1, &["to be 7"])
}

fn partition(session: &Session<'_>, number: u8) -> Result<()> {
    let patch = format!(r#"{{"spec":{{"updateStrategy":{{"rollingUpdate":{{"partition":{number}}}}}}}}}"#);
    session.says(&["patch", "sts", "db", "-p", &patch], &["patched"])
}

fn roll(session: &Session<'_>) -> Result<()> {
    partition(session, 1)?;
    session.says(&["set", "env", "sts/db", "STEP=2"], &["updated"])?;
    session.says(&["rollout", "status", "sts/db", "--timeout=120s"], &["partitioned roll out complete"])?;
    let steps_now = steps(session)?;
    ensure!(steps_now == ["1", "2", "2"], "below the partition is updated: {steps_now:?}");
    // It comes back as it was.
    session.says(&["delete", "pod", "db-0"], &["deleted"])?;
    eventually(LIMIT, || {
        let steps = steps(session)?;
        ensure!(steps == ["1", "2", "2"], "{steps:?}");
        Ok(())
    })?;
    partition(session, 0)?;
    rolled_out(session)?;
    let steps = steps(session)?;
    ensure!(steps == ["2"; 3], "not all are updated: {steps:?}");
    Ok(())
}

fn undo(session: &Session<'_>) -> Result<()> {
    let history = session.ok(&["rollout", "history", "sts/db"])?;
    let revisions = history.lines().filter(|line| line.starts_with(['1', '2'])).count();
    ensure!(revisions == 2, "history:\n{history}");
    session.says(&["rollout", "history", "sts/db", "--revision=1"], &["STEP:", "test.local/curl:1"])?;
    session.says(&["rollout", "undo", "sts/db"], &["rolled back"])?;
    rolled_out(session)?;
    let steps = steps(session)?;
    ensure!(steps == ["1"; 3], "not all are back: {steps:?}");
    Ok(())
}

fn restart(session: &Session<'_>) -> Result<()> {
    let uids = || -> Result<Vec<String>> {
        Ok(pods(session)?
            .iter()
            .filter_map(|pod| pod["metadata"]["uid"].as_str().map(str::to_owned))
            .collect())
    };
    let before = uids()?;
    session.says(&["rollout", "restart", "sts/db"], &["restarted"])?;
    rolled_out(session)?;
    let after = uids()?;
    ensure!(after.len() == 3 && after.iter().all(|uid| !before.contains(uid)), "{before:?} {after:?}");
    Ok(())
}

fn take_over(session: &Session<'_>) -> Result<()> {
    session.says(&["delete", "sts", "db", "--cascade=orphan"], &["deleted"])?;
    let left = pods(session)?;
    ensure!(left.len() == 3, "{} Pods are left", left.len());
    let manifest = MANIFEST.replace("replicas: 2", "replicas: 3");
    session.manifest(&["apply"], &manifest, &["statefulset.apps/db created"])?;
    eventually(LIMIT, || {
        let pods = pods(session)?;
        let owned = pods.iter().filter(|pod| pod["metadata"]["ownerReferences"][0]["name"] == "db");
        ensure!(owned.count() == 3, "not all are taken over");
        Ok(())
    })?;
    session.says(&["delete", "sts", "db", "--timeout=120s"], &["deleted"])?;
    session.says(&["wait", "pods", "-l", "app=db", "--for=delete", "--timeout=120s"], &[])
}
