//! Times below which a namespace's records are gone: because somebody ordered it,
//! because the namespace keeps no more. Pure.
//!
//! What is below its floor is in no answer from that moment on, whether or not it is
//! still on disk; a commit, a merge or a purge leaves it out of what is written.

use std::{cmp::Reverse, collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use tiphys_api::quantity::Quantity;

use super::manifest::Deletion;
use crate::{
    policy::{Annotations, RETENTION, RETENTION_BYTES, mistake_of_namespace},
    time,
};

/// Who wants to keep fewer bytes has mistaken the unit: `500m` is half a byte.
const FEWEST_BYTES: u64 = 1 << 20;

/// What a namespace keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keep {
    /// By the record's own time.
    pub age: Option<Duration>,
    /// On disk, the oldest blocks go first; each node and the archive count their own.
    pub bytes: Option<u64>,
}

impl Keep {
    /// What a namespace's annotations say, as [`crate::policy::own`] gives them. What can't be
    /// understood, or would keep nothing, says nothing and is named in a sentence.
    pub fn read(annotations: &Annotations) -> (Self, Vec<String>) {
        let mut mistakes = Vec::new();
        let keep = Self {
            age: said(annotations, RETENTION, age, &mut mistakes),
            bytes: said(annotations, RETENTION_BYTES, bytes, &mut mistakes),
        };
        (keep, mistakes)
    }
}

fn said<T>(
    annotations: &Annotations,
    name: &str,
    read: fn(&str) -> Result<T, String>,
    mistakes: &mut Vec<String>,
) -> Option<T> {
    let value = read(annotations.get(name)?.trim());
    value.map_err(|why| mistakes.push(mistake_of_namespace(name, &why))).ok()
}

fn age(text: &str) -> Result<Duration, String> {
    let nanos = time::span(text).and_then(|nanos| u64::try_from(nanos).ok());
    match nanos.map(Duration::from_nanos) {
        None => Err(format!("`{text}` is no span of time, such as 30d or 12h")),
        Some(age) if age.is_zero() => {
            Err(format!("`{text}` keeps no log at all; a span such as 7d is wanted"))
        }
        Some(age) => Ok(age),
    }
}

fn bytes(text: &str) -> Result<u64, String> {
    let quantity: Quantity =
        text.parse().map_err(|_| format!("`{text}` is no number of bytes, such as 10Gi"))?;
    match u64::try_from(quantity.units()) {
        Ok(bytes) if bytes >= FEWEST_BYTES => Ok(bytes),
        _ => Err(format!("`{text}` is less than 1Mi; a size such as 10Gi is wanted")),
    }
}

/// What of a block counts here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weight {
    pub min_time: i64,
    pub max_time: i64,
    /// On disk.
    pub bytes: u64,
}

/// The floors of all namespaces that have one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Floors {
    fixed: BTreeMap<String, i64>,
    ages: BTreeMap<String, i64>,
}

impl Floors {
    /// `weights` gives a namespace's blocks; times after `now` are not trusted.
    pub fn new(
        deletions: &[Deletion],
        keeps: &BTreeMap<String, Keep>,
        now: i64,
        weights: impl Fn(&str) -> Vec<Weight>,
    ) -> Self {
        let mut floors = Self::default();
        for deletion in deletions {
            floors.raise(&deletion.namespace, deletion.before);
        }
        for (namespace, keep) in keeps {
            if let Some(age) = keep.age {
                let age = i64::try_from(age.as_nanos()).unwrap_or(i64::MAX);
                floors.ages.insert(namespace.clone(), age);
            }
            if let Some(floor) = keep.bytes.and_then(|bytes| floor_of(weights(namespace), bytes, now)) {
                floors.raise(namespace, floor);
            }
        }
        floors
    }

    fn raise(&mut self, namespace: &str, to: i64) {
        let floor = self.fixed.entry(namespace.to_owned()).or_insert(to);
        *floor = to.max(*floor);
    }

    pub fn is_empty(&self) -> bool {
        self.fixed.is_empty() && self.ages.is_empty()
    }

