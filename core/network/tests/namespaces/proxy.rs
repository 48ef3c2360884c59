//! The proxy's rules on the real kernel, with connections through them.
//!
//! ```text
//! node one (the proxy) ── cni0 ── Pod a 10.x.0.2, Pod b 10.x.0.3
//!        │ eth0
//! node two ─────────────────────── a client from outside, and an endpoint in the host network
//! ```

use std::{
    io::{ErrorKind, Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    time::{Duration, Instant},
};

use ipnet::Ipv4Net;
use k8s_openapi::{
    api::{core::v1::Service, discovery::v1::EndpointSlice},
    jiff::Timestamp,
};
use serde_json::{Value, json};
use tiphys_network::{
    add_dns_address,
    netlink::Netlink,
    prepare_node,
    proxy::{Mode, Proxy, ProxyConfig},
    topology::Holder,
};
use tiphys_telemetry::Component;

use crate::{
    api::Api,
    lab::{Cluster, InNode, LIMIT, hold, inside, on},
};

const DNS: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);
const CLUSTER_IP: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 20);

pub fn cases() -> Vec<(&'static str, fn())> {
    vec![
        ("a_cluster_ip_reaches_every_endpoint_and_refuses_without_any", || crate::run(cluster_ip())),
        ("a_node_port_reaches_pods_from_outside", || crate::run(node_port())),
        ("a_client_keeps_its_endpoint_with_affinity", || crate::run(affinity())),
        ("udp_flows_follow_when_their_endpoint_goes", || crate::run(udp())),
    ]
}

/// Two nodes, two Pods on the first, and the proxy of the first.
struct Lab {
    api: Api,
    component: Component,
    one: Holder,
    two: Holder,
    pod_a: Holder,
    pod_b: Holder,
    addresses: Addresses,
    proxy: Option<InNode>,
    cluster: Cluster,
    _data: tempfile::TempDir,
}

#[derive(Clone, Copy)]
struct Addresses {
    one: Ipv4Addr,
    two: Ipv4Addr,
    a: Ipv4Addr,
    b: Ipv4Addr,
}

