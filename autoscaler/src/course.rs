//! The course that a look each quarter of a minute takes through the load, kept beside our own.
//!
//! Who looks each second sees every short peak, and would turn around at each. So going up
//! follows the newest figures at once, and going down follows this course: it looks as
//! upstream's controller does, at figures over as long, with the same windows and policies.
//! Where it falls, we may fall to it; and no more often than it does. A peak that it did not
//! see is let go as if it had, once; if such peaks come again within [`KEPT`], they stay
//! covered until it has risen and fallen too, or until none came for as long. So however long
//! a load comes and goes, we turn around as often as it does: but for that one peak, and a
//! rise that it is yet to see.
//!
//! What it must not do: hold back a rise.

use crate::{
    behaviour::{Events, limited},
    spec::Spec,
    stabilize::{History, Windows},
};

const SECOND: i64 = 1_000_000;
/// Upstream looks at figures over as long, and, where it is not told otherwise, as often.
pub const LOOK: i64 = 15 * SECOND;
/// How long peaks between the looks are kept covered once they come again. Times that peaks come at and looks meet
/// again within it: a peak each 47 s does so after 705 s.
pub const KEPT: i64 = 900 * SECOND;

/// Replicas over time, as far as turning around goes.
#[derive(Debug, Clone, Copy, Default)]
struct Path {
    replicas: i32,
    /// Which way the last change went; 0 before there was one.
    direction: i32,
    /// How often it began to fall.
    falls: u32,
}

impl Path {
    fn at(replicas: i32) -> Self {
        Self { replicas, ..Self::default() }
    }

    fn go(&mut self, replicas: i32) {
        let direction = (replicas - self.replicas).signum();
        if direction < 0 && self.direction >= 0 {
            self.falls += 1;
        }
        self.direction = if direction == 0 { self.direction } else { direction };
        self.replicas = replicas;
    }
}

#[derive(Debug, Clone)]
pub struct Course {
    /// How often it looks, microseconds.
    every: i64,
    /// In which of such spans it looked last.
    looked: Option<i64>,
    path: Path,
    /// What its last look came to, before policies and limits.
    stable: i32,
    history: History,
    events: Events,
    own: Path,
    /// When more than the course has was asked for last, or we rose.
    asked_more: i64,
    /// When a peak that the course did not see was let go last, or one came again.
    let_go: Option<i64>,
}

impl Default for Course {
    fn default() -> Self {
        Self::with_looks_each(LOOK)
    }
}

impl Course {
    /// One that looks so often, microseconds, more than none.
    pub fn with_looks_each(every: i64) -> Self {
        Self {
            every,
            looked: None,
            path: Path::default(),
            stable: 0,
            history: History::default(),
            events: Events::default(),
            own: Path::default(),
            asked_more: 0,
            let_go: None,
        }
    }

    /// Whether a look is to be taken at figures over [`LOOK`].
    pub fn is_due(&self, now: i64) -> bool {
        self.looked != Some(now.div_euclid(self.every))
    }

    /// The clock was set by so much: what is remembered is as old as it was.
    pub fn shift(&mut self, by: i64) {
        self.history.shift(by);
        self.events.shift(by);
        self.asked_more = self.asked_more.saturating_add(by);
        self.let_go = self.let_go.map(|time| time.saturating_add(by));
    }

    pub fn replicas(&self) -> i32 {
        self.path.replicas
    }

    /// The replicas that are found. Where somebody else set them, both begin anew from there.
    pub fn find(&mut self, current: i32, now: i64) {
        self.history.begin(current, now);
        if self.looked.is_none() || self.own.replicas != current {
            (self.path, self.own) = (Path::at(current), Path::at(current));
            (self.stable, self.asked_more) = (current, now);
        }
    }

