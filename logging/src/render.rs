//! A record or a pattern as a line: for a terminal, or as JSON.
//!
//! What a container wrote is foreign text: escape sequences (colours, links,
//! clipboard, cursor) and carriage returns in it could forge or hide lines on
//! the reader's terminal, so every control character is shown, not sent. Colours are
//! the one exception, where the reader wants them: see [`Sgr`].

mod sgr;

use std::{borrow::Cow, fmt::Write};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;

pub use sgr::Sgr;

use crate::{
    query::Hits,
    wire::{FacetValue, LogRecord},
};

/// How a record is written for people.
#[derive(Debug, Clone, Copy, Default)]
pub struct Style<'a> {
    /// Colour the level and the Pod's name.
    pub colour: bool,
    /// Write the namespace before the Pod.
    pub namespace: bool,
    /// Write the time.
    pub time: bool,
    /// The record's time as another zone has it, RFC 3339 with nine decimals; `None`: as it is.
    pub local: Option<&'a str>,
    /// Records of this day (`2026-01-31`) are written without it.
    pub today: &'a str,
    /// Marked in the body, where there is colour.
    pub hits: Option<&'a Hits>,
    /// It stands beside what was asked for.
    pub aside: bool,
    /// What becomes of the colours in the body; they are kept where there is `colour` only.
    pub sgr: Sgr,
}

/// One line without its end: `time namespace/pod/container level body`. The further
/// lines of a trace stand indented below it, so that none can be taken for a record.
pub fn line(record: &LogRecord, style: Style<'_>) -> String {
    let mut line = String::with_capacity(record.body.len() + 80);
    if style.time {
        let whole = style.local.unwrap_or(&record.time);
        // Milliseconds are what people read, and behind nine decimals stands the offset.
        let time = whole.get(..23).filter(|_| whole.len() >= 30);
        let day = style.today.len() + 1;
        let clock = time.and_then(|time| time.get(day..)).filter(|_| whole.starts_with(style.today));
        let clock = clock.filter(|_| !style.today.is_empty());
        let shown = match (clock.or(time), whole.get(29..)) {
            (Some(time), Some(offset)) => escaped(&format!("{time}{offset}")),
            _ => escaped(whole),
        };
        paint(&mut line, style.colour.then_some(90), &shown);
        line.push(' ');
    }
    let mut name = String::new();
    if style.namespace {
        name.push_str(&escaped(&record.namespace));
        name.push('/');
    }
    name.push_str(&escaped(&record.pod));
    name.push('/');
    name.push_str(&escaped(&record.container));
    paint(&mut line, style.colour.then(|| pod_colour(&record.pod)), &name);
    line.push(' ');
    if record.level != "unknown" {
        let level = format!("{:5}", escaped(&record.level).to_uppercase());
        paint(&mut line, style.colour.then(|| level_colour(&record.level)).flatten(), &level);
        line.push(' ');
    }
    for (at, text) in record.body.split('\n').enumerate() {
        line.push_str(if at == 0 { "" } else { "\n    " });
        body(&mut line, text, style);
    }
    line
}

/// A line of a body with its hits marked, without the carriage return in which a terminal's lines end.
/// What is foreign is escaped piece by piece, so that no mark can be broken up by it.
fn body(line: &mut String, text: &str, style: Style<'_>) {
    let text = text.strip_suffix('\r').unwrap_or(text);
    let (text, marks) = match style.sgr {
        Sgr::Shown => (Cow::Borrowed(text), Vec::new()),
        Sgr::Dropped => (Cow::Owned(sgr::parted(text).0), Vec::new()),
        Sgr::Kept => {
            let (text, marks) = sgr::parted(text);
            (Cow::Owned(text), marks)
        }
    };
    if !style.colour || style.aside {
        let grey = style.colour && !text.is_empty();
        return paint(line, grey.then_some(90), &escaped(&text));
    }
    let hits = style.hits.map(|hits| hits.spans(&text)).unwrap_or_default();
    sgr::write(line, &text, &marks, &hits);
}

