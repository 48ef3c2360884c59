//! Labels, series, volumes, patterns and fields: what people find their queries by.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
};

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{
    answer::{Answer, LokiError, Outcome, missing, success},
    http::matrix,
    labels::{self, Labels, OWN},
    lines::Ask,
    logql::{
        LogQuery,
        ast::{Group, Metric, RangeAggregation, RangeOp, Stage, VectorOp},
        parse_selector,
    },
    metric,
    params::{Params, Range},
    pipeline::{Line, Pipeline},
    range::{Grid, read_labels},
    translate, vector,
};
use crate::{
    query::number,
    root::stats,
    search::{LABEL_NAMES, LABELS, OTHERS},
    time,
    wire::{FacetsAnswer, FacetsRequest, MAX_KEYS, NodeStatsRequest},
};

/// Label sets and values that an answer has at most.
const MAX_VALUES: usize = 1000;
/// Lines that fields are looked for in.
const SAMPLE: usize = 1000;

/// The query of a request as the index takes it; all when there is none.
fn pushed(query: Option<&str>) -> Result<String, LokiError> {
    let Some(query) = query else { return Ok(String::new()) };
    Ok(translate::push(&parse_selector(query)?).expr.to_string())
}

async fn facets(
    ask: Ask<'_>,
    query: String,
    range: Range,
    fields: Vec<String>,
) -> Result<FacetsAnswer, LokiError> {
    let request = FacetsRequest {
        query,
        since: Some(time::format(range.start)),
        until: Some(time::format(range.end.max(range.start.saturating_add(1)))),
        limit: Some(MAX_VALUES),
        fields,
        ..FacetsRequest::default()
    };
    Ok(ask.root.facets(ask.user, &request).await?)
}

/// What an answer's values are not: those that are told apart no more, and a word on it.
fn cut(answer: &FacetsAnswer, field: &str) -> Option<String> {
    let values = answer.facets.get(field)?;
    let others = values.iter().any(|value| value.value == OTHERS);
    (others || values.len() >= MAX_VALUES).then(|| {
        format!("an answer has at most {MAX_VALUES} of these, and there may be more: narrow the selector or the range")
    })
}

/// What is missing from an answer, also of the values of a field.
fn warnings(answer: &FacetsAnswer, field: &str) -> Vec<String> {
    missing(&answer.partial).into_iter().chain(cut(answer, field)).collect()
}

/// Label sets of streams, without the labels that their records have.
async fn label_sets(
    ask: Ask<'_>,
    query: String,
    range: Range,
) -> Result<(BTreeSet<Labels>, FacetsAnswer), LokiError> {
    let answer = facets(ask, query, range, vec![LABELS.to_owned()]).await?;
    Ok((read_sets(&answer), answer))
}

fn read_sets(answer: &FacetsAnswer) -> BTreeSet<Labels> {
    let sets = answer.facets.get(LABELS).into_iter().flatten();
    sets.filter_map(|value| read_labels(&value.value)).collect()
}

/// Names of labels, also of those that few records have: label sets are more than an answer has.
fn label_names(answer: &FacetsAnswer) -> BTreeSet<String> {
    if answer.count == 0 {
        return BTreeSet::new();
    }
    let given = answer.facets.get(LABEL_NAMES).into_iter().flatten().map(|value| value.value.as_str());
    labels::names(given.filter(|name| *name != OTHERS))
}

pub async fn labels(ask: Ask<'_>, params: &Params, range: Range) -> Result<Response, LokiError> {
    let answer = facets(ask, pushed(params.get("query"))?, range, vec![LABEL_NAMES.to_owned()]).await?;
    Ok(success(json!(label_names(&answer)), &warnings(&answer, LABEL_NAMES)))
}

pub async fn values(ask: Ask<'_>, params: &Params, range: Range, name: &str) -> Result<Response, LokiError> {
    let field = translate::field(name);
    let answer = facets(ask, pushed(params.get("query"))?, range, vec![field.clone()]).await?;
    let values = answer.facets.get(&field).into_iter().flatten().map(|value| value.value.as_str());
    let values: BTreeSet<&str> = values.filter(|value| *value != OTHERS).collect();
    Ok(success(json!(values), &warnings(&answer, &field)))
}

pub async fn series(ask: Ask<'_>, params: &Params, range: Range) -> Result<Response, LokiError> {
    let selectors: Vec<&str> = ["match[]", "match"].into_iter().flat_map(|name| params.all(name)).collect();
    let mut all = BTreeSet::new();
    let mut said = Vec::new();
    let queries = match selectors.as_slice() {
        [] => vec![String::new()],
        some => some.iter().map(|text| pushed(Some(text))).collect::<Result<_, _>>()?,
    };
    for query in queries {
        let (sets, answer) = label_sets(ask, query, range).await?;
        all.extend(sets);
        said.extend(warnings(&answer, LABELS));
    }
    said.sort_unstable();
    said.dedup();
    Ok(success(json!(all), &said))
}

