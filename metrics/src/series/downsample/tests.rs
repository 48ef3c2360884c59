//! What stays is what the rules say, whichever way it is worked out, and answers as before.

use std::{collections::BTreeSet, sync::Arc};

use proptest::prelude::*;

use super::*;
use crate::series::STALE;

const MINUTE: i64 = 60_000;
const STEPS: [i64; 4] = [1000, MINUTE, 150_000, 5 * MINUTE];

/// What stays, each sample looked at beside all others, as the rules are written down.
pub fn thinned_naively(metric: &str, samples: &[(i64, f64)], step: i64) -> Vec<(i64, f64)> {
    let ends = |place: usize| is_stale(samples[place].1);
    let step_of = |place: usize| (samples[place].0 + step - 1).div_euclid(step);
    let all = || 0..samples.len();
    let is_needed = |place: &usize| {
        let is_last = !all().any(|other| other > *place && step_of(other) == step_of(*place));
        let neighbours = [place.checked_sub(1), Some(place + 1).filter(|next| *next < samples.len())];
        let is_beside_end = neighbours.into_iter().flatten().any(|other| ends(other) != ends(*place));
        *place == 0 || is_last || is_beside_end
    };
    let mut stay: BTreeSet<usize> = all().filter(is_needed).collect();
    let needed: Vec<_> = stay.iter().copied().collect();
    for pair in needed.windows(2) {
        let mut from = pair[0];
        while samples[pair[1]].0 - samples[from].0 > step && pair[1] - from > 1 {
            let is_near = |place: &usize| samples[*place].0 - samples[from].0 <= step;
            from = (from + 1..pair[1]).rev().find(is_near).unwrap_or(from + 1);
            stay.insert(from);
        }
    }
    let numbers: Vec<_> = all().filter(|place| !ends(*place)).collect();
    let falls: Vec<_> =
        numbers.windows(2).filter(|pair| samples[pair[0]].1 > samples[pair[1]].1).flatten().collect();
    let steps: BTreeSet<_> = all().map(step_of).collect();
    if metric.ends_with("_total") || falls.len() <= 2 * steps.len() {
        stay.extend(falls);
    }
    stay.into_iter().map(|place| samples[place]).collect()
}

/// Samples of a series from 0 on: mostly each 15 s, with gaps, falls, and ends.
pub fn series() -> impl Strategy<Value = Vec<(i64, f64)>> {
    let with = |falls: u32| {
        let gap = prop_oneof![20 => Just(15_000), 8 => 1..MINUTE, 1 => 3 * MINUTE..30 * MINUTE];
        let change = prop_oneof![20 => 0i64..20, falls => -500i64..0, 1 => Just(i64::MIN)];
        prop::collection::vec((gap, change), 1..300)
    };
    // Counters that fall now and then, and gauges.
    prop_oneof![with(1), with(20)].prop_map(|steps| {
        let (mut time, mut value) = (0, 0);
        let sample = |(gap, change): (i64, i64)| {
            time += gap;
            if change == i64::MIN {
                return (time, STALE);
            }
            value = (value + change).max(0);
            (time, value as f64)
        };
        steps.into_iter().map(sample).collect()
    })
}

/// What a counter grew by, which begins anew where it falls.
pub fn grown(samples: &[(i64, f64)]) -> f64 {
    let numbers: Vec<_> = samples.iter().map(|(_, value)| *value).filter(|value| !is_stale(*value)).collect();
    numbers.windows(2).map(|pair| if pair[1] < pair[0] { pair[1] } else { pair[1] - pair[0] }).sum()
}

fn thinned(metric: &str, samples: &[(i64, f64)], step: i64) -> Vec<(i64, f64)> {
    let mut samples = samples.to_vec();
    thin_numbers(metric, &mut samples, step);
    samples
}

/// Samples by their bits: the stale marker is equal to nothing.
fn bits(samples: &[(i64, f64)]) -> Vec<(i64, u64)> {
    samples.iter().map(|(time, value)| (*time, value.to_bits())).collect()
}

/// The seconds of what stays with a step of five minutes.
fn left(metric: &str, samples: &[(i64, f64)]) -> Vec<i64> {
    let samples: Vec<_> = samples.iter().map(|(second, value)| (second * 1000, *value)).collect();
    thinned(metric, &samples, 5 * MINUTE).iter().map(|(time, _)| time / 1000).collect()
}

fn each(seconds: impl Iterator<Item = i64>, value: impl Fn(i64) -> f64) -> Vec<(i64, f64)> {
    seconds.map(|second| (second, value(second))).collect()
}

#[test]
fn the_last_sample_of_each_step_stays() {
    let on_grid = || (0..=900).step_by(15);
    let rises = |second: i64| second as f64;
    assert_eq!(left("m", &each(on_grid(), rises)), [0, 300, 600, 900]);
    assert_eq!(left("m", &each((7..=907).step_by(15), rises)), [7, 292, 592, 892, 907]);
    // One that falls with each other sample is a gauge, unless its name says otherwise.
    let falls = |second: i64| (second / 15 % 2) as f64;
    assert_eq!(left("m", &each(on_grid(), falls)), [0, 300, 600, 900]);
    assert_eq!(left("m_total", &each(on_grid(), falls)).len(), 61);
    assert_eq!(left("m", &[]), [0i64; 0]);
    assert_eq!(left("m", &[(7, 1.0)]), [7]);
}

