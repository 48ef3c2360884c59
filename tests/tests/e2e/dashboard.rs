//! A real browser walks through the dashboard: web/ui/e2e/dashboard.mjs, on
//! objects that are made here for it in a namespace of their own.
//!
//! What the walk looks at must be made here, never found by chance: Pods that
//! talk, break and work, an autoscaler under load, hostile texts, and a service
//! account that may view this namespace only.

use std::{process::Command, time::Duration};

use anyhow::{Result, ensure};
use tiphys_tests::{Cluster, run};

use crate::Shared;

const NAMESPACE: &str = "walk";
const MANIFEST: &str = include_str!("dashboard.yaml");

pub fn walk(shared: &Shared) -> Result<()> {
    let cluster = shared.cluster()?;
    cluster.apply(MANIFEST)?;
    let walked = browser(&cluster);
    cluster.kubectl(&["delete", "namespace", NAMESPACE, "--timeout=120s"])?;
    cluster.gone(&["pods", "-n", NAMESPACE], Duration::from_secs(120))?;
    walked
}

fn browser(cluster: &Cluster) -> Result<()> {
    cluster.kubectl(&["rollout", "status", "deployment/hello", "-n", NAMESPACE, "--timeout=120s"])?;
    let link = cluster.tiphys(&["dashboard"])?.ok()?;
    let token = cluster.kubectl(&["create", "token", "viewer", "-n", NAMESPACE])?;
    let ui = tiphys_tests::package_folder().join("../web/ui");
    ensure!(ui.join("node_modules").exists(), "the browser's driver is missing: make ui");
    let picture = std::env::temp_dir().join("tiphys-dashboard-failed.png");
    let mut command = Command::new("node");
    command.arg(ui.join("e2e/dashboard.mjs"));
    command
        .args(["--link", link.trim(), "--namespace", NAMESPACE, "--token", token.trim(), "--failed"])
        .arg(&picture);
    let output = run(&mut command, "")?;
    eprintln!("{}", output.stdout);
    ensure!(
        output.code == 0,
        "the browser's walk failed, see {}:\n{}\n{}",
        picture.display(),
        output.stdout,
        output.stderr
    );
    Ok(())
}
