//! The parser of a selector and the stages behind it.

use regex::Regex;

use super::{
    ast::{Compare, Convert, Kind, LabelFilter, MatchOp, Matcher, Pick, Quantity, Renamed, Stage},
    format,
    scan::{Result, Scan},
};
use crate::query::{number, weight};

/// Brackets in brackets of label filters.
const MAX_DEPTH: usize = 50;
/// Stages of a log query.
const MAX_STAGES: usize = 64;

/// `{a="b", c=~"d.*"}`
pub fn selector(scan: &mut Scan<'_>) -> Result<Vec<Matcher>> {
    scan.expect("{")?;
    let mut matchers = Vec::new();
    while !scan.eat("}") {
        if !matchers.is_empty() {
            scan.expect(",")?;
            if scan.eat("}") {
                break;
            }
        }
        let name = scan.word("a label's name")?;
        matchers.push(matcher(scan, name)?);
    }
    Ok(matchers)
}

fn matcher(scan: &mut Scan<'_>, name: &str) -> Result<Matcher> {
    let op = match_op(scan).ok_or_else(|| scan.unexpected("`=`, `!=`, `=~` or `!~`"))?;
    let value = checked(scan, op)?;
    Ok(Matcher { name: name.to_owned(), op, value })
}

fn match_op(scan: &mut Scan<'_>) -> Option<MatchOp> {
    let ops =
        [("=~", MatchOp::Regex), ("!~", MatchOp::NotRegex), ("!=", MatchOp::NotEqual), ("=", MatchOp::Equal)];
    ops.into_iter().find(|(sign, _)| scan.eat(sign)).map(|(_, op)| op)
}

/// A text; one that is a regular expression is checked.
fn checked(scan: &mut Scan<'_>, op: MatchOp) -> Result<String> {
    scan.space();
    let start = *scan;
    let text = scan.quoted()?;
    if matches!(op, MatchOp::Regex | MatchOp::NotRegex) {
        let (_, weight) = expression(&start, &text)?;
        scan.weigh(weight)?;
    }
    Ok(text)
}

/// A regular expression within bounds.
pub fn regex(pattern: &str) -> std::result::Result<Regex, regex::Error> {
    within(pattern, weight::MAX_PATTERN)
}

fn within(pattern: &str, bytes: usize) -> std::result::Result<Regex, regex::Error> {
    regex::RegexBuilder::new(pattern).size_limit(bytes).dfa_size_limit(weight::MAX_PATTERN).build()
}

/// A regular expression, and what it weighs.
fn expression(start: &Scan<'_>, pattern: &str) -> Result<(Regex, usize)> {
    weight::of_pattern(|bytes| within(pattern, bytes)).map_err(|error| {
        let cause = error.to_string();
        let cause = cause.lines().last().unwrap_or("").trim_start_matches("error: ").to_owned();
        start.error(format!("this regular expression can't be used: {cause}"))
    })
}

/// All stages that follow; stops at `[` and what else ends a log query.
pub fn stages(scan: &mut Scan<'_>) -> Result<Vec<Stage>> {
    let mut stages = Vec::new();
    loop {
        if stages.len() > MAX_STAGES {
            return Err(scan.error(format!("the query has more than {MAX_STAGES} stages")));
        }
        let line = [
            ("|=", MatchOp::Equal),
            ("!=", MatchOp::NotEqual),
            ("|~", MatchOp::Regex),
            ("!~", MatchOp::NotRegex),
        ];
        if scan.sees("|>") || scan.sees("!>") {
            return Err(scan.error("the pattern filters `|>` and `!>` are not understood: use `|~`"));
        }
        if let Some((_, op)) = line.into_iter().find(|(sign, _)| {
            // `!=` behind a whole expression compares it; a line filter has a text behind it.
            let mut ahead = *scan;
            ahead.eat(sign) && (ahead.sees_text() || ahead.peek_word() == "ip")
        }) {
            scan.space();
            scan.at += 2;
            stages.push(line_filter(scan, op)?);
        } else if scan.sees("|=") || scan.sees("|~") {
            scan.at += 2;
            return Err(scan.unexpected("a text in quotes"));
        } else if scan.eat("|") {
            stages.push(stage(scan)?);
        } else {
            return Ok(stages);
        }
    }
}

