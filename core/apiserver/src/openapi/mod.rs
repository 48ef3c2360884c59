//! `/openapi/v2` and `/openapi/v3`: schemas and paths of what is served.
//!
//! The documents come from the schemas of the kinds. kubectl reads v3 to decide
//! on server-side validation (the query parameter `fieldValidation` of a PATCH)
//! and on patches; v2 is there for tools and older clients, as JSON and in the
//! protobuf form that kubectl asks for. Who takes v3 only in protobuf gets 406.
//! Of extension servers v2 has what they say merged in; their v3 documents are passed on.

mod paths;
mod v2;
mod v2_protobuf;
mod v3;

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use http::{HeaderMap, Response};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tiphys_api::{kind::Kind, serve::Body};

use crate::{
    aggregation::{Aggregation, swagger},
    discovery::{hash, tagged, with_tag},
    registry::{Registry, Resource},
    request::accept::{self, clauses},
    status::{ApiError, Result},
};

/// A document that was made once.
#[derive(Clone)]
struct Document {
    text: Bytes,
    hash: String,
}

impl Document {
    fn of(value: &Value) -> Self {
        Self::new(value.to_string().into())
    }

    fn new(text: Bytes) -> Self {
        Self { hash: hash(&text), text }
    }
}

/// Documents by group and version, made when they are first asked for, and again when
/// what is served has changed: of those whose kinds are as they were nothing is made anew.
pub struct OpenApi {
    registry: Arc<Registry>,
    made: Mutex<Arc<Documents>>,
}

/// All documents of one state of the registry.
#[derive(Default)]
struct Documents {
    v3: BTreeMap<String, (Vec<Arc<Resource>>, Document)>,
    v2: OnceLock<Document>,
    v2_protobuf: OnceLock<Document>,
    resources: Vec<Arc<Resource>>,
    /// The v2 documents of extension servers.
    extensions: Vec<Arc<Value>>,
}

fn same<T>(one: &[Arc<T>], other: &[Arc<T>]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| Arc::ptr_eq(one, other))
}

impl Documents {
    fn of(resources: Vec<Arc<Resource>>, extensions: Vec<Arc<Value>>, before: &Self) -> Self {
        let mut groups: BTreeMap<String, Vec<Arc<Resource>>> = BTreeMap::new();
        for resource in &resources {
            groups.entry(root(resource.kind)).or_default().push(resource.clone());
        }
        let document = |(path, resources): (String, Vec<Arc<Resource>>)| {
            let known = before.v3.get(&path).filter(|(known, _)| same(known, &resources));
            let document = match known {
                Some((_, document)) => document.clone(),
                None => Document::of(&v3::document(&path, &resources)),
            };
            (path, (resources, document))
        };
        let v3 = groups.into_iter().map(document).collect();
        Self { v3, v2: OnceLock::new(), v2_protobuf: OnceLock::new(), resources, extensions }
    }

    /// The v2 document of everything.
    fn v2(&self) -> Value {
        let mut document = v2::document(&self.resources);
        self.extensions.iter().for_each(|theirs| swagger::merge(&mut document, theirs));
        document
    }
}

impl OpenApi {
    pub fn new(registry: Arc<Registry>) -> Self {
        Self { registry, made: Mutex::default() }
    }

    fn documents(&self, aggregation: &Aggregation) -> Arc<Documents> {
        let resources = self.registry.all();
        let extensions: Vec<Arc<Value>> =
            aggregation.all_seen().into_iter().filter_map(|(_, seen)| seen.openapi_v2.clone()).collect();
        let mut made = self.made.lock();
        if !same(&made.resources, &resources) || !same(&made.extensions, &extensions) {
            *made = Arc::new(Documents::of(resources, extensions, &made));
        }
        made.clone()
    }

    /// Answers below `/openapi`; None for other paths.
    pub fn answer(
        &self,
        path: &str,
        headers: &HeaderMap,
        aggregation: &Aggregation,
    ) -> Option<Result<Response<Body>>> {
        let rest = path.strip_prefix("/openapi/")?;
        let documents = self.documents(aggregation);
        Some(match rest.trim_end_matches('/') {
            "v2" => v2_answer(&documents, headers),
            "v3" => index(&documents, headers, aggregation),
            rest => match rest.strip_prefix("v3/") {
                Some(group_version) => v3_answer(&documents, group_version, headers),
                None => Err(ApiError::no_such_path()),
            },
        })
    }
}

fn v2_answer(documents: &Documents, headers: &HeaderMap) -> Result<Response<Body>> {
    for clause in clauses(accept::header(headers)) {
        let (document, content_type) = match clause.media_type.as_str() {
            "application/json" | "application/*" | "*/*" => {
                (documents.v2.get_or_init(|| Document::of(&documents.v2())), "application/json")
            }
            v2_protobuf::MEDIA_TYPE | v2_protobuf::OLD_MEDIA_TYPE => {
                let make = || Document::new(v2_protobuf::encode(&documents.v2()).into());
                (documents.v2_protobuf.get_or_init(make), v2_protobuf::MEDIA_TYPE)
            }
            _ => continue,
        };
        return Ok(with_tag(headers, content_type, document.text.clone(), &document.hash));
    }
    Err(ApiError::not_acceptable(&["application/json", v2_protobuf::OLD_MEDIA_TYPE, v2_protobuf::MEDIA_TYPE]))
}

/// Where the documents are. Those of extension servers are where their servers say.
fn index(documents: &Documents, headers: &HeaderMap, aggregation: &Aggregation) -> Result<Response<Body>> {
    json_accepted(headers)?;
    let entry = |(path, (_, document)): (&String, &(Vec<Arc<Resource>>, Document))| {
        let url = format!("/openapi/v3/{path}?hash={}", document.hash);
        (path.clone(), json!({ "serverRelativeURL": url }))
    };
    let mut paths: serde_json::Map<String, Value> = documents.v3.iter().map(entry).collect();
    for service in &aggregation.table().remote {
        let path = service.path().trim_start_matches('/').to_owned();
        match aggregation.seen(service).and_then(|seen| seen.openapi_v3.clone()) {
            Some(url) => paths.insert(path, json!({ "serverRelativeURL": url })),
            // What was served here before isn't any more.
            None => paths.remove(&path),
        };
    }
    Ok(tagged(headers, "application/json", &json!({ "paths": paths })))
}

fn v3_answer(documents: &Documents, group_version: &str, headers: &HeaderMap) -> Result<Response<Body>> {
    json_accepted(headers)?;
    let (_, document) = documents.v3.get(group_version).ok_or_else(ApiError::no_such_path)?;
    Ok(with_tag(headers, "application/json", document.text.clone(), &document.hash))
}

/// Where a kind's group and version are served, without the first slash: `api/v1`, `apis/apps/v1`.
fn root(kind: &Kind) -> String {
    match kind.group {
        "" => format!("api/{}", kind.version),
        group => format!("apis/{group}/{}", kind.version),
    }
}

fn json_accepted(headers: &HeaderMap) -> Result<()> {
    let json = |media_type: &str| matches!(media_type, "application/json" | "application/*" | "*/*");
    if clauses(accept::header(headers)).iter().any(|clause| json(&clause.media_type)) {
        return Ok(());
    }
    Err(ApiError::not_acceptable(&["application/json"]))
}
