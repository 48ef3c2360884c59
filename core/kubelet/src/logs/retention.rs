//! Keeping house in /var/log/pods: running logs are rotated; what is beyond its turn, logs of
//! instances and Pods that are gone among it, is removed as [`super::surplus`] says.
//!
//! What goes before a collector has it is lost to every search: it is counted, and told.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use k8s_openapi::api::core::v1::Pod;
use tiphys_api::names::{COLLECTOR_APP, SYSTEM_NAMESPACE};

use super::{
    acked, rotate,
    surplus::{Fares, Surplus, Waiting},
};
use crate::{
    metric_names::Metrics,
    node,
    pod::{runtime::Container, sandbox_config, spec},
    workers::{Context, PodView},
};

/// How often the log says whose files went.
const TELL: Duration = Duration::from_secs(60);

/// Until the kubelet stops.
pub(crate) async fn keep_house(context: Arc<Context>) -> Result<(), io::Error> {
    let mut ticks = tokio::time::interval(context.config.log_monitor_interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut house = House::default();
    loop {
        ticks.tick().await;
        let views = context.registry.views();
        for view in &views {
            rotate_pod(&context, view).await;
        }
        let known = known(&context, &views).await;
        let keep = context.config.log_max_files.saturating_sub(1);
        let look = Look { root: context.config.log_root.clone(), keep, views, known };
        let metrics = context.metrics.clone();
        let swept = tokio::task::spawn_blocking(move || {
            let is_short_of_disk = node::is_short_of_disk(&look.root);
            house.sweep(&look, is_short_of_disk, Instant::now(), &metrics);
            house
        });
        house = swept.await.unwrap_or_else(|error| {
            tracing::error!(%error, "logs were not swept");
            House::default()
        });
    }
}

/// The folders of Pods that the kubelet or the runtime has. `None`: a kubelet that has just started
/// knows no Pod yet, and the runtime, which knows them all, doesn't tell.
async fn known(context: &Context, views: &[Arc<PodView>]) -> Option<HashSet<String>> {
    let sandboxes = match context.cri.list_sandboxes(HashMap::new()).await {
        Ok(sandboxes) => sandboxes,
        Err(error) => {
            tracing::debug!(%error, "log folders are not swept: the runtime doesn't tell its Pods");
            return None;
        }
    };
    let in_runtime = sandboxes.into_iter().filter_map(|sandbox| sandbox.metadata);
    let in_runtime = in_runtime.map(|of| format!("{}_{}_{}", of.namespace, of.name, of.uid));
    Some(views.iter().map(|view| sandbox_config::log_folder(&view.pod)).chain(in_runtime).collect())
}

async fn rotate_pod(context: &Context, view: &PodView) {
    for container in view.runtime.containers.iter().filter(|container| container.is_running()) {
        if let Err(error) = rotate_one(context, container, Path::new(&container.log_path)).await
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(pod = spec::name(&view.pod), container = %container.name, %error, "log was not rotated");
        }
    }
}

async fn rotate_one(context: &Context, container: &Container, path: &Path) -> io::Result<()> {
    if !rotate::rotate(path, context.config.log_max_bytes)? {
        return Ok(());
    }
    if let Err(error) = context.cri.reopen_log(&container.id).await {
        rotate::undo(path)?;
        return Err(io::Error::other(error));
    }
    Ok(())
}

/// What the kubelet remembers from one look to the next.
#[derive(Default)]
struct House {
    waiting: Waiting,
    /// Somebody takes lines over, or is to.
    is_collected: bool,
    /// Bytes that went before a collector had them and are not told yet, by the Pod's folder.
    untold: BTreeMap<String, u64>,
    told: Option<Instant>,
}

