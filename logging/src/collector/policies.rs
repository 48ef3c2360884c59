//! What namespaces and Pods said of their logs, carried out on the way from the
//! tailer into the store: some records are left out, some are redacted, all of it
//! is counted.
//!
//! Records of a Pod that isn't known yet wait a moment for what it says, because a
//! redaction rule must hold from the first line: [`GRACE`], and [`MAX_WAITING`] bytes
//! in all. Whoever takes a checkpoint takes what waits first.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    index::{NamespaceMeta, PodMeta, Store},
    metric_names::{LeftOut, Metrics, OfNamespace},
    policy::{Limiter, Policy, Verdict},
    record::{Record, StreamInfo},
    tail::Batch,
};

/// How long records wait for their Pod to be known.
const GRACE: Duration = Duration::from_secs(2);
/// Bytes of bodies that wait.
const MAX_WAITING: usize = 4 << 20;
/// Pods of which is remembered that they don't become known.
const MAX_GIVEN_UP: usize = 10_000;

/// The policies of the node's streams.
pub struct Policies {
    store: Arc<Store>,
    metrics: Metrics,
    /// Streams with a policy, by key. Most have none and are not in here.
    streams: HashMap<String, Stream>,
    /// Pods become known, by the API.
    waits: bool,
    waiting: HashMap<String, Waiting>,
    waiting_bytes: usize,
    /// Pods that didn't become known in time.
    given_up: HashSet<String>,
}

struct Stream {
    info: Arc<StreamInfo>,
    pod: Option<Arc<PodMeta>>,
    namespace: Option<Arc<NamespaceMeta>>,
    policy: Policy,
    limiter: Limiter,
    /// It had records since the last checkpoint.
    seen: bool,
}

struct Waiting {
    until: Instant,
    batches: Vec<Batch>,
}

impl Policies {
    /// `waits`: whether Pods become known, so that it makes sense to wait for them.
    pub fn new(store: Arc<Store>, metrics: Metrics, waits: bool) -> Self {
        Self {
            store,
            metrics,
            streams: HashMap::new(),
            waits,
            waiting: HashMap::new(),
            waiting_bytes: 0,
            given_up: HashSet::new(),
        }
    }

    /// What may be indexed now of a stream's next records.
    pub fn take(&mut self, batch: Batch) -> Vec<Batch> {
        let uid = &batch.info.uid;
        if !self.waits || self.given_up.contains(uid) || self.store.pods().get(uid).is_some() {
            let mut batches = self.release(&batch.info.uid.clone());
            batches.push(batch);
            return batches.into_iter().filter_map(|batch| self.apply(batch)).collect();
        }
        self.waiting_bytes += bytes(&batch);
        let until = Instant::now() + GRACE;
        let waiting =
            self.waiting.entry(uid.clone()).or_insert_with(|| Waiting { until, batches: Vec::new() });
        waiting.batches.push(batch);
        if self.waiting_bytes > MAX_WAITING { self.take_all() } else { Vec::new() }
    }

    /// When records have waited long enough.
    pub fn due(&self) -> Option<Instant> {
        self.waiting.values().map(|waiting| waiting.until).min()
    }

    /// The records of Pods that have become known, or have been waited for long enough.
    pub fn take_due(&mut self) -> Vec<Batch> {
        let now = Instant::now();
        let is_due =
            |uid: &str, waiting: &Waiting| waiting.until <= now || self.store.pods().get(uid).is_some();
        let due: Vec<String> = self
            .waiting
            .iter()
            .filter(|(uid, waiting)| is_due(uid, waiting))
            .map(|(uid, _)| uid.clone())
            .collect();
        due.iter().flat_map(|uid| self.let_go(uid)).collect()
    }

    /// Everything that waits, and the notes of what was left out: all that a
    /// checkpoint covers.
    pub fn take_all(&mut self) -> Vec<Batch> {
        let uids: Vec<String> = self.waiting.keys().cloned().collect();
        let mut batches: Vec<Batch> = uids.iter().flat_map(|uid| self.let_go(uid)).collect();
        self.streams.retain(|_, stream| {
            let notes: Vec<Record> = stream.limiter.end(&stream.policy).into_iter().collect();
            if !notes.is_empty() {
                batches.push(Batch { info: stream.info.clone(), records: notes });
            }
            std::mem::take(&mut stream.seen)
        });
        batches
    }

