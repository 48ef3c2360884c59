//! kubectl, unmodified: everyday commands.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use tiphys_tests::{eventually, run};

use crate::{BUSYBOX, Shared};

pub fn nodes(shared: &Shared) -> Result<()> {
    let cluster = shared.cluster()?;
    eprintln!("up took {:.1} s", cluster.start_time().as_secs_f64());
    let table = cluster.kubectl(&["get", "nodes"])?;
    let ready = table.lines().filter(|line| line.split_whitespace().nth(1) == Some("Ready")).count();
    ensure!(ready == 3, "not three Ready nodes:\n{table}");
    // Any Pod may be placed on each.
    let nodes = cluster.get(&["nodes"])?;
    for node in nodes["items"].as_array().into_iter().flatten() {
        let (name, spec) = (&node["metadata"]["name"], &node["spec"]);
        let free = spec["taints"].as_array().is_none_or(Vec::is_empty);
        ensure!(free && spec["unschedulable"] != true, "{name} takes no Pods: {spec}");
    }
    Ok(())
}

pub fn deployment(shared: &Shared) -> Result<()> {
    let cluster = shared.cluster()?;
    let image = format!("--image={BUSYBOX}");
    cluster.kubectl(&["create", "deployment", "web", &image, "--replicas=2", "--", "sleep", "3600"])?;
    cluster.rolled_out("deployment/web")?;
    cluster.kubectl(&["scale", "deployment", "web", "--replicas=4"])?;
    cluster.rolled_out("deployment/web")?;
    let pods = cluster.kubectl(&["get", "pods", "-l", "app=web", "--no-headers"])?;
    ensure!(pods.lines().filter(|line| line.contains("Running")).count() == 4, "not four Pods:\n{pods}");
    // A new template: every Pod is replaced, and it can be taken back.
    cluster.kubectl(&["set", "env", "deployment/web", "STEP=2"])?;
    cluster.rolled_out("deployment/web")?;
    let history = cluster.kubectl(&["rollout", "history", "deployment/web"])?;
    ensure!(history.lines().filter(|line| line.starts_with(['1', '2'])).count() == 2, "history:\n{history}");
    cluster.kubectl(&["rollout", "undo", "deployment/web"])?;
    cluster.rolled_out("deployment/web")?;
    cluster.kubectl(&["delete", "deployment", "web", "--timeout=120s"])?;
    cluster.gone(&["replicasets,pods", "-l", "app=web"], Duration::from_secs(120))
}

const CONFIGURED: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {greeting: hello}
---
apiVersion: v1
kind: Pod
metadata: {name: configured, labels: {app: configured}}
spec:
  # With a mount that the server adds, kubectl always has an order of mounts to send.
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: test.local/busybox:1
    command: [sh, -c, 'echo $GREETING; cat /settings/greeting; sleep 3600']
    env:
    - name: GREETING
      valueFrom: {configMapKeyRef: {name: settings, key: greeting}}
    resources:
      requests: {cpu: 10m, memory: 16Mi}
      limits: {memory: 64Mi}
    volumeMounts:
    - {name: settings, mountPath: /settings}
  volumes:
  - name: settings
    configMap: {name: settings}
";

pub fn look(shared: &Shared) -> Result<()> {
    let cluster = shared.cluster()?;
    cluster.apply(CONFIGURED)?;
    cluster.kubectl(&["wait", "pod/configured", "--for=condition=Ready", "--timeout=120s"])?;
    let again = cluster.apply(CONFIGURED)?;
    ensure!(
        again.lines().all(|line| line.ends_with("unchanged")),
        "a second apply changed something:\n{again}"
    );
    let described = cluster.kubectl(&["describe", "pod", "configured"])?;
    for part in ["Node:", "settings", "Started", "memory:  64Mi"] {
        ensure!(described.contains(part), "describe lacks {part:?}:\n{described}");
    }
    let explained = cluster.kubectl(&["explain", "pod.spec.restartPolicy"])?;
    ensure!(explained.contains("restartPolicy"), "explain:\n{explained}");
    let mut watch = cluster
        .kubectl_command(&["get", "pods", "-l", "app=configured", "-w", "--no-headers"])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut lines = BufReader::new(watch.stdout.take().context("piped")?).lines();
    // It watches from the moment on at which it has listed the Pod.
    lines.next().context("the list ended")??;
    cluster.kubectl(&["label", "pod", "configured", "seen=yes"])?;
    cluster.kubectl(&["delete", "pod", "configured", "--wait=false"])?;
    let terminating = lines.map_while(Result::ok).any(|line| line.contains("Terminating"));
    watch.kill()?;
    watch.wait()?;
    ensure!(terminating, "the watch did not show the Pod's end");
    cluster.gone(&["pods", "-l", "app=configured"], Duration::from_secs(120))?;
    cluster.kubectl(&["delete", "configmap", "settings"])?;
    for what in [&["nodes"][..], &["pods", "-A"]] {
        let (table, _) = eventually(Duration::from_secs(120), || {
            cluster.kubectl(&[&["top"][..], what, &["--no-headers"]].concat()).and_then(|table| {
                ensure!(!table.trim().is_empty(), "top {what:?} is empty");
                Ok(table)
            })
        })?;
        eprintln!("{table}");
    }
    Ok(())
}

