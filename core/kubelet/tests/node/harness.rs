//! A node: containerd, API server and kubelet, and the words of the scenarios.

use std::{collections::HashMap, fs, path::PathBuf, time::Duration};

use k8s_openapi::api::core::v1::{ContainerStatus, Pod, ServiceAccount};
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    runtime::{wait::await_condition, watcher},
};
use serde_json::{Value, json};
use tiphys_api::auth::UserInfo;
use tiphys_apiserver::{
    ApiServer, Config,
    pki::{ClusterPki, FrontProxy},
};
use tiphys_client::{Cache, in_memory};
use tiphys_kubelet::{Kubelet, KubeletConfig, ServerIdentity};
use tiphys_lifecycle::Tasks;
use tiphys_runtime::{
    cgroup::Hierarchy,
    containerd::{Containerd, Settings},
    cri::{Cri, v1},
    image,
};
use tiphys_store::Embedded;

use crate::own::{self, Own};

pub const NAME: &str = "node-1";
/// Of one wait; a test that waits longer fails.
pub const PATIENCE: Duration = Duration::from_secs(180);

pub struct Node {
    pub own: Own,
    pub cri: Cri,
    pub pods: Api<Pod>,
    /// Who may do everything.
    pub client: Client,
    containerd: Containerd,
    server: ApiServer,
    config: KubeletConfig,
    /// The kubelet's; it ends with them.
    kubelet: Tasks,
    /// Of everything else.
    tasks: Tasks,
}

