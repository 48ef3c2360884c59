//! `topk`, `bottomk`, `limitk` and `limit_ratio`: some members of each group, as they are.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::{
    super::{
        column::{Column, is_absent},
        error::QueryError,
        functions::by_number,
        grid::Grid,
        notes::Note,
    },
    Group, Said,
    heap::{Entry, offer},
    say,
    spread::tell_ignored,
};

/// How many are wanted at each step.
fn counts(row: &[f64], members: usize) -> Result<Vec<usize>, QueryError> {
    let count = |k: &f64| {
        if k.is_nan() {
            return Err(QueryError::Execution("parameter value is NaN".into()));
        }
        Ok((k.trunc().max(0.0) as usize).min(members))
    };
    row.iter().map(count).collect()
}

/// The best of each group at each step. An instant answer is in order, a range keeps the
/// series' order.
pub fn top(
    columns: Vec<Column>,
    groups: &[Group],
    row: &[f64],
    largest: bool,
    grid: Grid,
    said: &mut Said,
) -> Result<Vec<Column>, QueryError> {
    let counts = counts(row, columns.len())?;
    let name = if largest { "topk" } else { "bottomk" };
    columns.iter().for_each(|column| tell_ignored(column, name, said));
    let mut order = Vec::new();
    let mut chosen = vec![Vec::new(); columns.len()];
    for group in groups {
        let mut heaps: Vec<Vec<Entry>> = vec![Vec::new(); grid.steps];
        for member in &group.members {
            let whose = u32::try_from(*member).unwrap_or(u32::MAX);
            for ((number, heap), most) in columns[*member].numbers.iter().zip(&mut heaps).zip(&counts) {
                if !is_absent(*number) {
                    offer(heap, (*number, whose), *most, largest);
                }
            }
        }
        if grid.is_instant() {
            heaps[0].sort_by(|a, b| by_number(a.0, b.0, largest));
            order.extend(heaps[0].iter().map(|entry| entry.1 as usize));
        }
        for (step, heap) in heaps.iter().enumerate() {
            heap.iter().for_each(|entry| chosen[entry.1 as usize].push(step));
        }
    }
    if grid.is_instant() {
        let mut columns: Vec<_> = columns.into_iter().map(Some).collect();
        return Ok(order.into_iter().filter_map(|member| columns[member].take()).collect());
    }
    Ok(columns.into_iter().zip(chosen).filter_map(|(column, steps)| only(column, &steps)).collect())
}

/// A column with the values of some steps only, which are in order.
fn only(mut column: Column, steps: &[usize]) -> Option<Column> {
    if steps.is_empty() {
        return None;
    }
    column.retain(|step| steps.binary_search(&step).is_ok());
    Some(column)
}

/// The first members of each group that are there.
pub fn limit(columns: Vec<Column>, groups: &[Group], row: &[f64]) -> Result<Vec<Column>, QueryError> {
    let counts = counts(row, columns.len())?;
    let mut columns = columns;
    for group in groups {
        let mut left = counts.clone();
        for member in &group.members {
            let column = &mut columns[*member];
            for (step, left) in left.iter_mut().enumerate() {
                if !column.has(step) {
                    continue;
                }
                match left.checked_sub(1) {
                    Some(fewer) => *left = fewer,
                    None => column.set(step, super::super::column::Cell::Nothing),
                }
            }
        }
    }
    columns.retain(|column| !column.is_empty());
    Ok(columns)
}

/// A share of the members, always the same ones; of a negative share, the others.
pub fn ratio(columns: Vec<Column>, row: &[f64], said: &mut Said) -> Vec<Column> {
    if let Some(wrong) = row.iter().find(|ratio| !(-1.0..=1.0).contains(*ratio)) {
        say(said, Note::BadRatio(*wrong));
    }
    let kept = columns.into_iter().map(|mut column| {
        let mut hasher = DefaultHasher::new();
        column.labels.as_bytes().hash(&mut hasher);
        let place = hasher.finish() as f64 / u64::MAX as f64;
        column.retain(|step| {
            let ratio = row[step].clamp(-1.0, 1.0);
            if ratio >= 0.0 { place < ratio } else { place >= 1.0 + ratio }
        });
        column
    });
    kept.filter(|column| !column.is_empty()).collect()
}
