//! The stages of a log query on lines, one after the other.
//!
//! Line filters see the text without terminal colours, as all of search does. What a
//! parser can't read is marked with the label `__error__` and goes on, as with Loki.

use regex::Regex;
use serde_json::Value;

use super::{
    capture::Capture,
    labels::{Labels, sanitized},
    logql::ast::{
        Convert, Format, Kind, LabelFilter, MatchOp, Matcher, Part, Pick, Quantity, Renamed, Stage,
    },
    logql::regex,
};
use crate::query::{fields, number, plain::plain_text};

/// A line on its way.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    pub text: String,
    pub labels: Labels,
    /// After `unwrap`.
    pub value: Option<f64>,
}

/// Stages ready to run.
pub struct Pipeline {
    stages: Vec<Ready>,
}

enum Ready {
    Line { not: bool, tests: Vec<LineTest> },
    Json(Vec<(String, Vec<String>)>),
    Logfmt { strict: bool, keep_empty: bool, picks: Vec<(String, String)> },
    Regexp(Regex),
    Pattern(Capture),
    Unpack,
    Filter(Filter),
    LineFormat(Format),
    LabelFormat(Vec<(String, Renamed)>),
    Decolorize,
    Drop(Vec<(String, Option<Test>)>),
    Keep(Vec<(String, Option<Test>)>),
    Unwrap(String, Option<Convert>),
}

enum LineTest {
    Text(String),
    Regex(Regex),
}

impl LineTest {
    fn holds(&self, text: &str) -> bool {
        match self {
            Self::Text(part) => text.contains(part),
            Self::Regex(regex) => regex.is_match(text),
        }
    }
}

/// A test of a label's value; one that is absent is empty.
pub struct Test {
    not: bool,
    is: Is,
}

enum Is {
    Text(String),
    Regex(Regex),
}

impl Test {
    pub fn new(matcher: &Matcher) -> Result<Self, ::regex::Error> {
        let not = matches!(matcher.op, MatchOp::NotEqual | MatchOp::NotRegex);
        let is = match matcher.op {
            MatchOp::Equal | MatchOp::NotEqual => Is::Text(matcher.value.clone()),
            _ => Is::Regex(regex(&format!("^(?s:{})$", matcher.value))?),
        };
        Ok(Self { not, is })
    }

    pub fn holds(&self, value: &str) -> bool {
        let holds = match &self.is {
            Is::Text(text) => value == text,
            Is::Regex(regex) => regex.is_match(value),
        };
        holds != self.not
    }
}

enum Filter {
    Text(String, Test),
    Number(String, super::logql::ast::Compare, Quantity),
    And(Box<Filter>, Box<Filter>),
    Or(Box<Filter>, Box<Filter>),
}

impl Filter {
    fn new(filter: &LabelFilter) -> Result<Self, ::regex::Error> {
        Ok(match filter {
            LabelFilter::Text(matcher) => Self::Text(matcher.name.clone(), Test::new(matcher)?),
            LabelFilter::Number { name, op, value } => Self::Number(name.clone(), *op, value.clone()),
            LabelFilter::And(a, b) => Self::And(Box::new(Self::new(a)?), Box::new(Self::new(b)?)),
            LabelFilter::Or(a, b) => Self::Or(Box::new(Self::new(a)?), Box::new(Self::new(b)?)),
        })
    }

    fn holds(&self, labels: &Labels) -> bool {
        match self {
            Self::Text(name, test) => test.holds(labels.get(name).map_or("", String::as_str)),
            // What is no number compares with none.
            Self::Number(name, op, value) => labels
                .get(name)
                .and_then(|text| measure(text, value.kind))
                .is_some_and(|number| op.holds(number, value.number)),
            Self::And(a, b) => a.holds(labels) && b.holds(labels),
            Self::Or(a, b) => a.holds(labels) || b.holds(labels),
        }
    }
}

fn measure(text: &str, kind: Kind) -> Option<f64> {
    match kind {
        Kind::Plain => text.parse().ok(),
        Kind::Duration => number::duration(text),
        Kind::Bytes => number::size(text).or_else(|| text.parse().ok()),
    }
}

impl Pipeline {
    pub fn new(stages: &[Stage]) -> Result<Self, String> {
        let ready: Result<_, ::regex::Error> = stages.iter().map(Ready::new).collect();
        Ok(Self { stages: ready.map_err(|error| error.to_string())? })
    }

