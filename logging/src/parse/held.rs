//! A record whose last line may not have been read, and the lines behind it that are perhaps its.
//!
//! In a checkpoint it stands in words that earlier versions read, too: what they don't know of it
//! is beside them. To them the lines that wait are of the record, so that none is lost.

use serde::{Deserialize, Serialize};

use super::{
    Joined, MAX_BODY,
    join::base64_bytes,
    trace::{self, Next, Trace},
};
use crate::{
    query::plain::plain,
    record::{Level, Source},
};

/// Lines of one record; the next begins another.
pub(super) const MAX_LINES: u32 = 512;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub(super) struct Held {
    /// Of the first line.
    pub(super) time: Option<i64>,
    pub(super) level: Level,
    trace: Trace,
    /// With those that are perhaps its.
    lines: u32,
    pub(super) text: Vec<u8>,
    /// In order; they are of the record if a later line says so, else they are records of their own.
    perhaps: Vec<Perhaps>,
    pub(super) quiet: u8,
    pub(super) age: u8,
}

/// A line of which the next ones tell whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Perhaps {
    time: Option<i64>,
    text: Vec<u8>,
}

/// As it stands in a checkpoint.
#[derive(Serialize, Deserialize)]
struct Stored {
    time: Option<i64>,
    level: Level,
    trace: Trace,
    /// Where it stands if that is [`Trace::former`] only for earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stands: Option<Trace>,
    lines: u32,
    /// The lines that wait behind it, too, each after its `\n`.
    #[serde(with = "base64_bytes")]
    text: Vec<u8>,
    /// Bytes of the text before the first of those, if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sure: Option<usize>,
    /// Time and length of each of those.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    perhaps: Vec<(Option<i64>, usize)>,
    /// The time of an empty line, the only one that earlier versions let wait.
    #[serde(default, skip_serializing)]
    gap: Option<i64>,
    quiet: u8,
    age: u8,
}

impl From<Held> for Stored {
    fn from(held: Held) -> Self {
        let Held { time, level, trace: stands, lines, mut text, perhaps: waiting, quiet, age } = held;
        let trace = stands.former();
        let stands = (stands != trace).then_some(stands);
        let sure = (!waiting.is_empty()).then_some(text.len());
        let perhaps = waiting.iter().map(|line| (line.time, line.text.len())).collect();
        for line in &waiting {
            text.push(b'\n');
            text.extend_from_slice(&line.text);
        }
        Self { time, level, trace, stands, lines, text, sure, perhaps, gap: None, quiet, age }
    }
}

impl From<Stored> for Held {
    fn from(stored: Stored) -> Self {
        let Stored { time, level, trace, stands, lines, mut text, sure, perhaps, gap, quiet, age } = stored;
        let parted = sure.and_then(|sure| Some((sure, waiting(&text, sure, &perhaps)?)));
        let mut perhaps = Vec::new();
        if let Some((sure, lines)) = parted {
            text.truncate(sure);
            perhaps = lines;
        }
        perhaps.extend(gap.map(|time| Perhaps { time: Some(time), text: Vec::new() }));
        Self { time, level, trace: stands.unwrap_or(trace), lines, text, perhaps, quiet, age }
    }
}

/// The lines of these times and lengths that stand behind the sure part of a text. `None` where they
/// aren't just what stands there.
fn waiting(text: &[u8], sure: usize, lines: &[(Option<i64>, usize)]) -> Option<Vec<Perhaps>> {
    let (mut at, mut perhaps) = (sure, Vec::new());
    for (time, length) in lines {
        let begin = at.checked_add(1)?;
        at = begin.checked_add(*length)?;
        perhaps.push(Perhaps { time: *time, text: text.get(begin..at)?.to_vec() });
    }
    (at == text.len()).then_some(perhaps)
}

impl Held {
    /// Of its first line.
    pub(super) fn new(time: Option<i64>, level: Level, trace: Trace, text: Vec<u8>) -> Self {
        Self { time, level, trace, lines: 1, text, perhaps: Vec::new(), quiet: 0, age: 0 }
    }

