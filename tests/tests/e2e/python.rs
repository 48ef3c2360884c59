//! The `kubernetes` client of PyPI: `tests/clients/walk.py` says what it does.

use std::process::Command;

use anyhow::{Result, ensure};
use tiphys_tests::{clients, run};

use crate::{BUSYBOX, Shared};

pub fn walk(shared: &Shared) -> Result<()> {
    let cluster = shared.cluster()?;
    let script = tiphys_tests::package_folder().join("clients/walk.py");
    let mut python = Command::new(clients::python()?);
    python.arg(script).arg(BUSYBOX).env("KUBECONFIG", cluster.kubeconfig());
    let said = run(&mut python, "")?.ok()?;
    ensure!(said.lines().last() == Some("done"), "the walk ended early:\n{said}");
    cluster.kubectl(&["wait", "namespace/python", "--for=delete", "--timeout=60s"]).map(drop)
}
