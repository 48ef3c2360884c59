//! A node: containerd, kubelet, service proxy, routes to the other nodes, DNS.
//!
//! Started again after a kill -9 it finds containerd and its containers running,
//! takes them over, and changes nothing that is right already.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use futures::StreamExt;
use ipnet::Ipv4Net;
use k8s_openapi::api::{
    core::v1::{Node, Service},
    discovery::v1::EndpointSlice,
};
use kube::{Api, Client, client::ClientBuilder, config::Kubeconfig, runtime::watcher};
use tiphys_client::Cache;
use tiphys_dns::{Dns, DnsConfig};
use tiphys_kubelet::Arriving;
use tiphys_lifecycle::{OnError, Tasks};
use tiphys_network::{
    NodeRoutes, RoutesConfig, add_dns_address, cni,
    netlink::Netlink,
    prepare_node,
    proxy::{Proxy, ProxyConfig},
};
use tiphys_runtime::{
    containerd::{Containerd, Settings},
    cri::Cri,
    image::{self, own_image, pause_image},
};
use tiphys_telemetry::{Component, Requests};

use super::{kernel_log, kubelet::Parts, rest_client::Counting};
use crate::{cli::AgentOptions, groups};

const VERSION: &str = env!("CARGO_PKG_VERSION");
const OWN_IMAGE: &str = "tiphys.io/tiphys:current";
/// The link that leads to the other nodes, and the MTU where it can't be found.
const UPLINK: &str = "eth0";
const USUAL_MTU: u32 = 1500;

/// Starts the node; it ends with `tasks`, but for containerd and what it runs.
///
/// # Errors
/// containerd or the network can't be set up, the credentials can't be read.
pub async fn start(options: AgentOptions, tasks: &Tasks) -> anyhow::Result<()> {
    // Before anything is started, which would begin in the group of who started this.
    if let Some(group) = groups::of_agent(&options.cgroup_root) {
        groups::join(&group, std::process::id().cast_signed());
    }
    if options.kernel_log != Path::new("none") {
        kernel_log::start(options.kernel_log.clone(), tasks);
    }
    let requests = Requests::default();
    let client = client(&options.kubeconfig, &requests).await?;
    prepare_node().await.context("the node's network can't be prepared")?;
    let settings = Settings::standard(format!("tiphys.io/pause:{VERSION}"));
    let containerd = Containerd::start(settings, tasks).await.context("containerd does not start")?;
    let socket = containerd.socket();
    import_pause(socket).await.context("the pause image can't be imported")?;
    let arriving = import_own_image(socket, &options.data_dir, tasks);
    let caches = Caches::start(&client, tasks);
    let components = ["proxy", "dns"].map(Component::new);
    start_network(&options, &caches, tasks, &components).await?;
    let parts = Parts { neighbours: components.into(), arriving, requests };
    super::kubelet::start(&options, client, containerd.socket(), parts, tasks).await
}

async fn client(path: &Path, requests: &Requests) -> anyhow::Result<Client> {
    let hint = || format!("{} is no kubeconfig", path.display());
    let kubeconfig = Kubeconfig::read_from(path).with_context(hint)?;
    let mut config =
        kube::Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await.with_context(hint)?;
    // Under this name the API server notes who manages what the node writes.
    let agent = concat!("kubelet/", env!("CARGO_PKG_VERSION"));
    config.headers.push((http::header::USER_AGENT, http::HeaderValue::from_static(agent)));
    Ok(ClientBuilder::try_from(config)?.with_layer(&Counting(requests.clone())).build())
}

/// What holds a Pod's namespaces: without it no Pod can start.
async fn import_pause(socket: &Path) -> anyhow::Result<()> {
    let name = format!("tiphys.io/pause:{VERSION}");
    if Cri::new(socket).image(&name).await?.is_none() {
        image::import(socket, &[pause_image(VERSION)?]).await?;
    }
    Ok(())
}

/// Brings this executable as an image into containerd, beside the node's start:
/// it is large, and only Pods that are made from it must wait, until it is there.
fn import_own_image(socket: &Path, data_dir: &Path, tasks: &Tasks) -> Arriving {
    let (arriving, arrival) = Arriving::new(vec![OWN_IMAGE.to_owned()]);
    let (socket, mark) = (socket.to_path_buf(), data_dir.join("own-image"));
    tasks.spawn_restarting("own image", move || {
        // It goes with this closure, which is kept until a try ends well.
        let _held = &arrival;
        bring_own_image(socket.clone(), mark.clone())
    });
    arriving
}

