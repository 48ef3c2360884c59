//! Logs of every node are found, at once, and after their Pods are gone.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Result, ensure};
use tiphys_tests::eventually;

use crate::Shared;

const LIMIT: Duration = Duration::from_secs(120);

const MANIFEST: &str = "
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: talker}
spec:
  selector: {matchLabels: {app: talker}}
  template:
    metadata: {labels: {app: talker}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: main
        image: test.local/busybox:1
        command: [sh, -c, 'echo level=error msg=\"cormorant on $NODE\"; sleep 3600']
        env: [{name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}]
";

fn nodes_of(records: &[serde_json::Value]) -> BTreeSet<String> {
    records.iter().filter_map(|record| Some(record["node"].as_str()?.to_owned())).collect()
}

pub fn search(shared: &Shared) -> Result<()> {
    let cluster = shared.cluster()?;
    cluster.apply(MANIFEST)?;
    cluster.rolled_out("daemonset/talker")?;
    let found = || -> Result<Vec<serde_json::Value>> {
        let records = cluster.logs(&["cormorant AND pod:talker-*", "--since", "15m"])?;
        ensure!(nodes_of(&records).len() == 3, "found on {:?} only", nodes_of(&records));
        Ok(records)
    };
    let (records, _) = eventually(LIMIT, found)?;
    for key in ["time", "namespace", "pod", "container", "node", "level", "body"] {
        ensure!(records[0].get(key).is_some(), "a record lacks {key}: {}", records[0]);
    }
    ensure!(records[0]["level"] == "error", "the level was not found: {}", records[0]);
    by_hand(&cluster)?;
    cluster.kubectl(&["delete", "daemonset", "talker", "--timeout=120s"])?;
    cluster.gone(&["pods", "-l", "app=talker"], LIMIT)?;
    eventually(LIMIT, found).map(drop)
}

/// Lines that a container writes later on are found, each while it runs.
fn by_hand(cluster: &tiphys_tests::Cluster) -> Result<()> {
    let pods = cluster.get(&["pods", "-l", "app=talker"])?;
    let pod = pods["items"][0]["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    for round in 0..3 {
        let word = format!("gannet{round}");
        cluster.kubectl(&["exec", &pod, "--", "sh", "-c", &format!("echo {word} > /proc/1/fd/1")])?;
        let (_, took) = eventually(LIMIT, || {
            let found = cluster.logs(&[&word, "--limit", "1"])?;
            ensure!(found.len() == 1, "{word} is not found");
            Ok(())
        })?;
        eprintln!("searchable after {} ms, the command's own start included", took.as_millis());
    }
    Ok(())
}

const CRIER: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: crier}
spec:
  replicas: 2
  selector: {matchLabels: {app: crier}}
  template:
    metadata: {labels: {app: crier, tier: noise}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: main
        image: test.local/busybox:1
        command: [sh, -c, 'echo begin; echo level=error msg=heron call=$CALL took=0.5; echo end; sleep 3600']
        env: [{name: CALL, value: one}]
";

/// What people do with `tiphys logs`, and the same lines in SQL.
pub fn tool(shared: &Shared) -> Result<()> {
    let cluster = shared.cluster()?;
    cluster.apply(CRIER)?;
    cluster.rolled_out("deployment/crier")?;
    // The line after an error is found a moment later: a trace might have followed.
    let all = || -> Result<()> {
        let found = cluster.logs(&["--for", "deploy/crier", "--since", "15m"])?;
        ensure!(found.len() == 6, "three lines of two Pods were expected: {found:?}");
        Ok(())
    };
    eventually(LIMIT, all)?;
    let records = cluster.logs(&["heron", "--for", "deploy/crier", "--since", "15m"])?;
    ensure!(records.len() == 2, "two lines were expected: {records:?}");
    let pod = records[0]["pod"].as_str().unwrap_or_default().to_owned();
    let text = |arguments: &[&str]| cluster.tiphys(&[&["logs"], arguments].concat())?.ok();

    // A Pod by its name alone, a workload by its kind and name, labels.
    ensure!(text(&[&pod])?.lines().count() == 3, "the Pod's own three lines");
    for whose in
        [&["deploy/crier"][..], &["-l", "app=crier,tier in (noise, x)"], &["--pod", "crier-*", "-c", "main"]]
    {
        let found = text(&[whose, &["-n", "default", "-o", "raw", "--level", "error"]].concat())?;
        ensure!(found == "level=error msg=heron call=one took=0.5\n".repeat(2), "{whose:?}: {found}");
    }
    let around = text(&["heron", "--pod", &pod, "-C", "1", "-o", "raw"])?;
    ensure!(around == "begin\nlevel=error msg=heron call=one took=0.5\nend\n", "lines around: {around}");

    // The last of each container, where a limit is the last of all.
    for (count, lines) in [("--tail", 2), ("--limit", 1)] {
        let found = text(&["heron", "--for", "deploy/crier", "-o", "raw", count, "1"])?;
        ensure!(found == "level=error msg=heron call=one took=0.5\n".repeat(lines), "{count}: {found}");
    }

    // As kubectl has it: the container behind the Pod, or a query; a workload and a query.
    ensure!(text(&[&pod, "main"])?.lines().count() == 3, "the container of the Pod");
    for whose in [pod.as_str(), "deploy/crier"] {
        let found = text(&[whose, "heron", "--exclude", "call=o.e", "-o", "raw"])?;
        ensure!(found.is_empty(), "{whose}: what is left out: {found}");
        let as_kubectl = [whose, "heron", "--tail=-1", "--timestamps"];
        let found = text(&[&as_kubectl, &["--template", "{pod} {level}: {message}"][..]].concat())?;
        let line = format!("{pod} error: level=error msg=heron call=one took=0.5\n");
        ensure!(found.contains(&line), "{whose}: {found}");
    }

    // Counted.
    let patterns = text(&["-l", "app=crier", "--patterns"])?;
    ensure!(patterns.lines().count() == 3 && patterns.contains("        2  level=error msg="), "{patterns}");
    let figures = text(&["-l", "app=crier", "--stats", "max(took), count by level", "--level", "error"])?;
    ensure!(figures == "LEVEL  MAX(took)  COUNT\nerror        0.5      2\n", "{figures}");
    let bars = text(&["heron", "-l", "app=crier", "--histogram"])?;
    ensure!(bars.contains('█') && bars.contains("2 records since"), "{bars}");

    by_name(&cluster)?;
    in_sql(&cluster)?;
    follow_a_rollout(&cluster)?;
    cluster.kubectl(&["delete", "deployment", "crier", "--timeout=120s"])?;
    cluster.gone(&["pods", "-l", "app=crier"], LIMIT)?;
    // The labels of Pods that are gone are still known.
    let (gone, _) = eventually(LIMIT, || {
        let gone = cluster.logs(&["heron", "-l", "app=crier"])?;
        ensure!(gone.len() == 4, "four lines were expected: {gone:?}");
        Ok(gone)
    })?;
    ensure!(gone.iter().all(|record| record["labels"]["tier"] == "noise"), "labels: {gone:?}");
    Ok(())
}

const BITTERNS: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: reeds}
---
apiVersion: v1
kind: Pod
metadata: {name: bittern, namespace: default}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: main, image: 'test.local/busybox:1', command: [sh, -c, 'echo booming by the harbour; sleep 3600']}
---
apiVersion: v1
kind: Pod
metadata: {name: bittern, namespace: reeds}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: test.local/busybox:1
    command: [sh, -c, 'echo booming in the reeds; sleep 2; exit 3']
