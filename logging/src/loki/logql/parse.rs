//! The parser of whole queries: metrics around log queries, by rank of operators.

use super::{
    ast::{BinaryOp, Group, LogQuery, Metric, Query, RangeAggregation, RangeOp, Stage, VectorOp},
    scan::{ParseError, Result, Scan},
    stages::{selector, stages},
};
use crate::time;

/// Bytes of a query.
const MAX_QUERY: usize = 64 << 10;
/// Metrics in metrics.
const MAX_DEPTH: usize = 50;

/// Reads a query.
pub fn parse(text: &str) -> Result<Query> {
    if text.len() > MAX_QUERY {
        return Err(Scan::new("").error(format!("the query is longer than {MAX_QUERY} bytes")));
    }
    let mut scan = Scan::new(text);
    if scan.is_end() {
        return Err(scan.error("the query is empty: select streams, such as {namespace=\"default\"}"));
    }
    let query = if scan.sees("{") {
        let logs = log_query(&mut scan)?;
        if let Some(Stage::Unwrap { .. }) =
            logs.stages.iter().find(|stage| matches!(stage, Stage::Unwrap { .. }))
        {
            return Err(scan.error(
                "`unwrap` makes numbers: put the query in a function such as sum_over_time(... [5m])",
            ));
        }
        Query::Logs(logs)
    } else {
        Query::Metric(binary(&mut scan, 1, 0)?)
    };
    if scan.is_end() { Ok(query) } else { Err(scan.unexpected("a stage, an operator or the end")) }
}

/// Only `{...}`, as the parameters of `series` are.
pub fn parse_selector(text: &str) -> Result<LogQuery> {
    match parse(text)? {
        Query::Logs(logs) => Ok(logs),
        Query::Metric(_) => {
            Err(Scan::new(text).error("a selector is expected, such as {namespace=\"default\"}"))
        }
    }
}

fn log_query(scan: &mut Scan<'_>) -> Result<LogQuery> {
    Ok(LogQuery { selector: selector(scan)?, stages: stages(scan)? })
}

/// Operators of this rank and above.
fn binary(scan: &mut Scan<'_>, rank: u8, depth: usize) -> Result<Metric> {
    if depth > MAX_DEPTH {
        return Err(scan.error("the query is nested too deeply"));
    }
    let mut left = primary(scan, depth)?;
    while let Some(op) = operator(scan).filter(|op| op.rank() >= rank) {
        scan.part()?;
        let start = *scan;
        scan.space();
        scan.at += op.name().len();
        let bool = scan.eat_word("bool");
        if bool && op.compare().is_none() {
            return Err(start.error("`bool` goes with comparisons only"));
        }
        let matching = matching(scan)?;
        // A power of a power is taken from the right.
        let next = if op == BinaryOp::Power { op.rank() } else { op.rank() + 1 };
        let right = binary(scan, next, depth + 1)?;
        let number = |metric: &Metric| matches!(metric, Metric::Number(_));
        if op.is_set() && (number(&left) || number(&right)) {
            return Err(start.error(format!("`{}` takes vectors, not numbers", op.name())));
        }
        left = Metric::Binary { op, bool, matching, left: Box::new(left), right: Box::new(right) };
    }
    Ok(left)
}

fn operator(scan: &mut Scan<'_>) -> Option<BinaryOp> {
    let word = scan.peek_word();
    if !word.is_empty() {
        return BinaryOp::of(word);
    }
    BinaryOp::ALL.iter().copied().find(|op| scan.sees(op.name()))
}

fn matching(scan: &mut Scan<'_>) -> Result<Option<Group>> {
    let without = match scan.peek_word() {
        "on" => false,
        "ignoring" => true,
        _ => return Ok(None),
    };
    scan.word("on")?;
    let labels = labels(scan)?;
    if matches!(scan.peek_word(), "group_left" | "group_right") {
        return Err(
            scan.error("`group_left` and `group_right` are not understood: sum one side by the same labels")
        );
    }
    Ok(Some(Group { without, labels }))
}

fn primary(scan: &mut Scan<'_>, depth: usize) -> Result<Metric> {
    if scan.eat("(") {
        let inner = binary(scan, 1, depth + 1)?;
        scan.expect(")")?;
        return Ok(inner);
    }
    let number = scan.peek_quantity();
    if !number.is_empty() {
        let value = number.parse().ok().filter(|value: &f64| value.is_finite());
        let value = value.ok_or_else(|| scan.error(format!("`{number}` is no number")))?;
        scan.at += number.len();
        return Ok(Metric::Number(value));
    }
    let start = *scan;
    let word = scan.word("a metric, a number or a selector")?;
    if word == "vector" {
        scan.expect("(")?;
        let value = plain_number(scan)?;
        scan.expect(")")?;
        return Ok(Metric::Vector(value));
    }
    if let Some(op) = RangeOp::of(word) {
        return range(scan, op);
    }
    match VectorOp::of(word) {
        Some(op) => aggregation(scan, op, depth),
        None => Err(at_word(start, format!("the function `{word}` is not understood"))),
    }
}