impl House {
    fn sweep(&mut self, look: &Look, is_short_of_disk: bool, now: Instant, metrics: &Metrics) {
        let all = look.surplus();
        self.is_collected =
            self.is_collected || look.is_collected() || all.iter().any(|surplus| surplus.is_marked);
        let fares = Fares { is_collected: self.is_collected, is_short_of_disk };
        for surplus in self.waiting.judge(all, fares, now) {
            match remove(&surplus) {
                // A node without a collector has no search to lose them to.
                Ok(()) if self.is_collected && surplus.missing > 0 => {
                    metrics.lost_log_bytes.inc_by(surplus.missing);
                    *self.untold.entry(surplus.pod).or_default() += surplus.missing;
                }
                Ok(()) => {}
                // By somebody else.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    tracing::debug!(path = %surplus.path.display(), %error, "log can't be removed");
                }
            }
        }
        metrics.waiting_log_bytes.set(i64::try_from(self.waiting.bytes()).unwrap_or(i64::MAX));
        self.tell(now);
    }

    fn tell(&mut self, now: Instant) {
        let is_time = self.told.is_none_or(|told| now.saturating_duration_since(told) >= TELL);
        let most = self.untold.iter().max_by_key(|(_, bytes)| **bytes);
        let Some((folder, _)) = most.filter(|_| is_time) else { return };
        let mut names = folder.split('_');
        let (namespace, pod) = (names.next().unwrap_or_default(), names.next().unwrap_or_default());
        let (pods, bytes) = (self.untold.len(), self.untold.values().sum::<u64>());
        tracing::warn!(
            namespace,
            pod,
            pods,
            bytes,
            "log files were removed before the log collector had them, this Pod's most of all: look why it doesn't run, or lags, on this node"
        );
        (self.told, self.untold) = (Some(now), BTreeMap::new());
    }
}

fn remove(surplus: &Surplus) -> io::Result<()> {
    match surplus.is_folder {
        true => fs::remove_dir_all(&surplus.path),
        false => fs::remove_file(&surplus.path),
    }
}

/// What there is to look at.
struct Look {
    root: PathBuf,
    /// Rotated files that a container keeps in any case.
    keep: usize,
    views: Vec<Arc<PodView>>,
    /// Folders of Pods that are not gone, if that is known.
    known: Option<HashSet<String>>,
}

impl Look {
    /// Whether the node has a collector, or its marks.
    fn is_collected(&self) -> bool {
        let mut containers = self.views.iter().flat_map(|view| &view.runtime.containers);
        self.views.iter().any(|view| is_collector(&view.pod))
            || containers.any(|container| acked::look(Path::new(&container.log_path)).is_marked)
    }

    /// All that is beyond its turn.
    fn surplus(&self) -> Vec<Surplus> {
        let mut found = Vec::new();
        for view in &self.views {
            let (pod, containers) = (sandbox_config::log_folder(&view.pod), &view.runtime.containers);
            let paths = containers.iter().map(|container| Path::new(&container.log_path));
            let rotated = paths.flat_map(|path| rotate::beyond(path, self.keep));
            let old = old_instances(&self.root.join(&pod), containers);
            found.extend(rotated.chain(old).map(|path| surplus(path, &pod, None)));
        }
        if let Some(known) = &self.known {
            match gone(&self.root, known) {
                Ok(folders) => found.extend(folders),
                Err(error) => tracing::debug!(%error, "log folders were not swept"),
            }
        }
        found
    }
}

fn is_collector(pod: &Pod) -> bool {
    let app = pod.metadata.labels.as_ref().and_then(|labels| labels.get("app"));
    spec::namespace(pod) == SYSTEM_NAMESPACE && app.is_some_and(|app| app == COLLECTOR_APP)
}

/// A file, or a folder with these files.
fn surplus(path: PathBuf, pod: &str, files: Option<&[PathBuf]>) -> Surplus {
    let own = std::slice::from_ref(&path);
    let (mut missing, mut size, mut is_marked, mut modified) = (0, 0, false, SystemTime::UNIX_EPOCH);
    for file in files.unwrap_or(own) {
        let acked = acked::look(file);
        missing += acked.missing;
        is_marked |= acked.is_marked;
        let metadata = file.symlink_metadata();
        size += metadata.as_ref().map_or(0, fs::Metadata::len);
        let of_file = metadata.and_then(|metadata| metadata.modified());
        modified = modified.max(of_file.unwrap_or(SystemTime::UNIX_EPOCH));
    }
    Surplus { is_folder: files.is_some(), pod: pod.to_owned(), missing, size, is_marked, modified, path }
}