    /// The earliest time that counts.
    pub fn of(&self, namespace: &str, now: i64) -> i64 {
        let by_age = self.ages.get(namespace).map(|age| now.saturating_sub(*age));
        by_age.max(self.fixed.get(namespace).copied()).unwrap_or(i64::MIN)
    }
}

/// The floor that leaves so many bytes; `None` when all fits.
///
/// A time that is not yet may come from a clock that is wrong. A block with one counts by
/// its first record, or a single line of the year 9999 would put the floor beyond all others;
/// a block that has no other times has no place in the order and doesn't count.
fn floor_of(weights: Vec<Weight>, bytes: u64, now: i64) -> Option<i64> {
    let placed = |weight: &Weight| match weight.max_time <= now {
        true => Some((weight.max_time, weight.bytes)),
        false => (weight.min_time <= now).then_some((weight.min_time, weight.bytes)),
    };
    let mut placed: Vec<(i64, u64)> = weights.iter().filter_map(placed).collect();
    placed.sort_unstable_by_key(|(time, _)| Reverse(*time));
    let mut total = 0u64;
    let first_out = placed.iter().find(|(_, weight)| {
        total = total.saturating_add(*weight);
        total > bytes
    });
    first_out.map(|(time, _)| time.saturating_add(1))
}

/// What to do with a split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purge {
    Nothing,
    /// Nothing in it counts.
    Drop,
    /// It is written again without what is gone.
    Rewrite,
}

