//! The calls of CRI that are made: how an error names each, and how figures do. The latter are the
//! names by which upstream's kubelet counts its operations. Pure.

use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Version,
    Status,
    RunPodsandbox,
    StopPodsandbox,
    RemovePodsandbox,
    PodsandboxStatus,
    ListPodsandbox,
    PortForward,
    CreateContainer,
    StartContainer,
    StopContainer,
    RemoveContainer,
    ListContainers,
    ContainerStatus,
    ListContainerStats,
    ReopenContainerLog,
    UpdateContainer,
    ExecSync,
    Exec,
    Attach,
    ListImages,
    ImageStatus,
    PullImage,
    RemoveImage,
}

/// A call that has come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// `run_podsandbox`, `create_container`, ...: the operation as upstream's kubelet names it.
    pub operation: &'static str,
    pub took: Duration,
    /// The runtime refused it or did not answer in time; that it doesn't know what it was asked
    /// about is counted too.
    pub has_failed: bool,
}

impl Call {
    /// As an error begins.
    pub(super) fn name(self) -> &'static str {
        self.names().0
    }

    /// As [`Ended::operation`] has it.
    pub(super) fn operation(self) -> &'static str {
        self.names().1
    }

    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Version => ("version", "version"),
            Self::Status => ("status", "status"),
            Self::RunPodsandbox => ("run sandbox", "run_podsandbox"),
            Self::StopPodsandbox => ("stop sandbox", "stop_podsandbox"),
            Self::RemovePodsandbox => ("remove sandbox", "remove_podsandbox"),
            Self::PodsandboxStatus => ("sandbox status", "podsandbox_status"),
            Self::ListPodsandbox => ("list sandboxes", "list_podsandbox"),
            Self::PortForward => ("port forward", "port_forward"),
            Self::CreateContainer => ("create container", "create_container"),
            Self::StartContainer => ("start container", "start_container"),
            Self::StopContainer => ("stop container", "stop_container"),
            Self::RemoveContainer => ("remove container", "remove_container"),
            Self::ListContainers => ("list containers", "list_containers"),
            Self::ContainerStatus => ("container status", "container_status"),
            Self::ListContainerStats => ("container stats", "list_container_stats"),
            Self::ReopenContainerLog => ("reopen log", "reopen_container_log"),
            Self::UpdateContainer => ("update resources", "update_container"),
            Self::ExecSync => ("exec", "exec_sync"),
            Self::Exec => ("exec", "exec"),
            Self::Attach => ("attach", "attach"),
            Self::ListImages => ("list images", "list_images"),
            Self::ImageStatus => ("image status", "image_status"),
            Self::PullImage => ("pull image", "pull_image"),
            Self::RemoveImage => ("remove image", "remove_image"),
        }
    }
}
