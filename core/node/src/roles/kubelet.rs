//! The kubelet's part of a node.
use crate::cli::AgentOptions;
use tiphys_lifecycle::Tasks;
use tiphys_runtime::containerd::Containerd;
pub async fn start(_: &AgentOptions, _: kube::Client, _: &Containerd, _: &Tasks) -> anyhow::Result<()> {
    Ok(())
}
