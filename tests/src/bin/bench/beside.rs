//! What is measured of any API server: ours, and kube-apiserver in the same run
//! where its binary is at hand, with the same requests.

use std::path::Path;

use anyhow::{Context, Result};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use tiphys_tests::Cluster;

use crate::{Row, fanout, list, peer::Peer};

/// One server that is measured.
pub struct Server {
    pub client: Client,
    pub pid: u32,
}

/// What one server showed.
struct Shown {
    list: list::Shown,
    fanout: fanout::Shown,
}

pub fn measure(cluster: &Cluster) -> Result<Vec<Row>> {
    let runtime = tokio::runtime::Runtime::new()?;
    let pid = cluster.state()?["server"]["pid"].as_u64().context("the server is recorded")?;
    let own = runtime.block_on(async {
        let client = client(&cluster.kubeconfig()).await?;
        show(&Server { client, pid: u32::try_from(pid)? }).await
    })?;
    cluster.kubectl(&["delete", "namespace", "fan", "--wait=false"])?;
    let other = match Peer::start(&runtime)? {
        Some(peer) => {
            let server = Server { client: peer.client(), pid: peer.pid() };
            Some(runtime.block_on(show(&server)).context("the peer")?)
        }
        None => None,
    };
    let mut rows = list::rows(&own.list, other.as_ref().map(|shown| &shown.list));
    rows.extend(fanout::rows(&own.fanout, other.as_ref().map(|shown| &shown.fanout)));
    Ok(rows)
}

async fn show(server: &Server) -> Result<Shown> {
    Ok(Shown { list: list::show(server).await?, fanout: fanout::show(&server.client).await? })
}

pub async fn client(kubeconfig: &Path) -> Result<Client> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}