    /// False when the line is left out.
    pub fn run(&self, line: &mut Line) -> bool {
        self.stages.iter().all(|stage| stage.run(line))
    }
}

impl Ready {
    fn new(stage: &Stage) -> Result<Self, ::regex::Error> {
        Ok(match stage {
            Stage::Line { op, texts } => {
                let test = |text: &String| match op {
                    MatchOp::Equal | MatchOp::NotEqual => Ok(LineTest::Text(text.clone())),
                    _ => regex(text).map(LineTest::Regex),
                };
                let tests = texts.iter().map(test).collect::<Result<_, _>>()?;
                Self::Line { not: matches!(op, MatchOp::NotEqual | MatchOp::NotRegex), tests }
            }
            Stage::Json(picks) => {
                Self::Json(picks.iter().map(|(label, at)| (label.clone(), path(at))).collect())
            }
            Stage::Logfmt { strict, keep_empty, picks } => {
                Self::Logfmt { strict: *strict, keep_empty: *keep_empty, picks: picks.clone() }
            }
            Stage::Regexp(pattern) => Self::Regexp(regex(pattern)?),
            // The parser has read it before.
            Stage::Pattern(text) => Self::Pattern(Capture::new(text).map_err(::regex::Error::Syntax)?),
            Stage::Unpack => Self::Unpack,
            Stage::Filter(filter) => Self::Filter(Filter::new(filter)?),
            Stage::LineFormat(format) => Self::LineFormat(format.clone()),
            Stage::LabelFormat(renamed) => Self::LabelFormat(renamed.clone()),
            Stage::Decolorize => Self::Decolorize,
            Stage::Drop(picks) => Self::Drop(ready_picks(picks)?),
            Stage::Keep(picks) => Self::Keep(ready_picks(picks)?),
            Stage::Unwrap { label, convert } => Self::Unwrap(label.clone(), *convert),
        })
    }

    fn run(&self, line: &mut Line) -> bool {
        match self {
            Self::Line { not, tests } => {
                let text = plain_text(&line.text);
                return tests.iter().any(|test| test.holds(&text)) != *not;
            }
            Self::Filter(filter) => return filter.holds(&line.labels),
            Self::Json(picks) => json(line, picks),
            Self::Logfmt { strict, keep_empty, picks } => logfmt(line, *strict, *keep_empty, picks),
            Self::Regexp(regex) => {
                let text = std::mem::take(&mut line.text);
                if let Some(captures) = regex.captures(&text) {
                    for name in regex.capture_names().flatten() {
                        extract(
                            &mut line.labels,
                            name,
                            captures.name(name).map_or("", |found| found.as_str()),
                        );
                    }
                }
                line.text = text;
            }
            Self::Pattern(capture) => {
                let text = std::mem::take(&mut line.text);
                capture.each(&text, |name, value| extract(&mut line.labels, name, value));
                line.text = text;
            }
            Self::Unpack => unpack(line),
            Self::LineFormat(format) => line.text = formatted(format, line),
            Self::LabelFormat(renamed) => rename(line, renamed),
            Self::Decolorize => line.text = plain_text(&line.text).into_owned(),
            Self::Drop(picks) => {
                line.labels.retain(|name, value| !picked(picks, name, value));
            }
            Self::Keep(picks) => {
                line.labels.retain(|name, value| picked(picks, name, value) || name.starts_with("__error"));
            }
            Self::Unwrap(label, convert) => unwrap(line, label, *convert),
        }
        true
    }
}

fn ready_picks(picks: &[Pick]) -> Result<Vec<(String, Option<Test>)>, ::regex::Error> {
    let ready = |pick: &Pick| {
        Ok(match pick {
            Pick::Name(name) => (name.clone(), None),
            Pick::Where(matcher) => (matcher.name.clone(), Some(Test::new(matcher)?)),
        })
    };
    picks.iter().map(ready).collect()
}

fn picked(picks: &[(String, Option<Test>)], name: &str, value: &str) -> bool {
    picks.iter().any(|(pick, test)| pick == name && test.as_ref().is_none_or(|test| test.holds(value)))
}

fn fail(labels: &mut Labels, error: &str) {
    labels.insert("__error__".into(), error.into());
}

/// Adds a label that a parser found; one that the stream has keeps its name.
fn extract(labels: &mut Labels, name: &str, value: &str) {
    let name = sanitized(name);
    let name = if labels.contains_key(&name) { format!("{name}_extracted") } else { name };
    labels.insert(name, value.to_owned());
}