async fn bring_own_image(socket: PathBuf, mark: PathBuf) -> anyhow::Result<()> {
    let identity = own_identity()?;
    let same = std::fs::read_to_string(&mark).is_ok_and(|text| text == identity);
    if !same || Cri::new(&socket).image(OWN_IMAGE).await?.is_none() {
        let made = tokio::task::spawn_blocking(|| own_image("current")).await??;
        image::import(&socket, &[made]).await.context("the node's own image can't be imported")?;
        crate::files::write_atomically(&mark, identity.as_bytes(), 0o600)?;
    }
    Ok(())
}

/// Tells one build of the binary from another without reading it.
fn own_identity() -> std::io::Result<String> {
    use std::os::unix::fs::MetadataExt;
    let file = std::fs::metadata("/proc/self/exe")?;
    Ok(format!("{} {} {}.{}", VERSION, file.size(), file.mtime(), file.mtime_nsec()))
}

struct Caches {
    nodes: Cache<Node>,
    services: Cache<Service>,
    slices: Cache<EndpointSlice>,
}

impl Caches {
    fn start(client: &Client, tasks: &Tasks) -> Self {
        let everything = watcher::Config::default();
        Self {
            nodes: Cache::start(tasks, Api::all(client.clone()), everything.clone()),
            services: Cache::start(tasks, Api::all(client.clone()), everything.clone()),
            slices: Cache::start(tasks, Api::all(client.clone()), everything),
        }
    }
}

async fn start_network(
    options: &AgentOptions,
    caches: &Caches,
    tasks: &Tasks,
    [proxy_figures, dns_figures]: &[Component; 2],
) -> anyhow::Result<()> {
    let pod_range: Ipv4Net = options.cluster_cidr.parse().context("--cluster-cidr is no IPv4 range")?;
    let service_range: Ipv4Net = options.service_cidr.parse().context("--service-cidr is no IPv4 range")?;
    tasks.spawn(
        "cni configuration",
        OnError::Log,
        write_cni(options.node_name.clone(), caches.nodes.clone()),
    );
    let routes = RoutesConfig { own_node: Some(options.node_name.clone()), pod_range };
    NodeRoutes::start(routes, caches.nodes.clone(), tasks);
    let proxy = ProxyConfig {
        mode: options.proxy_mode.parse().map_err(anyhow::Error::msg)?,
        node: options.node_name.clone(),
        pod_range,
        service_range,
        answered_here: vec![options.cluster_dns],
    };
    let (services, slices) = (caches.services.clone(), caches.slices.clone());
    Proxy::start(proxy, services.clone(), slices.clone(), tasks, proxy_figures);
    add_dns_address(options.cluster_dns).await?;
    let dns = DnsConfig {
        listen: SocketAddr::new(options.cluster_dns.into(), 53),
        cluster_domain: options.cluster_domain.clone(),
        resolv_conf: "/etc/resolv.conf".into(),
    };
    Dns::start(dns, services, slices, tasks, dns_figures).await?;
    Ok(())
}

/// Writes the CNI configuration when the node has got its Pod CIDR.
async fn write_cni(node: String, nodes: Cache<Node>) -> anyhow::Result<()> {
    let mut changes = Box::pin(nodes.changes());
    loop {
        let own = nodes.get("", &node);
        if let Some(cidr) = own.as_deref().and_then(|node| node.spec.as_ref()?.pod_cidr.as_deref()) {
            let cidr: Ipv4Net =
                cidr.parse().with_context(|| format!("Pod CIDR {cidr:?} is no IPv4 range"))?;
            let link = Netlink::open()?.link(UPLINK).await?;
            let mtu = link.map_or(USUAL_MTU, |link| link.mtu);
            let written = cni::write_cni(Path::new(cni::CNI_FOLDER), cidr, mtu)?;
            tracing::info!(%cidr, ?written, "CNI configuration is in place");
            return Ok(());
        }
        if changes.next().await.is_none() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pods_wait_for_the_own_image_while_containerd_does_not_answer() {
        let folder = tempfile::tempdir().expect("a folder");
        // The image itself is made already: only containerd is asked.
        std::fs::write(folder.path().join("own-image"), own_identity().expect("an identity"))
            .expect("written");
        let tasks = Tasks::new();
        let arriving = import_own_image(&folder.path().join("no.sock"), folder.path(), &tasks);
        let long = tokio::time::timeout(Duration::from_secs(600), arriving.wait(OWN_IMAGE)).await;
        assert!(long.is_err(), "it gave up");
        tasks.shutdown(Duration::from_secs(10)).await;
        arriving.wait(OWN_IMAGE).await;
    }
}
