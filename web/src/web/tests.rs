//! The whole dashboard over an API handler that says who asked.

use axum::{body::Body, http::header};
use http_body_util::BodyExt;

use super::*;

/// Answers with the user and the path, as the API server would see them.
fn web() -> Web {
    let api = Handler::new(tower::service_fn(async |request: Request<tiphys_api::serve::Body>| {
        let user = request.extensions().get::<UserInfo>().map(|user| user.name.clone()).unwrap_or_default();
        let credentials =
            request.headers().keys().any(|name| name == "cookie" || name.as_str().starts_with("impersonate"));
        let text = format!("{user} {} {credentials}", request.uri());
        Ok::<_, Infallible>(http::Response::new(tiphys_api::serve::full(text)))
    }));
    Web::new(api, "http://127.0.0.1:6480".to_owned())
}

async fn send(web: &Web, method: &str, path: &str, headers: &[(&str, &str)]) -> (StatusCode, String, String) {
    let mut request = Request::builder().method(method).uri(path).header("host", "127.0.0.1:6480");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response =
        web.routes().oneshot(request.body(Body::empty()).expect("a request")).await.expect("answered");
    let status = response.status();
    let cookie = response
        .headers()
        .get(header::SET_COOKIE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("")
        .to_owned();
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    (status, cookie, String::from_utf8_lossy(&body).into_owned())
}

#[tokio::test]
async fn a_link_signs_in_once_and_the_api_sees_its_user() {
    let web = web();
    let code = web.shared.sessions.new_link(UserInfo::named("ada", &[]));
    let (status, cookie, _) = send(&web, "GET", &format!("/auth/link/{code}"), &[]).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    assert!(cookie.contains("HttpOnly"), "{cookie}");
    let cookie = cookie.split(';').next().expect("a pair").to_owned();
    let (name, secret) = cookie.split_once('=').expect("a pair");
    assert_eq!(name, "tiphys_session_6480", "another port's dashboard has a cookie of its own");
    let other = format!("tiphys_session_7000={secret}");
    let (status, _, _) = send(&web, "GET", "/auth/session", &[("cookie", &other)]).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let evil = [("cookie", cookie.as_str()), ("impersonate-user", "root"), ("authorization", "Bearer x")];
    let (_, _, seen) = send(&web, "GET", "/k8s/api/v1/pods?limit=5", &evil).await;
    assert_eq!(seen, "ada /api/v1/pods?limit=5 false");
    let (_, second, _) = send(&web, "GET", &format!("/auth/link/{code}"), &[]).await;
    assert!(second.is_empty());
    send(&web, "DELETE", "/auth/session", &[("cookie", &cookie)]).await;
    let (status, _, _) = send(&web, "GET", "/k8s/api/v1/pods", &[("cookie", &cookie)]).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn pages_come_with_their_policy_and_the_api_asks_for_a_session() {
    let web = web();
    let (status, _, page) = send(&web, "GET", "/logs", &[]).await;
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains("<title>Tiphys"), "{page}");
    let (status, _, _) = send(&web, "GET", "/assets/none.js", &[]).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let (status, _, _) = send(&web, "GET", "/k8s/api/v1/secrets", &[]).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let (status, _, _) = send(&web, "GET", "/auth/session", &[]).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}
