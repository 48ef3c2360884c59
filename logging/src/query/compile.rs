//! A query made ready to run.
//!
//! The tests at the leaves of a query are numbered. What is known of a stream or
//! a block gives each leaf a [`Verdict`]; three-valued logic over them says
//! whether a block can be skipped, taken whole, or must be looked into:
//!
//! ```text
//! on_stream (names, labels) -> on_times, on_block (levels, tokens) -> verdict -> matches (record by record)
//!                                                                  -> on_template, on_row before it,
//!                                                                     and needs: what a record must have
//! ```

use std::{borrow::Cow, cell::OnceCell, collections::BTreeMap};

use regex::bytes::{Regex, RegexBuilder};

use super::{
    ast::{Expr, Glob, Op, Text, Value},
    fields, glob,
    lines::{self, Formats},
    number,
    plain::plain,
    required::{self, Letters},
    seen::is_literal,
    text, times, weight,
};
use crate::{
    record::{Level, Record, Source, StreamInfo},
    time,
};

/// What is known without looking at records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// No record matches.
    No,
    Maybe,
    /// Every record matches.
    Yes,
}

impl Verdict {
    pub(super) fn of(known: bool) -> Self {
        if known { Verdict::Yes } else { Verdict::No }
    }
}

/// A stream's names and its Pod's labels.
#[derive(Debug, Clone, Copy)]
pub struct StreamView<'a> {
    pub info: &'a StreamInfo,
    pub labels: Option<&'a BTreeMap<String, String>>,
}

impl<'a> StreamView<'a> {
    /// What the stream says of `name`, if it is the name of one of its own fields.
    pub fn own(self, name: &str) -> Option<Option<Cow<'a, str>>> {
        match name.strip_prefix(OF_LABEL) {
            Some(name) => Some(self.label_like(name).map(Cow::Borrowed)),
            None => meta(name).map(|field| field.value(self)),
        }
    }

    /// A label with this name, or one that has it but for characters such as `.`, `/` and `-`.
    fn label_like(self, name: &str) -> Option<&'a str> {
        let same = |a: char, b: char| a == b || (b == '_' && !a.is_ascii_alphanumeric());
        let like = |key: &str| {
            key.chars().count() == name.chars().count()
                && key.chars().zip(name.chars()).all(|(a, b)| same(a, b))
        };
        let labels = self.labels?;
        let found =
            labels.get(name).or_else(|| labels.iter().find(|(key, _)| like(key)).map(|(_, value)| value));
        found.map(String::as_str)
    }

    /// A label of the stream's Pod.
    pub fn label(self, key: &str) -> Option<&'a str> {
        self.labels.and_then(|labels| labels.get(key)).map(String::as_str)
    }
}

/// A query ready to run.
#[derive(Debug)]
pub struct Compiled {
    root: Node,
    pub(super) leaves: Vec<Leaf>,
}

#[derive(Debug)]
enum Node {
    All,
    Leaf(usize),
    Not(Box<Node>),
    And(Vec<Node>),
    Or(Vec<Node>),
}

