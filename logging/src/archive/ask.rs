//! A question to the archived splits of a node, answered as the node would.
//!
//! Bounds: what fits into the cache, of all nodes together, in the order of the answer, and
//! the time that fetching may take; what is left out is named. A page is asked for piece by
//! piece, and no more is fetched than it takes to fill it. While the archive doesn't say what
//! it has, nothing is fetched: what is on the disk answers.

use std::{cmp::Reverse, collections::BTreeMap, collections::BTreeSet, sync::Arc, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{Method, Request, header};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use tokio::time::Instant;
use tower::ServiceExt;

use super::{
    Archive, ArchiveError, ArchivedSplit, NodeIndex,
    catalog::{Fault, Known},
    chain, page, wire,
};
use crate::{
    index::{Floors, Store},
    query,
    record::Position,
    serve::Service,
    time,
    wire::{NodeRequest, Order},
};

/// Splits that are waited for at a time.
const FETCHES: usize = 4;

/// Which splits of a node are asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    All,
    /// All but those that the node answered from.
    Beyond {
        store: String,
        holds: Vec<(u64, u64)>,
    },
}

impl Wanted {
    fn has(&self, split: &ArchivedSplit) -> bool {
        match self {
            Self::All => true,
            Self::Beyond { store, holds } => split.store != *store || !wire::contains(holds, split.id),
        }
    }
}

/// A question to what is archived of a node.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    pub node: &'a str,
    pub wanted: &'a Wanted,
    /// A path that collectors serve, and its request.
    pub path: &'a str,
    pub request: &'a NodeRequest,
    /// How long fetching may take.
    pub within: Duration,
}

/// Takes in an answer.
pub type Take<'a> = &'a mut (dyn FnMut(Result<Bytes, String>) + Send);

/// What there was at a moment, for one question; ask of it, so that nothing is counted twice.
#[derive(Clone)]
pub struct Moment {
    known: Arc<Known>,
    fault: Option<Fault>,
    room: Arc<Room>,
}

impl Moment {
    /// Nodes that have something archived, or whose index can't be read.
    pub fn nodes(&self) -> Vec<String> {
        self.known.nodes.keys().chain(self.known.faults.keys()).cloned().collect()
    }

    /// What is archived of a node.
    pub fn index(&self, node: &str) -> Option<&NodeIndex> {
        self.known.nodes.get(node).map(|index| &**index)
    }

    /// Namespaces that have something archived.
    pub fn namespaces(&self) -> Vec<String> {
        let splits = self.known.nodes.values().flat_map(|index| &index.splits);
        let names: BTreeSet<&String> = splits.flat_map(|split| split.namespaces.keys()).collect();
        names.into_iter().cloned().collect()
    }

    /// Why this is not what there is now, but what was known last.
    pub fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }
}

/// What of the cache a question may take, of all nodes together.
struct Room {
    limit: u64,
    left: Mutex<u64>,
}

impl Room {
    fn new(limit: u64) -> Self {
        // Of nothing it could not be told that it is taken.
        let limit = limit.max(1);
        Self { limit, left: Mutex::new(limit) }
    }

    /// How many of the first of these fit; they have their room from now on.
    fn take(&self, splits: &[ArchivedSplit], most: usize) -> usize {
        let mut left = self.left.lock();
        // One at least: the cache takes any one split.
        let is_whole = *left == self.limit;
        let fits = |(at, split): &(usize, &ArchivedSplit)| {
            let fits = split.bytes() <= *left || (*at == 0 && is_whole);
            *left = if fits { left.saturating_sub(split.bytes()) } else { *left };
            fits
        };
        splits.iter().take(most).enumerate().take_while(fits).count()
    }
}

impl Archive {
    /// What is archived now; where it doesn't say so in time, what was known last.
    pub async fn moment(&self) -> Moment {
        let (known, fault) = self.inner.catalog.look().await;
        Moment { known, fault, room: Arc::new(Room::new(self.inner.cache.limit())) }
    }

