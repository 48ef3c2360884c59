//! The audit log around a request: from its arrival to the end of its answer.
//!
//! A panic in a verb ends here, too: it is recorded, and the client gets a 500
//! where its connection would have broken.

use std::{panic::AssertUnwindSafe, sync::Arc};

use futures::FutureExt;
use http::{Request, Response, header};
use http_body_util::BodyExt;
use serde_json::Value;
use tiphys_api::{
    auth::UserInfo,
    serve::{Body, full},
};

use super::{
    AskedBy, Audit,
    body::Followed,
    policy::{Level, Stage},
    recorder::{Recorder, is_long_running, with_id},
};
use crate::{
    request::{
        accept::{self, Format},
        info::Target,
        yaml,
    },
    respond,
    status::ApiError,
};

/// Answers a request by `work`, with all that the policy wants of it in the log.
pub async fn around<F>(
    audit: Option<&Arc<Audit>>,
    target: Option<&Target>,
    mut request: Request<Body>,
    work: impl FnOnce(Request<Body>) -> F,
) -> Response<Body>
where
    F: Future<Output = Response<Body>>,
{
    let format = accept::format(accept::header(request.headers()));
    let recorder = audit.and_then(|audit| Recorder::begin(audit, target, &request));
    let Some(recorder) = recorder else {
        return caught(work(request)).await.unwrap_or_else(|()| broken(format));
    };
    if recorder.level() == Level::RequestResponse {
        // The answer is read here, so it has to come as text.
        request.headers_mut().remove(header::ACCEPT_ENCODING);
    }
    request.extensions_mut().insert(recorder.clone());
    recorder.write(Stage::RequestReceived).await;
    let Ok(response) = caught(work(request)).await else {
        let response = broken(format);
        recorder.response(response.status(), None);
        recorder.write(Stage::Panic).await;
        return with_id(&recorder, response);
    };
    let response = with_id(&recorder, response);
    if is_long_running(target) && response.status().is_success() {
        recorder.response(response.status(), None);
        recorder.write(Stage::ResponseStarted).await;
        return response.map(|body| Followed::new(body, recorder).boxed());
    }
    let of_resource = matches!(target, Some(Target::Resource(_)));
    let response =
        if of_resource { read(&recorder, response, format).await } else { only_code(&recorder, response) };
    recorder.write(Stage::ResponseComplete).await;
    response
}

/// A request that came no further than its credentials, or whom it wanted to act as.
pub async fn refused(
    audit: Option<&Arc<Audit>>,
    target: Option<&Target>,
    user: Option<UserInfo>,
    request: &mut Request<Body>,
    error: &ApiError,
) {
    let Some(audit) = audit else { return };
    let known = user.is_some();
    if let Some(user) = user {
        request.extensions_mut().insert(user.clone());
        request.extensions_mut().insert(AskedBy(user));
    }
    let Some(recorder) = Recorder::begin(audit, target, request) else { return };
    if known {
        recorder.authorized(false, "");
    }
    recorder.response(error.code, Some(error.to_value()));
    recorder.write(if known { Stage::ResponseComplete } else { Stage::ResponseStarted }).await;
}

async fn caught(work: impl Future<Output = Response<Body>>) -> Result<Response<Body>, ()> {
    AssertUnwindSafe(work).catch_unwind().await.map_err(|_| tracing::error!("request panicked"))
}

fn broken(format: Format) -> Response<Body> {
    let message = "This request caused apiserver to panic. Look in the logs for details.";
    respond::error(&ApiError::internal(message), format)
}

fn only_code(recorder: &Recorder, response: Response<Body>) -> Response<Body> {
    recorder.response(response.status(), None);
    response
}

/// Reads the answer where its document belongs into the record: errors always, others at the highest level.
async fn read(recorder: &Recorder, response: Response<Body>, format: Format) -> Response<Body> {
    let failed = response.status().is_client_error() || response.status().is_server_error();
    let content_type = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let parse: fn(&[u8]) -> Option<Value> = match content_type.unwrap_or_default() {
        text if text.starts_with("application/json") => |bytes| serde_json::from_slice(bytes).ok(),
        text if text.starts_with("application/yaml") => {
            |bytes| std::str::from_utf8(bytes).ok().and_then(|text| yaml::read(text).ok())
        }
        text if text.starts_with("application/vnd.kubernetes.protobuf") => {
            |bytes| crate::protobuf::decode(bytes).ok()
        }
        _ => return only_code(recorder, response),
    };
    if !failed && recorder.level() != Level::RequestResponse {
        return only_code(recorder, response);
    }
    let (parts, body) = response.into_parts();
    let bytes = match body.collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(error) => return only_code(recorder, respond::error(&ApiError::internal(error), format)),
    };
    recorder.response(parts.status, parse(&bytes));
    Response::from_parts(parts, full(bytes))
}
