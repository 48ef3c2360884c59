//! What is left of a question for one page when some of the answers are there. Pure.

use serde::Deserialize;

use crate::{
    record::Position,
    wire::{NodeRequest, Order},
};

/// Of an answer, whether there is more, and from where.
#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    cursor: Option<String>,
}

/// Whether answers of this path are pages of records.
pub fn has_pages(path: &str) -> bool {
    path == "/v1/search"
}

/// The question after this answer: when its page is full, what lies beyond its end belongs
/// to a later page, whoever has it.
pub fn narrowed(path: &str, request: &NodeRequest, answer: &[u8]) -> NodeRequest {
    let mut left = request.clone();
    if !has_pages(path) {
        return left;
    }
    let page = serde_json::from_slice::<Page>(answer).ok();
    let Some(end) = page.and_then(|page| page.cursor?.parse::<Position>().ok()) else { return left };
    match request.order {
        Order::Newest => left.since = left.since.max(Some(end.time)),
        Order::Oldest => {
            let until = end.time.saturating_add(1);
            left.until = Some(left.until.map_or(until, |before| before.min(until)));
        }
        // In one stream, where times say nothing of the order.
        Order::Last | Order::First => {}
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_page_leaves_only_what_is_before_its_end() {
        let check = |order, cursor: Option<i64>, expected: (Option<i64>, Option<i64>)| {
            let request = NodeRequest { order, since: Some(10), until: Some(90), ..NodeRequest::default() };
            let cursor = cursor.map(|time| Position { time, stream: "s".into(), seq: 0 }.to_string());
            let answer = serde_json::json!({ "records": [], "cursor": cursor }).to_string();
            let left = narrowed("/v1/search", &request, answer.as_bytes());
            assert_eq!((left.since, left.until), expected, "{order:?} {cursor:?}");
            assert_eq!(narrowed("/v1/facets", &request, answer.as_bytes()), request);
        };
        check(Order::Newest, None, (Some(10), Some(90)));
        check(Order::Newest, Some(50), (Some(50), Some(90)));
        check(Order::Newest, Some(5), (Some(10), Some(90)));
        check(Order::Oldest, Some(50), (Some(10), Some(51)));
        check(Order::Last, Some(50), (Some(10), Some(90)));
    }
}