    /// Gives what a node's archived splits answer, as it comes: answers as JSON, and sentences
    /// on what is missing.
    pub async fn ask(&self, moment: &Moment, asked: &Asked<'_>, take: Take<'_>) {
        let Asked { node, wanted, path, request, within } = *asked;
        if let Some(fault) = moment.known.faults.get(node) {
            take(Err(format!("what the archive has of the node can't be read: {fault}")));
        }
        let Some(index) = moment.known.nodes.get(node) else { return };
        // A query that can't be read is refused by who runs it.
        let times = query::parse(&request.query).map(|query| query.within(time::now())).unwrap_or_default();
        let may_have = |split: &&ArchivedSplit| {
            wanted.has(split) && may_have(split, request) && times.touches(split.min_time, split.max_time)
        };
        let mut splits: Vec<&ArchivedSplit> = index.splits.iter().filter(may_have).collect();
        let mut until = Instant::now() + within;
        if moment.fault.is_some() {
            until = Instant::now();
            let is_here = |split: &&ArchivedSplit| self.inner.cache.here(node, split).is_some();
            let (here, away): (Vec<_>, Vec<_>) = splits.into_iter().partition(is_here);
            splits = here;
            self.inner.shared.counts.missing.inc_by(away.len() as u64);
            out_of_reach(&away, request).into_iter().for_each(|away| take(Err(away)));
        }
        match request.order {
            Order::Newest | Order::Last => splits.sort_unstable_by_key(|split| Reverse(split.max_time)),
            Order::Oldest | Order::First => splits.sort_unstable_by_key(|split| split.min_time),
        }
        // Numbers of splits mean something in one store only.
        let mut by_store: BTreeMap<&str, Vec<ArchivedSplit>> = BTreeMap::new();
        splits.into_iter().for_each(|split| by_store.entry(&split.store).or_default().push(split.clone()));
        let question = Question {
            archive: self,
            node,
            path,
            floors: Arc::new(self.floors(&moment.known)),
            room: &moment.room,
            until,
        };
        let mut open = request.clone();
        for splits in by_store.into_values() {
            question.ask_all(splits, &mut open, take).await;
        }
    }
}

/// What is asked of a node's splits.
struct Question<'a> {
    archive: &'a Archive,
    node: &'a str,
    path: &'a str,
    floors: Arc<Floors>,
    room: &'a Room,
    /// From then on nothing more is fetched.
    until: Instant,
}

impl Question<'_> {
    /// Asks splits of one store, in the order of the answer. Where that has pages, only as many
    /// as a page takes: `open` is what is left of the question.
    async fn ask_all(&self, mut splits: Vec<ArchivedSplit>, open: &mut NodeRequest, take: Take<'_>) {
        let at_once = if page::has_pages(self.path) { FETCHES } else { usize::MAX };
        loop {
            splits.retain(|split| may_have(split, open));
            let n_fitting = self.room.take(&splits, at_once);
            if n_fitting == 0 {
                self.archive.inner.shared.counts.unread.inc_by(splits.len() as u64);
                left_out(&splits, open).into_iter().for_each(|left| take(Err(left)));
                return;
            }
            let asked = splits.drain(..n_fitting).collect();
            let got = self.ask_some(asked, open).await;
            for answer in got.iter().flatten() {
                *open = page::narrowed(self.path, open, answer);
            }
            got.into_iter().for_each(&mut *take);
        }
    }

    async fn ask_some(
        &self,
        splits: Vec<ArchivedSplit>,
        request: &NodeRequest,
    ) -> Vec<Result<Bytes, String>> {
        let inner = &self.archive.inner;
        let (cache, objects, node, until) = (&inner.cache, inner.catalog.nodes(), self.node, self.until);
        let fetch = |split: ArchivedSplit| {
            let (cache, objects, node) = (cache.clone(), objects.clone(), node.to_owned());
            async move {
                let slow = || Arc::new(ArchiveError::Slow);
                // To ask for a split begins its fetch, however little time there is for it.
                let got = if Instant::now() < until {
                    let got = tokio::time::timeout_at(until, cache.get(&objects, &node, &split)).await;
                    got.unwrap_or_else(|_| Err(slow()))
                } else {
                    cache.here(&node, &split).ok_or_else(slow)
                };
                match got {
                    Ok(copy) => Ok((split, copy)),
                    Err(error) => Err((split, error)),
                }
            }
        };
        let fetched: Vec<_> = stream::iter(splits).map(fetch).buffered(FETCHES).collect().await;
        let mut answers = Vec::new();
        let (mut sound, mut copies) = (Vec::new(), Vec::new());
        for fetched in fetched {
            match fetched {
                Ok((archived, split)) => {
                    copies.push((archived, split.clone()));
                    sound.push(split);
                }
                Err((split, error)) => {
                    inner.shared.counts.missing.inc();
                    answers.push(Err(missing(&split, request, &error)));
                }
            }
        }
        if sound.is_empty() {
            return answers;
        }
        let store = Arc::new(Store::of_splits(sound, self.floors.clone()));
        answers.push(self.answer(store.clone(), request).await);
        // Here it is the copy that is damaged, since it was sound when it came: fetched again next time.
        for (split, copy) in copies.iter().filter(|(split, _)| store.is_broken(split.id)) {
            cache.forget_damaged(node, split, copy);
        }
        answers
    }

    async fn answer(&self, store: Arc<Store>, request: &NodeRequest) -> Result<Bytes, String> {
        let body = serde_json::to_vec(request).map_err(|error| error.to_string())?;
        let request = Request::builder()
            .method(Method::POST)
            .uri(self.path)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body))
            .map_err(|error| error.to_string())?;
        let questions = Service::of_archive(store, self.node, &self.archive.inner.shared);
        let Ok(response) = questions.oneshot(request).await;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
        match status.is_success() {
            true => Ok(body),
            false => Err(format!("archive answered {status}: {}", String::from_utf8_lossy(&body).trim())),
        }
    }
}

