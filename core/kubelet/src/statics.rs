//! Static Pods: manifests in a folder, run whether the API is there or not.
//!
//! What is told is always the whole set: whoever reads it late, or again, misses no
//! removal. A file that can't be used at the moment, as one half written, stands for
//! the Pod it last was: only a file that is gone ends its Pod. Their copies in the API are kept elsewhere (see `mirrors`).

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures::StreamExt;
use inotify::{Inotify, WatchMask};
use k8s_openapi::api::core::v1::Pod;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tiphys_lifecycle::{BoxError, Tasks};
use tokio::sync::watch;

use crate::pod::{names, spec};

/// In case a change was not told, as by a folder on another machine.
const READ_AGAIN: Duration = Duration::from_secs(20);

/// Static Pods by uid.
pub(crate) type Manifests = BTreeMap<String, Arc<Pod>>;

/// Reads the folder now and at each change; `None` until it was read first. Without
/// a folder there is no static Pod.
pub(crate) fn start(
    folder: Option<PathBuf>,
    node: String,
    tasks: &Tasks,
) -> watch::Receiver<Option<Manifests>> {
    let Some(folder) = folder else { return watch::channel(Some(Manifests::new())).1 };
    let (sender, receiver) = watch::channel(None);
    let reader = Arc::new(Reader { folder, node, good: Mutex::default() });
    tasks.spawn_restarting("kubelet static manifests", move || follow(reader.clone(), sender.clone()));
    receiver
}

struct Reader {
    folder: PathBuf,
    node: String,
    /// What each file was when it could be used last.
    good: Mutex<Files>,
}

type Files = BTreeMap<PathBuf, Arc<Pod>>;

async fn follow(reader: Arc<Reader>, sender: watch::Sender<Option<Manifests>>) -> Result<(), BoxError> {
    std::fs::create_dir_all(&reader.folder)?;
    let inotify = Inotify::init()?;
    inotify.watches().add(&reader.folder, WatchMask::CLOSE_WRITE | WatchMask::MOVE | WatchMask::DELETE)?;
    let mut changes = inotify.into_event_stream(vec![0; 4096])?;
    loop {
        let found = reader.read()?;
        sender.send_if_modified(|known| {
            let changed = known.as_ref().is_none_or(|known| !known.keys().eq(found.keys()));
            if changed {
                *known = Some(found);
            }
            changed
        });
        tokio::select! {
            change = changes.next() => { change.transpose()?; }
            () = tokio::time::sleep(READ_AGAIN) => {}
        }
    }
}

impl Reader {
    /// By uid: a changed manifest is another Pod.
    fn read(&self) -> io::Result<Manifests> {
        let mut good = self.good.lock();
        let mut files = Files::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if !is_manifest(&path) {
                continue;
            }
            let text = std::fs::read_to_string(&path).map_err(|error| error.to_string());
            let pod = match text.and_then(|text| parse(&text, &self.node)) {
                Ok(pod) => Some(Arc::new(pod)),
                Err(error) => {
                    let before = good.get(&path).cloned();
                    let stays = before.is_some();
                    tracing::warn!(path = %path.display(), error, stays, "manifest of a static pod cannot be used");
                    before
                }
            };
            files.extend(pod.map(|pod| (path, pod)));
        }
        *good = files;
        Ok(good.values().map(|pod| (spec::uid(pod).to_owned(), pod.clone())).collect())
    }
}

fn is_manifest(path: &Path) -> bool {
    let known = path.extension().is_some_and(|kind| kind == "yaml" || kind == "yml" || kind == "json");
    known && !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
}

/// A manifest, completed: name with the node's, uid from its text, defaults as the API would set them.
fn parse(text: &str, node: &str) -> Result<Pod, String> {
    let mut value: serde_json::Value = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    if value.get("kind").and_then(serde_json::Value::as_str) != Some("Pod") {
        return Err("it is no Pod".into());
    }
    if let Some(spec) = value.get_mut("spec") {
        tiphys_api::pod::defaults::spec(spec);
    }
    let mut pod: Pod = serde_json::from_value(value).map_err(|error| error.to_string())?;
    let name = pod.metadata.name.clone().ok_or("it has no name")?;
    let digest = Sha256::digest(format!("{node}\0{text}").as_bytes());
    let hash: String = digest[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    pod.metadata.name = Some(format!("{name}-{node}"));
    pod.metadata.namespace.get_or_insert_with(|| "default".into());
    pod.metadata.uid = Some(hash.clone());
    let annotations = pod.metadata.annotations.get_or_insert_default();
    annotations.insert(names::CONFIG_SOURCE.into(), "file".into());
    annotations.insert(names::CONFIG_HASH.into(), hash);
    let spec = pod.spec.as_mut().ok_or("it has no spec")?;
    spec.node_name = Some(node.to_owned());
    Ok(pod)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_becomes_a_pod_of_this_node() {
        let text = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\nspec:\n  containers:\n  - name: a\n    image: box:1\n";
        let pod = parse(text, "node-1").expect("a Pod");
        assert_eq!((spec::name(&pod), spec::namespace(&pod)), ("web-node-1", "default"));
        assert_eq!(spec::of(&pod).node_name.as_deref(), Some("node-1"));
        assert_eq!(spec::of(&pod).restart_policy.as_deref(), Some("Always"));
        assert_ne!(spec::uid(&pod), spec::uid(&parse(&format!("{text}\n"), "node-1").expect("a Pod")));
        assert!(parse("kind: Service", "node-1").is_err());
        assert!(parse("{", "node-1").is_err());
    }

    #[tokio::test]
    async fn the_whole_set_is_told_at_each_change() {
        let folder = tempfile::tempdir().expect("a folder");
        let manifest = |file: &str, name: &str| {
            let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: NAME}\nspec: {containers: [{name: a, image: a}]}";
            std::fs::write(folder.path().join(file), text.replace("NAME", name)).expect("written");
        };
        manifest("web.yaml", "web");
        std::fs::write(folder.path().join("note.txt"), "no manifest").expect("written");
        let tasks = Tasks::new();
        let mut told = start(Some(folder.path().into()), "node-1".into(), &tasks);
        let mut wait = async |count: usize| {
            let found = told.wait_for(|told| told.as_ref().is_some_and(|told| told.len() == count));
            let found = tokio::time::timeout(Duration::from_secs(15), found).await.expect("in time");
            found.expect("it is followed").clone().expect("a set")
        };
        let uid = wait(1).await.into_keys().next().expect("a Pod");
        std::fs::rename(folder.path().join("web.yaml"), folder.path().join(".web")).expect("renamed");
        assert!(wait(0).await.is_empty());
        // The same text is the same Pod.
        std::fs::rename(folder.path().join(".web"), folder.path().join("web.yaml")).expect("renamed");
        assert!(wait(1).await.contains_key(&uid));
        // One that can't be used at the moment ends nothing; another is told meanwhile.
        std::fs::write(folder.path().join("web.yaml"), "{").expect("written");
        std::fs::write(folder.path().join("never.yaml"), "{").expect("written");
        manifest("other.yaml", "other");
        assert!(wait(2).await.contains_key(&uid));
        std::fs::remove_file(folder.path().join("web.yaml")).expect("removed");
        assert!(!wait(1).await.contains_key(&uid));
        // What went is not remembered.
        std::fs::write(folder.path().join("web.yaml"), "{").expect("written");
        manifest("third.yaml", "third");
        assert!(!wait(2).await.contains_key(&uid));
        tasks.shutdown(Duration::from_secs(15)).await;
    }
}
