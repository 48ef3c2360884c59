//! What namespaces and Pods said of their logs, carried out on the way into the store:
//! some records are left out, some are redacted, all of it is counted.
//!
//! There is one for what is read of files, and one for what comes by doors, which
//! works before anything is on disk. Both count on it that the tables know whose
//! records these are: [`super::known`] sees to that. Whoever takes a checkpoint takes
//! the notes of what was left out first, and gives it what waits here for the rest of its line.

use std::{collections::HashMap, sync::Arc};

use crate::{
    index::{Keep, NamespaceMeta, PodMeta, Store},
    metric_names::{Metrics, OPTED_OUT, OVER_LIMIT, SAMPLED},
    policy::{Limiter, Mistakes, Passed, Policy, Redaction, Seams, Told, Verdict},
    record::{Record, StreamInfo},
    tail::{Batch, StreamCheckpoint},
};

/// The policies of the node's streams.
pub struct Policies {
    store: Arc<Store>,
    metrics: Metrics,
    /// Streams with a policy, by key. Most have none and are not in here.
    streams: HashMap<String, Stream>,
    /// Mistakes in annotations that are counted and logged.
    told: Told,
}

struct Stream {
    info: Arc<StreamInfo>,
    pod: Option<Arc<PodMeta>>,
    namespace: Option<Arc<NamespaceMeta>>,
    policy: Policy,
    limiter: Limiter,
    seams: Seams,
    /// It had records since the last checkpoint.
    seen: bool,
}

impl Policies {
    pub fn new(store: Arc<Store>, metrics: Metrics) -> Self {
        Self { store, metrics, streams: HashMap::new(), told: Told::default() }
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
            std::mem::take(&mut stream.seen) || stream.seams.n_waiting() > 0
        });
        batches
    }

    /// Gives these checkpoints the parts of lines that wait here, which they count as taken: after a
    /// crash they are read again, under the same numbers.
    pub fn give_back(&self, checkpoints: &mut [StreamCheckpoint]) {
        for stream in self.streams.values().filter(|stream| stream.seams.n_waiting() > 0) {
            // Of a stream that is not read any more the ends of its lines have come, and nothing waits.
            let Some(checkpoint) = checkpoints.iter_mut().find(|known| known.info == *stream.info) else {
                continue;
            };
            checkpoint.next_seq = checkpoint.next_seq.saturating_sub(stream.seams.n_waiting());
            stream.seams.waiting().for_each(|part| checkpoint.grouper.give_back(part));
        }
    }

    /// The batch with what must not be read replaced, and nothing left out: records that were
    /// taken before rules were applied on the way in.
    pub fn redact(&mut self, batch: &mut Batch) {
        let key = batch.info.key();
        self.learn(&key, batch);
        let next = after(batch);
        let Some(stream) = self.stream(&key) else { return };
        let (rules, mut seams) = (&stream.policy.redaction, Seams::default());
        let mut redacted = Vec::with_capacity(batch.records.len());
        let mut keep = |Passed { mut record, redacted: by_seam }: Passed| {
            if by_seam.is_none() {
                hide(rules, &mut record);
            }
            redacted.push(record);
        };
        for record in std::mem::take(&mut batch.records) {
            seams.take(record, rules, &mut keep);
        }
        seams.end(next, rules, &mut keep);
        batch.records = redacted;
    }

    /// What may be indexed of a stream's next records. `arrival` is when they came, if somebody
    /// sent them: who sends may write any time into a record.
    pub fn take(&mut self, mut batch: Batch, arrival: Option<i64>) -> Option<Batch> {
        let counts = self.metrics.policies.clone();
        let key = batch.info.key();
        self.learn(&key, &mut batch);
        let next = after(&batch);
        let Some(stream) = self.stream(&key) else { return Some(batch) };
        if stream.policy.opted_out {
            counts.left_out(&batch.info, OPTED_OUT, batch.records.len() as u64);
            return None;
        }
        let Stream { policy, limiter, seams, .. } = stream;
        let policy = &*policy;
        let mut kept = Vec::with_capacity(batch.records.len());
        let (mut n_sampled, mut n_over_limit, mut n_redacted) = (0, 0, 0);
        let mut judge = |Passed { mut record, redacted }: Passed| {
            let at = arrival.unwrap_or(record.time);
            match limiter.judge(policy, &record, at, &mut kept) {
                Verdict::Keep => {
                    let is_redacted = redacted.unwrap_or_else(|| hide(&policy.redaction, &mut record));
                    n_redacted += u64::from(is_redacted);
                    kept.push(record);
                }
                Verdict::Sampled => n_sampled += 1,
                Verdict::OverLimit => n_over_limit += 1,
            }
        };
        for record in batch.records {
            seams.take(record, &policy.redaction, &mut judge);
        }
        // Who sends, sends whole lines.
        if arrival.is_some() {
            seams.end(next, &policy.redaction, &mut judge);
        }
        counts.left_out(&batch.info, SAMPLED, n_sampled);
        counts.left_out(&batch.info, OVER_LIMIT, n_over_limit);
        counts.redacted(&batch.info, n_redacted);
        batch.records = kept;
        (!batch.records.is_empty()).then_some(batch)
    }

    /// Takes in what is said of the batch's stream now. What waited under what was said before goes
    /// by that, and stands before the batch's records.
    fn learn(&mut self, key: &str, batch: &mut Batch) {
        let info = batch.info.clone();
        let pod = self.store.pods().get(&info.uid).filter(|pod| !pod.annotations.is_empty());
        let namespace = self.store.namespace_table().get(&info.namespace);
        let namespace = namespace.filter(|namespace| !namespace.annotations.is_empty());
        let is_current = |stream: &Stream| {
            same(stream.pod.as_ref(), pod.as_ref()) && same(stream.namespace.as_ref(), namespace.as_ref())
        };
        if self.streams.get(key).is_some_and(is_current) {
            return;
        }
        let mut former = self.streams.remove(key);
        if let Some(former) = &mut former
            && !former.goes_by(pod.as_deref(), namespace.as_deref())
        {
            former.let_go(batch);
        }
        if pod.is_none() && namespace.is_none() {
            if former.is_some() {
                self.tell(&info, &Mistakes::default());
            }
            return;
        }
        let nothing = Default::default();
        let of_namespace = namespace.as_ref().map_or(&nothing, |namespace| &namespace.annotations);
        let mut policy = Policy::read(of_namespace, pod.as_ref().map_or(&nothing, |pod| &pod.annotations));
        policy.mistakes.of_namespace.extend(Keep::read(of_namespace).1);
        self.tell(&info, &policy.mistakes);
        let (limiter, seams) = former.map(|stream| (stream.limiter, stream.seams)).unwrap_or_default();
        let stream = Stream { info, pod, namespace, policy, limiter, seams, seen: true };
        self.streams.insert(key.to_owned(), stream);
    }

    /// Counts and logs mistakes that are new.
    fn tell(&self, info: &StreamInfo, mistakes: &Mistakes) {
        let StreamInfo { namespace, pod, uid, .. } = info;
        for why in self.told.news(namespace, &mistakes.of_namespace) {
            tracing::warn!(namespace, why, "a namespace says something of its logs that isn't understood");
            self.metrics.policies.mistake(namespace);
        }
        // No namespace's name has a slash.
        for why in self.told.news(&format!("{namespace}/{uid}"), &mistakes.of_pod) {
            tracing::warn!(namespace, pod, why, "a Pod says something of its logs that isn't understood");
            self.metrics.policies.mistake(namespace);
        }
    }

    /// A stream with a policy that asks for something; `None` when nobody said anything.
    fn stream(&mut self, key: &str) -> Option<&mut Stream> {
        let stream = self.streams.get_mut(key)?;
        stream.seen = true;
        (!stream.policy.is_plain()).then_some(stream)
    }
}

