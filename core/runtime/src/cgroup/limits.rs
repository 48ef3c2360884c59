//! From milli-cores and bytes to what the kernel is told. Pure.

use super::HugePages;

/// The period of CPU quotas, in microseconds: the kernel's default.
pub const PERIOD_MICROS: u64 = 100_000;
const MIN_SHARES: u64 = 2;
const MAX_SHARES: u64 = 262_144;
/// The kernel refuses less than a millisecond a period.
const MIN_QUOTA_MICROS: u64 = 1_000;

/// Limits of a group. `None` leaves the kernel's default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// Relative weight, 1024 a core.
    pub cpu_shares: Option<u64>,
    /// Microseconds of CPU within each [`PERIOD_MICROS`].
    pub cpu_quota_micros: Option<u64>,
    pub memory_bytes: Option<u64>,
    pub processes: Option<u64>,
    /// Of machines with the controller for it only.
    pub huge_pages: Option<HugePages>,
}

/// Shares of a CPU request: a core is 1024, and nothing is the least there is.
pub fn shares(milli_cores: u64) -> u64 {
    (milli_cores * 1024 / 1000).clamp(MIN_SHARES, MAX_SHARES)
}

/// Quota of a CPU limit.
pub fn quota_micros(milli_cores: u64) -> u64 {
    (milli_cores * PERIOD_MICROS / 1000).max(MIN_QUOTA_MICROS)
}

/// Version 2 weighs from 1 to 10,000 where version 1 has shares from 2 to 262,144.
pub fn weight(shares: u64) -> u64 {
    1 + (shares.clamp(MIN_SHARES, MAX_SHARES) - MIN_SHARES) * 9_999 / (MAX_SHARES - MIN_SHARES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_follow_the_kernels_units() {
        for (milli, expected) in
            [(0, 2), (1, 2), (100, 102), (1000, 1024), (2500, 2560), (1_000_000, 262_144)]
        {
            assert_eq!(shares(milli), expected, "{milli}m");
        }
        for (milli, expected) in [(1, 1_000), (100, 10_000), (1500, 150_000)] {
            assert_eq!(quota_micros(milli), expected, "{milli}m");
        }
        for (shares, expected) in [(2, 1), (1024, 39), (262_144, 10_000)] {
            assert_eq!(weight(shares), expected, "{shares} shares");
        }
    }
}
