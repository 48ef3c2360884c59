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
mod sending;
mod standing;
mod status;
mod tree;

use std::{ops::Range, sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    body::HttpBody,
    extract::{FromRequestParts, State},
    http::{StatusCode, request::Parts},
    response::Response,
    routing::{MethodRouter, get},
};
use tiphys_api::auth::{Authorizer, UserInfo};

use super::{Budget, Limits};
use crate::{
    places::{Place, Places},
    scope::Scope,
    series::{Labels, Matcher, Missing, Select},
};
use reply::Refusal;
pub use scoped::Scoped;
use sending::Sending;

/// Below this path everything is.
pub const PREFIX: &str = "/prometheus";

/// Queries that run at once.
const PLACES: usize = 24;
/// ... of one user.
const PLACES_OF_A_USER: usize = 6;
/// How long a query may wait for a place: dashboards send many at once.
const WAIT: Duration = Duration::from_secs(30);

/// What queries may take, each by itself and all together. Clones share it.
#[derive(Debug, Clone)]
pub struct Bounds {
    pub limits: Limits,
    pub places: Places,
    pub wait: Duration,
    pub budget: Budget,
}

impl Default for Bounds {
    fn default() -> Self {
        let places = Places::new(PLACES, PLACES_OF_A_USER);
        Self { limits: Limits::default(), places, wait: WAIT, budget: Budget::default() }
    }
}

#[derive(Clone)]
struct Door {
    source: Arc<dyn Select>,
    authorizer: Arc<dyn Authorizer>,
    bounds: Bounds,
    sending: Sending,
}

/// All routes, with their whole paths.
pub fn routes(source: Arc<dyn Select>, authorizer: Arc<dyn Authorizer>) -> Router {
    routes_within(Bounds::default(), source, authorizer)
}

/// The same, where others than its queries share the budget.
pub fn routes_sharing(budget: Budget, source: Arc<dyn Select>, authorizer: Arc<dyn Authorizer>) -> Router {
    routes_within(Bounds { budget, ..Bounds::default() }, source, authorizer)
}

/// The same, within other bounds.
pub fn routes_within(bounds: Bounds, source: Arc<dyn Select>, authorizer: Arc<dyn Authorizer>) -> Router {
    let paths: [(&str, MethodRouter<Door>); 18] = [
        ("/api/v1/query", get(queries::instant).post(queries::instant)),
        ("/api/v1/query_range", get(queries::range).post(queries::range)),
        ("/api/v1/query_exemplars", get(exemplars::find).post(exemplars::find)),
        ("/api/v1/format_query", get(queries::format).post(queries::format)),
        ("/api/v1/parse_query", get(tree::parsed).post(tree::parsed)),
        ("/api/v1/labels", get(names::labels).post(names::labels)),
        ("/api/v1/label/{name}/values", get(names::values)),
        ("/api/v1/series", get(names::series).post(names::series)),
        ("/api/v1/metadata", get(names::metadata)),
        ("/api/v1/status/buildinfo", get(standing::build)),
        ("/api/v1/status/runtimeinfo", get(standing::runtime)),
        ("/api/v1/status/tsdb", get(status::tsdb)),
        ("/api/v1/status/flags", get(status::flags)),
        ("/api/v1/status/config", get(status::config)),
        ("/api/v1/alerts", get(standing::alerts)),
        ("/-/healthy", get(standing::healthy)),
        ("/-/ready", get(standing::healthy)),
        ("/federate", get(federate::federate)),
    ];
    let door = Door { source, authorizer, bounds, sending: Sending::default() };
    let all = paths.into_iter();
    all.fold(Router::new(), |router, (path, method)| router.route(&format!("{PREFIX}{path}"), method))
        .with_state(door)
}

/// Who asks, with what they may see and take.
struct Asked {
    source: Scoped,
    user: String,
    bounds: Bounds,
    /// With the request's own share of the budget.
    limits: Limits,
    sending: Sending,
}

impl Asked {
    /// A place to work in. Parameters are read before: who sends slowly keeps no place.
    ///
    /// # Errors
    /// None became free in time.
    async fn place(&self, deadline: Duration) -> Result<Place, Refusal> {
        self.sending.cut_off_slow();
        let wait = self.bounds.wait.min(deadline);
        let place = tokio::time::timeout(wait, self.bounds.places.take(&self.user)).await;
        place.map_err(|_| Refusal {
            status: StatusCode::SERVICE_UNAVAILABLE,
            kind: "unavailable",
            sentence: format!(
                "too many queries run at once, of yours or in all, \
                 and none has ended within {wait:?}; try again"
            ),
        })
    }

    /// The series that any of the selectors means, and what can't be known of them. Looking for
    /// them can't be broken off, so it keeps its place until it is done, whoever waits for it.
    async fn series(
        &self,
        selectors: Vec<Vec<Matcher>>,
        range: Range<i64>,
    ) -> Result<(Vec<Labels>, Missing), Refusal> {
        let place = self.place(self.limits.deadline).await?;
        let (source, runtime) = (self.source.clone(), tokio::runtime::Handle::current());
        let looking = tokio::task::spawn_blocking(move || {
            let _place = place;
            let (mut found, missing) = (Vec::new(), Missing::default());
            for matchers in &selectors {
                found.extend(runtime.block_on(source.series(matchers, range.clone(), &missing))?);
            }
            if selectors.len() > 1 {
                found.sort_unstable();
                found.dedup();
            }
            Ok::<_, Refusal>((found, missing))
        });
        looking.await.unwrap_or_else(|why| Err(Refusal::internal(&why)))
    }

    /// The answer as it is sent. What of it is not written yet stays counted in the budget.
    fn sent(self, response: Response) -> Response {
        match response.body().size_hint().exact() {
            Some(_) => response,
            None => response.map(|body| self.sending.of(body, self.limits.share)),
        }
    }
}

impl Refusal {
    /// Work ended without a result.
    fn internal(why: &dyn std::fmt::Display) -> Self {
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, kind: "internal", sentence: why.to_string() }
    }
}

impl FromRequestParts<Door> for Asked {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, door: &Door) -> Result<Self, Response> {
        let user = Extension::<UserInfo>::from_request_parts(parts, door).await;
        let Ok(Extension(user)) = user else { return Err(Refusal::unknown_user().response()) };
        let State(door) =
            State::<Door>::from_request_parts(parts, door).await.unwrap_or_else(|never| match never {});
        let Door { source, authorizer, bounds, sending } = door;
        let name = user.name.clone();
        let limits = Limits { share: bounds.budget.share(&name), ..bounds.limits.clone() };
        let source = Scoped::new(source, Scope::of(user, authorizer));
        Ok(Self { source, user: name, bounds, limits, sending })
    }
}
