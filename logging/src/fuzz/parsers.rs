//! Damaged inputs for each parser by itself: none panics, none takes memory out of
//! proportion, and what is understood means the same when it is written out.

use std::{fs, path::Path};

use super::{Dice, corpus, mutate, rounds};
use crate::{
    block::{self, SealedBlock},
    doors::fuzzed,
    journal::{self, Journal, JournalCheckpoint},
    parse::{self, Format, Grouper, Joiner},
    query,
    record::{Level, Record, Source},
    tail::{Change, Place, Watch},
};

/// Rounds of a parser: some seconds of all together.
const ROUNDS: u64 = 1_500;
/// Bytes that a parser may hold, whatever it reads.
const BASE: u64 = 2 << 20;
/// And for each byte that it reads.
const EACH: u64 = 64;

/// Feeds a parser with what was damaged.
fn check(inputs: &[Vec<u8>], mut parser: impl FnMut(&mut Dice, &[u8])) {
    for (at, input) in inputs.iter().enumerate() {
        bounded(&mut Dice::new(at as u64), input, &format!("input {at} as it is"), &mut parser);
    }
    rounds(ROUNDS, |dice, name| {
        let input = dice.pick(inputs).clone();
        let damaged = mutate::bytes(dice, &input, inputs);
        bounded(dice, &damaged, name, &mut parser);
    });
}

fn bounded(dice: &mut Dice, input: &[u8], name: &str, parser: &mut impl FnMut(&mut Dice, &[u8])) {
    let mut panic = None;
    let cost = allocation_counter::measure(|| {
        let run = std::panic::AssertUnwindSafe(|| parser(dice, input));
        panic = std::panic::catch_unwind(run).err();
    });
    let shown = String::from_utf8_lossy(&input[..input.len().min(4_000)]);
    assert!(panic.is_none(), "{name}: a panic (above) over {shown:?}");
    let most = BASE + EACH * input.len() as u64;
    assert!(cost.bytes_max <= most, "{name}: {} bytes held for {} of {shown:?}", cost.bytes_max, input.len());
}

#[test]
fn otlp() {
    check(&corpus::otlp_protobuf(), |_, input| drop(fuzzed::OTLP_PROTOBUF(input)));
    check(&corpus::otlp_json(), |_, input| drop(fuzzed::OTLP_JSON(input)));
}

#[test]
fn loki() {
    check(&corpus::loki_protobuf(), |_, input| drop(fuzzed::LOKI_PROTOBUF(input)));
    check(&corpus::loki_json(), |_, input| drop(fuzzed::LOKI_JSON(input)));
}

#[test]
fn bulk() {
    check(&corpus::bulk(), |_, input| drop(fuzzed::BULK(input)));
}

#[test]
fn syslog_in_any_pieces() {
    check(&corpus::syslog(), |dice, input| {
        let (whole, pieces) = (fuzzed::syslog([input]), fuzzed::syslog(input.chunks(1 + dice.below(20))));
        assert_eq!(whole, pieces, "it matters how it is cut");
    });
}

#[test]
fn container_lines() {
    check(&corpus::container_lines(), |_, input| {
        let format = Format::of(input.first().copied().unwrap_or_default());
        for format in [format, Format::Plain { now: 1_700_000_000_000_000_000 }] {
            let (mut joiner, mut grouper) = (Joiner::default(), Grouper::default());
            let mut out = 0;
            let mut found = |grouped: parse::Grouped| out += grouped.body.len();
            for line in input.split(|byte| *byte == b'\n') {
                joiner.push(format.piece(line)).into_iter().for_each(|line| grouper.push(line, &mut found));
            }
            for source in [Source::Stdout, Source::Stderr] {
                joiner.finish(source).into_iter().for_each(|line| grouper.push(line, &mut found));
                grouper.finish(source, &mut found);
            }
            assert!(out <= input.len(), "more comes out than went in");
        }
    });
}

#[test]
fn bodies() {
    check(&corpus::bodies(), |_, input| {
        let _ = (parse::level(input), parse::stamp(input, 0));
        let fields = query::fields::Fields::of(input);
        let mut names = Vec::new();
        fields.each_name(&mut |name| names.push(name.to_owned()));
        names.iter().take(8).for_each(|name| fields.values(name, &mut Vec::new()));
        let _ = (query::text::tokens(input), query::plain::plain(input));
    });
}

#[test]
fn bodies_come_back_from_a_block_to_the_byte() {
    let inputs = [corpus::bodies(), corpus::container_lines(), corpus::otlp_protobuf()].concat();
    rounds(60, |dice, name| {
        let record = |seq| {
            let input = dice.pick(&inputs).clone();
            let body = mutate::bytes(dice, &input, &inputs).into();
            Record {
                time: dice.next() as i64 >> dice.below(64),
                seq,
                level: Level::Info,
                source: Source::Stderr,
                body,
            }
        };
        let records: Vec<Record> = (0..20).map(record).collect();
        let sealed = SealedBlock::seal(crate::index::tests::info("web"), &records).expect("sealed");
        assert_eq!(block::records(&sealed.data).expect("whole"), records, "{name}");
    });
}

#[test]
fn queries() {
    check(&corpus::queries(), |_, input| {
        let text = String::from_utf8_lossy(input);
        match query::parse(&text) {
            Ok(parsed) => assert_eq!(query::parse(&parsed.to_string()).as_ref(), Ok(&parsed), "{parsed}"),
            Err(error) => {
                assert!(text.get(error.span.clone()).is_some(), "it points beside a character: {error}");
                assert!(error.to_string().len() < 4_000);
            }
        }
    });
}

