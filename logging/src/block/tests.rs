//! Blocks give back what went in, find what they have, and refuse what was changed.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::record::Source;

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
        Just(br#"{"msg":"a\nb","n":1.50,"id":"\u0041b12"}"#.to_vec()),
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

proptest! {
    #[test]
    fn a_block_gives_back_what_went_in(input in proptest::collection::vec(record(), 1..200)) {
        let block = SealedBlock::seal(info(), &input).expect("sealed");
        prop_assert_eq!(records(&block.data).expect("sound"), input);
    }

    #[test]
    fn a_block_may_have_every_token_of_its_bodies_and_fields(input in proptest::collection::vec(record(), 1..60)) {
        let block = SealedBlock::seal(info(), &input).expect("sealed");
        for record in &input {
            text::for_each_token(&record.body, |token| assert!(block.may_have(token)));
            for name in ["msg", "n", "id"] {
                for value in crate::query::fields::values(&record.body, name) {
                    text::for_each_token(value.as_bytes(), |token| assert!(block.may_have(token)));
                }
            }
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
    fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let mut block = b"TPB\x01".to_vec();
        block.extend(bytes);
        let _ = records(&block);
    }
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
