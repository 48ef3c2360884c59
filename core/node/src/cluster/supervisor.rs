//! `tiphys up`: builds the cluster step by step, keeps it running, takes it away.
//!
//! Each step is recorded before it is taken; an error takes back what was built.

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use tiphys_apiserver::pki::ClusterPki;
use tiphys_lifecycle::Tasks;
use tiphys_network::topology::{self, Holder, HolderSpec};

use super::{
    children::{ChildSpec, in_own_session, keep, own_binary},
    down,
    process::Process,
    remains::Namespaces,
    state::{ClusterState, Lock, NodeState, context_name},
    strays, wait,
};
use crate::{
    groups,
    kubeconfig::{self, Credential},
    layout::Layout,
    output::Progress,
};

/// What to build.
#[derive(Debug, Clone)]
pub struct Plan {
    pub layout: Layout,
    pub cluster: String,
    pub nodes: u8,
    pub api_port: u16,
    pub dashboard_port: u16,
    pub postgres_port: u16,
    /// Deploy the sample app.
    pub sample: bool,
    pub kubeconfig: Option<PathBuf>,
    /// Its current context, which [`Built::take_down`] restores.
    pub context_before: Option<String>,
    /// Where the processes export their traces, metrics and logs.
    pub otlp_endpoint: Option<String>,
    /// Options of every agent, and of the server, beside those that it must have.
    pub agent_args: Vec<String>,
    pub server_args: Vec<String>,
    /// The server's --log-archive.
    pub log_archive: Option<String>,
}

/// A cluster that is being built or runs; dropped without [`Built::take_down`] it goes on unsupervised.
pub struct Built {
    tasks: Tasks,
    shared: Shared,
    layout: Layout,
    /// Its own control group.
    stay: Option<groups::Stay>,
    _lock: Lock,
}

#[derive(Clone)]
struct Shared {
    state: Arc<Mutex<ClusterState>>,
    layout: Layout,
}

impl Shared {
    /// Changes the state and writes it.
    fn update<T>(&self, change: impl FnOnce(&mut ClusterState) -> T) -> anyhow::Result<T> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut state);
        state.save(&self.layout)?;
        Ok(result)
    }

    fn get(&self) -> ClusterState {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn record(&self, change: impl FnOnce(&mut ClusterState)) {
        if let Err(error) = self.update(change) {
            tracing::error!(error = %format!("{error:#}"), "the cluster's state could not be written");
        }
    }
}

/// Records a cluster of which nothing is built yet.
///
/// # Errors
/// The state can't be written.
pub fn begin(plan: &Plan, lock: Lock) -> anyhow::Result<Built> {
    let state = ClusterState {
        cluster: plan.cluster.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        supervisor: Process::current()?,
        server: None,
        api_port: plan.api_port,
        dashboard_port: plan.dashboard_port,
        postgres_port: plan.postgres_port,
        kubeconfig: plan.kubeconfig.clone(),
        context_before: plan.context_before.clone(),
        network: None,
        nodes: Vec::new(),
        ready: false,
    };
    state.save(&plan.layout)?;
    // What it starts begins there, too.
    let stay = groups::Stay::begin(&plan.cluster);
    let shared = Shared { state: Arc::new(Mutex::new(state)), layout: plan.layout.clone() };
    Ok(Built { tasks: Tasks::new(), shared, layout: plan.layout.clone(), stay, _lock: lock })
}

impl Built {
    /// Builds it. After an error, or when dropped half-way, [`Built::take_down`] takes back what is there.
    ///
    /// # Errors
    /// What went wrong first.
    pub async fn raise(&self, plan: &Plan, progress: Progress) -> anyhow::Result<()> {
        let network = topology::setup(&plan.cluster).await.context("the cluster's network can't be built")?;
        let gateway = network.cluster.gateway();
        self.shared.update(|state| state.network = Some(network))?;
        let pki = ClusterPki::load_or_create(&plan.layout.server().join("pki"))?;
        self.start_server(plan, &gateway.to_string()).await?;
        progress.step(&format!("API server answers on https://127.0.0.1:{}", plan.api_port));
        let client = self.write_kubeconfig(plan, &pki)?;
        let client = kube::Client::try_from(client.await?)?;
        let mut agents = Vec::new();
        for number in 0..plan.nodes {
            agents.push(self.make_node(plan, &pki, number, &gateway.to_string()).await?);
        }
        futures::future::try_join_all(agents.into_iter().map(|agent| self.start_agent(agent))).await?;
        for node in self.shared.get().nodes {
            wait::node_ready(&client, &node.name).await?;
            progress.step(&format!("{} is Ready ({})", node.name, node.address));
        }
        wait::daemon_set_ready(&client, "tiphys-system", "tiphys-collector", plan.nodes).await?;
        progress.step("logs of all nodes are collected");
        if plan.sample {
            crate::addons::apply_sample(&client).await?;
            wait::deployment_ready(&client, "default", "hello").await?;
            progress.step("sample app is Ready: kubectl get deployment,service,hpa hello");
        }
        self.shared.update(|state| state.ready = true)
    }

