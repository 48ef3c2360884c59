//! Elasticsearch's `_bulk`, and what shippers ask before they use it.
//!
//! ```text
//! bulk     lines -> action and document, one pair at a time -> group: names, labels, lines
//! answer   what became of each item, in the words of Elasticsearch
//! ```
//!
//! | path | who asks |
//! |---|---|
//! | `POST`, `PUT /_bulk`, `/<index>/_bulk` | all |
//! | `GET`, `HEAD /` | Filebeat, Vector, the clients of Elastic: version and product |
//! | `GET /_license` | Filebeat; the answer is that of a build without licences |
//! | `GET /_cluster/health` | Vector's health check |
//!
//! Templates, pipelines and lifecycles aren't there: a shipper is told not to set
//! them up. A document is not looked up by its id, so one sent twice is there twice.
//! <https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-bulk>

mod answer;
mod bulk;
mod document;

use axum::{body::Body, response::Response};
use http::{HeaderMap, StatusCode};
use serde_json::json;

use super::{Door, Doors, Outcome, Refusal, body::Packing};
use answer::{refuse, respond};

/// The version that shippers see: of the last line whose `_bulk` all of them speak.
const VERSION: &str = "8.19.0";

/// Takes a bulk of documents, by default for `index`, and answers for each.
pub async fn bulk(doors: Doors, index: Option<String>, headers: HeaderMap, body: Body) -> Response {
    match take(&doors, index, &headers, body).await {
        Ok((items, outcome)) => respond(StatusCode::OK, answer::items(&items, &outcome)),
        Err(refusal) => {
            doors.refused(Door::Elasticsearch, refusal.kind);
            refuse(&refusal)
        }
    }
}

async fn take(
    doors: &Doors,
    index: Option<String>,
    headers: &HeaderMap,
    body: Body,
) -> Result<(Vec<bulk::Item>, Outcome), Refusal> {
    let visitor = doors.enter(Door::Elasticsearch, headers).await?;
    let packing = Packing::of(headers)?;
    let (bytes, hold) = doors.read(headers, body).await?;
    let decode = move |bytes: &[u8]| bulk::decode(bytes, index.as_deref());
    let (bulk, hold) = doors.decode(bytes, packing, hold, decode).await?;
    let outcome = doors.deliver(&visitor, bulk.draft, hold).await?;
    Ok((bulk.items, outcome))
}

/// `GET /`.
pub async fn about(doors: Doors, headers: HeaderMap) -> Response {
    let about = json!({
        "name": "tiphys",
        "cluster_name": "tiphys",
        "cluster_uuid": "_na_",
        "version": {
            "number": VERSION,
            "build_flavor": "default",
            "build_type": "tar",
            "build_snapshot": false,
            "lucene_version": "9.12.2",
            "minimum_wire_compatibility_version": "7.17.0",
            "minimum_index_compatibility_version": "7.0.0",
        },
        // Clients know the product by it.
        "tagline": "You Know, for Search",
    });
    known(&doors, &headers, StatusCode::OK, about).await
}

/// `GET /_cluster/health`.
pub async fn health(doors: Doors, headers: HeaderMap) -> Response {
    let health =
        json!({"cluster_name": "tiphys", "status": "green", "timed_out": false, "number_of_nodes": 1});
    known(&doors, &headers, StatusCode::OK, health).await
}

/// `GET /_license`.
pub async fn license(doors: Doors, headers: HeaderMap) -> Response {
    let none = json!({"error": "this is no build with licences", "status": 405});
    known(&doors, &headers, StatusCode::METHOD_NOT_ALLOWED, none).await
}

/// The answer, for those whose token is valid.
async fn known(
    doors: &Doors,
    headers: &HeaderMap,
    status: StatusCode,
    answer: serde_json::Value,
) -> Response {
    match doors.enter(Door::Elasticsearch, headers).await {
        Ok(_) => respond(status, answer),
        Err(refusal) => {
            doors.refused(Door::Elasticsearch, refusal.kind);
            refuse(&refusal)
        }
    }
}

/// The records of a bulk alone.
#[cfg(test)]
pub fn decode(bytes: &[u8]) -> Result<super::draft::Draft, Refusal> {
    bulk::decode(bytes, None).map(|bulk| bulk.draft)
}

#[cfg(test)]
mod tests;