    /// Appends the line if it is of this record, or keeps it if it perhaps is.
    pub(super) fn take_in(&mut self, line: &Joined) -> bool {
        let waiting: usize = self.perhaps.iter().map(|line| line.text.len() + 1).sum();
        let fits = self.lines < MAX_LINES && self.text.len() + waiting + 1 + line.body.len() <= MAX_BODY;
        if !fits {
            return false;
        }
        match trace::goes_on(self.trace, self.perhaps.len(), &plain(&line.body)) {
            Next::Of(trace) => {
                self.trace = trace;
                for Perhaps { text, .. } in self.perhaps.drain(..) {
                    self.text.push(b'\n');
                    self.text.extend_from_slice(&text);
                }
                self.text.push(b'\n');
                self.text.extend_from_slice(&line.body);
            }
            Next::Perhaps(trace) => {
                self.trace = trace;
                self.perhaps.push(Perhaps { time: line.time, text: line.body.clone() });
            }
            Next::Not => return false,
        }
        self.lines += 1;
        self.quiet = 0;
        true
    }

    /// The lines that are none of its: nothing said that they are.
    pub(super) fn take_others(&mut self, source: Source) -> impl Iterator<Item = Joined> + use<> {
        std::mem::take(&mut self.perhaps).into_iter().map(move |line| Joined {
            time: line.time,
            source,
            body: line.text,
            continues: false,
            goes_on: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_stands_in_a_checkpoint_is_read_by_all_versions() {
        let line = |time: i64, body: &str| Joined {
            time: Some(time),
            source: Source::Stdout,
            body: body.into(),
            continues: false,
            goes_on: false,
        };
        // As earlier versions wrote it, with an empty line that waits.
        let old = json!({
            "time": 6, "level": "Error", "trace": "Raised", "lines": 2, "text": "YQ==", "gap": 7,
            "quiet": 1, "age": 2,
        });
        let mut held: Held = serde_json::from_value(old).expect("a record");
        assert_eq!((held.quiet, held.age), (1, 2));
        assert_eq!(held.take_others(Source::Stdout).collect::<Vec<_>>(), [line(7, "")]);

        let mut held = Held::new(Some(1), Level::Error, Trace::Logged, b"ERROR a".to_vec());
        assert!(held.take_in(&line(2, "main.run")));
        let written = serde_json::to_value(&held).expect("JSON");
        assert_eq!((&written["trace"], &written["stands"]), (&json!("Logged"), &json!("Called")));
        // The line that waits is in the text that they know, too: `ERROR a`, `main.run`.
        assert_eq!(written["text"], json!("RVJST1IgYQptYWluLnJ1bg=="));
        let mut read: Held = serde_json::from_value(written.clone()).expect("a record");
        assert_eq!(read, held);
        for (name, wrong) in [("sure", json!(u64::MAX)), ("sure", json!(5)), ("perhaps", json!([[2, 99]]))] {
            let mut damaged = written.clone();
            damaged[name] = wrong;
            let mut read: Held = serde_json::from_value(damaged).expect("a record");
            assert_eq!(read.take_others(Source::Stdout).count(), 0, "{name}");
            assert_eq!(read.text, b"ERROR a\nmain.run", "{name}");
        }
        assert!(read.take_in(&line(3, "\t/app/main.go:5")));
        assert_eq!(read.text, b"ERROR a\nmain.run\n\t/app/main.go:5");
        assert_eq!(read.take_others(Source::Stdout).count(), 0);

        let mut held = Held::new(Some(1), Level::Error, Trace::Frames, b"a.BException: x".to_vec());
        for (time, body) in [(2, "one"), (3, ""), (4, "two")] {
            assert!(held.take_in(&line(time, body)));
        }
        let written = serde_json::to_value(&held).expect("JSON");
        let mut read: Held = serde_json::from_value(written).expect("a record");
        assert_eq!((&read, &*read.text), (&held, &b"a.BException: x"[..]));
        let others: Vec<_> = read.take_others(Source::Stdout).collect();
        assert_eq!(others, [line(2, "one"), line(3, ""), line(4, "two")]);

        let known = Held::new(Some(1), Level::Error, Trace::Go, b"panic: x".to_vec());
        let written = serde_json::to_value(&known).expect("JSON");
        let has = |name: &str| written.get(name).is_some();
        assert!(!has("stands") && !has("sure") && !has("perhaps"), "{written}");
    }
}