fn line_filter(scan: &mut Scan<'_>, op: MatchOp) -> Result<Stage> {
    if scan.peek_word() == "ip" {
        return Err(scan.error("`ip(...)` is not understood: filter with a text or a regular expression"));
    }
    let mut texts = vec![checked(scan, op)?];
    while scan.eat_word("or") {
        scan.part()?;
        texts.push(checked(scan, op)?);
    }
    Ok(Stage::Line { op, texts })
}

fn stage(scan: &mut Scan<'_>) -> Result<Stage> {
    scan.space();
    let start = *scan;
    let word = scan.peek_word();
    if word.is_empty() {
        return label_filter(scan, 0).map(Stage::Filter);
    }
    scan.at += word.len();
    Ok(match word {
        "json" => Stage::Json(picks(scan)?),
        "logfmt" => {
            let (mut strict, mut keep_empty) = (false, false);
            loop {
                if scan.eat("--strict") {
                    strict = true;
                } else if scan.eat("--keep-empty") {
                    keep_empty = true;
                } else {
                    break;
                }
            }
            Stage::Logfmt { strict, keep_empty, picks: picks(scan)? }
        }
        "regexp" => {
            scan.space();
            let at = *scan;
            let pattern = scan.quoted()?;
            let (regex, weight) = expression(&at, &pattern)?;
            scan.weigh(weight)?;
            if regex.capture_names().flatten().count() == 0 {
                return Err(at.error("this expression names no group: write (?P<name>...)"));
            }
            Stage::Regexp(pattern)
        }
        "pattern" => {
            scan.space();
            let at = *scan;
            let text = scan.quoted()?;
            crate::loki::capture::Capture::new(&text).map_err(|error| at.error(error))?;
            Stage::Pattern(text)
        }
        "unpack" => Stage::Unpack,
        "decolorize" => Stage::Decolorize,
        "line_format" => Stage::LineFormat(template(scan)?),
        "label_format" => Stage::LabelFormat(list(scan, renamed)?),
        "drop" => Stage::Drop(list(scan, pick)?),
        "keep" => Stage::Keep(list(scan, pick)?),
        "unwrap" => unwrap(scan)?,
        "distinct" => return Err(start.error("the stage `distinct` is not understood")),
        _ => {
            *scan = start;
            Stage::Filter(label_filter(scan, 0)?)
        }
    })
}

fn list<T>(scan: &mut Scan<'_>, one: fn(&mut Scan<'_>) -> Result<T>) -> Result<Vec<T>> {
    let mut all = vec![one(scan)?];
    while scan.eat(",") {
        all.push(one(scan)?);
    }
    Ok(all)
}

/// `label="path"` or a lone `label`, as `json` and `logfmt` take them.
fn picks(scan: &mut Scan<'_>) -> Result<Vec<(String, String)>> {
    if scan.peek_word().is_empty() || matches!(scan.peek_word(), "or" | "and" | "unless" | "offset") {
        return Ok(Vec::new());
    }
    list(scan, |scan| {
        let label = scan.word("a label's name")?.to_owned();
        let path = if scan.eat("=") { scan.quoted()? } else { label.clone() };
        Ok((label, path))
    })
}

fn template(scan: &mut Scan<'_>) -> Result<super::ast::Format> {
    scan.space();
    let start = *scan;
    let text = scan.quoted()?;
    format::parse(&text).map_err(|error| start.error(error))
}

fn renamed(scan: &mut Scan<'_>) -> Result<(String, Renamed)> {
    let label = scan.word("a label's name")?.to_owned();
    scan.expect("=")?;
    let renamed = match scan.sees_text() {
        true => Renamed::Text(template(scan)?),
        false => Renamed::Label(scan.word("a label's name, or a format in quotes")?.to_owned()),
    };
    Ok((label, renamed))
}