impl Stream {
    /// Whether these say what it goes by, whatever else of them is new.
    fn goes_by(&self, pod: Option<&PodMeta>, namespace: Option<&NamespaceMeta>) -> bool {
        self.pod.as_ref().map(|pod| &pod.annotations) == pod.map(|pod| &pod.annotations)
            && self.namespace.as_ref().map(|own| &own.annotations) == namespace.map(|own| &own.annotations)
    }

    /// Parts of lines that wait go before the batch's records.
    fn let_go(&mut self, batch: &mut Batch) {
        let next = batch.records.first().map_or(0, |record| record.seq);
        let mut records = Vec::new();
        let mut keep = |passed: Passed| records.push(passed.record);
        self.seams.end(next, &self.policy.redaction, &mut keep);
        if !records.is_empty() {
            records.append(&mut batch.records);
            batch.records = records;
        }
    }
}

/// The number of the record after the batch's last.
fn after(batch: &Batch) -> u64 {
    batch.records.last().map_or(0, |record| record.seq.saturating_add(1))
}

/// Replaces what the rules find; tells whether they found something.
fn hide(rules: &Redaction, record: &mut Record) -> bool {
    let Some(body) = rules.apply(&record.body) else { return false };
    record.body = body.into();
    true
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
        parse::{self, Joined, Joiner},
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
    fn a_mistake_is_counted_once_a_change_and_not_by_stream_or_pass() {
        let (_folder, mut policies) = policies();
        let check = |policies: &mut Policies, expected: u64| {
            // Of two Pods, and of one whose stream was forgotten between two checkpoints.
            for seq in 0..2 {
                taken(policies, batch("web", seq, &["a"]));
                taken(policies, batch("db", seq, &["a"]));
                policies.take_notes();
                policies.take_notes();
            }
            let line = format!(r#"tiphys_logs_policy_mistakes_total{{namespace="shop"}} {expected}"#);
            let text = policies.metrics.component.render();
            assert!(text.lines().any(|other| other == line), "{line} is not in\n{text}");
        };
        namespace(&policies, &[("retention-bytes", "500m")]);
        check(&mut policies, 1);
        namespace(&policies, &[("retention-bytes", "500m"), ("retention", "1y")]);
        check(&mut policies, 2);
        namespace(&policies, &[("retention-bytes", "500M"), ("retention", "1y")]);
        check(&mut policies, 2);
        // A rule of redaction under a misspelt name, and what only a namespace says.
        pod(&policies, "web", &[("redac", "email"), ("retention", "7d")]);
        check(&mut policies, 4);
        pod(&policies, "web", &[("redact", "email")]);
        check(&mut policies, 4);
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

    /// The records of a line, with a secret over the cut between them.
    fn cut_line() -> [String; 2] {
        let line = format!("{}pin=1234 end", "x".repeat(parse::MAX_BODY - 6));
        let parts = parse::parts(line.into_bytes()).into_iter();
        let parts: Vec<String> = parts.map(|part| String::from_utf8(part).expect("UTF-8")).collect();
        parts.try_into().expect("two records")
    }

    fn numbers(batch: &Batch) -> Vec<u64> {
        batch.records.iter().map(|record| record.seq).collect()
    }

    #[test]
    fn a_secret_over_a_cut_is_hidden_also_when_the_collector_ends_between_the_parts() {
        let (_folder, mut policies) = policies();
        let ([part, end], rules) = (cut_line(), [("redact", "/pin=\\d+/")]);
        namespace(&policies, &rules);
        let mut known: StreamCheckpoint = serde_json::from_value(serde_json::json!({
            "info": *batch("web", 0, &[]).info, "next_seq": 8, "last_time": null,
            "joiner": Joiner::default(), "files": [],
        }))
        .expect("a checkpoint");
        assert!(taken(&mut policies, batch("web", 7, &[part.as_str()])).is_empty());
        for _ in 0..2 {
            assert!(policies.take_notes().is_empty());
        }
        policies.give_back(std::slice::from_mut(&mut known));
        let live = policies.take(batch("web", 8, &[end.as_str()]), None).expect("records");
        let shown = bodies(std::slice::from_ref(&live));
        assert!(shown[0].starts_with('x') && shown[0].contains("x[redacted] "));
        assert!(!shown[0].contains("pin=") && shown[1] == " end", "{}", shown[1]);
        assert_eq!(numbers(&live), [7, 8]);

        // Read again from the checkpoint.
        let text = serde_json::to_string(&known).expect("JSON");
        let mut known: StreamCheckpoint = serde_json::from_str(&text).expect("a checkpoint");
        let (source, body) = (Source::Stdout, end.clone().into_bytes());
        let line = Joined { time: Some(5), source, body, continues: true, goes_on: false };
        let mut read = Vec::new();
        known.grouper.push(line, &mut |record| read.push(String::from_utf8(record.body).expect("UTF-8")));
        assert!(read == [part, end]);
        let (_other_folder, mut policies) = self::policies();
        namespace(&policies, &rules);
        let read: Vec<&str> = read.iter().map(String::as_str).collect();
        let again = policies.take(batch("web", known.next_seq, &read), None).expect("records");
        assert!(again.records == live.records);
    }

    #[test]
    fn what_waits_goes_by_what_was_said_when_it_came() {
        let ([part, end], rules) = (cut_line(), [("redact", "/pin=\\d+/")]);
        // Other annotations, and a Pod that is new in another way.
        for is_lifted in [true, false] {
            let (_folder, mut policies) = policies();
            pod(&policies, "web", &rules);
            assert!(taken(&mut policies, batch("web", 7, &[part.as_str()])).is_empty());
            let annotations = if is_lifted { Annotations::new() } else { annotated(&rules) };
            let meta = PodMeta { annotations, node: "n2".into(), ..PodMeta::default() };
            policies.store.pods().update("uid-web", meta);
            let left = policies.take(batch("web", 8, &[end.as_str()]), None).expect("records");
            let shown = bodies(std::slice::from_ref(&left));
            assert!(shown[0].contains("x[redacted] ") && !shown[0].contains("pin="));
            assert_eq!(shown[1], if is_lifted { "34 end" } else { " end" });
            assert_eq!(numbers(&left), [7, 8]);
        }
    }

    #[test]
    fn a_long_line_that_was_sent_waits_for_nothing() {
        let ([part, end], rules) = (cut_line(), [("redact", "/pin=\\d+/")]);
        let (_folder, mut policies) = policies();
        namespace(&policies, &rules);
        let sent = |parts: &[&str]| batch("web", 3, parts);
        let whole = policies.take(sent(&[part.as_str(), end.as_str()]), Some(9)).expect("records");
        let mut old = sent(&[part.as_str(), end.as_str()]);
        policies.redact(&mut old);
        for batch in [&whole, &old] {
            assert_eq!(bodies(std::slice::from_ref(batch))[1], " end");
            assert_eq!(numbers(batch), [3, 4]);
        }
        // As no sender's lines come.
        let alone = policies.take(sent(&[part.as_str()]), Some(9)).expect("a record");
        assert_eq!(alone.records.len(), 1);
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