impl Node {
    pub async fn start(own: Own) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let tasks = Tasks::new();
        let containerd = start_containerd(&own, &tasks).await;
        let pki = ClusterPki::load_or_create(&own.folder.join("pki")).expect("an authority");
        let server = start_api(&own, &pki, &tasks).await;
        let client = in_memory(server.handler(), UserInfo::master("tester"));
        let account: ServiceAccount =
            serde_json::from_value(json!({"metadata": {"name": "default"}})).expect("an account");
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "default");
        accounts.create(&PostParams::default(), &account).await.expect("created");
        let mut node = Self {
            cri: Cri::new(containerd.socket()),
            pods: Api::namespaced(client.clone(), "default"),
            config: config(&own, &pki),
            kubelet: Tasks::new(),
            own,
            client,
            containerd,
            server,
            tasks,
        };
        node.start_kubelet().await;
        node
    }

    pub async fn start_kubelet(&mut self) {
        let user = UserInfo::named(format!("system:node:{NAME}"), &["system:nodes"]);
        let client = in_memory(self.server.handler(), user);
        self.kubelet = Tasks::new();
        let started = Kubelet::start(self.config.clone(), client, self.containerd.socket(), &self.kubelet);
        Box::pin(started).await.expect("the kubelet starts");
    }

    /// Ends the kubelet wherever it is, as a kill would.
    pub async fn stop_kubelet(&self) {
        let left = self.kubelet.shutdown(PATIENCE).await;
        assert!(left.is_empty(), "{left:?}");
    }

    pub fn manifests(&self) -> PathBuf {
        self.own.folder.join("manifests")
    }

    /// A folder of the node that Pods may be given.
    pub fn shared(&self, name: &str) -> PathBuf {
        let folder = self.own.folder.join(name);
        fs::create_dir_all(&folder).expect("made");
        folder
    }

    pub async fn create(&self, name: &str, spec: Value) -> Pod {
        let pod = pod(name, spec);
        self.pods.create(&PostParams::default(), &pod).await.expect("created")
    }

    /// The Pod as soon as it is so.
    pub async fn until(&self, name: &str, what: &str, is_so: impl Fn(&Pod) -> bool) -> Pod {
        let condition = |pod: Option<&Pod>| pod.is_some_and(&is_so);
        let found = tokio::time::timeout(PATIENCE, await_condition(self.pods.clone(), name, condition)).await;
        match found {
            Ok(pod) => pod.expect("the watch goes on").expect("the Pod is there"),
            Err(_) => {
                let now = self.pods.get_opt(name).await.expect("an answer").map(|pod| pod.status);
                panic!("{name} is not {what}: {now:#?}");
            }
        }
    }

    pub async fn until_ready(&self, name: &str) -> Pod {
        self.until(name, "ready", is_ready).await
    }

    /// Another than the kubelet writes a condition.
    pub async fn say(&self, name: &str, kind: &str, status: &str) {
        let patch = json!({"status": {"conditions": [{"type": kind, "status": status}]}});
        let how = PatchParams::default();
        self.pods.patch_status(name, &how, &Patch::Strategic(patch)).await.expect("patched");
    }

    pub async fn delete(&self, name: &str, grace: u32) {
        let how = DeleteParams::default().grace_period(grace);
        self.pods.delete(name, &how).await.expect("deleted");
    }

    pub async fn until_gone(&self, name: &str) {
        let gone = await_condition(self.pods.clone(), name, |pod: Option<&Pod>| pod.is_none());
        tokio::time::timeout(PATIENCE, gone).await.expect("it goes in time").expect("the watch goes on");
    }

    /// The log of a container's instance of this Pod, as the runtime wrote it.
    pub fn log(&self, pod: &Pod, container: &str, restarts: u32) -> String {
        fs::read_to_string(self.log_file(pod, container, restarts)).unwrap_or_default()
    }

    pub fn log_file(&self, pod: &Pod, container: &str, restarts: u32) -> PathBuf {
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let folder = self.config.log_root.join(format!("default_{name}_{uid}")).join(container);
        folder.join(format!("{restarts}.log"))
    }

    pub async fn sandboxes(&self) -> Vec<v1::PodSandbox> {
        self.cri.list_sandboxes(HashMap::new()).await.expect("a list")
    }

    /// Control groups of the Pods, which go last.
    pub fn pod_groups(&self) -> Vec<String> {
        let hierarchy = Hierarchy::detect().expect("control groups");
        let classes = ["", "/burstable", "/besteffort"].into_iter();
        let groups =
            classes.flat_map(|class| hierarchy.children(&format!("{}{class}", self.config.pods_group)));
        groups.filter(|name| name.starts_with("pod")).collect()
    }

    /// Mount points of the Pods.
    pub fn mounts(&self) -> Vec<String> {
        let text = fs::read_to_string("/proc/self/mountinfo").expect("read");
        let points = text.lines().filter_map(|line| line.split(' ').nth(4));
        let root = self.config.root.to_string_lossy().into_owned();
        points.filter(|point| point.starts_with(&root)).map(str::to_owned).collect()
    }

    /// Deletes what is left of Pods, and looks that nothing stays of them.
    pub async fn end(self) {
        for pod in self.pods.list(&Default::default()).await.expect("a list").items {
            let name = pod.metadata.name.unwrap_or_default();
            self.delete(&name, 1).await;
            self.until_gone(&name).await;
        }
        self.stop_kubelet().await;
        assert!(self.sandboxes().await.is_empty());
        assert!(self.cri.list_containers(HashMap::new()).await.expect("a list").is_empty());
        assert_eq!(self.mounts(), Vec::<String>::new());
        let folders = fs::read_dir(self.config.root.join("pods")).into_iter().flatten().count();
        assert_eq!(folders, 0, "folders of Pods");
        assert_eq!(self.pod_groups(), Vec::<String>::new());
        let links = fs::read_to_string("/proc/net/dev").expect("read");
        assert!(!links.contains("veth"), "{links}");
        self.containerd.stop().await.expect("it stops");
        let left = self.tasks.shutdown(PATIENCE).await;
        assert!(left.is_empty(), "{left:?}");
    }
}

