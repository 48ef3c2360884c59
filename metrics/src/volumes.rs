//! The table `volume`: what volumes of Pods have and use, as nodes measured them in the last
//! hour, once a minute.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use datafusion::{
    arrow::{
        array::{ArrayRef, RecordBatch, StringBuilder, TimestampMicrosecondBuilder, UInt64Builder},
        datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
    },
    common::{DataFusionError, Result},
    prelude::SessionContext,
};
use parking_lot::Mutex;
use tiphys_api::samples::{NodeSamples, VolumeSample};

use crate::{
    scope::Scope,
    sql::{Asker, Extension, computed},
};

/// How long a measurement is kept, microseconds.
const KEPT: i64 = 3600 * 1_000_000;

/// Namespace, Pod, its UID, the volume, the node.
type Key = [String; 5];

/// What was measured. Bounded by time and by what there is.
#[derive(Default)]
pub struct Volumes(Mutex<BTreeMap<Key, VecDeque<(i64, VolumeSample)>>>);

/// A figure: its column, what it says, and where it stands.
type Figure = (&'static str, &'static str, fn(&VolumeSample) -> u64);

const FIGURES: [Figure; 6] = [
    ("capacity_bytes", "size of the volume's file system", |it| it.capacity_bytes),
    ("available_bytes", "bytes that can still be written", |it| it.available_bytes),
    ("used_bytes", "bytes that the volume's files take", |it| it.used_bytes),
    ("inodes", "files that its file system can have", |it| it.inodes),
    ("inodes_free", "files that it can still have", |it| it.inodes_free),
    ("inodes_used", "files and folders in the volume", |it| it.inodes_used),
];

const NAMES: [(&str, &str); 5] = [
    ("namespace", "the Pod's namespace"),
    ("pod", "the Pod"),
    ("volume", "the volume's name in the Pod"),
    ("claim", "the claim that it is of; empty for what lives and dies with the Pod"),
    ("node", "where it is"),
];

impl Volumes {
    /// Takes in what a node has measured.
    pub fn ingest(&self, samples: &NodeSamples) {
        if samples.pods.iter().all(|pod| pod.volumes.is_empty()) {
            return;
        }
        let mut all = self.0.lock();
        for pod in &samples.pods {
            for volume in &pod.volumes {
                let key =
                    [&pod.namespace, &pod.pod, &pod.uid, &volume.volume, &samples.node].map(String::clone);
                let points = all.entry(key).or_default();
                if points.back().is_none_or(|(time, _)| *time < samples.time) {
                    points.push_back((samples.time, volume.clone()));
                }
            }
        }
        let oldest = samples.time - KEPT;
        all.retain(|_, points| {
            while points.front().is_some_and(|(time, _)| *time < oldest) {
                points.pop_front();
            }
            !points.is_empty()
        });
    }

    fn rows(&self, scope: &Scope) -> Result<Vec<RecordBatch>> {
        let mut time = TimestampMicrosecondBuilder::new().with_timezone("UTC");
        let mut names: [StringBuilder; 5] = std::array::from_fn(|_| StringBuilder::new());
        let mut figures: [UInt64Builder; 6] = std::array::from_fn(|_| UInt64Builder::new());
        let mut seen: HashMap<String, bool> = HashMap::new();
        for ([namespace, pod, _, volume, node], points) in self.0.lock().iter() {
            let is_seen = seen.entry(namespace.clone()).or_insert_with(|| scope.sees_namespace(namespace));
            if !*is_seen {
                continue;
            }
            for (at, sample) in points {
                time.append_value(*at);
                let values = [namespace, pod, volume, &sample.claim, node];
                names.iter_mut().zip(values).for_each(|(builder, value)| builder.append_value(value));
                let values = figures.iter_mut().zip(FIGURES);
                values.for_each(|(builder, (_, _, value))| builder.append_value(value(sample)));
            }
        }
        let mut columns: Vec<ArrayRef> = vec![Arc::new(time.finish())];
        columns.extend(names.iter_mut().map(|names| Arc::new(names.finish()) as ArrayRef));
        columns.extend(figures.iter_mut().map(|values| Arc::new(values.finish()) as ArrayRef));
        Ok(vec![RecordBatch::try_new(schema(), columns)?])
    }
}

fn schema() -> SchemaRef {
    let documented = |name: &str, kind: DataType, about: &str| {
        let about = HashMap::from([("description".to_owned(), about.to_owned())]);
        Field::new(name, kind, false).with_metadata(about)
    };
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let mut fields = vec![documented("time", time, "when the volume was measured")];
    fields.extend(NAMES.map(|(name, about)| documented(name, DataType::Utf8, about)));
    fields.extend(FIGURES.map(|(name, about, _)| documented(name, DataType::UInt64, about)));
    Arc::new(Schema::new(fields))
}

/// Brings `volume` into SQL.
pub struct VolumeTable(pub Arc<Volumes>);

impl Extension for VolumeTable {
    fn register(&self, session: &SessionContext, asker: &Asker) -> Result<(), DataFusionError> {
        let (volumes, scope) = (self.0.clone(), Scope::of(asker.user.clone(), asker.authorizer.clone()));
        session.register_table("volume", computed(schema(), move || volumes.rows(&scope)))?;
        Ok(())
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
        VolumeTable(volumes).register(&session, &asker).expect("registered");
        let statement =
            "SELECT count(*), min(used_bytes), max(used_bytes), min(namespace), max(namespace) FROM volume";
        let rows = session.sql(statement).await.expect("planned").collect().await.expect("rows");
        let shown =
            datafusion::arrow::util::pretty::pretty_format_batches(&rows).expect("a table").to_string();
        assert!(
            shown.contains("| 61       | 40                     | 100                    | shop"),
            "{shown}"
        );
        assert!(!shown.contains("bank"), "{shown}");
    }
}
