//! How many records of a block match, by step of time and level, without the records.
//!
//! ```text
//! the block as a whole, in one step            its head
//! as a whole, steps made of its intervals      its marks
//! decided by its templates                     its front; the marks tell where rows of a step end,
//!                                              or their times do
//! else                                         record by record, as a search does
//! ```

use std::{collections::BTreeMap, ops::Range};

use super::{
    Progress,
    look::{Look, Want},
};
use crate::{
    block::{CorruptBlock, Front, Intervals},
    grid::Steps,
    query::compile::Verdict,
    record::Level,
};

type Levels = [u64; 7];

/// Counts by step and level.
pub(super) struct Tally {
    origin: i64,
    step: i64,
    steps: Steps,
    sums: BTreeMap<i64, Levels>,
    /// Those of the last step, which the next record is mostly of.
    last: (i64, Levels),
}

impl Tally {
    /// Steps of `step` nanoseconds, one of which begins at `origin`.
    pub fn new(origin: i64, step: i64) -> Self {
        let steps = Steps::new(origin, step);
        Self { origin, step, steps, sums: BTreeMap::new(), last: (0, [0; 7]) }
    }

    /// What was counted since the last call, by the number of the step.
    pub fn take(&mut self) -> BTreeMap<i64, Levels> {
        self.turn(0);
        std::mem::take(&mut self.sums)
    }

    fn add(&mut self, time: i64, level: Level) {
        self.at(time)[level as usize] += 1;
    }

    fn add_all(&mut self, time: i64, levels: impl IntoIterator<Item = impl Into<u64>>) {
        let sums = self.at(time);
        levels.into_iter().zip(sums).for_each(|(count, sum)| *sum += count.into());
    }

    fn at(&mut self, time: i64) -> &mut Levels {
        let number = self.steps.number(time);
        if number != self.last.0 {
            self.turn(number);
        }
        &mut self.last.1
    }

    fn turn(&mut self, number: i64) {
        let (last, counts) = std::mem::replace(&mut self.last, (number, [0; 7]));
        if counts != [0; 7] {
            let sums = self.sums.entry(last).or_default();
            sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
    }

    /// Whether each step is made of whole intervals of this width.
    fn is_made_of(&self, unit: i64) -> bool {
        self.step % unit == 0 && self.origin % unit == 0
    }
}

/// Which records of a block count, and where their steps begin.
struct Rows<'a> {
    front: &'a Front<'a>,
    /// The block's level, if it has only one.
    level: Option<Level>,
    /// Whether the record counts, by its number.
    counts: &'a dyn Fn(usize) -> bool,
}

