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
    acked,
    collected::Collected,
    rotate,
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
    collected: Collected,
    /// Bytes that went before a collector had them and are not told yet, by the Pod's folder.
    untold: BTreeMap<String, u64>,
    told: Option<Instant>,
}

impl House {
    fn sweep(&mut self, look: &Look, is_short_of_disk: bool, now: Instant, metrics: &Metrics) {
        let all = look.surplus();
        let has_collector = look.has_collector();
        let written = if has_collector { Vec::new() } else { look.marks() };
        self.collected.look(has_collector, written, &all, now);
        let fares = Fares { is_collected: self.collected.is_collected(now), is_short_of_disk };
        for surplus in self.waiting.judge(all, fares, now) {
            match remove(&surplus) {
                // A node without a collector has no search to lose them to. Where none can say what it has,
                // nobody knows.
                Ok(()) if fares.is_collected && surplus.is_markable && surplus.missing > 0 => {
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
    fn has_collector(&self) -> bool {
        self.views.iter().any(|view| is_collector(&view.pod))
    }

    /// What a collector said of the logs of containers that the runtime has.
    fn marks(&self) -> Vec<(PathBuf, u64)> {
        let containers = self.views.iter().flat_map(|view| &view.runtime.containers);
        let paths = containers.map(|container| Path::new(&container.log_path));
        paths.filter_map(|path| Some((path.to_owned(), acked::mark(path)?))).collect()
    }

    /// All that is beyond its turn.
    fn surplus(&self) -> Vec<Surplus> {
        let mut found = Vec::new();
        for view in &self.views {
            let (pod, containers) = (sandbox_config::log_folder(&view.pod), &view.runtime.containers);
            let paths = containers.iter().map(|container| Path::new(&container.log_path));
            let rotated = paths.flat_map(|path| rotate::beyond(path, self.keep));
            let old = old_instances(&self.root.join(&pod), containers);
            found.extend(rotated.chain(old).map(|path| surplus(path, &pod)));
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

/// A file that is beyond its turn.
fn surplus(path: PathBuf, pod: &str) -> Surplus {
    let acked = acked::look(&path);
    let metadata = path.symlink_metadata();
    Surplus {
        is_folder: false,
        is_gone: false,
        pod: pod.to_owned(),
        missing: acked.missing,
        size: metadata.as_ref().map_or(0, fs::Metadata::len),
        marked: acked.marked,
        is_markable: acked.is_markable,
        modified: metadata.and_then(|metadata| metadata.modified()).unwrap_or(SystemTime::UNIX_EPOCH),
        path,
    }
}

/// The folder of a Pod that is gone, with these files. What is read of one that is not read as a whole
/// comes as files before it: they go, and the rest has the room that they took to wait in.
fn gone_pod(path: PathBuf, pod: &str, files: Vec<PathBuf>) -> Vec<Surplus> {
    let files = files.into_iter().map(|file| Surplus { is_gone: true, ..surplus(file, pod) });
    let files: Vec<Surplus> = files.collect();
    let marked = files.iter().filter_map(|file| file.marked).reduce(u64::saturating_add);
    let (read, unread): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| file.missing == 0);
    let (mut found, held) = if unread.is_empty() { (unread, read) } else { (read, unread) };
    found.push(Surplus {
        path,
        is_folder: true,
        is_gone: true,
        pod: pod.to_owned(),
        missing: held.iter().map(|file| file.missing).sum(),
        size: held.iter().map(|file| file.size).sum(),
        marked,
        is_markable: held.iter().all(|file| file.is_markable),
        modified: held.iter().map(|file| file.modified).max().unwrap_or(SystemTime::UNIX_EPOCH),
    });
    found
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
            found.extend(gone_pod(entry.path(), &name, files));
        }
    }
    Ok(found)
}

/// Files below a folder. Links are none, and not followed: containers cannot make any here,
/// and nothing outside is this kubelet's to judge.
fn list(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)?.flatten() {
        let kind = entry.file_type()?;
        if kind.is_dir() {
            list(&entry.path(), files)?;
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use nix::{
        mount::{MsFlags, mount, umount},
        sched::{CloneFlags, unshare},
    };

    use super::*;
    use crate::{
        logs::{
            acked::acknowledge,
            collected::ABSENT,
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

    fn collector(labels: &[(&str, &str)]) -> Pod {
        let mut collector = pod(SYSTEM_NAMESPACE, "c", "1");
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        collector.metadata.labels = Some(labels.collect());
        collector
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
        let reads = (collector(&[("app", COLLECTOR_APP)]), Vec::new());
        let look = look(root.path(), vec![(pod("ns", "runs", "1"), Vec::new()), reads]);
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
        let instance = || vec![instance("box", 0, &log)];
        let look = |labels: &[(&str, &str)]| look(root.path(), vec![(collector(labels), instance())]);
        assert!(!look(&[]).has_collector() && !look(&[("app", "other")]).has_collector());
        assert!(look(&[("app", COLLECTOR_APP)]).has_collector());
        assert!(look(&[]).marks().is_empty());
        acknowledge(&log, 0);
        assert_eq!(look(&[]).marks(), [(log.clone(), 0)]);
        let (mut house, start) = (House::default(), Instant::now());
        house.sweep(&look(&[]), false, start, &metrics());
        assert!(house.collected.is_collected(start));
    }

    #[test]
    fn when_the_collector_was_taken_away_logs_go_and_nobody_lost_them() {
        let root = tempfile::tempdir_in("/var/tmp").expect("a folder");
        fs::create_dir(root.path().join("ns_gone_2")).expect("made");
        fs::write(root.path().join("ns_gone_2/0.log"), "text\n").expect("written");
        let (mut house, metrics, start) = (House::default(), metrics(), Instant::now());
        let reads = (collector(&[("app", COLLECTOR_APP)]), Vec::new());
        house.sweep(&look(root.path(), vec![reads]), false, start, &metrics);
        let without = look(root.path(), Vec::new());
        house.sweep(&without, false, start + ABSENT / 2, &metrics);
        assert_eq!(names(root.path()), ["ns_gone_2"]);
        house.sweep(&without, false, start + ABSENT, &metrics);
        assert_eq!(names(root.path()), Vec::<String>::new());
        assert!(has(&metrics, "tiphys_kubelet_lost_log_bytes_total 0") && house.told.is_none());
    }

    #[test]
    fn what_is_read_of_a_gone_pod_goes_before_the_rest() {
        let root = tempfile::tempdir_in("/var/tmp").expect("a folder");
        let folder = root.path().join("ns_gone_2");
        fs::create_dir(&folder).expect("made");
        for name in ["0.log", "0.log.20260101-000000000", "1.log"] {
            fs::write(folder.join(name), "text\n").expect("written");
        }
        std::os::unix::fs::symlink("1.log", folder.join("2.log")).expect("linked");
        acknowledge(&folder.join("0.log"), 2);
        acknowledge(&folder.join("0.log.20260101-000000000"), 5);
        let reads = (collector(&[("app", COLLECTOR_APP)]), Vec::new());
        let look = look(root.path(), vec![reads]);
        let found = look.surplus();
        let told = found.iter().map(|one| (one.is_folder, one.size, one.missing, one.marked));
        let told: Vec<_> = told.collect();
        assert_eq!(told, [(false, 5, 0, Some(5)), (true, 10, 8, Some(7))]);
        let (mut house, metrics, start) = (House::default(), metrics(), Instant::now());
        house.sweep(&look, false, start, &metrics);
        assert_eq!(names(&folder).len(), 4);
        house.sweep(&look, false, start + SETTLED, &metrics);
        assert_eq!(names(&folder), ["0.log", "1.log", "2.log"]);
        acknowledge(&folder.join("0.log"), 5);
        acknowledge(&folder.join("1.log"), 5);
        house.sweep(&look, false, start + SETTLED, &metrics);
        assert_eq!(names(root.path()), Vec::<String>::new());
        assert!(has(&metrics, "tiphys_kubelet_lost_log_bytes_total 0"));
    }

    /// In a folder whose file system has no attributes, which this thread alone sees.
    fn without_attributes(test: impl FnOnce(&Path) + Send + 'static) {
        let apart = std::thread::spawn(move || {
            let none = None::<&str>;
            unshare(CloneFlags::CLONE_NEWNS).expect("root may");
            mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).expect("root may");
            let root = tempfile::tempdir_in("/var/tmp").expect("a folder");
            mount(Some("ramfs"), root.path(), Some("ramfs"), MsFlags::empty(), none).expect("mounted");
            test(root.path());
            umount(root.path()).expect("nobody uses it");
        });
        apart.join().expect("the test passes");
    }

    #[test]
    fn where_a_collector_can_not_say_what_it_has_logs_go_after_a_while_and_are_not_called_lost() {
        without_attributes(|root| {
            fs::create_dir(root.join("ns_gone_2")).expect("made");
            fs::write(root.join("ns_gone_2/0.log"), "text\n").expect("written");
            let reads = (collector(&[("app", COLLECTOR_APP)]), Vec::new());
            let look = look(root, vec![reads]);
            let (mut house, metrics, start) = (House::default(), metrics(), Instant::now());
            house.sweep(&look, false, start, &metrics);
            house.sweep(&look, false, start + KEEP, &metrics);
            assert_eq!(names(root), ["ns_gone_2"]);
            house.sweep(&look, false, start + KEEP + SETTLED, &metrics);
            assert_eq!(names(root), Vec::<String>::new());
            assert!(has(&metrics, "tiphys_kubelet_lost_log_bytes_total 0"));
        });
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