impl Lab {
    async fn set_up(case: &str) -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut cluster = Cluster::with_nodes(case, data.path()).await;
        let net = cluster.state.cluster.clone();
        let (one, two) = (cluster.state.nodes[&0].clone(), cluster.state.nodes[&1].clone());
        let [gateway, a, b] = [1, 2, 3].map(|last| {
            let [first, second, ..] = net.pod_range().addr().octets();
            Ipv4Addr::new(first, second, 0, last)
        });
        let node = Netlink::open_in(&one.namespaces().unwrap()).unwrap();
        node.add_bridge("cni0", 1400).await.unwrap();
        node.add_address("cni0", Ipv4Net::new_assert(gateway, 24)).await.unwrap();
        let mut pods = Vec::new();
        for (number, address) in [(100, a), (101, b)] {
            let pod = hold(&format!("pod-{number}"), data.path()).await;
            let link = format!("pod{number}");
            node.add_veth(&link, "eth0", pod.pid, 1400).await.unwrap();
            node.attach(&link, "cni0").await.unwrap();
            // As the CNI plug-in does by its option hairpinMode.
            inside(&one, &format!("bridge link set dev {link} hairpin on")).await;
            let inner = Netlink::open_in(&pod.namespaces().unwrap()).unwrap();
            inner.up("lo").await.unwrap();
            inner.add_address("eth0", Ipv4Net::new_assert(address, 24)).await.unwrap();
            inner.up("eth0").await.unwrap();
            inner.replace_route(Ipv4Net::default(), gateway).await.unwrap();
            // Recorded, so that it ends with the cluster.
            cluster.state.nodes.insert(number, pod.clone());
            pods.push(pod);
        }
        let outside = Netlink::open_in(&two.namespaces().unwrap()).unwrap();
        let addresses =
            Addresses { one: net.node_address(0).unwrap(), two: net.node_address(1).unwrap(), a, b };
        outside.replace_route(Ipv4Net::new(gateway, 24).unwrap().trunc(), addresses.one).await.unwrap();
        let (api, component) = (Api::new(), Component::new("proxy"));
        let [pod_a, pod_b] = <[Holder; 2]>::try_from(pods).unwrap();
        let mut lab =
            Self { api, component, one, two, pod_a, pod_b, addresses, proxy: None, cluster, _data: data };
        lab.start_proxy();
        lab
    }

    fn start_proxy(&mut self) {
        let (api, component) = (self.api.clone(), self.component.clone());
        let config = ProxyConfig {
            mode: Mode::Nftables,
            node: "one".to_owned(),
            pod_range: self.cluster.state.cluster.pod_range(),
            service_range: "10.96.0.0/16".parse().unwrap(),
            answered_here: vec![DNS],
        };
        self.proxy = Some(InNode::run(&self.one, |tasks| async move {
            prepare_node().await.unwrap();
            add_dns_address(DNS).await.unwrap();
            let (services, slices) =
                (api.watch_all::<Service>(&tasks), api.watch_all::<EndpointSlice>(&tasks));
            Proxy::start(config, services, slices, &tasks, &component);
        }));
    }

    fn service(&self, spec: Value) {
        let mut spec = spec;
        spec["clusterIP"] = json!(CLUSTER_IP);
        self.api
            .apply("services", json!({ "metadata": { "namespace": "shop", "name": "web" }, "spec": spec }));
    }

    /// The Service's endpoints, on port 8080; those at Pod addresses are on node one.
    fn endpoints(&self, protocol: &str, addresses: &[Ipv4Addr]) {
        self.endpoints_since(protocol, addresses, json!({}));
    }

    /// Likewise, with what is said of when that came about.
    fn endpoints_since(&self, protocol: &str, addresses: &[Ipv4Addr], annotations: Value) {
        let endpoints: Vec<Value> = addresses
            .iter()
            .map(|address| {
                let node = if *address == self.addresses.two { "two" } else { "one" };
                json!({ "addresses": [address], "nodeName": node, "conditions": { "ready": true } })
            })
            .collect();
        self.api.apply(
            "endpointslices",
            json!({
                "metadata": {
                    "namespace": "shop", "name": "web-1", "annotations": annotations,
                    "labels": { "kubernetes.io/service-name": "web" },
                },
                "addressType": "IPv4", "endpoints": endpoints, "ports": [{ "port": 8080, "protocol": protocol }],
            }),
        );
    }
}

/// Answers every connection on port 8080 with its own address and the client's.
fn serve(at: &Holder, address: Ipv4Addr) {
    let listener = on(Some(at), || TcpListener::bind((address, 8080)).unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = write!(stream, "{address} {}", stream.peer_addr().unwrap().ip());
        }
    });
}

/// Who answered a connection from `from`, and which client address it saw.
fn ask(from: &Holder, target: (Ipv4Addr, u16)) -> std::io::Result<(Ipv4Addr, IpAddr)> {
    on(Some(from), || {
        let mut stream = TcpStream::connect_timeout(&SocketAddr::from(target), Duration::from_secs(2))?;
        stream.set_read_timeout(Some(LIMIT))?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (server, client) = answer.split_once(' ').expect("server and client");
        Ok((server.parse().unwrap(), client.parse().unwrap()))
    })
}

/// The first answer, also a refusal, that a busy machine is not late with.
fn answered(from: &Holder, target: (Ipv4Addr, u16)) -> std::io::Result<(Ipv4Addr, IpAddr)> {
    let is_there = |answer: &std::io::Result<_>| {
        !answer.as_ref().is_err_and(|error| error.kind() == ErrorKind::TimedOut)
    };
    answer_when("an answer", || ask(from, target), is_there)
}

fn until<T: std::fmt::Debug>(what: &str, ask: impl FnMut() -> T, enough: impl FnMut(&T) -> bool) {
    drop(answer_when(what, ask, enough));
}

/// Asks until `enough`: the rules follow an object within moments, not at once.
fn answer_when<T: std::fmt::Debug>(
    what: &str,
    mut ask: impl FnMut() -> T,
    mut enough: impl FnMut(&T) -> bool,
) -> T {
    let started = Instant::now();
    loop {
        let answer = ask();
        if enough(&answer) {
            return answer;
        }
        assert!(started.elapsed() < LIMIT, "{what}: last {answer:?}");
        std::thread::yield_now();
    }
}

