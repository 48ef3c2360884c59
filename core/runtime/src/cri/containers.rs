//! Containers: made, started, stopped, looked at, entered.

use std::{collections::HashMap, time::Duration};

use super::{Cri, QUICK, SLOW, call::Call, v1};
use crate::Result;

impl Cri {
    /// Makes a container in a sandbox; gives its id.
    pub async fn create_container(
        &self,
        sandbox: &str,
        config: v1::ContainerConfig,
        sandbox_config: v1::PodSandboxConfig,
    ) -> Result<String> {
        let request = v1::CreateContainerRequest {
            pod_sandbox_id: sandbox.into(),
            config: Some(config),
            sandbox_config: Some(sandbox_config),
        };
        let mut client = self.runtime.clone();
        let call = Box::pin(client.create_container(request));
        Ok(self.limited(Call::CreateContainer, SLOW, call).await?.container_id)
    }

    pub async fn start_container(&self, id: &str) -> Result<()> {
        let request = v1::StartContainerRequest { container_id: id.into() };
        let mut client = self.runtime.clone();
        self.limited(Call::StartContainer, SLOW, client.start_container(request)).await.map(drop)
    }

    /// Asks the container to stop, and kills it after `grace`. May be repeated.
    pub async fn stop_container(&self, id: &str, grace: Duration) -> Result<()> {
        let timeout = i64::try_from(grace.as_secs()).unwrap_or(i64::MAX);
        let request = v1::StopContainerRequest { container_id: id.into(), timeout };
        let mut client = self.runtime.clone();
        let call = client.stop_container(request);
        match self.limited(Call::StopContainer, grace.saturating_add(SLOW), call).await {
            Err(error) if error.is_not_found() => Ok(()),
            other => other.map(drop),
        }
    }

    pub async fn remove_container(&self, id: &str) -> Result<()> {
        let request = v1::RemoveContainerRequest { container_id: id.into() };
        let mut client = self.runtime.clone();
        self.limited(Call::RemoveContainer, SLOW, client.remove_container(request)).await.map(drop)
    }

    /// Containers that carry all of these labels, in any state.
    pub async fn list_containers(&self, labels: HashMap<String, String>) -> Result<Vec<v1::Container>> {
        let filter = v1::ContainerFilter { label_selector: labels, ..Default::default() };
        let request = v1::ListContainersRequest { filter: Some(filter) };
        let mut client = self.runtime.clone();
        Ok(self.limited(Call::ListContainers, QUICK, client.list_containers(request)).await?.containers)
    }

    pub async fn container_status(&self, id: &str) -> Result<Option<v1::ContainerStatus>> {
        let request = v1::ContainerStatusRequest { container_id: id.into(), verbose: false };
        let mut client = self.runtime.clone();
        match self.limited(Call::ContainerStatus, QUICK, client.container_status(request)).await {
            Ok(answer) => Ok(answer.status),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Figures that the runtime gathers itself: of use for the writable layer's size.
    pub async fn container_stats(&self) -> Result<Vec<v1::ContainerStats>> {
        let mut client = self.runtime.clone();
        let request = v1::ListContainerStatsRequest::default();
        Ok(self.limited(Call::ListContainerStats, QUICK, client.list_container_stats(request)).await?.stats)
    }

    /// The container's log file was renamed: the runtime opens a new one.
    pub async fn reopen_log(&self, id: &str) -> Result<()> {
        let request = v1::ReopenContainerLogRequest { container_id: id.into() };
        let mut client = self.runtime.clone();
        self.limited(Call::ReopenContainerLog, QUICK, client.reopen_container_log(request)).await.map(drop)
    }

    /// Changes the limits of a running container.
    pub async fn update_resources(&self, id: &str, linux: v1::LinuxContainerResources) -> Result<()> {
        let request = v1::UpdateContainerResourcesRequest {
            container_id: id.into(),
            linux: Some(linux),
            ..Default::default()
        };
        let mut client = self.runtime.clone();
        self.limited(Call::UpdateContainer, SLOW, client.update_container_resources(request)).await.map(drop)
    }

    /// Runs a command to its end, at most `limit`, and gives what it printed.
    pub async fn exec_sync(
        &self,
        id: &str,
        command: Vec<String>,
        limit: Duration,
    ) -> Result<v1::ExecSyncResponse> {
        let timeout = i64::try_from(limit.as_secs()).unwrap_or(i64::MAX);
        let request = v1::ExecSyncRequest { container_id: id.into(), cmd: command, timeout };
        let mut client = self.runtime.clone();
        self.limited(Call::ExecSync, limit.saturating_add(QUICK), client.exec_sync(request)).await
    }

    /// The URL at which the runtime streams a command.
    pub async fn exec(&self, request: v1::ExecRequest) -> Result<String> {
        let mut client = self.runtime.clone();
        Ok(self.limited(Call::Exec, QUICK, client.exec(request)).await?.url)
    }

    /// The URL at which the runtime streams a container's first process.
    pub async fn attach(&self, request: v1::AttachRequest) -> Result<String> {
        let mut client = self.runtime.clone();
        Ok(self.limited(Call::Attach, QUICK, client.attach(request)).await?.url)
    }
}
