//! Aggregations and operators on series, time by time. Pure.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashMap},
};

use super::{
    answer::LokiError,
    labels::Labels,
    logql::ast::{BinaryOp, Group, VectorOp},
    range::{Grid, Series, grouped, instant, label_text},
};

/// A number, or series.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Scalar(f64),
    Vector(Vec<Series>),
}

/// `sum by (a) (series)`. Without a group all are one.
pub fn aggregate(
    op: VectorOp,
    param: Option<f64>,
    group: Option<&Group>,
    mut series: Vec<Series>,
) -> Vec<Series> {
    let all = Group { without: false, labels: Vec::new() };
    let group = group.unwrap_or(&all);
    match op {
        VectorOp::Sort => {
            series.sort_by(|a, b| instant(a).total_cmp(&instant(b)));
            return series;
        }
        VectorOp::SortDesc => {
            series.sort_by(|a, b| instant(b).total_cmp(&instant(a)));
            return series;
        }
        VectorOp::TopK | VectorOp::BottomK => {
            return foremost(op, param.unwrap_or_default().max(0.0) as usize, group, series);
        }
        _ => {}
    }
    let mut sums: BTreeMap<Labels, Vec<Sum>> = BTreeMap::new();
    for one in series {
        let sums = sums.entry(grouped(&one.labels, Some(group))).or_default();
        sums.resize_with(one.values.len(), Sum::default);
        for (sum, value) in sums.iter_mut().zip(one.values) {
            if let Some(value) = value {
                sum.add(value);
            }
        }
    }
    let one = |(labels, sums): (Labels, Vec<Sum>)| Series {
        labels,
        values: sums.iter().map(|sum| sum.value(op)).collect(),
    };
    sums.into_iter().map(one).collect()
}

#[derive(Debug, Clone, Default)]
struct Sum {
    count: u64,
    sum: f64,
    squares: f64,
    least: f64,
    most: f64,
}

impl Sum {
    fn add(&mut self, value: f64) {
        self.least = if self.count == 0 { value } else { self.least.min(value) };
        self.most = if self.count == 0 { value } else { self.most.max(value) };
        self.count += 1;
        self.sum += value;
        self.squares += value * value;
    }

    fn value(&self, op: VectorOp) -> Option<f64> {
        let count = self.count as f64;
        let variance = || (self.squares / count - (self.sum / count).powi(2)).max(0.0);
        (self.count > 0).then(|| match op {
            VectorOp::Avg => self.sum / count,
            VectorOp::Min => self.least,
            VectorOp::Max => self.most,
            VectorOp::Count => count,
            VectorOp::Stdvar => variance(),
            VectorOp::Stddev => variance().sqrt(),
            _ => self.sum,
        })
    }
}

/// The greatest or least `k` of each group, at each time.
fn foremost(op: VectorOp, k: usize, group: &Group, mut series: Vec<Series>) -> Vec<Series> {
    // Equal numbers go by labels, so that an answer is the same every time.
    series.sort_by(|a, b| a.labels.cmp(&b.labels));
    let mut groups: BTreeMap<Labels, Vec<usize>> = BTreeMap::new();
    for (at, one) in series.iter().enumerate() {
        groups.entry(grouped(&one.labels, Some(group))).or_default().push(at);
    }
    let count = series.first().map_or(0, |one| one.values.len());
    for members in groups.values() {
        for step in 0..count {
            let mut ranked: Vec<usize> =
                members.iter().copied().filter(|at| series[*at].values[step].is_some()).collect();
            ranked.sort_by(|a, b| {
                let order =
                    series[*a].values[step].partial_cmp(&series[*b].values[step]).unwrap_or(Ordering::Equal);
                if op == VectorOp::TopK { order.reverse() } else { order }
            });
            for at in ranked.into_iter().skip(k) {
                series[at].values[step] = None;
            }
        }
    }
    series.retain(|one| one.values.iter().any(Option::is_some));
    if count == 1 {
        series.sort_by(|a, b| {
            if op == VectorOp::TopK {
                instant(b).total_cmp(&instant(a))
            } else {
                instant(a).total_cmp(&instant(b))
            }
        });
    }
    series
}

/// An operator between two values.
pub fn binary(
    op: BinaryOp,
    bool: bool,
    matching: Option<&Group>,
    left: Value,
    right: Value,
) -> Result<Value, LokiError> {
    Ok(match (left, right) {
        (Value::Scalar(a), Value::Scalar(b)) => {
            if op.compare().is_some() && !bool {
                return Err(LokiError::wrong(format!("`{}` between numbers needs `bool`", op.name())));
            }
            Value::Scalar(number(op, a, b))
        }
        (Value::Vector(series), Value::Scalar(b)) => {
            Value::Vector(each(op, bool, series, |a| (a, b), |a, _| a))
        }
        (Value::Scalar(a), Value::Vector(series)) => {
            Value::Vector(each(op, bool, series, |b| (a, b), |_, b| b))
        }
        (Value::Vector(left), Value::Vector(right)) if op.is_set() => {
            Value::Vector(set(op, matching, left, right))
        }
        (Value::Vector(left), Value::Vector(right)) => Value::Vector(pairs(op, bool, matching, left, right)?),
    })
}