    fn let_go(&mut self, uid: &str) -> Vec<Batch> {
        if self.store.pods().get(uid).is_none() {
            if self.given_up.len() >= MAX_GIVEN_UP {
                self.given_up.clear();
            }
            self.given_up.insert(uid.to_owned());
        }
        let batches = self.release(uid);
        batches.into_iter().filter_map(|batch| self.apply(batch)).collect()
    }

    fn release(&mut self, uid: &str) -> Vec<Batch> {
        let batches = self.waiting.remove(uid).map(|waiting| waiting.batches).unwrap_or_default();
        self.waiting_bytes -= batches.iter().map(bytes).sum::<usize>();
        batches
    }

    fn apply(&mut self, mut batch: Batch) -> Option<Batch> {
        let metrics = self.metrics.clone();
        let Some(stream) = self.stream(&batch) else { return Some(batch) };
        let namespace = &batch.info.namespace;
        let left_out = |reason| {
            metrics.left_out.get_or_create(&LeftOut { namespace: namespace.clone(), reason }).clone()
        };
        if stream.policy.opted_out {
            left_out("opted out").inc_by(batch.records.len() as u64);
            return None;
        }
        let mut kept = Vec::with_capacity(batch.records.len());
        for mut record in batch.records {
            match stream.limiter.judge(&stream.policy, &record, &mut kept) {
                Verdict::Keep => {}
                Verdict::Sampled => {
                    left_out("sampled").inc();
                    continue;
                }
                Verdict::OverLimit => {
                    left_out("over the rate limit").inc();
                    continue;
                }
            }
            if let Some(body) = stream.policy.redaction.apply(&record.body) {
                record.body = body.into();
                metrics.redacted.get_or_create(&OfNamespace { namespace: namespace.clone() }).inc();
            }
            kept.push(record);
        }
        batch.records = kept;
        (!batch.records.is_empty()).then_some(batch)
    }

    /// The stream's policy as it is now; `None` when nobody said anything.
    fn stream(&mut self, batch: &Batch) -> Option<&mut Stream> {
        let info = &batch.info;
        let pod = self.store.pods().get(&info.uid).filter(|pod| !pod.annotations.is_empty());
        let namespace = self.store.namespace_table().get(&info.namespace);
        let namespace = namespace.filter(|namespace| !namespace.annotations.is_empty());
        let key = info.key();
        if pod.is_none() && namespace.is_none() {
            self.streams.remove(&key);
            return None;
        }
        let is_current = |stream: &Stream| {
            same(stream.pod.as_ref(), pod.as_ref()) && same(stream.namespace.as_ref(), namespace.as_ref())
        };
        if !self.streams.get(&key).is_some_and(is_current) {
            let nothing = Default::default();
            let of_namespace = namespace.as_ref().map_or(&nothing, |namespace| &namespace.annotations);
            let policy = Policy::read(of_namespace, pod.as_ref().map_or(&nothing, |pod| &pod.annotations));
            for mistake in &policy.mistakes {
                tracing::warn!(namespace = info.namespace, pod = info.pod, "{mistake}");
                self.metrics
                    .policy_mistakes
                    .get_or_create(&OfNamespace { namespace: info.namespace.clone() })
                    .inc();
            }
            let limiter = self.streams.remove(&key).map(|stream| stream.limiter).unwrap_or_default();
            let stream = Stream { info: info.clone(), pod, namespace, policy, limiter, seen: true };
            self.streams.insert(key.clone(), stream);
        }
        let stream = self.streams.get_mut(&key)?;
        stream.seen = true;
        (!stream.policy.is_plain()).then_some(stream)
    }
}

fn bytes(batch: &Batch) -> usize {
    batch.records.iter().map(|record| record.body.len()).sum()
}

