//! Messages as real senders write them, any bytes in any pieces, and sockets.

use proptest::prelude::*;

use super::{
    frames::{Frame, Frames, MAX_MESSAGE},
    parse::{Message, parse},
    *,
};
use crate::time;

fn now() -> i64 {
    time::parse("2026-01-01T00:10:00Z").expect("a time")
}

fn shown(message: &str) -> String {
    let message: Message = parse(message.as_bytes(), now());
    let name = |name: &Option<String>| name.clone().unwrap_or_else(|| "-".into());
    format!(
        "{} {} {} {} {} | {}",
        message.facility.unwrap_or("-"),
        message.level.map_or("-", Level::name),
        message.time.map_or_else(|| "-".into(), |time| time::format(time).replace(".000000000Z", "")),
        name(&message.host),
        name(&message.app),
        String::from_utf8_lossy(&message.clone().body(&mut Default::default())),
    )
}

#[test]
fn messages_of_both_forms() {
    let check = |message: &str, expected: &str| assert_eq!(shown(message), expected, "{message}");
    check(
        "<34>1 2026-01-31T12:00:00.003Z mymachine.example.com su 77 ID47 - \u{feff}'su root' failed",
        "auth fatal 2026-01-31T12:00:00.003000000Z mymachine.example.com su | 'su root' failed procid=77 msgid=ID47",
    );
    check(
        r#"<165>1 2026-01-31T12:00:00+01:00 h evntslog - - [ex@32473 iut="3" src="a \"b\" \]c"][p@1 high=""] An event"#,
        r#"local4 info 2026-01-31T11:00:00 h evntslog | An event ex@32473.iut=3 ex@32473.src="a \"b\" ]c""#,
    );
    check("<13>1 - - - - - -", "user info - - - | ");
    check("<13>1 - h app - - - ", "user info - h app | ");
    check("<13>1 - h app - - [broken text", "user info - - - | 1 - h app - - [broken text");
    check(
        "<30>Dec 31 23:59:59 web1 nginx[12]: up",
        "daemon info 2025-12-31T23:59:59 web1 nginx | up procid=12",
    );
    check("<30>Jan  1 00:00:01 web1 nginx: up", "daemon info 2026-01-01T00:00:01 web1 nginx | up");
    check("<30>Jan  1 2024 00:00:01 web1 nginx: up", "daemon info 2024-01-01T00:00:01 web1 nginx | up");
    check(
        "<30>Jan  1 00:00:01 nginx[12]: no host",
        "daemon info 2026-01-01T00:00:01 - nginx | no host procid=12",
    );
    check(
        "<30>2026-01-31T12:00:00Z web1 app: rsyslog's",
        "daemon info 2026-01-31T12:00:00 web1 app | rsyslog's",
    );
    check(
        "<30>Feb 29 00:00:01 web1 x: no such day",
        "daemon info - - - | Feb 29 00:00:01 web1 x: no such day",
    );
    check("<14>error: no app without a time\0", "user info - - - | error: no app without a time");
    check("<14>app[7]: python's\n", "user info - - app | python's procid=7");
    check("<192>x", "- - - - - | <192>x");
    check("just a line", "- - - - - | just a line");
    check("<0>", "kern fatal - - - | ");
}

fn frames(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
    let (mut frames, mut found) = (Frames::default(), Vec::new());
    pieces.iter().for_each(|piece| frames.push(piece, |frame| found.push(frame.bytes.to_vec())));
    frames.finish(|frame| found.push(frame.bytes.to_vec()));
    found
}

#[test]
fn frames_of_both_forms_in_one_stream() {
    let text = b"5 <1>ab<2>line\n<3>next\r\n7 <4>a\nbc12 is no length\n0 <5>x\n\n<6>last";
    let expected: Vec<&[u8]> =
        vec![b"<1>ab", b"<2>line", b"<3>next", b"<4>a\nbc", b"12 is no length", b"0 <5>x", b"<6>last"];
    assert_eq!(frames(&[text]), expected);
    let bytes: Vec<&[u8]> = text.chunks(1).collect();
    assert_eq!(frames(&bytes), expected);
}

#[test]
fn abuse_34_a_message_without_end_is_cut_and_says_so_and_the_next_is_there() {
    let piece = vec![b'x'; 1 << 20];
    let check = |head: &str, left_out: usize| {
        let (mut frames, mut found) = (Frames::default(), Vec::new());
        let endless = std::iter::repeat_n(piece.as_slice(), 100);
        for piece in [head.as_bytes()].into_iter().chain(endless).chain([b"\n<2>next\n".as_slice()]) {
            frames.push(piece, |frame| found.push((frame.bytes.len(), frame.left_out)));
            assert!(frames.waiting() <= MAX_MESSAGE + 10, "memory is bounded");
        }
        assert_eq!(found, [(MAX_MESSAGE, Some(left_out as u64)), ("<2>next".len(), None)]);
    };
    check("<1>", 0);
    let length = 3 + (100 << 20);
    check(&format!("{length} <1>"), length - MAX_MESSAGE);
    assert_eq!(frames(&[b"999999999 <", b"1>short"]), [b"<1>short"]);
}

