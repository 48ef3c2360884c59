//! Static Pods: manifests in a folder, run whether the API is there or not.
//!
//! What is told is always the whole set: whoever reads it late, or again, misses no
//! removal. Their copies in the API are kept elsewhere (see `mirrors`).

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
    tasks.spawn_restarting("kubelet static manifests", move || {
        follow(folder.clone(), node.clone(), sender.clone())
    });
    receiver
}

async fn follow(
    folder: PathBuf,
    node: String,
    sender: watch::Sender<Option<Manifests>>,
) -> Result<(), BoxError> {
    std::fs::create_dir_all(&folder)?;
    let inotify = Inotify::init()?;
    inotify.watches().add(&folder, WatchMask::CLOSE_WRITE | WatchMask::MOVE | WatchMask::DELETE)?;
    let mut changes = inotify.into_event_stream(vec![0; 4096])?;
    loop {
        let found = read_folder(&folder, &node)?;
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

/// By uid: a changed manifest is another Pod.
fn read_folder(folder: &Path, node: &str) -> io::Result<Manifests> {
    let mut pods = Manifests::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let known = path.extension().is_some_and(|kind| kind == "yaml" || kind == "yml" || kind == "json");
        if !known || path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')) {
            continue;
        }
        match std::fs::read_to_string(&path)
            .map_err(|error| error.to_string())
            .and_then(|text| parse(&text, node))
        {
            Ok(pod) => {
                pods.insert(spec::uid(&pod).to_owned(), Arc::new(pod));
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), error, "manifest of a static pod cannot be used")
            }
        }
    }
    Ok(pods)
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
        let manifest = |name: &str| {
            let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: NAME}\nspec: {containers: [{name: a, image: a}]}";
            std::fs::write(folder.path().join(name), text.replace("NAME", "web")).expect("written");
        };
        manifest("web.yaml");
        std::fs::write(folder.path().join("note.txt"), "no manifest").expect("written");
        let tasks = Tasks::new();
        let mut told = start(Some(folder.path().into()), "node-1".into(), &tasks);
        let mut wait = async |count: usize| {
            let found = told.wait_for(|told| told.as_ref().is_some_and(|told| told.len() == count));
            let found = tokio::time::timeout(Duration::from_secs(15), found).await.expect("in time");
            found.expect("it is followed").clone().expect("a set")
        };
        let first = wait(1).await;
        std::fs::rename(folder.path().join("web.yaml"), folder.path().join(".web")).expect("renamed");
        assert!(wait(0).await.is_empty());
        // The same text is the same Pod.
        std::fs::rename(folder.path().join(".web"), folder.path().join("web.yaml")).expect("renamed");
        assert!(wait(1).await.keys().eq(first.keys()));
        tasks.shutdown(Duration::from_secs(15)).await;
    }
}
