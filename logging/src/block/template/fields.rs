//! Fields of bodies, read from a template and the columns of its variables.
//!
//! ```text
//! {"status":<1>,"user":"u<1>"}   -> status: the first variable's column; user: `u` and the second's
//! took=<1>ms ok=true             -> took: the first column and `ms`; ok: `true` for all records
//! <4> - - [<6> +<1>] "GET ...    -> remote_addr: the first column; method: `GET` for all records
//! ```
//!
//! What is read here is what [`crate::query::fields`] finds in the body, or nothing is
//! read at all: a variable has letters, digits and a few signs, never a quote, a
//! backslash or a bracket, so the form of a JSON or logfmt body is its template's. Two
//! things depend on the variables and are looked at: whether one that stands for a
//! JSON number is a number, and names, which is why a field whose name has a digit is
//! not answered here. Lines of other formats are read from the template as
//! [`lines`] reads them from a body; what it asks of variables is looked at too.

use std::borrow::Cow;

use serde_json::Value;

use super::{
    Piece, Template, class,
    marked::{MARK, Marked, SPACED, is_spaced, mark, slot_of},
    pieces,
};
use crate::query::{
    fields,
    lines::{self, Run},
    plain::{ESC, plain_text},
};

/// A name so long might be a UUID's.
const LONGEST_NAME: usize = 35;

/// The form of a template's bodies.
#[derive(Debug)]
pub struct Form {
    shape: Shape,
    /// Texts with variables, of a JSON body.
    texts: Vec<Text>,
    /// Variables that must be decimal; those marked without leading zeros.
    decimals: Vec<(usize, bool)>,
    /// Variables that must be such runs.
    runs: Vec<(usize, Run)>,
}

#[derive(Debug)]
enum Shape {
    Json(Value),
    Text {
        marked: String,
        /// What the line's format says, and whether that comes before pairs.
        own: Vec<(&'static str, String)>,
        leads: bool,
    },
}

/// A field's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldValue {
    /// The same for all records of the template.
    Fixed(String),
    Variable(Text),
}

/// Text with variables in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    parts: Vec<Part>,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Slot(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    /// Of a JSON string: escapes are to be read.
    Escaped,
    /// A JSON number.
    Number,
}

impl Form {
    /// The form of bodies with this key; `None` when only a whole body tells.
    pub fn of(key: &[u8]) -> Option<Self> {
        let mut parts = Vec::new();
        let mut classes = Vec::new();
        for piece in pieces(key) {
            match piece {
                Piece::Slot(class::WHOLE) => return None,
                Piece::Slot(class) => {
                    // An escape, or a part of one.
                    if matches!(parts.last(), Some(Part::Literal(text)) if text.ends_with('\\')) {
                        return None;
                    }
                    classes.push(class);
                    parts.push(Part::Slot(classes.len() - 1));
                }
                Piece::Literal(text) if text.contains(&ESC) => return None,
                Piece::Literal(text) => parts.push(Part::Literal(std::str::from_utf8(text).ok()?.to_owned())),
            }
        }
        let begins = match parts.first() {
            Some(Part::Literal(text)) => {
                text.trim_start_matches(|c: char| c.is_ascii_whitespace()).starts_with('{')
            }
            _ => false,
        };
        if begins {
            let mut scan = Scan::default();
            for part in &parts {
                scan.part(part)?;
            }
            if let Some(json) = scan.finish()?.as_deref().and_then(|json| fields::json(json.as_bytes())) {
                let (texts, decimals) = (scan.texts, scan.decimals);
                return Some(Self { shape: Shape::Json(json), texts, decimals, runs: Vec::new() });
            }
        }
        let text = parts.iter().map(|part| match part {
            Part::Literal(text) => text.clone(),
            // A time with a space in it ends an unquoted value.
            Part::Slot(at) if is_spaced(classes[*at]) => format!("{0} {0}", mark(*at + SPACED)),
            Part::Slot(at) => mark(*at),
        });
        Self::of_text(text.collect(), &classes)
    }

