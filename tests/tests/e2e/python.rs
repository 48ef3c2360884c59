//! The `kubernetes` client of PyPI: `tests/clients/walk.py` says what it does.

use anyhow::Result;
use tiphys_tests::clients;

use crate::{BUSYBOX, Shared};

pub fn walk(shared: &Shared) -> Result<()> {
    let cluster = shared.cluster()?;
    let mut python = clients::script(&clients::python()?, "walk.py");
    python.arg(BUSYBOX).env("KUBECONFIG", cluster.kubeconfig());
    clients::done(&mut python)?;
    cluster.kubectl(&["wait", "namespace/python", "--for=delete", "--timeout=120s"]).map(drop)
}
