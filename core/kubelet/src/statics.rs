//! Static Pods: manifests in a folder, run whether the API is there or not, with a
//! copy in the API for people to see.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures::StreamExt;
use inotify::{Inotify, WatchMask};
use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::apis::meta::v1::OwnerReference};
use kube::{Api, Client, api::PostParams};
use sha2::{Digest, Sha256};
use tiphys_lifecycle::{BoxError, Tasks};
use tokio::sync::mpsc;

use crate::pod::{names, spec};

pub(crate) enum StaticChange {
    Applied(Arc<Pod>),
    Removed(Arc<Pod>),
}

/// Reads the folder now and at each change; without one nothing ever comes.
pub(crate) fn start(
    folder: Option<PathBuf>,
    node: String,
    client: Client,
    tasks: &Tasks,
) -> mpsc::Receiver<StaticChange> {
    let (sender, receiver) = mpsc::channel(64);
    if let Some(folder) = folder {
        tasks.spawn_restarting("kubelet static manifests", move || {
            follow(folder.clone(), node.clone(), client.clone(), sender.clone())
        });
    }
    receiver
}

async fn follow(
    folder: PathBuf,
    node: String,
    client: Client,
    sender: mpsc::Sender<StaticChange>,
) -> Result<(), BoxError> {
    std::fs::create_dir_all(&folder)?;
    let inotify = Inotify::init()?;
    inotify.watches().add(&folder, WatchMask::CLOSE_WRITE | WatchMask::MOVE | WatchMask::DELETE)?;
    let mut changes = inotify.into_event_stream(vec![0; 4096])?;
    let mut known: BTreeMap<String, Arc<Pod>> = BTreeMap::new();
    loop {
        let found = read_folder(&folder, &node);
        let gone: Vec<String> = known.keys().filter(|uid| !found.contains_key(*uid)).cloned().collect();
        for pod in gone.iter().filter_map(|uid| known.remove(uid)) {
            remove_mirror(&client, &pod).await;
            sender.send(StaticChange::Removed(pod)).await?;
        }
        for (uid, pod) in found {
            if !known.contains_key(&uid) {
                sender.send(StaticChange::Applied(pod.clone())).await?;
                known.insert(uid, pod);
            }
        }
        for pod in known.values() {
            make_mirror(&client, pod, &node).await;
        }
        // The copy is made again should somebody delete it.
        let pause = tokio::time::sleep(Duration::from_secs(20));
        tokio::select! {
            change = changes.next() => { change.transpose()?; }
            () = pause => {}
        }
    }
}

/// By uid: a changed manifest is another Pod.
fn read_folder(folder: &Path, node: &str) -> BTreeMap<String, Arc<Pod>> {
    let mut pods = BTreeMap::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
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
    pods
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

async fn make_mirror(client: &Client, pod: &Pod, node: &str) {
    let api: Api<Pod> = Api::namespaced(client.clone(), spec::namespace(pod));
    let hash = spec::uid(pod).to_owned();
    if let Ok(Some(existing)) = api.get_opt(spec::name(pod)).await {
        if spec::annotation(&existing, names::MIRROR) == Some(&hash) {
            return;
        }
        remove_mirror(client, pod).await;
    }
    let nodes: Api<k8s_openapi::api::core::v1::Node> = Api::all(client.clone());
    let node_uid = nodes.get(node).await.ok().and_then(|node| node.metadata.uid);
    let mut mirror = pod.clone();
    mirror.metadata.uid = None;
    mirror.metadata.annotations.get_or_insert_default().insert(names::MIRROR.into(), hash);
    mirror.metadata.owner_references = node_uid.map(|uid| {
        vec![OwnerReference {
            api_version: "v1".into(),
            kind: "Node".into(),
            name: node.to_owned(),
            uid,
            controller: Some(true),
            block_owner_deletion: None,
        }]
    });
    if let Err(error) = api.create(&PostParams::default(), &mirror).await {
        tracing::debug!(pod = spec::name(pod), %error, "copy of a static pod was not made");
    }
}

async fn remove_mirror(client: &Client, pod: &Pod) {
    let api: Api<Pod> = Api::namespaced(client.clone(), spec::namespace(pod));
    let how = kube::api::DeleteParams::default().grace_period(0);
    if let Err(error) = api.delete(spec::name(pod), &how).await {
        tracing::debug!(pod = spec::name(pod), %error, "copy of a static pod was not deleted");
    }
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
}