#[derive(Debug)]
pub(super) enum Leaf {
    /// Finds something in the body, which then has these tokens. `in_template`: if it
    /// is anywhere, it is in the body's template.
    Body { regex: Regex, tokens: Vec<Vec<u8>>, letters: Vec<Letters>, in_template: bool },
    /// A name of the stream.
    Meta { field: Meta, test: Test },
    /// One bit a level.
    Level(u8),
    /// One bit a source.
    Source(u8),
    /// Nanoseconds, both counted in.
    Time { from: i64, to: i64 },
    /// A label of the Pod and nothing else.
    Label { name: String, test: Test },
    /// A label where labels count, or a field of the body; the body then has these tokens, but
    /// for the first, which is the field's name, if it is a line of one of these formats.
    Field { name: String, label: Option<Test>, body: Test, tokens: Vec<Vec<u8>>, formats: Formats },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meta {
    Namespace,
    Pod,
    Container,
    Node,
    Uid,
    Restart,
    App,
}

impl Meta {
    fn value(self, view: StreamView<'_>) -> Option<Cow<'_, str>> {
        let info = view.info;
        let name = match self {
            Meta::Namespace => info.namespace.as_str(),
            Meta::Pod => info.pod.as_str(),
            Meta::Container => info.container.as_str(),
            Meta::Node => info.node.as_str(),
            Meta::Uid => info.uid.as_str(),
            Meta::Restart => return Some(Cow::Owned(info.restart.to_string())),
            Meta::App => return view.labels.and_then(app).map(Cow::Borrowed),
        };
        Some(Cow::Borrowed(name))
    }
}

/// A test of a text.
#[derive(Debug)]
pub(super) enum Test {
    Exists,
    /// The whole text is this, whatever the case of its ASCII letters.
    Like(String),
    /// The whole text is this, to the letter.
    Is(String),
    Regex(Regex),
    /// From, to, and whether the ends count.
    Number {
        from: f64,
        from_counts: bool,
        to: f64,
        to_counts: bool,
    },
}

/// The labels that name an application, the first one present counts.
const APP_LABELS: [&str; 3] = ["app.kubernetes.io/name", "app", "k8s-app"];

/// The application that a Pod's labels name, as `app:` means it.
pub fn app(labels: &BTreeMap<String, String>) -> Option<&str> {
    APP_LABELS.iter().find_map(|key| labels.get(*key)).map(String::as_str)
}

/// `level` takes level names only.
pub(super) fn is_level(name: &str) -> bool {
    name == "level"
}

/// Fields that every record has, or its stream.
pub(super) fn is_meta(name: &str) -> bool {
    name == "stream" || meta(name).is_some() || name.starts_with(OF_LABEL)
}

fn meta(name: &str) -> Option<Meta> {
    Some(match name {
        "ns" | "namespace" => Meta::Namespace,
        "pod" => Meta::Pod,
        "container" => Meta::Container,
        "node" => Meta::Node,
        "uid" => Meta::Uid,
        "restart" => Meta::Restart,
        "app" => Meta::App,
        _ => return None,
    })
}

/// Of those the ones that are numbers: they can be compared.
pub(super) fn is_count(name: &str) -> bool {
    meta(name) == Some(Meta::Restart)
}

/// A regular expression within bounds of size; its time is linear in the text.
pub(super) fn regex(pattern: &str) -> Result<Regex, String> {
    within(pattern, weight::MAX_PATTERN).map_err(|error| why(&error))
}

/// What a regular expression weighs: see [`weight`].
pub(super) fn weigh(pattern: &str) -> Result<usize, String> {
    let found = weight::of_pattern(|bytes| within(pattern, bytes));
    found.map(|(_, bytes)| bytes).map_err(|error| why(&error))
}

fn within(pattern: &str, bytes: usize) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).size_limit(bytes).dfa_size_limit(weight::MAX_PATTERN).build()
}

fn why(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(_) => "it is too big".to_string(),
        // The last line names the cause; those before draw the pattern, which we do ourselves.
        other => other.to_string().lines().last().unwrap_or("").trim_start_matches("error: ").to_string(),
    }
}

/// Whether a regular expression finds something in a text; `None` when it can't be used.
pub fn finds(pattern: &str, text: &str) -> Option<bool> {
    regex(pattern).ok().map(|regex| regex.is_match(text.as_bytes()))
}

/// The pattern behind a wildcard; for the parser's check.
pub(super) fn glob_pattern(pattern: &Glob) -> Result<String, String> {
    Ok(glob::within(&Text::Glob(pattern.clone())))
}

impl Compiled {
    /// Makes a parsed query ready. An error is a sentence; [`super::parse`] has
    /// found it before with its place.
    pub fn new(expr: &Expr) -> Result<Self, String> {
        let mut leaves = Vec::new();
        let root = node(expr, &mut leaves)?;
        Ok(Self { root, leaves })
    }

    /// What the stream alone says of each leaf.
    pub fn on_stream(&self, view: StreamView<'_>) -> Vec<Verdict> {
        self.leaves.iter().map(|leaf| leaf.on_stream(view)).collect()
    }

    /// What a block says beside: its levels (a bit each), and whether it may have a token.
    pub fn on_block(&self, verdicts: &mut [Verdict], levels: u8, mut may_have: impl FnMut(&[u8]) -> bool) {
        for (leaf, verdict) in self.leaves.iter().zip(verdicts) {
            if *verdict != Verdict::Maybe {
                continue;
            }
            *verdict = match leaf {
                Leaf::Level(mask) if mask & levels == 0 => Verdict::No,
                Leaf::Level(mask) if mask & levels == levels => Verdict::Yes,
                Leaf::Body { tokens, .. } | Leaf::Field { tokens, .. } => {
                    let possible = tokens.iter().all(|token| may_have(token));
                    if possible { Verdict::Maybe } else { Verdict::No }
                }
                _ => Verdict::Maybe,
            };
        }
    }

