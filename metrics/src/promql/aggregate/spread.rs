//! `stdvar`, `stddev` and `quantile` of a group.

use super::{
    super::{
        column::{ABSENT, Cell, Column, is_absent},
        grid::Grid,
        notes::Note,
        quantile::quantile as quantile_of,
    },
    Group, Said, say,
};

pub fn variance(
    columns: &[Column],
    group: &Group,
    grid: Grid,
    name: &'static str,
    said: &mut Said,
) -> Column {
    // Count, mean and sum of squares (Welford).
    let mut seen = vec![(0u32, 0f64, 0f64); grid.steps];
    for member in &group.members {
        tell_ignored(&columns[*member], name, said);
        for ((count, mean, squares), number) in seen.iter_mut().zip(&columns[*member].numbers) {
            if !is_absent(*number) {
                *count += 1;
                let difference = number - *mean;
                *mean += difference / f64::from(*count);
                *squares += difference * (number - *mean);
            }
        }
    }
    let variance = |(count, _, squares): (u32, f64, f64)| match count {
        0 => ABSENT,
        _ => squares / f64::from(count),
    };
    Column::of_numbers(group.labels.clone(), seen.into_iter().map(variance).collect())
}

pub fn quantile(columns: &[Column], group: &Group, q: &[f64], grid: Grid, said: &mut Said) -> Column {
    for member in &group.members {
        tell_ignored(&columns[*member], "quantile", said);
    }
    if let Some(wrong) = q.iter().find(|q| !(0.0..=1.0).contains(*q)) {
        say(said, Note::BadQuantile(*wrong));
    }
    let mut column = Column::new(group.labels.clone(), grid.steps);
    let mut numbers = Vec::with_capacity(group.members.len());
    for (step, q) in q.iter().enumerate() {
        numbers.clear();
        let row = group.members.iter().map(|member| columns[*member].numbers[step]);
        numbers.extend(row.filter(|number| !is_absent(*number)));
        if !numbers.is_empty() {
            column.set(step, Cell::Number(quantile_of(*q, &mut numbers)));
        }
    }
    column
}

pub fn tell_ignored(column: &Column, name: &'static str, said: &mut Said) {
    if column.histograms.iter().any(Option::is_some) {
        say(said, Note::IgnoredInAggregation(name));
    }
}
