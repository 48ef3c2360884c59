//! Reads the objects of a kind: LIST as the user, page by page, as rows are wanted.
//!
//! Bounds: one page is held. Who knows nothing of pages may give [`MOST`] at once.

use std::{collections::BTreeSet, sync::Arc};

use datafusion::{
    arrow::{array::RecordBatch, datatypes::SchemaRef},
    common::{DataFusionError, Result},
    execution::{SendableRecordBatchStream, TaskContext},
    physical_plan::{stream::RecordBatchStreamAdapter, streaming::PartitionStream},
};
use futures::stream;
use http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use tiphys_api::{
    auth::{Attributes, UserInfo},
    serve::{Handler, empty},
};
use tiphys_client::with_user;
use tiphys_metrics::Wanted;

use super::{
    Source,
    columns::{self, Object},
    names::Resource,
};

/// Objects of a page.
const PAGE: usize = 500;
/// Bytes of an answer of another server.
const MOST: usize = 64 << 20;

/// A scan of one kind.
#[derive(Debug, Clone)]
pub struct ObjectScan {
    source: Source,
    wanted: Wanted,
    places: Vec<usize>,
    schema: SchemaRef,
}

impl ObjectScan {
    pub fn new(source: Source, wanted: Wanted, places: Vec<usize>, schema: SchemaRef) -> Self {
        Self { source, wanted, places, schema }
    }

    /// Where to list: everywhere, or namespace by namespace.
    async fn lists(&self) -> Result<Vec<String>> {
        let Source { resource, asker, .. } = &self.source;
        let own = resource.is_namespaced.then(|| self.wanted.values("namespace")).flatten();
        let may = |namespace: &str| {
            let asked = Attributes::Resource {
                verb: "list".into(),
                group: resource.group.to_string(),
                version: resource.version.to_string(),
                resource: resource.plural.to_string(),
                subresource: String::new(),
                namespace: namespace.into(),
                name: String::new(),
            };
            asker.authorizer.authorize(&asker.user, &asked).is_ok()
        };
        if may("") {
            return Ok(own.map_or_else(|| vec![String::new()], |names| names.iter().cloned().collect()));
        }
        let candidates = match own {
            Some(names) => names.clone(),
            None if resource.is_namespaced => self.namespaces().await?,
            None => BTreeSet::new(),
        };
        let name = &self.source.name;
        let note = match resource.is_namespaced {
            true => format!("objects.{name}: only namespaces where you may list {name} are in this answer"),
            false => format!("objects.{name}: you may not list {name}"),
        };
        asker.notes.add(note);
        Ok(candidates.into_iter().filter(|namespace| may(namespace)).collect())
    }

    /// The names of all namespaces: which of them the user sees is decided by the caller.
    async fn namespaces(&self) -> Result<BTreeSet<String>> {
        let server = UserInfo::master("system:tiphys-sql");
        let mut names = BTreeSet::new();
        let mut next = Some(String::new());
        while let Some(token) = next {
            let path = format!("/api/v1/namespaces?limit={PAGE}&continue={}", encoded(&token));
            let page = self.page(server.clone(), path, false).await?;
            for item in page.items {
                #[derive(Deserialize)]
                struct Named {
                    metadata: Name,
                }
                #[derive(Deserialize)]
                struct Name {
                    name: String,
                }
                let named: Named = serde_json::from_str(item.get()).map_err(external)?;
                names.insert(named.metadata.name);
            }
            next = page.metadata.next();
        }
        Ok(names)
    }

    fn path(&self, namespace: &str, token: &str) -> String {
        let resource = &self.source.resource;
        let mut path = format!("{}?limit={PAGE}", collection(resource, namespace));
        // Not every kind can be asked by more than one name, and not everybody by a name.
        let names = self.wanted.values("name").filter(|names| names.len() == 1 && !resource.is_elsewhere);
        if let Some(names) = names {
            for name in names {
                path.push_str(&format!("&fieldSelector={}", encoded(&format!("metadata.name={name}"))));
            }
        }
        if !token.is_empty() {
            path.push_str(&format!("&continue={}", encoded(token)));
        }
        path
    }

