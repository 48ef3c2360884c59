//! What rules there are and how they do, as Prometheus' API tells it:
//! <https://prometheus.io/docs/prometheus/latest/querying/api/#rules>.

use axum::{
    Extension, Json, Router,
    extract::{Query, State},
    routing::get,
};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use tiphys_api::auth::{SharedAuthorizer, UserInfo};

use super::{Health, Rules, Standing};
use crate::{promql::PREFIX, scope::Scope};

#[derive(Clone)]
struct Door {
    rules: Rules,
    authorizer: SharedAuthorizer,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Wanted {
    /// `record` or `alert`.
    r#type: String,
}

pub fn routes(rules: Rules, authorizer: SharedAuthorizer) -> Router {
    Router::new().route(&format!("{PREFIX}/api/v1/rules"), get(list)).with_state(Door { rules, authorizer })
}

/// Those of the namespaces that the user sees.
async fn list(
    State(door): State<Door>,
    Extension(user): Extension<UserInfo>,
    Query(wanted): Query<Wanted>,
) -> Json<Value> {
    let scope = Scope::of(user, door.authorizer);
    let standing: Vec<_> = door.rules.0.lock().values().cloned().collect();
    let seen =
        standing.iter().filter(|one| wanted.r#type != "alert" && scope.sees_namespace(&one.group.place.0));
    let groups: Vec<_> = seen.map(|one| told(one)).collect();
    Json(json!({ "status": "success", "data": { "groups": groups } }))
}

fn told(standing: &Standing) -> Value {
    let group = &standing.group;
    let health = standing.health.lock().clone();
    let rules = group.rules.iter().zip(&health).map(|(rule, health)| {
        let mut told = json!({
            "type": "recording", "name": rule.record, "query": rule.query, "labels": rule.labels,
            "health": word(health), "evaluationTime": health.took.as_secs_f64(), "lastEvaluation": time(health),
        });
        if !health.error.is_empty() {
            told["lastError"] = health.error.clone().into();
        }
        told
    });
    let rules: Vec<_> = rules.collect();
    let took: f64 = health.iter().map(|one| one.took.as_secs_f64()).sum();
    json!({
        "name": group.place.2, "file": format!("{}/{}", group.place.0, group.place.1), "rules": rules,
        "interval": group.interval.as_secs_f64(), "limit": group.limit, "evaluationTime": took,
        "lastEvaluation": health.last().map(time),
    })
}

fn word(health: &Health) -> &'static str {
    match (health.at, health.error.is_empty()) {
        (_, false) => "err",
        (Some(_), true) => "ok",
        (None, true) => "unknown",
    }
}

/// Go's zero time stands for never.
fn time(health: &Health) -> String {
    let at = health.at.and_then(|at| Timestamp::try_from(at).ok());
    at.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), |at| at.to_string())
}
