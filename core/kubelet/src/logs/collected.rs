//! Whether somebody takes lines over on this node. Pure.
//!
//! A collector is known by its Pod, and one that has another name by what it does: its marks come, and
//! move. They stay when it is taken away, so that there are some says nothing, but to a kubelet that has
//! just started and saw nothing move yet. When nothing was seen of a collector for [`ABSENT`] there is none:
//! logs then go as on a node that never had one, and nothing is lost to a search that isn't there.

use std::{
    collections::HashMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use super::surplus::Surplus;

/// Longer than an update takes, or a mistake that somebody mends.
pub(super) const ABSENT: Duration = Duration::from_secs(3600);

/// What was seen of collectors.
#[derive(Debug, Default)]
pub(super) struct Collected {
    /// When something was last collected, or a collector was there to do so.
    last: Option<Instant>,
    /// Bytes that collectors said they have, at the look before.
    marks: HashMap<PathBuf, u64>,
}

impl Collected {
    /// Takes in whether a collector's Pod is there, the marks of logs that are written to, and all that is
    /// beyond its turn.
    pub(super) fn look(
        &mut self,
        has_pod: bool,
        written: Vec<(PathBuf, u64)>,
        all: &[Surplus],
        now: Instant,
    ) {
        // Rotation puts another file, without a mark, in the place of one: any mark that is new counts.
        let has_new = written.iter().any(|(path, bytes)| self.marks.get(path) != Some(bytes));
        // A file brings the mark that it has along, to where it is beyond its turn: there it must grow.
        let has_grown = all.iter().any(|one| {
            let before = self.marks.get(&one.path).copied();
            let grows = |bytes: u64| before.is_some_and(|before| bytes > before);
            one.marked.is_some_and(|bytes| self.last.is_none() || grows(bytes))
        });
        if has_pod || has_new || has_grown {
            self.last = Some(now);
        }
        let beyond = all.iter().map(|one| (one.path.clone(), one.marked.unwrap_or(0)));
        self.marks = beyond.chain(written).collect();
    }

    pub(super) fn is_collected(&self, now: Instant) -> bool {
        self.last.is_some_and(|last| now.saturating_duration_since(last) < ABSENT)
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    /// Marks of logs that are written to, and what is beyond its turn.
    type Shown = (Vec<(PathBuf, u64)>, Vec<Surplus>);

    fn mark(path: &str, bytes: u64) -> (PathBuf, u64) {
        (path.into(), bytes)
    }

    fn beyond(path: &str, marked: Option<u64>) -> Surplus {
        Surplus {
            path: path.into(),
            is_folder: false,
            is_gone: false,
            pod: "ns_web_1".into(),
            missing: 1,
            size: 9,
            marked,
            is_markable: true,
            modified: SystemTime::UNIX_EPOCH,
        }
    }

    /// Whether the second look, after too long a time, shows a collector.
    #[track_caller]
    fn check(before: Shown, after: Shown, expected: bool) {
        let (mut collected, start) = (Collected::default(), Instant::now());
        collected.look(true, Vec::new(), &[], start);
        collected.look(false, before.0, &before.1, start);
        collected.look(false, after.0, &after.1, start + ABSENT);
        assert_eq!(collected.is_collected(start + ABSENT), expected);
    }

    #[test]
    fn a_collector_that_was_taken_away_is_waited_for_and_then_forgotten() {
        let (mut collected, start) = (Collected::default(), Instant::now());
        assert!(!collected.is_collected(start));
        collected.look(true, Vec::new(), &[], start);
        assert!(collected.is_collected(start + ABSENT / 2));
        collected.look(false, Vec::new(), &[], start + ABSENT);
        assert!(!collected.is_collected(start + ABSENT));
        collected.look(true, Vec::new(), &[], start + ABSENT);
        assert!(collected.is_collected(start + ABSENT));
    }

    #[test]
    fn marks_that_come_or_move_show_one_and_those_that_stay_do_not() {
        let none = || (Vec::new(), Vec::new());
        check(none(), none(), false);
        check((vec![mark("0.log", 5)], vec![]), (vec![mark("0.log", 5)], vec![]), false);
        check((vec![mark("0.log", 5)], vec![]), (vec![mark("0.log", 9)], vec![]), true);
        check((vec![mark("0.log", 5)], vec![]), (vec![mark("0.log", 2)], vec![]), true);
        check(none(), (vec![mark("0.log", 5)], vec![]), true);
        // Set aside with the mark that it had, and read on there.
        let old = |bytes| vec![beyond("0.log.1", bytes)];
        check((vec![mark("0.log", 5)], vec![]), (vec![], old(Some(5))), false);
        check((vec![], old(Some(5))), (vec![], old(Some(5))), false);
        check((vec![], old(Some(5))), (vec![], old(Some(6))), true);
        check((vec![], old(None)), (vec![], old(Some(1))), true);
        // What is read of a folder goes before the rest.
        check((vec![], old(Some(5))), (vec![], old(Some(3))), false);
    }

    #[test]
    fn to_a_kubelet_that_saw_nothing_yet_marks_that_are_there_count() {
        let (mut collected, start) = (Collected::default(), Instant::now());
        collected.look(false, Vec::new(), &[beyond("0.log.1", None)], start);
        assert!(!collected.is_collected(start));
        let mut collected = Collected::default();
        collected.look(false, Vec::new(), &[beyond("0.log.1", Some(0))], start);
        assert!(collected.is_collected(start));
    }
}