    /// A look: what the metrics ask for from where the course is; nothing where they can't tell.
    pub fn look(&mut self, spec: &Spec, proposed: Option<i32>, now: i64) {
        self.looked = Some(now.div_euclid(self.every));
        let Some(proposed) = proposed else { return };
        let current = self.path.replicas;
        let windows = Windows { up: spec.up.window, down: spec.down.window };
        self.stable = if spec.up.policies.is_empty() {
            // Without behaviour, upstream keeps to the highest in both directions.
            self.history.highest(proposed, windows.down, now)
        } else {
            self.history.stabilize(current, proposed, windows, now).0
        };
        let replicas = limited(spec, self.stable, current, &self.events, now).0;
        let replicas = replicas.max(spec.min).min(spec.max);
        self.events.record(current, replicas, now);
        self.path.go(replicas);
    }

    /// Where a proposal takes the target that has `current` replicas. `looked`: whether the
    /// course was just looked at, as we fall only then.
    pub fn follow(&mut self, spec: &Spec, current: i32, proposed: i32, looked: bool, now: i64) -> i32 {
        if proposed > self.path.replicas {
            self.asked_more = now;
            if self.is_owed(now) {
                self.let_go = Some(now);
            }
        }
        // A window for going up is told by the looks too: between them a single dip would count.
        let risen = if looked && spec.up.window > 0 { self.stable.min(self.path.replicas) } else { proposed };
        match proposed.max(risen) {
            up if up >= current => up,
            down if looked && self.may_fall(spec, now) => down.max(self.stable).min(current),
            _ => current,
        }
    }

    fn may_fall(&self, spec: &Spec, now: i64) -> bool {
        let kept = now - self.asked_more >= self.keeps(spec, now);
        self.own.direction < 0 || self.path.falls > self.own.falls || kept
    }

    fn is_owed(&self, now: i64) -> bool {
        self.let_go.is_some_and(|time| now - time < KEPT)
    }

    /// How long a peak that the course did not see is covered.
    fn keeps(&self, spec: &Spec, now: i64) -> i64 {
        if self.is_owed(now) { KEPT } else { spec.down.window.max(self.every) }
    }

    /// When the target may go down to what is proposed, if nothing changes.
    pub fn until(&self, spec: &Spec, proposed: i32, now: i64) -> i64 {
        let every = self.every;
        let next = (now.div_euclid(every) + 1) * every;
        let leaves = self.history.leaves(proposed, spec.down.window, now).unwrap_or(now);
        let falls_itself = self.path.replicas > proposed || self.may_fall(spec, now);
        let until = if falls_itself { leaves } else { self.asked_more + self.keeps(spec, now) };
        next.max((until + every - 1).div_euclid(every) * every)
    }

