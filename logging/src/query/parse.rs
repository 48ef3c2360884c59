//! The parser: tokens to an [`Expr`], by recursive descent with a bound on
//! depth and size. Everything that can be wrong with a query is found here,
//! with its place: also a bad regular expression, level or number.

use std::fmt;

use super::{
    ast::{Expr, Op, Text, Value},
    compile,
    lex::{self, Span, Token},
    number, times, weight,
};
use crate::record::Level;

/// Brackets in brackets.
const MAX_DEPTH: usize = 50;
/// Bytes of a query.
const MAX_QUERY: usize = 16 << 10;

/// What is wrong with a query, where, and what to do. Displays as four lines
/// with a caret below the place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryError {
    what: String,
    advice: String,
    query: String,
    /// Bytes of the query.
    pub span: Span,
}

impl QueryError {
    pub(super) fn new(query: &str, what: impl Into<String>, advice: impl Into<String>, span: Span) -> Self {
        Self { what: one_line(&what.into()), advice: one_line(&advice.into()), query: query.to_owned(), span }
    }
}

/// A sentence in which parts of the query stand, fit for a terminal.
fn one_line(text: &str) -> String {
    const MOST: usize = 300;
    let line: String = text.chars().take(MOST).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(MOST).is_some() { line + "…" } else { line }
}

impl std::error::Error for QueryError {}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // One column a character, so that the caret is right whatever the query holds; long ones are cut out.
        let shown =
            |text: &str| text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
        let before = shown(self.query.get(..self.span.start).unwrap_or(""));
        let after = shown(self.query.get(self.span.start..).unwrap_or(""));
        let skipped = before.chars().count().saturating_sub(60);
        let before: String = before.chars().skip(skipped).collect();
        let after: String = after.chars().take(60).collect();
        let marked = self.query.get(self.span.clone()).map_or(1, |text| text.chars().count()).clamp(1, 60);
        let (pad, caret) = (" ".repeat(before.chars().count()), "^".repeat(marked));
        write!(f, "{}\n  {before}{after}\n  {pad}{caret}\n{}", self.what, self.advice)
    }
}

/// Reads a query; an empty one matches all.
pub fn parse(query: &str) -> Result<Expr, QueryError> {
    if query.len() > MAX_QUERY {
        let end =
            query.char_indices().map(|(at, _)| at).take_while(|at| *at <= MAX_QUERY).last().unwrap_or(0);
        let what = format!("the query is longer than {MAX_QUERY} bytes");
        return Err(QueryError::new(query, what, "make it shorter", end..end));
    }
    let tokens = lex::tokens(query)?;
    let mut parser = Parser { query, tokens, at: 0, weight: 0 };
    if parser.tokens.is_empty() {
        return Ok(Expr::All);
    }
    let expr = parser.or(None, 0)?;
    match parser.peek() {
        None => Ok(expr),
        Some(Token::Close) => {
            Err(parser.here("this bracket was never opened", "take it out, or open it with `(`"))
        }
        Some(_) => Err(parser.here("this is not expected here", "put it in quotes if you search for it")),
    }
}

