//! `rate`, `increase`, `first` and `last` of all groups at once, as the engine asks for them where
//! there is a `group by`.
//!
//! ```text
//! rows, by their group   0 0 0 1 1 2 2 2 0
//! samples                a b c d e f g h i     one after the other
//! runs                   0 to c, 1 to e, 2 to h, 0 to i
//! ```
//!
//! Whoever has one accumulator a group is asked by the engine, with each batch, about every group
//! that there is: rates of many series by the minute took time by the square of their number. Here a
//! batch costs its rows. Those of a series come one after the other, and so do its samples; what came
//! apart is brought together when it is asked for. Of `first` and `last` one sample a group is held.

use std::{mem, sync::Arc};

use datafusion::{
    arrow::{
        array::{
            Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, ListArray, StringArray,
            TimestampNanosecondArray,
        },
        buffer::OffsetBuffer,
        datatypes::{Field, Int64Type, TimestampNanosecondType},
    },
    common::Result,
    logical_expr::{EmitTo, GroupsAccumulator},
};

use super::{counters::What, growth, pairs};

/// What a sample is: a number, or a text.
pub trait Sampled: Default + Send + 'static {
    /// Bytes that it holds beside itself.
    fn heap(&self) -> usize;

    /// Hands over what a column has, each with its row; a null is nothing.
    ///
    /// # Errors
    /// It is no such column; arguments are coerced before.
    fn rows(column: &ArrayRef, take: impl FnMut(usize, Self)) -> Result<()>;

    fn column(values: Vec<Option<Self>>) -> ArrayRef;

    /// What a function gives of samples in order of time.
    ///
    /// # Errors
    /// It takes histograms, and these are none.
    fn of(what: What, samples: &[(i64, Self)]) -> Result<Option<Self>>;
}

impl Sampled for f64 {
    fn heap(&self) -> usize {
        0
    }

    fn rows(column: &ArrayRef, mut take: impl FnMut(usize, Self)) -> Result<()> {
        for (row, value) in pairs::column(column)?.iter().enumerate() {
            if let Some(value) = value {
                take(row, value);
            }
        }
        Ok(())
    }

    fn column(values: Vec<Option<Self>>) -> ArrayRef {
        Arc::new(Float64Array::from(values))
    }

    fn of(what: What, samples: &[(i64, Self)]) -> Result<Option<Self>> {
        Ok(what.of(samples))
    }
}

impl Sampled for String {
    fn heap(&self) -> usize {
        self.capacity()
    }

    fn rows(column: &ArrayRef, mut take: impl FnMut(usize, Self)) -> Result<()> {
        for (row, value) in pairs::text_column(column)?.iter().enumerate() {
            if let Some(value) = value {
                take(row, value.to_owned());
            }
        }
        Ok(())
    }

    fn column(values: Vec<Option<Self>>) -> ArrayRef {
        Arc::new(values.into_iter().collect::<StringArray>())
    }

    fn of(what: What, samples: &[(i64, Self)]) -> Result<Option<Self>> {
        growth::of(what, samples)
    }
}

/// The samples of all groups, with their times in nanoseconds.
pub struct Grouped<T> {
    what: What,
    kept: Kept<T>,
    /// Groups that there are.
    groups: usize,
    /// Bytes that the values hold beside themselves.
    heap: usize,
}

enum Kept<T> {
    /// The one that `first` or `last` gives of each group.
    Ends(Vec<Option<(i64, T)>>),
    All(Runs<T>),
}

/// Samples as they came.
struct Runs<T> {
    samples: Vec<(i64, T)>,
    runs: Vec<Run>,
}

/// Samples of one group that came one after the other, from the end of the run before.
struct Run {
    group: usize,
    end: usize,
}

/// The same with its begin.
struct Span {
    group: usize,
    begin: usize,
    end: usize,
}

