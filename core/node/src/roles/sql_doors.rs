//! SQL for clients that speak no HTTP: where it listens, and whose word counts there.
//! A token or a certificate is of whom the API server says it is of.

use std::{net::SocketAddr, sync::Arc};

use anyhow::Context as _;
use async_trait::async_trait;
use http::{HeaderMap, HeaderValue, header};
use rustls_pki_types::CertificateDer;
use tiphys_api::auth::{Attributes, UserInfo};
use tiphys_apiserver::{ApiServer, authn::PeerCertificate};
use tiphys_lifecycle::Tasks;
use tiphys_metrics::{Credentials, Engine, SQL_PATH, postgres};
use tokio::net::TcpListener;

/// Listens, if it is to.
///
/// # Errors
/// The address is taken.
pub async fn bind(address: Option<SocketAddr>) -> anyhow::Result<Option<TcpListener>> {
    let Some(address) = address else { return Ok(None) };
    let listener = TcpListener::bind(address).await;
    listener.map(Some).with_context(|| format!("{address} can't be listened on"))
}

/// Answers clients of Postgres until `tasks` stops.
pub fn postgres(
    api: &ApiServer,
    engine: Engine,
    tls: Arc<rustls::ServerConfig>,
    listener: TcpListener,
    tasks: &Tasks,
) {
    let credentials = Arc::new(AsTheApiServer(api.clone()));
    let door = postgres::Door { engine, authorizer: api.authorizer(), credentials, tls };
    postgres::serve(door, listener, tasks);
}

struct AsTheApiServer(ApiServer);

#[async_trait]
impl Credentials for AsTheApiServer {
    async fn token(&self, token: &str) -> Result<UserInfo, String> {
        // Without one it would be an anonymous request.
        if token.is_empty() {
            return Err("a bearer token is wanted as password".to_owned());
        }
        let value = HeaderValue::from_str(&format!("Bearer {token}"));
        let value = value.map_err(|_| "the password is no bearer token".to_owned())?;
        let mut headers = HeaderMap::from_iter([(header::AUTHORIZATION, value)]);
        let found = self.0.authenticator().authenticate(None, SQL_PATH, &mut headers).await;
        self.let_in(found.map_err(|_| "the password is no token that the cluster knows".to_owned())?.user)
    }

    async fn certificate(&self, certificate: &CertificateDer<'_>) -> Result<UserInfo, String> {
        let user = PeerCertificate::read(certificate).user().cloned().map_err(str::to_owned)?;
        self.let_in(user)
    }
}

impl AsTheApiServer {
    /// Who may ask by HTTP may ask here.
    fn let_in(&self, user: UserInfo) -> Result<UserInfo, String> {
        let asks = Attributes::NonResource { verb: "post".into(), path: SQL_PATH.into() };
        self.0.authorizer().authorize(&user, &asks).map(|()| user)
    }
}

#[cfg(test)]
mod tests;
