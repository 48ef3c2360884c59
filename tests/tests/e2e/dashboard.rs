//! A real browser walks through the dashboard.

use std::{path::Path, process::Command};

use anyhow::{Result, ensure};
use tiphys_tests::run;

use crate::Shared;

pub fn walk(shared: &Shared) -> Result<()> {
    let cluster = shared.cluster()?;
    let link = cluster.tiphys(&["dashboard"])?.ok()?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../web/ui/e2e/dashboard.mjs");
    let output = run(Command::new("node").arg(script).args(["--url", link.trim()]), "")?;
    eprintln!("{}", output.stdout);
    ensure!(output.code == 0, "the browser's walk failed:\n{}\n{}", output.stdout, output.stderr);
    Ok(())
}
