//! Short readings of an object's metadata, with the empty value for what is absent.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Resource;
use tiphys_client::Metadata;

pub fn name<K: Metadata>(object: &K) -> &str {
    object.name()
}

pub fn namespace<K: Metadata>(object: &K) -> &str {
    object.namespace()
}

pub fn uid<K: Metadata>(object: &K) -> &str {
    object.uid()
}

pub fn deleting<K: Metadata>(object: &K) -> bool {
    object.deletion().is_some()
}

pub fn generation<K: Resource>(object: &K) -> i64 {
    object.meta().generation.unwrap_or_default()
}

/// The epoch when it has none yet.
pub fn created<K: Metadata>(object: &K) -> Timestamp {
    object.created()
}

pub fn annotation<'a, K: Metadata>(object: &'a K, key: &str) -> Option<&'a str> {
    object.annotation(key)
}

pub fn labels<K: Metadata>(object: &K) -> &K::Labels {
    object.labels()
}

/// The W3C trace context that the object was stamped with.
pub fn traceparent<K: Metadata>(object: &K) -> Option<String> {
    annotation(object, tiphys_api::names::TRACEPARENT).map(String::from)
}

/// Now, in whole seconds, as the API keeps times.
pub fn now() -> Time {
    Time(Timestamp::from_second(Timestamp::now().as_second()).unwrap_or(Timestamp::UNIX_EPOCH))
}