/// Logs of instances that the runtime has forgotten: only the last two are shown.
fn old_instances(folder: &Path, containers: &[Container]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let known = containers.iter().filter(|container| container.name == name);
        let oldest = known.map(|container| container.attempt).min();
        let Some(oldest) = oldest.filter(|_| is_folder(&entry)) else { continue };
        for file in fs::read_dir(entry.path()).into_iter().flatten().flatten() {
            let attempt =
                file.file_name().to_string_lossy().split('.').next().and_then(|n| n.parse::<u32>().ok());
            if attempt.is_some_and(|attempt| attempt < oldest) {
                found.push(file.path());
            }
        }
    }
    found
}

/// Not a link to one: what lies behind it is not ours to remove.
fn is_folder(entry: &fs::DirEntry) -> bool {
    entry.file_type().is_ok_and(|kind| kind.is_dir())
}

/// The folders of Pods that are not among `known`.
fn gone(root: &Path, known: &HashSet<String>) -> io::Result<Vec<Surplus>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root)?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        // Only what looks like a Pod's folder is ours.
        if known.contains(&name) || name.split('_').count() != 3 || !is_folder(&entry) {
            continue;
        }
        let mut files = Vec::new();
        if list(&entry.path(), &mut files).is_ok() {
            found.push(surplus(entry.path(), &name, Some(&files)));
        }
    }
    Ok(found)
}

