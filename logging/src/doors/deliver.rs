//! What is the same at every door: who it is, what may be read, where it goes.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use axum::body::Body;
use bytes::Bytes;
use http::HeaderMap;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::{
    Budget, Door, Gate, Hold, Inlet, Kind, Refusal, Sender,
    body::{self, Packing},
    draft::{Draft, Group, Line, MAX_RECORDS, MAX_STREAMS, Rejected},
    gate,
    streams::Streams,
};
use crate::{
    collector::Known,
    metric_names::{ByDoor, Capped, Metrics, Refused},
    parse,
    record::{Record, Source},
    time,
    wal::Pushed,
};

/// Requests that are decoded at once; more wait.
const DECODING: usize = 2;
/// How often the log says who sends too much.
const WARN: Duration = Duration::from_secs(60);

/// What all doors share. Clones share it.
#[derive(Clone)]
pub struct Doors(Arc<Shared>);

struct Shared {
    gate: Arc<dyn Gate>,
    /// Knows what namespaces want of records; without it nobody says anything.
    known: Option<Known>,
    inlet: Inlet,
    budget: Budget,
    decoding: Arc<Semaphore>,
    node: String,
    streams: Mutex<Streams>,
    warned: Mutex<Option<Instant>>,
    metrics: Metrics,
}

/// A sender at a door, and the namespace it asks for.
#[derive(Debug, Clone)]
pub struct Visitor {
    pub door: Door,
    pub sender: Sender,
    pub asked: Option<String>,
}

/// What became of a request's records.
#[derive(Debug, Default)]
pub struct Outcome {
    pub taken: u64,
    pub rejected: Vec<Rejected>,
}

impl Outcome {
    pub fn rejected_records(&self) -> u64 {
        self.rejected.iter().map(|rejected| rejected.items.len() as u64).sum()
    }

    /// Why the first of them was rejected.
    pub fn first(&self) -> Option<&Refusal> {
        self.rejected.first().map(|rejected| &rejected.why)
    }

    /// The refusal of all of it, if nothing was taken.
    pub fn refusal(&self) -> Option<&Refusal> {
        self.first().filter(|_| self.taken == 0)
    }
}

impl Doors {
    pub fn new(
        gate: Arc<dyn Gate>,
        known: Option<Known>,
        inlet: Inlet,
        budget: Budget,
        node: &str,
        metrics: Metrics,
    ) -> Self {
        Self(Arc::new(Shared {
            gate,
            known,
            inlet,
            budget,
            decoding: Arc::new(Semaphore::new(DECODING)),
            node: node.to_owned(),
            streams: Mutex::default(),
            warned: Mutex::default(),
            metrics,
        }))
    }

    /// Who knocks, by a request's headers.
    pub async fn enter(&self, door: Door, headers: &HeaderMap) -> Result<Visitor, Refusal> {
        let sender = self.0.gate.who(&gate::token(headers)?).await?;
        Ok(Visitor { door, sender, asked: gate::asked_namespace(headers).map(str::to_owned) })
    }

    /// The bytes of a request's body, and the memory they take.
    pub async fn read(&self, headers: &HeaderMap, body: Body) -> Result<(Vec<u8>, Hold), Refusal> {
        let mut hold = self.0.budget.hold();
        let bytes = body::read(headers, body, &mut hold).await?;
        Ok((bytes, hold))
    }

