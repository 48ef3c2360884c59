//! The characters of a query in tokens, each with its place.
//!
//! Whether a `:` ends a field's name is decided here: it does when an unquoted
//! name stands before it (`pod:`), and doesn't in `10:30` or in a value. So is whether
//! `<`, `>` and `=` compare: where a value begins, right behind the name or in its bracket.
//! An operator anywhere else is refused, since as a word it would find nothing; `->` and
//! `<init>` are words.

use super::{
    ast::{Glob, Op, Part},
    compile,
    parse::QueryError,
};

/// They compare or are refused, but are no words.
const OPERATORS: [&str; 6] = ["<", "<=", ">", ">=", "==", "!="];
/// No value begins with them.
const NO_VALUES: [&str; 2] = ["==", "!="];

/// From and to in bytes of the query.
pub(super) type Span = std::ops::Range<usize>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    Open,
    Close,
    RangeOpen {
        inclusive: bool,
    },
    RangeClose {
        inclusive: bool,
    },
    And,
    Or,
    Not,
    /// `name:`
    Name(String),
    Compare(Op),
    /// `=` before a value.
    Equal,
    Word(String),
    Quoted(String),
    Glob(Glob),
    /// A lone `*`.
    Star,
    Regex(String),
}

/// Ends a word, or has a meaning inside it.
pub(super) fn is_special(character: char) -> bool {
    character.is_whitespace() || character.is_control() || "()[]{}\"*?\\".contains(character)
}

/// `status`, `http.status`, `app.kubernetes.io/name`.
pub(super) fn is_field_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '@')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.@/-".contains(c))
}

pub(super) fn tokens(query: &str) -> Result<Vec<(Token, Span)>, QueryError> {
    let mut lexer = Lexer { query, at: 0, tokens: Vec::new(), brackets: Vec::new() };
    while lexer.step()? {}
    Ok(lexer.tokens)
}

struct Lexer<'a> {
    query: &'a str,
    at: usize,
    tokens: Vec<(Token, Span)>,
    /// Of each bracket that is open, whether it has values of a field.
    brackets: Vec<bool>,
}

