//! Every kubectl, from the oldest that Debian has to the newest: each walks through the
//! verbs in a namespace of its own.
//!
//! A walk is a file of steps (`kubectl_objects`, `kubectl_published`, `kubectl_access`, `kubectl_pods`): what a
//! person types, and what the answer must say. A version that lacks a verb skips it by its
//! number, nowhere else. Two walks run at a time, since kubectl mostly computes by itself.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;
use tiphys_tests::{
    Cluster, Output,
    clients::{Kubectl, kubectls},
    run,
};

use crate::{Shared, kubectl_access, kubectl_objects, kubectl_pods, kubectl_published};

/// One kubectl and the namespace it works in.
pub struct Session<'a> {
    pub cluster: &'a Cluster,
    pub minor: u32,
    /// Of 1.20, `v20`.
    pub namespace: String,
    kubectl: PathBuf,
    folder: TempDir,
    nodes: &'a Mutex<()>,
}

impl Session<'_> {
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.kubectl);
        // What one version has read of the API is not the next one's.
        command.arg("--cache-dir").arg(self.folder.path().join("cache"));
        command.args(["--namespace", &self.namespace]).args(arguments);
        command.env("KUBECONFIG", self.cluster.kubeconfig()).env("NO_COLOR", "1");
        command
    }

    pub fn output(&self, arguments: &[&str], input: &str) -> Result<Output> {
        run(&mut self.command(arguments), input).with_context(|| format!("kubectl {arguments:?}"))
    }

    /// Succeeds; its stdout.
    pub fn ok(&self, arguments: &[&str]) -> Result<String> {
        self.output(arguments, "")?.ok().with_context(|| format!("kubectl {arguments:?}"))
    }

    /// The same, as JSON.
    pub fn json(&self, arguments: &[&str]) -> Result<Value> {
        let said = self.ok(&[arguments, &["-o", "json"]].concat())?;
        serde_json::from_str(&said).with_context(|| format!("kubectl {arguments:?} says {said}"))
    }

    /// Succeeds and says each of the words.
    pub fn says(&self, arguments: &[&str], words: &[&str]) -> Result<()> {
        self.ends(arguments, "", 0, words)
    }

    /// The same with a manifest on its stdin.
    pub fn manifest(&self, arguments: &[&str], manifest: &str, words: &[&str]) -> Result<()> {
        self.ends(&[arguments, &["-f", "-"]].concat(), manifest, 0, words)
    }

    /// Ends with this code and says each of the words, wherever.
    pub fn ends(&self, arguments: &[&str], input: &str, code: i32, words: &[&str]) -> Result<()> {
        let output = self.output(arguments, input)?;
        let said = format!("{}{}", output.stdout, output.stderr);
        ensure!(output.code == code, "kubectl {arguments:?} ended with {}, not {code}:\n{said}", output.code);
        for word in words {
            ensure!(said.contains(word), "kubectl {arguments:?} does not say {word:?}:\n{said}");
        }
        Ok(())
    }

    /// A file of the session's own.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Held while Nodes are changed: others' walks need some that take Pods.
    pub fn nodes(&self) -> MutexGuard<'_, ()> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A name and what is done.
pub type Step = (&'static str, fn(&Session<'_>) -> Result<()>);

const WALKS: &[Step] = &[
    ("discovery", kubectl_objects::discovery),
    ("apply", kubectl_objects::apply),
    ("server-side apply", kubectl_objects::server_side),
    ("edit and patch", kubectl_objects::edit_and_patch),
    ("output", kubectl_objects::output),
    ("refusals", kubectl_objects::refusals),
    ("custom resources", kubectl_objects::custom),
    ("published schemas", kubectl_published::walk),
    ("can-i", kubectl_access::can_i),
    ("certificate", kubectl_access::certificate),
    ("cp", kubectl_pods::copy),
    ("debug", kubectl_pods::debug),
    ("drain", kubectl_pods::drain),
];

pub fn walk(shared: &Shared) -> Result<()> {
    let cluster = shared.cluster()?;
    let all = kubectls()?;
    let minors: Vec<u32> = all.iter().map(|kubectl| kubectl.minor).collect();
    eprintln!("kubectl 1.{minors:?}");
    ensure!(minors.first() < minors.last(), "there is but one kubectl");
    let waiting = Mutex::new(VecDeque::from(all));
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let nodes = Mutex::new(());
    let work = || {
        let walks = std::iter::from_fn(&next).map(|kubectl| one(&cluster, &kubectl, &nodes));
        walks.filter_map(Result::err).map(|error| format!("{error:#}")).collect::<Vec<_>>()
    };
    let failures = std::thread::scope(|scope| {
        let workers = [scope.spawn(work), scope.spawn(work)];
        workers.map(|worker| worker.join().expect("a walk fails by its result")).concat()
    });
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}

fn one(cluster: &Cluster, kubectl: &Kubectl, nodes: &Mutex<()>) -> Result<()> {
    in_namespace(cluster, kubectl, nodes, &format!("v{}", kubectl.minor), WALKS)
}

/// Steps of the newest kubectl alone, where versions make no difference.
pub fn once(shared: &Shared, namespace: &str, steps: &[Step]) -> Result<()> {
    let newest = kubectls()?.pop().context("there is a kubectl")?;
    let cluster = shared.cluster()?;
    in_namespace(&cluster, &newest, &Mutex::new(()), namespace, steps)
}

fn in_namespace(
    cluster: &Cluster,
    kubectl: &Kubectl,
    nodes: &Mutex<()>,
    namespace: &str,
    steps: &[Step],
) -> Result<()> {
    let session = Session {
        cluster,
        minor: kubectl.minor,
        namespace: namespace.to_owned(),
        kubectl: kubectl.path.clone(),
        folder: TempDir::new()?,
        nodes,
    };
    let began = Instant::now();
    session.says(&["create", "namespace", &session.namespace], &["created"])?;
    for (name, step) in steps {
        step(&session).with_context(|| format!("{name} with kubectl 1.{}", session.minor))?;
    }
    session.says(&["delete", "namespace", namespace, "--timeout=120s"], &["deleted"])?;
    eprintln!("{namespace}: kubectl 1.{} walked in {:.0} s", session.minor, began.elapsed().as_secs_f64());
    Ok(())
}

/// A path as an argument.
pub fn text(path: &Path) -> String {
    path.display().to_string()
}
