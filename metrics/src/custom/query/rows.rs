//! An answer's rows as values with labels. Pure.

use serde_json::{Map, Value};
use tiphys_api::ways::Way;

use crate::{custom::ExternalValue, memory::Reading};

/// Rows of one answer; more is no metric.
pub const MOST: usize = 1000;
/// The column that is the metric, where there are several of numbers.
const VALUE: &str = "value";

/// The values in a JSON array of objects, taken at `time` (microseconds). Rows whose value is null
/// say nothing.
///
/// # Errors
/// It is not clear which column is the value, or there are too many rows.
pub fn read(text: &str, time: i64) -> Result<Vec<ExternalValue>, String> {
    let rows: Vec<Map<String, Value>> =
        serde_json::from_str(text).map_err(|error| format!("the answer can't be read: {error}"))?;
    if rows.len() > MOST {
        return Err(format!("the query gives {} rows; {MOST} are taken at most: add them up", rows.len()));
    }
    let mut values = Vec::new();
    for row in &rows {
        let Some(column) = value_column(row)? else { continue };
        let Some(value) = row[column].as_f64().filter(|value| value.is_finite()) else { continue };
        let labels = row.iter().filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
        let reading = Reading { value, time, window: 0, ways: Way::Queried.into() };
        values.push(ExternalValue { labels: labels.collect(), reading });
    }
    if values.is_empty() {
        return Err("the query gives no row with a number".to_owned());
    }
    Ok(values)
}

fn value_column(row: &Map<String, Value>) -> Result<Option<&str>, String> {
    if row.contains_key(VALUE) {
        return Ok(Some(VALUE));
    }
    let mut numbers = row.iter().filter(|(_, value)| value.is_number()).map(|(name, _)| name.as_str());
    match (numbers.next(), numbers.next()) {
        (first, None) => Ok(first),
        (Some(first), Some(second)) => {
            Err(format!("{first} and {second} are both numbers; call the one that counts {VALUE}"))
        }
        (None, Some(_)) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_column_of_numbers_is_the_value_and_texts_are_labels() {
        let values = |text: &str| {
            read(text, 7).map(|rows| rows.iter().map(|row| row.reading.value).collect::<Vec<_>>())
        };
        assert_eq!(values(r#"[{"count(*)": 3}]"#), Ok(vec![3.0]));
        assert_eq!(values(r#"[{"value": 1.5, "n": 9}]"#), Ok(vec![1.5]));
        let rows = read(r#"[{"lane": "a", "depth": 2}, {"lane": "b", "depth": null}]"#, 7).expect("rows");
        assert_eq!(rows.len(), 1);
        assert_eq!((&rows[0].labels, rows[0].reading.time), (&vec![("lane".to_owned(), "a".to_owned())], 7));
        assert!(values(r#"[{"a": 1, "b": 2}]"#).expect_err("two").contains("call the one"));
        assert!(values("[]").is_err() && values(r#"[{"a": "x"}]"#).is_err());
        let many = format!("[{}]", vec![r#"{"a": 1}"#; MOST + 1].join(","));
        assert!(values(&many).expect_err("many").contains("1001 rows"));
    }
}
