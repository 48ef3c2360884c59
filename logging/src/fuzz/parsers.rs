//! Damaged inputs for each parser by itself: none panics, none takes memory out of
//! proportion, and what is understood means the same when it is written out.

use super::{Dice, corpus, mutate, rounds};
use crate::{
    block::{self, SealedBlock},
    doors::fuzzed,
    parse::{self, Format, Grouper, Joiner},
    query,
    record::{Level, Record, Source},
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
