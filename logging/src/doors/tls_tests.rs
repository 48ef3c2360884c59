//! Senders that speak TLS: HTTP/2 and HTTP/1.1, gRPC, syslog; and those that don't where
//! only TLS is spoken.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use prost::Message;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use tiphys_lifecycle::Tasks;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    tests::{ByToken, config, find, otlp, until},
    tls::tests::write,
};
use crate::collector::{self, Running};

struct Doors {
    running: Running,
    folder: tempfile::TempDir,
    tasks: Tasks,
    certificate: String,
}

async fn open(tls_only: bool) -> Doors {
    let (folder, tasks) = (tempfile::tempdir().expect("a folder"), Tasks::new());
    let (files, certificate) = write(folder.path());
    let mut config = config(folder.path());
    (config.doors.tls, config.doors.tls_only) = (Some(files), tls_only);
    config.doors.syslog.tls = Some(([127, 0, 0, 1], 0).into());
    let running = collector::run_with(config, None, Some(Arc::new(ByToken)), &tasks).await.expect("started");
    Doors { running, folder, tasks, certificate }
}

impl Doors {
    fn bodies(&self, query: &str) -> Vec<String> {
        find(&self.running.store, query).into_iter().map(|record| record.body).collect()
    }

    async fn until_found(&self, query: &str, count: usize) {
        until(|| self.bodies(query).len() >= count).await;
    }
}

async fn connect(
    address: SocketAddr,
    certificate: &str,
    protocols: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM")).expect("a root");
    let mut config =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    let name = ServerName::try_from("localhost").expect("a name");
    let stream = TcpStream::connect(address).await.expect("connected");
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// One OTLP request of HTTP/1.1, by hand; the answer's first line.
async fn post(mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin, line: &str) -> String {
    let body = otlp(None, &[line]).encode_to_vec();
    let head = format!(
        "POST /v1/logs HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer shop\r\nConnection: close\r\n\
         Content-Type: application/x-protobuf\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    // Who is turned away may not be able to send all of it.
    let _ = stream.write_all(&[head.as_bytes(), &body].concat()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_door_speaks_tls_and_plain_text() {
    let doors = open(false).await;
    let address = doors.running.doors.http[0];
    let stream = connect(address, &doors.certificate, &["http/1.1"]).await.expect("TLS");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"http/1.1".as_slice()));
    assert_eq!(post(stream, "by https").await, "HTTP/1.1 200 OK");
    assert_eq!(doors.bodies("\"by https\""), ["by https"]);
    let plain = TcpStream::connect(address).await.expect("connected");
    assert_eq!(post(plain, "in the open").await, "HTTP/1.1 200 OK");
    assert_eq!(doors.bodies("\"in the open\"").len(), 1);
    // A certificate that the sender doesn't know is its end, not the door's.
    let (_, unknown) = write(tempfile::tempdir().expect("a folder").path());
    assert!(connect(address, &unknown, &["h2"]).await.is_err());
    // A connection that says nothing keeps nobody out.
    let _silent = TcpStream::connect(address).await.expect("connected");
    let stream = connect(address, &doors.certificate, &["h2"]).await.expect("TLS");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));

    let endpoint = tonic::transport::Endpoint::from_static("http://localhost");
    let channel = endpoint.connect_with_connector(tower::service_fn(move |_: http::Uri| {
        let certificate = doors.certificate.clone();
        async move {
            let stream = connect(address, &certificate, &["h2"]).await?;
            Ok::<_, std::io::Error>(hyper_util::rt::TokioIo::new(stream))
        }
    }));
    let mut client = LogsServiceClient::new(channel.await.expect("connected"));
    let mut request = tonic::Request::new(otlp(None, &["by grpcs"]));
    request.metadata_mut().insert("authorization", "Bearer shop".parse().expect("metadata"));
    client.export(request).await.expect("taken");
    assert_eq!(find(&doors.running.store, "\"by grpcs\"").len(), 1);
    doors.tasks.shutdown(Duration::from_secs(120)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_text_is_turned_away_where_only_tls_is_spoken() {
    let doors = open(true).await;
    let address = doors.running.doors.http[0];
    let plain = TcpStream::connect(address).await.expect("connected");
    assert_eq!(post(plain, "in the open").await, "HTTP/1.1 400 Bad Request");
    let stream = connect(address, &doors.certificate, &[]).await.expect("TLS");
    assert_eq!(post(stream, "by https").await, "HTTP/1.1 200 OK");
    // From the next connection on it is another certificate.
    let (_, fresh) = write(doors.folder.path());
    assert!(connect(address, &doors.certificate, &[]).await.is_err());
    let stream = connect(address, &fresh, &[]).await.expect("TLS");
    assert_eq!(post(stream, "by the next").await, "HTTP/1.1 200 OK");
    assert_eq!(doors.bodies("*"), ["by the next", "by https"]);
    doors.tasks.shutdown(Duration::from_secs(120)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn syslog_over_tls_has_its_length_before_each_message() {
    let doors = open(false).await;
    let address = doors.running.doors.syslog_tls.expect("open");
    let mut stream = connect(address, &doors.certificate, &[]).await.expect("TLS");
    for text in ["one", "two\nof two lines"] {
        let message = format!("<11>1 2026-01-31T12:00:00Z edge app 7 - - {text}");
        stream.write_all(format!("{} {message}", message.len()).as_bytes()).await.expect("sent");
    }
    stream.flush().await.expect("sent");
    doors.until_found("ns:edge container:app level:error procid:7", 2).await;
    // Plain text is no handshake.
    let mut plain = TcpStream::connect(address).await.expect("connected");
    plain.write_all(b"<11>in the open\n").await.expect("sent");
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert_eq!(doors.bodies("ns:edge").len(), 2);
    // The connection has ended before it is counted.
    let refused = r#"tiphys_logs_door_refused_total{door="syslog",reason="unauthenticated"} 1"#;
    until(|| doors.running.metrics.component.render().contains(refused)).await;
    doors.tasks.shutdown(Duration::from_secs(120)).await;
}

#[tokio::test]
async fn syslog_over_tls_without_a_certificate_is_a_mistake() {
    let (folder, tasks) = (tempfile::tempdir().expect("a folder"), Tasks::new());
    let mut config = config(folder.path());
    config.doors.syslog.tls = Some(([127, 0, 0, 1], 0).into());
    let started = collector::run_with(config, None, Some(Arc::new(ByToken)), &tasks).await;
    assert!(matches!(started, Err(collector::CollectorError::NoCertificate)));
    tasks.shutdown(Duration::from_secs(120)).await;
}
