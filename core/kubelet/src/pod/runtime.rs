//! What the runtime has of one Pod, as plain values.

use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;
use tiphys_runtime::cri::v1;

use super::names;

/// Sandboxes and containers of a Pod, newest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RuntimeState {
    pub sandboxes: Vec<Sandbox>,
    pub containers: Vec<Container>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Sandbox {
    pub id: String,
    pub attempt: u32,
    pub ready: bool,
    /// Nanoseconds since the epoch.
    pub created_at: i64,
    /// The Pod's addresses; none in the node's network.
    pub ips: Vec<String>,
    pub group: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Container {
    pub id: String,
    pub sandbox: String,
    pub name: String,
    /// How often this container of the Pod was restarted before.
    pub attempt: u32,
    pub state: State,
    pub image: String,
    pub image_ref: String,
    pub hash: String,
    /// How long it was held back before its start.
    pub delay: Duration,
    pub log_path: String,
    pub created_at: i64,
}

#[derive(Debug, Clone, PartialEq)]
pub enum State {
    Created,
    Running { started_at: Timestamp },
    Exited(Exit),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Exit {
    pub code: i32,
    /// `None` when it was never started.
    pub started_at: Option<Timestamp>,
    pub finished_at: Timestamp,
    /// `Completed`, `Error`, `OOMKilled`, `StartError`, ...
    pub reason: String,
    pub message: String,
}

impl RuntimeState {
    pub fn ready_sandbox(&self) -> Option<&Sandbox> {
        self.sandboxes.first().filter(|sandbox| sandbox.ready)
    }

    /// The latest instance of a container.
    pub fn latest(&self, name: &str) -> Option<&Container> {
        self.containers.iter().find(|container| container.name == name)
    }

    /// The one before the latest.
    pub fn previous(&self, name: &str) -> Option<&Container> {
        self.containers.iter().filter(|container| container.name == name).nth(1)
    }

    pub fn running(&self) -> impl Iterator<Item = &Container> {
        self.containers.iter().filter(|container| container.is_running())
    }
}

impl Container {
    pub fn is_running(&self) -> bool {
        matches!(self.state, State::Running { .. })
    }

    pub fn exit(&self) -> Option<&Exit> {
        match &self.state {
            State::Exited(exit) => Some(exit),
            _ => None,
        }
    }

    pub fn succeeded(&self) -> bool {
        self.exit().is_some_and(|exit| exit.code == 0)
    }

    /// From CRI's status.
    pub fn read(status: v1::ContainerStatus, sandbox: String) -> Self {
        let metadata = status.metadata.clone().unwrap_or_default();
        let number = |key: &str| status.annotations.get(key).and_then(|value| value.parse().ok());
        Self {
            state: State::read(&status),
            sandbox,
            name: metadata.name,
            attempt: metadata.attempt,
            image: status.image.map(|image| image.image).unwrap_or_default(),
            image_ref: status.image_ref,
            hash: status.annotations.get(names::SPEC_HASH).cloned().unwrap_or_default(),
            delay: Duration::from_millis(number(names::RESTART_DELAY).unwrap_or(0)),
            log_path: status.log_path,
            created_at: status.created_at,
            id: status.id,
        }
    }
}

/// Whether a start came to nothing because who asked for it went away, before the container's process
/// was begun: containerd's words for a request that ended while the shim made the task. Nothing of the
/// container ran, so that it is as good as only made; a Pod that is never restarted would fail for it.
fn was_cut_off(status: &v1::ContainerStatus) -> bool {
    let (what, why) = ("failed to create containerd task", "context canceled");
    status.started_at == 0
        && status.reason == "StartError"
        && status.message.starts_with(what)
        && status.message.contains(why)
}

impl State {
    fn read(status: &v1::ContainerStatus) -> Self {
        match status.state() {
            v1::ContainerState::ContainerCreated => Self::Created,
            v1::ContainerState::ContainerExited if was_cut_off(status) => Self::Created,
            v1::ContainerState::ContainerRunning => Self::Running { started_at: time(status.started_at) },
            v1::ContainerState::ContainerExited | v1::ContainerState::ContainerUnknown => {
                let reason = match status.reason.as_str() {
                    "" if status.exit_code == 0 => "Completed",
                    "" => "Error",
                    reason => reason,
                };
                let started_at = (status.started_at > 0).then(|| time(status.started_at));
                Self::Exited(Exit {
                    code: status.exit_code,
                    started_at,
                    finished_at: time(status.finished_at.max(status.created_at)),
                    reason: reason.to_owned(),
                    message: status.message.clone(),
                })
            }
        }
    }
}

impl Sandbox {
    /// From CRI's status. In the node's network a Pod has no address of its own.
    pub fn read(status: v1::PodSandboxStatus) -> Self {
        let network = status.network.clone().unwrap_or_default();
        let more = network.additional_ips.into_iter().map(|ip| ip.ip);
        let ips = std::iter::once(network.ip).chain(more).filter(|ip| !ip.is_empty()).collect();
        Self {
            attempt: status.metadata.as_ref().map_or(0, |metadata| metadata.attempt),
            ready: status.state() == v1::PodSandboxState::SandboxReady,
            created_at: status.created_at,
            ips,
            group: group(&status.annotations),
            id: status.id,
        }
    }
}

/// The Pod's control group, as its sandbox remembers it.
pub fn group(annotations: &HashMap<String, String>) -> String {
    annotations.get(names::POD_GROUP).cloned().unwrap_or_default()
}

/// CRI tells nanoseconds since the epoch.
fn time(nanos: i64) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(nanos)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_that_was_cut_off_is_none_and_one_that_failed_is_an_end() {
        let check = |message: &str, started_at: i64, is_made: bool| {
            let mut status = v1::ContainerStatus {
                reason: "StartError".into(),
                message: message.into(),
                exit_code: 128,
                started_at,
                ..Default::default()
            };
            status.set_state(v1::ContainerState::ContainerExited);
            assert_eq!(State::read(&status) == State::Created, is_made, "{message}");
        };
        let cut_off =
            "failed to create containerd task: failed to create shim task: context canceled: unknown";
        check(cut_off, 0, true);
        check(cut_off, 1, false);
        // The process may have begun.
        check("failed to start containerd task \"1\": context canceled: unknown", 0, false);
        check("failed to create containerd task: no such file: \"context\"", 0, false);
    }
}