/// A comparison gives one or zero.
fn number(op: BinaryOp, a: f64, b: f64) -> f64 {
    if let Some(compare) = op.compare() {
        return f64::from(u8::from(compare.holds(a, b)));
    }
    match op {
        BinaryOp::Add => a + b,
        BinaryOp::Subtract => a - b,
        BinaryOp::Multiply => a * b,
        BinaryOp::Divide => a / b,
        BinaryOp::Modulo => a % b,
        _ => a.powf(b),
    }
}

/// What comes of a pair; a comparison without `bool` keeps or drops `kept`.
fn outcome(op: BinaryOp, bool: bool, (a, b): (f64, f64), kept: f64) -> Option<f64> {
    match op.compare() {
        Some(compare) if !bool => compare.holds(a, b).then_some(kept),
        _ => Some(number(op, a, b)),
    }
}

fn each(
    op: BinaryOp,
    bool: bool,
    mut series: Vec<Series>,
    pair: impl Fn(f64) -> (f64, f64),
    kept: impl Fn(f64, f64) -> f64,
) -> Vec<Series> {
    for value in series.iter_mut().flat_map(|one| &mut one.values) {
        *value = value.and_then(|number| {
            let (a, b) = pair(number);
            outcome(op, bool, (a, b), kept(a, b))
        });
    }
    series.retain(|one| one.values.iter().any(Option::is_some));
    series
}

/// What two series are paired by.
fn key(labels: &Labels, matching: Option<&Group>) -> Labels {
    grouped(labels, matching)
}

fn pairs(
    op: BinaryOp,
    bool: bool,
    matching: Option<&Group>,
    left: Vec<Series>,
    right: Vec<Series>,
) -> Result<Vec<Series>, LokiError> {
    let mut by_key: HashMap<Labels, Series> = HashMap::new();
    for one in right {
        let key = key(&one.labels, matching);
        if let Some(other) = by_key.insert(key, one) {
            return Err(many(&other.labels));
        }
    }
    let mut seen = std::collections::HashSet::new();
    let mut result = Vec::new();
    for mut one in left {
        let key = key(&one.labels, matching);
        let Some(other) = by_key.get(&key) else { continue };
        if !seen.insert(key.clone()) {
            return Err(many(&one.labels));
        }
        for (a, b) in one.values.iter_mut().zip(&other.values) {
            *a = a.zip(*b).and_then(|(x, y)| outcome(op, bool, (x, y), x));
        }
        one.labels = key;
        result.push(one);
    }
    result.retain(|one| one.values.iter().any(Option::is_some));
    Ok(result)
}

fn many(labels: &Labels) -> LokiError {
    LokiError::wrong(format!(
        "more than one series of a side fits {}: sum both sides by the same labels",
        label_text(labels)
    ))
}

fn set(op: BinaryOp, matching: Option<&Group>, left: Vec<Series>, right: Vec<Series>) -> Vec<Series> {
    let mut present: HashMap<Labels, Vec<bool>> = HashMap::new();
    let (deciding, mut decided, mut result) = match op {
        BinaryOp::Or => (&left, right.clone(), left.clone()),
        _ => (&right, left.clone(), Vec::new()),
    };
    for one in deciding {
        let present =
            present.entry(key(&one.labels, matching)).or_insert_with(|| vec![false; one.values.len()]);
        for (present, value) in present.iter_mut().zip(&one.values) {
            *present |= value.is_some();
        }
    }
    for one in &mut decided {
        let present = present.get(&key(&one.labels, matching));
        for (at, value) in one.values.iter_mut().enumerate() {
            let is_there = present.is_some_and(|present| present[at]);
            if is_there != (op == BinaryOp::And) {
                *value = None;
            }
        }
    }
    result.extend(decided);
    result.retain(|one| one.values.iter().any(Option::is_some));
    result
}

