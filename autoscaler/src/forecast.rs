//! What the same minutes of past days asked for. Off unless an annotation asks for it.
//!
//! Of each day the most that the metrics asked for within the next minutes of the clock;
//! of the days the middle one, so that a single bad day foretells nothing. It raises a
//! proposal and never lowers one.

use std::ops::Range;

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;

/// `7d`: as many days are looked at, one to seven.
pub const ANNOTATION: &str = "autoscaling.tiphys.io/predict";

const SECOND: i64 = 1_000_000;
const DAY: i64 = 24 * 3600 * SECOND;
/// How far ahead is looked, so that replicas are there when the load comes.
const AHEAD: i64 = 300 * SECOND;
const MOST: i64 = 7;
/// Letters of an annotation that a sentence has.
const LONGEST: usize = 100;

/// How many days an autoscaler is to be forecast from; what is no number of days asks for nothing,
/// and is a [`mistake`].
pub fn days(scaler: &HorizontalPodAutoscaler) -> Option<i64> {
    read(scaler.metadata.annotations.as_ref()?.get(ANNOTATION)?)
}

/// A sentence about an annotation that can't be understood, with its value.
pub fn mistake(text: &str) -> Option<String> {
    read(text).is_none().then(|| {
        let text: String = text.chars().take(LONGEST).collect();
        format!(
            "the annotation {ANNOTATION} is {text:?}, which is none of 1d to {MOST}d: nothing is forecast"
        )
    })
}

/// The mistake in an autoscaler's annotation, if it has one.
pub fn mistake_of(scaler: &HorizontalPodAutoscaler) -> Option<String> {
    mistake(scaler.metadata.annotations.as_ref()?.get(ANNOTATION)?)
}

fn read(text: &str) -> Option<i64> {
    let days = text.strip_suffix('d')?.parse::<i64>().ok()?;
    (1..=MOST).contains(&days).then_some(days)
}

/// The minutes of past days that lie as `now` and what follows does in this one.
pub fn ranges(days: i64, now: i64) -> Vec<Range<i64>> {
    (1..=days).map(|day| now - day * DAY..now - day * DAY + AHEAD).collect()
}

/// What the days together foretell; days of which nothing is known are left out.
pub fn of(days: &[Option<i32>]) -> Option<i32> {
    let mut known: Vec<i32> = days.iter().flatten().copied().collect();
    known.sort_unstable();
    known.get(known.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_middle_day_counts() {
        assert_eq!(of(&[None, None]), None);
        assert_eq!(of(&[Some(4)]), Some(4));
        assert_eq!(of(&[Some(3), None, Some(90), Some(4)]), Some(4));
    }

    #[test]
    fn days_are_asked_for_by_annotation_and_a_mistake_is_told() {
        let of = |text: &str| {
            let scaler = json!({"metadata": {"annotations": {ANNOTATION: text}},
                "spec": {"maxReplicas": 1, "scaleTargetRef": {"kind": "Deployment", "name": "a"}}});
            let scaler = serde_json::from_value(scaler).expect("an autoscaler");
            (days(&scaler), mistake_of(&scaler))
        };
        assert_eq!((of("7d"), of("1d")), ((Some(7), None), (Some(1), None)));
        for wrong in ["8d", "7 days", "0d", "soon", ""] {
            let (days, mistake) = of(wrong);
            let mistake = mistake.expect("a mistake");
            assert!(days.is_none() && mistake.contains(&format!("{wrong:?}")), "{mistake}");
        }
        assert_eq!(mistake_of(&HorizontalPodAutoscaler::default()), None);
        assert_eq!(ranges(2, 3 * DAY)[1], DAY..DAY + AHEAD);
    }
}
