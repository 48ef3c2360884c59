//! SQL over what the nodes measured.

use std::time::Duration;

use anyhow::{Result, ensure};
use tiphys_tests::eventually;

use crate::Shared;

const WRITER: &str = "
apiVersion: v1
kind: Pod
metadata: {name: writer}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: test.local/busybox:1
    command: [sh, -c, 'while true; do dd if=/dev/zero of=/data/file bs=1M count=8 conv=fsync 2>/dev/null; sleep 1; done']
    volumeMounts: [{name: data, mountPath: /data}]
  volumes:
  - {name: data, emptyDir: {}}
";

pub fn tables(shared: &Shared) -> Result<()> {
    let cluster = shared.cluster()?;
    cluster.apply(WRITER)?;
    cluster.kubectl(&["wait", "pod/writer", "--for=condition=Ready", "--timeout=60s"])?;
    eventually(Duration::from_secs(30), || {
        let rows = cluster.sql("select node, count(*) as n from pod group by node order by node")?;
        ensure!(rows.len() == 3, "rows of three nodes were expected: {rows:?}");
        Ok(())
    })?;
    let (bytes, _) = eventually(Duration::from_secs(30), || {
        let statement = "select max(disk_write_bytes_total) as bytes from container where pod = 'writer'";
        let bytes = cluster.sql(statement)?[0]["bytes"].as_u64().unwrap_or(0);
        ensure!(bytes >= 8 << 20, "{bytes} bytes were written");
        Ok(bytes)
    })?;
    eprintln!("the writer's disk bytes: {bytes}");
    let rows = cluster.sql(
        "select time, namespace, pod, container, node, cpu_cores, memory_working_set_bytes from container \
         where pod = 'writer' order by time desc limit 1",
    )?;
    ensure!(rows[0]["memory_working_set_bytes"].as_u64().unwrap_or(0) > 0, "no memory: {rows:?}");
    cluster.kubectl(&["delete", "pod", "writer", "--timeout=60s"]).map(drop)
}
