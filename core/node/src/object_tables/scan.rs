//! Reads the objects of a kind: LIST as the user, page by page, as rows are wanted.
//!
//! Bounds: one page is held.

use std::{collections::BTreeSet, sync::Arc};

use datafusion::{
    arrow::{array::RecordBatch, datatypes::SchemaRef},
    common::{DataFusionError, Result},
    execution::{SendableRecordBatchStream, TaskContext},
    physical_plan::{stream::RecordBatchStreamAdapter, streaming::PartitionStream},
};
use futures::stream;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde::Deserialize;
use serde_json::value::RawValue;
use tiphys_api::{
    auth::{Attributes, UserInfo},
    kind::Kind,
    serve::{Handler, empty},
};
use tiphys_client::with_user;
use tiphys_metrics::Wanted;

use super::{
    Source,
    columns::{self, Object},
};

/// Objects of a page.
const PAGE: usize = 500;

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
        let Source { kind, asker, .. } = &self.source;
        let own = kind.is_namespaced().then(|| self.wanted.values("namespace")).flatten();
        let may = |namespace: &str| {
            let asked = Attributes::Resource {
                verb: "list".into(),
                group: kind.group.into(),
                version: kind.version.into(),
                resource: kind.plural.into(),
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
            None if kind.is_namespaced() => self.namespaces().await?,
            None => BTreeSet::new(),
        };
        let name = &self.source.name;
        let note = match kind.is_namespaced() {
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
            let page = self.page(server.clone(), path).await?;
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
        let mut path = format!("{}?limit={PAGE}", collection(self.source.kind, namespace));
        // Not every kind can be asked by more than one name.
        if let Some(names) = self.wanted.values("name").filter(|names| names.len() == 1) {
            for name in names {
                path.push_str(&format!("&fieldSelector={}", encoded(&format!("metadata.name={name}"))));
            }
        }
        if !token.is_empty() {
            path.push_str(&format!("&continue={}", encoded(token)));
        }
        path
    }

    async fn page(&self, user: UserInfo, path: String) -> Result<Page> {
        let handler = self.source.handler.clone();
        let (status, body) = self.source.asker.outside(get(handler, user, path)).await??;
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
            let page = self.page(self.source.asker.user.clone(), path).await?;
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
    #[serde(default)]
    items: Vec<Box<RawValue>>,
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

async fn get(handler: Handler, user: UserInfo, path: String) -> Result<(StatusCode, Vec<u8>)> {
    let request = Request::get(path).body(empty()).map_err(external)?;
    let response = with_user(handler, user, request).await.map_err(external)?;
    let (head, body) = response.into_parts();
    let body = body.collect().await.map_err(DataFusionError::External)?;
    Ok((head.status, body.to_bytes().to_vec()))
}

fn collection(kind: &Kind, namespace: &str) -> String {
    let root = match kind.group {
        "" => format!("/api/{}", kind.version),
        group => format!("/apis/{group}/{}", kind.version),
    };
    match namespace {
        "" => format!("{root}/{}", kind.plural),
        namespace => format!("{root}/namespaces/{}/{}", encoded(namespace), kind.plural),
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