    /// Of bodies that are no JSON: their text with marks, and the classes of its variables.
    fn of_text(marked: String, classes: &[u8]) -> Option<Self> {
        let mut told = Marked { classes, runs: Vec::new(), unsure: false };
        let mut own = Vec::new();
        let format = lines::read(&marked, &mut told, &mut |name, part| own.push((name, part.value())));
        let Marked { runs, unsure, .. } = told;
        if unsure {
            return None;
        }
        let leads = format.is_some_and(lines::Format::leads);
        let shape = Shape::Text { marked, own, leads };
        Some(Self { shape, texts: Vec::new(), decimals: Vec::new(), runs })
    }

    /// Whether it is the form of all records, whatever their variables are.
    pub fn is_certain(&self) -> bool {
        self.decimals.is_empty() && self.runs.is_empty()
    }

    /// Whether it is the form of the records with these variables.
    pub fn fits(&self, template: &Template<'_>) -> bool {
        self.decimals.iter().all(|(slot, canonical)| template.is_decimal(*slot, *canonical))
            && self.runs.iter().all(|(slot, run)| template.is_run(*slot, *run))
    }

    /// The values of a field; `None` when only a whole body tells.
    pub fn values(&self, name: &str) -> Option<Vec<FieldValue>> {
        if name.len() > LONGEST_NAME || name.bytes().any(|byte| byte.is_ascii_digit()) || name.contains(MARK)
        {
            return None;
        }
        match &self.shape {
            Shape::Json(json) => {
                let mut found = Vec::new();
                fields::along(json, name, &mut found);
                let value = |text: String| match text.strip_prefix(MARK) {
                    None => Some(FieldValue::Fixed(text)),
                    Some(number) => {
                        self.texts.get(number.parse::<usize>().ok()?).cloned().map(FieldValue::Variable)
                    }
                };
                found.into_iter().map(value).collect()
            }
            Shape::Text { marked, own, leads } => {
                let mut found = Vec::new();
                fields::paired(marked.as_bytes(), name, &mut found);
                let mut values: Vec<_> = found.into_iter().map(logfmt_value).collect::<Option<_>>()?;
                if let Some((_, text)) = own.iter().find(|(own, _)| *own == name) {
                    values.insert(if *leads { 0 } else { values.len() }, text_value(text)?);
                }
                Some(values)
            }
        }
    }
}

fn logfmt_value(text: String) -> Option<FieldValue> {
    // Escapes were not read, because of the mark.
    if text.contains(MARK) && text.contains('\\') { None } else { text_value(&text) }
}

fn text_value(text: &str) -> Option<FieldValue> {
    if !text.contains(MARK) {
        return Some(FieldValue::Fixed(text.to_owned()));
    }
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(MARK) {
        if at > 0 {
            parts.push(Part::Literal(rest[..at].to_owned()));
        }
        let number = rest[at + 1..].chars().next()?;
        let slot = slot_of(number)?;
        rest = &rest[at + 1 + number.len_utf8()..];
        // Where its space stands tells only the body.
        if slot >= SPACED {
            return None;
        }
        parts.push(Part::Slot(slot));
    }
    if !rest.is_empty() {
        parts.push(Part::Literal(rest.to_owned()));
    }
    Some(FieldValue::Variable(Text { parts, kind: Kind::Plain }))
}

impl Text {
    /// The value of the template's record `at`, which was written at `time`.
    pub fn read(&self, template: &Template<'_>, at: usize, time: i64) -> Option<String> {
        let mut bytes = Vec::new();
        self.read_into(&mut bytes, template, at, time).map(Cow::into_owned)
    }

    /// The same by way of a buffer, for who asks record after record.
    pub fn read_into<'b>(
        &self,
        bytes: &'b mut Vec<u8>,
        template: &Template<'_>,
        at: usize,
        time: i64,
    ) -> Option<Cow<'b, str>> {
        bytes.clear();
        for part in &self.parts {
            match part {
                Part::Literal(text) => bytes.extend_from_slice(text.as_bytes()),
                Part::Slot(slot) => template.write_slot(bytes, *slot, at, time)?,
            }
        }
        let text = std::str::from_utf8(bytes).ok()?;
        match self.kind {
            Kind::Plain => Some(text.into()),
            Kind::Escaped => {
                let read: String = serde_json::from_str(&format!("\"{text}\"")).ok()?;
                Some(plain_text(&read).into_owned().into())
            }
            Kind::Number => {
                serde_json::from_str::<serde_json::Number>(text).ok().map(|number| number.to_string().into())
            }
        }
    }
}

