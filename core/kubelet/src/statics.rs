//! Static Pods: manifests in a folder, run whether the API is there or not.
//!
//! What is told is always the whole set: whoever reads it late, or again, misses no
//! removal. A file that can't be used at the moment, as one half written, stands for
//! the Pod it last was: only a file that is gone ends its Pod. What is wrong with a file
//! is logged once, by its name. Their copies in the API are kept elsewhere (see `mirrors`).

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures::StreamExt;
use inotify::{EventMask, Inotify, WatchMask};
use k8s_openapi::{
    api::core::v1::{Pod, Toleration},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use parking_lot::Mutex;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tiphys_api::{access::text, kind::Kind, kinds, pod::references};
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
    let reader = Arc::new(Reader { folder, node, last: Mutex::default() });
    tasks.spawn_restarting("kubelet static manifests", move || follow(reader.clone(), sender.clone()));
    receiver
}

struct Reader {
    folder: PathBuf,
    node: String,
    last: Mutex<Files>,
}

/// What the files were when they were read last.
#[derive(Default)]
struct Files {
    /// What each was when it could be used last.
    good: BTreeMap<PathBuf, Arc<Pod>>,
    /// Why some can't be used.
    problems: BTreeMap<PathBuf, String>,
}

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
            change = changes.next() => {
                let change = change.transpose()?;
                // Of one that takes its place nothing would be told.
                if change.is_some_and(|change| change.mask.contains(EventMask::IGNORED)) {
                    return Err("the folder of static pods was removed".into());
                }
            }
            () = tokio::time::sleep(READ_AGAIN) => {}
        }
    }
}

impl Reader {
    /// By uid: a changed manifest is another Pod.
    fn read(&self) -> io::Result<Manifests> {
        let mut last = self.last.lock();
        let mut now = Files::default();
        for entry in std::fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if !is_manifest(&path) {
                continue;
            }
            let text = std::fs::read_to_string(&path).map_err(|error| error.to_string());
            let pod = match text.and_then(|text| parse(&text, &self.node)) {
                Ok(pod) => Some(Arc::new(pod)),
                Err(problem) => {
                    now.problems.insert(path.clone(), problem);
                    last.good.get(&path).cloned()
                }
            };
            now.good.extend(pod.map(|pod| (path, pod)));
        }
        let manifests = by_uid(&mut now);
        for (path, error) in &now.problems {
            if last.problems.get(path) != Some(error) {
                let stays = now.good.get(path).is_some_and(|pod| manifests.contains_key(spec::uid(pod)));
                tracing::warn!(path = %path.display(), error, stays, "manifest of a static pod cannot be used");
            }
        }
        *last = now;
        Ok(manifests)
    }
}

/// Whatever its name ends with, as upstream has it: but no hidden file, and no folder.
fn is_manifest(path: &Path) -> bool {
    if path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".")) {
        return false;
    }
    match std::fs::metadata(path) {
        Ok(found) => found.is_file(),
        // Who reads it tells why it can't be read.
        Err(_) => true,
    }
}

/// Of two files with a Pod of one name the first counts: what an editor leaves beside a
/// file changes nothing.
fn by_uid(files: &mut Files) -> Manifests {
    let mut first: BTreeMap<(&str, &str), &Path> = BTreeMap::new();
    let mut manifests = Manifests::new();
    for (path, pod) in &files.good {
        let name = (spec::namespace(pod), spec::name(pod));
        match first.get(&name) {
            Some(first) => {
                let problem = format!("a pod of this name is in {} already", first.display());
                files.problems.insert(path.clone(), problem);
            }
            None => {
                first.insert(name, path);
                manifests.insert(spec::uid(pod).to_owned(), pod.clone());
            }
        }
    }
    manifests
}

