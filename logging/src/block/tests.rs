//! Blocks give back what went in, find what they have, and refuse what was changed.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::record::Source;

// The bench measures on the same lines.
#[path = "../../benches/blocks/mix.rs"]
mod mix;

fn info() -> Arc<StreamInfo> {
    Arc::new(StreamInfo {
        namespace: "ns".into(),
        pod: "pod".into(),
        uid: "uid".into(),
        container: "c".into(),
        restart: 0,
        node: "n".into(),
    })
}

fn record() -> impl Strategy<Value = Record> {
    let body = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..40),
        "[a-z]{1,5} (id=[0-9a-f]{8}|[0-9]{1,9}) [A-Z]{2}".prop_map(String::into_bytes),
        // Few templates, whose words touch their variables.
        "(a|b)_[0-9]{1,3}(é|ms|_x) [a-f]{4}[0-9] x10\\.0\\.0\\.[1-9]_y".prop_map(String::into_bytes),
        Just(br#"{"msg":"a\nb","n":1.50,"id":"\u0041b12"}"#.to_vec()),
        "10\\.0\\.0\\.[1-9] - - \\[31/Jan/2026:12:00:0[0-9] \\+0000\\] \"(GET|-) /[a-c]\\?x=[1-9]\" [2-5]00 [0-9]{1,3}"
            .prop_map(String::into_bytes),
        "[IE]0131 12:00:00\\.[0-9] [1-9] main\\.go:[1-9]{2}\\] (a=[0-9]|up)".prop_map(String::into_bytes),
    ];
    (any::<i64>(), any::<u64>(), 0u8..7, any::<bool>(), body).prop_map(|(time, seq, level, stderr, body)| {
        Record {
            time,
            seq,
            level: Level::from_number(level).expect("a level"),
            source: if stderr { Source::Stderr } else { Source::Stdout },
            body: Bytes::from(body),
        }
    })
}

#[test]
fn no_changed_bit_makes_one_version_another() {
    let known = [writer::PLAIN, writer::TEMPLATES, writer::FRONT];
    for version in known {
        assert!((0..8).all(|bit| !known.contains(&(version ^ 1 << bit))), "{version}");
    }
}

