//! kube-apiserver on etcd, to be measured beside ours: only where the
//! environment names its binary (`KUBE_APISERVER=/path`), with `etcd` on the PATH
//! or in `ETCD`. Both run on loopback in a folder that goes with them.

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result};
use kube::{Client, Config};
use tiphys_tests::eventually;

const TOKEN: &str = "of-the-bench";

pub struct Peer {
    client: Client,
    server: Ended,
    _etcd: Ended,
    _folder: tempfile::TempDir,
}

/// A process that ends with its owner.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Peer {
    /// `None` where the environment names no kube-apiserver.
    pub fn start(runtime: &tokio::runtime::Runtime) -> Result<Option<Self>> {
        let Some(binary) = std::env::var_os("KUBE_APISERVER").filter(|path| !path.is_empty()) else {
            return Ok(None);
        };
        let folder = tempfile::tempdir()?;
        let [clients, peers, secure] = [free_port()?, free_port()?, free_port()?];
        let etcd = start_etcd(folder.path(), clients, peers)?;
        let server = start_server(Path::new(&binary), folder.path(), clients, secure)?;
        let _enter = runtime.enter();
        let mut config = Config::new(format!("https://127.0.0.1:{secure}").parse()?);
        config.accept_invalid_certs = true;
        config.auth_info.token = Some(TOKEN.to_owned().into());
        let client = Client::try_from(config)?;
        eventually(Duration::from_secs(120), || {
            let request = http::Request::get("/readyz").body(Vec::new())?;
            runtime.block_on(client.request_text(request)).context("kube-apiserver is not ready")
        })?;
        Ok(Some(Self { client, server, _etcd: etcd, _folder: folder }))
    }

    pub fn client(&self) -> Client {
        self.client.clone()
    }

    pub fn pid(&self) -> u32 {
        self.server.0.id()
    }
}

fn start_etcd(folder: &Path, clients: u16, peers: u16) -> Result<Ended> {
    let binary = std::env::var_os("ETCD").unwrap_or_else(|| "etcd".into());
    let (clients, peers) = (format!("http://127.0.0.1:{clients}"), format!("http://127.0.0.1:{peers}"));
    let child = Command::new(binary)
        .arg("--data-dir")
        .arg(folder.join("etcd"))
        .args(["--listen-client-urls", &clients, "--advertise-client-urls", &clients])
        .args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers])
        .args(["--initial-cluster", &format!("default={peers}")])
        .stdout(Stdio::null())
        .stderr(fs::File::create(folder.join("etcd.log"))?)
        .spawn()
        .context("etcd can't be started")?;
    Ok(Ended(child))
}

fn start_server(binary: &Path, folder: &Path, etcd: u16, port: u16) -> Result<Ended> {
    let key = folder.join("accounts.key");
    let pair = rcgen::KeyPair::generate()?;
    fs::write(&key, pair.serialize_pem())?;
    let public = folder.join("accounts.pub");
    fs::write(&public, pair.public_key_pem())?;
    let tokens = folder.join("tokens.csv");
    fs::write(&tokens, format!("{TOKEN},bench,bench,system:masters\n"))?;
    let option = |name: &str, path: &Path| format!("--{name}={}", path.display());
    let child = Command::new(binary)
        .args([
            format!("--etcd-servers=http://127.0.0.1:{etcd}"),
            format!("--secure-port={port}"),
            "--bind-address=127.0.0.1".to_owned(),
            "--service-cluster-ip-range=10.250.0.0/16".to_owned(),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            "--disable-admission-plugins=ServiceAccount".to_owned(),
            "--authorization-mode=RBAC".to_owned(),
            option("cert-dir", folder),
            option("token-auth-file", &tokens),
            option("service-account-key-file", &public),
            option("service-account-signing-key-file", &key),
        ])
        .stdout(Stdio::null())
        .stderr(fs::File::create(folder.join("kube-apiserver.log"))?)
        .spawn()
        .context("kube-apiserver can't be started")?;
    Ok(Ended(child))
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
