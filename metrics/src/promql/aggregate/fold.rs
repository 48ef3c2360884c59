//! `sum`, `avg`, `min`, `max` and `count` of a group.

use super::{
    super::{
        column::{ABSENT, Cell, Column, is_absent},
        grid::Grid,
        histogram::{Total, scale},
        notes::Note,
        sums::{Kahan, mean},
    },
    Group, Said, say,
};

pub fn sum(columns: &[Column], group: &Group, grid: Grid, said: &mut Said) -> Column {
    let sums = Sums::of(columns, group, grid, said);
    sums.finish(group, said, |step| sums.numbers[step].total(), |total, _| Cell::histogram(total.sum.clone()))
}

pub fn avg(columns: &[Column], group: &Group, grid: Grid, said: &mut Said) -> Column {
    let sums = Sums::of(columns, group, grid, said);
    let number = |step: usize| {
        let count = f64::from(sums.counts[step]);
        if !sums.numbers[step].is_infinite() {
            return sums.numbers[step].over(count).total();
        }
        let numbers = group.members.iter().map(|member| columns[*member].numbers[step]);
        mean(&numbers.filter(|number| !is_absent(*number)).collect::<Vec<_>>())
    };
    sums.finish(group, said, number, |total, count| Cell::histogram(scale(&total.sum, 1.0 / count)))
}

/// Sums at each step, numbers and histograms apart.
struct Sums {
    numbers: Vec<Kahan>,
    counts: Vec<u32>,
    /// Empty where no member has histograms. The count, and the sum unless they don't fit.
    histograms: Vec<(u32, Option<Total>)>,
}

impl Sums {
    fn of(columns: &[Column], group: &Group, grid: Grid, said: &mut Said) -> Self {
        let mut numbers = vec![Kahan::default(); grid.steps];
        let mut counts = vec![0u32; grid.steps];
        let mut histograms = Vec::new();
        for member in &group.members {
            let column = &columns[*member];
            for ((number, sum), count) in column.numbers.iter().zip(&mut numbers).zip(&mut counts) {
                if !is_absent(*number) {
                    sum.add(*number);
                    *count += 1;
                }
            }
            if column.has_histograms() {
                histograms.resize_with(grid.steps, || (0, None));
                take(column, &mut histograms, said);
            }
        }
        Self { numbers, counts, histograms }
    }

    fn finish(
        &self,
        group: &Group,
        said: &mut Said,
        number: impl Fn(usize) -> f64,
        histogram: impl Fn(&Total, f64) -> Cell,
    ) -> Column {
        let mut column = Column::new(group.labels.clone(), self.numbers.len());
        for (step, count) in self.counts.iter().enumerate() {
            match (*count > 0, self.histograms.get(step)) {
                (true, Some((1.., _))) => say(said, Note::MixedInAggregation),
                (true, _) => column.set(step, Cell::Number(number(step))),
                (false, Some((count @ 1.., Some(total)))) => {
                    if total.reconciled {
                        say(said, Note::ReconciledBounds("aggregation"));
                    }
                    column.set(step, histogram(total, f64::from(*count)));
                }
                (false, _) => {}
            }
        }
        column
    }
}

fn take(column: &Column, sums: &mut [(u32, Option<Total>)], said: &mut Said) {
    for (histogram, (count, total)) in column.histograms.iter().zip(sums) {
        let Some(histogram) = histogram else { continue };
        *count += 1;
        match total {
            None if *count == 1 => *total = Some(Total::of(histogram)),
            // They didn't fit before.
            None => {}
            Some(sum) => {
                let fits = sum.take(histogram).is_ok();
                if !fits {
                    *total = None;
                    say(said, Note::MixedSchemas(column.labels.name().to_owned()));
                }
            }
        }
    }
}

/// How many members there are at each step.
pub fn count(columns: &[Column], group: &Group, grid: Grid) -> Column {
    let mut counts = vec![0u32; grid.steps];
    for member in &group.members {
        let column = &columns[*member];
        for (count, number) in counts.iter_mut().zip(&column.numbers) {
            *count += u32::from(!is_absent(*number));
        }
        for (count, histogram) in counts.iter_mut().zip(&column.histograms) {
            *count += u32::from(histogram.is_some());
        }
    }
    let numbers =
        counts.into_iter().map(|count| if count == 0 { ABSENT } else { f64::from(count) }).collect();
    Column::of_numbers(group.labels.clone(), numbers)
}

/// The smallest or largest number; NaN only where there is no other.
pub fn extreme(
    columns: &[Column],
    group: &Group,
    grid: Grid,
    name: &'static str,
    better: fn(f64, f64) -> f64,
    said: &mut Said,
) -> Column {
    let mut best = vec![ABSENT; grid.steps];
    for member in &group.members {
        let column = &columns[*member];
        if column.histograms.iter().any(Option::is_some) {
            say(said, Note::IgnoredInAggregation(name));
        }
        for (best, number) in best.iter_mut().zip(&column.numbers) {
            if is_absent(*best) {
                *best = *number;
            } else if !is_absent(*number) {
                *best = better(*best, *number);
            }
        }
    }
    Column::of_numbers(group.labels.clone(), best)
}
