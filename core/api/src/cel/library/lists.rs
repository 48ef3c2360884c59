//! Lists and sets.

use std::{cmp::Ordering, sync::Arc};

use kube_cel::cel::Value;

use super::{Table, texts};
use crate::cel::{
    evaluate::{Outcome, optional},
    fault::Fault,
    macros,
    meter::{Meter, tenth},
    operators as ops,
};

/// Lists within lists that `flatten` may be told to go down: more there can't be of them.
const DEEPEST: i64 = 1024;

pub const FUNCTIONS: Table = &[
    ("isSorted", |args, meter| {
        let items = only(args)?;
        for pair in items.windows(2) {
            if order(&pair[0], &pair[1], meter)? == Ordering::Greater {
                return Ok(Value::Bool(false));
            }
        }
        Ok(Value::Bool(true))
    }),
    ("sum", sum),
    ("min", |args, meter| extreme(args, "min", Ordering::Greater, meter)),
    ("max", |args, meter| extreme(args, "max", Ordering::Less, meter)),
    ("indexOf", |args, meter| match args {
        [Value::List(items), item] => place(items.iter().enumerate(), item, meter),
        _ => texts::index_of(args, meter),
    }),
    ("lastIndexOf", |args, meter| match args {
        [Value::List(items), item] => place(items.iter().enumerate().rev(), item, meter),
        _ => texts::last_index_of(args, meter),
    }),
    ("includes", |args, meter| match args {
        [list @ Value::List(_), item] => ops::within(item, list, meter).map(Value::Bool),
        [one, other] => ops::equal(one, other, meter).map(Value::Bool),
        _ => Err(Fault::overload()),
    }),
    ("slice", slice),
    ("flatten", |args, meter| {
        let (items, depth) = match args {
            [Value::List(items)] => (items, 1),
            [Value::List(items), Value::Int(depth)] => (items, *depth),
            _ => return Err(Fault::overload()),
        };
        if depth < 0 {
            return Err(Fault::told("level must be non-negative"));
        }
        let mut flat = Vec::new();
        flatten(items, depth.min(DEEPEST), &mut flat, meter)?;
        Ok(list(flat))
    }),
    ("lists.range", |args, meter| {
        let [Value::Int(n)] = args else { return Err(Fault::overload()) };
        meter.charge(u64::try_from(*n).unwrap_or(0))?;
        Ok(list((0..*n).map(Value::Int).collect()))
    }),
    ("distinct", |args, meter| {
        let mut distinct: Vec<Value> = Vec::new();
        for item in only(args)? {
            let mut seen = false;
            for other in &distinct {
                seen = seen || ops::equal(item, other, meter)?;
            }
            if !seen {
                distinct.push(item.clone());
            }
        }
        Ok(list(distinct))
    }),
    ("reverse", |args, meter| {
        let items = only(args)?;
        meter.charge(items.len() as u64)?;
        Ok(list(items.iter().rev().cloned().collect()))
    }),
    ("sort", |args, meter| {
        let items = only(args)?;
        sorted(items, items, meter)
    }),
    (macros::SORTED_BY, |args, meter| match args {
        [Value::List(items), Value::List(keys)] if items.len() == keys.len() => sorted(items, keys, meter),
        _ => Err(Fault::overload()),
    }),
    ("first", |args, _| Ok(optional(only(args)?.first().cloned()))),
    ("last", |args, _| Ok(optional(only(args)?.last().cloned()))),
    ("sets.contains", |args, meter| {
        let [Value::List(one), Value::List(other)] = args else { return Err(Fault::overload()) };
        every(other, one, meter).map(Value::Bool)
    }),
    ("sets.equivalent", |args, meter| {
        let [Value::List(one), Value::List(other)] = args else { return Err(Fault::overload()) };
        Ok(Value::Bool(every(one, other, meter)? && every(other, one, meter)?))
    }),
    ("sets.intersects", |args, meter| {
        let [Value::List(one), Value::List(other)] = args else { return Err(Fault::overload()) };
        for item in one.iter() {
            if is_in(item, other, meter)? {
                return Ok(Value::Bool(true));
            }
        }
        Ok(Value::Bool(false))
    }),
];

fn only(args: &[Value]) -> Result<&[Value], Fault> {
    match args {
        [Value::List(items)] => Ok(items),
        _ => Err(Fault::overload()),
    }
}

fn list(items: Vec<Value>) -> Value {
    Value::List(Arc::new(items))
}