";

/// Of two Pods with one name the context's is shown, and the other is told of; their last words are
/// found by the name when they are gone, and of one that was restarted those before.
fn by_name(cluster: &tiphys_tests::Cluster) -> Result<()> {
    cluster.apply(BITTERNS)?;
    let raw = |arguments: &[&str]| cluster.tiphys(&[&["logs", "-o", "raw"], arguments].concat());
    let shows = |arguments: &[&str], line: &str| {
        eventually(LIMIT, || {
            let said = raw(arguments)?;
            ensure!(said.code == 0 && said.stdout.lines().next() == Some(line), "{arguments:?}: {said:?}");
            Ok(said.stderr)
        })
    };
    shows(&["bittern", "-n", "reeds", "--tail", "1"], "booming in the reeds")?;
    let (told, _) = shows(&["bittern"], "booming by the harbour")?;
    ensure!(told.contains("Pod default/bittern") && told.contains("are in reeds,"), "{told}");
    shows(&["bittern", "-n", "reeds", "--previous"], "booming in the reeds")?;
    let instances = cluster.logs(&["bittern", "-n", "reeds", "restart:0"])?;
    ensure!(instances.len() == 1, "one line of the first instance: {instances:?}");
    cluster.kubectl(&["delete", "pod", "bittern", "--timeout=120s"])?;
    // The other still lives: who means the one that is gone says where it was.
    let (told, _) = shows(&["bittern", "-n", "default"], "booming by the harbour")?;
    ensure!(told.contains("Pod default/bittern is gone"), "{told}");
    cluster.kubectl(&["delete", "namespace", "reeds", "--timeout=120s"])?;
    shows(&["bittern"], "booming by the harbour")?;
    let gone = raw(&["bittern", "--previous"])?;
    ensure!(gone.code == 1 && gone.stderr.contains("--facets restart"), "{gone:?}");
    Ok(())
}

