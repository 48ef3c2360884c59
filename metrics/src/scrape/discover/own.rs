//! Tiphys' own components as targets: what this server's parts and each node tell. Pure.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::Node;
use tiphys_api::names::{KUBELET_PORT, SYSTEM_NAMESPACE};

use super::{
    Found,
    labels::{Discovered, address, set},
    monitor::{BODY_LIMIT, INTERVAL},
};
use crate::scrape::target::{Job, Reach, Taking};

/// Which components are there.
#[derive(Debug, Clone, Default)]
pub struct Own {
    /// The name of this server.
    pub server: String,
    /// Jobs of this server, and the paths of their figures.
    pub components: Vec<(&'static str, &'static str)>,
    /// Paths of each node's kubelet.
    pub kubelet_paths: Vec<&'static str>,
}

fn job(name: &str, reach: Reach) -> Arc<Job> {
    Arc::new(Job {
        name: name.to_owned(),
        written: name.to_owned(),
        interval: INTERVAL,
        timeout: Duration::from_secs(10),
        relabelings: Vec::new(),
        taking: Arc::new(Taking { honor_labels: true, ..Taking::default() }),
        reach,
        protobuf: false,
        body_limit: BODY_LIMIT,
        target_limit: 0,
        pinned: false,
        more_parameters: Vec::new(),
    })
}

pub fn find(own: &Own, nodes: &[Arc<Node>], found: &mut Found) {
    for (name, path) in &own.components {
        let mut discovered = Discovered::new();
        set(&mut discovered, "__address__", &own.server);
        set(&mut discovered, "__metrics_path__", path);
        set(&mut discovered, "namespace", SYSTEM_NAMESPACE);
        found.add(&job(name, Reach::Own), SYSTEM_NAMESPACE, vec![discovered]);
    }
    for path in &own.kubelet_paths {
        let targets = nodes.iter().filter_map(|node| {
            let addresses = node.status.as_ref()?.addresses.as_ref()?;
            let ip = &addresses.iter().find(|address| address.type_ == "InternalIP")?.address;
            let mut discovered = Discovered::new();
            set(&mut discovered, "__address__", &address(ip, KUBELET_PORT.into()));
            set(&mut discovered, "__scheme__", "https");
            set(&mut discovered, "__metrics_path__", path);
            set(&mut discovered, "metrics_path", path);
            set(&mut discovered, "namespace", SYSTEM_NAMESPACE);
            set(&mut discovered, "node", node.metadata.name.as_deref()?);
            Some(discovered)
        });
        found.add(&job("kubelet", Reach::Kubelet), SYSTEM_NAMESPACE, targets.collect());
    }
}