impl Lexer<'_> {
    /// One token more; false at the end.
    fn step(&mut self) -> Result<bool, QueryError> {
        let rest = &self.query[self.at..];
        let trimmed = rest.trim_start();
        self.at += rest.len() - trimmed.len();
        let Some(first) = trimmed.chars().next() else { return Ok(false) };
        match first {
            '(' => {
                self.brackets.push(self.after_name() || self.in_field());
                self.push(Token::Open, 1);
            }
            ')' => {
                self.brackets.pop();
                self.push(Token::Close, 1);
            }
            '[' | '{' => self.push(Token::RangeOpen { inclusive: first == '[' }, 1),
            ']' | '}' => self.push(Token::RangeClose { inclusive: first == ']' }, 1),
            '"' => self.quoted()?,
            // What is equal is no pattern and no path that might be one.
            _ if self.after_equal() => self.word()?,
            '/' if self.after_name() && !is_regex(trimmed) => self.word()?,
            '/' => self.regex()?,
            '<' | '>' if self.after_name() || self.in_field() => self.comparison(trimmed),
            '=' if (self.after_name() || self.in_field()) && !trimmed.starts_with("==") => {
                self.push(Token::Equal, 1);
            }
            '-' | '!' if !self.expects_value() && is_negation(trimmed) => self.push(Token::Not, 1),
            _ => self.word()?,
        }
        Ok(true)
    }

    fn push(&mut self, token: Token, length: usize) {
        self.tokens.push((token, self.at..self.at + length));
        self.at += length;
    }

    /// A value is expected: `name:` stands right before.
    fn after_name(&self) -> bool {
        matches!(self.tokens.last(), Some((Token::Name(_), span)) if span.end == self.at)
    }

    /// The same, and it is to be equal: `name:=` stands right before.
    fn after_equal(&self) -> bool {
        matches!(self.tokens.last(), Some((Token::Equal, span)) if span.end == self.at)
    }

    /// All that stands here are values of a field, whose bracket is open.
    fn in_field(&self) -> bool {
        self.brackets.last() == Some(&true)
    }

    /// A `-` is a sign here, not a negation.
    fn expects_value(&self) -> bool {
        let opened = |token: &Token| matches!(token, Token::RangeOpen { .. } | Token::RangeClose { .. });
        let in_range = self.tokens.iter().map(|(token, _)| token).rfind(|token| opened(token));
        self.after_name()
            || matches!(self.tokens.last(), Some((Token::Compare(_) | Token::Equal, _)))
            || matches!(in_range, Some(Token::RangeOpen { .. }))
    }

    fn comparison(&mut self, text: &str) {
        let (op, length) = match (text.starts_with('<'), text[1..].starts_with('=')) {
            (true, true) => (Op::AtMost, 2),
            (true, false) => (Op::Less, 1),
            (false, true) => (Op::AtLeast, 2),
            (false, false) => (Op::Greater, 1),
        };
        self.push(Token::Compare(op), length);
    }

    fn quoted(&mut self) -> Result<(), QueryError> {
        let mut text = String::new();
        let mut characters = self.query[self.at + 1..].char_indices();
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => {
                    self.push(Token::Quoted(text), at + 2);
                    return Ok(());
                }
                '\\' => match characters.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, 't')) => text.push('\t'),
                    Some((_, other)) => text.push(other),
                    None => break,
                },
                other => text.push(other),
            }
        }
        Err(self.error("this quote is not closed", "end the phrase with `\"`", self.at..self.at + 1))
    }

    fn regex(&mut self) -> Result<(), QueryError> {
        let mut pattern = String::new();
        let mut characters = self.query[self.at + 1..].char_indices();
        while let Some((at, character)) = characters.next() {
            match character {
                '/' => {
                    self.push(Token::Regex(pattern), at + 2);
                    return Ok(());
                }
                '\\' => match characters.next() {
                    Some((_, '/')) => pattern.push('/'),
                    Some((_, other)) => pattern.extend(['\\', other]),
                    None => break,
                },
                other => pattern.push(other),
            }
        }
        let advice = "end it with `/`; to search for a path, put it in quotes";
        Err(self.error("this regular expression is not closed", advice, self.at..self.at + 1))
    }

    /// A word, a pattern, an operator, or a field's name.
    fn word(&mut self) -> Result<(), QueryError> {
        let value = self.after_name() || self.after_equal();
        let rest = &self.query[self.at..];
        let mut parts: Vec<Part> = Vec::new();
        let mut escaped = false;
        let mut length = rest.len();
        let mut characters = rest.char_indices();
        while let Some((at, character)) = characters.next() {
            match character {
                '*' => parts.push(Part::Any),
                '?' => parts.push(Part::One),
                '\\' => {
                    escaped = true;
                    let Some((_, next)) = characters.next() else {
                        let span = self.at + at..self.at + at + 1;
                        return Err(self.error(
                            "nothing follows this `\\`",
                            "write `\\\\` for the character itself",
                            span,
                        ));
                    };
                    literal(&mut parts, next);
                }
                ':' if !value && !escaped && is_field_name(&rest[..at]) => {
                    self.push(Token::Name(rest[..at].to_owned()), at + 1);
                    return Ok(());
                }
                other if is_special(other) => {
                    length = at;
                    break;
                }
                other => literal(&mut parts, other),
            }
        }
        if length == 0 {
            let character = rest.chars().next().map_or(0, char::len_utf8);
            return Err(self.error(
                "this character has no meaning here",
                "put it in quotes",
                self.at..self.at + character,
            ));
        }
        let raw = &rest[..length];
        let is_value = value || self.in_field();
        if let Some(error) = self.pipe(raw, is_value).or_else(|| self.misplaced(raw, is_value)) {
            return Err(error);
        }
        self.push(classify(parts, raw, value), length);
        Ok(())
    }

    /// Refuses what other languages hand on to a next step with: as a word it would only find nothing.
    fn pipe(&self, raw: &str, is_value: bool) -> Option<QueryError> {
        if is_value || !raw.starts_with('|') || raw == "||" {
            return None;
        }
        let advice = match raw.as_bytes().get(1) {
            Some(b'=') => "write the text in quotes",
            Some(b'~') => "write the pattern as /pattern/",
            _ => "for statistics use --stats 'count by pod', for one or the other write OR",
        };
        let advice = format!("{advice}; if you search for `|`, put it in quotes");
        Some(self.error("there are no steps behind a `|` here", &advice, self.at..self.at + raw.len()))
    }

    /// Refuses a word that is an operator, or a value that begins with one.
    fn misplaced(&self, raw: &str, is_value: bool) -> Option<QueryError> {
        let found = match is_value {
            true => NO_VALUES.into_iter().find(|operator| raw.starts_with(operator)),
            false => OPERATORS.into_iter().find(|operator| raw == *operator),
        };
        let operator = found?;
        let name = match self.tokens.as_slice() {
            tokens if is_value => tokens.iter().rev().find_map(|(token, _)| match token {
                Token::Name(name) => Some(name.as_str()),
                _ => None,
            }),
            [.., (Token::Name(_), _), (Token::Word(_), _)] => None,
            [.., (Token::Word(word), _)] if is_field_name(word) => Some(word.as_str()),
            [.., (Token::Name(name), _)] => Some(name.as_str()),
            _ => None,
        };
        let end = self.at + operator.len();
        let behind = self.query[end..].trim_start();
        let value = &behind[..behind.find(is_special).unwrap_or(behind.len())];
        let what = format!("`{operator}` compares nothing here");
        let advice = format!(
            "write {}, or put it in quotes if you search for it",
            comparing(operator, name.unwrap_or("status"), if value.is_empty() { "500" } else { value })
        );
        Some(self.error(&what, &advice, self.at..end))
    }

    fn error(&self, what: &str, advice: &str, span: Span) -> QueryError {
        QueryError::new(self.query, what, advice, span)
    }
}