#[test]
fn a_message_longer_than_a_record_is_whole_in_its_parts() {
    let text = "é".repeat(300_000);
    let message = format!("<14>1 - h app - - - {text}");
    for framed in [format!("{message}\n"), format!("{} {message}", message.len())] {
        let pieces: Vec<&[u8]> = framed.as_bytes().chunks(60_001).collect();
        let found = frames(&pieces);
        assert_eq!(found.len(), 1);
        let draft = draft(found.iter().map(|message| parse(message, now())), [10, 0, 0, 1].into());
        let parts = crate::parse::parts(draft.groups[0].lines[0].body.clone());
        let bytes: Vec<&[u8]> = parts.iter().map(|part| crate::parse::part(part).unwrap_or(part)).collect();
        assert_eq!((bytes.len(), bytes.concat() == text.as_bytes()), (3, true));
    }
}

#[test]
fn a_message_that_is_cut_before_its_end_says_so() {
    let (mut frames, mut found) = (Frames::default(), Vec::new());
    let mut keep = |frame: Frame<'_>| found.push((frame.bytes.to_vec(), frame.left_out));
    frames.cut(&mut keep);
    frames.push(b"20", &mut keep);
    frames.cut(&mut keep);
    frames.push(b" <1>wei\xc3", &mut keep);
    frames.cut(&mut keep);
    frames.push(b"123456789abcd<2>whole\n<3>half", &mut keep);
    frames.cut(&mut keep);
    frames.push(b" and\n<4>last\n", &mut keep);
    frames.finish(&mut keep);
    let expected: [(&[u8], Option<u64>); 4] =
        [(b"<1>wei", Some(14)), (b"<2>whole", None), (b"<3>half", Some(0)), (b"<4>last", None)];
    assert_eq!(found, expected.map(|(bytes, left_out)| (bytes.to_vec(), left_out)));

    let frame = Frame { bytes: b"<14>app[7]: half", left_out: Some(5) };
    let mut draft = draft([Message::of(frame, now())], [10, 0, 0, 1].into());
    let group = draft.groups.remove(0);
    assert_eq!(group.capped.messages, 1);
    let body = String::from_utf8_lossy(&group.lines[0].body);
    assert_eq!(body, "half …[cut by tiphys: 5 bytes more] procid=7");
}

#[test]
fn only_the_networks_that_are_named_may_send() {
    let config =
        SyslogConfig { from: vec!["10.0.0.0/8".parse().expect("a network")], ..SyslogConfig::default() };
    let allows = |address: &str| config.allows(address.parse().expect("an address"));
    assert!(allows("10.1.2.3") && allows("::ffff:10.1.2.3"));
    assert!(!allows("192.168.0.1") && !allows("::1"));
}

#[test]
fn abuse_27_a_message_stays_one_record() {
    let text = "<14>1 - h app - - - first\n<14>1 - h app - - - forged";
    let framed = format!("{} {text}", text.len());
    let found = frames(&[framed.as_bytes()]);
    assert_eq!(found.len(), 1);
    let draft = draft(found.iter().map(|message| parse(message, now())), [10, 0, 0, 1].into());
    assert_eq!(draft.groups.len(), 1);
    assert_eq!(draft.groups[0].lines[0].body, b"first\n<14>1 - h app - - - forged");
}

proptest! {
    #[test]
    fn any_bytes_are_a_message(bytes: Vec<u8>, text in "<[0-9]{1,3}>[ -~]{0,60}") {
        for bytes in [bytes.as_slice(), text.as_bytes()] {
            let text = parse(bytes, now()).text;
            let end = bytes.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r' | 0)).map_or(0, |last| last + 1);
            // What isn't understood stays: the text reaches to the end.
            prop_assert!(bytes[..end].ends_with(&text));
        }
    }

    #[test]
    fn frames_don_t_depend_on_how_the_bytes_come(
        messages in proptest::collection::vec(("<[0-9]{1,2}>[a-z0-9 <>]{0,30}", any::<bool>()), 0..10),
        cuts in proptest::collection::vec(1usize..40, 1..30),
    ) {
        let mut bytes = Vec::new();
        for (message, counted) in &messages {
            let framed = if *counted { format!("{} {message}", message.len()) } else { format!("{message}\n") };
            bytes.extend_from_slice(framed.as_bytes());
        }
        let mut rest = bytes.as_slice();
        let mut pieces = Vec::new();
        for cut in cuts {
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        pieces.push(rest);
        let expected: Vec<Vec<u8>> = messages.iter().map(|(message, _)| message.clone().into_bytes()).collect();
        prop_assert_eq!(frames(&pieces), expected);
    }
}