async fn start_containerd(own: &Own, tasks: &Tasks) -> Containerd {
    let settings = Settings::below(&own.folder, "tiphys.io/pause:test");
    fs::create_dir_all(&settings.cni_conf_dir).expect("a folder");
    fs::write(settings.cni_conf_dir.join("10-test.conflist"), own::CNI).expect("written");
    let containerd = Box::pin(Containerd::start(settings, tasks)).await.expect("containerd starts");
    let images = [image::pause_image("test").expect("an image"), own::busybox_image()];
    image::import(containerd.socket(), &images).await.expect("imported");
    containerd
}

async fn start_api(own: &Own, pki: &ClusterPki, tasks: &Tasks) -> ApiServer {
    let store = Embedded::open(own.folder.join("store"), tasks).await.expect("a store");
    let front_proxy = FrontProxy::load_or_create(&own.folder.join("pki")).expect("an authority");
    let config = Config::standard(pki, front_proxy).expect("a configuration");
    Box::pin(ApiServer::start(config, store, tasks)).await.expect("a server")
}

fn config(own: &Own, pki: &ClusterPki) -> KubeletConfig {
    let serving = pki.kubelet_serving(NAME, &[]).expect("a certificate");
    let identity = ServerIdentity {
        certificate: serving.certificate_pem,
        key: serving.key_pem,
        client_ca: pki.ca_pem().into(),
    };
    KubeletConfig {
        pods_group: format!("{}/kubepods", own.group),
        node_group: own.group.clone(),
        root: own.folder.join("kubelet"),
        log_root: own.folder.join("logs"),
        static_pods: Some(own.folder.join("manifests")),
        ..KubeletConfig::standard(NAME, vec!["127.0.0.1".into()], identity)
    }
}

/// A Pod of this node; containers get the image and need no account.
pub fn pod(name: &str, mut spec: Value) -> Pod {
    spec["nodeName"] = json!(NAME);
    spec["automountServiceAccountToken"] = json!(false);
    for list in ["containers", "initContainers"] {
        for container in spec[list].as_array_mut().into_iter().flatten() {
            container["image"] = json!("box:1");
        }
    }
    let object = json!({"metadata": {"name": name, "namespace": "default"}, "spec": spec});
    serde_json::from_value(object).expect("a Pod")
}

/// The command of a container.
pub fn shell(script: &str) -> Value {
    json!(["sh", "-c", script])
}

/// A container that does nothing until it is told to stop, and obeys at once.
pub const IDLE: &str = "trap 'exit 0' TERM; while true; do sleep 0.1; done";

pub fn is_ready(pod: &Pod) -> bool {
    has_condition(pod, "Ready", "True")
}

pub fn has_condition(pod: &Pod, kind: &str, status: &str) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == kind && condition.status == status)
}

pub fn statuses(pod: &Pod) -> Vec<ContainerStatus> {
    let status = pod.status.clone().unwrap_or_default();
    let init = status.init_container_statuses.into_iter().flatten();
    init.chain(status.container_statuses.into_iter().flatten()).collect()
}

pub fn status_of(pod: &Pod, container: &str) -> ContainerStatus {
    statuses(pod).into_iter().find(|status| status.name == container).unwrap_or_default()
}

/// A copy of the Pods that tells of each change.
pub fn follow(client: &Client, tasks: &Tasks) -> Cache<Pod> {
    Cache::start(tasks, Api::namespaced(client.clone(), "default"), watcher::Config::default())
}

/// For what nobody tells of.
pub async fn eventually(what: &str, is_so: impl AsyncFn() -> bool) {
    let looking = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("in vain: {what}"));
}

/// Ports on which somebody listens for others than this machine itself.
pub fn open_ports() -> Vec<u16> {
    let mut ports = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let text = fs::read_to_string(table).unwrap_or_default();
        for line in text.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (address, port) = fields[1].split_once(':').expect("an address and a port");
            let loopback = ["0100007F", "00000000000000000000000001000000"].contains(&address);
            const LISTENS: &str = "0A";
            if fields[3] == LISTENS && !loopback {
                ports.push(u16::from_str_radix(port, 16).expect("a port"));
            }
        }
    }
    ports
}
