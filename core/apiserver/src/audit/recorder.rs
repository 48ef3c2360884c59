//! The record of one request while it is answered. It travels in the request's
//! extensions; who knows something of the request tells it.

use std::sync::Arc;

use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tiphys_api::{
    auth::{Attributes, UserInfo},
    serve::Body,
};

use super::{
    AskedBy, Audit, Said, Source,
    event::{Event, ObjectRef, now},
    matching::Verdict,
    policy::{Level, Stage},
    redact,
    writer::Entrance,
};
use crate::{
    protobuf,
    request::{
        body,
        info::{RequestInfo, Target},
    },
    status::{ApiError, Result},
};

const DECISION: &str = "authorization.k8s.io/decision";
const REASON: &str = "authorization.k8s.io/reason";
const USER_AGENT_LIMIT: usize = 1024;

/// Clones write to one record.
#[derive(Clone)]
pub struct Recorder {
    shared: Arc<Shared>,
}

struct Shared {
    lines: Entrance,
    verdict: Verdict,
    resource: String,
    is_patch: bool,
    event: Mutex<Event>,
}

impl Recorder {
    /// `None` where the policy wants nothing of the request.
    ///
    /// # Errors
    /// The policy does, and the log is closed: 503.
    pub fn begin(
        audit: &Arc<Audit>,
        target: Option<&Target>,
        request: &Request<Body>,
    ) -> Result<Option<Self>> {
        let user = request.extensions().get::<UserInfo>().cloned().unwrap_or_default();
        let asked_by = request.extensions().get::<AskedBy>().map(|asked| asked.0.clone());
        let attributes = attributes(target, request);
        let verdict = audit.policy.verdict(asked_by.as_ref().unwrap_or(&user), &attributes);
        let Some(verdict) = verdict else { return Ok(None) };
        let lines = audit.queue.entrance().ok_or_else(|| {
            ApiError::unavailable("the audit log is closed: this server is ending, ask again later")
        })?;
        let mut event = Event::new();
        event.level = verdict.level.name();
        event.audit_id = audit_id(request.headers());
        event.request_uri =
            request.uri().path_and_query().map_or_else(String::new, |uri| redact::uri(uri.as_str()));
        event.user_agent = user_agent(request.headers());
        event.source_ips = sources(request);
        event.request_received_timestamp = now();
        (event.user, event.impersonated_user) = match asked_by {
            Some(asked_by) => (asked_by.into(), Some(user.into())),
            None => (user.into(), None),
        };
        for (key, text) in request.extensions().get::<Said>().into_iter().flat_map(|said| &said.0) {
            event.annotations.insert((*key).into(), text.clone());
        }
        let (Attributes::Resource { verb, .. } | Attributes::NonResource { verb, .. }) = &attributes;
        event.verb.clone_from(verb);
        let mut resource = String::new();
        if let Some(Target::Resource(info)) = target {
            event.object_ref = Some(object_ref(info));
            resource.clone_from(&info.resource);
        }
        let is_patch = request.method() == Method::PATCH;
        let event = Mutex::new(event);
        Ok(Some(Self { shared: Arc::new(Shared { lines, verdict, resource, is_patch, event }) }))
    }

    pub fn level(&self) -> Level {
        self.shared.verdict.level
    }

    /// The value for the response's header `Audit-ID`.
    pub fn audit_id(&self) -> String {
        self.shared.event.lock().audit_id.clone()
    }

    pub fn annotate(&self, annotations: impl IntoIterator<Item = (String, String)>) {
        self.shared.event.lock().annotations.extend(annotations);
    }

    /// What the authorizer said first.
    pub fn authorized(&self, allowed: bool, reason: &str) {
        let mut event = self.shared.event.lock();
        if !event.annotations.contains_key(DECISION) {
            event.annotations.insert(DECISION.into(), if allowed { "allow" } else { "forbid" }.into());
            event.annotations.insert(REASON.into(), reason.into());
        }
    }

    /// The request's body, when it is an object or a patch.
    pub fn request_body(&self, headers: &HeaderMap, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let whole = self.level() >= Level::Request;
        if !self.shared.is_patch
            && let Some(found) = named_in(bytes)
        {
            let mut event = self.shared.event.lock();
            event.object_ref.get_or_insert_default().complete(found);
        }
        if !whole {
            return;
        }
        let document = match self.shared.is_patch {
            true => body::from_yaml(bytes),
            false => body::decode(headers, bytes),
        };
        let shown = document.ok().and_then(|document| self.shown(document));
        self.shared.event.lock().request_object = shown;
    }

    /// The answer's code, and its document, if it was read.
    pub fn response(&self, code: StatusCode, document: Option<Value>) {
        let mut status = Map::from_iter([("metadata".to_owned(), json!({}))]);
        if let Some(document) = document.as_ref().filter(|document| document["kind"] == "Status") {
            for key in ["status", "message", "reason", "details"] {
                if let Some(value) = document.get(key) {
                    status.insert(key.into(), value.clone());
                }
            }
        }
        status.insert("code".into(), code.as_u16().into());
        let whole = self.level() == Level::RequestResponse;
        let shown = document.filter(|_| whole).and_then(|document| self.shown(document));
        let mut event = self.shared.event.lock();
        event.response_status = Some(status.into());
        event.response_object = shown;
    }

    /// Where there is no answer to tell of, that it found no one.
    pub fn closed_early(&self) {
        let early = || json!({"metadata": {}, "message": "Connection closed early"});
        self.shared.event.lock().response_status.get_or_insert_with(early);
    }