    async fn start_server(&self, plan: &Plan, gateway: &str) -> anyhow::Result<()> {
        let network = self.shared.get().network.context("the network was built before")?;
        let port = plan.api_port;
        let mut arguments = vec![
            "server".to_owned(),
            format!("--data-dir={}", plan.layout.server().display()),
            format!("--listen=127.0.0.1:{port}"),
            format!("--listen={gateway}:{port}"),
            format!("--advertise={gateway}:{port}"),
            format!("--cluster-cidr={}", network.cluster.pod_range()),
            format!("--dashboard-listen=127.0.0.1:{}", plan.dashboard_port),
            format!("--postgres-listen=127.0.0.1:{}", plan.postgres_port),
        ];
        arguments.extend(plan.otlp_endpoint.iter().map(|url| format!("--otlp-endpoint={url}")));
        arguments.extend(plan.server_args.iter().cloned());
        arguments.extend(plan.log_archive.iter().map(|place| format!("--log-archive={place}")));
        let spec = ChildSpec {
            name: "server".to_owned(),
            folder: plan.layout.root().to_owned(),
            arguments,
            log: plan.layout.log("server"),
            notify: plan.layout.root().join("server.notify"),
            namespaces: None,
        };
        let (shared, group) = (self.shared.clone(), cgroup(plan, "server"));
        let on_start = Box::new(move |process: Process| {
            groups::join(&group, process.pid);
            shared.record(|state| state.server = Some(process));
        });
        keep(&self.tasks, spec, on_start).await
    }

    /// Makes a node's namespaces, link and credentials; gives the agent to start in it.
    async fn make_node(
        &self,
        plan: &Plan,
        pki: &ClusterPki,
        number: u8,
        gateway: &str,
    ) -> anyhow::Result<(u8, ChildSpec)> {
        let name = format!("node-{}", u16::from(number) + 1);
        let data = plan.layout.node(&name);
        std::fs::create_dir_all(&data)?;
        let (holder, address) = self.make_namespaces(plan, &name, number, &data).await?;
        let server = format!("https://{gateway}:{}", plan.api_port);
        let kubeconfig = data.join("agent.kubeconfig");
        let identity = pki.client(&format!("system:node:{name}"), Some("system:nodes"))?;
        let credential = Credential {
            server: &server,
            ca_pem: pki.ca_pem(),
            certificate_pem: &identity.certificate_pem,
            key_pem: &identity.key_pem,
        };
        write_kubeconfig(&kubeconfig, "agent", &credential)?;
        crate::files::write_atomically(&data.join("ca.crt"), pki.ca_pem().as_bytes(), 0o644)?;
        pki.kubelet_serving(&name, &[name.clone(), address.to_string()])?.write(&data, "kubelet")?;
        let pods = self.shared.get().network.context("the network was built before")?.cluster.pod_range();
        let mut arguments = vec![
            "agent".to_owned(),
            format!("--node-name={name}"),
            format!("--node-ip={address}"),
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--data-dir={}", data.display()),
            format!("--cgroup-root={}", cgroup(plan, &name)),
            format!("--cluster-cidr={pods}"),
            format!("--pod-manifest-path={}", plan.layout.node_manifests(&name).display()),
        ];
        // The nodes are parts of one machine: its kernel has one log.
        if number > 0 {
            arguments.push("--kernel-log=none".to_owned());
        }
        arguments.extend(
            plan.otlp_endpoint.iter().map(|url| format!("--otlp-endpoint={}", from_node(url, gateway))),
        );
        arguments.extend(plan.agent_args.iter().cloned());
        let spec = ChildSpec {
            folder: plan.layout.root().to_owned(),
            log: plan.layout.node_log(&name),
            notify: data.join("notify"),
            namespaces: Some(holder.namespaces()?),
            name,
            arguments,
        };
        Ok((number, spec))
    }

