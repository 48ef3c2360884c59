//! SQL over what the nodes measured.

use std::{fs, time::Duration};

use anyhow::{Result, ensure};
use tiphys_tests::{Cluster, eventually, run};

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
    cluster.kubectl(&["wait", "pod/writer", "--for=condition=Ready", "--timeout=120s"])?;
    eventually(Duration::from_secs(120), || {
        let rows = cluster.sql("select node, count(*) as n from pod group by node order by node")?;
        ensure!(rows.len() == 3, "rows of three nodes were expected: {rows:?}");
        Ok(())
    })?;
    let (bytes, _) = eventually(Duration::from_secs(120), || {
        let statement = "select max(disk_write_bytes_total) as bytes from container where pod = 'writer'";
        let bytes = cluster.sql(statement)?[0]["bytes"].as_u64().unwrap_or(0);
        ensure!(bytes >= 8 << 20, "{bytes} bytes were written");
        Ok(bytes)
    })?;
    eprintln!("the writer's disk bytes: {bytes}");
    eventually(Duration::from_secs(120), || {
        let rows = cluster.sql(
            "select count(*) as n from (select cast(time as bigint) - lag(cast(time as bigint)) \
             over (partition by node, device order by time) as step from disk) steps where step < 5000000",
        )?;
        ensure!(rows[0]["n"].as_u64() > Some(0), "no disk is told of each second: {rows:?}");
        Ok(())
    })?;
    eventually(Duration::from_secs(120), || {
        let rows = cluster.sql(
            "select time, namespace, pod, container, node, cpu_cores, memory_working_set_bytes \
             from container where pod = 'writer' order by time desc limit 1",
        )?;
        ensure!(rows[0]["memory_working_set_bytes"].as_u64().unwrap_or(0) > 0, "no memory: {rows:?}");
        Ok(())
    })?;
    files(&cluster)?;
    scripts(&cluster)?;
    cluster.kubectl(&["delete", "pod", "writer", "--timeout=120s"]).map(drop)
}

/// Answers in each form, in a file that has its name when it is whole.
fn files(cluster: &Cluster) -> Result<()> {
    let statement = "select distinct node, 'a,b' as pair from node order by node";
    let folder = tempfile::tempdir()?;
    let saved = |format: &str| -> Result<Vec<u8>> {
        let path = folder.path().join(format);
        let told =
            cluster.tiphys(&["sql", "-o", format, "--file", &path.to_string_lossy(), statement])?.ok()?;
        ensure!(told.is_empty(), "{format} is in the file, and printed too: {told}");
        Ok(fs::read(path)?)
    };
    let csv = String::from_utf8(saved("csv")?)?;
    ensure!(csv == "node,pair\nnode-1,\"a,b\"\nnode-2,\"a,b\"\nnode-3,\"a,b\"\n", "csv: {csv}");
    let json: Vec<serde_json::Value> = serde_json::from_slice(&saved("json")?)?;
    ensure!(json.len() == 3 && json[0]["node"] == "node-1" && json[2]["pair"] == "a,b", "json: {json:?}");
    let parquet = saved("parquet")?;
    ensure!(parquet.starts_with(b"PAR1") && parquet.ends_with(b"PAR1"), "no Parquet file");
    let table = String::from_utf8(saved("table")?)?;
    ensure!(table.contains("| node-3 | a,b  |") && table.ends_with("(3 rows)\n"), "table: {table}");
    let left = folder.path().read_dir()?.count();
    ensure!(left == 4, "{left} files in place of four");
    let wrong = folder.path().join("wrong").to_string_lossy().into_owned();
    let refused = cluster.tiphys(&["sql", "-o", "csv", "--file", &wrong, "selec 1"])?;
    ensure!(refused.code == 1 && !fs::exists(&wrong)?, "a file for no answer: {refused:?}");
    Ok(())
}

/// Statements one after the other, up to the first mistake.
fn scripts(cluster: &Cluster) -> Result<()> {
    let mut command = cluster.tiphys_command(&["sql", "-o", "csv"]);
    let told = run(&mut command, "select 1 as a;\n\nselec 2;\nselect 3 as c;\n")?;
    ensure!(told.code == 1 && told.stdout == "a\n1\n" && told.stderr.contains("stdin:3: "), "{told:?}");
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("report.sql");
    fs::write(&path, "\\a\n\\t\nselect count(distinct node) as nodes from node;\n")?;
    let told = cluster.tiphys(&["sql", "-f", &path.to_string_lossy()])?.ok()?;
    ensure!(told == "3\n", "{told:?}");
    let refused = cluster.tiphys(&["sql", "--file", &path.to_string_lossy(), "select 1"])?;
    ensure!(refused.code == 2 && refused.stderr.contains("sql -f"), "{refused:?}");
    ensure!(fs::read_to_string(&path)?.contains("count(distinct node)"), "the script was written over");
    Ok(())
}