    /// Unpacks and understands a request on a thread that may block.
    pub async fn decode<T: Send + 'static>(
        &self,
        bytes: Vec<u8>,
        packing: Packing,
        mut hold: Hold,
        decode: impl FnOnce(&[u8]) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<(T, Hold), Refusal> {
        let stopping = || Refusal::unavailable("the collector is stopping: send again");
        let turn = self.0.decoding.clone().acquire_owned().await.map_err(|_| stopping())?;
        let work = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let plain = body::unpack(bytes, packing, &mut hold)?;
            // The records are held beside what they are made of.
            hold.grow_to_blocking(2 * plain.len())?;
            Ok((decode(&plain)?, hold))
        });
        work.await.map_err(|_| stopping())?
    }

    /// Brings the records where they may go; they are durable when this returns.
    pub async fn deliver(&self, visitor: &Visitor, draft: Draft, hold: Hold) -> Result<Outcome, Refusal> {
        let mut outcome = Outcome { taken: 0, rejected: draft.rejected };
        let mut decided: HashMap<Option<String>, Result<String, Refusal>> = HashMap::new();
        let mut admitted = Vec::new();
        for group in draft.groups.into_iter().filter(|group| !group.lines.is_empty()) {
            let decision = match decided.get(&group.namespace) {
                Some(decision) => decision.clone(),
                None => {
                    let decision = self.admit(visitor, group.namespace.as_deref()).await;
                    decided.insert(group.namespace.clone(), decision.clone());
                    decision
                }
            };
            match decision {
                Ok(namespace) => admitted.push((namespace, group)),
                // A question that wasn't answered is no no: all of it comes again.
                Err(refusal) if refusal.kind.is_temporary() => return Err(refusal),
                Err(why) => {
                    let items = group.lines.iter().map(|line| line.item).collect();
                    outcome.rejected.push(Rejected { items, why });
                }
            }
        }
        self.store(visitor.door, admitted, outcome, hold).await
    }

    /// The same for a sender that the configuration lets in, into its namespace.
    pub async fn deliver_from(
        &self,
        door: Door,
        namespace: &str,
        draft: Draft,
        bytes: usize,
    ) -> Result<Outcome, Refusal> {
        let mut hold = self.0.budget.hold();
        hold.grow_to(2 * bytes).await?;
        let admitted = draft.groups.into_iter().map(|group| (namespace.to_owned(), group)).collect();
        self.store(door, admitted, Outcome { taken: 0, rejected: draft.rejected }, hold).await
    }

    async fn store(
        &self,
        door: Door,
        admitted: Vec<(String, Group)>,
        mut outcome: Outcome,
        hold: Hold,
    ) -> Result<Outcome, Refusal> {
        if let Some(known) = &self.0.known {
            let namespaces: BTreeSet<&str> =
                admitted.iter().map(|(namespace, _)| namespace.as_str()).collect();
            for namespace in namespaces {
                known.namespace(namespace).await?;
            }
        }
        let streams = self.place(door, admitted);
        outcome.taken = streams.iter().map(|stream| stream.records.len() as u64).sum();
        let bytes =
            streams.iter().flat_map(|stream| &stream.records).map(|record| record.body.len() as u64).sum();
        if !streams.is_empty() {
            self.0.inlet.submit(streams, hold).await?;
        }
        self.count(door, bytes, &outcome);
        Ok(outcome)
    }

    /// Counts a refusal of a whole request.
    pub fn refused(&self, door: Door, kind: Kind) {
        let label = Refused { door: door.resource(), reason: kind.reason() };
        self.0.metrics.door_refused.get_or_create(&label).inc();
    }

    fn count(&self, door: Door, bytes: u64, outcome: &Outcome) {
        let by_door = ByDoor { door: door.resource() };
        self.0.metrics.door_records.get_or_create(&by_door).inc_by(outcome.taken);
        self.0.metrics.door_bytes.get_or_create(&by_door).inc_by(bytes);
        for rejected in &outcome.rejected {
            let label = Refused { door: door.resource(), reason: rejected.why.kind.reason() };
            self.0.metrics.door_refused.get_or_create(&label).inc_by(rejected.items.len() as u64);
        }
    }

    async fn admit(&self, visitor: &Visitor, named: Option<&str>) -> Result<String, Refusal> {
        let namespace = gate::namespace(visitor.asked.as_deref(), named, &visitor.sender)?;
        self.0.gate.may(&visitor.sender, visitor.door, &namespace).await?;
        Ok(namespace)
    }

    fn place(&self, door: Door, admitted: Vec<(String, Group)>) -> Vec<Pushed> {
        let (now, arrival) = (Instant::now(), time::now());
        // Records of one stream stay together, in the order they were sent.
        let mut streams: Vec<Pushed> = Vec::new();
        let mut at: HashMap<String, usize> = HashMap::new();
        for (namespace, mut group) in admitted {
            for line in &mut group.lines {
                if line.level == crate::record::Level::Unknown {
                    line.level = parse::level(&line.body);
                }
            }
            let place = self.0.streams.lock().place(door, &namespace, &self.0.node, &mut group, now);
            self.capped(door, &namespace, &group, place.offender.as_deref());
            let records = group.lines.into_iter().flat_map(|line| records(line, arrival));
            match at.get(&place.info.uid) {
                Some(at) => streams[*at].records.extend(records),
                None => {
                    at.insert(place.info.uid.clone(), streams.len());
                    let (info, labels) = (place.info, place.labels);
                    streams.push(Pushed { info, labels, records: records.collect() });
                }
            }
        }
        streams
    }

    /// Names who sends more than is kept.
    fn capped(&self, door: Door, namespace: &str, group: &Group, offender: Option<&str>) {
        let count = |what, number| {
            let label = Capped { door: door.resource(), namespace: namespace.to_owned(), what };
            self.0.metrics.door_capped.get_or_create(&label).inc_by(number);
        };
        let capped = &group.capped;
        let counts = [
            ("labels", capped.labels),
            ("fields", capped.fields),
            ("messages", capped.messages),
            ("streams", u64::from(offender.is_some())),
        ];
        if counts.iter().all(|(_, number)| *number == 0) {
            return;
        }
        let some = counts.into_iter().filter(|(_, number)| *number > 0);
        some.for_each(|(what, number)| count(what, number));
        let mut warned = self.0.warned.lock();
        if warned.is_none_or(|warned| warned.elapsed() >= WARN) {
            *warned = Some(Instant::now());
            tracing::warn!(
                namespace,
                door = door.resource(),
                labels = capped.labels,
                fields = capped.fields,
                messages_cut = capped.messages,
                example = capped.example,
                label_with_most_values = offender,
                "a sender has more streams, labels or fields, or longer messages, than are kept"
            );
        }
    }
}

/// One record, or more where the line is too long, as of a container.
fn records(line: Line, arrival: i64) -> impl Iterator<Item = Record> {
    let (time, level) = (line.time.unwrap_or(arrival), line.level);
    // The number is given when it is written.
    let source = Source::Stdout;
    let record = move |body: Vec<u8>| Record { time, seq: 0, level, source, body: Bytes::from(body) };
    parse::parts(line.body).into_iter().map(record)
}

/// No request has more records than are held at once.
pub fn check_count(records: usize) -> Result<(), Refusal> {
    if records <= MAX_RECORDS {
        return Ok(());
    }
    Err(Refusal::too_large(format!("the request has more than {MAX_RECORDS} records: send fewer at once")))
}

/// Nor more streams.
pub fn check_groups(groups: usize) -> Result<(), Refusal> {
    if groups <= MAX_STREAMS {
        return Ok(());
    }
    Err(Refusal::too_large(format!("the request has more than {MAX_STREAMS} streams: send fewer at once")))
}
