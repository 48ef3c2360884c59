//! Which stream a sender's records belong to, and how many there may be.
//!
//! A stream is a namespace, an origin and a set of labels; its synthetic uid is
//! their digest, so it is the same after a restart and can't be that of a Pod.
//! A label that has another value in each record would make a stream a record:
//! beyond [`MAX_A_NAMESPACE`] the labels become fields of the records, in one
//! stream that takes them all, and the label with the most values is named.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};

use super::{
    Door,
    draft::{Capped, Group, cut},
    fields::Fields,
};
use crate::record::{Labels, StreamInfo};

/// Bytes of a stream's labels that are written into each of its lines.
const MAX_LABELS: usize = 2 << 10;
/// Streams of one namespace at a time.
pub const MAX_A_NAMESPACE: usize = 1_000;
/// Streams of all namespaces at a time.
const MAX: usize = 10_000;
/// A stream without records for so long doesn't count any more.
const IDLE: Duration = Duration::from_secs(600);
/// Bytes of a Pod's, container's or node's name.
const MAX_ORIGIN: usize = 253;

/// How often idle streams are looked for, while there are too many.
const SWEEP: Duration = Duration::from_secs(10);

/// The streams that records came for lately.
#[derive(Debug, Default)]
pub struct Streams {
    namespaces: HashMap<String, Namespace>,
    total: usize,
}

#[derive(Debug, Default)]
struct Namespace {
    /// By uid.
    streams: HashMap<String, Seen>,
    swept: Option<Instant>,
    offender: String,
}

#[derive(Debug)]
struct Seen {
    last: Instant,
    labels: Labels,
}

/// Where a group's records go.
#[derive(Debug)]
pub struct Place {
    pub info: Arc<StreamInfo>,
    pub labels: Labels,
    /// The label with the most values, when the namespace has too many streams.
    pub offender: Option<String>,
}

impl Streams {
    /// The stream of a group. When there are too many, its labels go into its lines.
    pub fn place(
        &mut self,
        door: Door,
        namespace: &str,
        node: &str,
        group: &mut Group,
        now: Instant,
    ) -> Place {
        let info = info(door, namespace, node, group);
        let labels: Labels = Arc::new(std::mem::take(&mut group.labels));
        let known = self.namespaces.entry(namespace.to_owned()).or_default();
        if let Some(seen) = known.streams.get_mut(&info.uid) {
            seen.last = now;
            return Place { info: Arc::new(info), labels: seen.labels.clone(), offender: None };
        }
        if self.is_full(namespace) {
            self.sweep(namespace, now);
        }
        let is_full = self.is_full(namespace);
        let known = self.namespaces.entry(namespace.to_owned()).or_default();
        if !is_full {
            known.streams.insert(info.uid.clone(), Seen { last: now, labels: labels.clone() });
            self.total += 1;
            return Place { info: Arc::new(info), labels, offender: None };
        }
        into_lines(&info, &labels, group);
        let offender = Some(known.offender.clone());
        let info = self::info(door, namespace, node, &Group::default());
        Place { info: Arc::new(info), labels: Labels::default(), offender }
    }

    fn is_full(&self, namespace: &str) -> bool {
        let n_streams = self.namespaces.get(namespace).map_or(0, |known| known.streams.len());
        n_streams >= MAX_A_NAMESPACE || self.total >= MAX
    }

    /// Forgets idle streams, and finds out who makes so many.
    fn sweep(&mut self, namespace: &str, now: Instant) {
        let known = self.namespaces.entry(namespace.to_owned()).or_default();
        if known.swept.is_some_and(|swept| now.duration_since(swept) < SWEEP) {
            return;
        }
        known.swept = Some(now);
        known.offender = offender(known.streams.values().map(|seen| &seen.labels));
        for known in self.namespaces.values_mut() {
            known.streams.retain(|_, seen| now.duration_since(seen.last) < IDLE);
        }
        self.namespaces.retain(|name, known| name == namespace || !known.streams.is_empty());
        self.total = self.namespaces.values().map(|known| known.streams.len()).sum();
    }
}