    /// What they say of a record with this level and source.
    pub fn on_row(&self, verdicts: &[Verdict], time: i64, level: Level, source: Source) -> Verdict {
        self.root.verdict(&|leaf| match (verdicts[leaf], &self.leaves[leaf]) {
            (Verdict::Maybe, Leaf::Level(mask)) => Verdict::of(mask & (1 << level as u8) != 0),
            (Verdict::Maybe, Leaf::Source(mask)) => Verdict::of(mask & (1 << source as u8) != 0),
            (Verdict::Maybe, Leaf::Time { from, to }) => Verdict::of((*from..=*to).contains(&time)),
            (verdict, _) => verdict,
        })
    }

    /// Whether something of the records but their bodies is asked that their block doesn't tell.
    pub fn asks_rows(&self, verdicts: &[Verdict]) -> bool {
        let of_row = |leaf: &Leaf| matches!(leaf, Leaf::Level(_) | Leaf::Source(_) | Leaf::Time { .. });
        self.leaves.iter().zip(verdicts).any(|(leaf, verdict)| *verdict == Verdict::Maybe && of_row(leaf))
    }

    /// The leaves that ask for a field of the body, with its name.
    pub fn field_leaves(&self) -> impl Iterator<Item = (usize, &str)> {
        self.leaves.iter().enumerate().filter_map(|(at, leaf)| match leaf {
            Leaf::Field { name, .. } => Some((at, name.as_str())),
            _ => None,
        })
    }

    /// What such a leaf says of the values that the field has in a body.
    pub fn on_values(&self, leaf: usize, mut values: impl Iterator<Item = impl AsRef<str>>) -> Verdict {
        match &self.leaves[leaf] {
            Leaf::Field { body, .. } => Verdict::of(values.any(|value| body.holds(value.as_ref()))),
            _ => Verdict::Maybe,
        }
    }

    /// All tokens that [`Compiled::on_block`] may ask for.
    pub fn tokens(&self) -> impl Iterator<Item = &[u8]> {
        self.leaves
            .iter()
            .flat_map(|leaf| match leaf {
                Leaf::Body { tokens, .. } | Leaf::Field { tokens, .. } => tokens.as_slice(),
                _ => &[],
            })
            .map(Vec::as_slice)
    }

    /// What the leaves' verdicts say together.
    pub fn verdict(&self, verdicts: &[Verdict]) -> Verdict {
        self.root.verdict(&|leaf| verdicts[leaf])
    }

    /// Whether a record matches; `verdicts` are of its stream or block.
    pub fn matches(&self, verdicts: &[Verdict], record: &Record) -> bool {
        self.matches_parts(verdicts, record.time, record.level, record.source, &record.body)
    }

    /// The same of a record in parts.
    pub fn matches_parts(
        &self,
        verdicts: &[Verdict],
        time: i64,
        level: Level,
        source: Source,
        body: &[u8],
    ) -> bool {
        let text = OnceCell::new();
        let text = || &**text.get_or_init(|| plain(body));
        self.root.matches(&|leaf| match verdicts[leaf] {
            Verdict::Yes => true,
            Verdict::No => false,
            Verdict::Maybe => self.leaves[leaf].matches(time, level, source, &text),
        })
    }
}

impl Node {
    fn verdict(&self, of: &dyn Fn(usize) -> Verdict) -> Verdict {
        match self {
            Node::All => Verdict::Yes,
            Node::Leaf(leaf) => of(*leaf),
            Node::Not(inner) => match inner.verdict(of) {
                Verdict::No => Verdict::Yes,
                Verdict::Maybe => Verdict::Maybe,
                Verdict::Yes => Verdict::No,
            },
            Node::And(parts) => {
                parts.iter().map(|part| part.verdict(of)).min_by_key(rank).unwrap_or(Verdict::Yes)
            }
            Node::Or(parts) => {
                parts.iter().map(|part| part.verdict(of)).max_by_key(rank).unwrap_or(Verdict::No)
            }
        }
    }

    fn matches(&self, leaf: &dyn Fn(usize) -> bool) -> bool {
        match self {
            Node::All => true,
            Node::Leaf(at) => leaf(*at),
            Node::Not(inner) => !inner.matches(leaf),
            Node::And(parts) => parts.iter().all(|part| part.matches(leaf)),
            Node::Or(parts) => parts.iter().any(|part| part.matches(leaf)),
        }
    }
}

