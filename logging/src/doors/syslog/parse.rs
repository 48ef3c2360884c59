//! A message of syslog. Pure; any bytes are a message.
//!
//! RFC 5424 has all parts; of RFC 3164 there are as many forms as senders, so
//! each part is optional, and what isn't recognized stays in the body.

use jiff::{civil, tz::TimeZone};

use super::frames::Frame;
use crate::{
    doors::{draft::Capped, fields::Fields},
    parse::{left_out, severity_of_syslog},
    record::Level,
    time,
};

/// One message. Its body is not yet with its fields.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Message {
    pub facility: Option<&'static str>,
    pub level: Option<Level>,
    pub time: Option<i64>,
    pub host: Option<String>,
    pub app: Option<String>,
    pub process: Option<String>,
    pub message_id: Option<String>,
    /// Structured data: `id.name`, value.
    pub params: Vec<(String, String)>,
    pub text: Vec<u8>,
    /// Bytes that were cut off it, 0 where nobody knows how many; `None`: it is whole.
    pub left_out: Option<u64>,
}

const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
    "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
    "local7",
];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
/// Bytes of a host's or app's name.
const MAX_NAME: usize = 255;
/// Parameters of structured data.
const MAX_PARAMS: usize = 1_000;

impl Message {
    /// Of what came at `now`.
    pub fn of(frame: Frame<'_>, now: i64) -> Self {
        Self { left_out: frame.left_out, ..parse(frame.bytes, now) }
    }

    /// The text, with what has no place of its own as fields.
    pub fn body(mut self, capped: &mut Capped) -> Vec<u8> {
        if let Some(bytes) = self.left_out {
            self.text.extend_from_slice(left_out(bytes).as_bytes());
            capped.messages += 1;
        }
        let mut fields = Fields::default();
        fields.add("procid", self.process.unwrap_or_default().into());
        fields.add("msgid", self.message_id.unwrap_or_default().into());
        for (name, value) in self.params {
            fields.add(&name, value.into());
        }
        fields.join(&self.text, capped)
    }
}

/// Reads a message that came at `now`: a time without a year is in the year that is nearest.
pub fn parse(bytes: &[u8], now: i64) -> Message {
    let end = bytes.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r' | 0)).map_or(0, |last| last + 1);
    let bytes = &bytes[..end];
    let Some((priority, rest)) = priority(bytes) else {
        return Message { text: bytes.to_vec(), ..Message::default() };
    };
    let known = Message {
        facility: FACILITIES.get(usize::from(priority / 8)).copied(),
        level: Some(severity_of_syslog(priority % 8)),
        ..Message::default()
    };
    let new = rest.strip_prefix(b"1 ").and_then(|rest| rfc5424(rest, known.clone()));
    new.unwrap_or_else(|| rfc3164(rest, known, now))
}

fn priority(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let rest = bytes.strip_prefix(b"<")?;
    let digits = rest.iter().take(4).take_while(|byte| byte.is_ascii_digit()).count();
    let priority = std::str::from_utf8(&rest[..digits]).ok()?.parse().ok().filter(|number| *number < 192)?;
    Some((priority, rest[digits..].strip_prefix(b">")?))
}

fn rfc5424(mut rest: &[u8], mut message: Message) -> Option<Message> {
    let mut words = [None, None, None, None, None];
    for word in &mut words {
        *word = name(take_word(&mut rest)?)?;
    }
    let [time, host, app, process, message_id] = words;
    message.time = match time {
        Some(time) => Some(time::parse(&time)?),
        None => None,
    };
    (message.host, message.app, message.process, message.message_id) = (host, app, process, message_id);
    rest = structured(rest, &mut message.params)?;
    let text = rest.strip_prefix(b" ").or(rest.is_empty().then_some(rest))?;
    message.text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text).to_vec();
    Some(message)
}

/// A word and the space behind it.
fn take_word<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = rest.iter().position(|byte| *byte == b' ')?;
    let (word, after) = rest.split_at(end);
    *rest = &after[1..];
    (!word.is_empty()).then_some(word)
}

/// `-` is no name.
fn name(word: &[u8]) -> Option<Option<String>> {
    let text = std::str::from_utf8(word).ok().filter(|text| text.len() <= MAX_NAME)?;
    Some((text != "-").then(|| text.to_owned()))
}