/// How a comparison is written.
fn comparing(operator: &str, name: &str, value: &str) -> String {
    match operator {
        "!=" => format!("NOT {name}:{value}"),
        "==" => format!("{name}:={value}"),
        _ => format!("{name}:{operator}{value}"),
    }
}

/// Whether the `/` that a value begins with opens a regular expression: it is closed, and nothing
/// follows it at once, as `v1` follows in the path `/api/v1`. What reaches over white space or a
/// bracket may be two paths with something between.
fn is_regex(text: &str) -> bool {
    let mut escaped = false;
    let end = text.char_indices().skip(1).find(|(_, character)| {
        let ends = *character == '/' && !escaped;
        escaped = *character == '\\' && !escaped;
        ends
    });
    let Some((end, _)) = end else { return false };
    let (pattern, next) = (&text[1..end], text[end + 1..].chars().next());
    next.is_none_or(|next| next.is_whitespace() || next == ')')
        && (!pattern.contains([' ', ')']) || compile::regex(pattern).is_ok())
}

/// `-word`, `!(..)`; a lone dash, an arrow or `--flag` is a word.
fn is_negation(text: &str) -> bool {
    text[1..].chars().next().is_some_and(|next| !next.is_whitespace() && !"-!)=>".contains(next))
}

fn literal(parts: &mut Vec<Part>, character: char) {
    match parts.last_mut() {
        Some(Part::Literal(text)) => text.push(character),
        _ => parts.push(Part::Literal(character.into())),
    }
}

fn classify(mut parts: Vec<Part>, raw: &str, value: bool) -> Token {
    match (raw, value) {
        ("AND" | "&&", false) => return Token::And,
        ("OR" | "||", false) => return Token::Or,
        ("NOT", false) => return Token::Not,
        _ => {}
    }
    parts.dedup_by(|a, b| *a == Part::Any && *b == Part::Any);
    match parts.as_mut_slice() {
        [Part::Any] => Token::Star,
        [Part::Literal(text)] => Token::Word(std::mem::take(text)),
        _ => Token::Glob(Glob(parts)),
    }
}
