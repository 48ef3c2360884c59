//! A query written so that it parses to itself, as people would write it: what its format is, too.

use std::fmt::{self, Display, Formatter, Write};

use super::ast::{
    Format, Group, LabelFilter, LogQuery, MatchOp, Matcher, Metric, Part, Pick, Query, RangeAggregation,
    Renamed, Stage,
};
use crate::time::SECOND;

impl Display for Query {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Logs(logs) => write!(f, "{logs}"),
            Self::Metric(metric) => write!(f, "{metric}"),
        }
    }
}

impl Display for LogQuery {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_char('{')?;
        joined(f, &self.selector)?;
        f.write_char('}')?;
        self.stages.iter().try_for_each(|stage| write!(f, " {stage}"))
    }
}

impl Display for Matcher {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.name, self.op.sign(), Quoted(&self.value))
    }
}

struct Quoted<'a>(&'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for character in self.0.chars() {
            match character {
                '"' | '\\' => write!(f, "\\{character}")?,
                '\n' => f.write_str("\\n")?,
                other => f.write_char(other)?,
            }
        }
        f.write_char('"')
    }
}

fn joined<T: Display>(f: &mut Formatter<'_>, all: &[T]) -> fmt::Result {
    for (at, one) in all.iter().enumerate() {
        write!(f, "{}{one}", if at > 0 { ", " } else { "" })?;
    }
    Ok(())
}

impl Display for Stage {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { op, texts } => {
                let sign = match op {
                    MatchOp::Equal => "|=",
                    MatchOp::NotEqual => "!=",
                    MatchOp::Regex => "|~",
                    MatchOp::NotRegex => "!~",
                };
                f.write_str(sign)?;
                for (at, text) in texts.iter().enumerate() {
                    write!(f, "{} {}", if at > 0 { " or" } else { "" }, Quoted(text))?;
                }
                Ok(())
            }
            Self::Json(picks) => parser(f, "json", picks),
            Self::Logfmt { strict, keep_empty, picks } => {
                let mut name = String::from("logfmt");
                name.push_str(if *strict { " --strict" } else { "" });
                name.push_str(if *keep_empty { " --keep-empty" } else { "" });
                parser(f, &name, picks)
            }
            Self::Regexp(pattern) => write!(f, "| regexp {}", Quoted(pattern)),
            Self::Pattern(pattern) => write!(f, "| pattern {}", Quoted(pattern)),
            Self::Unpack => f.write_str("| unpack"),
            Self::Filter(filter) => write!(f, "| {filter}"),
            Self::LineFormat(format) => write!(f, "| line_format {format}"),
            Self::LabelFormat(renamed) => {
                f.write_str("| label_format ")?;
                for (at, (label, value)) in renamed.iter().enumerate() {
                    write!(f, "{}{label}=", if at > 0 { ", " } else { "" })?;
                    match value {
                        Renamed::Label(other) => f.write_str(other)?,
                        Renamed::Text(format) => write!(f, "{format}")?,
                    }
                }
                Ok(())
            }
            Self::Decolorize => f.write_str("| decolorize"),
            Self::Drop(picks) => f.write_str("| drop ").and_then(|()| joined(f, picks)),
            Self::Keep(picks) => f.write_str("| keep ").and_then(|()| joined(f, picks)),
            Self::Unwrap { label, convert: None } => write!(f, "| unwrap {label}"),
            Self::Unwrap { label, convert: Some(convert) } => {
                write!(f, "| unwrap {}({label})", convert.name())
            }
        }
    }
}

fn parser(f: &mut Formatter<'_>, name: &str, picks: &[(String, String)]) -> fmt::Result {
    write!(f, "| {name}")?;
    for (at, (label, path)) in picks.iter().enumerate() {
        write!(f, "{} {label}={}", if at > 0 { "," } else { "" }, Quoted(path))?;
    }
    Ok(())
}

impl Display for Pick {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Where(matcher) => write!(f, "{matcher}"),
        }
    }
}

impl Display for Format {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(literal) => text.push_str(literal),
                Part::Label(name) => write!(text, "{{{{.{name}}}}}")?,
                Part::Line => text.push_str("{{__line__}}"),
            }
        }
        write!(f, "{}", Quoted(&text))
    }
}

impl Display for LabelFilter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(matcher) => write!(f, "{matcher}"),
            Self::Number { name, op, value } => write!(f, "{name}{}{}", op.sign(), value.text),
            Self::And(left, right) => write!(f, "({left} and {right})"),
            Self::Or(left, right) => write!(f, "({left} or {right})"),
        }
    }
}

impl Display for Metric {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Vector(number) => write!(f, "vector({number})"),
            Self::Range(range) => write!(f, "{range}"),
            Self::Aggregation { op, param, group, inner } => {
                f.write_str(op.name())?;
                grouped(f, group, "by", "without")?;
                f.write_char('(')?;
                if let Some(param) = param {
                    write!(f, "{param}, ")?;
                }
                write!(f, "{inner})")
            }
            Self::Binary { op, bool, matching, left, right } => {
                write!(f, "({left} {}{}", op.name(), if *bool { " bool" } else { "" })?;
                grouped(f, matching, "on", "ignoring")?;
                write!(f, " {right})")
            }
        }
    }
}

impl Display for RangeAggregation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.op.name())?;
        if let Some(param) = self.param {
            write!(f, "{param}, ")?;
        }
        write!(f, "{} [{}]", self.logs, Span(self.range))?;
        if self.offset != 0 {
            write!(f, " offset {}", Span(self.offset))?;
        }
        f.write_char(')')?;
        grouped(f, &self.group, "by", "without")
    }
}

/// Nanoseconds in the largest unit that they are a whole number of.
struct Span(i64);

impl Display for Span {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        const UNITS: [(&str, i64); 6] = [
            ("d", 86_400 * SECOND),
            ("h", 3_600 * SECOND),
            ("m", 60 * SECOND),
            ("s", SECOND),
            ("ms", 1_000_000),
            ("us", 1_000),
        ];
        let whole = |unit: &(&str, i64)| self.0 != 0 && self.0 % unit.1 == 0;
        let (name, unit) = UNITS.into_iter().find(whole).unwrap_or(("ns", 1));
        write!(f, "{}{name}", self.0 / unit)
    }
}

fn grouped(f: &mut Formatter<'_>, group: &Option<Group>, with: &str, without: &str) -> fmt::Result {
    let Some(group) = group else { return Ok(()) };
    write!(f, " {} (", if group.without { without } else { with })?;
    joined(f, &group.labels)?;
    f.write_char(')')
}