    /// Starts the holder of a node and links it with the others.
    async fn make_namespaces(
        &self,
        plan: &Plan,
        name: &str,
        number: u8,
        data: &Path,
    ) -> anyhow::Result<(Holder, Ipv4Addr)> {
        let mut command = own_binary()?;
        command.arg("holder");
        strays::mark(&mut command, plan.layout.root());
        in_own_session(&mut command);
        let spec = HolderSpec { node: name.to_owned(), data: data.to_path_buf() };
        let holder = Holder::spawn(command, &spec).await?;
        let namespaces = Namespaces::of(holder.pid.cast_signed())?;
        let mut network = self.shared.update(|state| {
            let network = state.network.as_mut().expect("the network was built before the nodes");
            network.nodes.insert(number, holder.clone());
            state.nodes.push(NodeState {
                name: name.to_owned(),
                number,
                address: Ipv4Addr::UNSPECIFIED,
                cgroup: cgroup(plan, name),
                namespaces: Some(namespaces),
                since: holder.started,
                agent: None,
            });
            network.clone()
        })?;
        let address = topology::attach(&mut network, number, &holder).await?;
        self.shared.update(|state| {
            state.network = Some(network);
            state.node(number).address = address;
        })?;
        Ok((holder, address))
    }

    async fn start_agent(&self, (number, spec): (u8, ChildSpec)) -> anyhow::Result<()> {
        let shared = self.shared.clone();
        let on_start =
            Box::new(move |process| shared.record(|state| state.node(number).agent = Some(process)));
        keep(&self.tasks, spec, on_start).await
    }

    /// Writes the administrator's kubeconfig and merges it into the user's.
    fn write_kubeconfig(
        &self,
        plan: &Plan,
        pki: &ClusterPki,
    ) -> anyhow::Result<impl Future<Output = anyhow::Result<kube::Config>> + use<>> {
        let identity = pki.client("kubernetes-admin", Some("system:masters"))?;
        let server = format!("https://127.0.0.1:{}", plan.api_port);
        let credential = Credential {
            server: &server,
            ca_pem: pki.ca_pem(),
            certificate_pem: &identity.certificate_pem,
            key_pem: &identity.key_pem,
        };
        let name = context_name(&plan.cluster);
        let path = plan.layout.admin_kubeconfig();
        write_kubeconfig(&path, &name, &credential)?;
        if let Some(user_file) = &plan.kubeconfig {
            kubeconfig::merge(user_file, &kubeconfig::document(&name, &credential))?;
        }
        Ok(async move {
            let config = kube::config::Kubeconfig::read_from(path)?;
            Ok(kube::Config::from_custom_kubeconfig(config, &Default::default()).await?)
        })
    }

    /// What runs now.
    pub fn state(&self) -> ClusterState {
        self.shared.get()
    }

    /// Ends every process and takes everything away, the data too.
    ///
    /// # Errors
    /// Something is left; it is named.
    pub async fn take_down(self) -> anyhow::Result<()> {
        // Agents and server end together: nothing of the cluster is needed to take it away.
        for name in self.tasks.shutdown(Duration::from_secs(60)).await {
            tracing::warn!(task = %name, "child did not end in time");
        }
        down::take_away(&self.layout, &self.shared.get(), self.stay).await
    }
}

/// A URL of this machine's loopback, as a node reaches it.
fn from_node(url: &str, gateway: &str) -> String {
    url.replacen("//127.0.0.1", &format!("//{gateway}"), 1).replacen(
        "//localhost",
        &format!("//{gateway}"),
        1,
    )
}

/// The cgroup of a node or of another part, below every controller.
fn cgroup(plan: &Plan, part: &str) -> String {
    format!("{}/{part}", groups::of_cluster(&plan.cluster))
}

fn write_kubeconfig(path: &Path, name: &str, credential: &Credential<'_>) -> anyhow::Result<()> {
    let text = kubeconfig::to_yaml(&kubeconfig::document(name, credential))?;
    crate::files::write_atomically(path, text.as_bytes(), 0o600)
        .with_context(|| format!("{} can't be written", path.display()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_node_finds_this_machine_at_its_gateway() {
        assert_eq!(super::from_node("http://127.0.0.1:4317", "172.30.0.1"), "http://172.30.0.1:4317");
        assert_eq!(super::from_node("http://otel.example:4317", "172.30.0.1"), "http://otel.example:4317");
    }
}