/// How far clocks are trusted: records of a stream come in the order of their times, but for
/// a clock that was set back by less than this.
const CLOCK_STEP: i64 = 24 * 3600 * time::SECOND;

/// The first and last times of what may be seen of a split: of the namespaces asked for.
fn spans<'a>(split: &'a ArchivedSplit, request: &'a NodeRequest) -> impl Iterator<Item = (i64, i64)> + 'a {
    let whole = request.namespaces.is_none().then_some((split.min_time, split.max_time));
    let parts = request.namespaces.iter().flatten().filter_map(|name| split.namespaces.get(name));
    whole.into_iter().chain(parts.map(|part| (part.min_time, part.max_time)))
}

/// Whether a record of the split can be asked for.
fn may_have(split: &ArchivedSplit, request: &NodeRequest) -> bool {
    let cursor = request.cursor.as_deref().and_then(|cursor| cursor.parse::<Position>().ok());
    spans(split, request).any(|(min_time, max_time)| {
        request.since.is_none_or(|since| max_time >= since)
            && request.until.is_none_or(|until| min_time < until)
            && cursor.as_ref().is_none_or(|cursor| match request.order {
                Order::Newest => min_time <= cursor.time,
                Order::Oldest => max_time >= cursor.time,
                Order::Last => min_time <= cursor.time.saturating_add(CLOCK_STEP),
                Order::First => max_time >= cursor.time.saturating_sub(CLOCK_STEP),
            })
    })
}

/// `FROM to TO` of what may be seen of a split.
fn times_of(split: &ArchivedSplit, request: &NodeRequest) -> String {
    let from = spans(split, request).map(|(from, _)| from).min().unwrap_or_default();
    let to = spans(split, request).map(|(_, to)| to).max().unwrap_or_default();
    format!("{} to {}", time::format(from), time::format(to))
}

/// A sentence on splits that the cache has no room for.
fn left_out(splits: &[ArchivedSplit], request: &NodeRequest) -> Option<String> {
    let times = times_of(splits.first()?, request);
    let count = splits.len();
    Some(format!(
        "{count} archived splits were not looked into, the first with records of {times}: narrow the time range"
    ))
}

/// A sentence on splits that are nowhere but in an archive that doesn't say what it has.
fn out_of_reach(splits: &[&ArchivedSplit], request: &NodeRequest) -> Option<String> {
    let times = times_of(splits.first()?, request);
    let count = splits.len();
    Some(format!("{count} archived splits can't be had now, the first with records of {times}: ask again"))
}

