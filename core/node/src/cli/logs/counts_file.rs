//! Counts as columns of a Parquet file: a row a value, a pattern, or a bar and level. Pure.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BooleanArray, StringArray, TimestampNanosecondArray, UInt64Array};
use tiphys_logging::{
    record::Level,
    time,
    wire::{FacetValue, HistogramAnswer},
};

/// Names and values.
pub type Columns = Vec<(String, ArrayRef)>;

pub fn texts<'a>(values: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(values.collect::<StringArray>())
}

pub fn counts(values: impl Iterator<Item = u64>) -> ArrayRef {
    Arc::new(UInt64Array::from_iter_values(values))
}

/// Times as answers have them; what is none is null.
pub fn times<'a>(values: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    let moments = values.map(|text| text.and_then(time::parse));
    Arc::new(moments.collect::<TimestampNanosecondArray>().with_timezone("UTC"))
}

fn column(name: &str, values: ArrayRef) -> (String, ArrayRef) {
    (name.to_owned(), values)
}

/// `field`, `value`, `count`.
pub fn of_facets(rows: &[(&str, FacetValue)]) -> Columns {
    vec![
        column("field", texts(rows.iter().map(|(field, _)| Some(*field)))),
        column("value", texts(rows.iter().map(|(_, value)| Some(value.value.as_str())))),
        column("count", counts(rows.iter().map(|(_, value)| value.count))),
    ]
}

/// `field`, `count`.
pub fn of_names(names: &[FacetValue]) -> Columns {
    vec![
        column("field", texts(names.iter().map(|name| Some(name.value.as_str())))),
        column("count", counts(names.iter().map(|name| name.count))),
    ]
}

/// `pattern`, `count`, `first`, `last`; `new` is null where nothing was compared.
pub fn of_patterns(patterns: &[FacetValue]) -> Columns {
    let new = patterns.iter().map(|pattern| pattern.before.map(|_| pattern.new));
    vec![
        column("pattern", texts(patterns.iter().map(|pattern| Some(pattern.value.as_str())))),
        column("count", counts(patterns.iter().map(|pattern| pattern.count))),
        column("first", times(patterns.iter().map(|pattern| pattern.first.as_deref()))),
        column("last", times(patterns.iter().map(|pattern| pattern.last.as_deref()))),
        column("new", Arc::new(new.collect::<BooleanArray>())),
    ]
}

/// `time`, `count`, and a column of counts for each level.
pub fn of_bars(answer: &HistogramAnswer) -> Columns {
    let bars = &answer.buckets;
    let mut columns = vec![
        column("time", times(bars.iter().map(|bar| Some(bar.time.as_str())))),
        column("count", counts(bars.iter().map(|bar| bar.count))),
    ];
    for level in Level::ALL {
        let of = |bar: &tiphys_logging::wire::Bucket| bar.by_level.get(level.name()).copied().unwrap_or(0);
        columns.push(column(level.name(), counts(bars.iter().map(of))));
    }
    columns
}

/// `time`, `value`, `count`: a row a bar and value; `(others)` are the rest, and null stands for
/// records without the field. What a bar doesn't have has no row.
pub fn of_values(answer: &HistogramAnswer) -> Columns {
    let mut rows: Vec<(&str, Option<&str>, u64)> = Vec::new();
    for bar in &answer.buckets {
        let known = answer.values.iter().map(|value| {
            let count = bar.by_value.get(&value.value).copied().unwrap_or_default();
            (bar.time.as_str(), Some(value.value.as_str()), count)
        });
        rows.extend(known);
        rows.push((&bar.time, Some("(others)"), bar.others));
        rows.push((&bar.time, None, bar.without));
    }
    rows.retain(|(_, _, count)| *count > 0);
    vec![
        column("time", times(rows.iter().map(|(time, _, _)| Some(*time)))),
        column("value", texts(rows.iter().map(|(_, value, _)| *value))),
        column("count", counts(rows.iter().map(|(_, _, count)| *count))),
    ]
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::{array::RecordBatch, util::pretty::pretty_format_batches};
    use tiphys_logging::wire::Bucket;

    use super::*;

    fn shown(columns: Columns) -> Vec<String> {
        let rows = RecordBatch::try_from_iter(columns).expect("columns of one length");
        let table = pretty_format_batches(&[rows]).expect("a table").to_string();
        let lines = table.lines().filter(|line| line.starts_with('|'));
        lines.map(|line| line.split('|').map(str::trim).collect::<Vec<_>>().join("|")).collect()
    }

    fn value(value: &str, count: u64) -> FacetValue {
        FacetValue { value: value.into(), count, ..FacetValue::default() }
    }

    #[test]
    fn counts_have_a_row_each() {
        let rows = [("level", value("warn", 3)), ("status", value("200", 2))];
        assert_eq!(shown(of_facets(&rows)), ["|field|value|count|", "|level|warn|3|", "|status|200|2|"]);
        assert_eq!(shown(of_names(&[value("took", 4)])), ["|field|count|", "|took|4|"]);
        let mut pattern = value("GET <*>", 9);
        pattern.first = Some("2026-01-31T12:00:00Z".into());
        let compared = FacetValue { before: Some(0), new: true, ..pattern.clone() };
        let patterns = shown(of_patterns(&[pattern, compared]));
        assert_eq!(patterns[0], "|pattern|count|first|last|new|");
        assert_eq!(patterns[1], "|GET <*>|9|2026-01-31T12:00:00Z|||");
        assert_eq!(patterns[2], "|GET <*>|9|2026-01-31T12:00:00Z||true|");
    }

    #[test]
    fn bars_have_levels_or_values() {
        let mut bar = Bucket { time: "2026-01-31T12:00:00Z".into(), count: 7, ..Bucket::default() };
        bar.by_level = [("error".to_owned(), 5), ("info".to_owned(), 2)].into();
        bar.by_value = [("a".to_owned(), 4)].into();
        (bar.others, bar.without) = (2, 1);
        let mut answer = HistogramAnswer { buckets: vec![bar], ..HistogramAnswer::default() };
        answer.values = vec![value("a", 4), value("b", 0)];
        let bars = shown(of_bars(&answer));
        let of = |name: &str| {
            let at = bars[0].split('|').position(|title| title == name).expect(name);
            bars[1].split('|').nth(at).expect("a cell").to_owned()
        };
        let found = ["count", "error", "info", "warn"].map(of);
        assert_eq!(found, ["7", "5", "2", "0"]);
        let time = "2026-01-31T12:00:00Z";
        let rows = ["a|4", "(others)|2", "|1"].map(|row| format!("|{time}|{row}|"));
        assert_eq!(shown(of_values(&answer)), [&["|time|value|count|".to_owned()], &rows[..]].concat());
    }
}
