//! The collector's chart (`deploy/chart`). In both major versions of Helm its objects are those that
//! `tiphys collector manifest` prints; a release runs, keeps its token when it is upgraded, and goes.

use std::{collections::BTreeMap, fs, path::PathBuf, process::Command};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;
use tiphys_tests::{Cluster, clients, run};

use crate::Shared;

const NAMESPACE: &str = "charted";

/// Objects by their kind, of which each is there once.
type Objects = BTreeMap<String, Value>;

struct Helm<'a> {
    cluster: &'a Cluster,
    binary: PathBuf,
    home: TempDir,
    /// The folder of the chart.
    chart: String,
}

pub fn chart(shared: &Shared) -> Result<()> {
    let cluster = shared.cluster()?;
    let folder = tiphys_tests::package_folder().parent().context("a workspace")?.join("deploy/chart");
    let about: Value = serde_saphyr::from_str(&fs::read_to_string(folder.join("Chart.yaml"))?)?;
    ensure!(about["version"] == about["appVersion"], "one version for chart and image: {about}");
    let manifest = objects(&cluster.tiphys(&["collector", "manifest"])?.ok()?)?;
    for (number, binary) in clients::helms()?.into_iter().enumerate() {
        let hint = binary.display().to_string();
        let chart = folder.display().to_string();
        let helm = Helm { cluster: &cluster, binary, home: TempDir::new()?, chart };
        let walked = helm.is_the_manifest(&manifest).and_then(|()| helm.walk(&format!("charted-{number}")));
        walked.context(hint)?;
    }
    cluster.kubectl(&["delete", "namespace", NAMESPACE, "--timeout=120s"]).map(drop)
}

fn objects(text: &str) -> Result<Objects> {
    let text = format!("\n{text}");
    text.split("\n---\n").filter(|document| !document.trim().is_empty()).map(object).collect()
}

fn object(document: &str) -> Result<(String, Value)> {
    let object: Value = serde_saphyr::from_str(document)?;
    let kind = object["kind"].as_str().with_context(|| format!("no object: {document}"))?;
    Ok((kind.to_owned(), object))
}

impl Helm<'_> {
    fn helm(&self, arguments: &[&str]) -> Result<String> {
        let mut helm = Command::new(&self.binary);
        helm.args(arguments).env("KUBECONFIG", self.cluster.kubeconfig());
        for folder in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            helm.env(folder, self.home.path());
        }
        run(&mut helm, "")?.ok().with_context(|| format!("helm {arguments:?}"))
    }

    /// With what it has where nothing is said, but for the token, and for the Namespace, which Helm makes.
    fn is_the_manifest(&self, manifest: &Objects) -> Result<()> {
        let secret = manifest.get("Secret").context("a Secret")?;
        let token = secret["stringData"]["token"].as_str().context("a token")?;
        let token = format!("--set-string=token={token}");
        let template = ["template", "any", &self.chart, "--namespace", "tiphys-system", &token];
        let rendered = objects(&self.helm(&template)?)?;
        let kinds: Vec<_> = manifest.keys().filter(|kind| *kind != "Namespace").collect();
        ensure!(rendered.keys().eq(kinds.iter().copied()), "{:?} for {kinds:?}", rendered.keys());
        for (kind, object) in &rendered {
            let expected = manifest.get(kind).context("a kind of both")?;
            ensure!(object == expected, "{kind} of the chart:\n{object:#}\nof the manifest:\n{expected:#}");
        }
        Ok(())
    }

    fn walk(&self, name: &str) -> Result<()> {
        let values = format!("image=tiphys.io/tiphys:current,name={name},stateDir=/var/log/tiphys-{name}");
        let release = [name, &self.chart, "--namespace", NAMESPACE, "--set", &values];
        let waits = ["--wait", "--timeout", "300s"];
        self.helm(&[&["install", "--create-namespace"][..], &release, &waits].concat())?;
        let token = self.field(&format!("secret/{name}"), "{.data.token}")?;
        ensure!(!token.is_empty(), "the Secret has no token");
        let settings = ["--set", "settings.TIPHYS_LOG_RETENTION=3d"];
        self.helm(&[&["upgrade"][..], &release, &settings, &waits].concat())?;
        ensure!(self.field(&format!("secret/{name}"), "{.data.token}")? == token, "another token");
        let kept = self.field(&format!("configmap/{name}"), "{.data.TIPHYS_LOG_RETENTION}")?;
        ensure!(kept == "3d", "settings: {kept:?}");
        self.helm(&["uninstall", name, "--namespace", NAMESPACE, "--wait"])?;
        let kinds = "clusterroles,clusterrolebindings,daemonsets,services,secrets,serviceaccounts";
        let left = self.cluster.kubectl(&["get", kinds, "--namespace", NAMESPACE, "-o", "name"])?;
        ensure!(!left.contains(name), "left behind:\n{left}");
        Ok(())
    }

    fn field(&self, object: &str, path: &str) -> Result<String> {
        let path = format!("jsonpath={path}");
        self.cluster.kubectl(&["get", object, "--namespace", NAMESPACE, "-o", &path])
    }
}
