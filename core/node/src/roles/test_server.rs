//! An API server in a temporary folder, for tests of what stands beside it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tiphys_api::auth::UserInfo;
use tiphys_apiserver::{
    ApiServer, Config,
    authn::Anonymous,
    encryption::{Encrypted, Keyring},
    pki::{ClusterPki, FrontProxy, server_tls},
};
use tiphys_lifecycle::Tasks;
use tiphys_store::Embedded;
use tokio::net::TcpListener;

/// The server, and what it stands on.
pub struct TestServer {
    pub api: ApiServer,
    pub pki: ClusterPki,
    pub tasks: Tasks,
    pub folder: tempfile::TempDir,
}

/// Where it serves, and as whom.
pub struct Served {
    pub address: SocketAddr,
    pub tls: Arc<rustls::ServerConfig>,
}

impl TestServer {
    /// `secret` is an administrator's token, `plain` that of the user `ada` without rights.
    pub async fn start() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let folder = tempfile::tempdir().expect("a folder");
        let tasks = Tasks::new();
        let store = Embedded::open(folder.path().join("store"), &tasks).await.expect("a store");
        let encrypted = Encrypted::open(store, Keyring::default(), &tasks).await.expect("keys that fit");
        let pki = ClusterPki::load_or_create(&folder.path().join("pki")).expect("an authority");
        let front = FrontProxy::load_or_create(&folder.path().join("pki")).expect("an authority");
        let mut config = Config::standard(&pki, front).expect("a configuration");
        config.authn.static_tokens =
            vec![("secret".into(), UserInfo::master("admin")), ("plain".into(), UserInfo::named("ada", &[]))];
        config.authn.anonymous = Anonymous::Always;
        let api = ApiServer::start(config, encrypted, &tasks).await.expect("a server");
        Self { api, pki, tasks, folder }
    }

    /// Serves with TLS on a port of its own.
    pub async fn serve(&self) -> Served {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let identity = self.pki.server("kube-apiserver", &["127.0.0.1".into()]).expect("a certificate");
        let tls = server_tls(&identity, Some(self.pki.ca_pem())).expect("a TLS configuration");
        self.api.serve(listener, tls.clone());
        Served { address, tls }
    }

    pub async fn end(self) {
        self.tasks.shutdown(Duration::from_secs(120)).await;
    }
}