/// The body alone, its control characters shown but for the colours.
pub fn shown_body(record: &LogRecord, sgr: Sgr) -> String {
    let style = Style { colour: sgr == Sgr::Kept, sgr, ..Style::default() };
    let mut shown = String::with_capacity(record.body.len());
    for (at, text) in record.body.split('\n').enumerate() {
        shown.push_str(if at == 0 { "" } else { "\n" });
        body(&mut shown, text, style);
    }
    shown
}

/// Exactly the bytes that the container wrote: for files and pipes, never for a terminal.
pub fn raw_body(record: &LogRecord) -> Vec<u8> {
    let exact = record.body_base64.as_ref().and_then(|text| STANDARD.decode(text).ok());
    exact.unwrap_or_else(|| record.body.clone().into_bytes())
}

/// One JSON object with the keys time, namespace, pod, container, node, stream, level, body,
/// and `body_base64` where the body is not UTF-8. JSON escapes control characters itself.
pub fn jsonl(record: &LogRecord) -> String {
    let mut object = json!({
        "time": record.time,
        "namespace": record.namespace,
        "pod": record.pod,
        "container": record.container,
        "node": record.node,
        "stream": record.stream,
        "level": record.level,
        "body": record.body,
    });
    if let Some(bytes) = &record.body_base64 {
        object["body_base64"] = json!(bytes);
    }
    inert(&object.to_string())
}

/// All that is known of a record, its Pod's labels included, as one JSON object on a line.
pub fn json(record: &LogRecord) -> String {
    // Plain data with text as keys: it can be written.
    inert(&serde_json::to_string(record).unwrap_or_default())
}

/// A pattern behind its count, for people; a new one is marked when it was compared.
pub fn pattern(pattern: &FacetValue) -> String {
    let mark = match (pattern.before, pattern.new) {
        (None, _) => "",
        (_, true) => "new  ",
        (_, false) => "     ",
    };
    format!("{:>9}  {mark}{}", pattern.count, escaped(&pattern.value))
}

/// One JSON object with the keys count and pattern, first and last, and new when it was compared.
pub fn pattern_json(pattern: &FacetValue) -> String {
    let mut object = json!({ "count": pattern.count, "pattern": pattern.value });
    for (key, time) in [("first", &pattern.first), ("last", &pattern.last)] {
        if let Some(time) = time {
            object[key] = json!(time);
        }
    }
    if pattern.before.is_some() {
        object["new"] = json!(pattern.new);
    }
    inert(&object.to_string())
}

/// One JSON object with the keys field, value and count; without a value it is about all records
/// that have the field.
pub fn facet_json(field: &str, value: Option<&str>, count: u64) -> String {
    let mut object = json!({ "field": field, "count": count });
    if let Some(value) = value {
        object["value"] = json!(value);
    }
    inert(&object.to_string())
}

/// JSON with the C1 controls escaped too: some terminals act on them, and JSON leaves
/// them as they are.
pub fn inert(json: &str) -> String {
    let mut line = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '\u{7f}'..='\u{9f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                let _ = write!(line, "\\u{:04x}", u32::from(character));
            }
            other => line.push(other),
        }
    }
    line
}

/// The text with every control character made visible: `\x1b`, `\r`, `\u{9d}`. Tabs stay.
pub fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\t' => shown.push('\t'),
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\0'..='\u{1f}' | '\u{7f}' => {
                let _ = write!(shown, "\\x{:02x}", u32::from(character));
            }
            // C1 controls, and the marks that reverse the direction of what follows.
            '\u{80}'..='\u{9f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                let _ = write!(shown, "\\u{{{:x}}}", u32::from(character));
            }
            other => shown.push(other),
        }
    }
    shown
}

fn paint(line: &mut String, colour: Option<u8>, text: &str) {
    match colour {
        Some(colour) => {
            let _ = write!(line, "\x1b[{colour}m{text}\x1b[0m");
        }
        None => line.push_str(text),
    }
}

