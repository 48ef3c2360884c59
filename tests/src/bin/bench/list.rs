//! LIST of 10,000 Pods: how often a second, at what memory.

use std::{io::Write, time::Instant};

use anyhow::{Result, ensure};
use tiphys_tests::{Cluster, run};

use crate::{IMAGE, Row, idle::server_memory, pods::median};

const PODS: usize = 10_000;
const AT_ONCE: usize = 500;

pub fn measure(cluster: &Cluster) -> Result<Vec<Row>> {
    let before = server_memory(cluster)?;
    let started = Instant::now();
    for chunk in 0..PODS / AT_ONCE {
        create(cluster, chunk)?;
    }
    let creating = started.elapsed();
    let mut took = Vec::new();
    let mut bytes = 0;
    for _ in 0..7 {
        let started = Instant::now();
        bytes = cluster.kubectl(&["get", "--raw", "/api/v1/namespaces/many/pods"])?.len();
        took.push(started.elapsed());
    }
    let after = server_memory(cluster)?;
    cluster.kubectl(&["delete", "namespace", "many", "--wait=false"])?;
    let one = median(took);
    Ok(vec![
        Row::new(
            "10,000 Pods created by kubectl",
            format!("{:.0}/s", PODS as f64 / creating.as_secs_f64()),
            "-",
        ),
        Row::new(
            format!("LIST of 10,000 Pods ({} MB), one client, kubectl's own start included", bytes >> 20),
            format!("{} ms", one.as_millis()),
            "-",
        ),
        Row::new(
            "memory of the server, before and after",
            format!("{} MB, {} MB", before >> 20, after >> 20),
            "-",
        ),
    ])
}

fn create(cluster: &Cluster, chunk: usize) -> Result<()> {
    let mut manifest = Vec::new();
    if chunk == 0 {
        writeln!(manifest, "apiVersion: v1\nkind: Namespace\nmetadata: {{name: many}}\n---")?;
    }
    for number in chunk * AT_ONCE..(chunk + 1) * AT_ONCE {
        writeln!(
            manifest,
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: pod-{number}, namespace: many, labels: {{app: many}}}}\nspec:\n  \
             schedulerName: nobody\n  containers: [{{name: main, image: '{IMAGE}'}}]\n---"
        )?;
    }
    let manifest = String::from_utf8(manifest)?;
    let output = run(&mut cluster.kubectl_command(&["create", "-f", "-"]), &manifest)?;
    ensure!(output.code == 0, "{}", output.stderr);
    Ok(())
}