/// A manifest, completed: name with the node's, uid from its text, defaults as the API would set them.
fn parse(text: &str, node: &str) -> Result<Pod, String> {
    let mut value: Value = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    // An object that was got from an API has more in its metadata, which is not this Pod's.
    let annotations = value.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut);
    annotations.map(|annotations| annotations.remove(names::MIRROR));
    let kind = check(&mut value)?;
    let mut pod: Pod = serde_json::from_value(value).map_err(|error| error.to_string())?;
    let digest = Sha256::digest(format!("{node}\0{text}").as_bytes());
    let hash: String = digest[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    let ObjectMeta { name, namespace, labels, annotations, .. } = pod.metadata;
    let name = format!("{}-{node}", name.ok_or("it has no name")?);
    if let Some(problem) = (kind.validate_name)(&name).first() {
        return Err(format!("metadata.name: {problem}"));
    }
    let mut annotations = annotations.unwrap_or_default();
    annotations.insert(names::CONFIG_SOURCE.into(), "file".into());
    annotations.insert(names::CONFIG_HASH.into(), hash.clone());
    pod.metadata = ObjectMeta {
        name: Some(name),
        namespace: namespace.filter(|name| !name.is_empty()).or_else(|| Some("default".into())),
        uid: Some(hash),
        labels,
        annotations: Some(annotations),
        ..Default::default()
    };
    pod.status = None;
    let spec = pod.spec.as_mut().ok_or("it has no spec")?;
    spec.node_name = Some(node.to_owned());
    // No taint ends it: that is for its file to say.
    let stays = Toleration {
        effect: Some("NoExecute".into()),
        operator: Some("Exists".into()),
        ..Default::default()
    };
    let tolerations = spec.tolerations.get_or_insert_default();
    if !tolerations.contains(&stays) {
        tolerations.push(stays);
    }
    Ok(pod)
}