/// The same Pod has the same colour in every run.
fn pod_colour(pod: &str) -> u8 {
    const COLOURS: [u8; 8] = [36, 32, 35, 34, 96, 92, 95, 94];
    let sum = pod.bytes().fold(0usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte)));
    COLOURS[sum % COLOURS.len()]
}

fn level_colour(level: &str) -> Option<u8> {
    match level {
        "fatal" | "error" => Some(31),
        "warn" => Some(33),
        "debug" | "trace" => Some(90),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_lines() {
        let mut value =
            FacetValue { value: "GET <*>\n\tat\x1b[2J <ip>".into(), count: 12, ..FacetValue::default() };
        assert_eq!(pattern(&value), "       12  GET <*>\\n\tat\\x1b[2J <ip>");
        assert_eq!(pattern_json(&value), r#"{"count":12,"pattern":"GET <*>\n\tat\u001b[2J <ip>"}"#);
        (value.before, value.new) = (Some(0), true);
        assert!(pattern(&value).starts_with("       12  new  GET"));
        assert!(pattern_json(&value).contains(r#""new":true"#));
    }

    #[test]
    fn facets_are_objects() {
        let read = |text: String| serde_json::from_str::<serde_json::Value>(&text).expect("JSON");
        let value = facet_json("user\u{9b}", Some("a\x1bb"), 3);
        assert!(!value.chars().any(char::is_control), "{value}");
        assert_eq!(read(value), json!({"field": "user\u{9b}", "value": "a\x1bb", "count": 3}));
        assert_eq!(read(facet_json("took", None, 2)), json!({"field": "took", "count": 2}));
    }

    fn record(body: &str) -> LogRecord {
        LogRecord {
            time: "2026-01-31T12:00:00.123456789Z".into(),
            namespace: "default".into(),
            pod: "web-1".into(),
            container: "app".into(),
            level: "error".into(),
            body: body.into(),
            ..LogRecord::default()
        }
    }

    #[test]
    fn a_line_for_people() {
        let style = Style { time: true, namespace: true, ..Style::default() };
        assert_eq!(
            line(&record("it broke"), style),
            "2026-01-31T12:00:00.123Z default/web-1/app ERROR it broke"
        );
        let style = Style { today: "2026-01-31", namespace: false, ..style };
        assert_eq!(line(&record("it broke"), style), "12:00:00.123Z web-1/app ERROR it broke");
        let style = Style { today: "2026-02-01", ..style };
        assert_eq!(line(&record("it broke"), style), "2026-01-31T12:00:00.123Z web-1/app ERROR it broke");
    }

    #[test]
    fn a_line_in_another_zone() {
        let local = Some("2026-02-01T01:30:00.123456789+13:30");
        let style = Style { time: true, local, ..Style::default() };
        assert_eq!(line(&record("x"), style), "2026-02-01T01:30:00.123+13:30 web-1/app ERROR x");
        let style = Style { today: "2026-02-01", ..style };
        assert_eq!(line(&record("x"), style), "01:30:00.123+13:30 web-1/app ERROR x");
    }

    #[test]
    fn hits_are_marked_and_what_is_foreign_stays_escaped() {
        let hits = Hits::of(&crate::query::parse("broke OR /\\x1b/").expect("a query"));
        let style = Style { colour: true, hits: hits.as_ref(), ..Style::default() };
        let shown = line(&record("it broke\x1b[0m"), style);
        assert!(shown.ends_with("it \x1b[7mbroke\x1b[0m\x1b[7m\\x1b\x1b[0m[0m"), "{shown:?}");
        let aside = line(&record("it broke"), Style { aside: true, ..style });
        assert!(aside.ends_with("\x1b[90mit broke\x1b[0m"), "{aside:?}");
    }

    #[test]
    fn bodies_alone_are_exact_or_harmless() {
        let forged = LogRecord { body_base64: Some("G1szMW3/".into()), ..record("\x1b[31m\u{fffd}\na") };
        assert_eq!(raw_body(&forged), b"\x1b[31m\xff");
        assert_eq!(raw_body(&record("a\nb")), b"a\nb");
        assert_eq!(shown_body(&forged, Sgr::Shown), "\\x1b[31m\u{fffd}\na");
        assert_eq!(shown_body(&forged, Sgr::Dropped), "\u{fffd}\na");
        assert_eq!(shown_body(&forged, Sgr::Kept), "\x1b[31m\u{fffd}\x1b[0m\na");
    }

    #[test]
    fn abuse_26_no_control_character_reaches_the_terminal() {
        let evil = "\x1b[31mred\x1b]8;;http://evil\x07x\x1b]52;c;aGk=\x07\rforged\u{9b}2J\u{202e}txt\0\x7f";
        let mut forged = record(evil);
        forged.pod = "web\x1b[2J".into();
        let style = Style { time: true, namespace: true, ..Style::default() };
        for text in [line(&forged, style), jsonl(&forged), json(&forged)] {
            assert!(!text.chars().any(|c| c.is_control() || c == '\u{202e}'), "{text}");
        }
        assert!(line(&forged, style).contains("\\x1b[31mred\\x1b]8;;http://evil\\x07x"));
        let back: serde_json::Value = serde_json::from_str(&jsonl(&forged)).expect("JSON");
        assert_eq!(back["body"], evil);
    }

    #[test]
    fn abuse_26_colours_are_all_that_a_body_may_bring() {
        let others = "\x1b[2J\x1b]8;;http://evil\x07\r\u{9b}31m\u{202e}\x1b[?25l\x1b[1;31";
        let evil = &format!("\x1b[31mred\x1b[8mhidden{others}");
        let style = Style { sgr: Sgr::Dropped, ..Style::default() };
        let dropped = line(&record(evil), style);
        assert!(!dropped.chars().any(|c| c.is_control() || c == '\u{202e}'), "{dropped}");
        assert!(dropped.contains("redhidden\\x1b[2J\\x1b]8;;http://evil\\x07\\r\\u{9b}31m"), "{dropped}");
        let kept = line(&record(evil), Style { colour: true, sgr: Sgr::Kept, ..style });
        assert!(kept.contains("\x1b[31mredhidden\\x1b[2J") && kept.ends_with("\x1b[0m"), "{kept:?}");
        // Each escape that is left is a colour of ours.
        for sequence in kept.split('\x1b').skip(1) {
            let codes = sequence.strip_prefix('[').and_then(|rest| rest.split_once('m'));
            let (codes, _) = codes.expect("a colour");
            assert!(codes.parse::<u8>().is_ok_and(|code| code != 8), "{kept:?}");
        }
        assert!(!kept.replace('\x1b', "").chars().any(|c| c.is_control() || c == '\u{202e}'), "{kept:?}");
    }

    #[test]
    fn abuse_27_one_record_is_one_line() {
        let forged = record("a\n{\"body\":\"forged\"}\r\nb");
        assert_eq!(jsonl(&forged).lines().count(), 1);
        assert_eq!(json(&forged).lines().count(), 1);
        let shown = line(&forged, Style::default());
        let shown: Vec<_> = shown.lines().skip(1).collect();
        assert_eq!(shown, ["    {\"body\":\"forged\"}", "    b"]);
    }

    #[test]
    fn lines_of_a_terminal_end_where_they_seem_to() {
        let record = record("it broke\r\n\tat a\r\r\nb\rc\r");
        for sgr in [Sgr::Shown, Sgr::Dropped, Sgr::Kept] {
            assert_eq!(shown_body(&record, sgr), "it broke\n\tat a\\r\nb\\rc");
        }
        let shown = line(&record, Style::default());
        assert_eq!(shown, "web-1/app ERROR it broke\n    \tat a\\r\n    b\\rc");
        assert_eq!(raw_body(&record), record.body.as_bytes());
        assert!(jsonl(&record).contains("broke\\r\\n"));
    }
}
