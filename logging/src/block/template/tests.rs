//! Bodies come back to the byte, whatever they are, and a word that is in no
//! template is in no body.

use proptest::prelude::*;

use super::*;
use crate::query::text::{for_each_token, is_token_byte};

const TIME: i64 = 1_709_251_199_123_456_789;

/// A body through template and columns, several times over, each next to `others`.
fn check(bodies: &[Vec<u8>], time: i64) {
    let (mut key, mut variables) = (Vec::new(), Vec::new());
    for body in bodies {
        variables.clear();
        split(body, time, &mut key, &mut variables);
        for count in [1, 5] {
            let mut columns = Vec::new();
            let classes: Vec<u8> = classes(&key);
            assert_eq!(classes.len(), variables.len());
            for (class, variable) in classes.iter().zip(&variables) {
                let column = std::iter::repeat_n((body.as_slice(), *variable), count);
                write_slot(&mut columns, *class, column, &mut Scratch::default());
            }
            let template = Template::read(&key, &columns, count).expect("what was written");
            let mut out = Vec::new();
            join(&mut out, &template, count - 1, time).expect("what was written");
            assert_eq!(&out, body, "{:?}", String::from_utf8_lossy(body));
        }
    }
}

fn classes(key: &[u8]) -> Vec<u8> {
    let class = |piece| match piece {
        Piece::Slot(class) => Some(class),
        Piece::Literal(_) => None,
    };
    pieces(key).filter_map(class).collect()
}

/// The template, a `<class>` in the place of each variable.
fn template(body: &str) -> String {
    let (mut key, mut variables) = (Vec::new(), Vec::new());
    split(body.as_bytes(), TIME, &mut key, &mut variables);
    let piece = |piece| match piece {
        Piece::Literal(text) => String::from_utf8_lossy(text).into_owned(),
        Piece::Slot(class) => format!("<{class}>"),
    };
    pieces(&key).map(piece).collect()
}

#[test]
fn words_stay_and_variables_go() {
    let same = |body: &str, expected: &str| assert_eq!(template(body), expected, "{body}");
    same("", "");
    same("no variable at all", "no variable at all");
    same("id_7 blk_-42, v1.2", "id_<1> blk_-<1>, <1>.<1>");
    same("took 12ms of 5s, 7th 12xy", "took <1>ms of <1>s, <1> <1>");
    same(
        "from 10.0.0.1:80 and 1.2.3 and 10.0.0.256 and 01.2.3.4",
        "from <4>:<1> and <1>.<1>.<1> and <1>.<1>.<1>.<1> and <1>.<1>.<1>.<1>",
    );
    same("at 2024-02-29T23:59:59.123Z", "at <67>Z");
    same("at 2024-02-30T23:59:59.123Z", "at <1>-<1>-<1>:<1>:<1>.<1>");
    same("[29/Feb/2024:23:59:59 +0000]", "[<6> +<1>]");
    same("x 3f2504e0-4f89-41d3-9a0c-0305e82c3301 y", "x <2> y");
    same("x 3F2504E0-4F89-41D3-9A0C-0305E82C3301 y", "x <3> y");
    same("x 3F2504e0-4F89-41D3-9A0C-0305E82C3301 y", "x <1>-<1>-<1>-<1>-<1> y");
    // A word would run on into its last group.
    same("3f2504e0-4f89-41d3-9a0c-abcdefabcdef_x", "<1>-<1>-<1>-<1>-abcdefabcdef_x");
    same("a\0b1", "<5>");
    same(&"1 ".repeat(256), "<5>");
}

#[test]
fn odd_bodies_come_back() {
    let long = "x1 ".repeat(100_000);
    let bodies = [
        "",
        "\n\n\n",
        "0",
        "00",
        "007",
        "-0",
        "+7 -7",
        "18446744073709551615",
        "18446744073709551616",
        "99999999999999999999999999999999999999999999",
        "0x1f 0X1F 0x 0x0",
        "aBcD12 abc123 ABC123",
        "abc1",
        "a",
        "é1é",
        "1.5e-10",
        "12msx 12ms3 12ms",
        "255.255.255.255.255",
        "1.2.3.4a",
        "0.0.0.0",
        "2024-02-29T23:59:59.1234567890",
        "2024-02-29 23:59:59,",
        "9999-12-31T23:59:59",
        "29/Feb/2024:23:59:599",
        "deadbeef-dead-beef-dead-beefdeadbeef",
        &long,
    ];
    let mut bodies: Vec<Vec<u8>> = bodies.iter().map(|body| body.as_bytes().to_vec()).collect();
    bodies.extend([b"\xff1\xfe".to_vec(), vec![0; 1000], vec![b'7'; 300_000], b"\0".to_vec()]);
    for time in [TIME, 0, -1, i64::MIN, i64::MAX] {
        check(&bodies, time);
    }
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        "[0-9]{1,22}",
        "0{0,3}[0-9]{1,4}",
        "[0-9a-f]{1,33}",
        "[0-9A-F]{1,20}",
        "[0-9a-fA-F]{1,9}",
        "[a-z]{1,9}",
        "[ .:,_/=-]{1,3}",
        "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
        "[a-f]{8}-[a-f]{4}-[a-f]{4}-[a-f]{4}-[a-f]{12}",
        "[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}",
        "20[0-9]{2}-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-5][0-9]:[0-5][0-9]([.,][0-9]{0,10})?",
        "[0-3][0-9]/(Jan|Feb|Dec|Fox)/20[0-9]{2}:[0-2][0-9]:[0-5][0-9]:[0-5][0-9]",
        "[0-9]{1,3}(ms|s|MiB|x)",
        "\\PC{0,3}",
    ];
    prop_oneof![
        6 => proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat().into_bytes()),
        1 => proptest::collection::vec(any::<u8>(), 0..60),
    ]
}

proptest! {
    #[test]
    fn bodies_come_back(bodies in proptest::collection::vec(body(), 1..4), time in any::<i64>()) {
        check(&bodies, time);
    }

    #[test]
    fn a_word_without_digits_is_in_the_template_or_may_hide(body in body()) {
        let (mut key, mut variables) = (Vec::new(), Vec::new());
        split(&body, TIME, &mut key, &mut variables);
        if classes(&key).contains(&class::WHOLE) {
            return Ok(());
        }
        // As search sees a template: a byte of a token that no query has for each variable.
        let mut seen = Vec::new();
        for piece in pieces(&key) {
            match piece {
                Piece::Literal(text) => seen.extend_from_slice(text),
                Piece::Slot(_) => seen.push(0xff),
            }
        }
        let words = crate::query::text::tokens(&seen);
        for_each_token(&body, |word| {
            if word.iter().all(|byte| !byte.is_ascii_digit()) && !may_hide(word) {
                assert!(words.iter().any(|other| other == word), "{}", String::from_utf8_lossy(word));
            }
        });
        // Nor is a word there that the body hasn't, as far as it touches no variable.
        let real = crate::query::text::tokens(&body);
        for word in words.iter().filter(|word| !word.contains(&0xff)) {
            assert!(real.contains(word) && word.iter().all(|byte| is_token_byte(*byte)));
        }
    }

    #[test]
    fn no_bytes_make_it_panic(key in proptest::collection::vec(prop_oneof![0u8..8, any::<u8>()], 0..12), bytes in proptest::collection::vec(prop_oneof![0u8..6, any::<u8>()], 0..60), count in 0usize..300, at in 0usize..300) {
        if let Some(template) = Template::read(&key, &bytes, count) {
            let _ = join(&mut Vec::new(), &template, at, TIME);
        }
    }
}