fn info(door: Door, namespace: &str, node: &str, group: &Group) -> StreamInfo {
    let word = door.resource();
    let origin = &group.origin;
    let name = |given: &Option<String>, default: &str| match given {
        Some(given) if !given.is_empty() => clean(given),
        _ => default.to_owned(),
    };
    let container = name(&origin.container, word);
    let receiver = node;
    let (pod, node) = (name(&origin.pod, &container), name(&origin.node, node));
    let mut digest = Sha256::new();
    let labels = group.labels.iter().flat_map(|(name, value)| [name, value]);
    // Who takes it in as well: each collector numbers a stream's records by itself.
    for part in [namespace, &pod, &container, &node, receiver].into_iter().chain(labels.map(String::as_str)) {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    let digest: String = digest.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let uid = format!("{word}-{digest}");
    StreamInfo { namespace: namespace.to_owned(), pod, uid, container, restart: 0, node }
}

/// A name for tables and terminals: one line, not too long.
fn clean(name: &str) -> String {
    cut(name, MAX_ORIGIN).chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn into_lines(info: &StreamInfo, labels: &BTreeMap<String, String>, group: &mut Group) {
    let size: usize = labels.iter().map(|(name, value)| name.len() + value.len()).sum();
    // Longer ones would make a small request a large one: then a line has its names alone.
    let labels = if size > MAX_LABELS { &BTreeMap::new() } else { labels };
    for line in &mut group.lines {
        let mut fields = Fields::default();
        let names = [("pod", &info.pod), ("container", &info.container), ("node", &info.node)];
        for (name, value) in
            names.into_iter().chain(labels.iter().map(|(name, value)| (name.as_str(), value)))
        {
            fields.add(name, value.as_str().into());
        }
        line.body = fields.join(&line.body, &mut Capped::default());
    }
}

/// The label with the most values.
fn offender<'a>(streams: impl Iterator<Item = &'a Labels>) -> String {
    let mut values: HashMap<&str, HashSet<&str>> = HashMap::new();
    for (name, value) in streams.flat_map(|labels| labels.iter()) {
        values.entry(name).or_default().insert(value);
    }
    let most = values.into_iter().max_by_key(|(name, values)| (values.len(), std::cmp::Reverse(*name)));
    most.map(|(name, _)| name.to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doors::draft::{Line, Origin};

    fn group(label: &str, value: &str) -> Group {
        let mut group = Group::default();
        group.label("app", "web");
        group.label(label, value);
        group.lines.push(Line { body: b"hello".to_vec(), ..Line::default() });
        group
    }

    fn place(streams: &mut Streams, group: &mut Group) -> Place {
        streams.place(Door::Loki, "shop", "n1", group, Instant::now())
    }

    #[test]
    fn the_same_origin_and_labels_are_the_same_stream() {
        let mut streams = Streams::default();
        let one = place(&mut streams, &mut group("job", "a"));
        let again = place(&mut Streams::default(), &mut group("job", "a"));
        let other = place(&mut streams, &mut group("job", "b"));
        assert_eq!(one.info, again.info);
        assert_ne!(one.info.uid, other.info.uid);
        assert_eq!((one.info.pod.as_str(), one.info.node.as_str()), ("loki", "n1"));
        let elsewhere = streams.place(Door::Loki, "ops", "n1", &mut group("job", "a"), Instant::now());
        assert_ne!(one.info.uid, elsewhere.info.uid);
    }

    #[test]
    fn two_collectors_have_streams_of_their_own_of_one_sender() {
        // A sender that is moved from one to the other: both number its records from the begin.
        let by = |collector| {
            let mut group = group("job", "a");
            group.origin = Origin { node: Some("edge".into()), ..Origin::default() };
            Streams::default().place(Door::Loki, "shop", collector, &mut group, Instant::now()).info
        };
        assert_eq!((by("n1").node.as_str(), by("n2").node.as_str()), ("edge", "edge"));
        assert_ne!(by("n1").uid, by("n2").uid);
    }

    #[test]
    fn abuse_34_labels_that_are_long_are_not_written_into_each_line() {
        let mut streams = Streams::default();
        for number in 0..MAX_A_NAMESPACE {
            place(&mut streams, &mut group("request", &number.to_string()));
        }
        for (length, is_written) in [(900, true), (1_024, false)] {
            let mut group = group("request", &"x".repeat(length));
            group.label("more", &"y".repeat(1_024));
            assert!(place(&mut streams, &mut group).offender.is_some());
            let body = String::from_utf8_lossy(&group.lines[0].body).into_owned();
            assert!(body.starts_with("hello pod=loki container=loki node=n1"), "{body}");
            assert_eq!(body.contains("more=yyy"), is_written, "{} bytes", body.len());
            assert!(body.len() < MAX_LABELS + 100);
        }
    }

    #[test]
    fn names_are_one_line() {
        let mut group = group("job", "a");
        group.origin = Origin { pod: Some("a\nb\u{1b}".into()), ..Origin::default() };
        assert_eq!(place(&mut Streams::default(), &mut group).info.pod, "a\u{fffd}b\u{fffd}");
    }

    #[test]
    fn abuse_34_a_label_with_a_value_a_record_makes_no_more_streams_than_are_allowed() {
        let mut streams = Streams::default();
        let mut uids = HashSet::new();
        let (mut last, mut over) = (None, 0);
        for number in 0..MAX_A_NAMESPACE * 3 {
            let mut group = group("request", &number.to_string());
            let place = place(&mut streams, &mut group);
            uids.insert(place.info.uid.clone());
            over += usize::from(place.offender.is_some());
            last = Some((place, group));
        }
        assert_eq!((uids.len(), over), (MAX_A_NAMESPACE + 1, MAX_A_NAMESPACE * 2));
        let (place, group) = last.expect("some");
        assert_eq!(place.offender.as_deref(), Some("request"));
        let body = String::from_utf8_lossy(&group.lines[0].body).into_owned();
        assert_eq!(body, "hello pod=loki container=loki node=n1 app=web request=2999");
        // Another namespace has its own, and idle ones don't count.
        let mut other = self::group("request", "1");
        assert!(streams.place(Door::Loki, "ops", "n1", &mut other, Instant::now()).offender.is_none());
        let later = Instant::now() + IDLE;
        let mut fresh = self::group("request", "x");
        assert!(streams.place(Door::Loki, "shop", "n1", &mut fresh, later).offender.is_none());
    }
}