/// How much a query would look at; bytes are estimated from whole blocks.
pub async fn index_stats(ask: Ask<'_>, params: &Params, range: Range) -> Result<Response, LokiError> {
    let (sets, answer) = label_sets(ask, pushed(Some(params.query()?))?, range).await?;
    let mut stats = json!({
        "streams": sets.len(),
        "chunks": answer.blocks,
        "bytes": answer.bytes,
        "entries": answer.count,
    });
    let said = warnings(&answer, LABELS);
    if !said.is_empty() {
        stats["warnings"] = json!(said);
    }
    Ok(Json(stats).into_response())
}

/// Bytes by label set over windows of this length.
fn volumes(params: &Params, window: i64) -> Result<Metric, LokiError> {
    let logs = parse_selector(params.query()?)?;
    let labels: Vec<String> = match params.get("targetLabels") {
        Some(names) => names.split(',').map(|name| name.trim().to_owned()).collect(),
        None => {
            let names: BTreeSet<String> = logs.selector.iter().map(|matcher| matcher.name.clone()).collect();
            names.into_iter().take(MAX_KEYS).collect()
        }
    };
    let function =
        RangeAggregation { op: RangeOp::Bytes, param: None, logs, range: window, offset: 0, group: None };
    Ok(Metric::Aggregation {
        op: VectorOp::Sum,
        param: None,
        group: Some(Group { without: false, labels }),
        inner: Box::new(Metric::Range(Box::new(function))),
    })
}

pub async fn volume(ask: Ask<'_>, params: &Params, range: Range) -> Result<Response, LokiError> {
    let query = volumes(params, range.end.saturating_sub(range.start).max(1))?;
    let grid = Grid { start: range.end, step: 1, count: 1 };
    let mut warnings = Vec::new();
    let vector::Value::Vector(series) = metric::evaluate(ask, &query, grid, &mut warnings).await? else {
        return Err(LokiError::wrong("the volume is no vector"));
    };
    let seconds = range.end as f64 / 1e9;
    let one = |series: super::range::Series| {
        Some((series.labels, (seconds, series.values.first().copied().flatten()?)))
    };
    let mut result: Vec<_> = series.into_iter().filter_map(one).collect();
    result.sort_by(|a, b| b.1.1.total_cmp(&a.1.1).then_with(|| a.0.cmp(&b.0)));
    result.truncate(params.limit()?);
    Ok(Answer { result: Outcome::Vector(result), warnings }.into_response())
}

pub async fn volume_range(ask: Ask<'_>, params: &Params, range: Range) -> Result<Response, LokiError> {
    let (result, warnings) = matrix(ask, &volumes(params, range.step)?, range).await?;
    Ok(Answer { result, warnings }.into_response())
}

/// Patterns with their counts by step, the most frequent first.
pub async fn patterns(ask: Ask<'_>, params: &Params, range: Range) -> Result<Response, LokiError> {
    let query = pushed(Some(params.query()?))?;
    let want =
        NodeStatsRequest { by: vec!["pattern".into()], step_ns: range.step, ..NodeStatsRequest::default() };
    let end = range.end.max(range.start.saturating_add(1));
    let gathered = stats::cells(ask.root, ask.user, &query, range.start..end, want).await?;
    let count = |cells: &stats::Cells| cells.values().map(|cell| cell.count).sum::<u64>();
    let mut patterns: Vec<_> = gathered.groups.into_iter().collect();
    patterns.sort_by(|a, b| (Reverse(count(&a.1)), &a.0).cmp(&(Reverse(count(&b.1)), &b.0)));
    patterns.truncate(params.limit()?);
    let one = |(group, cells): (Vec<Option<String>>, stats::Cells)| {
        let start = |step: u32| range.start.saturating_add(range.step.saturating_mul(i64::from(step)));
        let second = |step: u32| start(step) / time::SECOND;
        let samples: Vec<Value> =
            cells.iter().map(|(step, cell)| json!([second(*step), cell.count])).collect();
        json!({ "pattern": group.into_iter().next().flatten(), "samples": samples })
    };
    let patterns: Vec<Value> = patterns.into_iter().map(one).collect();
    let mut said = missing(&gathered.partial);
    if !gathered.other.is_empty() {
        said.push(
            "there are more patterns than are told apart, some are missing: narrow the selector".into(),
        );
    }
    Ok(success(json!(patterns), &said))
}

/// A field that some lines have.
#[derive(Default)]
struct Seen {
    values: BTreeSet<String>,
    parsers: BTreeSet<&'static str>,
}