/// `vector(1)`
pub fn constant(number: f64, grid: Grid) -> Vec<Series> {
    vec![Series { labels: Labels::new(), values: vec![Some(number); grid.count] }]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(pod: &str, level: &str, values: &[f64]) -> Series {
        let labels =
            [("pod", pod), ("level", level)].map(|(name, value)| (name.to_owned(), value.to_owned()));
        Series { labels: labels.into(), values: values.iter().map(|v| (!v.is_nan()).then_some(*v)).collect() }
    }

    fn by(labels: &[&str]) -> Group {
        Group { without: false, labels: labels.iter().map(ToString::to_string).collect() }
    }

    fn values(series: &[Series]) -> Vec<Vec<f64>> {
        series.iter().map(|one| one.values.iter().map(|v| v.unwrap_or(f64::NEG_INFINITY)).collect()).collect()
    }

    const NONE: f64 = f64::NAN;
    const GONE: f64 = f64::NEG_INFINITY;

    fn three() -> Vec<Series> {
        vec![
            series("a", "info", &[1.0, 5.0]),
            series("b", "info", &[3.0, NONE]),
            series("c", "warn", &[2.0, 4.0]),
        ]
    }

    #[test]
    fn aggregations_go_group_by_group() {
        let sum = |op, group: Option<Group>| values(&aggregate(op, Some(1.0), group.as_ref(), three()));
        assert_eq!(sum(VectorOp::Sum, None), [[6.0, 9.0]]);
        assert_eq!(sum(VectorOp::Sum, Some(by(&["level"]))), [[4.0, 5.0], [2.0, 4.0]]);
        assert_eq!(sum(VectorOp::Avg, Some(by(&["level"]))), [[2.0, 5.0], [2.0, 4.0]]);
        assert_eq!(sum(VectorOp::Min, None), [[1.0, 4.0]]);
        assert_eq!(sum(VectorOp::Max, None), [[3.0, 5.0]]);
        assert_eq!(sum(VectorOp::Count, None), [[3.0, 2.0]]);
        assert_eq!(sum(VectorOp::Stdvar, Some(by(&["level"]))), [[1.0, 0.0], [0.0, 0.0]]);
        assert_eq!(sum(VectorOp::TopK, None), [[GONE, 5.0], [3.0, GONE]]);
        assert_eq!(sum(VectorOp::BottomK, Some(by(&["level"]))), [[1.0, 5.0], [2.0, 4.0]]);
        let without = Group { without: true, labels: vec!["pod".into()] };
        assert_eq!(sum(VectorOp::Sum, Some(without)), [[4.0, 5.0], [2.0, 4.0]]);
    }

    #[test]
    fn operators_pair_series_by_labels() {
        let pair = |op, bool, matching: Option<Group>, right: Value| match binary(
            op,
            bool,
            matching.as_ref(),
            Value::Vector(three()),
            right,
        )
        .expect("an answer")
        {
            Value::Vector(series) => values(&series),
            Value::Scalar(_) => panic!("a vector"),
        };
        assert_eq!(
            pair(BinaryOp::Multiply, false, None, Value::Scalar(2.0)),
            [[2.0, 10.0], [6.0, GONE], [4.0, 8.0]]
        );
        assert_eq!(
            pair(BinaryOp::Greater, false, None, Value::Scalar(2.0)),
            [[GONE, 5.0], [3.0, GONE], [GONE, 4.0]]
        );
        assert_eq!(
            pair(BinaryOp::Greater, true, None, Value::Scalar(2.0)),
            [[0.0, 1.0], [1.0, GONE], [0.0, 1.0]]
        );
        let other = || Value::Vector(vec![series("a", "info", &[2.0, 2.0])]);
        assert_eq!(pair(BinaryOp::Divide, false, None, other()), [[0.5, 2.5]]);
        assert_eq!(pair(BinaryOp::And, false, None, other()), [[1.0, 5.0]]);
        assert_eq!(pair(BinaryOp::Unless, false, Some(by(&["level"])), other()), [[2.0, 4.0]]);
        assert_eq!(pair(BinaryOp::Or, false, None, other()), [[1.0, 5.0], [3.0, GONE], [2.0, 4.0]]);
        let one = || Value::Vector(vec![series("a", "info", &[2.0, 6.0])]);
        let compared =
            binary(BinaryOp::Less, false, Some(&by(&["level"])), one(), other()).expect("an answer");
        let Value::Vector(compared) = compared else { panic!("a vector") };
        assert!(compared.is_empty(), "{compared:?}");
        let compared =
            binary(BinaryOp::Greater, false, Some(&by(&["level"])), one(), other()).expect("an answer");
        let Value::Vector(compared) = compared else { panic!("a vector") };
        assert_eq!(label_text(&compared[0].labels), r#"{level="info"}"#, "what it is paired by");
        let many = binary(BinaryOp::Add, false, Some(&by(&["level"])), Value::Vector(three()), other());
        assert!(many.is_err_and(|error| error.message.contains("more than one series")));
        assert_eq!(
            binary(BinaryOp::Power, false, None, Value::Scalar(2.0), Value::Scalar(3.0)),
            Ok(Value::Scalar(8.0))
        );
    }
}
