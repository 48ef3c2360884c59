//! Answers as Elasticsearch gives them. Pure.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
};

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::bulk::Item;
use crate::doors::{Kind, Outcome, Refusal, listen::with_retry_after};

/// What became of each item.
pub fn items(items: &[Item], outcome: &Outcome) -> Value {
    let mut refused: HashMap<u32, &Refusal> = HashMap::new();
    for rejected in &outcome.rejected {
        refused.extend(rejected.items.iter().map(|item| (*item, &rejected.why)));
    }
    let salt = RandomState::new().hash_one(items.len());
    let answers = (0..).zip(items).map(|(number, item)| {
        let id = item.id.clone().unwrap_or_else(|| format!("{salt:016x}{number:x}"));
        let result = match refused.get(&number) {
            Some(refusal) => json!({
                "_index": item.index,
                "_id": id,
                "status": refusal.kind.status().as_u16(),
                "error": error(refusal),
            }),
            None => json!({
                "_index": item.index,
                "_id": id,
                "_version": 1,
                "result": "created",
                "_shards": {"total": 1, "successful": 1, "failed": 0},
                "_seq_no": 0,
                "_primary_term": 1,
                "status": 201,
            }),
        };
        json!({item.action.clone(): result})
    });
    json!({"took": 0, "errors": !refused.is_empty(), "items": answers.collect::<Vec<_>>()})
}

/// A refusal of all of it.
pub fn refuse(refusal: &Refusal) -> Response {
    let error =
        json!({"root_cause": [error(refusal)], "type": kind(refusal.kind), "reason": refusal.message});
    let status = refusal.kind.status();
    let answer = respond(status, json!({"error": error, "status": status.as_u16()}));
    with_retry_after(answer, refusal.kind)
}

pub fn respond(status: StatusCode, answer: Value) -> Response {
    let head = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        // Without it the clients of Elastic refuse to go on.
        (HeaderName::from_static("x-elastic-product"), HeaderValue::from_static("Elasticsearch")),
    ];
    (status, head, answer.to_string()).into_response()
}

fn error(refusal: &Refusal) -> Value {
    json!({"type": kind(refusal.kind), "reason": refusal.message})
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Malformed | Kind::TooLarge | Kind::Unsupported | Kind::NotFound => "illegal_argument_exception",
        Kind::Unauthenticated | Kind::Forbidden => "security_exception",
        Kind::Busy => "es_rejected_execution_exception",
        Kind::Slow | Kind::Unavailable => "unavailable_shards_exception",
    }
}
