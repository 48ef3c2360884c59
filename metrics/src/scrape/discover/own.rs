//! Tiphys' own components as targets: what this server's parts, each node and Tiphys' own Pods
//! tell. Pure.

use std::{sync::Arc, time::Duration};

use tiphys_api::names::{KUBELET_PORT, SYSTEM_NAMESPACE};
use tiphys_client::LeanPod;

use super::{
    Found, World,
    labels::{Discovered, address, set},
    monitor::{BODY_LIMIT, INTERVAL},
};
use crate::scrape::{
    access::{Access, Kept},
    expose::Format,
    target::{Job, Reach, Taking},
};

/// Which components are there.
#[derive(Debug, Clone, Default)]
pub struct Own {
    /// The name of this server.
    pub server: String,
    /// Jobs of this server, and the paths of their figures.
    pub components: Vec<(&'static str, &'static str)>,
    /// Jobs of each node, and their paths at its kubelet.
    pub of_nodes: Vec<(&'static str, &'static str)>,
    pub pods: Vec<OwnPods>,
}

/// Pods of Tiphys' own, in its namespace, that tell their figures to who has their token.
#[derive(Debug, Clone)]
pub struct OwnPods {
    pub job: &'static str,
    /// Their label `app`.
    pub app: &'static str,
    pub port: u16,
    /// The Secret that holds the token, and its key.
    pub token: (&'static str, &'static str),
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
        fallback: Format::Plain,
        body_limit: BODY_LIMIT,
        target_limit: 0,
        pinned: false,
        more_parameters: Vec::new(),
    })
}

pub fn find(own: &Own, world: &World, found: &mut Found) {
    for (name, path) in &own.components {
        let mut discovered = Discovered::new();
        set(&mut discovered, "__address__", &own.server);
        set(&mut discovered, "__metrics_path__", path);
        set(&mut discovered, "namespace", SYSTEM_NAMESPACE);
        found.add(&job(name, Reach::Own), SYSTEM_NAMESPACE, SYSTEM_NAMESPACE, vec![discovered]);
    }
    for (name, path) in &own.of_nodes {
        let targets = world.nodes.iter().filter_map(|node| {
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
        let job = job(name, Reach::Kubelet);
        found.add(&job, SYSTEM_NAMESPACE, SYSTEM_NAMESPACE, targets.collect());
    }
    for pods in &own.pods {
        find_pods(pods, &world.pods, found);
    }
}

/// Their series have no label `pod`: what they tell of other Pods has these Pods' names there.
fn find_pods(own: &OwnPods, pods: &[Arc<LeanPod>], found: &mut Found) {
    let is_own = |pod: &&Arc<LeanPod>| {
        *pod.namespace == *SYSTEM_NAMESPACE && pod.labels.get("app") == Some(own.app) && !pod.finished()
    };
    let targets = pods.iter().filter(is_own).filter_map(|pod| {
        let mut discovered = Discovered::new();
        set(&mut discovered, "__address__", &address(pod.status.ips.first()?, own.port.into()));
        set(&mut discovered, "namespace", SYSTEM_NAMESPACE);
        set(&mut discovered, "node", &pod.node);
        Some(discovered)
    });
    let job = job(own.job, with_token(own));
    found.add(&job, SYSTEM_NAMESPACE, SYSTEM_NAMESPACE, targets.collect());
}

/// Over plain HTTP, as collectors are asked by everybody: no certificate is looked at. The token
/// goes where the Pod is and no further.
fn with_token(own: &OwnPods) -> Reach {
    let (name, key) = own.token;
    let token = Kept {
        namespace: SYSTEM_NAMESPACE.to_owned(),
        is_secret: true,
        name: name.to_owned(),
        key: key.to_owned(),
    };
    Reach::Network(Box::new(Access {
        token: Some(("Bearer".to_owned(), token)),
        any_server: true,
        no_redirects: true,
        ..Access::default()
    }))
}
