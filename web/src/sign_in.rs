//! Signing in: by a one-time link, or by a bearer token of the cluster.
//!
//! The session is a cookie that scripts can't read and other sites don't send.
//! Browsers keep one set of cookies for all ports of a machine, so its name holds
//! the port: the dashboards of two clusters don't sign each other's users out.

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use http_body_util::BodyExt;
use serde::Deserialize;
use serde_json::{Value, json};
use tiphys_api::{
    auth::UserInfo,
    serve::{BoxError, full},
};

use crate::web::Web;

/// The session's cookie at a dashboard's address.
fn cookie_name(base_url: &str) -> String {
    let port = base_url.rsplit_once(':').map_or("", |(_, port)| port);
    format!("tiphys_session_{}", port.trim_end_matches('/'))
}

/// `GET /auth/link/{code}`: uses the link up and goes to the first page.
pub async fn by_link(State(web): State<Web>, Path(code): Path<String>) -> Response {
    match web.shared.sessions.use_link(&code) {
        Some(user) => with_session(&web, user, Redirect::to("/").into_response()),
        None => Redirect::to("/sign-in?link=used").into_response(),
    }
}

#[derive(Deserialize)]
pub struct Token {
    token: String,
}

/// `POST /auth/token` with `{"token": "..."}`.
pub async fn by_token(State(web): State<Web>, Json(Token { token }): Json<Token>) -> Response {
    match review(&web, token.trim()).await {
        Ok(Some(user)) => {
            let answer = Json(json!({"user": user.name})).into_response();
            with_session(&web, user, answer)
        }
        Ok(None) => {
            (StatusCode::UNAUTHORIZED, Json(json!({"error": "the cluster does not know this token"})))
                .into_response()
        }
        Err(error) => {
            tracing::warn!(%error, "a token could not be looked up");
            (StatusCode::BAD_GATEWAY, Json(json!({"error": "the token could not be looked up"})))
                .into_response()
        }
    }
}

/// `GET /auth/session`: who is signed in.
pub async fn session(State(web): State<Web>, headers: HeaderMap) -> Response {
    match user(&web, &headers) {
        Some(user) => Json(json!({"user": user.name, "groups": user.groups})).into_response(),
        None => (StatusCode::UNAUTHORIZED, Json(json!({"error": "not signed in"}))).into_response(),
    }
}

/// `DELETE /auth/session`.
pub async fn sign_out(State(web): State<Web>, headers: HeaderMap) -> Response {
    if let Some(secret) = secret(&web, &headers) {
        web.shared.sessions.close(secret);
    }
    let name = cookie_name(&web.shared.base_url);
    let mut response = StatusCode::NO_CONTENT.into_response();
    set_cookie(&mut response, &format!("{name}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict"));
    response
}

/// Who a request's cookie belongs to.
pub fn user(web: &Web, headers: &HeaderMap) -> Option<UserInfo> {
    web.shared.sessions.user(secret(web, headers)?)
}

fn secret<'h>(web: &Web, headers: &'h HeaderMap) -> Option<&'h str> {
    let own = cookie_name(&web.shared.base_url);
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs =
        cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == own).map(|(_, secret)| secret)
}

fn with_session(web: &Web, user: UserInfo, mut response: Response) -> Response {
    let secret = web.shared.sessions.open(user);
    let name = cookie_name(&web.shared.base_url);
    // A link is opened from outside: Strict would not send the cookie on the page it leads to.
    set_cookie(&mut response, &format!("{name}={secret}; Path=/; HttpOnly; SameSite=Lax"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn set_cookie(response: &mut Response, cookie: &str) {
    if let Ok(value) = HeaderValue::from_str(cookie) {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
}

/// Asks the API server whose token this is.
async fn review(web: &Web, token: &str) -> Result<Option<UserInfo>, BoxError> {
    let body =
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}});
    let mut request = http::Request::post("/apis/authentication.k8s.io/v1/tokenreviews")
        .header(header::CONTENT_TYPE, "application/json")
        .body(full(body.to_string()))?;
    request.extensions_mut().insert(UserInfo::master("system:tiphys-dashboard"));
    let response = web.shared.call(request).await;
    if !response.status().is_success() {
        return Err(format!("the API server answered {}", response.status()).into());
    }
    let bytes = response.into_body().collect().await?.to_bytes();
    Ok(reviewed(&serde_json::from_slice(&bytes)?))
}

fn reviewed(review: &Value) -> Option<UserInfo> {
    let status = &review["status"];
    if status["authenticated"] != true {
        return None;
    }
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(|text| Some(text.as_str()?.to_owned())).collect()
    };
    let extra = status["user"]["extra"].as_object().into_iter().flatten();
    Some(UserInfo {
        name: status["user"]["username"].as_str()?.to_owned(),
        uid: status["user"]["uid"].as_str().unwrap_or_default().to_owned(),
        groups: texts(&status["user"]["groups"]),
        extra: extra.map(|(key, values)| (key.clone(), texts(values))).collect(),
    })
}