/// A split is written again for less than its half only when somebody ordered it.
pub fn purge<'a>(
    blocks: impl Iterator<Item = (&'a str, Weight)>,
    floors: &Floors,
    deletions: &[Deletion],
    now: i64,
) -> Purge {
    let ordered = |namespace: &str, weight: &Weight| {
        deletions.iter().any(|deletion| deletion.namespace == namespace && weight.min_time < deletion.before)
    };
    let (mut total, mut gone, mut must, mut all_gone) = (0u64, 0u64, false, true);
    for (namespace, weight) in blocks {
        total += weight.bytes;
        must |= ordered(namespace, &weight);
        match weight.max_time < floors.of(namespace, now) {
            true => gone += weight.bytes,
            false => all_gone = false,
        }
    }
    match (all_gone, must || (gone > 0 && gone >= total / 2)) {
        (true, _) => Purge::Drop,
        (false, true) => Purge::Rewrite,
        (false, false) => Purge::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weight(min_time: i64, max_time: i64, bytes: u64) -> Weight {
        Weight { min_time, max_time, bytes }
    }

    #[test]
    fn annotations_say_what_is_kept() {
        let check = |age: &str, bytes: &str, expected: (u64, u64)| {
            let annotations =
                [(RETENTION.to_owned(), age.to_owned()), (RETENTION_BYTES.to_owned(), bytes.to_owned())];
            let (keep, mistakes) = Keep::read(&annotations.into());
            let found = (keep.age.map(|age| age.as_secs()), keep.bytes);
            assert_eq!(found, (Some(expected.0), Some(expected.1)), "{age} {bytes}");
            assert!(mistakes.is_empty(), "{mistakes:?}");
        };
        check("30d", "5Gi", (30 * 86_400, 5 << 30));
        check("12h", "100M", (43_200, 100_000_000));
        check(" 1s\n", " 1Mi\n", (1, 1 << 20));
        check("52w", "0.1Gi", (52 * 7 * 86_400, 107_374_183));
        assert_eq!(Keep::read(&Annotations::new()), (Keep::default(), vec![]));
    }

    #[test]
    fn what_would_keep_nothing_is_a_mistake_and_says_nothing() {
        for (name, value, why) in [
            (RETENTION, "0d", "`0d` keeps no log at all; a span such as 7d is wanted"),
            (RETENTION, "0s", "`0s` keeps no log at all; a span such as 7d is wanted"),
            (RETENTION, "0", "`0` is no span of time, such as 30d or 12h"),
            (RETENTION, "1y", "`1y` is no span of time, such as 30d or 12h"),
            (RETENTION, "30 days", "`30 days` is no span of time, such as 30d or 12h"),
            (RETENTION, "-1d", "`-1d` is no span of time, such as 30d or 12h"),
            (RETENTION, "", "`` is no span of time, such as 30d or 12h"),
            (RETENTION_BYTES, "0", "`0` is less than 1Mi; a size such as 10Gi is wanted"),
            (RETENTION_BYTES, "500m", "`500m` is less than 1Mi; a size such as 10Gi is wanted"),
            (RETENTION_BYTES, "5", "`5` is less than 1Mi; a size such as 10Gi is wanted"),
            (RETENTION_BYTES, "1048575", "`1048575` is less than 1Mi; a size such as 10Gi is wanted"),
            (RETENTION_BYTES, "-1Gi", "`-1Gi` is less than 1Mi; a size such as 10Gi is wanted"),
            (RETENTION_BYTES, "10 GiB", "`10 GiB` is no number of bytes, such as 10Gi"),
        ] {
            let (keep, mistakes) = Keep::read(&[(name.to_owned(), value.to_owned())].into());
            let expected = format!("annotation logs.tiphys.io/{name} of the namespace: {why}");
            assert_eq!((keep, mistakes), (Keep::default(), vec![expected]));
        }
    }

    #[test]
    fn the_highest_floor_counts() {
        let deletion = |before| Deletion { namespace: "a".into(), before, ordered: 0 };
        let keep = Keep { age: Some(Duration::from_nanos(50)), bytes: Some(25) };
        let weights = |_: &str| vec![weight(0, 9, 10), weight(20, 29, 10), weight(10, 19, 10)];
        let keeps = [("b".to_owned(), keep)].into();
        let floors = Floors::new(&[deletion(5), deletion(3)], &keeps, 100, weights);
        assert_eq!((floors.of("a", 100), floors.of("c", 100)), (5, i64::MIN));
        assert_eq!((floors.of("b", 100), floors.of("b", 55)), (50, 10), "by age, and by size");
    }

    #[test]
    fn a_line_of_the_year_9999_takes_no_other_with_it() {
        let check = |weights: &[Weight], expected: Option<i64>| {
            assert_eq!(floor_of(weights.to_vec(), 25, 100), expected, "{weights:?}");
        };
        let (old, new) = (weight(10, 19, 20), weight(50, 59, 20));
        check(&[old, new], Some(20));
        // The newest block has a line of the far future, and is out by itself or not.
        check(&[old, weight(60, i64::MAX, 20)], Some(20));
        check(&[old, weight(60, i64::MAX, 30)], Some(61));
        // One that has no other lines.
        check(&[old, new, weight(101, i64::MAX, 30)], Some(20));
        check(&[weight(i64::MAX, i64::MAX, 30)], None);
    }

    #[test]
    fn splits_are_written_again_when_it_is_worth_it_or_ordered() {
        let deletion = Deletion { namespace: "a".into(), before: 5, ordered: 0 };
        let floors = Floors::new(std::slice::from_ref(&deletion), &BTreeMap::new(), 100, |_| vec![]);
        let check = |blocks: &[(&str, Weight)], ordered: bool, expected| {
            let deletions = if ordered { std::slice::from_ref(&deletion) } else { &[] };
            assert_eq!(purge(blocks.iter().copied(), &floors, deletions, 100), expected, "{blocks:?}");
        };
        let (old, new) = (weight(0, 4, 10), weight(5, 9, 10));
        check(&[("a", old)], false, Purge::Drop);
        check(&[("a", old), ("b", old)], false, Purge::Rewrite);
        check(&[("a", old), ("b", old), ("b", old)], false, Purge::Nothing);
        check(&[("a", old), ("b", old), ("b", old)], true, Purge::Rewrite);
        check(&[("a", weight(4, 9, 1)), ("b", old)], false, Purge::Nothing);
        check(&[("a", weight(4, 9, 1)), ("b", old)], true, Purge::Rewrite);
        check(&[("a", new), ("b", old)], true, Purge::Nothing);
    }
}
