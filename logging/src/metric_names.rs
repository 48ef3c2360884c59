//! The metrics of a collector, and of a server's archive: their names and what they mean.

mod policy;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
};
use tiphys_telemetry::Component;

pub use policy::{OPTED_OUT, OVER_LIMIT, PolicyMetrics, SAMPLED};

/// By which door.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByDoor {
    pub door: &'static str,
}

/// What was refused at which door, and why.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Refused {
    pub door: &'static str,
    pub reason: &'static str,
}

/// Whose records had more than is kept, and of what.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Capped {
    pub door: &'static str,
    pub namespace: String,
    /// `streams`, `labels`, `fields`, or `messages`: those whose end was left out.
    pub what: &'static str,
}

/// Counts of a collector. Clones share them.
#[derive(Clone)]
pub struct Metrics {
    pub component: Component,
    pub records: Counter,
    pub bytes: Counter,
    pub cut_records: Counter,
    pub damaged_files: Counter,
    pub open_failures: Counter,
    pub commits: Counter,
    pub commit_failures: Counter,
    pub stalls: Counter,
    pub queries: Counter,
    pub policies: PolicyMetrics,
    pub door_records: Family<ByDoor, Counter>,
    pub door_bytes: Family<ByDoor, Counter>,
    /// Requests, or records where the protocol answers for each.
    pub door_refused: Family<Refused, Counter>,
    pub door_capped: Family<Capped, Counter>,
    pub waiting_pods: Gauge,
    pub waiting_bytes: Gauge,
    pub waiting_lost: Counter,
    pub unanswered: Gauge,
    pub wal: WalMetrics,
    pub split_records: Gauge,
    pub split_bytes: Gauge,
    pub splits: Gauge,
    pub broken_splits: Gauge,
    pub damaged_tables: Gauge,
    pub dropped_unarchived: Gauge,
    pub followers: Gauge,
}

/// Of the doors' write-ahead log.
#[derive(Clone)]
pub struct WalMetrics {
    pub failures: Counter,
    pub lost: Counter,
    pub bytes: Gauge,
}

impl WalMetrics {
    fn new(counter: &impl Fn(&str, &str) -> Counter, gauge: &impl Fn(&str, &str) -> Gauge) -> Self {
        Self {
            failures: counter(
                "tiphys_logs_wal_failures",
                "Writes to the write-ahead log that failed; their senders were told",
            ),
            lost: counter(
                "tiphys_logs_wal_lost",
                "Places of the write-ahead log that can't be read; the segments were set aside",
            ),
            bytes: gauge("tiphys_logs_wal_bytes", "Bytes in the write-ahead log that wait for a commit"),
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// A registry of its own, with all metrics.
    pub fn new() -> Self {
        let component = Component::new("collector");
        let counter = |name: &str, help: &str| {
            let counter = Counter::default();
            component.registry(|registry| registry.register(name, help, counter.clone()));
            counter
        };
        let gauge = |name: &str, help: &str| {
            let gauge: Gauge = Gauge::default();
            component.registry(|registry| registry.register(name, help, gauge.clone()));
            gauge
        };
        let door_capped =
            "Streams, labels, fields and lengths of messages beyond the most that is kept, by who sent them";
        Self {
            policies: PolicyMetrics::new(&component),
            door_records: by_sender(&component, "records", "Records that were sent and taken"),
            door_bytes: by_sender(
                &component,
                "bytes",
                "Bytes of the bodies of records that were sent and taken",
            ),
            door_refused: by_sender(
                &component,
                "refused",
                "Requests, or records of a request, that were refused",
            ),
            door_capped: by_sender(&component, "capped", door_capped),
            records: counter("tiphys_logs_records", "Records read from log files"),
            bytes: counter("tiphys_logs_bytes", "Bytes of the records' bodies"),
            cut_records: counter(
                "tiphys_logs_cut_records",
                "Lines of files and the journal that were too long for a record and became several",
            ),
            damaged_files: counter(
                "tiphys_logs_damaged_files",
                "Compressed log files that could not be read to their end; the collector's log names them",
            ),
            open_failures: counter(
                "tiphys_logs_open_failures",
                "Tries to open log files or their folders that failed and are made again; the collector's log names the first",
            ),
            commits: counter("tiphys_logs_commits", "Commits that made records durable"),
            commit_failures: counter(
                "tiphys_logs_commit_failures",
                "Commits that failed and are tried again",
            ),
            waiting_pods: gauge(
                "tiphys_logs_waiting_pods",
                "Pods whose log files are not read before it is known what they and their namespaces say of them",
            ),
            waiting_bytes: gauge("tiphys_logs_waiting_bytes", "Bytes of log files that wait so"),
            waiting_lost: counter(
                "tiphys_logs_waiting_lost_bytes",
                "Bytes of deleted log files that waited so and were let go",
            ),
            unanswered: gauge(
                "tiphys_logs_waiting_questions",
                "Questions for a Pod or namespace that the API server hasn't answered yet",
            ),
            wal: WalMetrics::new(&counter, &gauge),
            stalls: counter("tiphys_logs_stalls", "Times that reading waited for a commit"),
            queries: counter("tiphys_logs_queries", "Searches, histograms, facets and tails asked for"),
            split_records: gauge("tiphys_logs_stored_records", "Records in splits"),
            split_bytes: gauge("tiphys_logs_stored_bytes", "Bytes of all splits on disk"),
            splits: gauge("tiphys_logs_splits", "Splits"),
            broken_splits: gauge("tiphys_logs_broken_splits", "Splits that were damaged and set aside"),
            damaged_tables: gauge(
                "tiphys_logs_damaged_tables",
                "Files of Pods and namespaces that were damaged at the start and put aside",
            ),
            dropped_unarchived: gauge(
                "tiphys_logs_dropped_unarchived_records",
                "Records deleted for want of disk that the archive doesn't have, since the start",
            ),
            followers: gauge("tiphys_logs_followers", "Live tails"),
            component,
        }
    }
}

/// Counts of the doors, by labels that say who sent.
fn by_sender<S>(component: &Component, what: &str, help: &str) -> Family<S, Counter>
where
    S: Clone + std::fmt::Debug + std::hash::Hash + Eq + EncodeLabelSet + Send + Sync + 'static,
{
    let family = Family::<S, Counter>::default();
    component
        .registry(|registry| registry.register(format!("tiphys_logs_door_{what}"), help, family.clone()));
    family
}

/// Counts of a server's archive. Clones share them.
#[derive(Clone)]
pub struct ArchiveMetrics {
    pub component: Component,
    pub queries: Counter,
    /// Splits; the answer told of each.
    pub missing: Counter,
    /// Splits; the answer told how many they were.
    pub unread: Counter,
}

impl Default for ArchiveMetrics {
    /// A registry of its own, with all metrics.
    fn default() -> Self {
        let component = Component::new("logs");
        let counter = |name: &str, help: &str| {
            let counter = Counter::default();
            component.registry(|registry| registry.register(name, help, counter.clone()));
            counter
        };
        Self {
            queries: counter("tiphys_logs_archive_queries", "Searches of archived splits"),
            missing: counter(
                "tiphys_logs_archive_missing_splits",
                "Archived splits that were asked for and could not be had",
            ),
            unread: counter(
                "tiphys_logs_archive_unread_splits",
                "Archived splits that a question had no room for in the cache",
            ),
            component,
        }
    }
}
