//! What namespaces and Pods said of their logs, carried out on the way into the store:
//! some records are left out, some are redacted, all of it is counted.
//!
//! There is one for what is read of files, and one for what comes by doors, which
//! works before anything is on disk. Both count on it that the tables know whose
//! records these are: [`super::known`] sees to that. Whoever takes a checkpoint takes
//! the notes of what was left out first.

use std::{collections::HashMap, sync::Arc};

use crate::{
    index::{NamespaceMeta, PodMeta, Store},
    metric_names::{Metrics, OPTED_OUT, OVER_LIMIT, SAMPLED},
    policy::{Limiter, Policy, Verdict},
    record::{Record, StreamInfo},
    tail::Batch,
};

/// The policies of the node's streams.
pub struct Policies {
    store: Arc<Store>,
    metrics: Metrics,
    /// Streams with a policy, by key. Most have none and are not in here.
    streams: HashMap<String, Stream>,
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

impl Policies {
    pub fn new(store: Arc<Store>, metrics: Metrics) -> Self {
        Self { store, metrics, streams: HashMap::new() }
    }

    /// Nothing is remembered of any stream.
    pub fn is_idle(&self) -> bool {
        self.streams.is_empty()
    }

    /// The notes of what was left out since the last time: all that a checkpoint covers.
    pub fn take_notes(&mut self) -> Vec<Batch> {
        let mut batches = Vec::new();
        self.streams.retain(|_, stream| {
            let notes: Vec<Record> = stream.limiter.end(&stream.policy).into_iter().collect();
            if !notes.is_empty() {
                batches.push(Batch { info: stream.info.clone(), records: notes });
            }
            std::mem::take(&mut stream.seen)
        });
        batches
    }

    /// The batch with what must not be read replaced, and nothing left out: records that were
    /// taken before rules were applied on the way in.
    pub fn redact(&mut self, batch: &mut Batch) {
        let Some(stream) = self.stream(batch) else { return };
        for record in &mut batch.records {
            if let Some(body) = stream.policy.redaction.apply(&record.body) {
                record.body = body.into();
            }
        }
    }

    /// What may be indexed of a stream's next records. `arrival` is when they came, if somebody
    /// sent them: who sends may write any time into a record.
    pub fn take(&mut self, mut batch: Batch, arrival: Option<i64>) -> Option<Batch> {
        let counts = self.metrics.policies.clone();
        let Some(stream) = self.stream(&batch) else { return Some(batch) };
        if stream.policy.opted_out {
            counts.left_out(&batch.info, OPTED_OUT, batch.records.len() as u64);
            return None;
        }
        let mut kept = Vec::with_capacity(batch.records.len());
        let (mut n_sampled, mut n_over_limit, mut n_redacted) = (0, 0, 0);
        for mut record in batch.records {
            let at = arrival.unwrap_or(record.time);
            match stream.limiter.judge(&stream.policy, &record, at, &mut kept) {
                Verdict::Keep => {}
                Verdict::Sampled => {
                    n_sampled += 1;
                    continue;
                }
                Verdict::OverLimit => {
                    n_over_limit += 1;
                    continue;
                }
            }
            if let Some(body) = stream.policy.redaction.apply(&record.body) {
                record.body = body.into();
                n_redacted += 1;
            }
            kept.push(record);
        }
        counts.left_out(&batch.info, SAMPLED, n_sampled);
        counts.left_out(&batch.info, OVER_LIMIT, n_over_limit);
        counts.redacted(&batch.info, n_redacted);
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
                self.metrics.policies.mistake(&info.namespace);
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

    fn taken(policies: &mut Policies, batch: Batch) -> Vec<String> {
        bodies(policies.take(batch, None).as_slice())
    }

    fn annotated(entries: &[(&str, &str)]) -> Annotations {
        entries.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn policies() -> (tempfile::TempDir, Policies) {
        let folder = tempfile::tempdir().expect("a folder");
        let (store, _) = Store::open(folder.path(), Retention::default()).expect("a store");
        (folder, Policies::new(Arc::new(store), Metrics::new()))
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
        let (_folder, mut policies) = policies();
        assert_eq!(taken(&mut policies, batch("web", 0, &["pin=1"])), ["pin=1"]);
        namespace(&policies, &[("redact", "/pin=./")]);
        assert_eq!(taken(&mut policies, batch("web", 1, &["pin=2", "no"])), ["[redacted]", "no"]);
        pod(&policies, "web", &[("rate-limit", "1")]);
        assert_eq!(taken(&mut policies, batch("web", 3, &["a", "b", "pin=3"])), ["a"]);
        let note = policies.take_notes();
        assert_eq!(bodies(&note), ["[2 records left out: the limit is 1 a second]"]);
        assert_eq!((note[0].info.pod.as_str(), note[0].records[0].seq), ("web", 4));
        pod(&policies, "web", &[("collect", "false")]);
        assert!(policies.take(batch("web", 6, &["c"]), None).is_none());
        namespace(&policies, &[]);
        pod(&policies, "web", &[]);
        assert_eq!(taken(&mut policies, batch("web", 7, &["pin=4"])), ["pin=4"]);
        assert!(policies.take_notes().is_empty());
        pod(&policies, "web", &[("sample", "0")]);
        assert!(policies.take(batch("web", 8, &["d", "e", "f"]), None).is_none());
        let text = policies.metrics.component.render();
        for line in [
            r#"tiphys_logs_left_out_total{namespace="shop",reason="over the rate limit"} 2"#,
            r#"tiphys_logs_left_out_total{namespace="shop",reason="opted out"} 1"#,
            r#"tiphys_logs_left_out_total{namespace="shop",reason="sampled"} 3"#,
            r#"tiphys_logs_redacted_total{namespace="shop"} 1"#,
            r#"tiphys_logs_pod_left_out_total{namespace="shop",pod="web",reason="over the rate limit"} 2"#,
            r#"tiphys_logs_pod_left_out_total{namespace="shop",pod="web",reason="opted out"} 1"#,
            r#"tiphys_logs_pod_left_out_total{namespace="shop",pod="web",reason="sampled"} 3"#,
            r#"tiphys_logs_pod_redacted_total{namespace="shop",pod="web"} 1"#,
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn what_was_sent_is_limited_by_when_it_came() {
        const SECOND: i64 = 1_000_000_000;
        let (_folder, mut policies) = policies();
        namespace(&policies, &[("rate-limit", "2")]);
        // Each record claims a second of its own.
        let claims = |seq| {
            let mut batch = batch("web", seq, &["a", "b", "c"]);
            batch.records.iter_mut().zip(seq as i64..).for_each(|(record, at)| record.time = at * SECOND);
            batch
        };
        let mut count = |seq, arrival| {
            let taken = policies.take(claims(seq), arrival);
            taken.map_or(0, |batch| {
                batch.records.iter().filter(|record| !record.body.starts_with(b"[")).count()
            })
        };
        assert_eq!(
            [count(0, Some(7 * SECOND)), count(3, Some(7 * SECOND)), count(6, Some(8 * SECOND))],
            [2, 0, 2]
        );
        assert_eq!(count(9, None), 3, "a file's lines have the time of their writing");
    }

    #[test]
    fn what_was_taken_before_is_redacted_only() {
        let (_folder, mut policies) = policies();
        namespace(&policies, &[("redact", "/pin=./"), ("rate-limit", "0"), ("collect", "false")]);
        let mut batch = batch("web", 0, &["pin=1", "b"]);
        policies.redact(&mut batch);
        assert_eq!(bodies(&[batch]), ["[redacted]", "b"]);
    }
}
