//! One server's log, asked for by another: by real TLS and the real API server, which lets
//! nobody else through.

use std::{io::Write, net::Ipv4Addr, path::Path};

use futures::{StreamExt, stream::BoxStream};
use http::StatusCode;
use http_body_util::{Empty, Full};
use k8s_openapi::api::{
    authentication::v1::TokenRequest,
    core::v1::ServiceAccount,
    rbac::v1::{ClusterRole, ClusterRoleBinding},
};
use kube::api::PostParams;
use serde_json::{Value, json};
use tiphys_api::auth::{Attributes, UserInfo};
use tiphys_client::in_memory;
use tiphys_logging::{
    collector::{self, Running},
    tail::SystemLog,
    wire::{SearchRequest, TailLine},
};
use tiphys_objects::Objects;
use tokio::sync::watch;

use super::*;

const LIMIT: Duration = Duration::from_secs(120);
const NODE: &str = "_server-b";

/// What the server that is asked knows of the other one.
struct Others {
    listed: watch::Sender<Vec<Collector>>,
    tls: Arc<rustls::ClientConfig>,
}

#[async_trait]
impl Collectors for Others {
    async fn list(&self) -> Vec<Collector> {
        self.listed.borrow().clone()
    }

    fn tls(&self) -> Option<Arc<rustls::ClientConfig>> {
        Some(self.tls.clone())
    }

    fn changes(&self) -> BoxStream<'static, ()> {
        let listed = self.listed.subscribe();
        futures::stream::unfold(listed, |mut listed| async move {
            listed.changed().await.ok()?;
            Some(((), listed))
        })
        .boxed()
    }
}

/// The other server, with a log of its own.
struct Other {
    served: Served,
    log: std::path::PathBuf,
    collector: Running,
    collectors: Arc<Others>,
}

async fn other() -> Other {
    let server = TestServer::start().await;
    let log = server.folder.path().join("tiphys.log");
    std::fs::write(&log, "").expect("written");
    let mut config = collector::Config::new(NODE, (Ipv4Addr::LOCALHOST, 0).into(), "own");
    config.pods_dir = server.folder.path().join("pods");
    config.data_dir = server.folder.path().join("index");
    config.system_logs = vec![SystemLog { name: "tiphys".into(), path: log.clone() }];
    config.commit_after = Duration::from_millis(100);
    let collector = collector::run(config, None, &server.tasks).await.expect("started");
    server.api.mount(collector.behind_server(SERVER_USER));
    let address = server.serve().await.address;
    let listed = vec![Collector { node: NODE.into(), address: Some(address), access: Access::Server }];
    let tls = as_server(&server.pki).expect("a certificate");
    let collectors = Arc::new(Others { listed: watch::channel(listed).0, tls });
    Other { served: Served { server, address }, log, collector, collectors }
}

fn write(log: &Path, line: &str) {
    let mut file = std::fs::OpenOptions::new().append(true).open(log).expect("there");
    writeln!(file, "{line}").expect("written");
}

