//! Metrics in Kubernetes' protobuf, for clients that ask for it. The numbers of fields are those of
//! `generated.proto` of k8s.io/metrics and of apimachinery's meta/v1.

use std::collections::BTreeMap;

use prost::Message;

use super::{
    GROUP_VERSION,
    item::{Item, Measured},
};

/// What every object in protobuf begins with.
const MAGIC: &[u8] = b"k8s\0";

#[derive(Clone, PartialEq, Message)]
pub struct Unknown {
    #[prost(message, optional, tag = "1")]
    pub type_meta: Option<TypeMeta>,
    #[prost(bytes = "vec", tag = "2")]
    pub raw: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub struct TypeMeta {
    #[prost(string, tag = "1")]
    pub api_version: String,
    #[prost(string, tag = "2")]
    pub kind: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct ObjectMeta {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "3")]
    pub namespace: String,
    #[prost(message, optional, tag = "8")]
    pub created: Option<Time>,
    #[prost(btree_map = "string, string", tag = "11")]
    pub labels: BTreeMap<String, String>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub struct Time {
    #[prost(int64, tag = "1")]
    pub seconds: i64,
}

/// Nanoseconds.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Duration {
    #[prost(int64, tag = "1")]
    pub duration: i64,
}

#[derive(Clone, PartialEq, Message)]
pub struct Quantity {
    #[prost(string, tag = "1")]
    pub text: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct NodeMetrics {
    #[prost(message, optional, tag = "1")]
    pub metadata: Option<ObjectMeta>,
    #[prost(message, optional, tag = "2")]
    pub timestamp: Option<Time>,
    #[prost(message, optional, tag = "3")]
    pub window: Option<Duration>,
    #[prost(btree_map = "string, message", tag = "4")]
    pub usage: BTreeMap<String, Quantity>,
}

#[derive(Clone, PartialEq, Message)]
pub struct PodMetrics {
    #[prost(message, optional, tag = "1")]
    pub metadata: Option<ObjectMeta>,
    #[prost(message, optional, tag = "2")]
    pub timestamp: Option<Time>,
    #[prost(message, optional, tag = "3")]
    pub window: Option<Duration>,
    #[prost(message, repeated, tag = "4")]
    pub containers: Vec<ContainerMetrics>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ContainerMetrics {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(btree_map = "string, message", tag = "2")]
    pub usage: BTreeMap<String, Quantity>,
}

/// `NodeMetricsList` and `PodMetricsList`: what is in it is encoded already.
#[derive(Clone, PartialEq, Message)]
pub struct MetricsList {
    #[prost(message, optional, tag = "1")]
    pub metadata: Option<ListMeta>,
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub items: Vec<Vec<u8>>,
}

/// Says nothing here.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct ListMeta {}

/// A list of objects of a kind.
pub fn list(kind: &str, items: &[Item]) -> Vec<u8> {
    let items = items.iter().map(item).collect();
    let list = MetricsList { metadata: Some(ListMeta {}), items };
    wrapped(format!("{kind}List"), list.encode_to_vec())
}

/// One object.
pub fn one(kind: &str, found: Option<&Item>) -> Vec<u8> {
    wrapped(kind.to_owned(), found.map(item).unwrap_or_default())
}

fn wrapped(kind: String, raw: Vec<u8>) -> Vec<u8> {
    let type_meta = Some(TypeMeta { api_version: GROUP_VERSION.to_owned(), kind });
    [MAGIC, &Unknown { type_meta, raw }.encode_to_vec()].concat()
}

fn item(item: &Item) -> Vec<u8> {
    let time = Some(Time { seconds: item.time().div_euclid(1_000_000) });
    let metadata = Some(ObjectMeta {
        name: item.name.clone(),
        namespace: item.namespace.clone(),
        created: time,
        labels: item.labels.clone(),
    });
    let window = Some(Duration { duration: item.window() * 1000 });
    if item.namespace.is_empty() {
        let usage = item.usage.first().map(usage).unwrap_or_default();
        return NodeMetrics { metadata, timestamp: time, window, usage }.encode_to_vec();
    }
    let containers =
        item.usage.iter().map(|one| ContainerMetrics { name: one.name.clone(), usage: usage(one) });
    PodMetrics { metadata, timestamp: time, window, containers: containers.collect() }.encode_to_vec()
}

fn usage(one: &Measured) -> BTreeMap<String, Quantity> {
    one.usage().into_iter().map(|(resource, text)| (resource.to_owned(), Quantity { text })).collect()
}
