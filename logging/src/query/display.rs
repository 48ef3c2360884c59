//! A query written so that it parses to itself.

use std::fmt::{self, Write};

use super::{
    ast::{Expr, Glob, Part, Text, Value},
    lex::{is_field_name, is_special},
};

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expr::All => f.write_char('*'),
            Expr::Text(text) => write!(f, "{text}"),
            Expr::Regex(pattern) => regex(f, pattern),
            Expr::Field { name, value } => write!(f, "{name}:{value}"),
            Expr::Not(inner) => {
                f.write_str("NOT ")?;
                nested(f, inner, matches!(**inner, Expr::And(_) | Expr::Or(_)))
            }
            Expr::And(parts) => joined(f, parts, " AND ", |part| matches!(part, Expr::Or(_))),
            Expr::Or(parts) => joined(f, parts, " OR ", |part| matches!(part, Expr::And(_))),
        }
    }
}

fn joined(
    f: &mut fmt::Formatter<'_>,
    parts: &[Expr],
    word: &str,
    brackets: impl Fn(&Expr) -> bool,
) -> fmt::Result {
    for (at, part) in parts.iter().enumerate() {
        if at > 0 {
            f.write_str(word)?;
        }
        nested(f, part, brackets(part))?;
    }
    Ok(())
}

fn nested(f: &mut fmt::Formatter<'_>, expr: &Expr, brackets: bool) -> fmt::Result {
    if brackets { write!(f, "({expr})") } else { write!(f, "{expr}") }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Text::Exact(text) => exact(f, text),
            Text::Glob(glob) => write!(f, "{glob}"),
        }
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.0 {
            match part {
                Part::Any => f.write_char('*')?,
                Part::One => f.write_char('?')?,
                Part::Literal(text) => {
                    for character in text.chars() {
                        if !character.is_alphanumeric() {
                            f.write_char('\\')?;
                        }
                        f.write_char(character)?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) => write!(f, "{text}"),
            Value::Regex(pattern) => regex(f, pattern),
            Value::Is(text) => {
                f.write_char('=')?;
                quoted(f, text)
            }
            Value::Exists => f.write_char('*'),
            Value::Compare(op, value) => {
                f.write_str(op.sign())?;
                bound(f, value)
            }
            Value::Range { from, to, inclusive } => {
                f.write_char(if *inclusive { '[' } else { '{' })?;
                end(f, from)?;
                f.write_str(" TO ")?;
                end(f, to)?;
                f.write_char(if *inclusive { ']' } else { '}' })
            }
        }
    }
}

fn end(f: &mut fmt::Formatter<'_>, value: &Option<String>) -> fmt::Result {
    match value {
        Some(value) => bound(f, value),
        None => f.write_char('*'),
    }
}

/// In this place a dash is a sign.
fn bound(f: &mut fmt::Formatter<'_>, value: &str) -> fmt::Result {
    let plain = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '.');
    if plain(value.strip_prefix('-').unwrap_or(value)) && value != "TO" {
        f.write_str(value)
    } else {
        exact(f, value)
    }
}

/// A plain word as it is, anything else in quotes.
fn exact(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let field_like = text.split_once(':').is_some_and(|(name, _)| is_field_name(name));
    let starts = text.starts_with(['-', '!', '/', '<', '>', '=', '|']);
    let bare = !text.is_empty()
        && !starts
        && !field_like
        && !text.chars().any(is_special)
        && !matches!(text, "AND" | "OR" | "NOT" | "TO" | "&&" | "||");
    if bare { f.write_str(text) } else { quoted(f, text) }
}

fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for character in text.chars() {
        match character {
            '"' | '\\' => write!(f, "\\{character}")?,
            '\n' => f.write_str("\\n")?,
            '\t' => f.write_str("\\t")?,
            other => f.write_char(other)?,
        }
    }
    f.write_char('"')
}

fn regex(f: &mut fmt::Formatter<'_>, pattern: &str) -> fmt::Result {
    f.write_char('/')?;
    let mut escaped = false;
    for character in pattern.chars() {
        if character == '/' && !escaped {
            f.write_char('\\')?;
        }
        escaped = character == '\\' && !escaped;
        f.write_char(character)?;
    }
    f.write_char('/')
}
