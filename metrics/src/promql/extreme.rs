//! The largest and the smallest number of a window that only moves on: each number is looked
//! at once, however many windows it is in.
//!
//! Of numbers in a row only those may become the largest after which none larger came. The
//! first of them is the largest of the window; of equal ones the first counts, and what is
//! no number never does, as in a walk over the window.

use std::collections::VecDeque;

#[derive(Debug, Default)]
pub struct Extreme {
    /// Places, their numbers each at least as extreme as the next one's.
    places: VecDeque<usize>,
    /// The place after the last one looked at.
    seen: usize,
}

impl Extreme {
    /// The extreme of `numbers[first..after]`; neither bound may be smaller than before.
    /// `beats` says whether a number is more extreme than another. NaN where no number is.
    pub fn of(
        &mut self,
        numbers: &[f64],
        first: usize,
        after: usize,
        beats: impl Fn(f64, f64) -> bool,
    ) -> f64 {
        for place in self.seen.max(first)..after {
            let number = numbers[place];
            if number.is_nan() {
                continue;
            }
            while self.places.back().is_some_and(|last| beats(number, numbers[*last])) {
                self.places.pop_back();
            }
            self.places.push_back(place);
        }
        self.seen = self.seen.max(after);
        while self.places.front().is_some_and(|place| *place < first) {
            self.places.pop_front();
        }
        self.places.front().map_or(f64::NAN, |place| numbers[*place])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn walked(numbers: &[f64], beats: impl Fn(f64, f64) -> bool) -> f64 {
        let mut best = f64::NAN;
        for number in numbers {
            if best.is_nan() || beats(*number, best) {
                best = *number;
            }
        }
        best
    }

    proptest! {
        #[test]
        fn it_is_what_a_walk_over_each_window_finds(
            numbers in prop::collection::vec(
                prop_oneof![(-4i32..4).prop_map(f64::from), Just(f64::NAN), Just(-0.0), Just(f64::INFINITY)],
                0..40,
            ),
            moves in prop::collection::vec((0usize..6, 0usize..6), 0..30),
        ) {
            let (mut largest, mut smallest) = (Extreme::default(), Extreme::default());
            let (mut first, mut after) = (0, 0);
            for (start, end) in moves {
                after = (after + end).min(numbers.len());
                first = (first + start).min(after);
                let window = &numbers[first..after];
                let found = largest.of(&numbers, first, after, |a, b| a > b);
                let expected = walked(window, |a, b| a > b);
                prop_assert!(found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan());
                let found = smallest.of(&numbers, first, after, |a, b| a < b);
                let expected = walked(window, |a, b| a < b);
                prop_assert!(found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan());
            }
        }
    }
}
