//! Sandboxes: the namespaces and the network of a Pod.

use std::collections::HashMap;

use super::{Cri, QUICK, SLOW, call::Call, v1};
use crate::Result;

impl Cri {
    /// Makes and starts a sandbox; gives its id.
    pub async fn run_sandbox(&self, config: v1::PodSandboxConfig) -> Result<String> {
        let request = v1::RunPodSandboxRequest { config: Some(config), ..Default::default() };
        let mut client = self.runtime.clone();
        let call = Box::pin(client.run_pod_sandbox(request));
        Ok(self.limited(Call::RunPodsandbox, SLOW, call).await?.pod_sandbox_id)
    }

    /// Stops whatever runs in it and gives back its network. May be repeated.
    pub async fn stop_sandbox(&self, id: &str) -> Result<()> {
        let request = v1::StopPodSandboxRequest { pod_sandbox_id: id.into() };
        let mut client = self.runtime.clone();
        self.limited(Call::StopPodsandbox, SLOW, client.stop_pod_sandbox(request)).await.map(drop)
    }

    /// Removes it with its containers. May be repeated.
    pub async fn remove_sandbox(&self, id: &str) -> Result<()> {
        let request = v1::RemovePodSandboxRequest { pod_sandbox_id: id.into() };
        let mut client = self.runtime.clone();
        self.limited(Call::RemovePodsandbox, SLOW, client.remove_pod_sandbox(request)).await.map(drop)
    }

    pub async fn sandbox_status(&self, id: &str) -> Result<Option<v1::PodSandboxStatus>> {
        let request = v1::PodSandboxStatusRequest { pod_sandbox_id: id.into(), verbose: false };
        let mut client = self.runtime.clone();
        match self.limited(Call::PodsandboxStatus, QUICK, client.pod_sandbox_status(request)).await {
            Ok(answer) => Ok(answer.status),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The process that holds a sandbox's namespaces, as containerd tells it.
    pub async fn sandbox_pid(&self, id: &str) -> Result<Option<i32>> {
        let request = v1::PodSandboxStatusRequest { pod_sandbox_id: id.into(), verbose: true };
        let mut client = self.runtime.clone();
        let answer = self.limited(Call::PodsandboxStatus, QUICK, client.pod_sandbox_status(request)).await?;
        let info =
            answer.info.get("info").and_then(|info| serde_json::from_str::<serde_json::Value>(info).ok());
        let pid = info.and_then(|info| info.get("pid")?.as_i64());
        Ok(pid.and_then(|pid| i32::try_from(pid).ok()).filter(|pid| *pid > 0))
    }

    /// Sandboxes that carry all of these labels.
    pub async fn list_sandboxes(&self, labels: HashMap<String, String>) -> Result<Vec<v1::PodSandbox>> {
        let filter = v1::PodSandboxFilter { label_selector: labels, ..Default::default() };
        let mut client = self.runtime.clone();
        let request = v1::ListPodSandboxRequest { filter: Some(filter) };
        Ok(self.limited(Call::ListPodsandbox, QUICK, client.list_pod_sandbox(request)).await?.items)
    }

    /// The URL at which the runtime forwards these ports of a sandbox.
    pub async fn port_forward(&self, id: &str, ports: Vec<i32>) -> Result<String> {
        let request = v1::PortForwardRequest { pod_sandbox_id: id.into(), port: ports };
        let mut client = self.runtime.clone();
        Ok(self.limited(Call::PortForward, QUICK, client.port_forward(request)).await?.url)
    }
}
