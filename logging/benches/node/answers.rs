//! How much an answer has found, so that the two can be held against each other.

use serde_json::Value;

use crate::Result;

/// Values that a question for the most frequent ones is about.
pub const TOP: usize = 10;

/// Whether the collector says that something is missing: its time was up.
pub fn is_partial(answer: &Value) -> bool {
    answer["partial"].as_array().is_none_or(|missing| !missing.is_empty())
}

pub fn records(answer: &Value) -> u64 {
    answer["records"].as_array().map_or(0, Vec::len) as u64
}

/// Records in all bars of a histogram.
pub fn bars(answer: &Value) -> u64 {
    sum(&answer["buckets"], "count")
}

/// Records of all groups of statistics.
pub fn groups(answer: &Value) -> u64 {
    cells(answer).filter_map(|cell| cell["count"].as_u64()).sum()
}

/// Records with a number that was measured.
pub fn numbers(answer: &Value) -> u64 {
    cells(answer).filter_map(|cell| cell["measured"]["numbers"].as_u64()).sum()
}

/// Records with one of the [`TOP`] most frequent values of a facet.
pub fn top(answer: &Value, facet: &str) -> u64 {
    let values = answer["facets"][facet].as_array().into_iter().flatten();
    values.take(TOP).filter_map(|value| value["count"].as_u64()).sum()
}

/// How many patterns there are.
pub fn patterns(answer: &Value) -> u64 {
    answer["facets"]["pattern"].as_array().map_or(0, Vec::len) as u64
}

fn cells(answer: &Value) -> impl Iterator<Item = &Value> {
    let series = answer["series"].as_array().into_iter().flatten();
    series.filter_map(|series| series["cells"].as_object()).flat_map(|cells| cells.values())
}

fn sum(list: &Value, name: &str) -> u64 {
    list.as_array().into_iter().flatten().filter_map(|one| one[name].as_u64()).sum()
}

/// Records of an answer of VictoriaLogs, a line each.
pub fn peer_lines(text: &str) -> Result<u64> {
    Ok(text.lines().count() as u64)
}

/// Records in all bars of its histogram.
pub fn peer_bars(text: &str) -> Result<u64> {
    let answer: Value = serde_json::from_str(text)?;
    Ok(sum(&answer["hits"], "total"))
}

/// The sum of a column of its rows, which has numbers as texts.
pub fn peer_column(text: &str, name: &str) -> Result<u64> {
    let number = |line: &str| -> Result<u64> {
        let row: Value = serde_json::from_str(line)?;
        Ok(row[name].as_str().ok_or_else(|| format!("no column `{name}` in {line}"))?.parse()?)
    };
    text.lines().map(number).sum()
}

/// Records with a value of a facet.
pub fn peer_facet(text: &str, name: &str) -> Result<u64> {
    let answer: Value = serde_json::from_str(text)?;
    let mut facets = answer["facets"].as_array().into_iter().flatten();
    Ok(facets.find(|facet| facet["field_name"] == name).map_or(0, |facet| sum(&facet["values"], "hits")))
}
