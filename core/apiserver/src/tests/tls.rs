//! The HTTPS entrance with a real client: certificates, tokens, HTTP/2, drain.

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::{Api, Client, Config as ClientConfig, api::PostParams};

use super::harness::{Harness, LIMIT};
use crate::pki::server_tls;

struct Served {
    api: Harness,
    url: String,
}

async fn serve() -> Served {
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
