//! Lines joined to records of several lines, by the rules of [`trace`].
//!
//! One [`Grouper`] a stream, with one held record for each output. Only a record
//! that a trace may follow is held; the others pass. Lines that are perhaps of it wait behind it, and go
//! their way as if they had come by then if they are not. What is held is part of the
//! checkpoint, as pending pieces are, so neither a rotation nor a restart loses or
//! doubles a line. Held back is nothing for long: see [`Grouper::tick`]. A line that is too long
//! for one record is in no trace, and all its records are as grave as the first one. Who got a part
//! of one and still waits for the next can give it back for a checkpoint: see [`Grouper::give_back`].

use serde::{Deserialize, Serialize};

use super::{Joined, held::Held, join::base64_bytes, severity, trace};
use crate::{
    query::plain::plain,
    record::{Level, Source},
};

/// Ticks without a line after which a held record is let go. With the pace of ticks they are more
/// than the 100 ms for which a limit of CPU can stop a container in the midst of a trace.
const QUIET_TICKS: u8 = 5;
/// Ticks after which it is let go though lines still come.
const MAX_TICKS: u8 = 60;

/// A part of a long line that was given and comes again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Again {
    time: Option<i64>,
    level: Level,
    #[serde(with = "base64_bytes")]
    body: Vec<u8>,
}

/// A record's lines in one body, and how grave its first one is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grouped {
    pub time: Option<i64>,
    pub source: Source,
    pub level: Level,
    pub body: Vec<u8>,
}

/// Joins the lines of one stream.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Grouper {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stdout: Option<Held>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stderr: Option<Held>,
    /// How grave the long lines are that are not at their end, one for each output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    long_stdout: Option<Level>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    long_stderr: Option<Level>,
    /// Parts that come again before their lines go on, one for each output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    again_stdout: Option<Again>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    again_stderr: Option<Again>,
}

impl Grouper {
    /// Takes a line in; gives the records that are complete by it.
    pub fn push(&mut self, line: Joined, found: &mut impl FnMut(Grouped)) {
        let source = line.source;
        self.give_again(source, found);
        if line.continues || line.goes_on {
            return self.pass(line, found);
        }
        self.place(line, found);
    }

    /// A whole line.
    fn place(&mut self, line: Joined, found: &mut impl FnMut(Grouped)) {
        let source = line.source;
        while let Some(held) = self.slot(source) {
            if held.take_in(&line) {
                return;
            }
            self.let_go(source, found);
        }
        let level = severity::level(&line.body);
        let Joined { time, source, body, .. } = line;
        match trace::begins(&plain(&body), level) {
            Some(trace) => *self.slot(source) = Some(Held::new(time, level, trace, body)),
            None => found(Grouped { time, source, level, body }),
        }
    }

    /// Lets the record of an output go as it is. The lines that wait behind it are placed anew. As the
    /// first of them follows none now, fewer wait each time.
    fn let_go(&mut self, source: Source, found: &mut impl FnMut(Grouped)) {
        let Some(mut held) = self.slot(source).take() else { return };
        let others = held.take_others(source);
        let Held { time, level, text: body, .. } = held;
        found(Grouped { time, source, level, body });
        for line in others {
            self.place(line, found);
        }
    }

    /// A part of a line.
    fn pass(&mut self, line: Joined, found: &mut impl FnMut(Grouped)) {
        let Joined { time, source, body, continues, goes_on } = line;
        self.finish(source, found);
        let long = match source {
            Source::Stdout => &mut self.long_stdout,
            Source::Stderr => &mut self.long_stderr,
        };
        let level = long.filter(|_| continues).unwrap_or_else(|| severity::level(&body));
        *long = goes_on.then_some(level);
        found(Grouped { time, source, level, body });
    }

    /// The part of a line that goes on is given again before what comes next of its output.
    pub fn give_back(&mut self, part: Grouped) {
        let Grouped { time, source, level, body } = part;
        *self.again(source) = Some(Again { time, level, body });
    }

    fn give_again(&mut self, source: Source, found: &mut impl FnMut(Grouped)) {
        if let Some(Again { time, level, body }) = self.again(source).take() {
            found(Grouped { time, source, level, body });
        }
    }

    /// Lets all of an output go as it is.
    pub fn finish(&mut self, source: Source, found: &mut impl FnMut(Grouped)) {
        self.give_again(source, found);
        while self.slot(source).is_some() {
            self.let_go(source, found);
        }
    }