/// Searches until so many records are there.
async fn found(root: &LogRoot, query: &str, count: usize) {
    let request = SearchRequest { query: query.into(), ..SearchRequest::default() };
    let search = async {
        loop {
            let answer = root.search(&UserInfo::master("admin"), &request).await.expect("an answer");
            if answer.partial.is_empty() && answer.records.len() == count {
                assert!(answer.records.iter().all(|record| record.node == NODE));
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LIMIT, search).await.unwrap_or_else(|_| panic!("{query}: not {count} records"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_servers_log_is_searched_followed_and_archived() {
    let Other { served, log, collector, collectors } = other().await;
    let Served { server, .. } = served;
    let root = LogRoot::new(collectors.clone(), server.api.authorizer());
    write(&log, "shearwater one");
    found(&root, "shearwater", 1).await;

    let request = SearchRequest { query: "shearwater".into(), ..SearchRequest::default() };
    let lines = root.tail(&UserInfo::master("admin"), &request).await.expect("a stream");
    let mut lines = std::pin::pin!(lines);
    write(&log, "shearwater two");
    // A server that is slow to answer is said to be missing first.
    let recorded = async {
        loop {
            if let TailLine::Record(record) = lines.next().await.expect("it goes on") {
                return record;
            }
        }
    };
    let record = tokio::time::timeout(LIMIT, recorded).await.expect("in time");
    assert_eq!(record.body, "shearwater two");

    let objects = Objects::in_folder(server.folder.path().join("archive")).expect("opened");
    let config = archive::Config {
        cluster: "c".into(),
        cache: server.folder.path().join("cache"),
        cache_bytes: 1 << 20,
        retention: tiphys_logging::index::Retention::default(),
    };
    let archive = Archive::new(&objects, &config, Box::new(BTreeMap::new), &server.tasks).expect("opened");
    archive.pull(collectors.clone(), &server.tasks);
    let gone = Arc::new(Others { listed: watch::channel(Vec::new()).0, tls: collectors.tls.clone() });
    let archived = LogRoot::new(gone, server.api.authorizer()).with_archive(archive);
    found(&archived, "shearwater", 2).await;

    // A server that is there no more is named.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port");
    collectors.listed.send_modify(|listed| listed[0].address = Some(closed));
    let answer = root.search(&UserInfo::master("admin"), &request).await.expect("an answer");
    assert!(answer.records.is_empty() && answer.partial.len() == 1, "{answer:?}");
    assert_eq!(answer.partial[0].node, NODE);
    drop(collector);
    server.end().await;
}

/// Asks behind the door; GET without a body.
async fn ask(
    address: SocketAddr,
    tls: Arc<rustls::ClientConfig>,
    token: &str,
    path: &str,
    body: Option<&str>,
) -> StatusCode {
    let name = rustls_pki_types::ServerName::from(address.ip());
    let stream = TcpStream::connect(address).await.expect("connected");
    let stream = tokio_rustls::TlsConnector::from(tls).connect(name, stream).await.expect("TLS");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("HTTP");
    let method = if body.is_some() { "POST" } else { "GET" };
    let mut request = http::Request::builder().method(method).uri(format!("/tiphys.server/logs{path}"));
    request = request.header("host", "tiphys").header("content-type", "application/json");
    if !token.is_empty() {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let body = match body {
        Some(text) => tiphys_api::serve::boxed(Full::new(bytes::Bytes::from(text.to_owned()))),
        None => tiphys_api::serve::boxed(Empty::<bytes::Bytes>::new()),
    };
    let request = request.body(body).expect("a request");
    let mut answer = std::pin::pin!(sender.send_request(request));
    let answer = tokio::select! {
        biased;
        answer = &mut answer => answer,
        _ = connection => answer.await,
    };
    answer.expect("an answer").status()
}

/// The token of a service account that may ask for every path.
async fn account_token(server: &TestServer) -> String {
    let client = in_memory(server.api.handler(), UserInfo::master("admin"));
    let namespaced: Api<ServiceAccount> = Api::namespaced(client.clone(), "default");
    let account = json!({ "metadata": { "name": "curious" } });
    let account: ServiceAccount = serde_json::from_value(account).expect("an account");
    namespaced.create(&PostParams::default(), &account).await.expect("created");
    let role: ClusterRole = serde_json::from_value(json!({
        "metadata": { "name": "all-paths" },
        "rules": [{ "nonResourceURLs": ["*"], "verbs": ["*"] }],
    }))
    .expect("a role");
    let binding: ClusterRoleBinding = serde_json::from_value(json!({
        "metadata": { "name": "all-paths" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "all-paths" },
        "subjects": [{ "kind": "ServiceAccount", "name": "curious", "namespace": "default" }],
    }))
    .expect("a binding");
    Api::all(client.clone()).create(&PostParams::default(), &role).await.expect("created");
    Api::all(client.clone()).create(&PostParams::default(), &binding).await.expect("created");
    let wanted: TokenRequest =
        serde_json::from_value(json!({ "spec": { "audiences": [] } })).expect("a request");
    let made = namespaced.create_token_request("curious", &PostParams::default(), &wanted).await;
    let made = made.expect("made").status.and_then(|status| status.token).expect("a token");
    // The authorizer follows roles and bindings.
    let user = UserInfo::named("system:serviceaccount:default:curious", &["system:serviceaccounts"]);
    let asks = Attributes::NonResource { verb: "get".into(), path: "/tiphys.server/logs".into() };
    let may = async {
        while server.api.authorizer().authorize(&user, &asks).is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LIMIT, may).await.expect("the role counts");
    made
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn abuse_20_the_door_of_servers_opens_for_servers_only() {
    let Other { served, collectors, collector, .. } = other().await;
    let Served { server, address } = served;
    let nobody = client_tls(server.pki.ca_pem(), None).expect("a TLS configuration");
    let shown = |user: &str, group: Option<&str>| {
        let identity = server.pki.client(user, group).expect("a certificate");
        client_tls(server.pki.ca_pem(), Some(&identity)).expect("a TLS configuration")
    };
    let account = account_token(&server).await;
    let (unknown, refused) = (StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN);
    let asked = [
        ("anonymous", nobody.clone(), "", refused),
        ("a wrong token", nobody.clone(), "wrong", unknown),
        ("the collector's own token", nobody.clone(), "own", unknown),
        ("a user", nobody.clone(), "plain", refused),
        ("an administrator", nobody.clone(), "secret", refused),
        ("a service account", nobody.clone(), account.as_str(), refused),
        ("an administrator's certificate", shown("kubernetes-admin", Some(MASTERS)), "", refused),
        ("the name alone", shown(SERVER_USER, None), "", refused),
        ("the name of nodes", shown(SERVER_USER, Some("system:nodes")), "", refused),
        ("a server", collectors.tls.clone(), "", StatusCode::OK),
    ];
    for (who, tls, token, expected) in asked {
        for (path, body) in [
            ("/v1/splits", None),
            ("/v1/namespaces", None),
            ("/metrics", None),
            ("/v1/search", Some("{}")),
            ("/v1/tail", Some("{}")),
            ("/v1/delete", Some(r#"{"namespace":"kube-system","before":0}"#)),
        ] {
            let status = ask(address, tls.clone(), token, path, body).await;
            assert_eq!(status, expected, "{who}: {path}");
        }
        if expected != StatusCode::OK {
            for path in ["", "/healthz", "/v1/../v1/splits", "/no/such"] {
                let status = ask(address, tls.clone(), token, path, None).await;
                assert!(
                    [unknown, refused, StatusCode::BAD_REQUEST].contains(&status),
                    "{who}: {path} {status}"
                );
            }
        }
    }
    let roles: Value = serde_json::to_value(
        Api::<ClusterRole>::all(in_memory(server.api.handler(), UserInfo::master("admin")))
            .list(&Default::default())
            .await
            .expect("listed")
            .items,
    )
    .expect("JSON");
    assert!(!roles.to_string().contains("/tiphys.server"), "a role names the door");
    drop(collector);
    server.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_reads_the_figures_of_its_own_collector() {
    let Other { served: Served { server, .. }, collector, .. } = other().await;
    let read = async |user: UserInfo| {
        let client = in_memory(server.api.handler(), user);
        client.request_text(http::Request::get(SERVER_METRICS).body(Vec::new()).expect("a request")).await
    };
    // As what scrapes does.
    let text = read(UserInfo::master(SERVER_USER)).await.expect("figures");
    assert!(text.contains("tiphys_logs_records_total "), "{text}");
    assert!(read(UserInfo::master("admin")).await.is_err());
    drop(collector);
    server.end().await;
}