/// A figure without labels.
fn figure(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

async fn cluster_ip() {
    let lab = Lab::set_up("cluster-ip").await;
    let at = lab.addresses;
    for (holder, address) in [(&lab.pod_a, at.a), (&lab.pod_b, at.b), (&lab.two, at.two)] {
        serve(holder, address);
    }
    let target = (CLUSTER_IP, 80);
    lab.service(json!({ "ports": [{ "port": 80 }] }));
    lab.endpoints("TCP", &[]);
    let refused = |answer: &std::io::Result<_>| {
        answer.as_ref().err().is_some_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    };
    until("no endpoint refuses at once", || ask(&lab.pod_a, target), refused);

    let now = json!({ "endpoints.kubernetes.io/last-change-trigger-time": Timestamp::now().to_string() });
    lab.endpoints_since("TCP", &[at.a, at.b, at.two], now.clone());
    let mut seen = std::collections::BTreeSet::new();
    until(
        "each endpoint gets its part",
        || ask(&lab.pod_a, target),
        |answer| {
            seen.extend(answer.iter().map(|(server, _)| *server));
            seen.len() == 3
        },
    );
    let waited = |text: &String| {
        text.contains("kubeproxy_network_programming_duration_seconds_count{ip_family=\"IPv4\"} 1\n")
    };
    until("how long the rules took is told", || lab.component.render(), waited);
    // The same endpoints, said again: no rule is another one.
    let before = figure(&lab.component.render(), "kubeproxy_sync_proxy_rules_endpoint_changes_total");
    lab.endpoints_since("TCP", &[at.two, at.b, at.a], now);
    until(
        "they are looked at",
        || lab.component.render(),
        |text| {
            figure(text, "kubeproxy_sync_proxy_rules_endpoint_changes_total") > before
                && figure(text, "kubeproxy_sync_proxy_rules_endpoint_changes_pending") == Some(0)
        },
    );
    // The node's own processes, and a Pod that meets itself, get through as well.
    answered(&lab.one, target).unwrap();
    lab.endpoints("TCP", &[at.a]);
    until("only Pod a is left", || lab.component.render(), |text| text.contains("proxy_endpoints 1\n"));
    assert!(waited(&lab.component.render()), "once: {}", lab.component.render());
    assert_eq!(answered(&lab.pod_b, target).unwrap(), (at.a, IpAddr::V4(at.b)), "Pods keep their address");
    assert_eq!(answered(&lab.pod_a, target).unwrap().0, at.a, "a Pod reaches itself through its Service");
    assert!(refused(&answered(&lab.pod_b, (CLUSTER_IP, 81))), "a port that the Service has not");

    // The node's own DNS, whatever its Service says.
    serve(&lab.one, DNS);
    assert_eq!(answered(&lab.pod_a, (DNS, 8080)).unwrap(), (DNS, IpAddr::V4(at.a)));
    assert_eq!(answered(&lab.one, (DNS, 8080)).unwrap().0, DNS);

    lab.api.delete("services", "shop", "web");
    until("a deleted Service refuses", || ask(&lab.pod_b, target), refused);
    until("the figures follow", || lab.component.render(), |text| text.contains("proxy_services 0\n"));
    assert!(
        lab.component.render().contains("kubeproxy_sync_proxy_rules_nftables_sync_failures_total 0"),
        "{}",
        lab.component.render()
    );
}

async fn node_port() {
    let lab = Lab::set_up("node-port").await;
    let at = lab.addresses;
    serve(&lab.pod_a, at.a);
    serve(&lab.two, at.two);
    let target = (at.one, 30080);
    let spec = |policy: &str| {
        json!({
            "type": "NodePort", "externalTrafficPolicy": policy, "externalIPs": ["192.0.2.77"],
            "ports": [{ "port": 80, "nodePort": 30080 }],
        })
    };
    lab.service(spec("Cluster"));
    lab.endpoints("TCP", &[at.a]);
    let (_, client) = answer_when("the NodePort answers", || ask(&lab.two, target), Result::is_ok).unwrap();
    assert_ne!(client, IpAddr::V4(at.two), "masqueraded, so that the answer comes back this way");
    answered(&lab.one, target).unwrap();

    lab.service(spec("Local"));
    let kept =
        |answer: &std::io::Result<_>| matches!(answer, Ok((_, client)) if *client == IpAddr::V4(at.two));
    until("the policy Local keeps the client's address", || ask(&lab.two, target), kept);
    answered(&lab.pod_b, (Ipv4Addr::new(192, 0, 2, 77), 80)).unwrap();

    // Only the other node has an endpoint: from outside nothing answers, from a Pod it does.
    lab.endpoints("TCP", &[at.two]);
    until(
        "no local endpoint",
        || ask(&lab.two, target),
        |answer| answer.as_ref().err().is_some_and(|error| error.kind() == ErrorKind::TimedOut),
    );
    let moved = |answer: &std::io::Result<_>| matches!(answer, Ok((server, _)) if *server == at.two);
    until("the other node's from a Pod", || ask(&lab.pod_b, target), moved);
    lab.endpoints("TCP", &[]);
    until(
        "no endpoint at all refuses",
        || ask(&lab.two, target),
        |answer| answer.as_ref().err().is_some_and(|error| error.kind() == ErrorKind::ConnectionRefused),
    );
}

async fn affinity() {
    let lab = Lab::set_up("affinity").await;
    let at = lab.addresses;
    serve(&lab.pod_a, at.a);
    serve(&lab.two, at.two);
    lab.service(json!({ "sessionAffinity": "ClientIP", "ports": [{ "port": 80 }] }));
    lab.endpoints("TCP", &[at.a, at.two]);
    let target = (CLUSTER_IP, 80);
    let (first, _) = answer_when("the Service answers", || ask(&lab.pod_b, target), Result::is_ok).unwrap();
    for _ in 0..20 {
        assert_eq!(answered(&lab.pod_b, target).unwrap().0, first);
    }
    let other = if first == at.a { at.two } else { at.a };
    lab.endpoints("TCP", &[other]);
    until(
        "its endpoint is gone",
        || ask(&lab.pod_b, target),
        |answer| answer.as_ref().is_ok_and(|(server, _)| *server == other),
    );
    lab.api.delete("services", "shop", "web");
    until("a deleted Service is gone", || ask(&lab.pod_b, target), |answer| answer.is_err());
    assert!(
        lab.component.render().contains("kubeproxy_sync_proxy_rules_nftables_sync_failures_total 0"),
        "{}",
        lab.component.render()
    );
}

async fn udp() {
    let lab = Lab::set_up("udp").await;
    let at = lab.addresses;
    for (holder, address) in [(&lab.pod_a, at.a), (&lab.two, at.two)] {
        let socket = on(Some(holder), || UdpSocket::bind((address, 8080)).unwrap());
        std::thread::spawn(move || {
            let mut buffer = [0; 16];
            while let Ok((_, client)) = socket.recv_from(&mut buffer) {
                let _ = socket.send_to(address.to_string().as_bytes(), client);
            }
        });
    }
    lab.service(json!({ "ports": [{ "port": 53, "protocol": "UDP" }] }));
    lab.endpoints("UDP", &[at.a]);
    // One socket throughout: for the kernel it is one flow.
    let socket = on(Some(&lab.pod_b), || UdpSocket::bind((at.b, 0)).unwrap());
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let answered_by = || {
        let mut buffer = [0; 64];
        // Refused while there is no rule yet.
        let _ = socket.send_to(b"?", (CLUSTER_IP, 53));
        let length = socket.recv(&mut buffer).ok()?;
        String::from_utf8_lossy(&buffer[..length]).parse::<Ipv4Addr>().ok()
    };
    until("Pod a answers", answered_by, |server| *server == Some(at.a));
    lab.endpoints("UDP", &[at.two]);
    until("the flow moves to node two", answered_by, |server| *server == Some(at.two));
}
