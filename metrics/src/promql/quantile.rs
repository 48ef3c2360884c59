//! The quantile of some numbers.

/// Between the two numbers nearest to it in order, by its distance to each. NaN counts as
/// the smallest. The numbers are brought into another order.
pub fn quantile(q: f64, numbers: &mut [f64]) -> f64 {
    if numbers.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    let order = |a: &f64, b: &f64| b.is_nan().cmp(&a.is_nan()).then(a.total_cmp(b));
    let last = numbers.len() - 1;
    let rank = q * last as f64;
    let lower = rank.floor() as usize;
    let (_, at, above) = numbers.select_nth_unstable_by(lower, order);
    let weight = rank - rank.floor();
    let at = *at;
    let next = above.iter().copied().min_by(|a, b| order(a, b)).unwrap_or(at);
    at * (1.0 - weight) + next * weight
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quantiles_of_few_numbers() {
        let of = |q, numbers: &[f64]| quantile(q, &mut numbers.to_vec());
        assert_eq!((of(0.5, &[3.0, 1.0, 2.0]), of(0.5, &[1.0, 2.0]), of(1.0, &[2.0, 1.0])), (2.0, 1.5, 2.0));
        assert!(of(0.5, &[]).is_nan() && of(0.0, &[1.0, f64::NAN]).is_nan());
        assert_eq!(of(1.0, &[1.0, f64::NAN]), 1.0);
    }

    proptest! {
        #[test]
        fn the_same_as_of_sorted_numbers(mut numbers in prop::collection::vec(-9.0..9.0f64, 1..30), q in 0.0..=1.0f64) {
            let found = quantile(q, &mut numbers.clone());
            numbers.sort_by(f64::total_cmp);
            let rank = q * (numbers.len() - 1) as f64;
            let (low, high) = (rank.floor() as usize, (rank.floor() as usize + 1).min(numbers.len() - 1));
            let weight = rank - rank.floor();
            prop_assert_eq!(found, numbers[low] * (1.0 - weight) + numbers[high] * weight);
        }
    }
}
