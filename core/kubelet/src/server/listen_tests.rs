//! Who gets an answer.

use std::net::SocketAddr;

use tiphys_apiserver::pki::{ClusterPki, Identity, client_tls};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_rustls::TlsConnector;

use super::*;
use crate::workers::fixture;

/// An end of waiting, for a busy machine far behind that of a handshake.
const LIMIT: Duration = Duration::from_secs(120);

/// Every route, and what other kubelets have.
const PATHS: &[&str] = &[
    "/",
    "/healthz",
    "/pods",
    "/metrics",
    "/metrics/cadvisor",
    "/metrics/resource",
    "/metrics/probes",
    "/metrics/slis",
    "/metrics/proxy",
    "/tiphys/v1/samples",
    "/containerLogs/ns/web/a",
    "/exec/ns/web/a?command=id&output=1",
    "/attach/ns/web/a",
    "/portForward/ns/web",
    "/run/ns/web/a",
    "/logs/",
    "/configz",
    "/stats/summary",
    "/debug/pprof/",
];

/// All that came back, until the other side closed.
async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: node-1\r\nconnection: close\r\n\r\n");
    // A side that turns us away may close before it has read the request.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = timeout(LIMIT, stream.read_to_end(&mut answer)).await.expect("it closes");
    String::from_utf8_lossy(&answer).into_owned()
}

async fn ask(address: SocketAddr, ca: &str, identity: Option<&Identity>, path: &str) -> String {
    let connector = TlsConnector::from(client_tls(ca, identity).expect("a configuration"));
    let socket = TcpStream::connect(address).await.expect("it listens");
    let name = "node-1".try_into().expect("a name");
    match connector.connect(name, socket).await {
        Ok(stream) => exchange(stream, path).await,
        Err(_) => String::new(),
    }
}

#[tokio::test]
async fn abuse_20_nobody_gets_an_answer_without_the_right_certificate() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = |name: &str| ClusterPki::load_or_create(&folder.path().join(name)).expect("an authority");
    let (own, other) = (authority("own"), authority("other"));
    let serving = own.kubelet_serving("node-1", &[]).expect("a certificate");
    let identity = ServerIdentity {
        certificate: serving.certificate_pem,
        key: serving.key_pem,
        client_ca: own.ca_pem().into(),
    };
    let context = fixture::context(folder.path(), identity);
    let bound = bind(&context.config).await.expect("a port");
    let address = bound.listener.local_addr().expect("bound");
    serve(&context, bound, Seconds::new());

    const API_SERVER: &str = "kube-apiserver-kubelet-client";
    let client = |of: &ClusterPki, user: &str, group: Option<&str>| of.client(user, group).expect("issued");
    let strangers = [
        ("the API server's, of another authority", Some(client(&other, API_SERVER, Some("system:masters")))),
        ("another node's", Some(client(&own, "system:node:node-2", Some("system:nodes")))),
        ("its own node's", Some(client(&own, "system:node:node-1", Some("system:nodes")))),
        ("a user's", Some(client(&own, "alice", Some("developers")))),
        ("the certificate it serves with", own.kubelet_serving("node-1", &[]).ok()),
    ];
    for path in PATHS {
        for (who, certificate) in &strangers {
            let answer = ask(address, own.ca_pem(), certificate.as_ref(), path).await;
            assert_eq!(answer, "", "{path} with {who}");
        }
        // Who shows none could show a token.
        let answer = ask(address, own.ca_pem(), None, path).await;
        assert!(answer.starts_with("HTTP/1.1 401 "), "{path} without one: {answer}");
        assert!(answer.ends_with("\r\n\r\nUnauthorized\n"), "{path} without one: {answer}");
        let plain = exchange(TcpStream::connect(address).await.expect("it listens"), path).await;
        assert!(!plain.contains("HTTP/"), "{path} without TLS: {plain}");
    }
    for allowed in [client(&own, API_SERVER, None), client(&own, "admin", Some("system:masters"))] {
        let answer = ask(address, own.ca_pem(), Some(&allowed), "/healthz").await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok"), "{answer}");
    }
    context.tasks.shutdown(LIMIT).await;
}
