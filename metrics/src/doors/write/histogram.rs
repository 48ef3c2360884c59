//! A native histogram as remote write sends it; the same message in both versions. Pure.

use std::sync::Arc;

use crate::{
    scrape::expose::proto::{Span, buckets},
    series::{Histogram, Value},
};

#[derive(Clone, PartialEq, prost::Message)]
pub struct WireHistogram {
    #[prost(uint64, optional, tag = "1")]
    pub count_int: Option<u64>,
    #[prost(double, optional, tag = "2")]
    pub count_float: Option<f64>,
    #[prost(double, tag = "3")]
    pub sum: f64,
    #[prost(sint32, tag = "4")]
    pub schema: i32,
    #[prost(double, tag = "5")]
    pub zero_threshold: f64,
    #[prost(uint64, optional, tag = "6")]
    pub zero_count_int: Option<u64>,
    #[prost(double, optional, tag = "7")]
    pub zero_count_float: Option<f64>,
    #[prost(message, repeated, tag = "8")]
    pub negative_spans: Vec<Span>,
    #[prost(sint64, repeated, tag = "9")]
    pub negative_deltas: Vec<i64>,
    #[prost(double, repeated, tag = "10")]
    pub negative_counts: Vec<f64>,
    #[prost(message, repeated, tag = "11")]
    pub positive_spans: Vec<Span>,
    #[prost(sint64, repeated, tag = "12")]
    pub positive_deltas: Vec<i64>,
    #[prost(double, repeated, tag = "13")]
    pub positive_counts: Vec<f64>,
    #[prost(int32, tag = "14")]
    pub reset_hint: i32,
    #[prost(int64, tag = "15")]
    pub timestamp: i64,
    #[prost(double, repeated, tag = "16")]
    pub custom_values: Vec<f64>,
}

/// The reset hint of a gauge.
const GAUGE: i32 = 3;

/// Time and value.
pub fn histogram(wire: &WireHistogram) -> (i64, Value) {
    let number = |float: Option<f64>, int: Option<u64>| float.unwrap_or(int.unwrap_or_default() as f64);
    let histogram = Histogram {
        schema: wire.schema,
        zero_threshold: wire.zero_threshold,
        zero_count: number(wire.zero_count_float, wire.zero_count_int),
        count: number(wire.count_float, wire.count_int),
        sum: wire.sum,
        positive: buckets(&wire.positive_spans, &wire.positive_deltas, &wire.positive_counts),
        negative: buckets(&wire.negative_spans, &wire.negative_deltas, &wire.negative_counts),
        custom_bounds: wire.custom_values.clone(),
        gauge: wire.reset_hint == GAUGE,
    };
    (wire.timestamp, Value::Histogram(Arc::new(histogram)))
}
