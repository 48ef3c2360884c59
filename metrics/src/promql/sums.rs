//! Sums that lose little of small numbers beside large ones (Neumaier's variant of Kahan's).

/// A sum and what rounding took from it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Kahan {
    sum: f64,
    lost: f64,
}

impl Kahan {
    #[inline]
    pub fn add(&mut self, number: f64) {
        // What rounding takes, whichever is larger (Knuth's TwoSum): nothing to be guessed.
        let sum = self.sum + number;
        let taken = sum - self.sum;
        let lost = self.lost + ((self.sum - (sum - taken)) + (number - taken));
        *self = Self { sum, lost: if sum.is_infinite() { 0.0 } else { lost } };
    }

    pub fn is_infinite(self) -> bool {
        self.sum.is_infinite()
    }

    #[inline]
    pub fn total(self) -> f64 {
        if self.sum.is_infinite() { self.sum } else { self.sum + self.lost }
    }

    pub fn times(self, factor: f64) -> Self {
        Self { sum: self.sum * factor, lost: self.lost * factor }
    }

    pub fn over(self, count: f64) -> Self {
        Self { sum: self.sum / count, lost: self.lost / count }
    }
}

/// The mean, by the sum; where that would be infinite, number by number.
pub fn mean(numbers: &[f64]) -> f64 {
    let mut sum = Kahan::default();
    for (place, number) in numbers.iter().enumerate() {
        let mut next = sum;
        next.add(*number);
        if next.is_infinite() && place > 0 {
            return mean_from(sum.over(place as f64), place, &numbers[place..]);
        }
        sum = next;
    }
    sum.over(numbers.len() as f64).total()
}

/// The mean of `count` numbers and some more.
fn mean_from(mut mean: Kahan, mut count: usize, more: &[f64]) -> f64 {
    for number in more {
        count += 1;
        mean = mean.times((count - 1) as f64 / count as f64);
        mean.add(number / count as f64);
    }
    mean.sum + mean.lost
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_numbers_are_not_lost() {
        let mut sum = Kahan::default();
        [1e16, 1.0, 1.0, -1e16].into_iter().for_each(|number| sum.add(number));
        assert_eq!(sum.total(), 2.0);
        sum.add(f64::INFINITY);
        assert_eq!(sum.total(), f64::INFINITY);
    }

    #[test]
    fn a_mean_of_huge_numbers_is_finite() {
        assert_eq!(mean(&[1.0, 2.0, 6.0]), 3.0);
        assert!((mean(&[f64::MAX, f64::MAX, f64::MAX]) / f64::MAX - 1.0).abs() < 1e-12);
        assert_eq!(mean(&[f64::INFINITY, 1.0]), f64::INFINITY);
        assert!(mean(&[f64::INFINITY, f64::NEG_INFINITY]).is_nan());
    }
}