fn same<M>(a: Option<&Arc<M>>, b: Option<&Arc<M>>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        (None, None) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        index::Retention,
        policy::Annotations,
        record::{Level, Source},
    };

    fn batch(pod: &str, seq: u64, bodies: &[&str]) -> Batch {
        let info = StreamInfo {
            namespace: "shop".into(),
            pod: pod.into(),
            uid: format!("uid-{pod}"),
            container: "app".into(),
            restart: 0,
            node: "n1".into(),
        };
        let record = |(at, body): (usize, &&str)| Record {
            time: 5,
            seq: seq + at as u64,
            level: Level::Info,
            source: Source::Stdout,
            body: bytes::Bytes::copy_from_slice(body.as_bytes()),
        };
        Batch { info: Arc::new(info), records: bodies.iter().enumerate().map(record).collect() }
    }

    fn bodies(batches: &[Batch]) -> Vec<String> {
        let records = batches.iter().flat_map(|batch| &batch.records);
        records.map(|record| String::from_utf8_lossy(&record.body).into_owned()).collect()
    }

    fn annotated(entries: &[(&str, &str)]) -> Annotations {
        entries.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn policies(waits: bool) -> (tempfile::TempDir, Policies) {
        let folder = tempfile::tempdir().expect("a folder");
        let (store, _) = Store::open(folder.path(), Retention::default()).expect("a store");
        (folder, Policies::new(Arc::new(store), Metrics::new(), waits))
    }

    fn pod(policies: &Policies, name: &str, annotations: &[(&str, &str)]) {
        let meta = PodMeta { annotations: annotated(annotations), ..PodMeta::default() };
        policies.store.pods().update(&format!("uid-{name}"), meta);
    }

    fn namespace(policies: &Policies, annotations: &[(&str, &str)]) {
        let meta = NamespaceMeta { annotations: annotated(annotations), gone: false };
        policies.store.namespace_table().update("shop", meta);
    }

    #[test]
    fn a_policy_holds_from_the_moment_it_is_known_and_is_counted() {
        let (_folder, mut policies) = policies(false);
        assert_eq!(bodies(&policies.take(batch("web", 0, &["pin=1"]))), ["pin=1"]);
        namespace(&policies, &[("redact", "/pin=./")]);
        assert_eq!(bodies(&policies.take(batch("web", 1, &["pin=2", "no"]))), ["[redacted]", "no"]);
        pod(&policies, "web", &[("rate-limit", "1")]);
        assert_eq!(bodies(&policies.take(batch("web", 3, &["a", "b", "pin=3"]))), ["a"]);
        let note = policies.take_all();
        assert_eq!(bodies(&note), ["[2 records left out: the limit is 1 a second]"]);
        assert_eq!((note[0].info.pod.as_str(), note[0].records[0].seq), ("web", 4));
        pod(&policies, "web", &[("collect", "false")]);
        assert!(policies.take(batch("web", 6, &["c"])).is_empty());
        namespace(&policies, &[]);
        pod(&policies, "web", &[]);
        assert_eq!(bodies(&policies.take(batch("web", 7, &["pin=4"]))), ["pin=4"]);
        assert!(policies.take_all().is_empty());
        let text = policies.metrics.component.render();
        for line in [
            r#"tiphys_logs_left_out_total{namespace="shop",reason="over the rate limit"} 2"#,
            r#"tiphys_logs_left_out_total{namespace="shop",reason="opted out"} 1"#,
            r#"tiphys_logs_redacted_total{namespace="shop"} 1"#,
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn records_wait_for_their_pod_but_not_for_ever() {
        let (_folder, mut policies) = policies(true);
        assert!(policies.take(batch("web", 0, &["pin=1"])).is_empty());
        assert!(policies.take(batch("lost", 0, &["x"])).is_empty());
        assert!(policies.take_due().is_empty());
        pod(&policies, "web", &[("redact", "/pin=./")]);
        policies.store.pods().news().await;
        assert_eq!(bodies(&policies.take_due()), ["[redacted]"]);
        assert_eq!(bodies(&policies.take(batch("web", 1, &["pin=2"]))), ["[redacted]"]);
        tokio::time::sleep_until(policies.due().expect("one waits")).await;
        assert_eq!(bodies(&policies.take_due()), ["x"]);
        assert_eq!(policies.due(), None);
        // It was given up once: its next records don't wait again.
        assert_eq!(bodies(&policies.take(batch("lost", 1, &["y"]))), ["y"]);
    }

    #[test]
    fn what_waits_is_bounded_in_order_and_taken_with_a_checkpoint() {
        let (_folder, mut policies) = policies(true);
        let large = "x".repeat(MAX_WAITING / 2);
        assert!(policies.take(batch("a", 0, &["first", &large])).is_empty());
        let released = policies.take(batch("a", 2, &[&large]));
        assert_eq!(released.iter().map(|batch| batch.records[0].seq).collect::<Vec<_>>(), [0, 2]);
        assert!(policies.take(batch("b", 0, &["b"])).is_empty());
        assert_eq!(bodies(&policies.take_all()), ["b"]);
        assert_eq!((policies.due(), policies.waiting_bytes), (None, 0));
    }
}
