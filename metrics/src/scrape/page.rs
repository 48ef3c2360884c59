//! What is scraped and how that goes, as Prometheus tells it below `/prometheus/api/v1`: `targets`,
//! `targets/metadata` (what they say of their metrics) and `scrape_pools` (where they come from).
//!
//! A user sees the targets of the namespaces whose Pods they may list. Monitors that can't be
//! carried out stand beside the targets, under `problems`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use axum::{
    Extension, Json, Router,
    extract::{FromRequestParts, Query, State},
    http::{StatusCode, request::Parts},
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
use crate::{promql, scope::Scope, series::Labels};

/// Where it is; the metadata stand below the first.
pub const PATHS: [&str; 2] = ["/prometheus/api/v1/targets", "/prometheus/api/v1/scrape_pools"];
/// Bytes of what is told of metrics in one answer, about, and what an entry takes beside its texts.
const LARGEST: usize = 32 << 20;
const EACH: usize = 256;

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

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct AskedOfMetrics {
    /// A selector of targets by their labels.
    match_target: String,
    metric: String,
    /// Targets at most.
    limit: String,
}

pub fn routes(pool: Pool, found: Arc<Mutex<Found>>, authorizer: SharedAuthorizer) -> Router {
    let [of_targets, of_pools] = PATHS;
    Router::new()
        .route(of_targets, get(targets))
        .route(&format!("{of_targets}/metadata"), get(metadata))
        .route(of_pools, get(pools))
        .with_state(Page { pool, found, authorizer })
}

/// What who asks may see.
struct Seen(Scope);

impl FromRequestParts<Page> for Seen {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, page: &Page) -> Result<Self, Response> {
        let user = Extension::<UserInfo>::from_request_parts(parts, page).await;
        let Ok(Extension(user)) = user else {
            return Err(refused(StatusCode::UNAUTHORIZED, "unauthorized", "sign in first"));
        };
        Ok(Self(Scope::of(user, page.authorizer.clone())))
    }
}

fn refused(status: StatusCode, kind: &str, sentence: &str) -> Response {
    (status, Json(json!({"status": "error", "errorType": kind, "error": sentence}))).into_response()
}

/// What the targets say of their metrics: of the one that is named, or of all.
async fn metadata(
    State(page): State<Page>,
    Seen(scope): Seen,
    Query(asked): Query<AskedOfMetrics>,
) -> Response {
    let bad = |sentence: &str| refused(StatusCode::BAD_REQUEST, "bad_data", sentence);
    let limit = match asked.limit.as_str() {
        "" => None,
        limit => match limit.parse::<i64>() {
            // As in Prometheus, less than none is no limit.
            Ok(limit) => usize::try_from(limit).ok(),
            Err(_) => return bad("limit must be a number"),
        },
    };
    let matchers = match asked.match_target.as_str() {
        "" => Vec::new(),
        selector => match promql::matchers_of(selector) {
            Ok(matchers) => matchers,
            Err(error) => return bad(&format!("invalid parameter \"match_target\": {error}")),
        },
    };
    let metric = Some(asked.metric.as_str()).filter(|metric| !metric.is_empty());
    let (mut data, mut size) = (Vec::new(), 0);
    for (target, said) in page.pool.said() {
        let holds = matchers.iter().all(|one| one.matches(target.labels.get(&one.name).unwrap_or_default()));
        if !holds || !scope.sees_namespace(namespace(&target)) {
            continue;
        }
        // Counted are entries, and a target's come all or not at all.
        if limit.is_some_and(|limit| data.len() >= limit) {
            break;
        }
        let (words, each) = (said.of(metric), EACH + target.labels.as_bytes().len());
        size += words.iter().map(|(name, meta)| each + name.len() + meta.help.len()).sum::<usize>();
        if size > LARGEST {
            return truncated(&data);
        }
        let target = labels(&target.labels);
        data.extend(words.into_iter().map(|(name, meta)| {
            let mut entry =
                json!({"target": target, "type": meta.kind.name(), "help": meta.help, "unit": meta.unit});
            if metric.is_none() {
                entry["metric"] = name.into();
            }
            entry
        }));
    }
    Json(json!({"status": "success", "data": data})).into_response()
}

/// What there was room for.
fn truncated(data: &[Value]) -> Response {
    let warning = "results truncated: ask for a metric, or for some targets by match_target";
    Json(json!({"status": "success", "data": data, "warnings": [warning]})).into_response()
}

/// Where targets come from: of pools that have none left, those whose targets are dropped, or that can't be
/// carried out.
async fn pools(State(page): State<Page>, Seen(scope): Seen) -> Response {
    let active = page.pool.list();
    let found = page.found.lock();
    let targets = active.iter().map(|(target, _)| (target.job.name.as_str(), namespace(target)));
    let dropped = found.dropped.iter().map(|one| (one.pool.as_str(), one.namespace.as_str()));
    let problems = found.problems.iter().map(|one| (one.pool.as_str(), one.namespace.as_str()));
    let all: BTreeSet<_> = targets.chain(dropped).chain(problems).collect();
    let seen = all.into_iter().filter(|(_, namespace)| scope.sees_namespace(namespace));
    let names: BTreeSet<_> = seen.map(|(pool, _)| pool).collect();
    Json(json!({"status": "success", "data": {"scrapePools": names}})).into_response()
}

async fn targets(State(page): State<Page>, Seen(scope): Seen, Query(asked): Query<Asked>) -> Response {
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

fn labels(labels: &Labels) -> BTreeMap<&str, &str> {
    labels.iter().collect()
}

fn told(target: &Target, health: &Health) -> Value {
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