    fn shown(&self, document: Value) -> Option<Value> {
        let is_patch = self.shared.is_patch && document["kind"].is_null();
        let mut shown = redact::document(&self.shared.resource, is_patch, document)?;
        if self.shared.verdict.omit_managed_fields {
            redact::managed_fields(&mut shown);
        }
        Some(shown)
    }

    /// Writes the record as it is now; waits while the log is behind.
    pub async fn write(&self, stage: Stage) {
        if let Some(line) = self.line(stage) {
            self.shared.lines.send(line).await;
        }
    }

    /// As [`Recorder::write`], where nobody can wait.
    pub fn write_later(&self, stage: Stage) {
        if let Some(line) = self.line(stage) {
            self.shared.lines.send_later(line);
        }
    }

    fn line(&self, stage: Stage) -> Option<Vec<u8>> {
        if !self.shared.verdict.writes(stage) {
            return None;
        }
        let mut event = self.shared.event.lock();
        event.stage = stage.name();
        event.stage_timestamp = match stage {
            Stage::RequestReceived => event.request_received_timestamp.clone(),
            _ => now(),
        };
        Some(event.line())
    }
}

/// Whether the answer of a request goes on while somebody listens.
pub fn is_long_running(target: Option<&Target>) -> bool {
    is_stream(target) || matches!(target, Some(Target::Resource(info)) if info.verb == "watch")
}

pub fn is_stream(target: Option<&Target>) -> bool {
    matches!(target, Some(Target::Resource(info)) if info.is_stream())
}

/// The response with the record's number, by which it is found in the log.
pub fn with_id(recorder: &Recorder, mut response: Response<Body>) -> Response<Body> {
    if let Ok(id) = recorder.audit_id().parse() {
        response.headers_mut().insert("audit-id", id);
    }
    response
}

fn attributes(target: Option<&Target>, request: &Request<Body>) -> Attributes {
    match target {
        Some(Target::Resource(info)) => Attributes::Resource {
            verb: info.verb.into(),
            group: info.group.clone(),
            version: info.version.clone(),
            resource: info.resource.clone(),
            subresource: info.subresource.clone(),
            namespace: info.namespace.clone(),
            name: info.name.clone(),
        },
        _ => Attributes::NonResource {
            verb: request.method().as_str().to_ascii_lowercase(),
            path: request.uri().path().to_owned(),
        },
    }
}

fn object_ref(info: &RequestInfo) -> ObjectRef {
    ObjectRef {
        resource: info.resource.clone(),
        namespace: info.namespace.clone(),
        name: info.name.clone(),
        api_group: info.group.clone(),
        api_version: info.version.clone(),
        subresource: info.subresource.clone(),
        ..ObjectRef::default()
    }
}

impl ObjectRef {
    /// What the path didn't say, out of the object itself.
    fn complete(&mut self, found: Named) {
        for (mine, theirs) in [
            (&mut self.namespace, found.namespace),
            (&mut self.name, found.name),
            (&mut self.uid, found.uid),
            (&mut self.resource_version, found.resource_version),
        ] {
            if mine.is_empty() {
                *mine = theirs;
            }
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Named {
    namespace: String,
    name: String,
    uid: String,
    resource_version: String,
}

/// The names in an object's metadata, in JSON or protobuf, without reading the rest of it.
fn named_in(bytes: &[u8]) -> Option<Named> {
    #[derive(Deserialize)]
    struct Object {
        metadata: Named,
    }
    if let Some(metadata) = protobuf::metadata(bytes) {
        return serde_json::from_value(metadata).ok();
    }
    serde_json::from_slice::<Object>(bytes).ok().map(|object| object.metadata)
}

/// The client's number of the request, if it sent a sane one.
fn audit_id(headers: &HeaderMap) -> String {
    let given = headers.get("audit-id").and_then(|id| id.to_str().ok());
    match given.filter(|id| !id.is_empty() && id.len() <= 64) {
        Some(id) => id.to_owned(),
        None => uuid::Uuid::new_v4().to_string(),
    }
}

fn user_agent(headers: &HeaderMap) -> String {
    let Some(agent) = headers.get(header::USER_AGENT) else { return String::new() };
    let agent = String::from_utf8_lossy(agent.as_bytes());
    match agent.char_indices().nth(USER_AGENT_LIMIT) {
        Some((end, _)) => format!("{}...TRUNCATED", &agent[..end]),
        None => agent.into_owned(),
    }
}

/// Proxies on the way, as they say, and who the connection is with.
fn sources(request: &Request<Body>) -> Vec<String> {
    let headers = request.headers();
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let named = text("x-forwarded-for").split(',').chain([text("x-real-ip")]);
    let named = named.filter_map(|address| address.trim().parse::<std::net::IpAddr>().ok());
    let connected = request.extensions().get::<Source>().map(|source| source.0);
    let mut all: Vec<String> = Vec::new();
    for address in named.chain(connected) {
        let address = address.to_string();
        if !all.contains(&address) {
            all.push(address);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_both_encodings() {
        let map = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "data": {"name": "no"},
            "metadata": {"name": "sandpiper", "namespace": "shore", "labels": {"a": "b"}},
        });
        let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 3});
        let named = |bytes: &[u8]| named_in(bytes).map(|found| (found.namespace, found.name));
        let expected = Some(("shore".to_owned(), "sandpiper".to_owned()));
        assert_eq!(named(map.to_string().as_bytes()), expected);
        assert_eq!(named(&protobuf::encode(&map).expect("a message")), expected);
        assert_eq!(named(options.to_string().as_bytes()), None);
        assert_eq!(named(&protobuf::encode(&options).expect("a message")), None);
        assert_eq!(named(b"k8s\0nonsense"), None);
    }
}
