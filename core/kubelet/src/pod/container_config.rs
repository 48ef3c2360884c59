//! What CRI is asked to make for one container. Pure.

use std::collections::HashMap;

use k8s_openapi::api::core::v1::{Container, Pod};
use tiphys_runtime::cri::v1;

use super::{
    env, names, resources, sandbox_config,
    security::{self, ImageUser},
    spec,
};

/// What was found out before the container can be made.
pub struct ContainerFacts {
    pub attempt: u32,
    pub delay: std::time::Duration,
    /// The image's id, which stays the same when its name moves.
    pub image: String,
    pub image_user: ImageUser,
    pub variables: Vec<(String, String)>,
    pub mounts: Vec<v1::Mount>,
    pub node_memory: u64,
    /// The kernel can end a container as a whole for lack of memory.
    pub oom_group: bool,
    /// The instance whose processes it is to see.
    pub target: Option<String>,
}

/// The configuration, or why there can be none.
pub fn container_config(
    pod: &Pod,
    container: &Container,
    facts: ContainerFacts,
) -> Result<v1::ContainerConfig, String> {
    let lookup =
        |name: &str| facts.variables.iter().find(|(other, _)| other == name).map(|(_, value)| value.clone());
    let words = |words: &Option<Vec<String>>| -> Vec<String> {
        words.iter().flatten().map(|word| env::expand(word, lookup)).collect()
    };
    let security_context = security::container(pod, container, &facts.image_user, facts.target)?;
    Ok(v1::ContainerConfig {
        metadata: Some(v1::ContainerMetadata { name: container.name.clone(), attempt: facts.attempt }),
        image: Some(v1::ImageSpec {
            image: facts.image,
            user_specified_image: container.image.clone().unwrap_or_default(),
            ..Default::default()
        }),
        command: words(&container.command),
        args: words(&container.args),
        working_dir: container.working_dir.clone().unwrap_or_default(),
        mounts: facts.mounts,
        devices: Vec::new(),
        labels: labels(pod, container),
        annotations: annotations(container, facts.attempt, facts.delay),
        log_path: log_path(&container.name, facts.attempt),
        stdin: container.stdin == Some(true),
        stdin_once: container.stdin_once == Some(true),
        tty: container.tty == Some(true),
        linux: Some(v1::LinuxContainerConfig {
            resources: Some(resources::container_resources(
                pod,
                container,
                facts.node_memory,
                facts.oom_group,
            )),
            security_context: Some(security_context),
        }),
        envs: facts.variables.into_iter().map(|(key, value)| v1::KeyValue { key, value }).collect(),
        ..Default::default()
    })
}

/// Below the Pod's log folder.
pub fn log_path(container: &str, attempt: u32) -> String {
    format!("{container}/{attempt}.log")
}

fn labels(pod: &Pod, container: &Container) -> HashMap<String, String> {
    let mut labels = sandbox_config::labels(pod);
    labels.retain(|key, _| key.starts_with("io.kubernetes."));
    labels.insert(names::CONTAINER_NAME.into(), container.name.clone());
    debug_assert!(!spec::uid(pod).is_empty());
    labels
}

fn annotations(container: &Container, attempt: u32, delay: std::time::Duration) -> HashMap<String, String> {
    let path = container.termination_message_path.as_deref().unwrap_or(TERMINATION_PATH);
    let policy = container.termination_message_policy.as_deref().unwrap_or("File");
    [
        (names::SPEC_HASH, spec::container_hash(container)),
        (names::RESTART_COUNT, attempt.to_string()),
        (names::RESTART_DELAY, delay.as_millis().to_string()),
        (names::TERMINATION_PATH, path.to_owned()),
        (names::TERMINATION_POLICY, policy.to_owned()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

/// Where a container leaves its last words, unless it says otherwise.
pub const TERMINATION_PATH: &str = "/dev/termination-log";

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn words_are_expanded_and_identity_is_kept() {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "web", "namespace": "ns", "uid": "u", "labels": {"app": "web"}},
            "spec": {"containers": [{"name": "a", "image": "box:1", "args": ["--to=$(HOST)", "$(NO)"], "tty": true}]},
        }))
        .expect("a Pod");
        let facts = ContainerFacts {
            attempt: 3,
            delay: std::time::Duration::from_secs(20),
            image: "sha256:ab".into(),
            image_user: ImageUser::Root,
            variables: vec![("HOST".into(), "db".into())],
            mounts: Vec::new(),
            node_memory: 1 << 30,
            oom_group: true,
            target: None,
        };
        let config = container_config(&pod, &spec::of(&pod).containers[0], facts).expect("a configuration");
        assert_eq!(config.args, ["--to=db", "$(NO)"]);
        assert_eq!(config.log_path, "a/3.log");
        assert_eq!(config.annotations[names::RESTART_DELAY], "20000");
        assert_eq!(config.labels[names::CONTAINER_NAME], "a");
        assert!(!config.labels.contains_key("app"));
        assert!(config.tty);
        let resources = config.linux.and_then(|linux| linux.resources).expect("resources");
        assert_eq!(resources.unified.len(), 1, "{resources:?}");
    }
}
