//! The characters of a query in tokens, each with its place.
//!
//! Whether a `:` ends a field's name is decided here: it does when an unquoted
//! name stands before it (`pod:`), and doesn't in `10:30` or in a value.

use super::{
    ast::{Glob, Op, Part},
    compile,
    parse::QueryError,
};

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
    let mut lexer = Lexer { query, at: 0, tokens: Vec::new() };
    while lexer.step()? {}
    Ok(lexer.tokens)
}

struct Lexer<'a> {
    query: &'a str,
    at: usize,
    tokens: Vec<(Token, Span)>,
}

impl Lexer<'_> {
    /// One token more; false at the end.
    fn step(&mut self) -> Result<bool, QueryError> {
        let rest = &self.query[self.at..];
        let trimmed = rest.trim_start();
        self.at += rest.len() - trimmed.len();
        let Some(first) = trimmed.chars().next() else { return Ok(false) };
        match first {
            '(' => self.push(Token::Open, 1),
            ')' => self.push(Token::Close, 1),
            '[' | '{' => self.push(Token::RangeOpen { inclusive: first == '[' }, 1),
            ']' | '}' => self.push(Token::RangeClose { inclusive: first == ']' }, 1),
            '"' => self.quoted()?,
            '/' if self.after_name() && !is_regex(trimmed) => self.word()?,
            '/' => self.regex()?,
            '<' | '>' if self.after_name() => self.comparison(trimmed),
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

    /// A `-` is a sign here, not a negation.
    fn expects_value(&self) -> bool {
        let opened = |token: &Token| matches!(token, Token::RangeOpen { .. } | Token::RangeClose { .. });
        let in_range = self.tokens.iter().map(|(token, _)| token).rfind(|token| opened(token));
        self.after_name()
            || matches!(self.tokens.last(), Some((Token::Compare(_), _)))
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
        let value = self.after_name();
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
        self.push(classify(parts, &rest[..length], value), length);
        Ok(())
    }

    fn error(&self, what: &str, advice: &str, span: Span) -> QueryError {
        QueryError::new(self.query, what, advice, span)
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

/// `-word`, `!(..)`; a lone dash or `--flag` is a word.
fn is_negation(text: &str) -> bool {
    text[1..].chars().next().is_some_and(|next| !next.is_whitespace() && !"-!)=".contains(next))
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