#[test]
fn what_ended_stays_ended() {
    let mut samples = vec![(0, 1.0), (15, 1.0), (30, 1.0), (45, STALE), (60, STALE)];
    samples.extend(each((90..=300).step_by(15), |_| 2.0));
    assert_eq!(left("m", &samples), [0, 30, 45, 60, 90, 300]);
    // A life that is shorter than a step.
    assert_eq!(left("m", &[(310, 1.0), (325, 2.0), (340, 3.0), (355, STALE)]), [310, 340, 355]);
}

#[test]
fn a_sample_no_older_than_a_step_is_there_wherever_one_was() {
    let at = |seconds: &[i64]| left("m", &each(seconds.iter().copied(), |_| 1.0));
    assert_eq!(at(&[10, 305, 320, 600]), [10, 305, 600]);
    assert_eq!(at(&[10, 300, 315, 590, 600]), [10, 300, 600]);
    assert_eq!(at(&[290, 500, 1100, 1115, 1130, 1400]), [290, 500, 1100, 1130, 1400]);
}

#[test]
fn a_counter_that_begins_anew_keeps_both_sides_of_that() {
    let samples = each((0..=300).step_by(15), |second| (second % 150) as f64);
    assert_eq!(left("m", &samples), [0, 135, 150, 285, 300]);
    let twice = [(0, 5.0), (15, 9.0), (30, 9.5), (45, 2.0), (60, 8.0), (75, STALE), (90, 3.0), (300, 30.0)];
    assert_eq!(left("m_total", &twice), [0, 30, 45, 60, 75, 90, 300]);
}

#[test]
fn histograms_are_counters_bucket_by_bucket() {
    let one = |count: f64, buckets: &[f64]| Histogram {
        count,
        positive: Buckets { spans: vec![(0, buckets.len() as u32)], counts: buckets.to_vec() },
        ..Histogram::default()
    };
    let left = |change: &dyn Fn(usize, Histogram) -> Histogram| -> Vec<i64> {
        let sample = |at: usize| {
            let grown = at as f64;
            (at as i64 * 15_000, Arc::new(change(at, one(grown * 2.0, &[grown, grown]))))
        };
        let mut samples: Vec<_> = (0..=20).map(sample).collect();
        thin_histograms(&mut samples, 5 * MINUTE);
        samples.iter().map(|(time, _)| time / 1000).collect()
    };
    let from = |at: usize, now: Histogram, other: Histogram| if at < 10 { now } else { other };
    assert_eq!(left(&|_, now| now), [0, 300]);
    assert_eq!(left(&|at, now| from(at, now, one(1.0, &[]))), [0, 135, 150, 300]);
    // The count grows, one bucket doesn't; another one has come, which is no fall.
    let less = |at: usize, now: Histogram| from(at, now, one(at as f64 * 2.0, &[8.0, 12.0]));
    assert_eq!(left(&less), [0, 135, 150, 300]);
    let more = |at: usize, now: Histogram| from(at, now, one(at as f64 * 2.0, &[10.0, 12.0, 1.0]));
    assert_eq!(left(&more), [0, 300]);
    let told_otherwise = |at: usize, now: Histogram| from(at, now.clone(), Histogram { schema: 3, ..now });
    assert_eq!(left(&told_otherwise), [0, 135, 150, 300]);
    let gauge = |at: usize, now: Histogram| Histogram { gauge: true, ..from(at, now, one(1.0, &[])) };
    assert_eq!(left(&gauge), [0, 300]);
}

#[test]
fn a_step_is_no_longer_than_queries_look_back() {
    let day = Duration::from_secs(24 * 3600);
    let by = |millis| Downsampling::new(day, Duration::from_millis(millis));
    for millis in [1000, 300_000] {
        let downsampling = by(millis).expect("a step");
        let old = downsampling.before(1_000_000_000);
        assert_eq!((downsampling.step() as u64, old), (millis, 1_000_000_000 - 86_400_000));
    }
    assert_eq!(by(999), Err(BadStep::TooShort(Duration::from_millis(999))));
    assert_eq!(by(300_001), Err(BadStep::TooLong(Duration::from_millis(300_001))));
    let never = Downsampling::new(Duration::MAX, Duration::from_secs(300)).expect("a step");
    assert!(never.before(0) < -i64::MAX / 2);
}

/// Whether a query that looks back five minutes finds it at a time.
fn is_seen(samples: &[(i64, f64)], time: i64) -> bool {
    let newest = samples.iter().rfind(|(at, _)| *at <= time);
    newest.is_some_and(|(at, value)| *at > time - 5 * MINUTE && !is_stale(*value))
}

proptest! {
    #[test]
    fn what_stays_is_what_the_rules_say_and_answers_as_before(
        samples in series(),
        metric in prop::sample::select(&["m", "m_total"]),
        step in prop::sample::select(&STEPS),
    ) {
        let left = thinned(metric, &samples, step);
        prop_assert_eq!(bits(&left), bits(&thinned_naively(metric, &samples, step)));
        prop_assert_eq!(bits(&thinned(metric, &left, step)), bits(&left), "twice is once");
        let moments = [0, 1, 5 * MINUTE - 1, 5 * MINUTE];
        for time in samples.iter().flat_map(|(time, _)| moments.map(|by| time + by)) {
            prop_assert_eq!(is_seen(&left, time), is_seen(&samples, time), "at {}", time);
        }
        if metric == "m_total" {
            for (place, (end, _)) in left.iter().enumerate() {
                let until = samples.partition_point(|(time, _)| time <= end);
                prop_assert_eq!(grown(&left[..=place]), grown(&samples[..until]), "up to {}", end);
            }
        }
    }
}