fn order(one: &Value, other: &Value, meter: &mut Meter) -> Result<Ordering, Fault> {
    meter.charge(1)?;
    Ok(ops::compare(one, other, meter)?.unwrap_or(Ordering::Equal))
}

fn sum(args: &[Value], meter: &mut Meter) -> Outcome {
    let items = only(args)?;
    meter.charge(items.len() as u64)?;
    let mut items = items.iter();
    let Some(first) = items.next() else { return Ok(Value::Int(0)) };
    if !matches!(first, Value::Int(_) | Value::UInt(_) | Value::Float(_) | Value::Duration(_)) {
        return Err(Fault::overload());
    }
    items.try_fold(first.clone(), |sum, item| ops::add(&sum, item, meter))
}

fn extreme(args: &[Value], name: &str, worse: Ordering, meter: &mut Meter) -> Outcome {
    let mut items = only(args)?.iter();
    let first = items.next().ok_or_else(|| Fault::told(format!("{name} called on empty list")))?;
    let best = items.try_fold(first, |best, item| {
        Ok::<_, Fault>(if order(best, item, meter)? == worse { item } else { best })
    })?;
    Ok(best.clone())
}

fn place<'a>(items: impl Iterator<Item = (usize, &'a Value)>, item: &Value, meter: &mut Meter) -> Outcome {
    for (index, other) in items {
        if ops::equal(item, other, meter)? {
            return Ok(Value::Int(index as i64));
        }
    }
    Ok(Value::Int(-1))
}

fn slice(args: &[Value], meter: &mut Meter) -> Outcome {
    let [Value::List(items), Value::Int(start), Value::Int(end)] = args else {
        return Err(Fault::overload());
    };
    let refuse = |why: String| Fault::told(format!("cannot slice({start}, {end}), {why}"));
    let (Ok(from), Ok(to)) = (usize::try_from(*start), usize::try_from(*end)) else {
        return Err(refuse("negative indexes not supported".into()));
    };
    if from > to {
        return Err(refuse("start index must be less than or equal to end index".into()));
    }
    let part = items.get(from..to).ok_or_else(|| refuse(format!("list is length {}", items.len())))?;
    meter.charge(part.len() as u64)?;
    Ok(list(part.to_vec()))
}

fn flatten(items: &[Value], depth: i64, flat: &mut Vec<Value>, meter: &mut Meter) -> Result<(), Fault> {
    meter.charge(items.len() as u64)?;
    for item in items {
        match item {
            Value::List(inner) if depth > 0 => flatten(inner, depth - 1, flat, meter)?,
            other => flat.push(other.clone()),
        }
    }
    Ok(())
}

fn sorted(items: &[Value], keys: &[Value], meter: &mut Meter) -> Outcome {
    let Some(first) = keys.first() else { return Ok(list(Vec::new())) };
    let kind = std::mem::discriminant(first);
    if keys.iter().any(|key| std::mem::discriminant(key) != kind) {
        return Err(Fault::told("list elements must have the same type"));
    }
    let comparable = ops::compare(first, first, &mut Meter::new(u64::MAX)).is_ok();
    if !comparable {
        return Err(Fault::told("list elements must be comparable"));
    }
    // All comparisons at once: a sort can't be ended half way.
    let n = keys.len() as u64;
    let longest = keys.iter().map(texts::length).max().unwrap_or(0);
    let comparisons = n.saturating_mul(u64::from(n.ilog2()) + 1);
    meter.charge(comparisons.saturating_mul(tenth(longest) + 1))?;
    let mut places: Vec<usize> = (0..items.len()).collect();
    places.sort_by(|a, b| total(&keys[*a], &keys[*b]));
    Ok(list(places.into_iter().map(|place| items[place].clone()).collect()))
}

/// The order of two values of one type; what is no number comes last.
fn total(one: &Value, other: &Value) -> Ordering {
    if let (Value::Float(a), Value::Float(b)) = (one, other)
        && (a.is_nan() || b.is_nan())
    {
        return a.is_nan().cmp(&b.is_nan());
    }
    let order = ops::compare(one, other, &mut Meter::new(u64::MAX));
    order.ok().flatten().unwrap_or(Ordering::Equal)
}

fn is_in(item: &Value, items: &[Value], meter: &mut Meter) -> Result<bool, Fault> {
    for other in items {
        if ops::equal(item, other, meter)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn every(items: &[Value], of: &[Value], meter: &mut Meter) -> Result<bool, Fault> {
    for item in items {
        if !is_in(item, of, meter)? {
            return Ok(false);
        }
    }
    Ok(true)
}
