//! A native histogram in words, as a label's value has it.

use std::fmt::Write as _;

use super::buckets::all_buckets;
use crate::series::Histogram;

/// `{count:2, sum:3, (1,2]:2}`.
pub fn text(histogram: &Histogram) -> String {
    let mut text = format!("{{count:{}, sum:{}", histogram.count, histogram.sum);
    for bucket in all_buckets(histogram).iter().filter(|bucket| bucket.count != 0.0) {
        let open = if bucket.lower_inclusive { '[' } else { '(' };
        let close = if bucket.upper_inclusive { ']' } else { ')' };
        let _ = write!(text, ", {open}{},{}{close}:{}", bucket.lower, bucket.upper, bucket.count);
    }
    text.push('}');
    text
}

#[cfg(test)]
mod tests {
    use super::{super::buckets::pack, *};

    #[test]
    fn counts_sums_and_buckets_are_written() {
        let histogram =
            Histogram { count: 2.0, sum: 3.0, positive: pack([(1, 2.0)]), ..Histogram::default() };
        assert_eq!(text(&histogram), "{count:2, sum:3, (1,2]:2}");
    }
}
