//! Prometheus' HTTP API under `/prometheus`, for Grafana and other clients of Prometheus.
//!
//! Every answer is made from what the user may see ([`Scoped`]): samples, names and values
//! of labels, metadata and exemplars alike. Source of the shapes:
//! <https://prometheus.io/docs/prometheus/latest/querying/api/>.

mod exemplars;
mod federate;
mod json;
mod names;
mod parameters;
mod queries;
mod reply;
mod scoped;
mod standing;

use std::sync::Arc;

use axum::{
    Extension, Router,
    extract::{FromRequestParts, State},
    http::request::Parts,
    response::Response,
    routing::{MethodRouter, get},
};
use tiphys_api::auth::{Authorizer, UserInfo};

use super::Limits;
use crate::{scope::Scope, series::Select};
use reply::Refusal;
pub use scoped::Scoped;

/// Below this path everything is.
pub const PREFIX: &str = "/prometheus";

#[derive(Clone)]
struct Door {
    source: Arc<dyn Select>,
    authorizer: Arc<dyn Authorizer>,
    limits: Limits,
}

/// All routes, with their whole paths.
pub fn routes(source: Arc<dyn Select>, authorizer: Arc<dyn Authorizer>) -> Router {
    let paths: [(&str, MethodRouter<Door>); 14] = [
        ("/api/v1/query", get(queries::instant).post(queries::instant)),
        ("/api/v1/query_range", get(queries::range).post(queries::range)),
        ("/api/v1/query_exemplars", get(exemplars::find).post(exemplars::find)),
        ("/api/v1/format_query", get(queries::format).post(queries::format)),
        ("/api/v1/labels", get(names::labels).post(names::labels)),
        ("/api/v1/label/{name}/values", get(names::values)),
        ("/api/v1/series", get(names::series).post(names::series)),
        ("/api/v1/metadata", get(names::metadata)),
        ("/api/v1/status/buildinfo", get(standing::build)),
        ("/api/v1/status/runtimeinfo", get(standing::runtime)),
        ("/api/v1/alerts", get(standing::alerts)),
        ("/-/healthy", get(standing::healthy)),
        ("/-/ready", get(standing::healthy)),
        ("/federate", get(federate::federate)),
    ];
    let door = Door { source, authorizer, limits: Limits::default() };
    let all = paths.into_iter();
    all.fold(Router::new(), |router, (path, method)| router.route(&format!("{PREFIX}{path}"), method))
        .with_state(door)
}

/// Who asks, with what they may see.
struct Asked {
    source: Scoped,
    limits: Limits,
}

impl FromRequestParts<Door> for Asked {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, door: &Door) -> Result<Self, Response> {
        let user = Extension::<UserInfo>::from_request_parts(parts, door).await;
        let Ok(Extension(user)) = user else { return Err(Refusal::unknown_user().response()) };
        let State(door) =
            State::<Door>::from_request_parts(parts, door).await.unwrap_or_else(|never| match never {});
        let scope = Scope::of(user, door.authorizer);
        Ok(Self { source: Scoped::new(door.source, scope), limits: door.limits })
    }
}