proptest! {
    #[test]
    fn a_block_gives_back_what_went_in(input in proptest::collection::vec(record(), 1..200)) {
        let block = SealedBlock::seal(info(), &input).expect("sealed");
        prop_assert_eq!(records(&block.data).expect("sound"), input);
    }

    #[test]
    fn a_block_of_version_1_is_read(input in proptest::collection::vec(record(), 1..100)) {
        let block = encode_plain(&input).expect("encoded");
        prop_assert_eq!(block[3], 1);
        prop_assert_eq!(records(&block).expect("sound"), input);
    }

    #[test]
    fn a_block_of_version_2_is_read(input in proptest::collection::vec(record(), 1..100)) {
        let block = writer::encode_second(&input).expect("encoded");
        prop_assert_eq!(block[3], 2);
        prop_assert!(Front::open(&block, input.len()).expect("a block").is_none());
        prop_assert_eq!(records(&block).expect("sound"), input);
    }

    #[test]
    fn the_front_of_a_block_says_what_the_whole_says(
        input in proptest::collection::vec(record(), 1..100),
        cut in any::<usize>(),
    ) {
        let block = SealedBlock::seal(info(), &input).expect("sealed").data;
        let whole = Reader::open(&block).expect("sound");
        let front = Front::open(&block, input.len()).expect("sound").expect("it has a front");
        prop_assert_eq!(front.times().expect("sound").expect("they are there"), whole.columns().times.clone());
        prop_assert_eq!(front.levels().expect("sound"), whole.columns().levels.clone());
        let templates = (front.templates().expect("sound"), whole.templates().expect("sound").expect("it has them"));
        prop_assert_eq!(templates.0.of(), templates.1.of());
        // Bytes that end early have no times, or no front.
        if let Some(short) = Front::open(&block[..cut % block.len()], input.len()).ok().flatten() {
            prop_assert_eq!(short.levels().expect("sound"), whole.columns().levels.clone());
            prop_assert!(short.times().expect("sound").is_none_or(|times| times == whole.columns().times));
        }
    }

    #[test]
    fn chosen_bodies_are_read_alone(input in proptest::collection::vec(record(), 1..100), chosen in any::<u64>()) {
        let block = SealedBlock::seal(info(), &input).expect("sealed");
        let reader = Reader::open(&block.data).expect("sound");
        let templates = reader.templates().expect("sound").expect("it has them");
        prop_assert_eq!(templates.of().len(), input.len());
        let wanted = |at: usize| chosen >> (at % 64) & 1 == 1;
        let bodies = reader.bodies(Some(&templates), wanted).expect("sound");
        for (at, record) in input.iter().enumerate().filter(|(at, _)| wanted(*at)) {
            prop_assert_eq!(bodies.get(at), &record.body[..]);
        }
    }

    #[test]
    fn a_block_may_have_every_token_of_its_bodies_and_fields(input in proptest::collection::vec(record(), 1..60)) {
        let block = SealedBlock::seal(info(), &input).expect("sealed");
        for record in &input {
            let body = crate::query::plain::plain(&record.body);
            text::for_each_token(&body, |token| assert!(block.may_have(token)));
            for name in ["msg", "n", "id", "path", "status", "file"] {
                for value in crate::query::fields::values(&body, name) {
                    text::for_each_token(value.as_bytes(), |token| assert!(block.may_have(token)));
                }
            }
            crate::query::fields::Fields::of(&body).each_name(&mut |name| {
                text::for_each_token(name.as_bytes(), |token| assert!(block.may_have(token), "{name}"));
            });
        }
        prop_assert_eq!(IdFilter::from_bytes(block.ids.as_bytes()), Some(block.ids.clone()));
    }

    #[test]
    fn a_changed_byte_is_found(input in proptest::collection::vec(record(), 1..20), at in any::<usize>(), bit in 0..8) {
        let block = SealedBlock::seal(info(), &input).expect("sealed");
        let mut changed = block.data.to_vec();
        let at = at % changed.len();
        changed[at] ^= 1u8 << bit;
        prop_assert!(records(&changed).map_or(true, |found| found == input), "byte {at}");
        prop_assert!(records(&changed[..at]).is_err());
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100), version in prop::sample::select(vec![1u8, 2, 4])) {
        let mut block = b"TPB".to_vec();
        block.push(version);
        block.extend(bytes);
        let _ = records(&block);
    }

    /// What is behind the checksums, changed: an error or other records, never a panic.
    #[test]
    fn sections_that_lie_are_refused_or_read_as_something_else(
        input in proptest::collection::vec(record(), 1..40),
        which in 0usize..4,
        at in any::<usize>(),
        byte in any::<u8>(),
        cut in any::<bool>(),
    ) {
        let block = SealedBlock::seal(info(), &input).expect("sealed").data;
        let (mut rest, mut forged) = (&block[4..], block[..4].to_vec());
        let mut number = 0;
        while !rest.is_empty() {
            let mut raw = section::Section::take(&mut rest).expect("sound").unpack().expect("sound");
            if number == which && !raw.is_empty() {
                let at = at % raw.len();
                raw[at] = byte;
                raw.truncate(if cut { at } else { raw.len() });
            }
            section::put(&mut forged, &raw).expect("packed");
            number += 1;
        }
        let _ = records(&forged);
    }
}

#[test]
fn a_small_block_takes_no_great_memory() {
    // 65,536 records of a template with 255 variables of one value each: 16 million words in a few bytes.
    let mut forged = b"TPB\x02".to_vec();
    let constant = [4u8, 1, 7];
    let count = [0x80u8, 0x80, 0x04];
    let zero = [4u8, 1, 0];
    let columns = [&count[..], &zero, &zero, &zero, &zero].concat();
    let key: Vec<u8> = [0u8, 4].repeat(255);
    let templates = [&[1u8][..], &zero, &[4, 1, 0xfe, 3], &zero, &key].concat();
    let part = constant.repeat(255);
    let variables = [&[0xfd, 5][..], &part].concat();
    for raw in [&columns, &templates, &variables] {
        section::put(&mut forged, raw).expect("packed");
    }
    let reader = Reader::open(&forged).expect("columns");
    assert_eq!(reader.columns().len(), 1 << 16);
    assert!(reader.templates().expect("templates").is_some_and(|templates| templates.len() == 1));
    assert_eq!(records(&forged), Err(CorruptBlock("its variables can't be")));
}

