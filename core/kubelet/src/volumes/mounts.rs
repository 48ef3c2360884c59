//! What a container gets mounted: volumes, /etc/hosts, the place for its last words.

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use k8s_openapi::api::core::v1::{Container, Pod};
use tiphys_runtime::cri::v1::{Mount, MountPropagation};

use super::{Volumes, content, subpath};
use crate::{
    Error,
    pod::{container_config::TERMINATION_PATH, env, spec},
};

pub(super) fn mounts(
    volumes: &Volumes,
    pod: &Pod,
    container: &Container,
    attempt: u32,
    paths: &HashMap<String, PathBuf>,
    variables: &[(String, String)],
) -> Result<Vec<Mount>, Error> {
    let mut mounts = Vec::new();
    let parts = volumes.pod_folder(spec::uid(pod)).join("volume-subpaths");
    // No earlier instance runs when one is made.
    subpath::sweep(&parts, &container.name, attempt).map_err(Error::io("clear", &parts))?;
    for (n, wanted) in container.volume_mounts.iter().flatten().enumerate() {
        let failed = |message: String| Error::Volume { volume: wanted.name.clone(), message };
        let volume = paths.get(&wanted.name).ok_or_else(|| failed("the Pod has no such volume".into()))?;
        let lookup =
            |name: &str| variables.iter().find(|(other, _)| other == name).map(|(_, value)| value.clone());
        let part = match (&wanted.sub_path_expr, &wanted.sub_path) {
            (Some(expression), _) if !expression.is_empty() => env::expand(expression, lookup),
            (_, Some(part)) => part.clone(),
            _ => String::new(),
        };
        let host_path = if part.is_empty() {
            volume.clone()
        } else {
            let target = parts.join(&wanted.name).join(&container.name).join(format!("{attempt}-{n}"));
            subpath::bind(volume, &part, &target)
                .map_err(|error| failed(format!("subPath {part:?}: {error}")))?;
            target
        };
        mounts.push(Mount {
            container_path: absolute(&wanted.mount_path),
            host_path: host_path.to_string_lossy().into_owned(),
            readonly: wanted.read_only == Some(true) || is_the_apis(pod, &wanted.name),
            propagation: propagation(wanted.mount_propagation.as_deref()).into(),
            ..Default::default()
        });
    }
    let taken = |path: &str| mounts.iter().any(|mount| mount.container_path == path);
    let (hosts, last_words) = (volumes.pod_folder(spec::uid(pod)).join("etc-hosts"), TERMINATION_PATH);
    let wants_hosts = !taken("/etc/hosts") && hosts.exists();
    let path = container.termination_message_path.as_deref().unwrap_or(last_words).to_owned();
    let wants_log = !taken(&path) && !path.is_empty();
    if wants_hosts {
        mounts.push(file_mount("/etc/hosts", &hosts));
    }
    if wants_log {
        let file = volumes.termination_log(spec::uid(pod), &container.name, attempt);
        make_log(&file).map_err(Error::io("create", &file))?;
        mounts.push(file_mount(&path, &file));
    }
    Ok(mounts)
}

/// Files that say what the API says: a container that wrote to them would fool its
/// neighbours, and the next change would take its writing away.
fn is_the_apis(pod: &Pod, volume: &str) -> bool {
    let mut volumes = spec::of(pod).volumes.iter().flatten();
    volumes.any(|other| other.name == volume && content::kind(other).is_some())
}

fn absolute(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}

fn propagation(wanted: Option<&str>) -> MountPropagation {
    match wanted {
        Some("HostToContainer") => MountPropagation::PropagationHostToContainer,
        Some("Bidirectional") => MountPropagation::PropagationBidirectional,
        _ => MountPropagation::PropagationPrivate,
    }
}

fn file_mount(container_path: &str, file: &Path) -> Mount {
    let host_path = file.to_string_lossy().into_owned();
    Mount { container_path: container_path.to_owned(), host_path, ..Default::default() }
}

/// Any user of the container may write its last words.
fn make_log(file: &Path) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(file, "")?;
    fs::set_permissions(file, fs::Permissions::from_mode(0o666))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn files_of_the_api_are_mounted_read_only() {
        let root = tempfile::tempdir().expect("a folder");
        let pod = json!({"metadata": {"uid": "u"}, "spec": {
            "volumes": [
                {"name": "config", "configMap": {"name": "x"}},
                {"name": "secret", "secret": {"secretName": "x"}},
                {"name": "token", "projected": {"sources": []}},
                {"name": "fields", "downwardAPI": {"items": []}},
                {"name": "scratch", "emptyDir": {}},
                {"name": "host", "hostPath": {"path": "/srv"}},
            ],
            "containers": [{"name": "c", "volumeMounts": [
                {"name": "config", "mountPath": "/config"},
                {"name": "secret", "mountPath": "/secret"},
                {"name": "token", "mountPath": "/token"},
                {"name": "fields", "mountPath": "/fields"},
                {"name": "scratch", "mountPath": "/scratch"},
                {"name": "host", "mountPath": "/host"},
                {"name": "host", "mountPath": "/frozen", "readOnly": true},
            ]}],
        }});
        let pod: Pod = serde_json::from_value(pod).expect("a Pod");
        let paths = ["config", "secret", "token", "fields", "scratch", "host"];
        let paths = paths.map(|name| (name.to_owned(), root.path().join(name))).into();
        let container = &spec::of(&pod).containers[0];
        let mounts = mounts(&Volumes::new(root.path()), &pod, container, 0, &paths, &[]).expect("mounts");
        let frozen = |mount: &&Mount| mount.readonly;
        let frozen: Vec<_> = mounts.iter().filter(frozen).map(|mount| &*mount.container_path).collect();
        assert_eq!(frozen, ["/config", "/secret", "/token", "/fields", "/frozen"]);
    }
}
