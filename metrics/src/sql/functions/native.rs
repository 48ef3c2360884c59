//! A native histogram as text: what the column `histogram` of `samples` holds, and what functions
//! over histograms take and give.
//!
//! ```json
//! {"count": 7, "sum": 9.5, "schema": 0, "zero_threshold": 0.001, "zero_count": 1,
//!  "negative": [], "positive": [[0, 2], [1, 4]]}
//! ```
//!
//! A bucket is its index and its count: with schema s, bucket i ends at `2^(i * 2^-s)` and begins
//! where the one before ends. With schema -53 `custom_bounds` lists where buckets end, the last
//! one without an end, and index 0 is the first. `"gauge": true` says that counts may fall. What
//! JSON has no number for is `"NaN"`, `"+Inf"` or `"-Inf"`. A text gives back the same histogram.

use std::ops::RangeInclusive;

use datafusion::common::{DataFusionError, Result};
use serde_json::{Map, Number, Value, json};

use crate::{
    promql::histogram::{CUSTOM, Incompatible},
    series::{Buckets, Histogram},
};

/// Schemas with exponential buckets, those that are reserved among them.
const SCHEMAS: RangeInclusive<i32> = -9..=52;
/// Whole numbers up to this are written without a point.
const WHOLE: f64 = (1_u64 << 53) as f64;
/// Characters of a wrong text that its error shows.
const SHOWN: usize = 40;

/// The text of a histogram.
pub fn text(histogram: &Histogram) -> String {
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| {
        object.insert(key.to_owned(), value);
    };
    put("count", number(histogram.count));
    put("sum", number(histogram.sum));
    put("schema", histogram.schema.into());
    put("positive", pairs(&histogram.positive));
    if histogram.schema == CUSTOM {
        put("custom_bounds", histogram.custom_bounds.iter().copied().map(number).collect());
    } else {
        put("zero_threshold", number(histogram.zero_threshold));
        put("zero_count", number(histogram.zero_count));
        put("negative", pairs(&histogram.negative));
    }
    if histogram.gauge {
        put("gauge", true.into());
    }
    Value::Object(object).to_string()
}

fn pairs(buckets: &Buckets) -> Value {
    buckets.iter().map(|(index, count)| json!([index, number(count)])).collect()
}

fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < WHOLE {
        return (value as i64).into();
    }
    let name = || match value {
        f64::INFINITY => "+Inf",
        f64::NEG_INFINITY => "-Inf",
        _ => "NaN",
    };
    Number::from_f64(value).map_or_else(|| name().into(), Value::Number)
}

/// The histogram of a text.
///
/// # Errors
/// The text is of none.
pub fn read(text: &str) -> Result<Histogram> {
    let value: Option<Value> = serde_json::from_str(text).ok();
    value.as_ref().and_then(histogram).ok_or_else(|| {
        let mut shown: String = text.chars().take(SHOWN).collect();
        if shown.len() < text.len() {
            shown.push_str("...");
        }
        DataFusionError::Execution(format!(
            "'{shown}' is no native histogram: those are in the column histogram of samples"
        ))
    })
}

/// What is said of histograms that can't be added or subtracted.
pub fn unlike(_: Incompatible) -> DataFusionError {
    DataFusionError::Execution(
        "histograms with exponential buckets and those with bounds of their own don't add up: \
         group by what tells them apart"
            .to_owned(),
    )
}

fn histogram(value: &Value) -> Option<Histogram> {
    let schema = i32::try_from(value.get("schema")?.as_i64()?).ok()?;
    if schema != CUSTOM && !SCHEMAS.contains(&schema) {
        return None;
    }
    let or_zero = |key: &str| value.get(key).map_or(Some(0.0), float);
    let custom_bounds = match value.get("custom_bounds") {
        Some(bounds) => bounds.as_array()?.iter().map(float).collect::<Option<_>>()?,
        None => Vec::new(),
    };
    Some(Histogram {
        schema,
        zero_threshold: or_zero("zero_threshold").filter(|width| width.is_finite() && *width >= 0.0)?,
        zero_count: or_zero("zero_count")?,
        count: float(value.get("count")?)?,
        sum: float(value.get("sum")?)?,
        positive: buckets(value.get("positive"))?,
        negative: buckets(value.get("negative"))?,
        custom_bounds,
        gauge: value.get("gauge").and_then(Value::as_bool).unwrap_or_default(),
    })
}

/// Buckets out of pairs that stand in order of their indexes.
fn buckets(value: Option<&Value>) -> Option<Buckets> {
    let mut buckets = Buckets::default();
    let Some(value) = value else { return Some(buckets) };
    let mut next = 0i32;
    for pair in value.as_array()? {
        let [index, count] = pair.as_array()?.as_slice() else { return None };
        let index = i32::try_from(index.as_i64()?).ok()?;
        match buckets.spans.last_mut() {
            Some((_, length)) if index == next => *length += 1,
            Some(_) if index < next => return None,
            _ => buckets.spans.push((index.checked_sub(next)?, 1)),
        }
        next = index.checked_add(1)?;
        buckets.counts.push(float(count)?);
    }
    Some(buckets)
}

fn float(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(name) => name.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exponential() -> Histogram {
        Histogram {
            schema: 2,
            zero_threshold: 0.001,
            zero_count: 1.0,
            count: 9.5,
            sum: f64::NAN,
            // The second run has a bucket that nothing is in.
            positive: Buckets { spans: vec![(-3, 2), (4, 2)], counts: vec![1.0, 2.0, 0.0, 2.5] },
            negative: Buckets { spans: vec![(1, 1)], counts: vec![3.0] },
            custom_bounds: Vec::new(),
            gauge: true,
        }
    }

    #[test]
    fn a_text_gives_back_its_histogram() {
        let back = read(&text(&exponential())).expect("a histogram");
        assert!(back.sum.is_nan());
        let sum = 1.5;
        assert_eq!(Histogram { sum, ..back }, Histogram { sum, ..exponential() });
        let listed = Histogram {
            schema: CUSTOM,
            count: 3.0,
            sum: f64::INFINITY,
            positive: Buckets { spans: vec![(0, 1), (1, 1)], counts: vec![1.0, 2.0] },
            custom_bounds: vec![0.1, 2.0],
            ..Histogram::default()
        };
        assert_eq!(read(&text(&listed)).expect("a histogram"), listed);
        assert_eq!(
            text(&listed),
            r#"{"count":3,"custom_bounds":[0.1,2],"positive":[[0,1],[2,2]],"schema":-53,"sum":"+Inf"}"#
        );
    }

    #[test]
    fn what_is_no_histogram_is_refused() {
        for wrong in [
            "",
            "Running",
            "{}",
            r#"{"count":1,"sum":1}"#,
            r#"{"count":1,"sum":1,"schema":-2147483648}"#,
            // No wider zero bucket would ever be found.
            r#"{"count":1,"sum":1,"schema":0,"zero_threshold":"NaN"}"#,
            r#"{"count":1,"sum":1,"schema":0,"positive":[[2,1],[1,1]]}"#,
            r#"{"count":1,"sum":1,"schema":0,"positive":[[1]]}"#,
            r#"{"count":1,"sum":1,"schema":0,"positive":[[-2147483648,1],[2147483647,1]]}"#,
        ] {
            let error = read(wrong).expect_err(wrong).to_string();
            assert!(error.contains("is no native histogram"), "{wrong}: {error}");
        }
    }
}
