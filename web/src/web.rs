//! The dashboard, put together.

use std::{convert::Infallible, sync::Arc};

use axum::{
    Extension, Json, Router,
    extract::State,
    http::{Request, StatusCode},
    middleware,
    response::{IntoResponse, Response},
    routing::{any, get, post},
};
use futures::{FutureExt, future::BoxFuture};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use serde_json::json;
use tiphys_api::{
    auth::UserInfo,
    serve::{Handler, Mount, boxed},
};
use tiphys_lifecycle::{CancellationToken, OnError, Tasks};
use tokio::{net::TcpListener, task::JoinSet};
use tower::{Service, ServiceExt};

use crate::{assets, guard, proxy, sessions::Sessions, sign_in};

/// Where a user of the API asks for a one-time link: POST, answered with `{"url": "..."}`.
pub const LINK_PATH: &str = "/tiphys/v1/dashboard/link";

/// The dashboard. Clones share it.
#[derive(Clone)]
pub struct Web {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    /// The API server's in-memory entrance.
    pub api: Handler,
    pub sessions: Sessions,
    /// `http://127.0.0.1:6480`
    pub base_url: String,
}

impl Web {
    /// A dashboard over an API server, reached by its users at `base_url`.
    pub fn new(api: Handler, base_url: String) -> Self {
        Self { shared: Arc::new(Shared { api, sessions: Sessions::default(), base_url }) }
    }

    /// What the API server mounts, so that `tiphys dashboard` can ask for a link.
    pub fn link_mount(&self) -> Mount {
        let routes = Router::new().route(LINK_PATH, post(link)).with_state(self.clone());
        let handler = tower::service_fn(move |request: Request<tiphys_api::serve::Body>| {
            let routes = routes.clone();
            async move {
                let response = routes.oneshot(request.map(axum::body::Body::new)).await?;
                Ok::<_, Infallible>(response.map(boxed))
            }
        });
        Mount { prefix: LINK_PATH.to_owned(), handler: Handler::new(handler) }
    }

    /// Serves browsers until `tasks` stops.
    pub fn serve(&self, listener: TcpListener, tasks: &Tasks) {
        let routes = self.routes();
        tasks.spawn_draining("dashboard", OnError::Stop, move |stop| listen(listener, routes, stop));
    }

    pub(crate) fn routes(&self) -> Router {
        Router::new()
            .route("/auth/link/{code}", get(sign_in::by_link))
            .route("/auth/token", post(sign_in::by_token))
            .route("/auth/session", get(sign_in::session).delete(sign_in::sign_out))
            .route("/k8s/{*path}", any(proxy::forward))
            .fallback(get(assets::serve))
            .layer(middleware::from_fn_with_state(self.clone(), guard::guard))
            .with_state(self.clone())
    }
}

impl Shared {
    /// One request to the API server; its user is in the extensions.
    pub fn call(
        &self,
        request: Request<tiphys_api::serve::Body>,
    ) -> BoxFuture<'static, http::Response<tiphys_api::serve::Body>> {
        // Handlers are always ready: none of them keeps a count of requests under way.
        let answer = self.api.clone().call(request);
        answer.map(|result| result.unwrap_or_else(|never| match never {})).boxed()
    }
}

/// A link that signs its opener in as the asking user, once.
async fn link(State(web): State<Web>, user: Option<Extension<UserInfo>>) -> Response {
    let Some(Extension(user)) = user else { return StatusCode::UNAUTHORIZED.into_response() };
    let code = web.shared.sessions.new_link(user);
    Json(json!({"url": format!("{}/auth/link/{code}", web.shared.base_url)})).into_response()
}

async fn listen(listener: TcpListener, routes: Router, stop: CancellationToken) -> std::io::Result<()> {
    let mut connections = JoinSet::new();
    loop {
        let socket = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => socket,
                // Out of file descriptors, or a client that was gone at once.
                Err(error) => {
                    tracing::warn!(%error, "a browser's connection was not accepted");
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                    continue;
                }
            },
            Some(_) = connections.join_next() => continue,
        };
        let service = TowerToHyperService::new(routes.clone());
        connections.spawn(async move {
            let server = auto::Builder::new(TokioExecutor::new());
            if let Err(error) = server.serve_connection(TokioIo::new(socket), service).await {
                tracing::debug!(%error, "a browser's connection broke");
            }
        });
    }
    connections.shutdown().await;
    Ok(())
}

#[cfg(test)]
mod tests;
