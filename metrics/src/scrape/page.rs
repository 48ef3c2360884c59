//! `GET /prometheus/api/v1/targets`: what is scraped and how that goes, as Prometheus tells it.
//!
//! A user sees the targets of the namespaces whose Pods they may list. Monitors that can't be
//! carried out stand beside the targets, under `problems`.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Extension, Json, Router,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};
use tiphys_api::auth::{SharedAuthorizer, UserInfo};

use super::{
    discover::Found,
    pool::{Health, Pool},
    target::Target,
};
use crate::{scope::Scope, series::Labels};

/// Where it is.
pub const PATH: &str = "/prometheus/api/v1/targets";

#[derive(Clone)]
struct Page {
    pool: Pool,
    found: Arc<Mutex<Found>>,
    authorizer: SharedAuthorizer,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Asked {
    state: String,
    scrape_pool: Option<String>,
}

pub fn routes(pool: Pool, found: Arc<Mutex<Found>>, authorizer: SharedAuthorizer) -> Router {
    Router::new().route(PATH, get(targets)).with_state(Page { pool, found, authorizer })
}

async fn targets(
    State(page): State<Page>,
    user: Option<Extension<UserInfo>>,
    Query(asked): Query<Asked>,
) -> Response {
    let Some(Extension(user)) = user else {
        let error = json!({"status": "error", "errorType": "unauthorized", "error": "sign in first"});
        return (StatusCode::UNAUTHORIZED, Json(error)).into_response();
    };
    let scope = Scope::of(user, page.authorizer.clone());
    let wants = |state: &str| asked.state.is_empty() || asked.state == "any" || asked.state == state;
    let of_pool = |pool: &str| asked.scrape_pool.as_deref().is_none_or(|wanted| wanted == pool);
    let active: Vec<_> = match wants("active") {
        true => page.pool.list(),
        false => Vec::new(),
    };
    let active: Vec<_> = active
        .iter()
        .filter(|(target, _)| of_pool(&target.job.name) && scope.sees_namespace(namespace(target)))
        .map(|(target, health)| told(target, health))
        .collect();
    let found = page.found.lock();
    let dropped: Vec<_> = (found.dropped.iter())
        .filter(|one| wants("dropped") && of_pool(&one.pool) && scope.sees_namespace(&one.namespace))
        .map(|one| json!({"discoveredLabels": one.discovered, "scrapePool": one.pool}))
        .collect();
    let problems: Vec<_> = (found.problems.iter())
        .filter(|problem| of_pool(&problem.pool) && scope.sees_namespace(&problem.namespace))
        .collect();
    let data = json!({
        "activeTargets": active,
        "droppedTargets": dropped,
        "droppedTargetCounts": if scope.sees_nodes() { json!(found.dropped_counts) } else { json!({}) },
        "problems": problems,
    });
    Json(json!({"status": "success", "data": data})).into_response()
}

/// The namespace by which a target is shown: the one of its Pod or Service, not what a label says.
fn namespace(target: &Target) -> &str {
    let of = |name: &str| target.discovered.get(name).map(String::as_str);
    of("__meta_kubernetes_namespace").or_else(|| of("namespace")).unwrap_or_default()
}

fn told(target: &Target, health: &Health) -> Value {
    let labels = |labels: &Labels| -> BTreeMap<String, String> {
        labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    };
    json!({
        "discoveredLabels": target.discovered,
        "labels": labels(&target.labels),
        "scrapePool": target.job.name,
        "scrapeUrl": target.url,
        "globalUrl": target.url,
        "lastError": health.error,
        "lastScrape": health.at.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), |at| at.to_string()),
        "lastScrapeDuration": health.took.as_secs_f64(),
        "lastSamples": health.report.scraped,
        "lastSeriesRefused": health.report.refused,
        "health": match (health.at, health.error.is_empty()) {
            (None, _) => "unknown",
            (Some(_), true) => "up",
            (Some(_), false) => "down",
        },
        "scrapeInterval": format!("{}ms", target.job.interval.as_millis()),
        "scrapeTimeout": format!("{}ms", target.job.timeout.as_millis()),
    })
}
