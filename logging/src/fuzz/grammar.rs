//! Inputs made along the rules of their language: queries that are understood, and
//! requests of which it is known what must be stored.

use std::fmt::Write;

use serde_json::{Value, json};

use super::{Dice, doors::GRPC, rounds};
use crate::query;

const WORDS: [&str; 12] =
    ["error", "time*", "?x", "a.b", "ns", "größe", "x-1", "0x1f", "\"a b\"", "\"*\\\"\"", "10ms", "AND"];
const NAMES: [&str; 8] = ["ns", "pod", "level", "status", "http.path", "@label.tier", "@body.tier", "time"];
const VALUES: [&str; 14] = [
    "500",
    "web-*",
    "\"a b\"",
    "*",
    "/^a|b$/",
    ">=500",
    "<1.5s",
    "[1 TO 5]",
    "{* TO 10ms}",
    "(a OR -b)",
    ">=warn",
    "=500",
    "=\"a b\"",
    "-1h",
];

/// A query of the language; not every one is meant to be understood.
pub fn query(dice: &mut Dice, depth: usize) -> String {
    match dice.below(if depth == 0 { 3 } else { 8 }) {
        0 => (*dice.pick(&WORDS)).to_owned(),
        1 => format!("{}:{}", dice.pick(&NAMES), dice.pick(&VALUES)),
        2 => ["/t(ime)?out/", "/a\\/b/", "/[/", "*", ""][dice.below(5)].to_owned(),
        3 => format!("({})", query(dice, depth - 1)),
        4 => format!("{}{}", ["-", "!", "NOT "][dice.below(3)], query(dice, depth - 1)),
        _ => {
            let joint = [" ", " AND ", " OR ", " && ", "  "][dice.below(5)];
            format!("{}{joint}{}", query(dice, depth - 1), query(dice, depth - 1))
        }
    }
}

#[test]
fn a_query_that_is_understood_reads_the_same_when_it_is_written_out() {
    let mut understood = 0;
    rounds(3_000, |dice, name| {
        let text = query(dice, 5);
        if let Ok(parsed) = query::parse(&text) {
            understood += 1;
            assert_eq!(query::parse(&parsed.to_string()).as_ref(), Ok(&parsed), "{name}: {text}");
        }
    });
    assert!(understood > 1_000, "hardly anything is understood: {understood}");
}

/// A query of LogQL, of lines or of numbers.
pub fn logql(dice: &mut Dice, depth: usize) -> String {
    const STAGES: [&str; 14] = [
        "|= \"error\"",
        "!~ `x{1,3}`",
        "| json",
        "| json a=\"b.c\"",
        "| logfmt",
        "| regexp `(?P<x>\\d+)`",
        "| pattern \"<_> <m> <p>\"",
        "| unpack",
        "| status >= 500",
        "| took > 10ms and (size < 4KiB or a=\"b\")",
        "| line_format \"{{.a}} {{__line__}}\"",
        "| label_format a=b,c=\"{{.d}}\"",
        "| decolorize",
        "| drop a, b=~\"c\"",
    ];
    let mut text = ["{a=\"b\"}", "{a=~\".+\", b!=\"c\"}", "{namespace=`shop`}"][dice.below(3)].to_owned();
    for _ in 0..dice.below(5) {
        write!(text, " {}", dice.pick(&STAGES)).expect("into a string");
    }
    if depth == 0 || dice.below(3) == 0 {
        return text;
    }
    let range = match dice.below(4) {
        0 => format!("rate({text} [5m])"),
        1 => format!("count_over_time({text}[1h] offset 5m)"),
        2 => format!("quantile_over_time(0.99, {text} | unwrap duration(took) [1m]) by (a)"),
        _ => format!("sum_over_time({text} | unwrap x | __error__=\"\" [30s])"),
    };
    match dice.below(5) {
        0 => range,
        1 => format!("sum by (a, b) ({range})"),
        2 => format!("topk({}, {range})", dice.below(9)),
        3 => format!("{range} / {}", logql(dice, depth - 1)),
        _ => format!(
            "max without (c) ({range}) {} {}",
            [">", "> bool", "and", "^"][dice.below(4)],
            dice.below(9)
        ),
    }
}

#[test]
fn logql_that_is_understood_reads_the_same_when_it_is_written_out() {
    let mut understood = 0;
    rounds(3_000, |dice, name| {
        let text = logql(dice, 2);
        if let Ok(parsed) = crate::loki::logql::parse(&text) {
            understood += 1;
            let again = crate::loki::logql::parse(&parsed.to_string());
            assert_eq!(again.map_err(|error| error.to_string()).as_ref(), Ok(&parsed), "{name}: {text}");
        }
    });
    assert!(understood > 1_000, "hardly anything is understood: {understood}");
}

/// A good request for a door: path, content type, body, and the lines that it has.
pub struct Good {
    pub path: &'static str,
    pub kind: &'static str,
    pub body: Vec<u8>,
    pub lines: Vec<String>,
}

/// A text without white space at its ends, and of any characters between.
fn line(dice: &mut Dice, number: usize) -> String {
    let odd = ["ü", "\u{7f}", "\"", "\\", "{", "a=b", "\t", "\u{1b}[31m", "<script>", "\n", " "];
    let middle: String = (0..dice.below(12)).map(|_| odd[dice.below(odd.len())]).collect();
    format!("line{number}x {middle} end")
}

/// A few lines, numbered from `first`.
pub fn lines(dice: &mut Dice, first: usize) -> Vec<String> {
    (0..1 + dice.below(8)).map(|at| line(dice, first + at)).collect()
}

/// Messages of syslog, each with its length before it.
pub fn syslog(lines: &[String]) -> String {
    let framed = |line: &String| {
        let message = format!("<13>1 - fuzz app - - - {line}");
        format!("{} {message}", message.len())
    };
    lines.iter().map(framed).collect()
}

/// A request of a few lines, numbered from `first`.
pub fn good(dice: &mut Dice, first: usize) -> Good {
    let lines = lines(dice, first);
    let time = |at: usize| (1_700_000_000_000_000_000_u64 + at as u64).to_string();
    let (path, kind, body) = match dice.below(5) {
        0 => {
            let record = |(at, line): (usize, &String)| json!({"timeUnixNano": time(at), "body": {"stringValue": line}});
            let records: Vec<Value> = lines.iter().enumerate().map(record).collect();
            let body = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]});
            ("/v1/logs", "application/json", body.to_string())
        }
        door @ (1 | 2) => {
            let texts: Vec<&str> = lines.iter().map(String::as_str).collect();
            let body = prost::Message::encode_to_vec(&crate::doors::tests::otlp(None, &texts));
            let (path, kind) =
                if door == 1 { ("/v1/logs", "application/x-protobuf") } else { (GRPC, "application/grpc") };
            return Good { path, kind, body, lines };
        }
        3 => {
            let values: Vec<Value> =
                lines.iter().enumerate().map(|(at, line)| json!([time(at), line])).collect();
            let body = json!({"streams": [{"stream": {"app": "web"}, "values": values}]});
            ("/loki/api/v1/push", "application/json", body.to_string())
        }
        _ => {
            let document = |line: &String| format!("{{\"create\":{{}}}}\n{}\n", json!({"message": line}));
            ("/_bulk", "application/x-ndjson", lines.iter().map(document).collect())
        }
    };
    Good { path, kind, body: body.into_bytes(), lines }
}
