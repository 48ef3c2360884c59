//! The HTTPS entrance with a real client: certificates, tokens, HTTP/2, drain.

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::{Api, Client, Config as ClientConfig, api::PostParams};

use super::harness::{Harness, LIMIT};
use crate::pki::server_tls;

pub struct Served {
    pub api: Harness,
    pub url: String,
}

pub async fn serve() -> Served {
    let api = Harness::start().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("https://{}", listener.local_addr().expect("an address"));
    let identity = api.pki.server("kube-apiserver", &["127.0.0.1".into()]).expect("a certificate");
    let tls = server_tls(&identity, Some(api.pki.ca_pem())).expect("a TLS configuration");
    api.server.serve(listener, tls);
    Served { api, url }
}

fn config(served: &Served) -> ClientConfig {
    let mut config = ClientConfig::new(served.url.parse().expect("a URL"));
    let pem = served.api.pki.ca_pem().as_bytes();
    let authority = rustls_pki_types::pem::PemObject::from_pem_slice(pem).expect("a certificate");
    let authority: rustls_pki_types::CertificateDer<'_> = authority;
    config.root_cert = Some(vec![authority.to_vec()]);
    config
}

#[tokio::test]
async fn a_client_with_a_token_works_over_tls() {
    let served = serve().await;
    let mut config = config(&served);
    config.auth_info.token = Some("secret".to_owned().into());
    let client = Client::try_from(config).expect("a client");
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
    let mut map = ConfigMap::default();
    map.metadata.name = Some("a".into());
    maps.create(&PostParams::default(), &map).await.expect("created");
    assert_eq!(maps.get("a").await.expect("found").metadata.name.as_deref(), Some("a"));
    let namespaces: Api<Namespace> = Api::all(client);
    assert!(namespaces.list(&kube::api::ListParams::default()).await.expect("a list").items.len() >= 5);
}

#[tokio::test]
async fn abuse_01_anonymous_reaches_health_and_version_only() {
    let served = serve().await;
    let client = Client::try_from(config(&served)).expect("a client");
    let version = client.apiserver_version().await.expect("a version");
    assert_eq!(version.git_version, "v1.37.0+tiphys");
    let namespaces: Api<Namespace> = Api::all(client);
    let error = namespaces.get("default").await.expect_err("refused");
    assert!(matches!(error, kube::Error::Api(status) if status.code == 403));
}

#[tokio::test]
async fn a_server_that_stops_ends_its_watches() {
    let served = serve().await;
    let mut config = config(&served);
    config.auth_info.token = Some("secret".to_owned().into());
    let client = Client::try_from(config).expect("a client");
    let maps: Api<ConfigMap> = Api::namespaced(client, "default");
    let watch = maps.watch(&kube::api::WatchParams::default(), "0").await.expect("a watch");
    let mut watch = std::pin::pin!(watch);
    let left = served.api.tasks.shutdown(LIMIT).await;
    assert!(left.is_empty(), "{left:?}");
    let end = async { while let Some(Ok(_)) = futures::StreamExt::next(&mut watch).await {} };
    tokio::time::timeout(LIMIT, end).await.expect("the watch has ended");
}

/// The server's certificate as a client gets it that asks for `name`.
async fn certificate_for(served: &Served, name: &str) -> Vec<u8> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let config =
        (*crate::pki::client_tls(served.api.pki.ca_pem(), None).expect("a TLS configuration")).clone();
    let mut config = config;
    // The name is wrong on purpose: what is looked at is the certificate, not whether it fits.
    config.dangerous().set_certificate_verifier(std::sync::Arc::new(AnyName));
    let address = served.url.strip_prefix("https://").expect("a URL");
    let stream = tokio::net::TcpStream::connect(address).await.expect("a connection");
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    let server = rustls_pki_types::ServerName::try_from(name.to_owned()).expect("a name");
    let mut stream = connector.connect(server, stream).await.expect("a session");
    let request = format!("GET /version HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    stream.get_ref().1.peer_certificates().expect("a certificate")[0].to_vec()
}

#[derive(Debug)]
struct AnyName;

impl rustls::client::danger::ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        _: &rustls_pki_types::CertificateDer<'_>,
        _: &[rustls_pki_types::CertificateDer<'_>],
        _: &rustls_pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls_pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &rustls_pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &rustls_pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

#[tokio::test]
async fn abuse_19_names_that_clients_ask_for_do_not_get_into_the_certificate() {
    let served = serve().await;
    let before = certificate_for(&served, "localhost").await;
    for number in 0..20 {
        let name = format!("stuffed-{number}.example.com");
        assert_eq!(certificate_for(&served, &name).await, before, "{name}");
    }
    let (_, parsed) = x509_parser::parse_x509_certificate(&before).expect("a certificate");
    let names = parsed.subject_alternative_name().expect("an extension").expect("names");
    assert_eq!(names.value.general_names.len(), 1);
}