fn at_word(mut scan: Scan<'_>, what: String) -> ParseError {
    scan.space();
    scan.error(what)
}

fn plain_number(scan: &mut Scan<'_>) -> Result<f64> {
    let text = scan.peek_quantity();
    let number = text.parse().ok().filter(|number: &f64| number.is_finite());
    let number = number.ok_or_else(|| scan.unexpected("a number"))?;
    scan.at += text.len();
    Ok(number)
}

fn aggregation(scan: &mut Scan<'_>, op: VectorOp, depth: usize) -> Result<Metric> {
    let mut group = group(scan)?;
    scan.expect("(")?;
    let mut param = None;
    if matches!(op, VectorOp::TopK | VectorOp::BottomK) {
        param = Some(plain_number(scan)?);
        scan.expect(",")?;
    }
    let inner = Box::new(binary(scan, 1, depth + 1)?);
    scan.expect(")")?;
    if group.is_none() {
        group = self::group(scan)?;
    }
    if group.is_some() && matches!(op, VectorOp::Sort | VectorOp::SortDesc) {
        return Err(scan.error(format!("`{}` takes no grouping", op.name())));
    }
    Ok(Metric::Aggregation { op, param, group, inner })
}

fn group(scan: &mut Scan<'_>) -> Result<Option<Group>> {
    let without = match scan.peek_word() {
        "by" => false,
        "without" => true,
        _ => return Ok(None),
    };
    scan.word("by")?;
    Ok(Some(Group { without, labels: labels(scan)? }))
}

fn labels(scan: &mut Scan<'_>) -> Result<Vec<String>> {
    scan.expect("(")?;
    let mut labels = Vec::new();
    while !scan.eat(")") {
        if !labels.is_empty() {
            scan.expect(",")?;
        }
        labels.push(scan.word("a label's name")?.to_owned());
    }
    Ok(labels)
}

fn range(scan: &mut Scan<'_>, op: RangeOp) -> Result<Metric> {
    scan.expect("(")?;
    let mut param = None;
    if op == RangeOp::Quantile {
        param = Some(plain_number(scan)?);
        scan.expect(",")?;
    }
    let mut open = scan.eat("(");
    scan.space();
    let at = *scan;
    let mut logs = log_query(scan)?;
    open &= !scan.eat(")");
    let range = bracket(scan)?;
    // The range may stand before the stages too.
    logs.stages.extend(stages(scan)?);
    let offset = if scan.eat_word("offset") { span(scan)? } else { 0 };
    if open {
        scan.expect(")")?;
    }
    scan.expect(")")?;
    let unwraps = logs.stages.iter().any(|stage| matches!(stage, Stage::Unwrap { .. }));
    check(op, unwraps).map_err(|what| at.error(what))?;
    let group = group(scan)?;
    Ok(Metric::Range(Box::new(RangeAggregation { op, param, logs, range, offset, group })))
}

fn check(op: RangeOp, unwraps: bool) -> std::result::Result<(), String> {
    use RangeOp::{Absent, Bytes, BytesRate, Count, Rate};
    match (op, unwraps) {
        (Count | Bytes | BytesRate, true) => Err(format!("`{}` counts lines: take `unwrap` out", op.name())),
        (Rate | Absent | Count | Bytes | BytesRate, _) | (_, true) => Ok(()),
        (_, false) => Err(format!("`{}` needs numbers: add `| unwrap LABEL` before the range", op.name())),
    }
}

fn bracket(scan: &mut Scan<'_>) -> Result<i64> {
    scan.expect("[")?;
    let range = span(scan)?;
    scan.expect("]")?;
    if range <= 0 {
        return Err(scan.error("the range is empty: write one such as [5m]"));
    }
    Ok(range)
}

fn span(scan: &mut Scan<'_>) -> Result<i64> {
    let text = scan.peek_quantity();
    let span = time::span(text.trim_start_matches('-'));
    let span = span.ok_or_else(|| scan.unexpected("a span such as 30s, 5m or 1h"))?;
    scan.at += text.len();
    Ok(if text.starts_with('-') { -span } else { span })
}