/// A sentence on a split that can't be had. How many records it has is of all namespaces, and
/// told only to who may see them.
fn missing(split: &ArchivedSplit, request: &NodeRequest, error: &ArchiveError) -> String {
    let (times, cause) = (times_of(split, request), chain(error));
    match request.namespaces {
        None => format!("{} archived records of {times} are missing: {cause}", split.records),
        Some(_) => format!("archived records of {times} are missing: {cause}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::wire::{Part, SplitInfo};

    const DAY: i64 = 24 * 3600 * time::SECOND;

    /// Days 10 to 20 of shop, 12 to 14 of bank.
    fn split() -> ArchivedSplit {
        let part = |from: i64, to: i64| Part { min_time: from * DAY, max_time: to * DAY, bytes: 1 };
        let namespaces = [("shop".to_owned(), part(10, 20)), ("bank".to_owned(), part(12, 14))].into();
        let (min_time, max_time) = (10 * DAY, 20 * DAY);
        ArchivedSplit::new(
            "s",
            &SplitInfo { min_time, max_time, records: 77, namespaces, ..SplitInfo::default() },
        )
    }

    #[test]
    fn only_splits_are_asked_that_may_have_a_record() {
        let check = |request: NodeRequest, expected: bool| {
            assert_eq!(may_have(&split(), &request), expected, "{request:?}");
        };
        let of = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
        let around = |order, day: i64| NodeRequest {
            order,
            cursor: Some(Position { time: day * DAY, stream: "u/c/0".into(), seq: 9 }.to_string()),
            namespaces: of(&["bank"]),
            ..NodeRequest::default()
        };
        check(NodeRequest::default(), true);
        check(NodeRequest { namespaces: of(&["eve"]), ..NodeRequest::default() }, false);
        check(NodeRequest { since: Some(15 * DAY), ..NodeRequest::default() }, true);
        check(
            NodeRequest { since: Some(15 * DAY), namespaces: of(&["bank"]), ..NodeRequest::default() },
            false,
        );
        check(
            NodeRequest { until: Some(12 * DAY), namespaces: of(&["bank", "eve"]), ..NodeRequest::default() },
            false,
        );
        for (order, day, expected) in [
            (Order::Newest, 11, false),
            (Order::Newest, 12, true),
            (Order::Oldest, 15, false),
            // A clock may have been set.
            (Order::Last, 11, true),
            (Order::Last, 10, false),
            (Order::Last, 30, true),
            (Order::First, 15, true),
            (Order::First, 16, false),
            (Order::First, 1, true),
        ] {
            check(around(order, day), expected);
        }
    }

    #[test]
    fn all_nodes_share_the_room_of_a_question() {
        let of = |bytes: u64| ArchivedSplit {
            files: vec![crate::index::FileSum { name: "blocks".into(), size: bytes, crc: 0 }],
            ..split()
        };
        let room = Room::new(100);
        assert_eq!(room.take(&[of(40), of(30), of(20)], 2), 2);
        assert_eq!(room.take(&[of(40), of(10)], 2), 0, "in the order of the answer");
        assert_eq!(room.take(&[of(30), of(1)], 2), 1);
        // Whatever one split has, it is searched, but not a second one.
        for limit in [0, 10] {
            let room = Room::new(limit);
            assert_eq!((room.take(&[of(40), of(40)], 2), room.take(&[of(40)], 1)), (1, 0), "{limit}");
        }
    }

    #[test]
    fn abuse_30_what_is_missing_tells_of_what_may_be_seen() {
        let seen = NodeRequest { namespaces: Some(vec!["bank".into()]), ..NodeRequest::default() };
        let told = missing(&split(), &seen, &ArchiveError::Slow);
        assert!(!told.contains("77") && told.contains("1970-01-13T00"), "{told}");
        let left = left_out(&[split()], &seen).expect("a sentence");
        assert!(left.contains("1970-01-13T00") && !left.contains("1970-01-11"), "{left}");
        let away = out_of_reach(&[&split()], &seen).expect("a sentence");
        assert!(away.contains("1970-01-13T00") && !away.contains("1970-01-11"), "{away}");
        let all = missing(&split(), &NodeRequest::default(), &ArchiveError::Slow);
        assert!(all.contains("77 archived records of 1970-01-11T00"), "{all}");
    }
}
