//! An export request in JSON. Pure but for the sums of deltas.
//!
//! OTLP's JSON is protobuf's, with ids in hexadecimal; numbers of 64 bits come as texts, which
//! some senders forget.

use base64::{Engine, engine::general_purpose::STANDARD};
use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value},
    metrics::v1::{
        Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint,
        Metric, NumberDataPoint, Sum, Summary, SummaryDataPoint, exemplar, exponential_histogram_data_point,
        metric::Data, number_data_point, summary_data_point,
    },
    resource::v1::Resource,
};
use serde_json::Value;

use super::{MOST_POINTS, Request, Sender, Sums, translate::Translator};
use crate::doors::Refusal;

/// Bytes of a request: as JSON it takes many times that in memory.
pub const MAX_JSON: usize = 8 << 20;

/// Or what is wrong with a value.
pub type Read<T> = Result<T, String>;

pub fn walk(bytes: &[u8], sums: &Sums, sender: &Sender, into: &mut Request) -> Result<(), Refusal> {
    if bytes.len() > MAX_JSON {
        return Err(Refusal::too_large(format!("a request in JSON has at most {} MiB", MAX_JSON >> 20)));
    }
    let request: Value = serde_json::from_slice(bytes)
        .map_err(|error| Refusal::malformed(format!("the request is no JSON: {error}")))?;
    for of_resource in list(&request, "resourceMetrics") {
        let attributes = pairs(&of_resource["resource"], "attributes").map_err(Refusal::malformed)?;
        let resource = Resource { attributes, ..Resource::default() };
        let mut translator = Translator::new(&resource, sums, sender, into);
        for of_scope in list(of_resource, "scopeMetrics") {
            let text = |name: &str| of_scope["scope"][name].as_str().unwrap_or_default().to_owned();
            let scope =
                InstrumentationScope { name: text("name"), version: text("version"), ..Default::default() };
            for found in list(of_scope, "metrics") {
                translator.metric(&scope, metric(found).map_err(Refusal::malformed)?)?;
            }
        }
        translator.finish()?;
    }
    Ok(())
}

pub fn list<'a>(object: &'a Value, name: &str) -> &'a [Value] {
    object[name].as_array().map_or(&[], Vec::as_slice)
}

pub fn text(object: &Value, name: &str) -> String {
    object[name].as_str().unwrap_or_default().to_owned()
}

pub fn unsigned(value: &Value) -> Read<u64> {
    let found = match value {
        Value::Null => Some(0),
        Value::String(text) => text.parse().ok(),
        other => other.as_u64().or_else(|| other.as_f64().map(|number| number as u64)),
    };
    found.ok_or_else(|| format!("{value} is no whole number"))
}

fn signed(value: &Value) -> Read<i64> {
    let found = match value {
        Value::Null => Some(0),
        Value::String(text) => text.parse().ok(),
        other => other.as_i64(),
    };
    found.ok_or_else(|| format!("{value} is no whole number"))
}

pub fn small(value: &Value) -> Read<i32> {
    i32::try_from(signed(value)?).map_err(|_| format!("{value} is too large"))
}

fn double(value: &Value) -> Read<f64> {
    let found = match value {
        Value::Null => Some(0.0),
        Value::String(text) => match text.as_str() {
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            text => text.parse().ok(),
        },
        other => other.as_f64(),
    };
    found.ok_or_else(|| format!("{value} is no number"))
}

pub fn some<T>(value: &Value, read: impl Fn(&Value) -> Read<T>) -> Read<Option<T>> {
    if value.is_null() { Ok(None) } else { read(value).map(Some) }
}

pub fn all<T>(object: &Value, name: &str, read: impl Fn(&Value) -> Read<T>) -> Read<Vec<T>> {
    let values = list(object, name);
    if values.len() > MOST_POINTS {
        return Err(format!("{name} has more than {MOST_POINTS} entries: send less at once"));
    }
    values.iter().map(read).collect()
}

pub fn pairs(object: &Value, name: &str) -> Read<Vec<KeyValue>> {
    all(object, name, |pair| {
        let value = some(&pair["value"], any)?;
        Ok(KeyValue { key: text(pair, "key"), value, ..KeyValue::default() })
    })
}

/// The nesting is bounded by the parser.
fn any(value: &Value) -> Read<AnyValue> {
    use any_value::Value as Any;
    let of = |name: &str| value.get(name).filter(|value| !value.is_null());
    let found = if let Some(text) = of("stringValue") {
        Some(Any::StringValue(text.as_str().unwrap_or_default().to_owned()))
    } else if let Some(flag) = of("boolValue") {
        Some(Any::BoolValue(flag.as_bool().unwrap_or_default()))
    } else if let Some(number) = of("intValue") {
        Some(Any::IntValue(signed(number)?))
    } else if let Some(number) = of("doubleValue") {
        Some(Any::DoubleValue(double(number)?))
    } else if let Some(list) = of("arrayValue") {
        Some(Any::ArrayValue(ArrayValue { values: all(list, "values", any)? }))
    } else if let Some(list) = of("kvlistValue") {
        Some(Any::KvlistValue(KeyValueList { values: pairs(list, "values")? }))
    } else {
        of("bytesValue").map(|bytes| {
            Any::BytesValue(STANDARD.decode(bytes.as_str().unwrap_or_default()).unwrap_or_default())
        })
    };
    Ok(AnyValue { value: found })
}

fn metric(value: &Value) -> Read<Metric> {
    let name = text(value, "name");
    let data = data(value).map_err(|why| format!("metric {name:?}: {why}"))?;
    Ok(Metric {
        description: text(value, "description"),
        unit: text(value, "unit"),
        name,
        data,
        ..Metric::default()
    })
}

