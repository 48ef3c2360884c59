//! Ranges of time in round steps, so that bars begin at full minutes. Pure.

use tiphys_logging::time::SECOND;

/// Steps that people count in.
const STEPS: [i64; 20] = [
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 604_800,
    2_592_000,
];

/// From and to, both at full steps; nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    pub since: i64,
    pub until: i64,
    step: i64,
}

impl Range {
    /// The range around this one that has at most so many lines, but for one at the edge.
    pub fn in_lines(since: i64, until: i64, lines: usize) -> Self {
        let finest = (i128::from(until) - i128::from(since)) / lines.max(1) as i128;
        let steps = STEPS.iter().map(|step| step * SECOND);
        let step = steps.clone().find(|step| i128::from(*step) >= finest).or_else(|| {
            // A month is not enough: whole months.
            let month = STEPS.last()? * SECOND;
            i64::try_from((finest / i128::from(month) + 1) * i128::from(month)).ok()
        });
        let step = step.unwrap_or(i64::MAX);
        let end = floor(until.saturating_sub(1), step).saturating_add(step);
        Self { since: floor(since, step), until: end, step }
    }

    pub fn steps(self) -> usize {
        let steps = (i128::from(self.until) - i128::from(self.since)) / i128::from(self.step);
        usize::try_from(steps).unwrap_or(1).clamp(1, 1000)
    }
}

/// The full step at or before a time.
pub fn floor(time: i64, step: i64) -> i64 {
    time.div_euclid(step).saturating_mul(step)
}

/// A span as people write it: `15 s`, `5 m`, `2 h`, `1 d`.
pub fn shown(span: i64) -> String {
    for (unit, seconds) in [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)] {
        let width = seconds * SECOND;
        if span >= width && span % width == 0 {
            return format!("{} {unit}", span / width);
        }
    }
    format!("{} s", span as f64 / SECOND as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_get_round_steps() {
        let check = |since: i64, until: i64, lines, expected: (i64, i64, i64, usize)| {
            let range = Range::in_lines(since * SECOND + 7, until * SECOND + 7, lines);
            let found = (range.since / SECOND, range.until / SECOND, range.step / SECOND, range.steps());
            assert_eq!(found, expected, "{since}..{until}");
        };
        check(1000, 4600, 20, (900, 4800, 300, 13));
        check(0, 120, 8, (0, 135, 15, 9));
        check(0, 1, 20, (0, 2, 1, 2));
        check(-90, 90, 3, (-120, 120, 60, 4));
        assert!(Range::in_lines(i64::MIN, i64::MAX, 20).steps() <= 1000);
        assert_eq!(
            [shown(15 * SECOND), shown(120 * SECOND), shown(86_400 * SECOND), shown(SECOND / 2)],
            ["15 s", "2 m", "1 d", "0.5 s"]
        );
    }
}
