//! Keeping house in /var/log/pods: running logs are rotated, logs of instances and
//! Pods that are gone are removed once they are taken over.

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{acked::is_acked, rotate};
use crate::{
    pod::{runtime::Container, sandbox_config, spec},
    workers::{Context, PodView},
};

/// The log folder of a Pod that is gone stays at most this long.
const KEEP_REMOVED: Duration = Duration::from_secs(600);
/// And at least this long: the runtime writes a container's last line a moment after
/// it has told that the container ended.
const SETTLED: Duration = Duration::from_secs(10);

/// Until the kubelet stops.
pub(crate) async fn keep_house(context: Arc<Context>) -> Result<(), io::Error> {
    let mut ticks = tokio::time::interval(context.config.log_monitor_interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let views = context.registry.views();
        for view in &views {
            rotate_pod(&context, view).await;
        }
        // A kubelet that has just started knows no Pod yet; the runtime knows them all.
        let sandboxes = match context.cri.list_sandboxes(HashMap::new()).await {
            Ok(sandboxes) => sandboxes,
            Err(error) => {
                tracing::debug!(%error, "log folders are not swept: the runtime doesn't tell its Pods");
                continue;
            }
        };
        let in_runtime = sandboxes.into_iter().filter_map(|sandbox| sandbox.metadata);
        let in_runtime = in_runtime.map(|of| format!("{}_{}_{}", of.namespace, of.name, of.uid));
        let folders: HashSet<String> =
            views.iter().map(|view| sandbox_config::log_folder(&view.pod)).chain(in_runtime).collect();
        let root = context.config.log_root.clone();
        let swept = tokio::task::spawn_blocking(move || sweep(&root, &folders, SystemTime::now())).await;
        if let Ok(Err(error)) = swept {
            tracing::debug!(%error, "log folders were not swept");
        }
    }
}

async fn rotate_pod(context: &Context, view: &PodView) {
    let folder = context.config.log_root.join(sandbox_config::log_folder(&view.pod));
    for container in &view.runtime.containers {
        let path = Path::new(&container.log_path).to_path_buf();
        if container.is_running()
            && let Err(error) = rotate_one(context, container, &path).await
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(pod = spec::name(&view.pod), container = %container.name, %error, "log was not rotated");
        }
        let keep = context.config.log_max_files.saturating_sub(1);
        // What is missing was removed by somebody else.
        let _ = rotate::prune(&path, keep, SystemTime::now());
    }
    let _ = remove_old_instances(&folder, &view.runtime.containers);
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

/// Logs of instances that the runtime has forgotten: only the last two are shown.
fn remove_old_instances(folder: &Path, containers: &[Container]) -> io::Result<()> {
    for entry in fs::read_dir(folder)?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let known: Vec<u32> = containers
            .iter()
            .filter(|container| container.name == name)
            .map(|container| container.attempt)
            .collect();
        let Some(oldest) = known.iter().min().filter(|_| is_folder(&entry)) else { continue };
        for file in fs::read_dir(entry.path())?.flatten() {
            let attempt =
                file.file_name().to_string_lossy().split('.').next().and_then(|n| n.parse::<u32>().ok());
            if attempt.is_some_and(|attempt| attempt < *oldest)
                && (is_acked(&file.path()) || age(&file.path()) > KEEP_REMOVED)
            {
                fs::remove_file(file.path())?;
            }
        }
    }
    Ok(())
}

/// Not a link to one: what lies behind it is not ours to remove.
fn is_folder(entry: &fs::DirEntry) -> bool {
    entry.file_type().is_ok_and(|kind| kind.is_dir())
}

fn age(path: &Path) -> Duration {
    let modified = path.symlink_metadata().and_then(|metadata| metadata.modified());
    modified.ok().and_then(|modified| SystemTime::now().duration_since(modified).ok()).unwrap_or_default()
}

/// Removes the folders of Pods that are not among `known`, when they are [`SETTLED`] and
/// every file in them is taken over, or long after the last line.
fn sweep(root: &Path, known: &HashSet<String>, now: SystemTime) -> io::Result<()> {
    for entry in fs::read_dir(root)?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        // Only what looks like a Pod's folder is ours.
        if known.contains(&name) || name.split('_').count() != 3 || !entry.file_type()?.is_dir() {
            continue;
        }
        let mut files = Vec::new();
        list(&entry.path(), &mut files)?;
        let newest = files.iter().filter_map(|file| file.symlink_metadata().ok()?.modified().ok()).max();
        let newest = newest.or(entry.metadata()?.modified().ok()).unwrap_or(now);
        let age = now.duration_since(newest).unwrap_or_default();
        if age > KEEP_REMOVED || (age > SETTLED && files.iter().all(|file| is_acked(file))) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
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
    use crate::logs::acked::acknowledge;

    #[test]
    fn abuse_14_nothing_behind_a_link_is_removed() {
        let root = tempfile::tempdir_in("/var/tmp").expect("a folder");
        let (pod, outside) = (root.path().join("ns_runs_1"), root.path().join("outside"));
        for folder in [&pod, &outside] {
            fs::create_dir_all(folder.join("box")).expect("made");
            fs::write(folder.join("box/0.log"), "").expect("written");
        }
        std::os::unix::fs::symlink(outside.join("box"), pod.join("linked")).expect("linked");
        let instance = |name: &str| Container {
            id: name.into(),
            sandbox: "s".into(),
            name: name.into(),
            attempt: 1,
            state: crate::pod::runtime::State::Created,
            image: String::new(),
            image_ref: String::new(),
            hash: String::new(),
            delay: Duration::ZERO,
            log_path: String::new(),
            created_at: 0,
        };
        remove_old_instances(&pod, &[instance("box"), instance("linked")]).expect("swept");
        assert!(!pod.join("box/0.log").exists() && outside.join("box/0.log").exists());
    }

    #[test]
    fn folders_of_gone_pods_wait_for_the_collector() {
        let root = tempfile::tempdir_in("/var/tmp").expect("a folder");
        let file = |pod: &str| root.path().join(pod).join("box/0.log");
        for pod in ["ns_runs_1", "ns_gone_2", "ns_read_3"] {
            fs::create_dir_all(file(pod).parent().expect("a folder")).expect("made");
            fs::write(file(pod), "text").expect("written");
        }
        fs::create_dir(root.path().join("other")).expect("made");
        acknowledge(&file("ns_read_3"), 4);
        let known = HashSet::from(["ns_runs_1".to_owned()]);
        let now = SystemTime::now();
        let left = || {
            let mut names: Vec<_> = fs::read_dir(root.path())
                .expect("listed")
                .flatten()
                .map(|entry| entry.file_name().to_string_lossy().into_owned())
                .collect();
            names.sort();
            names
        };
        sweep(root.path(), &known, now).expect("swept");
        assert_eq!(left(), ["ns_gone_2", "ns_read_3", "ns_runs_1", "other"]);
        sweep(root.path(), &known, now + 2 * SETTLED).expect("swept");
        assert_eq!(left(), ["ns_gone_2", "ns_runs_1", "other"]);
        sweep(root.path(), &known, now + 2 * KEEP_REMOVED).expect("swept");
        assert_eq!(left(), ["ns_runs_1", "other"]);
    }
}