pub fn streams(shared: &Shared) -> Result<()> {
    let cluster = shared.cluster()?;
    let image = format!("--image={BUSYBOX}");
    let script =
        "echo ready; mkdir -p /tmp/www; echo served > /tmp/www/index.html; httpd -f -p 8080 -h /tmp/www";
    cluster.kubectl(&["run", "streams", &image, "--command", "--", "sh", "-c", script])?;
    cluster.kubectl(&["wait", "pod/streams", "--for=condition=Ready", "--timeout=120s"])?;
    let (logs, _) = eventually(Duration::from_secs(120), || {
        let logs = cluster.kubectl(&["logs", "streams"])?;
        ensure!(logs.contains("ready"), "logs: {logs:?}");
        Ok(logs)
    })?;
    ensure!(logs == "ready\n", "logs: {logs:?}");
    let echoed =
        run(&mut cluster.kubectl_command(&["exec", "-i", "streams", "--", "cat"]), "to and fro\n")?.ok()?;
    ensure!(echoed == "to and fro\n", "exec gave back {echoed:?}");
    let failed = run(&mut cluster.kubectl_command(&["exec", "streams", "--", "sh", "-c", "exit 7"]), "")?;
    ensure!(failed.code == 7, "the exit code came back as {}", failed.code);
    let terminal = run(
        std::process::Command::new("script")
            .args(["-qec", "kubectl exec -it streams -- sh -c 'test -t 0 && echo a terminal'", "/dev/null"])
            .env("KUBECONFIG", cluster.kubeconfig()),
        "",
    )?;
    ensure!(terminal.stdout.contains("a terminal"), "exec -it: {terminal:?}");
    // It says that it is ready before it listens.
    let fetch_inside = ["exec", "streams", "--", "wget", "-qO-", "http://127.0.0.1:8080/"];
    eventually(Duration::from_secs(120), || cluster.kubectl(&fetch_inside))?;
    let mut forward =
        cluster.kubectl_command(&["port-forward", "pod/streams", "0:8080"]).stdout(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(forward.stdout.take().context("piped")?).lines();
    let line = lines.next().context("port-forward said nothing")??;
    let answer = fetch(&line);
    forward.kill()?;
    forward.wait()?;
    let answer = answer?;
    ensure!(answer.ends_with("served\n"), "through the forward came {answer:?}");
    cluster.kubectl(&["delete", "pod", "streams", "--grace-period=1"]).map(drop)
}

/// A container that joins a Pod which runs, sees its processes, and is attached to.
pub fn debug(shared: &Shared) -> Result<()> {
    let cluster = shared.cluster()?;
    let image = format!("--image={BUSYBOX}");
    cluster.kubectl(&["run", "patient", &image, "--command", "--", "sleep", "3600"])?;
    cluster.kubectl(&["wait", "pod/patient", "--for=condition=Ready", "--timeout=120s"])?;
    // It goes on until it is let: at its end the runtime may drop what it said last.
    let script = "read line; echo got $line; cat /proc/1/cmdline; echo; read last";
    let debug = ["debug", "-i", "patient", &image, "--target=patient", "--", "sh", "-c", script];
    let mut session = cluster.kubectl_command(&debug).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut word = session.stdin.take().context("piped")?;
    word.write_all(b"a word\n")?;
    let mut seen = String::new();
    for line in BufReader::new(session.stdout.take().context("piped")?).lines() {
        seen += &format!("{}\n", line?);
        if seen.contains("sleep") {
            break;
        }
    }
    // It may have ended by itself, which is seen by what it said.
    let _ = word.write_all(b"enough\n");
    drop(word);
    session.wait()?;
    ensure!(seen.contains("got a word\nsleep\u{0}3600"), "through debug came {seen:?}");
    cluster.kubectl(&["delete", "pod", "patient", "--grace-period=1"]).map(drop)
}

/// `Forwarding from 127.0.0.1:40123 -> 8080`
fn fetch(line: &str) -> Result<String> {
    let address = line.split_whitespace().nth(2).with_context(|| format!("no address in {line:?}"))?;
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(120)))?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
