//! Logs of a Pod that talks, read by others (`tests/clients/read_logs.py` says by which) and by
//! what `tiphys logs` counts and shows around hits.

use std::{io::Write, time::Duration};

use anyhow::{Result, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use tempfile::NamedTempFile;
use tiphys_tests::{Cluster, clients, eventually};

use crate::Shared;

const TALKER: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: readers}
---
apiVersion: v1
kind: Pod
metadata: {name: bittern, namespace: readers, labels: {app: bittern, tier: marsh}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: test.local/busybox:1
    command:
    - sh
    - -c
    - |
      for i in 1 2 3; do echo level=info msg=bittern number=$i status=200; done
      echo level=error msg=bittern number=4 status=500 took=0.5
      echo level=info msg=bittern at rest
      sleep 3600
  - name: side
    image: test.local/busybox:1
    command: [sh, -c, 'while true; do echo tick; sleep 1; done']
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: reader, namespace: readers}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: readers}
rules:
- apiGroups: ['']
  resources: [pods/log]
  verbs: [get]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader, namespace: readers}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: reader, namespace: readers}]
";

pub fn read(shared: &Shared) -> Result<()> {
    let cluster = shared.cluster()?;
    cluster.apply(TALKER)?;
    let wait = ["wait", "-n", "readers", "pod/bittern", "--for=condition=Ready", "--timeout=120s"];
    cluster.kubectl(&wait)?;
    eventually(Duration::from_secs(120), || {
        let lines = cluster.logs(&["-n", "readers", "container:main"])?;
        let ticks = cluster.logs(&["-n", "readers", "tick", "--limit", "1"])?;
        ensure!(lines.len() == 5 && ticks.len() == 1, "{lines:?} {ticks:?}");
        Ok(())
    })?;
    by_others(&cluster)?;
    counted(&cluster)?;
    around(&cluster)?;
    cluster.kubectl(&["delete", "namespace", "readers", "--timeout=120s"]).map(drop)
}

/// By a token that may read this namespace only, at the address that kubectl has.
fn by_others(cluster: &Cluster) -> Result<()> {
    let config = |field: &str| {
        let output = format!("jsonpath={{.clusters[0].cluster.{field}}}");
        cluster.kubectl(&["config", "view", "--minify", "--raw", "-o", &output])
    };
    let mut authority = NamedTempFile::new()?;
    authority.write_all(&STANDARD.decode(config("certificate-authority-data")?.trim())?)?;
    let token = cluster.kubectl(&["create", "token", "reader", "-n", "readers"])?;
    let mut python = clients::script(&clients::python()?, "read_logs.py");
    python.arg(config("server")?.trim()).arg(authority.path()).arg(token.trim());
    clients::done(&mut python)
}

/// Values of fields, their names, and values over time.
fn counted(cluster: &Cluster) -> Result<()> {
    let words = |arguments: &[&str]| -> Result<String> {
        let all = [&["logs", "-n", "readers", "container:main"], arguments].concat();
        let text = cluster.tiphys(&all)?.ok()?;
        Ok(text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n").collect())
    };
    let values = words(&["--facets", "level,status"])?;
    let expected = "FIELD VALUE COUNT\nlevel info 4\nlevel error 1\nstatus 200 3\nstatus 500 1\n5 records\n";
    ensure!(values == expected, "{values}");
    let own = words(&["--facets"])?;
    ensure!(own.contains("\nnamespace readers 5\npod bittern 5\ncontainer main 5\n"), "{own}");
    let fields = words(&["--fields"])?;
    ensure!(fields.contains("\nstatus 4\n") && fields.contains("\ntier 5\n"), "{fields}");
    let bars = words(&["--histogram", "--by", "status", "--top", "1"])?;
    ensure!(bars.starts_with("TIME COUNT 200 (others) (none)\n"), "{bars}");
    ensure!(bars.contains("\n5 records since "), "{bars}");
    Ok(())
}

/// What stands around a hit, of its Pod and of its node.
fn around(cluster: &Cluster) -> Result<()> {
    let query = ["-n", "readers", "status:500", "-C", "20", "--around-in"];
    for (place, key) in [("stream", "container"), ("pod", "pod"), ("node", "node")] {
        let records = cluster.logs(&[&query[..], &[place]].concat())?;
        let hits: Vec<_> = records.iter().filter(|record| record["hit"] == true).collect();
        ensure!(hits.len() == 1 && records.len() >= 5, "around in the {place}: {records:?}");
        let elsewhere = records.iter().find(|record| record[key] != hits[0][key] || record["group"] != 1);
        ensure!(elsewhere.is_none(), "not of this {place}: {elsewhere:?}");
        let ticks = records.iter().any(|record| record["body"] == "tick");
        ensure!(place == "node" || ticks == (place == "pod"), "around in the {place}: {records:?}");
    }
    let alone = cluster.tiphys(&["logs", "bittern", "--around-in", "pod"])?;
    ensure!(alone.code == 2 && alone.stderr.contains("-C 5"), "{alone:?}");
    Ok(())
}
