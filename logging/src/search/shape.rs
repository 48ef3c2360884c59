//! Hits and warnings in the shapes of the wire.

use std::time::Instant;

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{Progress, top::Hit};
use crate::{
    index::Store,
    record::{Labels, Position, Record, StreamInfo},
    time,
    wire::{LogRecord, NodeError, Order},
};

pub(super) fn record(hit: &Hit) -> LogRecord {
    log_record(&hit.info, hit.labels.as_ref(), &hit.record, hit.position())
}

/// A record as users see it.
pub(super) fn log_record(
    info: &StreamInfo,
    labels: Option<&Labels>,
    record: &Record,
    position: Position,
) -> LogRecord {
    let body = String::from_utf8_lossy(&record.body);
    let body_base64 = matches!(body, std::borrow::Cow::Owned(_)).then(|| STANDARD.encode(&record.body));
    LogRecord {
        time: time::format(record.time),
        namespace: info.namespace.clone(),
        pod: info.pod.clone(),
        container: info.container.clone(),
        node: info.node.clone(),
        stream: record.source.name().to_owned(),
        level: record.level.name().to_owned(),
        body: body.into_owned(),
        body_base64,
        labels: labels.map(|labels| (**labels).clone()),
        restart: info.restart,
        id: position.to_string(),
    }
}

/// What is missing from an answer in this order, as sentences.
pub(super) fn partial(node: &str, store: &Store, order: Order, progress: Progress) -> Vec<NodeError> {
    let mut errors = store.broken();
    // A damaged split is in that list by now; what failed otherwise is not.
    let unnamed = progress.failed.into_iter().filter(|(split, _)| !store.is_broken(*split));
    errors.extend(unnamed.map(|(_, error)| error));
    if progress.late {
        let scanned = progress.scanned;
        let missing = match order {
            Order::Newest | Order::Last => "older",
            Order::Oldest | Order::First => "newer",
        };
        errors.push(format!(
            "time was up after {scanned} records, {missing} ones are missing: narrow the time range or the query, or give it more time by `within`"
        ));
    }
    errors.into_iter().map(|error| NodeError { node: node.to_owned(), error }).collect()
}

pub(super) fn millis(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}
