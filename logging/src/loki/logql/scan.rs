//! The characters of a LogQL query: words, texts, numbers and signs, with their place.

use std::fmt;

use crate::query::weight;

/// What is wrong, and where, in the form that Loki's clients show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    pub line: usize,
    pub column: usize,
    pub what: String,
}

impl std::error::Error for ParseError {}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "parse error at line {}, col {}: {}", self.line, self.column, self.what)
    }
}

pub type Result<T> = std::result::Result<T, ParseError>;

/// A place in a query.
#[derive(Debug, Clone, Copy)]
pub struct Scan<'a> {
    text: &'a str,
    pub at: usize,
    /// Operators, filters and stages so far.
    parts: usize,
    /// Of regular expressions so far.
    weight: usize,
}

impl<'a> Scan<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0, parts: 0, weight: 0 }
    }

    /// Counts an operator, filter or stage. They are held in each other, so a query may have so many.
    pub fn part(&mut self) -> Result<()> {
        const MOST: usize = 200;
        self.parts += 1;
        if self.parts > MOST {
            return Err(self.error(format!("the query has more than {MOST} operators, filters and stages")));
        }
        Ok(())
    }

    /// Counts a regular expression of this weight; all of a query are bounded together.
    pub fn weigh(&mut self, weight: usize) -> Result<()> {
        self.weight += weight;
        match self.weight > weight::MAX_WEIGHT {
            true => {
                Err(self.error("the query's regular expressions are too big together: ask for less at once"))
            }
            false => Ok(()),
        }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Passes white space and comments.
    pub fn space(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start();
            self.at += rest.len() - trimmed.len();
            if !trimmed.starts_with('#') {
                return;
            }
            self.at += trimmed.find('\n').unwrap_or(trimmed.len());
        }
    }

    pub fn is_end(&mut self) -> bool {
        self.space();
        self.rest().is_empty()
    }

    /// Whether the sign comes next.
    pub fn sees(&mut self, sign: &str) -> bool {
        self.space();
        self.rest().starts_with(sign)
    }

    pub fn eat(&mut self, sign: &str) -> bool {
        let found = self.sees(sign);
        self.at += if found { sign.len() } else { 0 };
        found
    }

    pub fn expect(&mut self, sign: &str) -> Result<()> {
        if self.eat(sign) { Ok(()) } else { Err(self.unexpected(&format!("`{sign}`"))) }
    }

    /// The word that comes next: a label's name, a keyword.
    pub fn peek_word(&mut self) -> &'a str {
        self.space();
        let rest = self.rest();
        if !rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            return "";
        }
        let end =
            rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':').unwrap_or(rest.len());
        &rest[..end]
    }

    pub fn eat_word(&mut self, word: &str) -> bool {
        let found = self.peek_word() == word;
        self.at += if found { word.len() } else { 0 };
        found
    }

    pub fn word(&mut self, what: &str) -> Result<&'a str> {
        let word = self.peek_word();
        if word.is_empty() {
            return Err(self.unexpected(what));
        }
        self.at += word.len();
        Ok(word)
    }

    pub fn sees_text(&mut self) -> bool {
        self.sees("\"") || self.sees("`")
    }

    /// `"text"` with escapes, or `` `text` `` without.
    pub fn quoted(&mut self) -> Result<String> {
        if !self.sees_text() {
            return Err(self.unexpected("a text in quotes"));
        }
        let start = *self;
        if self.eat("`") {
            let Some(end) = self.rest().find('`') else {
                return Err(start.error("this quote is not closed"));
            };
            let text = self.rest()[..end].to_owned();
            self.at += end + 1;
            return Ok(text);
        }
        self.at += 1;
        let mut text = Vec::new();
        let mut characters = self.rest().char_indices();
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => {
                    self.at += at + 1;
                    return String::from_utf8(text).map_err(|_| start.error("this text is not UTF-8"));
                }
                '\\' => {
                    let escape =
                        escape(&mut characters).ok_or_else(|| start.error("a wrong escape in this text"))?;
                    text.extend(escape);
                }
                '\n' => break,
                other => text.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        Err(start.error("this quote is not closed"))
    }

    /// A number with what follows it at once, such as `1.5s`; empty when there is none.
    pub fn peek_quantity(&mut self) -> &'a str {
        self.space();
        let rest = self.rest();
        let signed = rest.strip_prefix(['-', '+']).unwrap_or(rest);
        if !signed.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            return "";
        }
        let bytes = rest.as_bytes();
        let mut end = rest.len() - signed.len();
        while let Some(byte) = bytes.get(end) {
            let exponent = matches!(byte, b'-' | b'+')
                && matches!(bytes[end - 1], b'e' | b'E')
                && is_number(&rest[..end - 1]);
            // The micro sign is not ASCII.
            if !(byte.is_ascii_alphanumeric() || *byte == b'.' || *byte >= 0x80 || exponent) {
                break;
            }
            end += 1;
        }
        &rest[..end]
    }

    pub fn error(&self, what: impl Into<String>) -> ParseError {
        let before = &self.text[..self.at.min(self.text.len())];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        ParseError { line, column, what: what.into() }
    }

    pub fn unexpected(&mut self, wanted: &str) -> ParseError {
        self.space();
        let word = self.peek_word();
        let found = match (word, self.rest().chars().next()) {
            ("", None) => "the end".to_owned(),
            ("", Some(character)) => format!("`{character}`"),
            (word, _) => format!("`{word}`"),
        };
        self.error(format!("{wanted} is expected here, not {found}"))
    }
}

fn is_number(text: &str) -> bool {
    text.parse::<f64>().is_ok()
}

/// What stands behind a backslash, as Go reads it.
fn escape(characters: &mut std::str::CharIndices<'_>) -> Option<Vec<u8>> {
    let (_, kind) = characters.next()?;
    let mut code = |digits: usize, radix: u32| {
        (0..digits).try_fold(0, |code, _| Some(code * radix + characters.next()?.1.to_digit(radix)?))
    };
    let character = match kind {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        'a' => '\x07',
        'b' => '\x08',
        'f' => '\x0c',
        'v' => '\x0b',
        '\\' | '"' | '\'' => kind,
        'x' => return Some(vec![u8::try_from(code(2, 16)?).ok()?]),
        'u' => char::from_u32(code(4, 16)?)?,
        'U' => char::from_u32(code(8, 16)?)?,
        '0'..='7' => {
            let code = kind.to_digit(8)? * 64 + code(2, 8)?;
            return Some(vec![u8::try_from(code).ok()?]);
        }
        _ => return None,
    };
    Some(character.to_string().into_bytes())
}
