//! The audit log around a request: from its arrival to the end of its answer.
//!
//! A panic in a verb ends here, too: it is recorded, and the client gets a 500
//! where its connection would have broken. A client that goes before it has its
//! answer ends the work with it, and is recorded, too.
//!
//! Of an answer that is larger than any object ([`LIMIT`]), or that comes through
//! from a kubelet, a Pod, a Service or an extension server, the log has the code only.

use std::{panic::AssertUnwindSafe, sync::Arc};

use bytes::BytesMut;
use futures::{FutureExt, StreamExt, stream};
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, BodyStream, StreamBody};
use serde_json::Value;
use tiphys_api::{
    auth::UserInfo,
    serve::{Body, boxed, full},
};

use super::{
    AskedBy, Audit, PassedOn,
    body::Followed,
    ending::{Ending, Upgraded},
    policy::{Level, Stage},
    recorder::{Recorder, is_long_running, is_stream, with_id},
};
use crate::{
    request::{
        accept::{self, Format},
        body::LIMIT,
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
    let recorder = match audit.map(|audit| Recorder::begin(audit, target, &request)).transpose() {
        Ok(recorder) => recorder.flatten(),
        Err(closed) => return respond::error(&closed, format),
    };
    let Some(recorder) = recorder else {
        return caught(work(request)).await.unwrap_or_else(|()| broken(format));
    };
    let ending = Ending::of(&recorder);
    if recorder.level() == Level::RequestResponse {
        // The answer is read here, so it has to come as text.
        request.headers_mut().remove(header::ACCEPT_ENCODING);
    }
    request.extensions_mut().insert(recorder.clone());
    recorder.write(Stage::RequestReceived).await;
    let (response, stage) = match caught(work(request)).await {
        Ok(response) if is_long_running(target) && goes_on(&response) => {
            recorder.response(response.status(), None);
            recorder.write(Stage::ResponseStarted).await;
            return follow(with_id(&recorder, response), ending);
        }
        // What comes through from elsewhere may have no end.
        Ok(response) if is_stream(target) || response.extensions().get::<PassedOn>().is_some() => {
            (only_code(&recorder, response), Stage::ResponseComplete)
        }
        Ok(response) if matches!(target, Some(Target::Resource(_))) => {
            (read(&recorder, response, format).await, Stage::ResponseComplete)
        }
        Ok(response) => (only_code(&recorder, response), Stage::ResponseComplete),
        Err(()) => (only_code(&recorder, broken(format)), Stage::Panic),
    };
    recorder.write(stage).await;
    ending.recorded();
    with_id(&recorder, response)
}

fn goes_on(response: &Response<Body>) -> bool {
    response.status().is_success() || response.status() == StatusCode::SWITCHING_PROTOCOLS
}

/// The request ends with its upgraded connection, or with the body of its answer.
fn follow(mut response: Response<Body>, ending: Ending) -> Response<Body> {
    match response.extensions_mut().remove::<Upgraded>() {
        Some(connection) => {
            connection.ends_with_it(ending);
            response
        }
        None => response.map(|body| Followed::new(body, ending).boxed()),
    }
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
    // It gets no answer that a log would have to hold back.
    let Ok(Some(recorder)) = Recorder::begin(audit, target, request) else { return };
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
    let (parts, mut body) = response.into_parts();
    let (mut frames, mut bytes) = (Vec::new(), BytesMut::new());
    while let Some(frame) = body.frame().await {
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => return only_code(recorder, respond::error(&ApiError::internal(error), format)),
        };
        bytes.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
        frames.push(Ok(frame));
        if bytes.len() > LIMIT {
            let body = stream::iter(frames).chain(BodyStream::new(body));
            return only_code(recorder, Response::from_parts(parts, boxed(StreamBody::new(body))));
        }
    }
    recorder.response(parts.status, parse(&bytes));
    Response::from_parts(parts, full(bytes))
}
