//! What holds of every answer, and of the server after many of them.

use std::time::Duration;

use futures::{FutureExt, future::poll_immediate};
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tiphys_api::{
    kinds,
    serve::{Body, empty, full},
};

use super::{
    super::harness::{Answer, Harness, MAPS, read},
    requests::{Asked, collection, segment},
};
use crate::{
    protobuf,
    request::{options, yaml},
};

/// No answer takes longer, however busy the machine is.
pub const LIMIT: Duration = Duration::from_secs(120);

/// Sends the request and looks at what comes back; says what is wrong with it.
pub async fn ask(api: &Harness, asked: &Asked) -> Result<(), String> {
    let Some(request) = request(asked) else { return Ok(()) };
    let answered = std::panic::AssertUnwindSafe(answered(api, asked, request)).catch_unwind();
    match tokio::time::timeout(LIMIT, answered).await {
        Ok(Ok(answer)) => judge(asked, &answer),
        Ok(Err(_)) => Err("the server panicked".into()),
        Err(_) => Err(format!("no answer within {LIMIT:?}")),
    }
}

/// `None` for what no HTTP library would hand on.
fn request(asked: &Asked) -> Option<Request<Body>> {
    let mut request = Request::builder().method(asked.method.clone()).uri(&asked.uri);
    for (name, value) in [("content-type", asked.media), ("accept", &asked.accept)] {
        if !value.is_empty() {
            request = request.header(name, value);
        }
    }
    let body = if asked.body.is_empty() { empty() } else { full(asked.body.clone()) };
    request.body(body).ok()
}

async fn answered(api: &Harness, asked: &Asked, request: Request<Body>) -> Answer {
    let query = asked.uri.split_once('?').map_or("", |(_, query)| query);
    let response = api.send(request).await;
    let watch = options::is_watch(query) && matches!(asked.method, Method::GET | Method::HEAD);
    if watch && response.status() == 200 { begun(response).await } else { read(response).await }
}

/// What a watch says at once: it has no end to wait for.
async fn begun(response: Response<Body>) -> Answer {
    let (parts, mut body) = response.into_parts();
    let mut bytes = Vec::new();
    while let Some(Some(Ok(frame))) = poll_immediate(body.frame()).await {
        bytes.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Answer { code: parts.status.as_u16(), headers: parts.headers, text, bytes: bytes.into() }
}

fn judge(asked: &Asked, answer: &Answer) -> Result<(), String> {
    let code = answer.code;
    let wrong = |what: &str| Err(format!("{what}: {code} {:?}", answer.text));
    if code < 400 {
        let Ok(content) = decoded(answer) else { return wrong("no document") };
        return if content.is_null() || content.is_object() { Ok(()) } else { wrong("no object") };
    }
    // A health check that fails says so in words.
    let Ok(status) = decoded(answer) else { return wrong("no Status") };
    // What can't be applied has no reason, as upstream.
    let untyped = code == 500
        && status["message"]
            .as_str()
            .is_some_and(|why| why.starts_with("failed to create typed patch object"));
    let is_status = status["kind"] == "Status"
        && status["apiVersion"] == "v1"
        && status["status"] == "Failure"
        && status["code"] == code
        && (untyped || status["reason"].as_str().is_some_and(|reason| !reason.is_empty()))
        && status["message"].as_str().is_some_and(|message| !message.is_empty());
    if !is_status {
        return wrong("no proper Status");
    }
    match (code, status["reason"].as_str()) {
        (..500, _) => Ok(()),
        (500, None | Some("")) if untyped => Ok(()),
        // A version that never comes was waited for.
        (504, Some("Timeout")) => Ok(()),
        // Nobody is behind a proxied Service.
        (503, Some("ServiceUnavailable")) if asked.uri.contains("/proxy") => Ok(()),
        _ => wrong("a fault of the server"),
    }
}

/// The body by its Content-Type; null for a type that isn't ours.
fn decoded(answer: &Answer) -> Result<Value, String> {
    let content_type =
        answer.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
    match content_type.split(';').next().unwrap_or_default() {
        _ if answer.bytes.is_empty() => Ok(Value::Null),
        "application/json" if answer.text.contains("}\n{") => {
            let last = answer.text.lines().last().unwrap_or_default();
            serde_json::from_str(last).map_err(|error| error.to_string())
        }
        "application/json" => serde_json::from_str(&answer.text).map_err(|error| error.to_string()),
        "application/yaml" => yaml::read(&answer.text).map_err(|error| format!("{error:?}")),
        "application/vnd.kubernetes.protobuf" if !content_type.contains("stream=watch") => {
            protobuf::decode(&answer.bytes).map_err(|error| format!("{error:?}"))
        }
        _ => Ok(Value::Null),
    }
}

/// The server goes on: an object is made, changed, listed, and goes.
pub async fn serves(api: &Harness) {
    let path = format!("{MAPS}/alive");
    api.config_map("alive", json!({"probe": "alive"}), json!({})).await;
    api.patch(&path, "merge", &json!({"data": {"k": "v"}})).await.expect(200);
    let list = api.get(&format!("{MAPS}?labelSelector=probe%3Dalive")).await.expect(200);
    assert_eq!(list["items"][0]["data"]["k"], "v");
    api.delete(&path).await.expect(200);
}

/// What is wrong with the objects that were let in: each can be shown in every form, and is good
/// enough to be written again, which changes nothing.
pub async fn what_is_bad(api: &Harness) -> Vec<String> {
    let mut bad = Vec::new();
    for kind in kinds::all().iter().filter(|kind| kind.is_stored() && kind.verbs.contains(&"list")) {
        let path = collection(kind);
        let list = api.get(&path).await.expect(200);
        let items = list["items"].as_array().expect("items");
        for accept in [TABLE, PROTOBUF] {
            let other = api.get_as(&path, accept).await;
            let shown = decoded(&other).unwrap_or_default();
            let n = shown.get("rows").or(shown.get("items")).and_then(Value::as_array).map_or(0, Vec::len);
            if n != items.len() {
                bad.push(format!("{n} of {} {} as {accept}: {}", items.len(), kind.plural, other.text));
            }
        }
        for item in items.iter().filter(|_| kind.verbs.contains(&"update")) {
            let name = item["metadata"]["name"].as_str().expect("a name");
            let again = api.put(&format!("{path}/{}", segment(name)), item).await;
            let version = &item["metadata"]["resourceVersion"];
            if again.code != 200 || again.json()["metadata"]["resourceVersion"] != *version {
                bad.push(format!("{item} when it is written again: {}", again.text));
            }
        }
    }
    bad
}

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf,application/json";
