//! kubectl's verbs over Pods that run: cp, debug in its two ways, drain.

use std::{fs, time::Duration};

use anyhow::{Result, ensure};
use tiphys_tests::eventually;

use crate::{
    BUSYBOX,
    kubectl_every::{Session, text},
};

const LIMIT: Duration = Duration::from_secs(120);

const PATIENT: &str = "
apiVersion: v1
kind: Pod
metadata: {name: patient}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {name: main, image: 'test.local/busybox:1', command: [sleep, '3600']}
  - {name: aside, image: 'test.local/busybox:1', command: [sleep, '3601']}
";

pub fn copy(session: &Session<'_>) -> Result<()> {
    session.manifest(&["apply"], PATIENT, &["created"])?;
    session.says(&["wait", "pod/patient", "--for=condition=Ready", "--timeout=120s"], &["met"])?;
    // More than one frame of a stream, and no text.
    let content: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    let (there, back) = (session.file("there"), session.file("back"));
    fs::write(&there, &content)?;
    session.says(&["cp", &text(&there), "patient:/tmp/file", "-c", "aside"], &[])?;
    session.says(&["cp", "patient:/tmp/file", &text(&back), "-c", "aside"], &[])?;
    ensure!(fs::read(&back)? == content, "what came back is not what was sent");
    session.ends(&["exec", "patient", "-c", "main", "--", "ls", "/tmp/file"], "", 1, &["No such file"])?;
    session.ends(&["exec", "patient", "-c", "main", "--", "sh", "-c", "exit 7"], "", 7, &[])
}

pub fn debug(session: &Session<'_>) -> Result<()> {
    let image = format!("--image={BUSYBOX}");
    // Before that, kubectl sent a kind that Kubernetes 1.23 took away.
    if session.minor >= 23 {
        let look = "cat /proc/1/cmdline; echo; sleep 3600";
        let join = ["debug", "patient", &image, "-c", "doctor", "--target=aside", "--", "sh", "-c", look];
        session.says(&join, &[])?;
        eventually(LIMIT, || {
            let seen = session.ok(&["logs", "patient", "-c", "doctor"])?;
            ensure!(seen.starts_with("sleep\u{0}3601"), "the ephemeral container saw {seen:?}");
            Ok(())
        })?;
    }
    let copy = ["debug", "patient", &image, "--copy-to=copy", "--container=main", "--", "sleep", "3602"];
    session.says(&copy, &[])?;
    let command = session.ok(&["get", "pod", "copy", "-o", "jsonpath={.spec.containers[0].command[1]}"])?;
    ensure!(command == "3602", "the copy runs {command:?}");
    session.says(&["wait", "pod/copy", "--for=condition=Ready", "--timeout=120s"], &["met"])?;
    session.says(&["delete", "pods", "copy", "patient", "--grace-period=1"], &["deleted"])
}

fn budget(label: &str) -> String {
    format!(
        "
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {{name: web}}
spec: {{maxUnavailable: 1, selector: {{matchLabels: {{app: {label}}}}}}}
"
    )
}

pub fn drain(session: &Session<'_>) -> Result<()> {
    let _held = session.nodes();
    let label = format!("app={}", session.namespace);
    let node = || {
        let where_to = "jsonpath={.items[*].spec.nodeName}";
        let node = session.ok(&["get", "pods", "-l", &label, "-o", where_to])?;
        ensure!(
            !node.is_empty() && !node.contains(' '),
            "one Pod has no node, or there are several: {node:?}"
        );
        Ok(node)
    };
    let (first, _) = eventually(LIMIT, node)?;
    session.manifest(&["apply"], &budget(&session.namespace), &["created"])?;
    eventually(LIMIT, || {
        let allowed = session.ok(&["get", "pdb", "web", "-o", "jsonpath={.status.disruptionsAllowed}"])?;
        ensure!(allowed == "1", "the budget allows {allowed:?}");
        Ok(())
    })?;
    session.says(&["cordon", &first], &["cordoned"])?;
    session.says(&["get", "node", &first], &["SchedulingDisabled"])?;
    let selector = format!("--pod-selector={label}");
    session.says(&["drain", &first, "--ignore-daemonsets", &selector, "--timeout=120s"], &["evicted"])?;
    let (second, _) = eventually(LIMIT, node)?;
    ensure!(second != first, "the Pod went to {first} again, which is drained");
    session.says(&["uncordon", &first], &["uncordoned"])
}