#[test]
fn queries_of_a_body_as_sql_has_them() {
    let (queries, bodies) = (corpus::queries(), corpus::bodies());
    // What an expression of the query may take is bounded by itself, and more than a parser's.
    rounds(ROUNDS, |dice, name| {
        let input = dice.pick(&queries).clone();
        let text = String::from_utf8_lossy(&mutate::bytes(dice, &input, &queries)).into_owned();
        let parsed = match query::parse_of_body(&text) {
            Ok(parsed) => parsed,
            Err(error) => return assert!(text.get(error.span.clone()).is_some(), "{name}: {error}"),
        };
        assert_eq!(query::parse_of_body(&parsed.to_string()).as_ref(), Ok(&parsed), "{name}: {parsed}");
        let opposite = query::Expr::Not(Box::new(parsed.clone()));
        if let (Ok(ready), Ok(opposite)) = (query::OfBody::new(&parsed), query::OfBody::new(&opposite)) {
            let body = dice.pick(&bodies).clone();
            let body = mutate::bytes(dice, &body, &bodies);
            assert!(ready.holds(&body) != opposite.holds(&body), "{name}: {parsed} of {body:?}");
        }
    });
}

#[test]
fn logql() {
    check(&corpus::logql(), |_, input| {
        let text = String::from_utf8_lossy(input);
        match crate::loki::logql::parse(&text) {
            Ok(parsed) => {
                let again = crate::loki::logql::parse(&parsed.to_string());
                assert_eq!(again.map_err(|error| error.to_string()).as_ref(), Ok(&parsed), "{parsed}");
            }
            Err(error) => assert!(error.to_string().len() < 4_000),
        }
    });
}

#[test]
fn entries_of_the_write_ahead_log() {
    check(&corpus::wal_entries(), |_, input| {
        if let Ok(contents) = crate::wal::read_entry(input) {
            let written = crate::wal::write_entry(&contents.streams);
            let again = crate::wal::read_entry(&written).expect("just written");
            assert_eq!(again.streams, contents.streams);
        }
    });
}

struct Unwatched;

impl Watch for Unwatched {
    fn watch(&mut self, _: &Place) -> bool {
        false
    }
}

/// A journal file of each form with entries short and long, as systemd's own program writes it, and
/// the places in it that say something: most of it is empty tables.
fn journal_file(folder: &Path, compact: &str) -> (Vec<u8>, Vec<usize>) {
    let path = folder.join("written.journal");
    let message = |number: usize| match number % 5 {
        0 => format!("long {number} ").repeat(300).into_bytes(),
        1 => vec![0xff, 0, b'\n', number as u8],
        _ => format!("line {number} level=warn").into_bytes(),
    };
    let entry = |number| journal::tests::entry(number, ["sshd", "crio"][number % 2], &message(number));
    journal::tests::write(&path, compact, (0..40).map(entry));
    let mut bytes = fs::read(&path).expect("read");
    fs::remove_file(&path).expect("removed");
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes.truncate(used);
    let places = bytes.iter().enumerate().filter(|(_, byte)| **byte != 0).map(|(at, _)| at).collect();
    (bytes, places)
}

/// The file with one to eight changes where it says something.
fn damaged_journal(dice: &mut Dice, bytes: &[u8], places: &[usize]) -> Vec<u8> {
    let mut out = bytes.to_vec();
    for _ in 0..=dice.below(8) {
        let at = *dice.pick(places);
        let word = at..(at + 8).min(bytes.len());
        let number = match dice.below(3) {
            0 => *dice.pick(places) as u64,
            1 => u64::MAX >> dice.below(64),
            _ => dice.next(),
        };
        match dice.below(4) {
            0 => out[at] ^= 1 << dice.below(8),
            1 => out[at] = dice.next() as u8,
            // Places and sizes are whole words.
            _ => out[word.clone()].copy_from_slice(&number.to_le_bytes()[..word.len()]),
        }
    }
    if dice.below(8) == 0 {
        out.truncate(*dice.pick(places));
    }
    out
}

#[test]
fn journal_files() {
    let root = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder");
    let machine = root.path().join("0123456789abcdef0123456789abcdef");
    fs::create_dir(&machine).expect("a folder");
    let files = ["0", "1"].map(|compact| journal_file(&machine, compact));
    let path = machine.join("system.journal");
    let mut parser = |_: &mut Dice, input: &[u8]| {
        fs::write(&path, input).expect("written");
        let mut journal = Journal::new(vec![root.path().to_owned()], "n1", &[], JournalCheckpoint::default());
        journal.apply(&Change::Everything, &mut Unwatched);
        // Each byte could be the place of an entry, and what is told of one that can't be read is
        // a record.
        let mut records = 0;
        while journal.has_more() {
            records += journal.turn().iter().map(|batch| batch.records.len()).sum::<usize>();
            assert!(records <= input.len() + 256, "it doesn't end");
        }
    };
    for (bytes, _) in &files {
        bounded(&mut Dice::new(0), bytes, "as it is", &mut parser);
    }
    rounds(300, |dice, name| {
        let (bytes, places) = dice.pick(&files).clone();
        let damaged = damaged_journal(dice, &bytes, &places);
        bounded(dice, &damaged, name, &mut parser);
    });
}
