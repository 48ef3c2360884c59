//! Fields of lines that have them by their places: access logs, klog, syslog.
//!
//! ```text
//! guess (first bytes, the first quote) -> read (one pass) -> name and value of each field
//! ```
//!
//! A value is a part of the line as it stands there, but for a unit that is meant and not
//! written. `-` and nothing are no values. Only the first line of a body is read, and only
//! of a body that is UTF-8; bodies come here as [`super::plain`] gives them.
//!
//! The same readers read the forms of templates, in which a mark stands for a variable.
//! So they may ask what a part is made of by [`Tell`] only, and cut only at signs that no
//! variable has (white space, quotes, brackets), or where it makes no difference. They show
//! no field before they know that the line is of their format.

mod access;
mod klog;
mod syslog;

use std::ops::Range;

use super::seen::VARIABLE;
use crate::block::template::times;

/// Stands among the words of each block that has the names of such fields among them, as
/// blocks of old versions have not. No text has it as a token. Another one when more lines have
/// fields: the blocks before then don't have the names of those.
pub const NAMED: &[u8] = b"names of fields 2";
/// What blocks had before, in which syslog's lines with a time of RFC 3339 have no names.
pub const NAMED_BUT_SYSLOG: &[u8] = b"names of fields";

/// A format of lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Klog,
    Syslog,
    Access,
}

impl Format {
    /// In the order in which they are tried.
    const ALL: [Format; 3] = [Format::Klog, Format::Syslog, Format::Access];

    /// Of all fields that its lines may have.
    fn names(self) -> &'static [&'static str] {
        match self {
            Format::Klog => &klog::NAMES,
            Format::Syslog => &syslog::NAMES,
            Format::Access => &access::NAMES,
        }
    }

    /// Whether what the line says comes before pairs (`key=value`) of the same name. In an access
    /// log these can be a client's words.
    pub fn leads(self) -> bool {
        self == Format::Access
    }

    fn may_be(self, text: &[u8]) -> bool {
        match self {
            Format::Klog => klog::may_be(text),
            Format::Syslog => syslog::may_be(text),
            Format::Access => access::may_be(text),
        }
    }

    fn read<'a>(self, line: &'a str, tell: &mut dyn Tell, found: &mut Found<'_, 'a>) -> bool {
        let read = match self {
            Format::Klog => klog::read(line, tell, found),
            Format::Syslog => syslog::read(line, tell, found),
            Format::Access => access::read(line, tell, found),
        };
        read.is_some()
    }
}

/// A set of formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Formats(u8);

impl Formats {
    fn of(which: impl Fn(Format) -> bool) -> Self {
        Self(Format::ALL.into_iter().filter(|format| which(*format)).fold(0, |bits, one| bits | bit(one)))
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether some format is in both.
    pub fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Takes these in; gives those that are new.
    pub fn take_in(&mut self, other: Self) -> Self {
        let new = Self(other.0 & !self.0);
        self.0 |= other.0;
        new
    }

    /// The names of the fields that their lines may have.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let these = Format::ALL.into_iter().filter(move |format| self.0 & bit(*format) != 0);
        these.flat_map(|format| format.names().iter().copied())
    }
}

fn bit(format: Format) -> u8 {
    1 << format as u8
}

/// The formats that may have a field of this name.
pub fn with_name(name: &str) -> Formats {
    Formats::of(|format| format.names().contains(&name))
}

/// Whether the token is the name of such a field.
pub fn is_name(token: &[u8]) -> bool {
    Format::ALL.into_iter().any(|format| format.names().iter().any(|name| name.as_bytes() == token))
}

/// Whether the token is the name of a field that syslog's lines may have.
pub fn is_name_of_syslog(token: &[u8]) -> bool {
    syslog::NAMES.iter().any(|name| name.as_bytes() == token)
}

/// Whether the field's values may be spelt otherwise in the line: with a unit that isn't there.
pub fn is_respelt(name: &str) -> bool {
    name == access::DURATION
}

/// The formats that a body may be of, by a few of its bytes; a no is certain. Also of a template,
/// with [`VARIABLE`] for each variable.
pub fn guess(text: &[u8]) -> Formats {
    let text = text.trim_ascii_start();
    match text.first() {
        None | Some(b'{') => Formats::default(),
        _ => Formats::of(|format| format.may_be(text)),
    }
}

/// A part of a line, with the unit that is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part<'a> {
    text: &'a str,
    unit: &'static str,
}

impl Part<'_> {
    pub fn value(self) -> String {
        [self.text, self.unit].concat()
    }
}

/// Is shown the name and value of each field.
pub type Found<'f, 'a> = dyn FnMut(&'static str, Part<'a>) + 'f;

