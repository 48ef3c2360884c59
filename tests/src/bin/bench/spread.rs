//! Quantiles of what was timed.

use std::time::Duration;

/// The `share` quantile (0.5 is the median) by the nearest rank; zero of nothing.
pub fn quantile(values: &[Duration], share: f64) -> Duration {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}