fn in_sql(cluster: &tiphys_tests::Cluster) -> Result<()> {
    let rows = cluster.sql(
        "select pod, severity, count(*) as n from logs where match(body, 'heron call:one') and app = 'crier' \
         and time > now() - interval '15 minutes' group by 1, 2 order by 1",
    )?;
    ensure!(rows.len() == 2 && rows.iter().all(|row| row["n"] == 1 && row["severity"] == 5), "{rows:?}");
    // The minutes in which a line was written are some that were measured.
    eventually(LIMIT, || {
        let joined = cluster.sql(
            "select l.pod from logs l join pod p on p.pod = l.pod and p.namespace = l.namespace \
             and p.time between l.time - interval '2 minutes' and l.time + interval '2 minutes' \
             where l.app = 'crier' group by 1",
        )?;
        ensure!(joined.len() == 2, "{joined:?}");
        Ok(())
    })?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("crier.parquet");
    let path = file.to_string_lossy();
    cluster.tiphys(&["logs", "-l", "app=crier", "-o", "parquet", "--file", &path])?.ok()?;
    ensure!(std::fs::read(&file)?.ends_with(b"PAR1"), "no Parquet file");
    cluster.tiphys(&["logs", "-l", "app=crier", "--patterns", "-o", "parquet", "--file", &path])?.ok()?;
    ensure!(std::fs::read(&file)?.ends_with(b"PAR1"), "no Parquet file of counts");
    let statement = "select time, body from logs where app = 'crier'";
    cluster.tiphys(&["sql", "-o", "parquet", "--file", &path, statement])?.ok()?;
    ensure!(std::fs::read(&file)?.ends_with(b"PAR1"), "no Parquet file");
    let wrong = cluster.tiphys(&["sql", "select * from logs where match(body, 'a AND (')"])?;
    ensure!(wrong.code == 1 && wrong.stderr.contains("  a AND (\n         ^"), "{}", wrong.stderr);
    Ok(())
}

/// The Pods of the next rollout are followed too.
fn follow_a_rollout(cluster: &tiphys_tests::Cluster) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("followed");
    let arguments = ["logs", "--for", "deploy/crier", "heron", "-f", "-o", "raw"];
    let mut follower = cluster.tiphys_command(&arguments).stdout(std::fs::File::create(&out)?).spawn()?;
    let followed = || -> Result<()> {
        eventually(LIMIT, || {
            let text = std::fs::read_to_string(&out)?;
            ensure!(text.matches("call=one").count() == 2, "what was there is shown first: {text}");
            Ok(())
        })?;
        cluster.kubectl(&["set", "env", "deployment/crier", "CALL=two"])?;
        cluster.rolled_out("deployment/crier")?;
        eventually(LIMIT, || {
            let text = std::fs::read_to_string(&out)?;
            ensure!(text.matches("call=two").count() == 2, "the new Pods are missing: {text}");
            Ok(())
        })?;
        Ok(())
    };
    let outcome = followed();
    follower.kill()?;
    follower.wait()?;
    outcome
}
