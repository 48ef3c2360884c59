//! kubectl and single Pods: run, a label put on and taken off, a dry run, logs by their
//! options, another image in place and by force.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tiphys_tests::eventually;

use crate::{
    BUSYBOX, Shared,
    kubectl_every::{Session, Step, once},
};

const LIMIT: Duration = Duration::from_secs(120);
const OTHER: &str = "test.local/busybox:2";
const LINES: usize = 20;

const TWIN: &str = "
apiVersion: v1
kind: Pod
metadata: {name: twin, labels: {run: twin}}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: twin, image: 'test.local/busybox:1', command: [sleep, '3600']}]
";

const STEPS: &[Step] =
    &[("run", run_once), ("label", label), ("dry run", dry_run), ("logs", logs), ("replace", replace)];

pub fn walk(shared: &Shared) -> Result<()> {
    once(shared, "lone", STEPS)
}

fn image(pod: &Value) -> &str {
    pod["spec"]["containers"][0]["image"].as_str().unwrap_or_default()
}

fn run_once(session: &Session<'_>) -> Result<()> {
    let image_flag = format!("--image={BUSYBOX}");
    let script = format!("for n in $(seq {LINES}); do echo line $n; done; sleep 3600");
    let run = ["run", "lone", "--restart=Never", &image_flag, "--command", "--", "sh", "-c", &script];
    session.says(&run, &["pod/lone created"])?;
    let pod = session.json(&["get", "pod", "lone"])?;
    let containers = pod["spec"]["containers"].as_array().map_or(0, Vec::len);
    ensure!(containers == 1 && image(&pod) == BUSYBOX, "it runs {}", pod["spec"]["containers"]);
    ensure!(pod["spec"]["restartPolicy"] == "Never", "it restarts {}", pod["spec"]["restartPolicy"]);
    session.says(&["wait", "pod/lone", "--for=condition=Ready", "--timeout=120s"], &["met"])
}

fn label(session: &Session<'_>) -> Result<()> {
    let found = || session.ok(&["get", "pods", "-l", "testing-label=testing-value", "-o", "name"]);
    ensure!(found()?.is_empty(), "the label is there already");
    session.says(&["label", "pod", "lone", "testing-label=testing-value"], &["labeled"])?;
    session.says(&["get", "pod", "lone", "-L", "testing-label"], &["TESTING-LABEL", "testing-value"])?;
    ensure!(found()?.trim() == "pod/lone", "the Pod is not found by its label");
    session.says(&["label", "pod", "lone", "testing-label-"], &["unlabeled"])?;
    ensure!(found()?.is_empty(), "the Pod is found by a label that it lost");
    let shown = session.ok(&["get", "pod", "lone", "-L", "testing-label"])?;
    ensure!(!shown.contains("testing-value"), "the label is still shown:\n{shown}");
    Ok(())
}

fn dry_run(session: &Session<'_>) -> Result<()> {
    let patch = format!(r#"{{"spec": {{"containers": [{{"name": "lone", "image": "{OTHER}"}}]}}}}"#);
    let version = |pod: &Value| pod["metadata"]["resourceVersion"].clone();
    // Nothing is written at all, unless the kubelet has something to say just then.
    eventually(LIMIT, || {
        let before = session.json(&["get", "pod", "lone"])?;
        let tried = session.json(&["patch", "pod", "lone", "-p", &patch, "--dry-run=server"])?;
        ensure!(image(&tried) == OTHER, "the dry run shows {:?}", image(&tried));
        let after = session.json(&["get", "pod", "lone"])?;
        ensure!(version(&before) == version(&after), "the dry run was none: {after}");
        ensure!(image(&after) == BUSYBOX, "the dry run was none: {:?}", image(&after));
        Ok(())
    })
    .map(drop)
}

fn logs(session: &Session<'_>) -> Result<()> {
    let read = |flags: &[&str]| session.ok(&[&["logs", "lone"][..], flags].concat());
    let whole: String = (1..=LINES).map(|n| format!("line {n}\n")).collect();
    eventually(LIMIT, || {
        let said = read(&[])?;
        ensure!(said == whole, "the log is {said:?}");
        Ok(())
    })?;
    let last = format!("line {LINES}\n");
    let tail = read(&["--tail=1"])?;
    ensure!(tail == last, "the last line is {tail:?}");
    let byte = read(&["--limit-bytes=1"])?;
    ensure!(byte == "l", "one byte is {byte:?}");
    let stamped = read(&["--tail=1", "--timestamps"])?;
    let (time, line) = stamped.split_once(' ').context("a time and a line")?;
    time.parse::<jiff::Timestamp>().with_context(|| format!("{time:?} is no time"))?;
    ensure!(line == last, "behind the time stands {line:?}");
    let day = read(&["--since=24h"])?;
    ensure!(day == whole, "of a day came {day:?}");
    // Once the lines are older than that.
    eventually(LIMIT, || {
        let second = read(&["--since=1s"])?;
        ensure!(second.is_empty(), "of a second came {second:?}");
        Ok(())
    })
    .map(drop)
}

fn replace(session: &Session<'_>) -> Result<()> {
    session.cluster.import_busybox(OTHER)?;
    session.manifest(&["create"], TWIN, &["created"])?;
    let running = |wanted: &str| -> Result<Value> {
        let (pod, _) = eventually(LIMIT, || {
            let pod = session.json(&["get", "pod", "twin"])?;
            let status = &pod["status"]["containerStatuses"][0];
            let runs = status["ready"] == true && status["state"]["running"].is_object();
            ensure!(runs && status["image"] == wanted, "the container is {status}");
            ensure!(image(&pod) == wanted, "the Pod wants {:?}", image(&pod));
            Ok(pod)
        })?;
        Ok(pod)
    };
    let before = running(BUSYBOX)?;
    // The kubelet may write its status meanwhile.
    eventually(LIMIT, || {
        let changed = session.json(&["get", "pod", "twin"])?.to_string().replace(BUSYBOX, OTHER);
        session.manifest(&["replace"], &changed, &["pod/twin replaced"])
    })?;
    let after = running(OTHER)?;
    ensure!(after["metadata"]["uid"] == before["metadata"]["uid"], "it is another Pod");
    session.manifest(&["replace", "--force"], TWIN, &["deleted", "replaced"])?;
    let forced = running(BUSYBOX)?;
    ensure!(forced["metadata"]["uid"] != before["metadata"]["uid"], "the Pod was not made anew");
    session.says(&["delete", "pods", "lone", "twin", "--grace-period=1"], &["deleted"])
}
