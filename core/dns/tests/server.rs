//! The DNS server over real sockets: names of the cluster as its objects change,
//! and other names from an upstream that the test runs.

#![allow(clippy::unwrap_used, reason = "a test binary: its helpers fail as its tests do")]

#[path = "../../network/tests/namespaces/api.rs"]
mod api;

use std::{
    io::Write,
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use hickory_server::proto::{
    op::{Edns, Message, OpCode, Query, ResponseCode},
    rr::{Name, RData, Record, RecordType, rdata::A},
};
use k8s_openapi::api::{core::v1::Service, discovery::v1::EndpointSlice};
use serde_json::json;
use tiphys_dns::{Dns, DnsConfig};
use tiphys_lifecycle::Tasks;
use tiphys_telemetry::Component;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    task::JoinSet,
    time::timeout,
};

use api::Api;

const LIMIT: Duration = Duration::from_secs(120);

/// A server, its objects, and the file that names its upstream.
struct Lab {
    api: Api,
    tasks: Tasks,
    component: Component,
    dns: Dns,
    _resolv_conf: tempfile::NamedTempFile,
}

impl Lab {
    async fn start(upstream: Option<SocketAddr>) -> Self {
        let mut resolv_conf = tempfile::NamedTempFile::new().unwrap();
        if let Some(upstream) = upstream {
            writeln!(resolv_conf, "nameserver [{}]:{}", upstream.ip(), upstream.port()).unwrap();
        }
        let (api, tasks, component) = (Api::new(), Tasks::new(), Component::new("dns"));
        service(&api, "web", json!({ "clusterIP": "10.96.0.7", "ports": [{ "name": "http", "port": 80 }] }));
        service(&api, "ext", json!({ "type": "ExternalName", "externalName": "www.example.org" }));
        let config = DnsConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            cluster_domain: "cluster.local".to_owned(),
            resolv_conf: resolv_conf.path().to_owned(),
        };
        let (services, slices) = (api.watch_all::<Service>(&tasks), api.watch_all::<EndpointSlice>(&tasks));
        let dns = Dns::start(config, services, slices, &tasks, &component).await.unwrap();
        let lab = Self { api, tasks, component, dns, _resolv_conf: resolv_conf };
        lab.until("web.shop.svc.cluster.local.", ResponseCode::NoError).await;
        lab
    }

    async fn ask(&self, name: &str, kind: RecordType) -> Message {
        over_udp(self.dns.address(), &query(name, kind)).await
    }

    async fn until(&self, name: &str, code: ResponseCode) -> Message {
        until(|answer| answer.metadata.response_code == code, async || self.ask(name, RecordType::A).await)
            .await
    }

    async fn stop(self) {
        assert_eq!(self.tasks.shutdown(LIMIT).await, [""; 0]);
    }
}

/// Asks again, as clients do, until the answer is as wanted: one that stood still for as long as the
/// server waits for an upstream has none to give.
async fn until(wanted: impl Fn(&Message) -> bool, ask: impl AsyncFn() -> Message) -> Message {
    let started = Instant::now();
    loop {
        let answer = ask().await;
        if wanted(&answer) {
            return answer;
        }
        assert!(started.elapsed() < LIMIT, "{answer:?}");
    }
}

fn service(api: &Api, name: &str, spec: serde_json::Value) {
    api.apply("services", json!({ "metadata": { "namespace": "shop", "name": name }, "spec": spec }));
}

fn query(name: &str, kind: RecordType) -> Message {
    let mut query = Message::query();
    query.metadata.recursion_desired = true;
    query.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    query
}

async fn over_udp(server: SocketAddr, query: &Message) -> Message {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(&query.to_vec().unwrap(), server).await.unwrap();
    let mut buffer = vec![0; 65_535];
    let length = timeout(LIMIT, socket.recv(&mut buffer)).await.unwrap().unwrap();
    let answer = Message::from_vec(&buffer[..length]).unwrap();
    assert_eq!(answer.metadata.id, query.metadata.id);
    answer
}

async fn over_tcp(server: SocketAddr, query: &Message) -> Message {
    let mut stream = TcpStream::connect(server).await.unwrap();
    let bytes = query.to_vec().unwrap();
    stream.write_all(&[&(bytes.len() as u16).to_be_bytes(), bytes.as_slice()].concat()).await.unwrap();
    let length = timeout(LIMIT, stream.read_u16()).await.unwrap().unwrap();
    let mut buffer = vec![0; length.into()];
    stream.read_exact(&mut buffer).await.unwrap();
    Message::from_vec(&buffer).unwrap()
}

fn addresses(answer: &Message) -> Vec<Ipv4Addr> {
    let data = answer.answers.iter().map(|record| &record.data);
    data.filter_map(|data| if let RData::A(A(address)) = data { Some(*address) } else { None }).collect()
}

/// A resolver that knows www.example.org, and big.example.org by TCP only. Before
/// each right answer by UDP it sends one with a wrong id, as a forger would.
async fn upstream(serving: &mut JoinSet<()>) -> SocketAddr {
    let (tcp, udp, address) = loop {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        // The port may be somebody's for UDP.
        if let Ok(udp) = UdpSocket::bind(address).await {
            break (tcp, udp, address);
        }
    };
    serving.spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok((length, client)) = udp.recv_from(&mut buffer).await {
            let mut forged = answer_to(&buffer[..length], false);
            forged.metadata.id = forged.metadata.id.wrapping_add(1);
            forged.answers.clear();
            udp.send_to(&forged.to_vec().unwrap(), client).await.unwrap();
            udp.send_to(&answer_to(&buffer[..length], false).to_vec().unwrap(), client).await.unwrap();
        }
    });
    serving.spawn(async move {
        while let Ok((mut stream, _)) = tcp.accept().await {
            let length = stream.read_u16().await.unwrap();
            let mut buffer = vec![0; length.into()];
            stream.read_exact(&mut buffer).await.unwrap();
            let answer = answer_to(&buffer, true).to_vec().unwrap();
            stream
                .write_all(&[&(answer.len() as u16).to_be_bytes(), answer.as_slice()].concat())
                .await
                .unwrap();
        }
    });
    address
}