/// Files below a folder. Links are not followed: containers cannot make any here,
/// and nothing outside is this kubelet's to judge.
fn list(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)?.flatten() {
        if entry.file_type()?.is_dir() {
            list(&entry.path(), files)?;
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        logs::{
            acked::acknowledge,
            surplus::{KEEP, SETTLED},
        },
        pod::runtime::{RuntimeState, State},
        workers::Registry,
    };

    fn instance(name: &str, attempt: u32, log_path: &Path) -> Container {
        Container {
            id: name.into(),
            sandbox: "s".into(),
            name: name.into(),
            attempt,
            state: State::Created,
            image: String::new(),
            image_ref: String::new(),
            hash: String::new(),
            delay: Duration::ZERO,
            log_path: log_path.to_string_lossy().into_owned(),
            created_at: 0,
        }
    }

    fn pod(namespace: &str, name: &str, uid: &str) -> Pod {
        let metadata = serde_json::json!({ "namespace": namespace, "name": name, "uid": uid });
        serde_json::from_value(serde_json::json!({ "metadata": metadata })).expect("a Pod")
    }

    fn look(root: &Path, pods: Vec<(Pod, Vec<Container>)>) -> Look {
        let view = |(pod, containers)| {
            let runtime = RuntimeState { sandboxes: Vec::new(), containers };
            Arc::new(PodView { pod: Arc::new(pod), runtime })
        };
        let views: Vec<_> = pods.into_iter().map(view).collect();
        let known = views.iter().map(|view| sandbox_config::log_folder(&view.pod)).collect();
        Look { root: root.to_owned(), keep: 1, views, known: Some(known) }
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("listed").flatten();
        let mut names: Vec<_> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    fn metrics() -> Metrics {
        Metrics::new("n1", &Registry::default())
    }

    fn has(metrics: &Metrics, line: &str) -> bool {
        metrics.component.render().lines().any(|told| told == line)
    }

    #[test]
    fn abuse_14_nothing_behind_a_link_is_removed() {
        let root = tempfile::tempdir_in("/var/tmp").expect("a folder");
        let (folder, outside) = (root.path().join("ns_runs_1"), root.path().join("outside"));
        for folder in [&folder, &outside] {
            fs::create_dir_all(folder.join("box")).expect("made");
            fs::write(folder.join("box/0.log"), "").expect("written");
        }
        std::os::unix::fs::symlink(outside.join("box"), folder.join("linked")).expect("linked");
        let containers =
            vec![instance("box", 1, Path::new("none")), instance("linked", 1, Path::new("none"))];
        let look = look(root.path(), vec![(pod("ns", "runs", "1"), containers)]);
        House::default().sweep(&look, false, Instant::now(), &metrics());
        assert!(!folder.join("box/0.log").exists() && outside.join("box/0.log").exists());
    }

    #[test]
    fn without_a_collector_few_files_stay() {
        let root = tempfile::tempdir_in("/var/tmp").expect("a folder");
        let file = |name: &str| root.path().join("ns_runs_1/box").join(name);
        fs::create_dir_all(root.path().join("ns_runs_1/box")).expect("made");
        for name in ["0.log", "1.log", "1.log.20260101-000000000", "1.log.20260102-000000000"] {
            fs::write(file(name), "four").expect("written");
        }
        let runs = vec![instance("box", 1, &file("1.log"))];
        let look = look(root.path(), vec![(pod("ns", "runs", "1"), runs)]);
        let (mut house, metrics, start) = (House::default(), metrics(), Instant::now());
        house.sweep(&look, false, start, &metrics);
        assert_eq!(names(&root.path().join("ns_runs_1/box")).len(), 4);
        house.sweep(&look, false, start + 2 * KEEP, &metrics);
        assert_eq!(names(&root.path().join("ns_runs_1/box")), ["1.log", "1.log.20260102-000000000"]);
        assert!(has(&metrics, "tiphys_kubelet_lost_log_bytes_total 0") && house.told.is_none());
    }

    #[test]
    fn what_the_collector_has_not_taken_waits_for_it() {
        let root = tempfile::tempdir_in("/var/tmp").expect("a folder");
        let file = |pod: &str| root.path().join(pod).join("box/0.log");
        for pod in ["ns_runs_1", "ns_gone_2", "ns_read_3"] {
            fs::create_dir_all(file(pod).parent().expect("a folder")).expect("made");
            fs::write(file(pod), "tex\n").expect("written");
        }
        fs::create_dir(root.path().join("other")).expect("made");
        acknowledge(&file("ns_read_3"), 4);
        acknowledge(&file("ns_gone_2"), 1);
        let look = look(root.path(), vec![(pod("ns", "runs", "1"), Vec::new())]);
        let (mut house, metrics, start) = (House::default(), metrics(), Instant::now());
        house.sweep(&look, false, start, &metrics);
        assert_eq!(names(root.path()), ["ns_gone_2", "ns_read_3", "ns_runs_1", "other"]);
        house.sweep(&look, false, start + SETTLED, &metrics);
        assert_eq!(names(root.path()), ["ns_gone_2", "ns_runs_1", "other"]);
        house.sweep(&look, false, start + 100 * KEEP, &metrics);
        assert_eq!(names(root.path()), ["ns_gone_2", "ns_runs_1", "other"]);
        assert!(has(&metrics, "tiphys_kubelet_waiting_log_bytes 3"));
        assert!(has(&metrics, "tiphys_kubelet_lost_log_bytes_total 0"));

        // A full disk lets it go, which is told.
        house.sweep(&look, true, start + 100 * KEEP, &metrics);
        assert_eq!(names(root.path()), ["ns_runs_1", "other"]);
        assert!(has(&metrics, "tiphys_kubelet_waiting_log_bytes 0"));
        assert!(has(&metrics, "tiphys_kubelet_lost_log_bytes_total 3"));
        assert!(house.told.is_some() && house.untold.is_empty());
        // The next within a minute waits for its turn to be told.
        house.untold.insert("ns_gone_4".into(), 5);
        house.tell(start + 100 * KEEP + TELL / 2);
        assert_eq!(house.untold.len(), 1);
        house.tell(start + 100 * KEEP + TELL);
        assert!(house.untold.is_empty());
    }

    #[test]
    fn a_collector_is_known_by_its_pod_and_by_its_marks() {
        let root = tempfile::tempdir_in("/var/tmp").expect("a folder");
        let log = root.path().join("0.log");
        fs::write(&log, "text").expect("written");
        let look = |labels: &[(&str, &str)]| {
            let mut collector = pod(SYSTEM_NAMESPACE, "c", "1");
            let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            collector.metadata.labels = Some(labels.collect());
            look(root.path(), vec![(collector, vec![instance("box", 0, &log)])])
        };
        assert!(!look(&[]).is_collected() && !look(&[("app", "other")]).is_collected());
        assert!(look(&[("app", COLLECTOR_APP)]).is_collected());
        acknowledge(&log, 0);
        assert!(look(&[]).is_collected());
    }

    #[test]
    fn when_the_runtime_does_not_tell_no_pod_is_gone() {
        let root = tempfile::tempdir_in("/var/tmp").expect("a folder");
        fs::create_dir(root.path().join("ns_gone_2")).expect("made");
        let mut look = Look { known: None, ..look(root.path(), Vec::new()) };
        assert_eq!(look.surplus(), []);
        look.known = Some(HashSet::new());
        assert_eq!(look.surplus().len(), 1);
    }
}