/// Sets the defaults, and refuses what the API would refuse of the copy.
fn check(value: &mut Value) -> Result<&'static Kind, String> {
    let kind = kinds::by_kind(text(value, "/apiVersion"), text(value, "/kind"));
    let kind =
        kind.filter(|kind| kind.group.is_empty() && kind.plural == "pods").ok_or("it is no Pod of v1")?;
    (kind.default)(value);
    let problems: Vec<String> = (kind.validate)(value).iter().map(ToString::to_string).collect();
    if !problems.is_empty() {
        return Err(problems.join("; "));
    }
    let has_account = !text(value, "/spec/serviceAccountName").is_empty();
    let refers_to = value.get("spec").and_then(references::of_spec);
    match refers_to.or(has_account.then_some("serviceaccounts")) {
        Some(what) => Err(format!("a static pod may not refer to {what}")),
        None => Ok(kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEB: &str = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\nspec:\n  containers:\n  - name: a\n    image: box:1\n";

    #[test]
    fn a_manifest_becomes_a_pod_of_this_node() {
        let pod = parse(WEB, "node-1").expect("a Pod");
        assert_eq!((spec::name(&pod), spec::namespace(&pod)), ("web-node-1", "default"));
        assert_eq!(spec::of(&pod).node_name.as_deref(), Some("node-1"));
        assert_eq!(spec::of(&pod).restart_policy.as_deref(), Some("Always"));
        assert_eq!(spec::annotation(&pod, names::CONFIG_SOURCE), Some("file"));
        assert_eq!(spec::annotation(&pod, names::CONFIG_HASH), Some(spec::uid(&pod)));
        let tolerations = spec::of(&pod).tolerations.as_deref().unwrap_or_default();
        assert!(tolerations.iter().any(|one| one.effect.as_deref() == Some("NoExecute")), "{tolerations:?}");
        assert_ne!(spec::uid(&pod), spec::uid(&parse(&format!("{WEB}\n"), "node-1").expect("a Pod")));
        assert_ne!(spec::uid(&pod), spec::uid(&parse(WEB, "node-2").expect("a Pod")));
    }

    #[test]
    fn what_an_api_said_of_an_object_is_left_out() {
        let said = "  resourceVersion: '7'\n  uid: u\n  deletionTimestamp: '2026-01-02T03:04:05Z'\n  \
                    annotations: {kubernetes.io/config.mirror: x, own: mine}\n  labels: {app: web}\n";
        let text = WEB.replace("spec:\n", &format!("{said}status: {{phase: Failed}}\nspec:\n"));
        let pod = parse(&text, "node-1").expect("a Pod");
        assert!(pod.metadata.resource_version.is_none() && pod.metadata.deletion_timestamp.is_none());
        assert!(pod.status.is_none());
        assert_eq!(spec::annotation(&pod, names::MIRROR), None);
        assert_eq!(spec::annotation(&pod, "own"), Some("mine"));
        assert_eq!(pod.metadata.labels, Some([("app".to_owned(), "web".to_owned())].into()));
        assert_ne!(spec::uid(&pod), "u");
    }

    #[test]
    fn what_can_not_be_a_static_pod_is_refused_with_the_reason() {
        let check = |from: &str, to: &str, why: &str| {
            let error = parse(&WEB.replace(from, to), "node-1").expect_err("it is refused");
            assert!(error.contains(why), "{error}");
        };
        check("kind: Pod", "kind: Service", "it is no Pod of v1");
        check("apiVersion: v1", "apiVersion: v2", "it is no Pod of v1");
        check("  name: web\n", "  labels: {}\n", "it has no name");
        check("name: web", "name: Web", "metadata.name: ");
        check("    image: box:1\n", "", "spec.containers[0].image: Required value");
        check("spec:\n", "spec:\n  serviceAccountName: robot\n", "may not refer to serviceaccounts");
        check("spec:\n", "spec:\n  imagePullSecrets: [{name: x}]\n", "may not refer to secrets");
        assert!(parse("{", "node-1").is_err());
    }

    #[test]
    fn what_is_wrong_with_a_file_is_told_and_the_others_go_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |file: &str| folder.path().join(file);
        let reader = Reader { folder: folder.path().into(), node: "node-1".into(), last: Mutex::default() };
        std::fs::write(at("web.yaml"), WEB).expect("written");
        // The same name, and no name that tells of YAML.
        std::fs::write(at("web.yaml~"), format!("{WEB}\n")).expect("written");
        std::fs::write(at("other"), WEB.replace("web", "other")).expect("written");
        std::fs::write(at("broken.yaml"), "kind: [").expect("written");
        std::fs::write(at(".hidden.yaml"), WEB.replace("web", "hidden")).expect("written");
        std::fs::create_dir(at("folder.yaml")).expect("made");
        std::os::unix::fs::symlink(at("nowhere"), at("link.yaml")).expect("linked");
        let found = reader.read().expect("read");
        let mut pods: Vec<&str> = found.values().map(|pod| spec::name(pod)).collect();
        pods.sort_unstable();
        assert_eq!(pods, ["other-node-1", "web-node-1"]);
        assert!(found.contains_key(spec::uid(&parse(WEB, "node-1").expect("a Pod"))), "the copy counts");
        let told = reader.last.lock().problems.clone();
        assert_eq!(told.keys().collect::<Vec<_>>(), [&at("broken.yaml"), &at("link.yaml"), &at("web.yaml~")]);
        assert!(told[&at("web.yaml~")].contains("web.yaml already"), "{told:?}");
        // The copy counts when it is the only one.
        std::fs::remove_file(at("web.yaml")).expect("removed");
        assert_eq!(reader.read().expect("read").len(), 2);
        assert_eq!(reader.last.lock().problems.len(), 2);
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
            let found = tokio::time::timeout(Duration::from_secs(120), found).await.expect("in time");
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
        // Another folder in the place of this one.
        std::fs::remove_dir_all(folder.path()).expect("removed");
        assert!(wait(0).await.is_empty());
        std::fs::create_dir_all(folder.path()).expect("made");
        manifest("fourth.yaml", "fourth");
        wait(1).await;
        tasks.shutdown(Duration::from_secs(120)).await;
    }
}