/// Makes the JSON of a template: each text with variables becomes a string with its number.
#[derive(Default)]
struct Scan {
    json: String,
    texts: Vec<Text>,
    decimals: Vec<(usize, bool)>,
    /// What is being read: a string, or characters outside of strings.
    parts: Vec<Part>,
    in_string: bool,
    escaped: bool,
}

impl Scan {
    /// `None` when only a whole body tells.
    fn part(&mut self, part: &Part) -> Option<()> {
        let Part::Literal(text) = part else {
            self.parts.push(part.clone());
            return Some(());
        };
        for character in text.chars() {
            if self.in_string {
                if character == '"' && !self.escaped {
                    self.end_string()?;
                    continue;
                }
                self.escaped = character == '\\' && !self.escaped;
                self.push(character);
            } else if character == '"' {
                self.end_bare()?;
                self.in_string = true;
            } else if character.is_ascii_whitespace() || "{}[]:,".contains(character) {
                self.end_bare()?;
                self.json.push(character);
            } else {
                self.push(character);
            }
        }
        Some(())
    }

    fn push(&mut self, character: char) {
        match self.parts.last_mut() {
            Some(Part::Literal(text)) => text.push(character),
            _ => self.parts.push(Part::Literal(character.into())),
        }
    }

    fn has_slot(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Slot(_)))
    }

    /// `None` for one that can't be read, whatever its variables are.
    fn end_string(&mut self) -> Option<()> {
        self.in_string = false;
        let parts = std::mem::take(&mut self.parts);
        if parts.iter().all(|part| matches!(part, Part::Literal(_))) {
            let text = parts.into_iter().map(|part| match part {
                Part::Literal(text) => text,
                Part::Slot(_) => String::new(),
            });
            self.json.push('"');
            self.json.extend(text);
            self.json.push('"');
            return Some(());
        }
        let escaped = parts.iter().any(|part| matches!(part, Part::Literal(text) if text.contains('\\')));
        if escaped {
            let text: String = parts
                .iter()
                .map(|part| match part {
                    Part::Literal(text) => text.as_str(),
                    Part::Slot(_) => "0",
                })
                .collect();
            serde_json::from_str::<String>(&format!("\"{text}\"")).ok()?;
        }
        self.number(Text { parts, kind: if escaped { Kind::Escaped } else { Kind::Plain } });
        Some(())
    }

    fn number(&mut self, text: Text) {
        self.json.push_str(&format!("\"\\u0000{}\"", self.texts.len()));
        self.texts.push(text);
    }

    /// A word or number ends; one with variables must be a number.
    fn end_bare(&mut self) -> Option<()> {
        if !self.has_slot() {
            for part in std::mem::take(&mut self.parts) {
                if let Part::Literal(text) = part {
                    self.json.push_str(&text);
                }
            }
            return Some(());
        }
        let parts = std::mem::take(&mut self.parts);
        let unsigned = match parts.as_slice() {
            [Part::Literal(sign), rest @ ..] if sign == "-" => rest,
            all => all,
        };
        match unsigned {
            [Part::Slot(whole)] => self.decimals.push((*whole, true)),
            [Part::Slot(whole), Part::Literal(point), Part::Slot(fraction)] if point == "." => {
                self.decimals.extend([(*whole, true), (*fraction, false)]);
            }
            _ => return None,
        }
        self.number(Text { parts, kind: Kind::Number });
        Some(())
    }

    /// The JSON; `Some(None)` when it ends in the middle of a string, as the bodies do.
    fn finish(&mut self) -> Option<Option<String>> {
        if self.in_string {
            return Some(None);
        }
        self.end_bare()?;
        Some(Some(std::mem::take(&mut self.json)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::block::template::{Scratch, split, write_slot};

    const TIME: i64 = 1_709_251_199_123_456_789;

    /// Checks each of some bodies with one template, for each name, against the bodies;
    /// how many values were read from columns.
    fn check(bodies: &[String], names: &[&str]) -> usize {
        let (mut key, mut first) = (Vec::new(), Vec::new());
        let mut rows = Vec::new();
        for body in bodies {
            let mut variables = Vec::new();
            split(body.as_bytes(), TIME, &mut key, &mut variables);
            if first.is_empty() {
                first.clone_from(&key);
            }
            if key == first {
                rows.push((body, variables));
            }
        }
        let slots: Vec<u8> = pieces(&first)
            .filter_map(|piece| if let Piece::Slot(class) = piece { Some(class) } else { None })
            .collect();
        let mut columns = Vec::new();
        for (at, class) in slots.iter().enumerate() {
            let column = rows.iter().map(|(body, variables)| (body.as_bytes(), variables[at]));
            write_slot(&mut columns, *class, column, &mut Scratch::default());
        }
        let template = Template::read(&first, &columns, rows.len()).expect("what was written");
        let Some(form) = Form::of(&first) else { return 0 };
        let mut read = 0;
        for name in names {
            let Some(values) = form.values(name).filter(|_| form.fits(&template)) else { continue };
            for (at, (body, _)) in rows.iter().enumerate() {
                let found: Vec<String> = values
                    .iter()
                    .map(|value| match value {
                        FieldValue::Fixed(text) => text.clone(),
                        FieldValue::Variable(text) => text.read(&template, at, TIME).expect("a value"),
                    })
                    .collect();
                let plain = crate::query::plain::plain(body.as_bytes());
                assert_eq!(found, fields::values(&plain, name), "{name} of {body}");
                read += found.len();
            }
        }
        read
    }

    #[test]
    fn usual_fields_are_read_from_columns() {
        let read = |body: &str, names: &[&str], count: usize| {
            assert_eq!(check(&[body.to_owned(), body.to_owned()], names), 2 * count, "{body}");
        };
        read(
            r#"{"status":503,"ok":true,"user":{"id":"u7"},"t":1.50,"n":-12}"#,
            &["status", "ok", "user.id", "t", "n", "user"],
            6,
        );
        read(
            r#"{"msg":"took 5ms of \"10\"","at":"2024-02-29 23:59:59,123","tags":["a1","b",3]}"#,
            &["msg", "at", "tags"],
            5,
        );
        read(r#"level=info took=12ms msg="GET /a/7 done" ip=10.0.0.1"#, &["level", "took", "msg", "ip"], 4);
        read(r#"time="2024-02-29 23:59:59" x=1"#, &["x"], 1);
        read(r#"{"k8s":1,"id2":{"a":1},"http":{"x1":2,"y":3}}"#, &["http.y", "a"], 1);
        read(
            r#"10.0.0.1 - bob [29/Feb/2024:23:59:59 +0000] "GET /a/7?b=c HTTP/1.1" 502 157 "-" "x status=1 y" 5 0.003"#,
            &[
                "remote_addr",
                "user",
                "method",
                "path",
                "query",
                "protocol",
                "status",
                "bytes",
                "duration",
                "referer",
            ],
            10,
        );
        read(
            r#"[2024-02-29T23:59:59.000Z] "GET /a HTTP/2" 503 UF 0 91 12 - "-" "curl" "1f" "shop" "10.1.0.7:80""#,
            &["status", "duration", "bytes", "bytes_received", "request_id", "upstream_host", "host", "user"],
            7,
        );
        read("E0131 12:00:00.123456      7 main.go:116] a=b", &["file", "line", "thread", "a"], 4);
        let syslog = ["hostname", "appname", "procid", "msgid"];
        read("<165>1 2024-02-29T23:59:59Z web-1 nginx 12 ID47 - up", &syslog, 4);
        read("<30>Jan  2 23:59:59 10.0.0.1 su[12]: up", &syslog, 3);
        read("2024-02-29T23:59:59.123456-05:00 web-1 su: up", &syslog, 2);
        // Only the whole body tells.
        for body in [
            r#"{"a":"\u0041","b":1}"#,
            r#"{"a":"11\cc","a":true}"#,
            r#"{"a":0123}"#,
            r#"{"a":12ms}"#,
            "a=\x1b[31mb1",
            r#"{"a":1e5}"#,
            r#"10.0.0.1 - - [31/Feb/2024:23:59:59 +0000] "GET / HTTP/1.1" 502 157"#,
        ] {
            read(body, &["a", "b", "status"], 0);
        }
    }

    fn body() -> impl Strategy<Value = String> {
        let value = prop_oneof![
            "-?[0-9]{1,4}",
            "[0-9]{1,20}",
            "-?[0-9]{1,2}\\.[0-9]{1,3}",
            "0[0-9]{1,2}",
            "[0-9]e[0-9]",
            "[0-9]{1,3}(ms|s|KiB|x)",
            "true|null|a",
            "\"[a-c0-9 .:=/-]{0,8}\"",
            "\"[a-c1]{0,2}(\\\\n|\\\\\"|\\\\u0041|\\\\7|\\\\)[0-9a]{0,3}\"",
            "\"2024-02-29[ T]23:59:59(\\.[0-9]{1,3})?\"",
            "2024-02-29 23:59:59",
            "10\\.0\\.0\\.[0-9]{1,3}",
            "3f2504e0-4f89-41d3-9a0c-0305e82c330[0-9]",
            "\\[[0-9],\"a[0-9]\"\\]",
            "\\{\"b\":[0-9],\"c\":\"x[0-9]\"\\}",
        ];
        let name = prop_oneof![Just("a"), Just("b"), Just("a.b"), Just("b7"), Just("c")];
        let pair = (name, value);
        let pairs = proptest::collection::vec(pair, 0..4);
        let extra = prop_oneof![5 => Just(""), 1 => Just(" 12 \"x"), 1 => Just(" a=7=8 é1"), 1 => Just("}")];
        (pairs, any::<bool>(), extra).prop_map(|(pairs, json, extra)| {
            let pairs: Vec<String> = pairs
                .iter()
                .map(
                    |(name, value)| {
                        if json { format!("\"{name}\":{value}") } else { format!("{name}={value}") }
                    },
                )
                .collect();
            if json {
                format!("{{{}}}{extra}", pairs.join(","))
            } else {
                format!("{}{extra}", pairs.join(" "))
            }
        })
    }

    /// Parts of lines of known formats, in any order, and times and numbers where they don't belong.
    fn line() -> impl Strategy<Value = String> {
        let part = proptest::sample::select(vec![
            "10.0.0.3 - -",
            "a4 10.0.0.3 - bob5",
            "[24/Feb/2024:23:59:59 +0000]",
            "[2024-02-24T23:59:59.333Z]",
            "[2024-02-24T23:59:59.3333333333Z]",
            "[main3]",
            "\"GET /a4?b=5 HTTP/1.1\"",
            "\"- - -\"",
            "\"a status=3 b\"",
            "200",
            "3",
            "4a",
            "-",
            "0.5",
            "a3.5",
            "15ms",
            "UF",
            "E0303",
            "13:00:00.5",
            "2024-02-24T23:59:59",
            "2024-02-24 23:59:59",
            "main.go:15]",
            "2024-02-24T23:59:59.go:3]",
            "<33>1",
            "<33>Jan  3 03:03:03",
            "Jan  3 03:03:03",
            "su[5]:",
            "x5:",
            "2024-02-24T23:59:59:",
            "24/Feb/2024:23:59:59",
            "path=/b5 line=7",
        ]);
        proptest::collection::vec(part, 0..10).prop_map(|parts| parts.join(" "))
    }

    /// Other digits in the same places.
    fn alike(body: &str, digits: &[u8]) -> String {
        let mut next = digits.iter().cycle();
        let other = |c: char| match (c, next.next()) {
            ('3'..='9', Some(digit)) => char::from(b'0' + digit % 10),
            _ => c,
        };
        body.chars().map(other).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1500))]
        #[test]
        fn what_is_read_from_columns_is_what_bodies_say(body in body(), digits in proptest::collection::vec(any::<u8>(), 1..9)) {
            let mut bodies = vec![body.clone()];
            for at in 1..6 {
                bodies.push(alike(&body, &digits[at % digits.len()..]));
            }
            check(&bodies, &["a", "b", "a.b", "c", "a.c", "b7"]);
            check(&bodies[..2], &["a", "b", "a.b", "c"]);
        }

        #[test]
        fn what_is_read_from_columns_is_what_lines_say(body in line(), digits in proptest::collection::vec(any::<u8>(), 1..9)) {
            let mut bodies = vec![body.clone()];
            for at in 1..6 {
                bodies.push(alike(&body, &digits[at % digits.len()..]));
            }
            const NAMES: [&str; 12] = [
                "remote_addr", "user", "host", "path", "status", "bytes", "duration", "file", "line", "hostname",
                "appname", "procid",
            ];
            check(&bodies, &NAMES);
            check(&bodies[..2], &NAMES);
        }
    }
}
