//! The doors to logs behind the real API server: its TLS, HTTP/2, users and rights.

use std::{net::SocketAddr, time::Duration};

use async_trait::async_trait;
use hyper_util::rt::TokioIo;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tiphys_api::serve::Mount;
use tiphys_apiserver::pki::client_tls;
use tiphys_logging::{
    grpc::proto::{SearchRequest, logs_client::LogsClient},
    root::{Access, Collector},
};
use tokio::net::TcpStream;
use tonic::{Code, Request, transport::Channel};

use super::*;
use crate::roles::test_server::TestServer;

mod servers;

/// A cluster with one node, whose collector isn't there.
struct OneNode;

#[async_trait]
impl Collectors for OneNode {
    async fn list(&self) -> Vec<Collector> {
        vec![Collector { node: "n1".into(), address: None, access: Access::Token("t0ken".into()) }]
    }
}

#[test]
fn a_namespace_whose_bound_would_keep_nothing_has_none() {
    let namespace = |name: &str, bytes: &str| {
        let annotations = [("logs.tiphys.io/retention-bytes".to_owned(), bytes.to_owned())];
        let metadata = ObjectMeta {
            name: Some(name.to_owned()),
            annotations: Some(annotations.into()),
            ..ObjectMeta::default()
        };
        Arc::new(Namespace { metadata, ..Namespace::default() })
    };
    let keeps = keeps(&[namespace("slip", "500m"), namespace("shop", "5Gi")], &Told::default());
    assert_eq!(keeps["slip"], Keep::default(), "it is there, and says nothing");
    assert_eq!(keeps["shop"].bytes, Some(5 << 30));
}

struct Served {
    server: TestServer,
    address: SocketAddr,
}

/// An API server with the doors to logs.
async fn serve() -> Served {
    let server = TestServer::start().await;
    let root = LogRoot::new(Arc::new(OneNode), server.api.authorizer());
    server.api.mount(Mount { prefix: grpc::PREFIX.to_owned(), handler: grpc::handler(root.clone()) });
    server.api.mount(Mount { prefix: loki::PREFIX.to_owned(), handler: loki::handler(root) });
    let address = server.serve().await.address;
    Served { server, address }
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
    let (authority, address) = (served.server.pki.ca_pem().to_owned(), served.address);
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
    let line = tokio::time::timeout(Duration::from_secs(120), lines.message()).await.expect("in time");
    assert!(line.expect("sound").is_some());
    // Whom the server doesn't know never comes so far.
    for token in ["", "wrong"] {
        assert!(client.search(with_token(token)).await.is_err(), "`{token}`");
    }
    drop(lines);
    drop(client);
    served.server.end().await;
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
        let stream =
            connect(served.server.pki.ca_pem(), served.address, "http/1.1").await.expect("connected");
        tokio_tungstenite::client_async(request, stream).await
    };
    assert!(open("wrong").await.is_err());
    let (mut socket, _) = open("secret").await.expect("a web socket");
    let message = tokio::time::timeout(Duration::from_secs(120), futures::StreamExt::next(&mut socket)).await;
    let Message::Text(text) = message.expect("in time").expect("a message").expect("sound") else {
        panic!("no text")
    };
    // The node that has no collector is named.
    assert!(text.contains("dropped_entries") && text.contains("\"n1\""), "{text}");
    socket.close(None).await.expect("closed");
    drop(socket);
    served.server.end().await;
}
