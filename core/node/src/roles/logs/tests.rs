//! The doors to logs behind the real API server: its TLS, HTTP/2, users and rights.

use std::{net::SocketAddr, time::Duration};

use async_trait::async_trait;
use hyper_util::rt::TokioIo;
use tiphys_api::{auth::UserInfo, serve::Mount};
use tiphys_apiserver::{
    Config, aggregation,
    authn::{self, TokenKeys},
    encryption::{Encrypted, Keyring},
    pki::{ClusterPki, FrontProxy, client_tls, server_tls},
};
use tiphys_logging::{
    grpc::proto::{SearchRequest, logs_client::LogsClient},
    root::Collector,
};
use tiphys_store::Embedded;
use tokio::net::{TcpListener, TcpStream};
use tonic::{Code, Request, transport::Channel};

use super::*;

/// A cluster with one node, whose collector isn't there.
struct OneNode;

#[async_trait]
impl Collectors for OneNode {
    async fn list(&self) -> Vec<Collector> {
        vec![Collector { node: "n1".into(), address: None, token: "t0ken".into() }]
    }
}

struct Served {
    folder: tempfile::TempDir,
    tasks: Tasks,
    address: SocketAddr,
    pki: ClusterPki,
}

/// An API server with the doors to logs. `secret` is an administrator's token, `plain` that
/// of a user without rights.
async fn serve() -> Served {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let folder = tempfile::tempdir().expect("a folder");
    let tasks = Tasks::new();
    let store = Embedded::open(folder.path().join("store"), &tasks).await.expect("a store");
    let encrypted = Encrypted::open(store, Keyring::default(), &tasks).await.expect("keys that fit");
    let pki = ClusterPki::load_or_create(&folder.path().join("pki")).expect("an authority");
    let front = FrontProxy::load_or_create(&folder.path().join("pki")).expect("an authority");
    let config = Config {
        authn: authn::Config {
            keys: TokenKeys::from_pem(pki.service_account_key()).expect("a key"),
            static_tokens: vec![
                ("secret".into(), UserInfo::master("admin")),
                ("plain".into(), UserInfo::named("ada", &["system:authenticated"])),
            ],
            anonymous: authn::Anonymous::Always,
            oidc: authn::oidc::Issuers::default(),
        },
        audit: None,
        seats: 600,
        kubelet_tls: client_tls(pki.ca_pem(), None).expect("a TLS configuration"),
        aggregation: aggregation::Config::new(front, pki.ca_pem()),
        service_cidr: "10.96.0.0/16".parse().expect("a range"),
        node_ports: 30000..=32767,
        advertise: None,
        enable_admission_plugins: Vec::new(),
    };
    let api = ApiServer::start(config, encrypted, &tasks).await.expect("a server");
    let root = LogRoot::new(Arc::new(OneNode), api.authorizer());
    api.mount(Mount { prefix: grpc::PREFIX.to_owned(), handler: grpc::handler(root.clone()) });
    api.mount(Mount { prefix: loki::PREFIX.to_owned(), handler: loki::handler(root) });
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let identity = pki.server("kube-apiserver", &["127.0.0.1".into()]).expect("a certificate");
    api.serve(listener, server_tls(&identity, Some(pki.ca_pem())).expect("a TLS configuration"));
    Served { folder, tasks, address, pki }
}

type Tls = tokio_rustls::client::TlsStream<TcpStream>;

/// A connection that speaks this protocol.
async fn connect(authority: &str, address: SocketAddr, protocol: &str) -> std::io::Result<Tls> {
    let mut tls = (*client_tls(authority, None).expect("a TLS configuration")).clone();
    tls.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    let name = rustls_pki_types::ServerName::from(address.ip());
    tokio_rustls::TlsConnector::from(Arc::new(tls)).connect(name, TcpStream::connect(address).await?).await
}

/// A gRPC client over TLS and HTTP/2.
async fn client(served: &Served) -> LogsClient<Channel> {
    let (authority, address) = (served.pki.ca_pem().to_owned(), served.address);
    let connector = tower::service_fn(move |_: http::Uri| {
        let authority = authority.clone();
        async move { connect(&authority, address, "h2").await.map(TokioIo::new) }
    });
    // TLS is the connector's; this tonic has none of its own, and refuses `https`.
    let endpoint = Channel::from_shared(format!("http://{address}")).expect("a URL");
    LogsClient::new(endpoint.connect_with_connector(connector).await.expect("connected"))
}

fn with_token(token: &str) -> Request<SearchRequest> {
    let mut request = Request::new(SearchRequest::default());
    if !token.is_empty() {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("a value"));
    }
    request
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grpc_passes_the_api_server_with_its_users_and_rights() {
    let served = serve().await;
    let mut client = client(&served).await;
    let answer = client.search(with_token("secret")).await.expect("an answer").into_inner();
    assert_eq!((answer.partial[0].node.as_str(), answer.restricted), ("n1", false));
    let answer = client.search(with_token("plain")).await.expect("an answer").into_inner();
    assert!(answer.restricted && answer.records.is_empty());
    let mut foreign = with_token("plain");
    foreign.get_mut().namespace = Some("kube-system".into());
    let refused = client.search(foreign).await.expect_err("refused");
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    let mut wrong = with_token("secret");
    wrong.get_mut().query = "(".into();
    let refused = client.search(wrong).await.expect_err("refused");
    assert!(refused.code() == Code::InvalidArgument && refused.message().contains('^'), "{refused}");
    let mut lines = client.tail(with_token("secret")).await.expect("a stream").into_inner();
    let line = tokio::time::timeout(Duration::from_secs(60), lines.message()).await.expect("in time");
    assert!(line.expect("sound").is_some());
    // Whom the server doesn't know never comes so far.
    for token in ["", "wrong"] {
        assert!(client.search(with_token(token)).await.is_err(), "`{token}`");
    }
    drop(lines);
    drop(client);
    served.tasks.shutdown(Duration::from_secs(30)).await;
    drop(served.folder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lokis_tail_passes_the_api_server_as_a_web_socket() {
    use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};

    let served = serve().await;
    let open = async |token: &str| {
        let uri = format!("wss://{}/tiphys/loki/loki/api/v1/tail?query=%7B%7D", served.address);
        let mut request = uri.into_client_request().expect("a request");
        let value = format!("Bearer {token}").parse().expect("a value");
        request.headers_mut().insert("authorization", value);
        let stream = connect(served.pki.ca_pem(), served.address, "http/1.1").await.expect("connected");
        tokio_tungstenite::client_async(request, stream).await
    };
    assert!(open("wrong").await.is_err());
    let (mut socket, _) = open("secret").await.expect("a web socket");
    let message = tokio::time::timeout(Duration::from_secs(60), futures::StreamExt::next(&mut socket)).await;
    let Message::Text(text) = message.expect("in time").expect("a message").expect("sound") else {
        panic!("no text")
    };
    // The node that has no collector is named.
    assert!(text.contains("dropped_entries") && text.contains("\"n1\""), "{text}");
    socket.close(None).await.expect("closed");
    drop(socket);
    served.tasks.shutdown(Duration::from_secs(30)).await;
}