fn rank(verdict: &Verdict) -> u8 {
    *verdict as u8
}

impl Leaf {
    fn on_stream(&self, view: StreamView<'_>) -> Verdict {
        match self {
            Leaf::Meta { field, test } => {
                Verdict::of(field.value(view).is_some_and(|value| test.holds(&value)))
            }
            Leaf::Label { name, test } => {
                let value = view.own(name).flatten();
                Verdict::of(value.is_some_and(|value| test.holds(&value)))
            }
            Leaf::Field { name, label: test, .. } => {
                let held = test.as_ref().zip(view.label(name)).map(|(test, value)| test.holds(value));
                let labelled = held.unwrap_or(false);
                if labelled { Verdict::Yes } else { Verdict::Maybe }
            }
            _ => Verdict::Maybe,
        }
    }

    /// `text` gives the record's body as search sees it.
    fn matches<'a>(&self, time: i64, level: Level, source: Source, text: &dyn Fn() -> &'a [u8]) -> bool {
        match self {
            Leaf::Body { regex, .. } => regex.is_match(text()),
            Leaf::Level(mask) => mask & (1 << level as u8) != 0,
            Leaf::Source(mask) => mask & (1 << source as u8) != 0,
            Leaf::Time { from, to } => (*from..=*to).contains(&time),
            Leaf::Field { name, body, .. } => {
                fields::values(text(), name).iter().any(|value| body.holds(value))
            }
            // A stream's leaf always has a verdict of its own.
            Leaf::Meta { .. } | Leaf::Label { .. } => false,
        }
    }
}

impl Test {
    fn holds(&self, value: &str) -> bool {
        match self {
            Test::Exists => true,
            Test::Like(text) => text.eq_ignore_ascii_case(value),
            Test::Is(text) => text == value,
            Test::Regex(regex) => regex.is_match(value.as_bytes()),
            Test::Number { from, from_counts, to, to_counts } => number::parse(value).is_some_and(|value| {
                (value > *from || (*from_counts && value == *from))
                    && (value < *to || (*to_counts && value == *to))
            }),
        }
    }
}

fn node(expr: &Expr, leaves: &mut Vec<Leaf>) -> Result<Node, String> {
    let all = |parts: &[Expr], leaves: &mut Vec<Leaf>| -> Result<Vec<Node>, String> {
        parts.iter().map(|part| node(part, leaves)).collect()
    };
    let leaf = match expr {
        Expr::All => return Ok(Node::All),
        Expr::Not(inner) => return Ok(Node::Not(Box::new(node(inner, leaves)?))),
        Expr::And(parts) => return Ok(Node::And(all(parts, leaves)?)),
        Expr::Or(parts) => return Ok(Node::Or(all(parts, leaves)?)),
        Expr::Text(text) => {
            let tokens = glob::required_tokens(text);
            let in_template =
                matches!(text, Text::Exact(_)) && !tokens.is_empty() && tokens.iter().all(is_literal);
            Leaf::Body { regex: regex(&glob::within(text))?, tokens, letters: Vec::new(), in_template }
        }
        Expr::Regex(pattern) => {
            let letters = required::letters(pattern);
            Leaf::Body { regex: regex(pattern)?, tokens: Vec::new(), letters, in_template: false }
        }
        Expr::Field { name, value } => field(name, value)?,
    };
    leaves.push(leaf);
    Ok(Node::Leaf(leaves.len() - 1))
}

/// Before a field's name: the field of the body, whatever names and labels there are.
pub(crate) const OF_BODY: &str = "@body.";
/// Before a label's name: the Pod's label, whatever fields the body has. `_` stands for
/// any character that is no letter or digit.
pub const OF_LABEL: &str = "@label.";

fn field(name: &str, value: &Value) -> Result<Leaf, String> {
    if let Some(name) = name.strip_prefix(OF_BODY) {
        return field_of_body(name, value, None);
    }
    if name.starts_with(OF_LABEL) {
        return Ok(Leaf::Label { name: name.to_owned(), test: test(value, true)? });
    }
    if is_level(name) {
        return level_mask(value).map(Leaf::Level);
    }
    if times::is_time(name) {
        let (from, to) = times::interval(value, time::now())?;
        return Ok(Leaf::Time { from, to });
    }
    if name == "stream" {
        let test = test(value, true)?;
        let bit = |source: Source| u8::from(test.holds(source.name())) << source as u8;
        return Ok(Leaf::Source(bit(Source::Stdout) | bit(Source::Stderr)));
    }
    if let Some(field) = meta(name) {
        return Ok(Leaf::Meta { field, test: test(value, true)? });
    }
    field_of_body(name, value, Some(test(value, true)?))
}

