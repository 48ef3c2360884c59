//! Redaction over the cuts of a line that is longer than a record. Pure.
//!
//! A part of a line waits for the next record of its output, so that rules see what lies across the
//! cut between the two: it is replaced where it begins, and gone from where it goes on. They look
//! from each part to the end of the next, so what they find there may be as long as a part.
//!
//! Records of the other output pass those that wait. Numbers go with the records that leave, so they
//! ascend, and who reads the same lines again gives the same ones: [`Seams::n_waiting`] numbers of
//! the last are always still to be given.

use bytes::Bytes;

use super::Redaction;
use crate::{
    parse::{self, Grouped},
    record::{Record, Source},
};

/// Bytes before a part that its rules see: an expression looks back for one character.
const BEFORE: usize = 4;
/// Stands, in a part that is given back, for what was found in the part before: of another length it
/// would be known as no part.
const FILLER: u8 = b'*';

/// The lines of a stream that go on: one for each output at most.
#[derive(Debug, Default)]
pub struct Seams {
    stdout: Option<Waiting>,
    stderr: Option<Waiting>,
}

/// A record that leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    pub record: Record,
    /// Whether something of it was replaced; `None` of a whole line, at which no rule has looked.
    pub redacted: Option<bool>,
}

/// A part, and at last the end, of a line.
#[derive(Debug)]
struct Waiting {
    /// As it was read.
    record: Record,
    /// So many bytes at its begin are of what was found in the part before.
    taken: usize,
    /// The end of the part before.
    before: Vec<u8>,
}

impl Seams {
    /// Takes in the stream's next record; gives those that leave.
    pub fn take(&mut self, mut record: Record, rules: &Redaction, found: &mut impl FnMut(Passed)) {
        record.seq = record.seq.saturating_sub(self.n_waiting());
        let goes_on = parse::part(&record.body).is_some();
        let slot = self.slot(record.source);
        let next = match slot.take() {
            None if !goes_on || rules.is_empty() => return found(Passed { record, redacted: None }),
            None => Waiting { record, taken: 0, before: Vec::new() },
            Some(waiting) => {
                let own = text(&waiting.record);
                let before = own[own.len().saturating_sub(BEFORE)..].to_vec();
                let (passed, taken) = waiting.end(record.seq, text(&record), rules);
                found(passed);
                record.seq += 1;
                Waiting { record, taken, before }
            }
        };
        if goes_on {
            *slot = Some(next);
        } else {
            let seq = next.record.seq;
            found(next.end(seq, b"", rules).0);
        }
    }

    /// Lets go what waits, as if its lines ended here. The stream's next record has the number `next`.
    pub fn end(&mut self, next: u64, rules: &Redaction, found: &mut impl FnMut(Passed)) {
        let first = next.saturating_sub(self.n_waiting());
        for (seq, waiting) in (first..).zip([self.stdout.take(), self.stderr.take()].into_iter().flatten()) {
            found(waiting.end(seq, b"", rules).0);
        }
    }

    /// How many wait.
    pub fn n_waiting(&self) -> u64 {
        [&self.stdout, &self.stderr].into_iter().flatten().count() as u64
    }

    /// What waits, to be read again before the rest of its line.
    pub fn waiting(&self) -> impl Iterator<Item = Grouped> {
        [&self.stdout, &self.stderr].into_iter().flatten().map(Waiting::again)
    }

    fn slot(&mut self, source: Source) -> &mut Option<Waiting> {
        match source {
            Source::Stdout => &mut self.stdout,
            Source::Stderr => &mut self.stderr,
        }
    }
}

impl Waiting {
    /// As it may be read when this comes after it, and how many bytes of that are replaced with it.
    fn end(self, seq: u64, after: &[u8], rules: &Redaction) -> (Passed, usize) {
        let Self { mut record, taken, before } = self;
        record.seq = seq;
        let own = text(&record);
        let goes_on = own.len() < record.body.len();
        let piece = before.len() + taken..before.len() + own.len();
        let line = [before.as_slice(), own, after].concat();
        let (redacted, beyond) = rules.apply_to(&line, piece.clone());
        if redacted.is_none() && taken == 0 {
            return (Passed { record, redacted: Some(false) }, beyond);
        }
        let body = redacted.unwrap_or_else(|| line[piece].to_vec());
        record.body = Bytes::from(if goes_on { parse::as_part(body) } else { body });
        (Passed { record, redacted: Some(true) }, beyond)
    }