    async fn page(&self, user: UserInfo, path: String, is_elsewhere: bool) -> Result<Page> {
        let handler = self.source.handler.clone();
        let most = if is_elsewhere { MOST } else { usize::MAX };
        let (status, body) = self.source.asker.outside(get(handler, user, path, most)).await??;
        match status {
            StatusCode::OK => serde_json::from_slice(&body).map_err(external),
            // A custom kind that was taken away while it was read has no objects.
            StatusCode::NOT_FOUND => Ok(Page::default()),
            _ => {
                let said: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
                let message = said["message"].as_str().unwrap_or("the API server gave no reason");
                Err(DataFusionError::Execution(message.to_owned()))
            }
        }
    }

    async fn step(&self, mut at: Progress) -> Result<Option<(RecordBatch, Progress)>> {
        loop {
            let Some(namespace) = at.lists.last() else { return Ok(None) };
            let path = self.path(namespace, &at.token);
            let is_elsewhere = self.source.resource.is_elsewhere;
            let page = self.page(self.source.asker.user.clone(), path, is_elsewhere).await?;
            match page.metadata.next() {
                Some(token) => at.token = token,
                None => {
                    at.lists.pop();
                    at.token.clear();
                }
            }
            if page.items.is_empty() {
                continue;
            }
            let objects: Result<Vec<Object>> = page.items.into_iter().map(Object::read).collect();
            return Ok(Some((columns::rows(&self.schema, &self.places, &objects?)?, at)));
        }
    }
}

/// What is still to be listed: namespaces, the next one last, and where in it to go on.
struct Progress {
    lists: Vec<String>,
    token: String,
}

#[derive(Default, Deserialize)]
struct Page {
    #[serde(default)]
    metadata: PageMetadata,
    /// Of an empty list, some servers have null.
    #[serde(default, deserialize_with = "or_none")]
    items: Vec<Box<RawValue>>,
}

fn or_none<'de, D: Deserializer<'de>>(items: D) -> Result<Vec<Box<RawValue>>, D::Error> {
    Ok(Option::deserialize(items)?.unwrap_or_default())
}

#[derive(Default, Deserialize)]
struct PageMetadata {
    #[serde(rename = "continue")]
    token: Option<String>,
}

impl PageMetadata {
    fn next(self) -> Option<String> {
        self.token.filter(|token| !token.is_empty())
    }
}

async fn get(handler: Handler, user: UserInfo, path: String, most: usize) -> Result<(StatusCode, Vec<u8>)> {
    let request = Request::get(path.as_str()).header(header::ACCEPT, "application/json");
    let request = request.body(empty()).map_err(external)?;
    let response = with_user(handler, user, request).await.map_err(external)?;
    let (head, mut body) = response.into_parts();
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        let failed =
            |error| DataFusionError::Execution(format!("the answer of {path} can't be read: {error}"));
        let data = frame.map_err(failed)?.into_data().unwrap_or_default();
        // What is too long is no shorter when it is asked for again.
        if read.len() + data.len() > most {
            let said = format!("the answer of {path} can't be read: {} MiB at most", most >> 20);
            return Err(DataFusionError::ResourcesExhausted(said));
        }
        read.extend_from_slice(&data);
    }
    Ok((head.status, read))
}

fn collection(resource: &Resource, namespace: &str) -> String {
    let (version, plural) = (encoded(&resource.version), encoded(&resource.plural));
    let root = match &*resource.group {
        "" => format!("/api/{version}"),
        group => format!("/apis/{}/{version}", encoded(group)),
    };
    match namespace {
        "" => format!("{root}/{plural}"),
        namespace => format!("{root}/namespaces/{}/{plural}", encoded(namespace)),
    }
}

/// A text as part of a URL.
fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(char::from(byte))
            }
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

fn external(error: impl std::error::Error + Send + Sync + 'static) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

impl PartitionStream for ObjectScan {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let scan = self.clone();
        let pages = stream::try_unfold(None, move |at| {
            let scan = scan.clone();
            async move {
                let at = match at {
                    Some(at) => at,
                    None => {
                        let mut lists = scan.lists().await?;
                        lists.reverse();
                        Progress { lists, token: String::new() }
                    }
                };
                Ok(scan.step(at).await?.map(|(rows, at)| (rows, Some(at))))
            }
        });
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), pages))
    }
}