/// `[id name="value" ...]...`, or `-`; gives what is behind it.
fn structured<'a>(rest: &'a [u8], params: &mut Vec<(String, String)>) -> Option<&'a [u8]> {
    if let Some(rest) = rest.strip_prefix(b"-") {
        return Some(rest);
    }
    let text = match std::str::from_utf8(rest) {
        Ok(text) => text,
        // The text behind it may be of any bytes.
        Err(error) => std::str::from_utf8(&rest[..error.valid_up_to()]).ok()?,
    };
    let mut left = text.strip_prefix('[')?;
    loop {
        let end = left.find([' ', ']'])?;
        let id = &left[..end];
        left = &left[end..];
        while let Some(pair) = left.strip_prefix(' ') {
            let (name, after) = pair.split_once("=\"")?;
            let (value, after) = value(after)?;
            if params.len() < MAX_PARAMS {
                params.push((format!("{id}.{name}"), value));
            }
            left = after;
        }
        left = left.strip_prefix(']')?;
        match left.strip_prefix('[') {
            Some(next) => left = next,
            None => return Some(&rest[text.len() - left.len()..]),
        }
    }
}

/// A value up to its quote; `\"`, `\\` and `\]` are escapes.
fn value(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                c @ ('"' | '\\' | ']') => value.push(c),
                c => value.extend(['\\', c]),
            },
            c => value.push(c),
        }
    }
    None
}

fn rfc3164(rest: &[u8], mut message: Message, now: i64) -> Message {
    let Some((time, mut after)) = written_time(rest, now) else {
        // Without a time a word before a colon may be part of the text; with a process it is an app.
        let tag = tag(rest).filter(|tag| tag.process.is_some());
        take_tag(&mut message, tag, rest);
        return message;
    };
    message.time = Some(time);
    let word_end = after.iter().position(|byte| *byte == b' ').unwrap_or(after.len());
    let word = &after[..word_end];
    let is_host =
        !word.is_empty() && !word.ends_with(b":") && !word.contains(&b'[') && word_end < after.len();
    if is_host && let Some(Some(host)) = name(word) {
        message.host = Some(host);
        after = &after[word_end + 1..];
    }
    take_tag(&mut message, tag(after), after);
    message
}

fn take_tag(message: &mut Message, tag: Option<Tag<'_>>, all: &[u8]) {
    match tag {
        Some(tag) => {
            (message.app, message.process) = (Some(tag.app.to_owned()), tag.process.map(str::to_owned));
            message.text = tag.text.to_vec();
        }
        None => message.text = all.to_vec(),
    }
}

struct Tag<'a> {
    app: &'a str,
    process: Option<&'a str>,
    text: &'a [u8],
}

/// `app[123]: ` or `app: `.
fn tag(text: &[u8]) -> Option<Tag<'_>> {
    let legal = |byte: &&u8| byte.is_ascii_alphanumeric() || b"_.-/@%".contains(byte);
    let end = text.iter().take(MAX_NAME).take_while(legal).count();
    let app = std::str::from_utf8(&text[..end]).ok().filter(|app| !app.is_empty())?;
    let (process, rest) = match text[end..].strip_prefix(b"[") {
        Some(after) => {
            let close = after.iter().take(MAX_NAME).position(|byte| *byte == b']')?;
            (Some(std::str::from_utf8(&after[..close]).ok()?), &after[close + 1..])
        }
        None => (None, &text[end..]),
    };
    let rest = rest.strip_prefix(b":")?;
    Some(Tag { app, process, text: rest.strip_prefix(b" ").unwrap_or(rest) })
}

/// `Jan 31 12:00:00 `, with a year behind the day or without, or RFC 3339.
fn written_time(bytes: &[u8], now: i64) -> Option<(i64, &[u8])> {
    let head = &bytes[..bytes.len().min(64)];
    let text =
        std::str::from_utf8(head).or_else(|error| std::str::from_utf8(&head[..error.valid_up_to()])).ok()?;
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        let (word, _) = text.split_once(' ')?;
        return Some((time::parse(word)?, &bytes[word.len() + 1..]));
    }
    let month = MONTHS.iter().position(|month| text.starts_with(month))? as i8 + 1;
    let mut words = text.get(3..)?.strip_prefix(' ')?.trim_start().split(' ');
    let day: i8 = words.next()?.parse().ok()?;
    let mut word = words.next()?;
    let year: Option<i16> = word.parse().ok().filter(|year| (1970..=9998).contains(year));
    if year.is_some() {
        word = words.next()?;
    }
    let clock: civil::Time = word.trim_end_matches(':').parse().ok()?;
    let end = word.as_ptr() as usize - text.as_ptr() as usize + word.len();
    let rest = bytes[end..].strip_prefix(b" ")?;
    let at = |year: i16| {
        let date = civil::Date::new(year, month, day).ok()?;
        let zoned = date.to_datetime(clock).to_zoned(TimeZone::UTC).ok()?;
        i64::try_from(zoned.timestamp().as_nanosecond()).ok()
    };
    if let Some(year) = year {
        return Some((at(year)?, rest));
    }
    let this = jiff::Timestamp::from_nanosecond(now.into()).ok()?.to_zoned(TimeZone::UTC).year();
    let near = [this - 1, this, this + 1].into_iter().filter_map(at);
    Some((near.min_by_key(|time| time.abs_diff(now))?, rest))
}
