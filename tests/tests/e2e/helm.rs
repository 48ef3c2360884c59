//! Helm, both major versions: a chart with a CRD, hooks of every turn and a test is
//! installed, upgraded, rolled back, tested and taken away (`tests/clients/chart`).

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;
use tiphys_tests::{Cluster, clients, run};

use crate::Shared;

/// One release in a namespace of its own.
struct Release<'a> {
    cluster: &'a Cluster,
    helm: PathBuf,
    name: String,
    home: TempDir,
}

impl Release<'_> {
    fn helm(&self, arguments: &[&str]) -> Result<String> {
        let mut helm = Command::new(&self.helm);
        helm.args(arguments).args(["--namespace", &self.name]).env("KUBECONFIG", self.cluster.kubeconfig());
        for folder in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            helm.env(folder, self.home.path());
        }
        run(&mut helm, "")?.ok().with_context(|| format!("helm {arguments:?}"))
    }

    /// `helm install` and its like, which wait until all is ready.
    fn waits(&self, arguments: &[&str]) -> Result<String> {
        self.helm(&[arguments, &["--wait", "--timeout", "300s"]].concat())
    }

    fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.cluster.kubectl(&[&["--namespace", &self.name], arguments].concat())
    }

    /// What the hook of a turn has said.
    fn marked(&self, turn: &str, revision: u32) -> Result<()> {
        let said = self.kubectl(&["logs", &format!("{}-{turn}", self.name)])?;
        ensure!(said == format!("{turn} of revision {revision}\n"), "the hook {turn} said {said:?}");
        Ok(())
    }

    /// The test Pod fetches the page through the Service; `depth` is the greeting's length.
    fn serves(&self, greeting: &str) -> Result<()> {
        let said = self.helm(&["test", &self.name, "--logs"])?;
        ensure!(said.contains("Succeeded") && said.lines().any(|line| line == greeting), "{said}");
        let depth = self.kubectl(&["get", "berth", &self.name, "-o", "jsonpath={.spec.depth}"])?;
        ensure!(depth == greeting.len().to_string(), "the custom resource has depth {depth}");
        Ok(())
    }

    fn history(&self) -> Result<Vec<String>> {
        let history: Value = serde_json::from_str(&self.helm(&["history", &self.name, "-o", "json"])?)?;
        let statuses = history.as_array().into_iter().flatten();
        Ok(statuses.map(|one| one["status"].as_str().unwrap_or_default().to_owned()).collect())
    }

    fn walk(&self, chart: &str) -> Result<()> {
        self.waits(&["install", &self.name, chart, "--create-namespace"])?;
        self.marked("pre-install", 1)?;
        self.marked("post-install", 1)?;
        self.serves("hello")?;
        self.waits(&["upgrade", &self.name, chart, "--set", "greeting=ahoy", "--set", "replicas=1"])?;
        self.marked("pre-upgrade", 2)?;
        self.marked("post-upgrade", 2)?;
        self.serves("ahoy")?;
        self.waits(&["rollback", &self.name, "1"])?;
        // What is gone back to was rendered then, hooks and all.
        self.marked("pre-rollback", 1)?;
        self.marked("post-rollback", 1)?;
        self.serves("hello")?;
        let history = self.history()?;
        ensure!(history == ["superseded", "superseded", "deployed"], "history: {history:?}");
        let bad = self.waits(&["upgrade", &self.name, chart, "--set", "greeting="]);
        let refused = bad.err().map(|error| format!("{error:#}")).unwrap_or_default();
        ensure!(refused.contains("spec.depth"), "a release that breaks the CRD's schema: {refused:?}");
        self.waits(&["uninstall", &self.name])?;
        self.marked("post-delete", 4)?;
        let left = self.kubectl(&["get", "deployments,services,berths,secrets", "-o", "name"])?;
        ensure!(left.trim().is_empty(), "left behind:\n{left}");
        self.kubectl(&["delete", "namespace", &self.name, "--timeout=120s"]).map(drop)
    }
}

pub fn walk(shared: &Shared) -> Result<()> {
    let cluster = shared.cluster()?;
    let chart = tiphys_tests::package_folder().join("clients/chart").display().to_string();
    let releases = clients::helms()?.into_iter().enumerate().map(|(number, helm)| {
        Ok(Release { cluster: &cluster, helm, name: format!("helm-{number}"), home: TempDir::new()? })
    });
    let releases = releases.collect::<Result<Vec<_>>>()?;
    std::thread::scope(|scope| {
        let walks: Vec<_> = releases.iter().map(|release| scope.spawn(|| release.walk(&chart))).collect();
        let ends = walks.into_iter().map(|walk| walk.join().expect("a walk fails by its result"));
        ends.zip(&releases)
            .try_for_each(|(end, release)| end.with_context(|| release.helm.display().to_string()))
    })?;
    // What a chart's `crds` folder brought, Helm leaves.
    cluster.kubectl(&["delete", "crd", "berths.harbour.test.local"]).map(drop)
}