fn field_of_body(name: &str, value: &Value, label: Option<Test>) -> Result<Leaf, String> {
    let mut tokens = text::tokens(name.as_bytes());
    if !lines::is_respelt(name) {
        match value {
            Value::Text(text @ Text::Exact(_)) => tokens.extend(glob::required_tokens(text)),
            Value::Is(text) => tokens.extend(text::tokens(text.as_bytes())),
            _ => {}
        }
    }
    let formats = lines::with_name(name);
    Ok(Leaf::Field { name: name.to_owned(), label, body: test(value, false)?, tokens, formats })
}

/// `whole`: a name or label, compared from end to end. A field of a body has words.
fn test(value: &Value, whole: bool) -> Result<Test, String> {
    Ok(match value {
        Value::Exists => Test::Exists,
        Value::Text(Text::Exact(text)) if !whole && text.is_empty() => Test::Regex(regex(r"\A\z")?),
        Value::Text(text @ Text::Exact(_)) if !whole => Test::Regex(regex(&glob::within(text))?),
        Value::Text(Text::Exact(text)) => Test::Like(text.clone()),
        Value::Is(text) => Test::Is(text.clone()),
        Value::Text(text) => Test::Regex(regex(&glob::whole(text))?),
        Value::Regex(pattern) => Test::Regex(regex(pattern)?),
        Value::Compare(op, bound) => {
            let bound = bound_of(bound)?;
            let (low, high) = (f64::NEG_INFINITY, f64::INFINITY);
            match op {
                Op::Less => Test::Number { from: low, from_counts: true, to: bound, to_counts: false },
                Op::AtMost => Test::Number { from: low, from_counts: true, to: bound, to_counts: true },
                Op::Greater => Test::Number { from: bound, from_counts: false, to: high, to_counts: true },
                Op::AtLeast => Test::Number { from: bound, from_counts: true, to: high, to_counts: true },
            }
        }
        Value::Range { from, to, inclusive } => Test::Number {
            from: from.as_deref().map_or(Ok(f64::NEG_INFINITY), bound_of)?,
            from_counts: *inclusive || from.is_none(),
            to: to.as_deref().map_or(Ok(f64::INFINITY), bound_of)?,
            to_counts: *inclusive || to.is_none(),
        },
    })
}

fn bound_of(text: &str) -> Result<f64, String> {
    number::parse(text).ok_or_else(|| format!("`{text}` is no number"))
}

/// The levels a value names, a bit each. Comparisons never include `unknown`.
fn level_mask(value: &Value) -> Result<u8, String> {
    let level = |text: &str| Level::from_word(text).ok_or_else(|| format!("`{text}` is no level"));
    let mask = |holds: &dyn Fn(Level) -> bool| {
        Level::ALL.into_iter().filter(|level| holds(*level)).fold(0, |mask, level| mask | 1 << level as u8)
    };
    let known = |level: Level| level != Level::Unknown;
    Ok(match value {
        Value::Exists => mask(&known),
        Value::Text(Text::Exact(text)) => 1 << level(text)? as u8,
        Value::Text(_) | Value::Is(_) | Value::Regex(_) => {
            let test = test(value, true)?;
            mask(&|level| test.holds(level.name()))
        }
        Value::Compare(op, bound) => {
            let bound = level(bound)?;
            mask(&|level| {
                known(level)
                    && match op {
                        Op::Less => level < bound,
                        Op::AtMost => level <= bound,
                        Op::Greater => level > bound,
                        Op::AtLeast => level >= bound,
                    }
            })
        }
        Value::Range { from, to, inclusive } => {
            let from = from.as_deref().map(level).transpose()?;
            let to = to.as_deref().map(level).transpose()?;
            mask(&|level| {
                let above = from.is_none_or(|from| level > from || (*inclusive && level == from));
                let below = to.is_none_or(|to| level < to || (*inclusive && level == to));
                known(level) && above && below
            })
        }
    })
}