impl<T: Sampled> Runs<T> {
    fn push(&mut self, group: usize, sample: (i64, T)) {
        self.samples.push(sample);
        let end = self.samples.len();
        match self.runs.last_mut() {
            Some(run) if run.group == group => run.end = end,
            _ => self.runs.push(Run { group, end }),
        }
    }

    /// Takes out the first groups; the others are called by the numbers that are left.
    fn emit(&mut self, groups: usize, mut each: impl FnMut(&mut [(i64, T)]) -> Result<()>) -> Result<()> {
        let mut samples = mem::take(&mut self.samples);
        let mut begin = 0;
        let span = |Run { group, end }| Span { group, begin: mem::replace(&mut begin, end), end };
        let mut spans: Vec<_> = mem::take(&mut self.runs).into_iter().map(span).collect();
        // Of one group they stay as they came.
        spans.sort_by_key(|span| span.group);
        let mut rest = spans.as_slice();
        let mut gathered = Vec::new();
        for group in 0..groups {
            let (own, others) = rest.split_at(rest.iter().take_while(|span| span.group == group).count());
            rest = others;
            if let [span] = own {
                each(&mut samples[span.begin..span.end])?;
                continue;
            }
            gathered.clear();
            for span in own {
                gathered.extend(samples[span.begin..span.end].iter_mut().map(mem::take));
            }
            each(&mut gathered)?;
        }
        for span in rest {
            for sample in &mut samples[span.begin..span.end] {
                self.push(span.group - groups, mem::take(sample));
            }
        }
        Ok(())
    }
}

impl<T: Sampled> Grouped<T> {
    pub fn new(what: What) -> Self {
        let kept = match what {
            What::First | What::Last => Kept::Ends(Vec::new()),
            What::Rate | What::Increase => Kept::All(Runs { samples: Vec::new(), runs: Vec::new() }),
        };
        Self { what, kept, groups: 0, heap: 0 }
    }

    fn grow(&mut self, groups: usize) {
        self.groups = groups;
        if let Kept::Ends(ends) = &mut self.kept {
            ends.resize_with(groups, || None);
        }
    }

    fn put(&mut self, group: usize, time: i64, value: T) {
        match &mut self.kept {
            Kept::Ends(ends) => {
                let end = &mut ends[group];
                let is_nearer = match (&*end, self.what) {
                    (None, _) => true,
                    (Some((kept, _)), What::First) => time < *kept,
                    // Of one time it is the one that came last.
                    (Some((kept, _)), _) => time >= *kept,
                };
                if is_nearer {
                    self.heap += value.heap();
                    let before = end.replace((time, value));
                    self.heap -= before.map_or(0, |(_, value)| value.heap());
                }
            }
            Kept::All(all) => {
                self.heap += value.heap();
                all.push(group, (time, value));
            }
        }
    }

    /// Takes groups out and hands over the samples of each, in order of the groups and as they came.
    fn emit(&mut self, emit_to: EmitTo, mut each: impl FnMut(&mut [(i64, T)]) -> Result<()>) -> Result<()> {
        let groups = match emit_to {
            EmitTo::All => self.groups,
            EmitTo::First(groups) => groups.min(self.groups),
        };
        self.groups -= groups;
        let mut gone = 0;
        let mut counted = |samples: &mut [(i64, T)]| {
            gone += samples.iter().map(|(_, value)| value.heap()).sum::<usize>();
            each(samples)
        };
        match &mut self.kept {
            Kept::Ends(ends) => {
                let rest = ends.split_off(groups);
                let mut out = mem::replace(ends, rest);
                out.iter_mut().try_for_each(|end| counted(end.as_mut_slice()))?;
            }
            Kept::All(all) => all.emit(groups, counted)?,
        }
        self.heap = self.heap.saturating_sub(gone);
        Ok(())
    }
}