impl Look<'_> {
    /// Counts all that matches. A damaged split is reported, and counts no further.
    pub fn tally(&self, progress: &mut Progress, tally: &mut Tally) {
        let (request, candidate) = (self.request, self.candidate);
        let head = &candidate.head;
        // No record is out of the request's time.
        let all = candidate.floor <= head.min_time && request.covers(head.min_time, head.max_time);
        let whole = all && candidate.verdict == Verdict::Yes;
        if whole && tally.steps.number(head.min_time) == tally.steps.number(head.max_time) {
            return tally.add_all(head.min_time, head.levels);
        }
        let marks = candidate.marks().filter(|marks| marks.unit().is_some_and(|unit| tally.is_made_of(unit)));
        let intervals = marks.filter(|_| all).and_then(|marks| marks.read());
        match intervals {
            Some(intervals) if whole => {
                return intervals.counts.iter().for_each(|(time, levels)| tally.add_all(*time, *levels));
            }
            _ => {}
        }
        let sorted = intervals.filter(|intervals| intervals.sorted);
        let counted = candidate
            .with_front(sorted.is_none(), |front| self.tally_rows(front, all, sorted.as_ref(), tally));
        match counted {
            Ok(Some(())) => progress.scanned += u64::from(head.count),
            Ok(None) => {
                let look = Look { want: Want::default(), ..*self };
                look.each(progress, |_| true, |found| tally.add(found.record.time, found.record.level));
            }
            Err(error) => candidate.sound(Err(error), self.store, progress),
        }
    }

    /// `None`, and nothing counted, when columns and templates don't tell which records match.
    fn tally_rows(
        &self,
        front: &Front<'_>,
        all: bool,
        intervals: Option<&Intervals>,
        tally: &mut Tally,
    ) -> Result<Option<()>, CorruptBlock> {
        let (query, candidate) = (&self.request.query, self.candidate);
        let levels = Level::ALL.into_iter().filter(|level| candidate.head.levels[*level as usize] > 0);
        let level = levels.clone().next().filter(|_| levels.count() == 1);
        if query.verdict(&candidate.verdicts) == Verdict::Yes {
            return Rows { front, level, counts: &|_| true }.add(self, all, intervals, tally);
        }
        if query.asks_rows(&candidate.verdicts) {
            return Ok(None);
        }
        let templates = front.templates()?;
        let mut counts = Vec::with_capacity(templates.len());
        for number in 0..templates.len() {
            match query.verdict(&self.on_template(&templates, number)) {
                Verdict::Maybe => return Ok(None),
                verdict => counts.push(verdict == Verdict::Yes),
            }
        }
        if counts.contains(&true) {
            let of = templates.of();
            return Rows { front, level, counts: &|at| counts[of[at] as usize] }
                .add(self, all, intervals, tally);
        }
        Ok(Some(()))
    }
}

impl Rows<'_> {
    fn add(
        &self,
        look: &Look<'_>,
        all: bool,
        intervals: Option<&Intervals>,
        tally: &mut Tally,
    ) -> Result<Option<()>, CorruptBlock> {
        if let (Some(intervals), true) = (intervals, all) {
            return self.add_intervals(intervals, tally).map(Some);
        }
        let Some(times) = self.front.times()? else { return Ok(None) };
        let levels = self.front.levels()?;
        let in_range = |time: i64| all || (time >= look.candidate.floor && look.request.in_range(time));
        for (at, time) in times.into_iter().enumerate() {
            if (self.counts)(at) && in_range(time) {
                tally.add(time, levels[at]);
            }
        }
        Ok(Some(()))
    }

    /// The records stand in the order of these intervals.
    fn add_intervals(&self, intervals: &Intervals, tally: &mut Tally) -> Result<(), CorruptBlock> {
        let levels = match self.level {
            Some(_) => None,
            None => Some(self.front.levels()?),
        };
        let mut from = 0;
        for (time, counts) in &intervals.counts {
            let rows: Range<usize> = from..from + counts.iter().sum::<u32>() as usize;
            from = rows.end;
            let counted = rows.filter(|at| (self.counts)(*at));
            match (self.level, &levels) {
                (Some(level), _) => {
                    let mut levels = [0u64; 7];
                    levels[level as usize] = counted.count() as u64;
                    tally.add_all(*time, levels);
                }
                (None, Some(of)) => {
                    let mut levels = [0u64; 7];
                    counted.for_each(|at| levels[of[at] as usize] += 1);
                    tally.add_all(*time, levels);
                }
                (None, None) => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_come_back_by_step() {
        let mut tally = Tally::new(5, 10);
        for (time, level) in
            [(5, Level::Info), (14, Level::Info), (15, Level::Error), (6, Level::Info), (-1, Level::Warn)]
        {
            tally.add(time, level);
        }
        tally.add_all(15, [0u32, 0, 0, 2, 0, 0, 0]);
        let total: BTreeMap<i64, u64> =
            tally.take().into_iter().map(|(step, levels)| (step, levels.iter().sum())).collect();
        assert_eq!(total, [(-1, 1), (0, 3), (1, 3)].into());
        assert!(tally.take().is_empty());
        assert!(Tally::new(60, 180).is_made_of(60) && !Tally::new(61, 180).is_made_of(60));
    }
}
