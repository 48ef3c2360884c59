//! Prometheus' text format and OpenMetrics, line by line. Pure.
//!
//! Both are one walk: OpenMetrics is stricter (one space, `# EOF` at the end), has
//! seconds where the other has milliseconds, units and exemplars.

use std::borrow::Cow;

use super::{
    Example, Fault, Item, Line, kind,
    labels::{self, is_metric},
};

/// Walks over the lines of a body.
pub struct Text<'a> {
    rest: &'a str,
    line: usize,
    open_metrics: bool,
    ended: bool,
    failed: bool,
}

impl<'a> Text<'a> {
    /// # Errors
    /// The body is no UTF-8.
    pub fn new(body: &'a [u8], open_metrics: bool) -> Result<Self, Fault> {
        let rest = std::str::from_utf8(body).map_err(|error| Fault::NoText(error.valid_up_to()))?;
        Ok(Self { rest, line: 0, open_metrics, ended: false, failed: false })
    }

    /// The number of the line that was given last.
    pub fn line(&self) -> usize {
        self.line
    }

    fn next_line(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() {
            return None;
        }
        self.line += 1;
        let (line, rest) = match memchr::memchr(b'\n', self.rest.as_bytes()) {
            Some(at) => (&self.rest[..at], &self.rest[at + 1..]),
            None => (self.rest, ""),
        };
        self.rest = rest;
        Some(line.strip_suffix('\r').unwrap_or(line))
    }

    fn fault(&mut self, what: impl Into<String>, text: &str) -> Fault {
        self.failed = true;
        let text = text.chars().take(100).collect();
        Fault::Line { line: self.line, what: what.into(), text }
    }

    fn comment(&mut self, line: &'a str) -> Result<Option<Item<'a>>, String> {
        let text = line[1..].trim_start_matches([' ', '\t']);
        if self.open_metrics && text == "EOF" {
            self.ended = true;
            return Ok(None);
        }
        let (word, rest) = cut(text);
        if !matches!(word, "TYPE" | "HELP" | "UNIT") {
            return match self.open_metrics {
                true => Err("a line of `#` is TYPE, HELP, UNIT or EOF".to_owned()),
                false => Ok(None),
            };
        }
        let (metric, rest) = named(rest)?;
        Ok(Some(match word {
            "TYPE" => {
                let word = rest.trim();
                let kind = kind(word).ok_or_else(|| format!("{word:?} is no type of a metric"))?;
                Item::Kind { metric, kind }
            }
            "HELP" => Item::Help { metric, help: plain(rest) },
            _ if self.open_metrics => Item::Unit { metric, unit: rest.trim() },
            _ => return Ok(None),
        }))
    }

    fn sample(&self, line: &'a str) -> Result<Line<'a>, String> {
        let (series, rest) = split(line)?;
        let rest = rest.trim_start_matches([' ', '\t']);
        let (value, rest) = cut(rest);
        let value = number(value)?;
        let (time, rest) = match rest.starts_with('#') {
            true => ("", rest),
            false => cut(rest),
        };
        let exemplar = match (rest, self.open_metrics) {
            ("", _) => None,
            (rest, true) => Some(self.exemplar(rest)?),
            (rest, false) => return Err(format!("{rest:?} stands behind the sample")),
        };
        Ok(Line { series, value, time: self.time(time)?, exemplar })
    }

    fn exemplar(&self, text: &'a str) -> Result<Example<'a>, String> {
        let text = text.strip_prefix('#').ok_or("an exemplar begins with `#`")?;
        let text = text.trim_start_matches([' ', '\t']);
        if !text.starts_with('{') {
            return Err("an exemplar has labels in braces".to_owned());
        }
        let end = labels::end(text).ok_or("the labels of the exemplar have no end")?;
        let (value, rest) = cut(text[end..].trim_start_matches([' ', '\t']));
        let (time, rest) = cut(rest);
        if !rest.is_empty() {
            return Err(format!("{rest:?} stands behind the exemplar"));
        }
        Ok(Example { labels: &text[..end], value: number(value)?, time: self.time(time)? })
    }

    fn time(&self, text: &str) -> Result<Option<i64>, String> {
        if text.is_empty() {
            return Ok(None);
        }
        let wrong = || format!("{text:?} is no time");
        if !self.open_metrics {
            return text.parse().map(Some).map_err(|_| wrong());
        }
        let seconds: f64 = text.parse().map_err(|_| wrong())?;
        let millis = seconds * 1000.0;
        match millis.is_finite() && millis.abs() < 9e15 {
            true => Ok(Some(millis.round() as i64)),
            false => Err(wrong()),
        }
    }
}

impl<'a> Iterator for Text<'a> {
    type Item = Result<Item<'a>, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        loop {
            let Some(line) = self.next_line() else {
                let lacks = self.open_metrics && !self.ended;
                self.failed = true;
                return lacks.then_some(Err(Fault::NoEnd));
            };
            if self.ended {
                return Some(Err(self.fault("there is more behind `# EOF`", line)));
            }
            let text = line.trim_start_matches([' ', '\t']);
            if text.is_empty() {
                if self.open_metrics {
                    return Some(Err(self.fault("a line is empty", line)));
                }
                continue;
            }
            let item = match text.starts_with('#') {
                true => self.comment(text),
                false => self.sample(text).map(|line| Some(Item::Sample(line))),
            };
            match item {
                Ok(Some(item)) => return Some(Ok(item)),
                Ok(None) => {}
                Err(what) => return Some(Err(self.fault(what, line))),
            }
        }
    }
}

/// A series and what is behind it.
fn split(line: &str) -> Result<(&str, &str), String> {
    let end = memchr::memchr3(b'{', b' ', b'\t', line.as_bytes()).ok_or("a sample has no value")?;
    if line.as_bytes()[end] == b'{' {
        let length = labels::end(&line[end..]).ok_or("the labels have no end")?;
        return Ok(line.split_at(end + length));
    }
    // Blanks may stand between a name and its labels.
    let rest = line[end..].trim_start_matches([' ', '\t']);
    if rest.starts_with('{') {
        let length = labels::end(rest).ok_or("the labels have no end")?;
        return Ok(line.split_at(line.len() - rest.len() + length));
    }
    Ok(line.split_at(end))
}

/// A word and what is behind it.
fn cut(text: &str) -> (&str, &str) {
    match memchr::memchr2(b' ', b'\t', text.as_bytes()) {
        Some(at) => (&text[..at], text[at..].trim_start_matches([' ', '\t'])),
        None => (text, ""),
    }
}

/// The name of a metric, quoted or not, and what is behind it.
fn named(text: &str) -> Result<(Cow<'_, str>, &str), String> {
    if text.starts_with('"') {
        let (name, rest) = labels::quoted(text)?;
        return Ok((name, rest.trim_start_matches([' ', '\t'])));
    }
    let (name, rest) = cut(text);
    match is_metric(name) {
        true => Ok((Cow::Borrowed(name), rest)),
        false => Err(format!("{name:?} is no name of a metric")),
    }
}

fn number(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| format!("{text:?} is no number"))
}

/// Help without its escapes.
fn plain(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (character, characters.clone().next()) {
            ('\\', Some('n')) => plain.push('\n'),
            ('\\', Some(escaped @ ('\\' | '"'))) => plain.push(escaped),
            _ => {
                plain.push(character);
                continue;
            }
        }
        characters.next();
    }
    Cow::Owned(plain)
}