fn data(value: &Value) -> Read<Option<Data>> {
    let of = |name: &str| value.get(name).filter(|value| !value.is_null());
    let temporality = |found: &Value| match found["aggregationTemporality"].as_str() {
        Some("AGGREGATION_TEMPORALITY_DELTA") => Ok(1),
        Some("AGGREGATION_TEMPORALITY_CUMULATIVE") => Ok(2),
        _ => small(&found["aggregationTemporality"]),
    };
    Ok(Some(if let Some(found) = of("gauge") {
        Data::Gauge(Gauge { data_points: all(found, "dataPoints", number)? })
    } else if let Some(found) = of("sum") {
        Data::Sum(Sum {
            data_points: all(found, "dataPoints", number)?,
            aggregation_temporality: temporality(found)?,
            is_monotonic: found["isMonotonic"].as_bool().unwrap_or_default(),
        })
    } else if let Some(found) = of("histogram") {
        Data::Histogram(Histogram {
            data_points: all(found, "dataPoints", classic)?,
            aggregation_temporality: temporality(found)?,
        })
    } else if let Some(found) = of("exponentialHistogram") {
        Data::ExponentialHistogram(ExponentialHistogram {
            data_points: all(found, "dataPoints", exponential)?,
            aggregation_temporality: temporality(found)?,
        })
    } else if let Some(found) = of("summary") {
        Data::Summary(Summary { data_points: all(found, "dataPoints", summary)? })
    } else {
        return Ok(None);
    }))
}

fn flags(value: &Value) -> Read<u32> {
    u32::try_from(unsigned(&value["flags"])?).map_err(|_| "flags are too large".to_owned())
}

fn number(value: &Value) -> Read<NumberDataPoint> {
    let found = match (&value["asDouble"], &value["asInt"]) {
        (Value::Null, Value::Null) => None,
        (Value::Null, int) => Some(number_data_point::Value::AsInt(signed(int)?)),
        (real, _) => Some(number_data_point::Value::AsDouble(double(real)?)),
    };
    Ok(NumberDataPoint {
        attributes: pairs(value, "attributes")?,
        time_unix_nano: unsigned(&value["timeUnixNano"])?,
        exemplars: all(value, "exemplars", example)?,
        flags: flags(value)?,
        value: found,
        ..NumberDataPoint::default()
    })
}

fn classic(value: &Value) -> Read<HistogramDataPoint> {
    Ok(HistogramDataPoint {
        attributes: pairs(value, "attributes")?,
        time_unix_nano: unsigned(&value["timeUnixNano"])?,
        count: unsigned(&value["count"])?,
        sum: some(&value["sum"], double)?,
        bucket_counts: all(value, "bucketCounts", unsigned)?,
        explicit_bounds: all(value, "explicitBounds", double)?,
        exemplars: all(value, "exemplars", example)?,
        flags: flags(value)?,
        ..HistogramDataPoint::default()
    })
}

fn exponential(value: &Value) -> Read<ExponentialHistogramDataPoint> {
    let buckets = |name: &str| {
        some(&value[name], |found| {
            Ok(exponential_histogram_data_point::Buckets {
                offset: small(&found["offset"])?,
                bucket_counts: all(found, "bucketCounts", unsigned)?,
            })
        })
    };
    Ok(ExponentialHistogramDataPoint {
        attributes: pairs(value, "attributes")?,
        time_unix_nano: unsigned(&value["timeUnixNano"])?,
        count: unsigned(&value["count"])?,
        sum: some(&value["sum"], double)?,
        scale: small(&value["scale"])?,
        zero_count: unsigned(&value["zeroCount"])?,
        zero_threshold: double(&value["zeroThreshold"])?,
        positive: buckets("positive")?,
        negative: buckets("negative")?,
        exemplars: all(value, "exemplars", example)?,
        flags: flags(value)?,
        ..ExponentialHistogramDataPoint::default()
    })
}

fn summary(value: &Value) -> Read<SummaryDataPoint> {
    Ok(SummaryDataPoint {
        attributes: pairs(value, "attributes")?,
        time_unix_nano: unsigned(&value["timeUnixNano"])?,
        count: unsigned(&value["count"])?,
        sum: double(&value["sum"])?,
        quantile_values: all(value, "quantileValues", |found| {
            Ok(summary_data_point::ValueAtQuantile {
                quantile: double(&found["quantile"])?,
                value: double(&found["value"])?,
            })
        })?,
        flags: flags(value)?,
        ..SummaryDataPoint::default()
    })
}

fn example(value: &Value) -> Read<Exemplar> {
    let found = match (&value["asDouble"], &value["asInt"]) {
        (Value::Null, Value::Null) => None,
        (Value::Null, int) => Some(exemplar::Value::AsInt(signed(int)?)),
        (real, _) => Some(exemplar::Value::AsDouble(double(real)?)),
    };
    Ok(Exemplar {
        filtered_attributes: pairs(value, "filteredAttributes")?,
        time_unix_nano: unsigned(&value["timeUnixNano"])?,
        span_id: hex(&value["spanId"])?,
        trace_id: hex(&value["traceId"])?,
        value: found,
    })
}

pub fn hex(value: &Value) -> Read<Vec<u8>> {
    let text = value.as_str().unwrap_or_default();
    let wrong = || format!("{text:?} is no id in hexadecimal");
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return Err(wrong());
    }
    let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| wrong());
    (0..text.len()).step_by(2).map(byte).collect()
}
