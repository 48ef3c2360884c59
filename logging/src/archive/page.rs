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
    #[serde(default)]
    records: Vec<Placed>,
}

#[derive(Deserialize)]
struct Placed {
    id: String,
}

/// Whether a page has all that can stand next to the cursor in its stream: numbers without a
/// gap, as many as were asked for, or down to the stream's first.
fn is_filled(request: &NodeRequest, records: &[Placed]) -> bool {
    let at = request.cursor.as_deref().and_then(|cursor| cursor.parse::<Position>().ok());
    let (Some(at), Some(limit)) = (at, request.limit) else { return false };
    let mut numbers: Vec<u64> =
        records.iter().filter_map(|record| Some(record.id.parse::<Position>().ok()?.seq)).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let count = limit as u64;
    match request.order {
        Order::Last => numbers.into_iter().eq(at.seq.saturating_sub(count)..at.seq),
        // A cursor is a client's word: it may be of the last number there is.
        Order::First => {
            let first = at.seq.saturating_add(1);
            numbers.into_iter().eq(first..first.saturating_add(count))
        }
        Order::Newest | Order::Oldest => false,
    }
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
    if page.as_ref().is_some_and(|page| is_filled(request, &page.records)) {
        // Of no namespace: nothing is left.
        left.namespaces = Some(Vec::new());
        return left;
    }
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
    fn neighbours_without_a_gap_leave_nothing() {
        let check = |order, at: u64, found: &[u64], expected: bool| {
            let place = |seq| Position { time: 5, stream: "s".into(), seq }.to_string();
            let request =
                NodeRequest { order, cursor: Some(place(at)), limit: Some(3), ..NodeRequest::default() };
            let records: Vec<_> =
                found.iter().map(|seq| serde_json::json!({ "id": place(*seq), "body": "" })).collect();
            let answer = serde_json::json!({ "records": records }).to_string();
            let left = narrowed("/v1/search", &request, answer.as_bytes());
            assert_eq!(left.namespaces == Some(Vec::new()), expected, "{order:?} {at} {found:?}");
        };
        check(Order::Last, 9, &[8, 7, 6], true);
        check(Order::Last, 9, &[8, 7], false);
        check(Order::Last, 9, &[8, 6, 5], false);
        check(Order::Last, 2, &[1, 0], true);
        check(Order::Last, 0, &[], true);
        check(Order::First, 9, &[10, 11, 12], true);
        check(Order::First, 9, &[10, 11], false);
        check(Order::First, 9, &[11, 12, 13], false);
        check(Order::Newest, 9, &[8, 7, 6], false);
    }

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