fn pick(scan: &mut Scan<'_>) -> Result<Pick> {
    let name = scan.word("a label's name")?;
    let mut ahead = *scan;
    match match_op(&mut ahead) {
        Some(_) => Ok(Pick::Where(matcher(scan, name)?)),
        None => Ok(Pick::Name(name.to_owned())),
    }
}

fn unwrap(scan: &mut Scan<'_>) -> Result<Stage> {
    let word = scan.word("a label's name")?;
    let convert =
        [Convert::Duration, Convert::DurationSeconds, Convert::Bytes].into_iter().find(|c| c.name() == word);
    match convert.filter(|_| scan.sees("(")) {
        None => Ok(Stage::Unwrap { label: word.to_owned(), convert: None }),
        convert => {
            scan.expect("(")?;
            let label = scan.word("a label's name")?.to_owned();
            scan.expect(")")?;
            Ok(Stage::Unwrap { label, convert })
        }
    }
}

/// `a="x" and (b>5 or c<=1s)`; `and` binds closer, a comma is an `and`.
fn label_filter(scan: &mut Scan<'_>, depth: usize) -> Result<LabelFilter> {
    let mut left = and_filter(scan, depth)?;
    while scan.eat_word("or") {
        scan.part()?;
        left = LabelFilter::Or(Box::new(left), Box::new(and_filter(scan, depth)?));
    }
    Ok(left)
}

fn and_filter(scan: &mut Scan<'_>, depth: usize) -> Result<LabelFilter> {
    let mut left = one_filter(scan, depth)?;
    loop {
        let next = scan.eat_word("and") || scan.eat(",") || {
            // Two filters side by side are both meant, unless an operator between vectors begins.
            let word = scan.peek_word();
            !word.is_empty() && !matches!(word, "or" | "unless" | "offset")
        };
        if !next {
            return Ok(left);
        }
        scan.part()?;
        left = LabelFilter::And(Box::new(left), Box::new(one_filter(scan, depth)?));
    }
}

fn one_filter(scan: &mut Scan<'_>, depth: usize) -> Result<LabelFilter> {
    if depth > MAX_DEPTH {
        return Err(scan.error("the brackets are nested too deeply"));
    }
    if scan.eat("(") {
        let inner = label_filter(scan, depth + 1)?;
        scan.expect(")")?;
        return Ok(inner);
    }
    let name = scan.word("a stage or a label's name")?;
    let mut ahead = *scan;
    if match_op(&mut ahead).is_some() && (ahead.sees_text()) {
        return matcher(scan, name).map(LabelFilter::Text);
    }
    if ahead.peek_word() == "ip" {
        return Err(
            ahead.error("`ip(...)` is not understood: compare the label with a text or an expression")
        );
    }
    let ops = [
        (">=", Compare::AtLeast),
        ("<=", Compare::AtMost),
        ("==", Compare::Equal),
        ("!=", Compare::NotEqual),
        (">", Compare::Greater),
        ("<", Compare::Less),
        ("=", Compare::Equal),
    ];
    let op = ops.into_iter().find(|(sign, _)| scan.eat(sign)).map(|(_, op)| op);
    let op = op.ok_or_else(|| scan.unexpected("a stage, or a comparison of the label"))?;
    Ok(LabelFilter::Number { name: name.to_owned(), op, value: quantity(scan)? })
}

fn quantity(scan: &mut Scan<'_>) -> Result<Quantity> {
    let text = scan.peek_quantity();
    let (kind, number) = if let Ok(number) = text.parse::<f64>() {
        (Kind::Plain, number)
    } else if let Some(seconds) = number::duration(text) {
        (Kind::Duration, seconds)
    } else if let Some(bytes) = number::size(text) {
        (Kind::Bytes, bytes)
    } else {
        return Err(scan.unexpected("a number, a time such as 1.5s, or a size such as 4KiB"));
    };
    if !number.is_finite() {
        return Err(scan.unexpected("a number that can be held"));
    }
    scan.at += text.len();
    Ok(Quantity { text: text.to_owned(), kind, number })
}
