//! Against an API server that knows a few tokens, and counts what it is asked.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::{
    Json, Router,
    body::{Body, to_bytes},
    middleware::from_fn_with_state,
    routing::{get, post},
};
use serde_json::{Value, json};
use tiphys_api::{auth, serve::Handler};
use tower::ServiceExt;

use super::*;

/// `reader` may, `other` may not; `away` is answered by nonsense.
fn api(asked: &Arc<AtomicUsize>) -> Client {
    let (who, may) = (asked.clone(), asked.clone());
    let who = async move |Json(mut review): Json<Value>| {
        who.fetch_add(1, Ordering::Relaxed);
        let token = review["spec"]["token"].as_str().unwrap_or_default().to_owned();
        review["status"] = match token.as_str() {
            "reader" | "other" => {
                let user = json!({"username": token, "groups": ["g"], "extra": {"e": ["x"]}});
                json!({"authenticated": true, "user": user})
            }
            "away" => json!(7),
            _ => json!({"authenticated": false, "error": "it has expired"}),
        };
        Json(review)
    };
    let may = async move |Json(mut review): Json<Value>| {
        may.fetch_add(1, Ordering::Relaxed);
        let spec = &review["spec"];
        let mut wanted = json!({"verb": "get", "version": "v1", "name": "n1"});
        wanted["resource"] = json!("nodes");
        wanted["subresource"] = json!("metrics");
        assert_eq!(spec["resourceAttributes"], wanted);
        assert_eq!((&spec["groups"], &spec["extra"]["e"]), (&json!(["g"]), &json!(["x"])));
        let allowed = spec["user"] == "reader";
        review["status"] = json!({"allowed": allowed});
        Json(review)
    };
    let router = Router::new()
        .route("/apis/authentication.k8s.io/v1/tokenreviews", post(who))
        .route("/apis/authorization.k8s.io/v1/subjectaccessreviews", post(may));
    let service = tower::service_fn(move |request: http::Request<tiphys_api::serve::Body>| {
        let router = router.clone();
        async move {
            let response = router.oneshot(request.map(Body::new)).await?;
            Ok(response.map(tiphys_api::serve::boxed))
        }
    });
    tiphys_client::in_memory(Handler::new(service), auth::UserInfo::master("kubelet"))
}

/// Figures behind the door.
fn door(asked: &Arc<AtomicUsize>) -> Router {
    let access = Arc::new(Access::new(api(asked), "n1".to_owned()));
    Router::new().route("/metrics", get(async || "figures")).layer(from_fn_with_state(access, admit))
}

async fn ask(door: &Router, path: &str, authorization: Option<&str>) -> (StatusCode, String) {
    let mut request = http::Request::get(path);
    if let Some(authorization) = authorization {
        request = request.header(header::AUTHORIZATION, authorization);
    }
    let request = request.body(Body::empty()).expect("a request");
    let response = door.clone().oneshot(request).await.expect("an answer");
    let status = response.status();
    let body = to_bytes(response.into_body(), 1 << 16).await.expect("a body");
    (status, String::from_utf8_lossy(&body).into_owned())
}

#[tokio::test]
async fn abuse_20_a_token_reads_figures_where_its_owner_may_and_nothing_else() {
    let asked = Arc::new(AtomicUsize::new(0));
    let door = door(&asked);
    for _ in 0..3 {
        let read = (StatusCode::OK, "figures".to_owned());
        assert_eq!(ask(&door, "/metrics", Some("Bearer reader")).await, read);
        assert_eq!(ask(&door, "/metrics", Some("bearer  reader")).await, read);
        let (status, why) = ask(&door, "/metrics", Some("Bearer other")).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
        assert!(why.contains("`other`") && why.contains("nodes/metrics"), "{why}");
        for wrong in ["Bearer wrong", "Bearer ", "Bearer", "Basic cmVhZGVy", "reader"] {
            assert_eq!(ask(&door, "/metrics", Some(wrong)).await.0, StatusCode::UNAUTHORIZED, "{wrong}");
        }
        for path in ["/metrics", "/pods", "/exec/ns/web/a"] {
            assert_eq!(ask(&door, path, None).await.0, StatusCode::UNAUTHORIZED, "{path}");
        }
        assert_eq!(ask(&door, "/pods", Some("Bearer reader")).await.0, StatusCode::NOT_FOUND);
    }
    assert_eq!(asked.load(Ordering::Relaxed), 5, "each question is asked once");
    for _ in 0..2 {
        assert_eq!(ask(&door, "/metrics", Some("Bearer away")).await.0, StatusCode::SERVICE_UNAVAILABLE);
    }
    assert_eq!(asked.load(Ordering::Relaxed), 7, "no answer is not remembered");
}

#[tokio::test]
async fn what_is_remembered_is_bounded() {
    let asked = Arc::new(AtomicUsize::new(0));
    let access = Access::new(api(&asked), "n1".to_owned());
    for number in 0..REMEMBERED + 10 {
        assert_eq!(access.verdict(&format!("wrong {number}")).await, Ok(Verdict::Nobody));
        assert!(access.verdicts.lock().len() <= REMEMBERED);
    }
}

#[tokio::test(start_paused = true)]
async fn abuse_20_a_right_that_was_taken_away_ends() {
    let asked = Arc::new(AtomicUsize::new(0));
    let door = door(&asked);
    for expected in [2, 4] {
        for _ in 0..2 {
            assert_eq!(ask(&door, "/metrics", Some("Bearer reader")).await.0, StatusCode::OK);
            assert_eq!(asked.load(Ordering::Relaxed), expected);
        }
        tokio::time::advance(HOLDS).await;
    }
    for expected in [6, 8] {
        assert_eq!(ask(&door, "/metrics", Some("Bearer other")).await.0, StatusCode::FORBIDDEN);
        assert_eq!(asked.load(Ordering::Relaxed), expected);
        tokio::time::advance(REFUSAL_HOLDS).await;
    }
}

#[tokio::test]
async fn abuse_33_wrong_tokens_take_no_right_ones_place() {
    let asked = Arc::new(AtomicUsize::new(0));
    let door = door(&asked);
    assert_eq!(ask(&door, "/metrics", Some("Bearer reader")).await.0, StatusCode::OK);
    for number in 0..2 * REMEMBERED {
        let wrong = format!("Bearer wrong-{number}");
        assert_eq!(ask(&door, "/metrics", Some(&wrong)).await.0, StatusCode::UNAUTHORIZED);
    }
    let before = asked.load(Ordering::Relaxed);
    assert_eq!(ask(&door, "/metrics", Some("Bearer reader")).await.0, StatusCode::OK);
    assert_eq!(asked.load(Ordering::Relaxed), before, "it was asked about again");
}