fn answer_to(query: &[u8], is_tcp: bool) -> Message {
    let query = Message::from_vec(query).unwrap();
    let mut answer = Message::response(query.metadata.id, OpCode::Query);
    let question = query.queries[0].clone();
    let name = question.name().clone();
    let count = match name.to_ascii().to_ascii_lowercase().as_str() {
        "www.example.org." => 1,
        "big.example.org." if is_tcp => 150,
        "big.example.org." => {
            answer.metadata.truncation = true;
            0
        }
        _ => {
            answer.metadata.response_code = ResponseCode::NXDomain;
            0
        }
    };
    answer.add_query(question);
    answer.add_answers(
        (0..count).map(|n| Record::from_rdata(name.clone(), 60, RData::A(A::new(192, 0, 2, n)))),
    );
    answer
}

#[tokio::test]
async fn names_of_the_cluster_follow_its_objects() {
    let lab = Lab::start(None).await;
    let answer = lab.ask("WeB.Shop.svc.CLUSTER.local.", RecordType::A).await;
    assert_eq!(addresses(&answer), [Ipv4Addr::new(10, 96, 0, 7)]);
    assert!(answer.metadata.authoritative && answer.metadata.recursion_available);
    assert!(answer.answers[0].name.eq_case(&Name::from_ascii("WeB.Shop.svc.CLUSTER.local.").unwrap()));
    assert!((5..=30).contains(&answer.answers[0].ttl));

    let no_data = lab.ask("web.shop.svc.cluster.local.", RecordType::AAAA).await;
    assert_eq!((no_data.metadata.response_code, no_data.answers.len()), (ResponseCode::NoError, 0));
    assert_eq!(no_data.authorities[0].record_type(), RecordType::SOA);
    let no_name = lab.ask("gone.shop.svc.cluster.local.", RecordType::A).await;
    assert_eq!(no_name.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(no_name.authorities[0].record_type(), RecordType::SOA);

    let ports =
        over_tcp(lab.dns.address(), &query("_http._tcp.web.shop.svc.cluster.local.", RecordType::SRV)).await;
    assert_eq!((ports.answers.len(), ports.additionals.len()), (1, 1));

    service(&lab.api, "db", json!({ "clusterIP": "None" }));
    lab.api.apply(
        "endpointslices",
        json!({
            "metadata": { "namespace": "shop", "name": "db-1", "labels": { "kubernetes.io/service-name": "db" } },
            "addressType": "IPv4",
            "endpoints": [{ "addresses": ["10.1.0.1"], "hostname": "db-0", "conditions": { "ready": true } }],
        }),
    );
    let endpoint = lab.until("db-0.db.shop.svc.cluster.local.", ResponseCode::NoError).await;
    assert_eq!(addresses(&endpoint), [Ipv4Addr::new(10, 1, 0, 1)]);
    lab.api.delete("services", "shop", "db");
    lab.until("db.shop.svc.cluster.local.", ResponseCode::NXDomain).await;
    lab.stop().await;
}

#[tokio::test]
async fn other_names_come_from_upstream() {
    let mut serving = JoinSet::new();
    let lab = Lab::start(Some(upstream(&mut serving).await)).await;
    let answer = lab.until("www.example.org.", ResponseCode::NoError).await;
    assert_eq!(addresses(&answer), [Ipv4Addr::new(192, 0, 2, 0)]);
    assert!(!answer.metadata.authoritative);
    lab.until("missing.example.org.", ResponseCode::NXDomain).await;

    // An ExternalName brings what it leads to along.
    let alias = async || lab.ask("ext.shop.svc.cluster.local.", RecordType::A).await;
    let alias = until(|answer| !addresses(answer).is_empty(), alias).await;
    assert_eq!(alias.answers[0].record_type(), RecordType::CNAME);
    assert_eq!(addresses(&alias), [Ipv4Addr::new(192, 0, 2, 0)]);

    // Cut off upstream: fetched by TCP, and cut to what the client takes.
    let mut big = query("big.example.org.", RecordType::A);
    let is_answer = |answer: &Message| answer.metadata.response_code == ResponseCode::NoError;
    let fetched = until(is_answer, async || over_tcp(lab.dns.address(), &big).await).await;
    assert_eq!(addresses(&fetched).len(), 150);
    let cut = until(is_answer, async || over_udp(lab.dns.address(), &big).await).await;
    assert!(cut.metadata.truncation && cut.answers.len() < 150);
    let mut edns = Edns::new();
    edns.set_max_payload(4096);
    big.set_edns(edns);
    let whole = until(is_answer, async || over_udp(lab.dns.address(), &big).await).await;
    assert_eq!((whole.metadata.truncation, whole.edns.is_some(), whole.answers.len()), (false, true, 150));
    assert_eq!(whole.answers.len(), 150);
    assert!(lab.component.render().contains(r#"plugin="forward""#), "{}", lab.component.render());
    lab.stop().await;
}

#[tokio::test]
async fn without_an_upstream_other_names_fail() {
    let lab = Lab::start(None).await;
    let answer = lab.ask("www.example.org.", RecordType::A).await;
    assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
    let transfer = over_tcp(lab.dns.address(), &query("cluster.local.", RecordType::AXFR)).await;
    assert_eq!(transfer.metadata.response_code, ResponseCode::Refused);
    lab.stop().await;
}