    /// Lets go what has been held long enough. Called at a steady pace, but not while
    /// there is more to read: then the next line is on its way.
    pub fn tick(&mut self, found: &mut impl FnMut(Grouped)) {
        for source in [Source::Stdout, Source::Stderr] {
            let Some(held) = self.slot(source) else { continue };
            held.quiet += 1;
            held.age += 1;
            if held.quiet >= QUIET_TICKS || held.age >= MAX_TICKS {
                self.finish(source, found);
            }
        }
    }

    /// Whether [`Grouper::tick`] is wanted.
    pub fn is_holding(&self) -> bool {
        self.stdout.is_some() || self.stderr.is_some()
    }

    /// The time of the oldest record that is held, if it has one.
    pub fn since(&self) -> Option<i64> {
        [&self.stdout, &self.stderr].into_iter().flatten().filter_map(|held| held.time).min()
    }

    fn slot(&mut self, source: Source) -> &mut Option<Held> {
        match source {
            Source::Stdout => &mut self.stdout,
            Source::Stderr => &mut self.stderr,
        }
    }

    fn again(&mut self, source: Source) -> &mut Option<Again> {
        match source {
            Source::Stdout => &mut self.again_stdout,
            Source::Stderr => &mut self.again_stderr,
        }
    }
}

#[cfg(test)]
mod record_tests;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::parse::{MAX_BODY, held::MAX_LINES};

    pub(super) fn line(time: i64, source: Source, body: &str) -> Joined {
        let body = body.as_bytes().to_vec();
        Joined { time: Some(time), source, body, continues: false, goes_on: false }
    }

    #[test]
    fn outputs_do_not_mix_and_the_first_line_gives_time_and_level() {
        let (mut grouper, mut found) = (Grouper::default(), Vec::new());
        grouper.push(line(1, Source::Stderr, "a.BException: x"), &mut |record| found.push(record));
        grouper.push(line(2, Source::Stdout, "INFO between"), &mut |record| found.push(record));
        grouper.push(line(3, Source::Stderr, "\tat a.B.c(B.java:1)"), &mut |record| found.push(record));
        assert!(grouper.is_holding());
        grouper.finish(Source::Stderr, &mut |record| found.push(record));
        assert!(!grouper.is_holding());
        let shown: Vec<_> = found.iter().map(|r| (r.time, r.level, r.body.len())).collect();
        assert_eq!(shown, [(Some(2), Level::Info, 12), (Some(1), Level::Error, 35)]);
    }

    #[test]
    fn nothing_is_held_for_long() {
        let (mut grouper, mut found) = (Grouper::default(), Vec::new());
        grouper.push(line(1, Source::Stdout, "ERROR x"), &mut |record| found.push(record));
        for _ in 1..QUIET_TICKS {
            grouper.tick(&mut |record| found.push(record));
        }
        assert!(found.is_empty());
        grouper.tick(&mut |record| found.push(record));
        assert_eq!(found.len(), 1);
        // One that never ends.
        for _ in 0..MAX_TICKS {
            grouper.push(line(2, Source::Stdout, "\tat a.B.c(B.java:1)"), &mut |record| found.push(record));
            grouper.tick(&mut |record| found.push(record));
        }
        assert_eq!(found.len(), 2);
        assert!(!grouper.is_holding());
    }

    #[test]
    fn abuse_34_a_trace_without_end_is_parted() {
        let (mut grouper, mut found) = (Grouper::default(), Vec::new());
        let frame = format!("\tat {}", "x".repeat(10_000));
        for time in 0..2_000 {
            let body = if time < 1_000 { &frame } else { "\tat a" };
            grouper.push(line(time, Source::Stdout, body), &mut |record| found.push(record));
        }
        grouper.finish(Source::Stdout, &mut |record| found.push(record));
        assert!(found.iter().all(|record| record.body.len() <= MAX_BODY));
        let lines = |record: &Grouped| record.body.split(|byte| *byte == b'\n').count();
        assert!(found.iter().all(|record| lines(record) <= MAX_LINES as usize));
        assert_eq!(found.iter().map(lines).sum::<usize>(), 2_000);
    }

    #[test]
    fn a_long_line_is_in_no_trace_and_all_of_it_is_as_grave_as_its_begin() {
        let (mut grouper, mut found) = (Grouper::default(), Vec::new());
        let part = |at: u8| Joined {
            continues: at > 0,
            goes_on: at < 2,
            ..line(2, Source::Stdout, ["ERROR x", "INFO FATAL y", "\tat a.B.c(B.java:1)"][usize::from(at)])
        };
        grouper.push(line(1, Source::Stdout, "WARN slow"), &mut |record| found.push(record));
        for at in 0..3 {
            grouper.push(part(at), &mut |record| found.push(record));
            let text = serde_json::to_string(&grouper).expect("JSON");
            grouper = serde_json::from_str(&text).expect("a grouper");
            // Another output has lines of its own.
            grouper.push(line(3, Source::Stderr, "INFO z"), &mut |record| found.push(record));
        }
        assert!(!grouper.is_holding());
        // A line that begins a trace again, and one of it.
        grouper.push(line(4, Source::Stdout, "ERROR b"), &mut |record| found.push(record));
        grouper.push(line(5, Source::Stdout, "\tat a.B.c(B.java:1)"), &mut |record| found.push(record));
        grouper.finish(Source::Stdout, &mut |record| found.push(record));
        let levels = |source| -> Vec<(Option<i64>, Level)> {
            found.iter().filter(|r| r.source == source).map(|r| (r.time, r.level)).collect()
        };
        let (warn, error) = (Level::Warn, Level::Error);
        assert_eq!(
            levels(Source::Stdout),
            [(Some(1), warn), (Some(2), error), (Some(2), error), (Some(2), error), (Some(4), error)]
        );
        assert_eq!(levels(Source::Stderr), [(Some(3), Level::Info); 3]);
    }

    #[test]
    fn a_part_that_is_given_back_comes_again_before_its_line_goes_on() {
        let back = |source| Grouped { time: Some(1), source, level: Level::Warn, body: b"WARN x".to_vec() };
        let end = |source| Joined { continues: true, ..line(1, source, "y") };
        let (out, err) = (Source::Stdout, Source::Stderr);
        for ends in [true, false] {
            let (mut grouper, mut found) = (Grouper::default(), Vec::new());
            grouper.give_back(back(out));
            let text = serde_json::to_string(&grouper).expect("JSON");
            grouper = serde_json::from_str(&text).expect("a grouper");
            assert!(!grouper.is_holding(), "it waits for the line, not for time");
            grouper.push(line(2, err, "INFO z"), &mut |record| found.push(record));
            match ends {
                true => grouper.push(end(out), &mut |record| found.push(record)),
                false => grouper.finish(out, &mut |record| found.push(record)),
            }
            assert_eq!(found.len(), if ends { 3 } else { 2 });
            assert_eq!((found[0].source, &found[1]), (err, &back(out)));
            assert!(grouper.again(out).is_none(), "once");
        }
    }

    fn any_line() -> impl Strategy<Value = String> {
        let known = prop::sample::select(vec![
            "INFO up",
            "ERROR gone",
            "a.BException: x",
            "\tat a.B.c(B.java:1)",
            "Caused by: a.C",
            "Traceback (most recent call last):",
            "  File \"a.py\"",
            "KeyError: 1",
            "During handling of the above exception, another exception occurred:",
            "panic: x",
            "goroutine 1 [running]:",
            "main.main()",
            "main.main",
            "\t/app/main.go:5",
            "fail: App[0]",
            "      text",
            "  Detail: x",
            "next",
            "[SQL: SELECT a",
            "[parameters: ()]",
            "E0131 12:00:00.1 1 a.go:1] \"x\" y=<",
            " >",
            "",
            "\r",
        ]);
        prop_oneof![9 => known.prop_map(str::to_owned), 1 => "[ -~]{0,20}"]
    }

    proptest! {
        #[test]
        fn every_line_is_in_one_record_wherever_a_checkpoint_falls(
            lines in prop::collection::vec((any_line(), any::<bool>()), 0..60),
            every in 1usize..7,
        ) {
            let lines: Vec<Joined> = lines.iter().enumerate().map(|(time, (body, stderr))| {
                line(time as i64, if *stderr { Source::Stderr } else { Source::Stdout }, body)
            }).collect();
            let group = |every: usize| {
                let (mut grouper, mut found) = (Grouper::default(), Vec::new());
                for (at, line) in lines.iter().enumerate() {
                    if at % every == 0 {
                        let text = serde_json::to_string(&grouper).expect("JSON");
                        grouper = serde_json::from_str(&text).expect("a grouper");
                    }
                    grouper.push(line.clone(), &mut |record| found.push(record));
                }
                grouper.finish(Source::Stdout, &mut |record| found.push(record));
                grouper.finish(Source::Stderr, &mut |record| found.push(record));
                found
            };
            let found = group(every);
            prop_assert_eq!(&found, &group(1_000));
            for source in [Source::Stdout, Source::Stderr] {
                let read: Vec<&[u8]> = lines.iter().filter(|l| l.source == source).map(|l| &*l.body).collect();
                let given: Vec<&[u8]> = found.iter().filter(|r| r.source == source)
                    .flat_map(|record| record.body.split(|byte| *byte == b'\n')).collect();
                prop_assert_eq!(read, given);
            }
        }
    }
}