    /// What was decided for the target.
    pub fn go(&mut self, replicas: i32, now: i64) {
        if replicas > self.own.replicas {
            self.asked_more = now;
        }
        self.own.go(replicas);
        if self.own.falls > self.path.falls {
            self.own.falls = self.path.falls;
            self.let_go = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscalerSpec;

    use super::*;
    use crate::controller::Config;

    fn spec(down: i64) -> Spec {
        let spec: HorizontalPodAutoscalerSpec = serde_json::from_value(serde_json::json!({
            "scaleTargetRef": {"kind": "Deployment", "name": "web"}, "maxReplicas": 20,
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": down}},
        }))
        .expect("a spec");
        Spec::of(&spec, &Config::default())
    }

    /// Each second, what is asked for then; each quarter of a minute, what was then over it.
    fn followed(seconds: i64, newest: impl Fn(i64) -> i32, over: impl Fn(i64) -> i32) -> Vec<(i64, i32)> {
        followed_by(Course::default(), seconds, newest, over)
    }

    fn followed_by(
        mut course: Course,
        seconds: i64,
        newest: impl Fn(i64) -> i32,
        over: impl Fn(i64) -> i32,
    ) -> Vec<(i64, i32)> {
        let (spec, mut current, mut changes) = (spec(0), 2, Vec::new());
        for second in 1..=seconds {
            let now = second * SECOND;
            course.find(current, now);
            let looked = course.is_due(now);
            if looked {
                course.look(&spec, Some(over(second)), now);
            }
            let next = course.follow(&spec, current, newest(second), looked, now);
            course.go(next, now);
            if next != current {
                changes.push((second, next));
            }
            current = next;
        }
        changes
    }

    #[test]
    fn a_rise_is_followed_at_once_and_a_fall_at_the_next_look() {
        let load = |second: i64| if (20..100).contains(&second) { 4 } else { 2 };
        assert_eq!(followed(200, load, load), [(20, 4), (105, 2)]);
    }

    #[test]
    fn it_falls_by_looks_as_far_apart_as_it_is_told_and_rises_whatever_that_is() {
        let load = |second: i64| if (20..100).contains(&second) { 4 } else { 2 };
        for (every, falls) in [(1, 100), (7, 105), (40, 120)] {
            let course = Course::with_looks_each(every * SECOND);
            assert_eq!(followed_by(course, 200, load, load), [(20, 4), (falls, 2)], "looks each {every} s");
        }
        let (spec, mut course) = (spec(0), Course::with_looks_each(40 * SECOND));
        course.find(2, 0);
        course.look(&spec, Some(2), 0);
        assert_eq!(course.follow(&spec, 2, 3, false, 7 * SECOND), 3);
        course.go(3, 7 * SECOND);
        // A peak that it did not see: for as long as a look is apart from the next.
        assert_eq!(course.until(&spec, 2, 8 * SECOND), 80 * SECOND);
    }

    #[test]
    fn a_peak_between_the_looks_is_let_go_once_and_then_covered_until_it_stays_away() {
        let peak = |second: i64| if second % 100 == 7 && second < 1000 { 3 } else { 2 };
        // The last one is at 907 s.
        assert_eq!(followed(3000, peak, |_| 2), [(7, 3), (30, 2), (107, 3), (1815, 2)]);
    }

    #[test]
    fn a_clock_that_is_set_holds_nothing_longer_and_lets_nothing_go() {
        // A whole number of looks, so that they stay where they are.
        for by in [0, -3600 * SECOND, 3600 * SECOND, 365 * 24 * 3600 * SECOND] {
            let (spec, mut course, mut current, mut changes) = (spec(60), Course::default(), 2, Vec::new());
            for second in 1..=300 {
                if second == 110 {
                    course.shift(by);
                }
                let now = second * SECOND + if second < 110 { 0 } else { by };
                let load = if (20..100).contains(&second) { 4 } else { 2 };
                course.find(current, now);
                let looked = course.is_due(now);
                if looked {
                    course.look(&spec, Some(load), now);
                }
                let next = course.follow(&spec, current, load, looked, now);
                course.go(next, now);
                if next != current {
                    changes.push((second, next));
                }
                current = next;
            }
            assert_eq!(changes, [(20, 4), (150, 2)], "set by {by}");
        }
    }

    #[test]
    fn it_says_when_it_may_fall() {
        let (spec, mut course) = (spec(60), Course::default());
        course.find(2, 0);
        course.look(&spec, Some(2), 0);
        assert_eq!(course.follow(&spec, 2, 3, false, 7 * SECOND), 3);
        course.go(3, 7 * SECOND);
        assert_eq!(course.follow(&spec, 3, 2, false, 8 * SECOND), 3);
        assert_eq!(course.until(&spec, 2, 8 * SECOND), (7 + 60 + 8) * SECOND);
        course.look(&spec, Some(3), 30 * SECOND);
        assert_eq!(course.until(&spec, 2, 40 * SECOND), 90 * SECOND);
    }

    #[test]
    fn who_scales_by_hand_is_where_both_begin_anew() {
        let (spec, mut course) = (spec(0), Course::default());
        course.find(2, 0);
        course.look(&spec, Some(2), 0);
        course.go(2, 0);
        course.find(9, SECOND);
        assert_eq!(course.replicas(), 9);
        course.look(&spec, Some(2), 15 * SECOND);
        assert_eq!(course.follow(&spec, 9, 2, true, 15 * SECOND), 2);
    }
}