struct Parser<'a> {
    query: &'a str,
    tokens: Vec<(Token, Span)>,
    at: usize,
    /// Of all parts so far.
    weight: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(token, _)| token)
    }

    fn next(&mut self) -> Option<(Token, Span)> {
        let next = self.tokens.get(self.at).cloned();
        self.at += 1;
        next
    }

    fn eat(&mut self, token: &Token) -> bool {
        let found = self.peek() == Some(token);
        self.at += usize::from(found);
        found
    }

    /// An error at the next token, or at the end.
    fn here(&self, what: &str, advice: &str) -> QueryError {
        let end = self.query.trim_end().len();
        let span = self.tokens.get(self.at).map_or(end..end, |(_, span)| span.clone());
        QueryError::new(self.query, what, advice, span)
    }

    fn error(&self, what: impl Into<String>, advice: impl Into<String>, span: Span) -> QueryError {
        QueryError::new(self.query, what, advice, span)
    }

    fn or(&mut self, field: Option<&str>, depth: usize) -> Result<Expr, QueryError> {
        let mut parts = vec![self.and(field, depth)?];
        while self.eat(&Token::Or) {
            parts.push(self.and(field, depth)?);
        }
        Ok(Expr::or(parts))
    }

    fn and(&mut self, field: Option<&str>, depth: usize) -> Result<Expr, QueryError> {
        let mut parts = vec![self.not(field, depth)?];
        loop {
            match self.peek() {
                Some(Token::And) => {
                    self.at += 1;
                }
                None | Some(Token::Or | Token::Close | Token::RangeClose { .. }) => break,
                Some(_) => {}
            }
            parts.push(self.not(field, depth)?);
        }
        Ok(Expr::and(parts))
    }

    fn not(&mut self, field: Option<&str>, depth: usize) -> Result<Expr, QueryError> {
        if depth > MAX_DEPTH {
            return Err(self.here("the brackets are nested too deeply", "write the query flatter"));
        }
        if self.eat(&Token::Not) {
            return Ok(Expr::Not(Box::new(self.not(field, depth + 1)?)));
        }
        self.primary(field, depth)
    }

    fn primary(&mut self, field: Option<&str>, depth: usize) -> Result<Expr, QueryError> {
        let Some((token, span)) = self.next() else {
            self.at -= 1;
            return Err(self.here("something is missing here", "write a word, a phrase or a bracket"));
        };
        match token {
            Token::Open => {
                let inner = self.or(field, depth + 1)?;
                if !self.eat(&Token::Close) {
                    return Err(self.error("this bracket is not closed", "close it with `)`", span));
                }
                Ok(inner)
            }
            Token::Name(name) if field.is_none() => self.field(name, span, depth),
            Token::Name(_) => Err(self.error(
                "a field inside another field's bracket",
                "put the value in quotes, or move it out of the bracket",
                span,
            )),
            _ => {
                self.at -= 1;
                match field {
                    Some(name) => self.value(name),
                    None => self.text(),
                }
            }
        }
    }

    /// A word, phrase, pattern or regular expression on the body.
    fn text(&mut self) -> Result<Expr, QueryError> {
        let error = self.here("this is not expected here", "put it in quotes if you search for it");
        let Some((token, span)) = self.next() else { return Err(error) };
        Ok(match token {
            Token::Star => Expr::All,
            Token::Word(text) | Token::Quoted(text) if text.is_empty() => Expr::All,
            Token::Word(text) | Token::Quoted(text) => {
                self.weigh(weight::of_text(&text), &span)?;
                Expr::Text(Text::Exact(text))
            }
            Token::Glob(glob) => {
                self.check_regex(compile::glob_pattern(&glob), &span)?;
                Expr::Text(Text::Glob(glob))
            }
            Token::Regex(pattern) => {
                self.check_regex(Ok(pattern.clone()), &span)?;
                Expr::Regex(pattern)
            }
            Token::And | Token::Or => {
                return Err(self.error("nothing stands before this", "write what is to be combined", span));
            }
            _ => return Err(error),
        })
    }

    fn field(&mut self, name: String, span: Span, depth: usize) -> Result<Expr, QueryError> {
        let adjacent = self.tokens.get(self.at).is_some_and(|(_, next)| next.start == span.end);
        if !adjacent {
            let advice = format!("write {name}:value without a space, or {name}:* for any value");
            return Err(self.error(format!("`{name}` has no value"), advice, span));
        }
        if self.eat(&Token::Open) {
            let open = self.at - 1;
            let inner = self.or(Some(&name), depth + 1)?;
            if !self.eat(&Token::Close) {
                let span = self.tokens[open].1.clone();
                return Err(self.error("this bracket is not closed", "close it with `)`", span));
            }
            return Ok(inner);
        }
        self.value(&name)
    }

    fn value(&mut self, name: &str) -> Result<Expr, QueryError> {
        let error = self.here("this is no value", "put it in quotes if you search for it");
        let Some((token, span)) = self.next() else { return Err(error) };
        let value = match token {
            Token::Star => {
                self.weigh(weight::of_text(name), &span)?;
                Value::Exists
            }
            Token::Word(text) | Token::Quoted(text) => {
                self.weigh(weight::of_text(&text), &span)?;
                Value::Text(Text::Exact(text))
            }
            Token::Glob(glob) => {
                self.check_regex(compile::glob_pattern(&glob), &span)?;
                Value::Text(Text::Glob(glob))
            }
            Token::Regex(pattern) => {
                self.check_regex(Ok(pattern.clone()), &span)?;
                Value::Regex(pattern)
            }
            Token::Compare(op) => {
                self.weigh(weight::of_text(name), &span)?;
                self.comparison(name, op)?
            }
            Token::Equal => {
                self.weigh(weight::of_text(name), &span)?;
                self.equality(name)?
            }
            Token::RangeOpen { inclusive } => {
                self.weigh(weight::of_text(name), &span)?;
                self.range(name, inclusive, span.clone())?
            }
            _ => return Err(error),
        };
        match &value {
            Value::Text(Text::Exact(text)) if compile::is_level(name) => self.check_level(text, span)?,
            Value::Text(_) | Value::Regex(_) if times::is_time(name) => {
                let advice = format!(
                    "write {name}:>=now-15m, or {name}:[now-1h TO now-5m]; a field of the body with that name is {}{name}",
                    compile::OF_BODY
                );
                return Err(self.error("a time is compared", advice, span));
            }
            _ => {}
        }
        Ok(Expr::Field { name: name.to_owned(), value })
    }

    fn comparison(&mut self, name: &str, op: Op) -> Result<Value, QueryError> {
        let value = self.bound(name)?;
        match value {
            Some(value) => Ok(Value::Compare(op, value)),
            None => {
                self.at -= 1;
                Err(self.here("a comparison needs a value", "write a number, or a level with `level`"))
            }
        }
    }

    /// What a value is equal to. A number is one number with all its spellings; in quotes, or where
    /// the field has texts only, it is the text.
    fn equality(&mut self, name: &str) -> Result<Value, QueryError> {
        let missing = self.here("`=` needs a value", "write a number, or a text in quotes");
        let Some((token, span)) = self.next() else { return Err(missing) };
        let (text, is_bare) = match token {
            Token::Word(text) => (text, true),
            Token::Quoted(text) => (text, false),
            Token::Star | Token::Glob(_) => {
                let advice =
                    format!("write {name}:web* without `=`, or put it in quotes if you mean the characters");
                return Err(self.error("`=` takes no pattern", advice, span));
            }
            _ => return Err(missing),
        };
        self.weigh(weight::of_text(&text), &span)?;
        let number = |it: String| Value::Range { from: Some(it.clone()), to: Some(it), inclusive: true };
        if compile::is_level(name) {
            self.check_level(&text, span)?;
            return Ok(Value::Text(Text::Exact(text)));
        }
        if times::is_time(name) {
            return match times::is_moment(&text) {
                true => Ok(number(text)),
                false => Err(self.error(format!("`{text}` is no time"), times::FORMS, span)),
            };
        }
        if is_bare && text.starts_with(['<', '>', '=', '~']) {
            let advice = "write one of them only, or put the value in quotes";
            return Err(self.error("two operators", advice, span));
        }
        let is_number = is_bare && number::parse(&text).is_some();
        let has_numbers = !compile::is_meta(name) || compile::is_count(name);
        Ok(if is_number && has_numbers { number(text) } else { Value::Is(text) })
    }

    fn range(&mut self, name: &str, inclusive: bool, open: Span) -> Result<Value, QueryError> {
        let from = self.bound(name)?;
        if !self.eat(&Token::Word("TO".into())) {
            return Err(self.here("a range has two ends", "write it as [400 TO 499]; * leaves an end open"));
        }
        let to = self.bound(name)?;
        if !self.eat(&Token::RangeClose { inclusive }) {
            let close = if inclusive { "]" } else { "}" };
            return Err(self.error("this range is not closed", format!("close it with `{close}`"), open));
        }
        Ok(Value::Range { from, to, inclusive })
    }

    /// A number, or a level's name with `level`; `None` for `*`.
    fn bound(&mut self, name: &str) -> Result<Option<String>, QueryError> {
        let error = self.here("a value is missing here", "write a number");
        match self.next() {
            Some((Token::Star, _)) => Ok(None),
            Some((Token::Word(text) | Token::Quoted(text), span)) => {
                if compile::is_level(name) {
                    self.check_level(&text, span)?;
                } else if times::is_time(name) {
                    if !times::is_moment(&text) {
                        return Err(self.error(format!("`{text}` is no time"), times::FORMS, span));
                    }
                } else if compile::is_meta(name) && !compile::is_count(name) {
                    return Err(self.error(
                        format!("`{name}` can't be compared"),
                        "ask for a value or a pattern",
                        span,
                    ));
                } else if number::parse(&text).is_none() {
                    let advice = "write a number; it may have a unit, such as 100ms, 1.5s or 4KiB";
                    return Err(self.error("only numbers are compared", advice, span));
                }
                Ok(Some(text))
            }
            _ => Err(error),
        }
    }

    fn check_level(&self, text: &str, span: Span) -> Result<(), QueryError> {
        if Level::from_word(text).is_some() {
            return Ok(());
        }
        let advice = "write trace, debug, info, warn, error, fatal or unknown";
        Err(self.error(format!("`{text}` is no level"), advice, span))
    }

    /// Counts a part of the query, unless all are too much by now.
    fn weigh(&mut self, bytes: usize, span: &Span) -> Result<(), QueryError> {
        self.weight = self.weight.saturating_add(bytes);
        if self.weight <= weight::MAX_WEIGHT {
            return Ok(());
        }
        let what = "from here on the query has too many words, or too big patterns, for one query";
        let advice = "ask for less at once: a few hundred words, or about eight of the biggest patterns";
        Err(self.error(what, advice, span.clone()))
    }

    fn check_regex(&mut self, pattern: Result<String, String>, span: &Span) -> Result<(), QueryError> {
        let weight = pattern.and_then(|pattern| compile::weigh(&pattern)).map_err(|error| {
            // The lines before the last show the pattern, which the caret does.
            let why = error.lines().last().unwrap_or_default().trim();
            self.error(
                format!("this pattern can't be used: {}", why.strip_prefix("error: ").unwrap_or(why)),
                "correct it, or put the text in quotes",
                span.clone(),
            )
        })?;
        self.weigh(weight, span)
    }
}