/// Tells what parts of a line are made of.
pub trait Tell {
    /// Whether the part is such a run of letters and digits.
    fn run(&mut self, part: &str, run: Run) -> bool;

    /// Whether it is a time: see [`is_time`].
    fn time(&mut self, part: &str) -> bool;

    /// Of a time of RFC 3339 without its zone: the digits of its second's fraction.
    fn stamp(&mut self, part: &str) -> Option<u8>;

    /// Whether it is a program's name: see [`is_name_sign`].
    fn name(&mut self, part: &str) -> bool;

    /// The line was not of the format that has asked so far.
    fn forget(&mut self) {}
}

/// Runs of letters and digits, with a digit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Run {
    Digits,
    /// Of syslog, 0 to 191.
    Priority,
    /// Of syslog's newer form: 1.
    Version,
    /// Of klog: a letter, month and day, the year before them or not.
    Stamp,
}

impl Run {
    pub fn holds(self, text: &[u8]) -> bool {
        let digits = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
        match self {
            Run::Digits => digits(text),
            Run::Priority => {
                let number = text.iter().take(3).fold(0, |sum, digit| sum * 10 + u32::from(digit & 0x0f));
                digits(text) && text.len() <= 3 && number <= 191 && (text.len() == 1 || text[0] != b'0')
            }
            Run::Version => text == b"1",
            Run::Stamp => text.split_first().is_some_and(|(letter, date)| {
                klog::LETTERS.contains(letter) && matches!(date.len(), 4 | 8) && digits(date)
            }),
        }
    }
}

/// `31/Jan/2026`, also with a clock behind it, or `2026-01-31T` with one.
pub fn is_time(text: &[u8]) -> bool {
    let digits =
        |place: Range<usize>| text.get(place).is_some_and(|part| part.iter().all(u8::is_ascii_digit));
    let is = |at: usize, sign: u8| text.get(at) == Some(&sign);
    if is(4, b'-') {
        return digits(0..4) && digits(5..7) && is(7, b'-') && digits(8..10) && is(10, b'T');
    }
    let month = text.get(3..6).is_some_and(|part| part.iter().all(u8::is_ascii_alphabetic));
    let ends = text.get(11).is_none_or(|byte| *byte == b':');
    digits(0..2) && is(2, b'/') && month && is(6, b'/') && digits(7..11) && ends
}

/// A letter, digit or sign of a program's name.
pub fn is_name_sign(sign: char) -> bool {
    sign.is_ascii_alphanumeric() || "_.-/@%".contains(sign)
}

/// A line as it was written.
struct Plain;

impl Tell for Plain {
    fn run(&mut self, part: &str, run: Run) -> bool {
        run.holds(part.as_bytes())
    }

    fn time(&mut self, part: &str) -> bool {
        is_time(part.as_bytes())
    }

    fn stamp(&mut self, part: &str) -> Option<u8> {
        times::stamp(part.as_bytes())
    }

    fn name(&mut self, part: &str) -> bool {
        !part.is_empty() && part.chars().all(is_name_sign)
    }
}

/// Shows `found` the fields of a body, if it is of a known format; gives that.
pub fn read<'a>(text: &'a str, tell: &mut dyn Tell, found: &mut Found<'_, 'a>) -> Option<Format> {
    let line = text.trim_ascii_start().split('\n').next()?.trim_end_matches('\r');
    // It means to be JSON.
    if line.starts_with('{') {
        return None;
    }
    for format in Format::ALL {
        if format.read(line, tell, found) {
            return Some(format);
        }
        tell.forget();
    }
    None
}

/// The value of one field of a body.
pub fn value(body: &[u8], name: &str) -> Option<(Format, String)> {
    let formats = with_name(name);
    if formats.is_empty() || !formats.meets(guess(body)) {
        return None;
    }
    let text = std::str::from_utf8(body).ok()?;
    let mut value = None;
    let format = read(text, &mut Plain, &mut |field, part| {
        if field == name {
            value = Some(part.value());
        }
    })?;
    value.map(|value| (format, value))
}

/// Calls `name` with the name of each field that a body has.
pub fn each_name(body: &[u8], name: &mut dyn FnMut(&str)) {
    if guess(body).is_empty() {
        return;
    }
    if let Ok(text) = std::str::from_utf8(body) {
        read(text, &mut Plain, &mut |field, _| name(field));
    }
}

fn show<'a>(found: &mut Found<'_, 'a>, name: &'static str, text: &'a str) {
    if !matches!(text, "" | "-") {
        found(name, Part { text, unit: "" });
    }
}

/// The first word, and what stands behind the space after it.
fn cut(text: &str) -> (&str, &str) {
    text.split_once(' ').unwrap_or((text, ""))
}

#[cfg(test)]
mod tests;