    fn again(&self) -> Grouped {
        let Record { time, level, source, body, .. } = &self.record;
        let mut body = body.to_vec();
        body[..self.taken].fill(FILLER);
        Grouped { time: Some(*time), source: *source, level: *level, body }
    }
}

/// What the container wrote of it.
fn text(record: &Record) -> &[u8] {
    parse::part(&record.body).unwrap_or(&record.body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{parse::MAX_BODY, record::Level};

    const SECRET: &[u8] = b"pin=12345678";

    fn rules(text: &str) -> Redaction {
        let mut rules = Redaction::default();
        rules.add(text).expect("rules");
        rules
    }

    /// A secret of which so many bytes stand before the first cut.
    fn line(before_cut: usize) -> Vec<u8> {
        [&vec![b'x'; MAX_BODY - before_cut][..], SECRET, b" and so on"].concat()
    }

    fn records(source: Source, lines: Vec<Vec<u8>>) -> Vec<Record> {
        let bodies = lines.into_iter().flat_map(parse::parts);
        bodies.map(|body| Record { time: 7, seq: 0, level: Level::Info, source, body: body.into() }).collect()
    }

    /// One of each in turn, as long as there are some, under ascending numbers.
    fn mixed(a: Vec<Record>, b: Vec<Record>) -> Vec<Record> {
        let (mut a, mut b, mut all) = (a.into_iter(), b.into_iter(), Vec::new());
        loop {
            let before = all.len();
            all.extend(a.next().into_iter().chain(b.next()));
            if all.len() == before {
                break;
            }
        }
        (100..).zip(&mut all).for_each(|(seq, record)| record.seq = seq);
        all
    }

    fn passed(seams: &mut Seams, records: Vec<Record>, rules: &Redaction) -> Vec<Record> {
        let mut left = Vec::new();
        for record in records {
            seams.take(record, rules, &mut |Passed { mut record, redacted }| {
                if redacted.is_none()
                    && let Some(body) = rules.apply(&record.body)
                {
                    record.body = body.into();
                }
                left.push(record);
            });
        }
        left
    }

    /// All that the records of an output have of lines, without the marks of their parts.
    fn shown(records: &[Record], source: Source) -> Vec<u8> {
        let mark = parse::as_part(Vec::new());
        let of = records.iter().filter(|record| record.source == source);
        of.flat_map(|record| record.body.strip_suffix(&mark[..]).unwrap_or(&record.body)).copied().collect()
    }

    #[test]
    fn wherever_a_secret_is_cut_no_byte_of_it_is_shown() {
        let rules = rules("/pin=\\d+/<a pin>/");
        for before_cut in 0..=SECRET.len() {
            let line = line(before_cut);
            let mut seams = Seams::default();
            let left = passed(&mut seams, records(Source::Stdout, vec![line.clone()]), &rules);
            assert_eq!((left.len(), seams.n_waiting()), (2, 0), "{before_cut}");
            let expected = rules.apply(&line).expect("it is found");
            assert!(shown(&left, Source::Stdout) == expected, "{before_cut}");
            // It stands in the record that it begins in.
            let begin = usize::from(before_cut == 0);
            let has = |record: &Record| record.body.windows(7).any(|part| part == b"<a pin>");
            assert_eq!([has(&left[0]), has(&left[1])], [begin == 0, begin == 1], "{before_cut}");
        }
    }

    #[test]
    fn what_is_found_may_be_as_long_as_a_part() {
        let rules = rules("/<[^>]*>/-/");
        let inner = MAX_BODY - 2;
        let line = [&vec![b'x'; MAX_BODY - 5][..], b"<", &vec![b'y'; inner], b"> end"].concat();
        let left = passed(&mut Seams::default(), records(Source::Stdout, vec![line]), &rules);
        assert!(shown(&left, Source::Stdout) == [&vec![b'x'; MAX_BODY - 5][..], b"- end"].concat());
    }

    #[test]
    fn outputs_wait_for_themselves_and_numbers_ascend() {
        let rules = rules("/pin=\\d+/");
        let out = vec![line(3), b"short pin=1".to_vec(), line(5)];
        let err = vec![b"a".to_vec(), b"b pin=2".to_vec(), line(9), b"c".to_vec()];
        let all = mixed(records(Source::Stdout, out.clone()), records(Source::Stderr, err.clone()));
        let left = passed(&mut Seams::default(), all.clone(), &rules);
        for (source, lines) in [(Source::Stdout, &out), (Source::Stderr, &err)] {
            let expected: Vec<u8> =
                lines.iter().flat_map(|line| rules.apply(line).unwrap_or_else(|| line.clone())).collect();
            assert!(shown(&left, source) == expected, "{source:?}");
        }
        let numbers = |records: &[Record]| records.iter().map(|record| record.seq).collect::<Vec<_>>();
        assert_eq!(numbers(&left), numbers(&all));
        assert_ne!(
            left.iter().map(|record| record.source).collect::<Vec<_>>(),
            all.iter().map(|record| record.source).collect::<Vec<_>>(),
            "some were passed"
        );
    }

    #[test]
    fn what_is_read_again_after_a_checkpoint_is_redacted_as_if_there_had_been_none() {
        let rules = rules("/pin=\\d+/");
        // Two cuts, with a secret over each.
        let line = [&line(4)[..], &vec![b'y'; MAX_BODY - SECRET.len() - 14], SECRET, b" end"].concat();
        let records = mixed(records(Source::Stdout, vec![line]), Vec::new());
        assert_eq!(records.len(), 3);
        let whole = passed(&mut Seams::default(), records.clone(), &rules);
        assert!(!shown(&whole, Source::Stdout).iter().any(u8::is_ascii_digit));
        for taken in 1..3 {
            let mut seams = Seams::default();
            let mut left = passed(&mut seams, records[..taken].to_vec(), &rules);
            let n_waiting = seams.n_waiting();
            assert_eq!((left.len(), n_waiting), (taken - 1, 1));
            let again: Vec<Grouped> = seams.waiting().collect();
            assert!(parse::part(&again[0].body).is_some(), "it is known as a part");
            // As the tailer gives it then: the numbers begin where the last of them ended.
            let again = again.into_iter().map(|Grouped { source, level, body, .. }| Record {
                time: 7,
                seq: 0,
                level,
                source,
                body: body.into(),
            });
            let rest: Vec<Record> = again.chain(records[taken..].iter().cloned()).collect();
            let first = records[taken].seq - n_waiting;
            let rest = (first..).zip(rest).map(|(seq, record)| Record { seq, ..record }).collect();
            left.extend(passed(&mut Seams::default(), rest, &rules));
            for (found, expected) in left.iter().zip(&whole) {
                let plain: Vec<u8> = found.body.iter().copied().filter(|byte| *byte != FILLER).collect();
                assert!(plain == expected.body, "{taken}");
                assert_eq!(found.seq, expected.seq);
            }
            assert_eq!(left.len(), whole.len());
        }
    }

    #[test]
    fn without_rules_nothing_waits_and_what_waits_can_be_let_go() {
        let parts = mixed(records(Source::Stdout, vec![line(3)]), records(Source::Stderr, vec![line(0)]));
        let mut seams = Seams::default();
        assert_eq!(passed(&mut seams, parts.clone(), &Redaction::default()), parts);
        let rules = rules("/pin=\\d+/");
        assert_eq!(passed(&mut seams, parts[..2].to_vec(), &rules), []);
        let mut left = Vec::new();
        seams.end(parts[2].seq, &rules, &mut |passed| left.push(passed));
        let expected: Vec<Passed> =
            parts[..2].iter().map(|part| Passed { record: part.clone(), redacted: Some(false) }).collect();
        assert!(left == expected && seams.n_waiting() == 0);
    }
}