/// Fields of the newest lines by their names, and what is missing.
async fn seen(
    ask: Ask<'_>,
    params: &Params,
    range: Range,
) -> Result<(BTreeMap<String, Seen>, Vec<String>), LokiError> {
    let query: LogQuery = parse_selector(params.query()?)?;
    let logfmt = Stage::Logfmt { strict: true, keep_empty: false, picks: Vec::new() };
    let parsers =
        [("json", Pipeline::new(&[Stage::Json(Vec::new())])?), ("logfmt", Pipeline::new(&[logfmt])?)];
    let mut fields: BTreeMap<String, Seen> = BTreeMap::new();
    let (mut looked, mut more) = (0, false);
    let walked = ask.each_line(&query, range.start..range.end, false, Some(SAMPLE), |_, line| {
        for (parser, pipeline) in &parsers {
            let mut parsed = Line { text: line.text.clone(), labels: Labels::new(), value: None };
            pipeline.run(&mut parsed);
            if parsed.labels.contains_key("__error__") {
                continue;
            }
            for (name, value) in parsed.labels {
                if fields.len() >= MAX_VALUES && !fields.contains_key(&name) {
                    more = true;
                    continue;
                }
                let seen = fields.entry(name).or_default();
                seen.parsers.insert(*parser);
                seen.values.insert(value);
            }
            // A JSON line is no logfmt.
            break;
        }
        looked += 1;
        if looked >= SAMPLE { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let mut warnings = walked.await?.warnings;
    if more {
        warnings.push(format!("these lines have more than {MAX_VALUES} fields, some are missing"));
    }
    Ok((fields, warnings))
}

/// So many fields, or values of one.
fn limit(params: &Params) -> Result<usize, LokiError> {
    Ok(params.get("limit").map_or(Ok(MAX_VALUES), |_| params.limit())?)
}

/// Fields of the newest lines, with what their values look like.
pub async fn detected_fields(ask: Ask<'_>, params: &Params, range: Range) -> Result<Response, LokiError> {
    let limit = limit(params)?;
    let (fields, warnings) = seen(ask, params, range).await?;
    let one = |(name, seen): (&String, &Seen)| {
        json!({
            "label": name,
            "type": kind(&seen.values),
            "cardinality": seen.values.len(),
            "parsers": seen.parsers,
        })
    };
    let fields: Vec<Value> = fields.iter().take(limit).map(one).collect();
    Ok(Json(json!({ "fields": fields, "limit": limit, "warnings": warnings })).into_response())
}

/// The values that one of these fields has in the same lines: a list of values belongs to the list of
/// fields that it was opened from.
pub async fn detected_values(
    ask: Ask<'_>,
    params: &Params,
    range: Range,
    name: &str,
) -> Result<Response, LokiError> {
    let limit = limit(params)?;
    let (mut fields, mut warnings) = seen(ask, params, range).await?;
    let values = fields.remove(name).unwrap_or_default().values;
    if values.len() > limit {
        warnings.push(format!("`{name}` has {} values in these lines, and {limit} are given", values.len()));
    }
    let values: Vec<String> = values.into_iter().take(limit).collect();
    Ok(Json(json!({ "values": values, "limit": limit, "warnings": warnings })).into_response())
}

/// What all values are.
fn kind(values: &BTreeSet<String>) -> &'static str {
    let all = |is: fn(&str) -> bool| values.iter().all(|value| is(value));
    match () {
        () if all(|value| value.parse::<i64>().is_ok()) => "int",
        () if all(|value| value.parse::<f64>().is_ok()) => "float",
        () if all(|value| value.parse::<bool>().is_ok()) => "boolean",
        () if all(|value| number::duration(value).is_some()) => "duration",
        () if all(|value| number::size(value).is_some()) => "bytes",
        () => "string",
    }
}

pub async fn detected_labels(ask: Ask<'_>, params: &Params, range: Range) -> Result<Response, LokiError> {
    let fields = vec![LABELS.to_owned(), LABEL_NAMES.to_owned()];
    let answer = facets(ask, pushed(params.get("query"))?, range, fields).await?;
    let (sets, names) = (read_sets(&answer), label_names(&answer));
    let mut values: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, value) in sets.iter().flatten() {
        values.entry(name).or_default().insert(value);
    }
    // Of a label that none of these sets has, one value is known: that it has some.
    for name in names.iter().filter(|name| !["stream", "level"].contains(&name.as_str())) {
        values.entry(name).or_default();
    }
    let own = |name: &str| OWN.contains(&name);
    let mut labels: Vec<_> =
        values.iter().map(|(name, values)| (!own(name), *name, values.len().max(1))).collect();
    // Own names before the Pods' labels.
    labels.sort_unstable();
    let labels: Vec<Value> =
        labels.into_iter().map(|(_, name, count)| json!({ "label": name, "cardinality": count })).collect();
    let warnings = warnings(&answer, LABELS);
    Ok(Json(json!({ "detectedLabels": labels, "warnings": warnings })).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::FacetValue;

    #[test]
    fn what_is_cut_is_told_and_others_are_no_value() {
        let answer = |values: Vec<String>| {
            let value = |value| FacetValue { value, count: 1, ..FacetValue::default() };
            let values = values.into_iter().map(value).collect();
            FacetsAnswer { facets: [("pod".to_owned(), values)].into(), ..FacetsAnswer::default() }
        };
        let many = |count: usize| (0..count).map(|at| at.to_string()).collect::<Vec<_>>();
        assert_eq!(warnings(&answer(many(999)), "pod"), Vec::<String>::new());
        assert_eq!(warnings(&answer(many(1000)), "none"), Vec::<String>::new());
        assert!(warnings(&answer(many(1000)), "pod")[0].contains("at most 1000"));
        assert!(warnings(&answer(vec![OTHERS.to_owned()]), "pod")[0].contains("narrow"));
    }
}
