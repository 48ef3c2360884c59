//! The table `volume`: what volumes of Pods have and use. Those of the last hour are as nodes
//! measured them, as they changed in the last two minutes and each 15 s before; what is older comes out of
//! the store of series, each 15 s, and is of claims only, whoever used them.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Instant,
};

use datafusion::{
    arrow::{
        array::{ArrayRef, Int64Builder, RecordBatch, StringBuilder, TimestampMicrosecondBuilder},
        datatypes::{DataType, Schema, SchemaRef},
    },
    common::{DataFusionError, Result},
    prelude::SessionContext,
};
use tiphys_api::samples::{NodeSamples, VolumeSample};

use crate::{
    memory::{GRID, Whole},
    names::back,
    recent::{Point, Recent, Table, Walk, older},
    scope::Scope,
    series::Store,
    sql::{Asker, Batches, Extension, Share, Wanted, counted},
    tables::{
        documented,
        joined::{Joined, Object},
        time_column,
    },
};

/// Namespace, Pod, its UID, the volume.
type Key = [String; 4];
/// Namespace, claim, node.
type Claim = [String; 3];
/// When, microseconds since the Unix epoch, and what.
type Measured = (i64, VolumeSample);

impl Point for Measured {
    fn time(&self) -> i64 {
        self.0
    }
}

/// What was measured, by node and volume.
#[derive(Default)]
pub struct Volumes {
    recent: Arc<Recent<Key, Measured>>,
}

