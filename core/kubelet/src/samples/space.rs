//! Space that volumes and containers' own layers take: walked through once a minute, as it
//! costs a look at each file.

use std::{
    collections::HashMap,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use k8s_openapi::api::core::v1::{Pod, Volume};
use tiphys_api::samples::VolumeSample;
use tiphys_lifecycle::OnError;
use tiphys_runtime::stats::filesystem;
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use crate::{pod::spec, volumes, workers::Context};

/// Between looks.
const EACH: Duration = Duration::from_secs(60);

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Space {
    /// By the container's id.
    pub layers: HashMap<String, Taken>,
    /// By the Pod's UID.
    pub volumes: HashMap<String, Vec<VolumeSample>>,
}

/// Of a tree of files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Taken {
    pub bytes: u64,
    pub inodes: u64,
}

/// Looks until the kubelet stops.
pub(super) fn start(context: &Arc<Context>) -> watch::Receiver<Arc<Space>> {
    let (sender, receiver) = watch::channel(Arc::default());
    context.tasks.spawn("kubelet space", OnError::Log, keep_looking(context.clone(), sender));
    receiver
}

async fn keep_looking(
    context: Arc<Context>,
    sender: watch::Sender<Arc<Space>>,
) -> Result<(), std::convert::Infallible> {
    let mut minute = interval(EACH);
    minute.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        minute.tick().await;
        sender.send_replace(Arc::new(look(&context).await));
    }
}

async fn look(context: &Context) -> Space {
    let layers = match context.cri.container_stats().await {
        Ok(stats) => stats.into_iter().filter_map(|stats| {
            let layer = stats.writable_layer?;
            let (bytes, inodes) = (layer.used_bytes?.value, layer.inodes_used?.value);
            Some((stats.attributes?.id, Taken { bytes, inodes }))
        }),
        Err(error) => {
            tracing::debug!(%error, "the runtime doesn't tell what containers' layers take");
            return Space { volumes: of_pods(context).await, ..Space::default() };
        }
    };
    Space { layers: layers.collect(), volumes: of_pods(context).await }
}

async fn of_pods(context: &Context) -> HashMap<String, Vec<VolumeSample>> {
    let pods: Vec<Arc<Pod>> = context.registry.views().iter().map(|view| view.pod.clone()).collect();
    let root = context.config.root.clone();
    let measured = tokio::task::spawn_blocking(move || {
        let of_pod = |pod: &Arc<Pod>| (spec::uid(pod).to_owned(), of_pod(&root, pod));
        pods.iter().map(of_pod).filter(|(_, volumes)| !volumes.is_empty()).collect()
    });
    // It ends early only when everything does.
    measured.await.unwrap_or_default()
}

fn of_pod(root: &Path, pod: &Pod) -> Vec<VolumeSample> {
    let volumes = spec::of(pod).volumes.as_deref().unwrap_or_default();
    volumes.iter().filter_map(|volume| measure(root, pod, volume)).collect()
}

/// Volumes that a Pod writes to.
fn measure(root: &Path, pod: &Pod, volume: &Volume) -> Option<VolumeSample> {
    let of_claim = volume.persistent_volume_claim.as_ref().map(|claim| claim.claim_name.clone());
    let ephemeral = || volume.ephemeral.as_ref().map(|_| format!("{}-{}", spec::name(pod), volume.name));
    let claim = of_claim.or_else(ephemeral);
    if volume.empty_dir.is_none() && claim.is_none() {
        return None;
    }
    let path = folder(&volumes::folder_of(root, pod), &volume.name)?;
    let space = filesystem(&path);
    let device = |path: &Path| fs::metadata(path).map(|found| found.dev()).ok();
    // A file system of its own says what is in it; of another's folder each file is asked.
    let is_mount = path.parent().and_then(device) != device(&path);
    let taken = match is_mount {
        true => Taken { bytes: space.used_bytes, inodes: space.inodes.saturating_sub(space.inodes_free) },
        false => taken(&path).unwrap_or_default(),
    };
    Some(VolumeSample {
        volume: volume.name.clone(),
        claim: claim.unwrap_or_default(),
        capacity_bytes: space.capacity_bytes,
        available_bytes: space.available_bytes,
        used_bytes: taken.bytes,
        inodes: space.inodes,
        inodes_free: space.inodes_free,
        inodes_used: taken.inodes,
    })
}

/// Below the folder of its kind, whichever that is.
fn folder(volumes: &Path, name: &str) -> Option<PathBuf> {
    let kinds = fs::read_dir(volumes).ok()?.filter_map(Result::ok);
    kinds.map(|kind| kind.path().join(name)).find(|path| path.is_dir())
}

/// What the files of a tree take, links not followed. What goes away meanwhile counts no more.
/// Its depth is a Pod's choice, so folders wait in a list.
fn taken(folder: &Path) -> io::Result<Taken> {
    let own = fs::symlink_metadata(folder)?;
    let mut sum = Taken { bytes: own.blocks() * 512, inodes: 1 };
    let mut waiting = vec![folder.to_owned()];
    while let Some(folder) = waiting.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.filter_map(Result::ok) {
            let Ok(found) = entry.metadata() else { continue };
            if found.dev() != own.dev() {
                continue;
            }
            sum = Taken { bytes: sum.bytes + found.blocks() * 512, inodes: sum.inodes + 1 };
            if found.is_dir() {
                waiting.push(entry.path());
            }
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use serde_json::json;

    use super::*;

    #[test]
    fn a_volume_takes_what_du_says() {
        let root = tempfile::tempdir().expect("a folder");
        let pod = json!({
            "metadata": {"name": "p", "uid": "u"},
            "spec": {"containers": [], "volumes": [
                {"name": "data", "emptyDir": {}}, {"name": "gone", "emptyDir": {}}, {"name": "c", "configMap": {}},
            ]},
        });
        let pod: Pod = serde_json::from_value(pod).expect("a Pod");
        let volumes = volumes::folder_of(root.path(), &pod);
        let data = volumes.join("kubernetes.io~empty-dir/data");
        fs::create_dir_all(data.join("a/b")).expect("made");
        fs::create_dir_all(volumes.join("kubernetes.io~configmap/c")).expect("made");
        for (name, length) in [("x", 100_000), ("a/y", 1), ("a/b/z", 5_000_000)] {
            fs::write(data.join(name), vec![b'x'; length]).expect("written");
        }
        std::os::unix::fs::symlink("/", data.join("link")).expect("linked");
        let du = |option: &str| -> u64 {
            let out = Command::new("du").args(["-s", option]).arg(&data).output().expect("du runs").stdout;
            let text = String::from_utf8(out).expect("text");
            text.split_whitespace().next().and_then(|word| word.parse().ok()).expect("a number")
        };
        let found = of_pod(root.path(), &pod);
        let [volume] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(volume.used_bytes, du("--block-size=1"));
        assert_eq!(volume.inodes_used, du("--inodes"));
        assert!(
            volume.capacity_bytes > 0 && volume.available_bytes > 0 && volume.inodes >= volume.inodes_free
        );
    }
}