fn json(line: &mut Line, picks: &[(String, Vec<String>)]) {
    let Ok(value) = serde_json::from_str::<Value>(&line.text) else {
        return fail(&mut line.labels, "JSONParserErr");
    };
    if !value.is_object() {
        return fail(&mut line.labels, "JSONParserErr");
    }
    if picks.is_empty() {
        return flatten(&value, &mut String::new(), &mut |name, text| extract(&mut line.labels, name, text));
    }
    for (label, path) in picks {
        let step = |value: &'_ Value, step: &String| -> Option<Value> {
            match value {
                Value::Array(values) => values.get(step.parse::<usize>().ok()?).cloned(),
                other => other.get(step).cloned(),
            }
        };
        let found = path.iter().try_fold(value.clone(), |value, name| step(&value, name));
        extract(&mut line.labels, label, &found.and_then(|value| text_of(&value)).unwrap_or_default());
    }
}

/// `a.b[0]["c"]` in its steps.
fn path(text: &str) -> Vec<String> {
    let steps = text.split(['.', '[', ']', '"']).filter(|step| !step.is_empty());
    steps.map(str::to_owned).collect()
}

/// Nested names joined by `_`; arrays are passed over.
fn flatten(value: &Value, path: &mut String, found: &mut dyn FnMut(&str, &str)) {
    let Value::Object(fields) = value else { return };
    for (key, value) in fields {
        let before = path.len();
        path.push_str(if before > 0 { "_" } else { "" });
        path.push_str(key);
        match value {
            Value::Object(_) => flatten(value, path, found),
            Value::Array(_) | Value::Null => {}
            other => found(path, &text_of(other).unwrap_or_default()),
        }
        path.truncate(before);
    }
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

fn logfmt(line: &mut Line, strict: bool, keep_empty: bool, picks: &[(String, String)]) {
    let mut pairs: Vec<(String, String)> = Vec::new();
    fields::logfmt(line.text.as_bytes(), |key, value| pairs.push((key.to_owned(), value.into_owned())));
    let words = line.text.split_ascii_whitespace().count();
    if strict && pairs.is_empty() && words > 0 {
        return fail(&mut line.labels, "LogfmtParserErr");
    }
    if picks.is_empty() {
        for (key, value) in pairs.iter().filter(|(_, value)| keep_empty || !value.is_empty()) {
            extract(&mut line.labels, key, value);
        }
        return;
    }
    for (label, key) in picks {
        let value = pairs.iter().find(|(other, _)| other == key).map_or("", |(_, value)| value);
        extract(&mut line.labels, label, value);
    }
}

/// A JSON object of labels with the line in `_entry`.
fn unpack(line: &mut Line) {
    let Ok(Value::Object(fields)) = serde_json::from_str::<Value>(&line.text) else {
        return fail(&mut line.labels, "JSONParserErr");
    };
    for (key, value) in &fields {
        match (key.as_str(), value) {
            ("_entry", Value::String(text)) => line.text = text.clone(),
            (_, Value::String(text)) => extract(&mut line.labels, key, text),
            _ => {}
        }
    }
}

fn formatted(format: &Format, line: &Line) -> String {
    let mut text = String::new();
    for part in &format.0 {
        text.push_str(match part {
            Part::Text(literal) => literal,
            Part::Label(name) => line.labels.get(name).map_or("", String::as_str),
            Part::Line => &line.text,
        });
    }
    text
}

fn rename(line: &mut Line, renamed: &[(String, Renamed)]) {
    for (label, value) in renamed {
        match value {
            Renamed::Label(other) => {
                if let Some(value) = line.labels.remove(other) {
                    line.labels.insert(label.clone(), value);
                }
            }
            Renamed::Text(format) => {
                let text = formatted(format, line);
                line.labels.insert(label.clone(), text);
            }
        }
    }
}

/// The label's number becomes the line's value. Without the label there is none.
fn unwrap(line: &mut Line, label: &str, convert: Option<Convert>) {
    let Some(text) = line.labels.remove(label) else { return };
    line.value = match convert {
        None => text.parse().ok(),
        Some(Convert::Duration | Convert::DurationSeconds) => number::duration(&text),
        Some(Convert::Bytes) => number::size(&text).or_else(|| text.parse().ok()),
    };
    if line.value.is_none() {
        fail(&mut line.labels, "SampleExtractionErr");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loki::logql::parse_selector;

    /// What comes of a line with the label `pod="web-1"`.
    fn run(stages: &str, text: &str) -> Option<(String, Vec<(String, String)>)> {
        let query = parse_selector(&format!("{{}} {stages}")).expect(stages);
        let labels = [("pod".to_owned(), "web-1".to_owned())].into();
        let mut line = Line { text: text.into(), labels, value: None };
        Pipeline::new(&query.stages).expect(stages).run(&mut line).then(|| {
            line.labels.remove("pod");
            (line.text, line.labels.into_iter().collect())
        })
    }

    #[test]
    fn stages_filter_and_extract() {
        let json = r#"{"status":503,"took":"12ms","http":{"path":"/a","x-y":null},"tags":[1,"b"],"pod":"x"}"#;
        let kept = |stages: &str, text: &str| run(stages, text).is_some();
        let labels = |stages: &str, text: &str| {
            let labels = run(stages, text).expect(stages).1;
            labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
        };
        assert!(kept(r#"|= "503" != "504" |~ "sta.us" !~ "x{3}""#, json));
        assert!(kept(r#"|= "nothing" or "503""#, json) && !kept(r#"!= "nothing" or "503""#, json));
        assert!(kept(r#"|= "an error""#, "an \x1b[31merror\x1b[0m"));
        assert_eq!(labels("| json", json), "http_path=/a pod_extracted=x status=503 took=12ms");
        assert_eq!(labels(r#"| json a="http.path", b="tags[1]", c="none""#, json), "a=/a b=b c=");
        assert_eq!(labels("| json", "no json"), "__error__=JSONParserErr");
        assert!(kept("| json | status >= 500 and took < 1s", json));
        assert!(!kept("| json | status >= 504", json) && !kept("| json | missing > 1", json));
        assert!(kept(r#"| json | missing = "" | status =~ "5..""#, json));
        assert!(kept(r#"| json | status = "200" or http_path != "/b""#, json));
        assert_eq!(labels("| logfmt", r#"a=1 b="two words" c= 7"#), "a=1 b=two words");
        assert_eq!(labels("| logfmt --keep-empty", "a=1 c="), "a=1 c=");
        assert_eq!(labels("| logfmt --strict", "no pairs"), "__error__=LogfmtParserErr");
        assert_eq!(labels(r#"| logfmt x="b""#, "a=1 b=2"), "x=2");
        assert_eq!(labels(r#"| regexp "(?P<verb>\\w+) (?P<path>\\S+)""#, "GET /a 1"), "path=/a verb=GET");
        assert_eq!(labels(r#"| pattern "<verb> <_> <n>""#, "GET /a 1"), "n=1 verb=GET");
        assert_eq!(
            run(r#"| unpack"#, r#"{"a":"b","_entry":"text"}"#),
            Some(("text".into(), vec![("a".into(), "b".into())]))
        );
        assert_eq!(run(r#"| logfmt | line_format "{{.a}}-{{__line__}}""#, "a=1").expect("kept").0, "1-a=1");
        assert_eq!(labels(r#"| logfmt | label_format c=a, d="{{.b}}!""#, "a=1 b=2"), "b=2 c=1 d=2!");
        assert_eq!(labels("| logfmt | drop a", "a=1 b=2"), "b=2");
        assert_eq!(labels(r#"| logfmt | keep a, b="3""#, "a=1 b=2"), "a=1");
    }

    #[test]
    fn values_are_unwrapped_with_their_units() {
        let value = |stages: &str, text: &str| {
            let query =
                crate::loki::logql::parse(&format!("sum_over_time({{}} {stages} [1s])")).expect(stages);
            let crate::loki::logql::Query::Metric(crate::loki::logql::ast::Metric::Range(range)) = query
            else {
                panic!("{stages}")
            };
            let mut line = Line { text: text.into(), labels: Labels::new(), value: None };
            assert!(Pipeline::new(&range.logs.stages).expect(stages).run(&mut line));
            (line.value, line.labels.get("__error__").cloned())
        };
        assert_eq!(value("| logfmt | unwrap a", "a=1.5"), (Some(1.5), None));
        assert_eq!(value("| logfmt | unwrap duration(a)", "a=1m30s"), (Some(90.0), None));
        assert_eq!(value("| logfmt | unwrap bytes(a)", "a=4KiB"), (Some(4096.0), None));
        assert_eq!(value("| logfmt | unwrap b", "a=1"), (None, None));
        assert_eq!(value("| logfmt | unwrap a", "a=x"), (None, Some("SampleExtractionErr".into())));
    }
}