#[test]
fn the_most_unlike_records_can_be_sealed_and_read() {
    // Every record a template of its own, as many variables as there can be, as short as they can be.
    let body = |at: usize| {
        let word: String =
            [at / 676, at / 26 % 26, at % 26].map(|letter| char::from(b'a' + letter as u8)).iter().collect();
        Bytes::from(format!("{word}{}", "-1".repeat(template::MAX_SLOTS)))
    };
    let record = |at: usize| Record {
        time: i64::MAX * (at as i64 % 2),
        seq: 0,
        level: Level::Info,
        source: Source::Stdout,
        body: body(at),
    };
    let length = body(0).len();
    let input: Vec<_> = (0..MAX_BODIES / length).map(record).collect();
    let block = SealedBlock::seal(info(), &input).expect("sealed");
    let reader = Reader::open(&block.data).expect("sound");
    assert!(reader.templates().expect("sound").is_some_and(|templates| templates.len() == input.len()));
    assert_eq!(records(&block.data).expect("sound"), input);
}

#[test]
fn a_regular_expression_is_ruled_out_by_the_front_of_a_block() {
    use crate::query::{
        self,
        compile::{Compiled, Verdict},
    };
    let query = query::parse("/took 8[0-9]ms/").expect("a query");
    let query = Compiled::new(&query).expect("a query");
    for (program, finds) in mix::Program::ALL.into_iter().zip([false, false, false, true]) {
        let block =
            SealedBlock::seal(info(), &mix::stream(program, 7, MAX_RECORDS, 200_000_000)).expect("sealed");
        assert!(block.data.len() > 16 << 10);
        let front = Front::open(&block.data[..16 << 10], MAX_RECORDS).expect("sound").expect("it is short");
        let templates = front.templates().expect("sound");
        let may = |number: usize| {
            let verdicts =
                query.on_spelt(&[Verdict::Maybe], templates.key(number), templates.letters(number));
            query.verdict(&verdicts) != Verdict::No
        };
        let passed: Vec<_> = (0..templates.len())
            .filter(|at| may(*at))
            .map(|at| String::from_utf8_lossy(templates.key(at)).into_owned())
            .collect();
        assert_eq!(!passed.is_empty(), finds, "{program:?}: {passed:?}");
    }
}

#[test]
fn templates_make_blocks_smaller() {
    let (mut split, mut plain) = (0, 0);
    for (seed, program) in mix::Program::ALL.into_iter().enumerate() {
        let input = mix::stream(program, seed as u64 + 1, MAX_RECORDS, 200_000_000);
        let block = SealedBlock::seal(info(), &input).expect("sealed");
        assert_eq!(records(&block.data).expect("sound"), input);
        let reader = Reader::open(&block.data).expect("sound");
        let templates = reader.templates().expect("sound").expect("it has them");
        let before = encode_plain(&input).expect("encoded").len();
        assert!(templates.len() < 100, "{program:?}: {} templates", templates.len());
        split += block.data.len();
        plain += before;
    }
    assert!(split * 100 < plain * 70, "{split} bytes, {plain} before");
}

#[test]
fn filters_of_any_size_have_no_wrong_no_and_few_wrong_yes() {
    for size in [1usize, 15, 16, 17, 20, 33, 100, 5_000] {
        let id = |at: usize| format!("id{at}").into_bytes();
        let filter = IdFilter::build((0..size).map(|at| text::id_hash(&id(at))).collect());
        assert!((0..size).all(|at| filter.may_have(&id(at))), "{size}");
        let wrong = (0..10_000).filter(|at| filter.may_have(&id(1_000_000 + at))).count();
        assert!(wrong < 150, "{wrong} of 10,000 at {size}");
    }
}
