//! The times at which a query is evaluated: equally spaced, the last one at or before its end.

/// Steps of an evaluation, milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    pub start: i64,
    /// Never 0.
    pub step: i64,
    /// 0 where the end stands before the start, as in a subquery shorter than its step.
    pub steps: usize,
    /// The end that was asked for; the last step may stand before it.
    pub until: i64,
}

impl Grid {
    /// One moment.
    pub fn instant(time: i64) -> Self {
        Self { start: time, step: 1, steps: 1, until: time }
    }

    /// From `start` to `end`, both included.
    pub fn range(start: i64, end: i64, step: i64) -> Self {
        let step = step.max(1);
        let steps = if end < start { 0 } else { (end - start) / step + 1 };
        Self { start, step, steps: usize::try_from(steps).unwrap_or(0), until: end }
    }

    pub fn time(&self, number: usize) -> i64 {
        self.start + self.step * number as i64
    }

    /// The time of the last step; the start where there is none.
    pub fn end(&self) -> i64 {
        self.time(self.steps.saturating_sub(1))
    }

    pub fn times(&self) -> impl Iterator<Item = i64> + use<> {
        let grid = *self;
        (0..grid.steps).map(move |number| grid.time(number))
    }

    pub fn is_instant(&self) -> bool {
        self.steps == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_step_is_at_or_before_the_end() {
        assert_eq!(Grid::range(10, 39, 10).times().collect::<Vec<_>>(), [10, 20, 30]);
        assert_eq!(Grid::range(10, 40, 10).end(), 40);
        assert_eq!(Grid::range(10, 9, 10).steps, 0);
        assert_eq!(Grid::instant(5).times().collect::<Vec<_>>(), [5]);
    }
}
