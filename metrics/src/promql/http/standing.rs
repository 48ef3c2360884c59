//! What clients ask to find out whom they talk to.

use axum::response::Response;
use serde_json::json;

use super::reply::Reply;

/// The version of Prometheus whose language and API these are; Grafana decides by it what
/// it may ask for.
const SPEAKS: &str = "3.0.0";

pub async fn build() -> Response {
    let build = json!({
        "version": SPEAKS, "revision": format!("tiphys-{}", env!("CARGO_PKG_VERSION")), "branch": "",
        "buildUser": "", "buildDate": "", "goVersion": "",
    });
    Reply::of(build.to_string()).response()
}

pub async fn runtime() -> Response {
    Reply::of(json!({ "reloadConfigSuccess": true, "corruptionCount": 0 }).to_string()).response()
}

/// Alerting rules are not evaluated: there are none.
pub async fn alerts() -> Response {
    Reply::of(r#"{"alerts":[]}"#).response()
}

pub async fn healthy() -> &'static str {
    "healthy\n"
}