impl<T: Sampled> GroupsAccumulator for Grouped<T> {
    fn update_batch(
        &mut self,
        columns: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        self.grow(total);
        let (values, times) = arguments(columns)?;
        T::rows(values, |row, value| {
            if times.is_valid(row) && passes(filter, row) {
                self.put(groups[row], times.value(row), value);
            }
        })
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let (what, mut found) = (self.what, Vec::new());
        self.emit(emit_to, |samples| {
            samples.sort_by_key(|sample| sample.0);
            found.push(T::of(what, samples)?);
            Ok(())
        })?;
        Ok(T::column(found))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let (mut lengths, mut times, mut values) = (Vec::new(), Vec::new(), Vec::new());
        self.emit(emit_to, |samples| {
            lengths.push(samples.len());
            for (time, value) in samples {
                times.push(*time);
                values.push(Some(mem::take(value)));
            }
            Ok(())
        })?;
        state_of(&lengths, times, values)
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.grow(total);
        let [times, values] = states else { return Err(pairs::foreign()) };
        let times = times.as_list_opt::<i32>().ok_or_else(pairs::foreign)?;
        let values = values.as_list_opt::<i32>().ok_or_else(pairs::foreign)?;
        let all_times = times.values().as_primitive_opt::<Int64Type>().ok_or_else(pairs::foreign)?.values();
        let mut whose = Vec::new();
        for (group, bounds) in groups.iter().zip(times.value_offsets().windows(2)) {
            let of_group = &all_times[bounds[0] as usize..bounds[1] as usize];
            whose.extend(of_group.iter().map(|time| (*group, *time)));
        }
        // There is one more of them than there are lists.
        let bounds = values.value_offsets();
        let begin = bounds[0] as usize;
        if begin + whose.len() != bounds[bounds.len() - 1] as usize {
            return Err(pairs::foreign());
        }
        let values = values.values().slice(begin, whose.len());
        T::rows(&values, |at, value| {
            let (group, time) = whose[at];
            self.put(group, time, value);
        })
    }

    fn convert_to_state(&self, columns: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let (values, times) = arguments(columns)?;
        let mut lengths = vec![0; times.len()];
        let (mut of_times, mut of_values) = (Vec::new(), Vec::new());
        T::rows(values, |row, value| {
            if times.is_valid(row) && passes(filter, row) {
                lengths[row] = 1;
                of_times.push(times.value(row));
                of_values.push(Some(value));
            }
        })?;
        state_of(&lengths, of_times, of_values)
    }

    fn size(&self) -> usize {
        let kept = match &self.kept {
            Kept::Ends(ends) => ends.capacity() * mem::size_of::<Option<(i64, T)>>(),
            Kept::All(all) => {
                all.samples.capacity() * mem::size_of::<(i64, T)>()
                    + all.runs.capacity() * mem::size_of::<Run>()
            }
        };
        mem::size_of::<Self>() + kept + self.heap
    }
}

fn arguments(columns: &[ArrayRef]) -> Result<(&ArrayRef, &TimestampNanosecondArray)> {
    let [values, times] = columns else { return Err(pairs::foreign()) };
    let times = times.as_primitive_opt::<TimestampNanosecondType>().ok_or_else(pairs::foreign)?;
    Ok((values, times))
}

fn passes(filter: Option<&BooleanArray>, row: usize) -> bool {
    filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row))
}

/// Lists of so many times and values, as the states of groups.
fn state_of<T: Sampled>(lengths: &[usize], times: Vec<i64>, values: Vec<Option<T>>) -> Result<Vec<ArrayRef>> {
    let lists = |values: ArrayRef| -> Result<ArrayRef> {
        let field = Arc::new(Field::new_list_field(values.data_type().clone(), true));
        let offsets = OffsetBuffer::from_lengths(lengths.iter().copied());
        Ok(Arc::new(ListArray::try_new(field, offsets, values, None)?))
    };
    Ok(vec![lists(Arc::new(Int64Array::from(times)))?, lists(T::column(values))?])
}

#[cfg(test)]
mod tests;