/// A figure: its column, what it says, where it stands, and the series that tells it.
type Figure = (&'static str, &'static str, fn(&VolumeSample) -> u64, &'static str);

const FIGURES: [Figure; 6] = [
    (
        "capacity_bytes",
        "size of the volume's file system",
        |it| it.capacity_bytes,
        "kubelet_volume_stats_capacity_bytes",
    ),
    (
        "available_bytes",
        "bytes that can still be written",
        |it| it.available_bytes,
        "kubelet_volume_stats_available_bytes",
    ),
    ("used_bytes", "bytes that the volume's files take", |it| it.used_bytes, back::ANCHOR_OF_CLAIMS),
    ("inodes", "files that its file system can have", |it| it.inodes, "kubelet_volume_stats_inodes"),
    ("inodes_free", "files that it can still have", |it| it.inodes_free, "kubelet_volume_stats_inodes_free"),
    (
        "inodes_used",
        "files and folders in the volume",
        |it| it.inodes_used,
        "kubelet_volume_stats_inodes_used",
    ),
];

/// Columns that are not kept longer than an hour say so.
const NAMES: [(&str, &str); 5] = [
    ("namespace", "the Pod's namespace"),
    ("pod", "the Pod; kept for the last hour only, null before"),
    ("volume", "the volume's name in the Pod; kept for the last hour only, null before"),
    (
        "claim",
        "the claim that it is of; empty for what lives and dies with the Pod, which is kept for the last hour only",
    ),
    ("node", "where it is"),
];

impl Volumes {
    /// Takes in what a node has measured.
    pub fn ingest(&self, samples: &NodeSamples) {
        if !samples.anew && samples.pods.iter().all(|pod| pod.volumes.is_empty()) {
            return;
        }
        let told = samples.pods.iter().flat_map(|pod| {
            pod.volumes.iter().map(move |volume| {
                let key = [&pod.namespace, &pod.pod, &pod.uid, &volume.volume].map(String::clone);
                (key, (samples.time, volume.clone()))
            })
        });
        self.recent.take((samples.node.as_str(), samples.time), told, Instant::now(), true);
    }
}

fn schema() -> SchemaRef {
    let mut fields = vec![time_column(
        "when the volume was measured: as it changes for two minutes, before that each 15 s",
    )];
    let is_kept = |name: &str| !matches!(name, "pod" | "volume");
    fields.extend(NAMES.map(|(name, about)| documented(name, DataType::Utf8, !is_kept(name), about)));
    fields.extend(FIGURES.map(|(name, about, _, _)| documented(name, DataType::Int64, true, about)));
    Arc::new(Schema::new(fields))
}

/// Brings `volume` into SQL.
pub struct VolumeTable {
    pub volumes: Arc<Volumes>,
    pub store: Arc<Store>,
}

impl Extension for VolumeTable {
    fn register(&self, session: &SessionContext, asker: &Asker) -> Result<(), DataFusionError> {
        let (volumes, store, asker) = (self.volumes.clone(), self.store.clone(), asker.clone());
        let read = move |wanted: Wanted, share: Share| -> Result<Batches> {
            let recent = volumes.recent.clone();
            let older = of_store(&store, &wanted, recent.whole());
            let wants = wanted.clone();
            let taken = |node: &str, [namespace, pod, _, volume]: &Key| {
                wants.takes("node", node)
                    && wants.takes("namespace", namespace)
                    && wants.takes("pod", pod)
                    && wants.takes("volume", volume)
            };
            let (since, seen) = (HashMap::new(), HashMap::new());
            let table = Told { scope: Scope::of_asker(&asker), seen, wanted, since, rows: Rows::new() };
            Ok(Box::new(Walk::new(table, recent, taken, older, (asker.notes.clone(), share))))
        };
        session.register_table("volume", counted(schema(), read)).map(drop)
    }
}

/// What the store has to be asked for. Absent: nothing of what is wanted is there.
fn of_store(store: &Arc<Store>, wanted: &Wanted, whole: Whole) -> Option<Joined> {
    // These are null there, and no condition holds of null.
    if wanted.names("pod") || wanted.names("volume") {
        return None;
    }
    let label_of = |column: &str| match column {
        "namespace" => Some("namespace"),
        "claim" => Some("persistentvolumeclaim"),
        "node" => Some("node"),
        _ => None,
    };
    let mut matchers = back::of_claims();
    matchers.extend(wanted.matchers(label_of));
    let names = FIGURES.map(|(_, _, _, name)| name).to_vec();
    older(store, wanted, whole, (back::ANCHOR_OF_CLAIMS, names), matchers)
}

/// The rows of a statement.
struct Told {
    scope: Scope,
    /// Whether a namespace is seen.
    seen: HashMap<String, bool>,
    wanted: Wanted,
    /// From when on memory knows each claim.
    since: HashMap<Claim, i64>,
    rows: Rows,
}

impl Table for Told {
    type Key = Key;
    type Point = Measured;

    fn sees(&mut self, [namespace, ..]: &Key) -> bool {
        let scope = &self.scope;
        *self.seen.entry(namespace.clone()).or_insert_with(|| scope.sees_namespace(namespace))
    }

    fn of_memory(&mut self, node: &str, [namespace, pod, _, volume]: &Key, points: &VecDeque<Measured>) {
        let mut before = None;
        for (at, sample) in points {
            // They are in order of time.
            if before.replace(&sample.claim) != Some(&sample.claim) {
                let claim = [namespace.as_str(), sample.claim.as_str(), node].map(str::to_owned);
                let first = self.since.entry(claim).or_insert(*at);
                *first = (*first).min(*at);
            }
            if self.wanted.takes_time(*at) {
                let values = FIGURES.map(|(_, _, value, _)| Some(value(sample)));
                let names = [namespace, pod, volume, &sample.claim].map(|name| Some(name.as_str()));
                let [namespace, pod, volume, claim] = names;
                self.rows.push(*at, [namespace, pod, volume, claim, Some(node)], values);
            }
        }
    }

    fn of_store(&mut self, object: &Object) {
        let of = |label| object.labels.get(label).unwrap_or_default();
        let Some(node) = back::node_of(&object.labels) else { return };
        let names = [of("namespace"), of("persistentvolumeclaim"), node];
        let is_taken = ["namespace", "claim", "node"]
            .iter()
            .zip(names)
            .all(|(name, value)| self.wanted.takes(name, value));
        if !is_taken || !self.scope.sees_namespace(names[0]) {
            return;
        }
        let owned = names.map(str::to_owned);
        let seam = self.since.get(&owned).map_or(i64::MAX, |first| first.div_euclid(GRID) * GRID);
        let [namespace, claim, node] = names;
        for (at, time) in object.times.iter().enumerate() {
            let time = time.saturating_mul(1000);
            if time >= seam {
                break;
            }
            if self.wanted.takes_time(time) {
                let values = std::array::from_fn(|figure| {
                    let value = object.values[figure][at];
                    (!value.is_nan()).then(|| value.round() as u64)
                });
                self.rows.push(time, [Some(namespace), None, None, Some(claim), Some(node)], values);
            }
        }
    }

    fn rows(&self) -> usize {
        self.rows.length
    }

    fn finish(&mut self) -> Result<RecordBatch> {
        self.rows.finish()
    }
}

/// Rows of a batch, by column.
struct Rows {
    time: TimestampMicrosecondBuilder,
    names: [StringBuilder; 5],
    figures: [Int64Builder; 6],
    length: usize,
}

impl Rows {
    fn new() -> Self {
        Self {
            time: TimestampMicrosecondBuilder::new().with_timezone("UTC"),
            names: std::array::from_fn(|_| StringBuilder::new()),
            figures: std::array::from_fn(|_| Int64Builder::new()),
            length: 0,
        }
    }

    fn push(&mut self, time: i64, names: [Option<&str>; 5], figures: [Option<u64>; 6]) {
        self.time.append_value(time);
        self.names.iter_mut().zip(names).for_each(|(builder, value)| builder.append_option(value));
        self.figures.iter_mut().zip(figures).for_each(|(builder, value)| {
            builder.append_option(value.map(|value| i64::try_from(value).unwrap_or(i64::MAX)))
        });
        self.length += 1;
    }

    fn finish(&mut self) -> Result<RecordBatch> {
        let mut done = std::mem::replace(self, Self::new());
        let mut columns: Vec<ArrayRef> = vec![Arc::new(done.time.finish())];
        columns.extend(done.names.iter_mut().map(|names| Arc::new(names.finish()) as ArrayRef));
        columns.extend(done.figures.iter_mut().map(|values| Arc::new(values.finish()) as ArrayRef));
        Ok(RecordBatch::try_new(schema(), columns)?)
    }
}

#[cfg(test)]
mod tests {
    use tiphys_api::{
        auth::{Attributes, Authorizer, UserInfo},
        samples::PodSample,
    };

    use super::*;

    struct Shop;

    impl Authorizer for Shop {
        fn authorize(&self, _: &UserInfo, attributes: &Attributes) -> std::result::Result<(), String> {
            match attributes {
                Attributes::Resource { namespace, .. } if namespace == "shop" => Ok(()),
                _ => Err("no".into()),
            }
        }
    }

    #[tokio::test]
    async fn volumes_are_rows_for_who_may_see_their_pods() {
        let volumes = Arc::new(Volumes::default());
        let measured = |minute: i64| {
            let volume =
                VolumeSample { volume: "data".into(), used_bytes: minute as u64, ..VolumeSample::default() };
            let pod = |namespace: &str| PodSample {
                namespace: namespace.into(),
                pod: "web".into(),
                volumes: vec![volume.clone()],
                ..PodSample::default()
            };
            let pods = vec![pod("shop"), pod("bank")];
            NodeSamples { time: minute * 60_000_000, node: "n1".into(), pods, ..NodeSamples::default() }
        };
        (1..=100).for_each(|minute| volumes.ingest(&measured(minute)));
        // Told again after a break.
        volumes.ingest(&measured(100));
        let session = SessionContext::new();
        let asker = Asker::new(UserInfo::named("u", &[]), Arc::new(Shop));
        let store = Arc::new(Store::in_memory(crate::series::Limits::default()));
        VolumeTable { volumes, store }.register(&session, &asker).expect("registered");
        let statement =
            "SELECT count(*), min(used_bytes), max(used_bytes), min(namespace), max(namespace) FROM volume";
        let rows = session.sql(statement).await.expect("planned").collect().await.expect("rows");
        let shown =
            datafusion::arrow::util::pretty::pretty_format_batches(&rows).expect("a table").to_string();
        assert!(
            shown.contains("| 63       | 38                     | 100                    | shop"),
            "{shown}"
        );
        assert!(!shown.contains("bank"), "{shown}");
    }

    /// A second of a node, with volumes each 15 s; `used` is the second.
    fn second(at: i64) -> NodeSamples {
        let of = |claim: &str| VolumeSample {
            volume: format!("of-{claim}"),
            claim: claim.into(),
            used_bytes: at.unsigned_abs(),
            ..VolumeSample::default()
        };
        let is_told = at % 15 == 0;
        let pod = |namespace: &str| PodSample {
            namespace: namespace.into(),
            pod: "web".into(),
            uid: format!("uid-{namespace}"),
            volumes: if is_told { vec![of("disk"), of("")] } else { Vec::new() },
            ..PodSample::default()
        };
        NodeSamples {
            time: at * 1_000_000,
            node: "n1".into(),
            machine: Some(tiphys_api::samples::Machine::default()),
            pods: vec![pod("shop"), pod("bank")],
            ..NodeSamples::default()
        }
    }

    #[test]
    fn of_what_is_no_longer_new_one_of_each_15_seconds_is_kept() {
        let volumes = Volumes::default();
        for at in 3600..=4200 {
            let told = NodeSamples { pods: second(3600).pods, ..second(at) };
            volumes.ingest(&told);
        }
        let expected: Vec<i64> = (3600..4080).step_by(15).chain(4080..=4200).collect();
        assert_eq!(volumes.recent.seconds("n1").first(), Some(&expected));
    }

    #[test]
    fn a_clock_that_is_set_back_begins_a_new_run() {
        let volumes = Volumes::default();
        let times = |node: &str| volumes.recent.seconds(node);
        (3600..=7200).step_by(60).for_each(|at| volumes.ingest(&second(at)));
        let now = jiff::Timestamp::now().as_microsecond();
        // The first second of the run tells of no volumes.
        volumes.ingest(&NodeSamples { anew: true, ..second(3661) });
        assert_eq!(times("n1"), vec![vec![3600, 3660]; 4]);
        assert!(volumes.recent.whole().since() >= now);
        volumes.ingest(&second(3720));
        assert_eq!(times("n1"), vec![vec![3600, 3660, 3720]; 4]);
        // Nobody said so.
        volumes.ingest(&second(3660));
        assert_eq!(times("n1"), vec![vec![3600, 3660]; 4]);
        // Years ahead: what others measured lately stays.
        let lately = now / 60_000_000 * 60 - 60;
        volumes.ingest(&NodeSamples { node: "n2".into(), ..second(lately) });
        volumes.ingest(&NodeSamples { anew: true, ..second(lately + 60_000_000) });
        assert_eq!(times("n1"), vec![vec![lately + 60_000_000]; 4]);
        assert_eq!(times("n2"), vec![vec![lately]; 4]);
    }

    #[tokio::test]
    async fn what_is_older_is_of_claims_without_a_gap_and_nothing_twice() {
        let store = Arc::new(Store::in_memory(crate::series::Limits::default()));
        let (names, volumes) = (crate::names::Names::new(store.clone()), Arc::new(Volumes::default()));
        for at in (900..3000).step_by(15) {
            names.take(&second(at));
            // Until then it was another process.
            if at > 1490 {
                volumes.ingest(&second(at));
            }
        }
        let session = SessionContext::new();
        let asker = Asker::new(UserInfo::named("u", &[]), Arc::new(Shop));
        VolumeTable { volumes, store: store.clone() }.register(&session, &asker).expect("registered");
        let ask = async |condition: &str| {
            let statement = format!(
                "SELECT cast(time AS bigint) / 1000000, namespace, pod, volume, claim, node, used_bytes \
                 FROM volume WHERE {condition} ORDER BY 1"
            );
            let rows = session.sql(&statement).await.expect("planned").collect().await.expect("rows");
            let mut text = Vec::new();
            let mut csv = datafusion::arrow::csv::WriterBuilder::new().with_header(false).build(&mut text);
            rows.iter().for_each(|batch| csv.write(batch).expect("written"));
            drop(csv);
            String::from_utf8(text).expect("text").lines().map(str::to_owned).collect::<Vec<_>>()
        };
        let older = (900..1500).step_by(15).map(|at| format!("{at},shop,,,disk,n1,{at}"));
        let recent = (1500..3000).step_by(15).map(|at| format!("{at},shop,web,of-disk,disk,n1,{at}"));
        assert_eq!(ask("claim = 'disk'").await, older.chain(recent).collect::<Vec<_>>());
        let between =
            ask("claim = 'disk' AND time >= to_timestamp(1470) AND time < to_timestamp(1501)").await;
        let expected =
            ["1470,shop,,,disk,n1,1470", "1485,shop,,,disk,n1,1485", "1500,shop,web,of-disk,disk,n1,1500"];
        assert_eq!(between, expected);
        assert!(ask("namespace = 'bank'").await.is_empty());
        // Of a Pod nothing older is known, so nothing is asked.
        let before = store.scans();
        assert_eq!(ask("pod = 'web' AND claim = 'disk'").await.len(), 100);
        assert_eq!(store.scans(), before);
    }
}
