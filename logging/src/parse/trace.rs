//! Which lines belong to one record: the rules of stack traces.
//!
//! ```text
//! a logger's grave line -> what was thrown -> more that it says? -> frames, causes    JVM, .NET, JavaScript
//!     -> Traceback -> files and code -> what was raised, notes -> the trace before it    Python
//!     -> goroutine N: -> calls and places                                    Go
//!     -> a function? -> its place -> a function? -> ...                      Go: zap, errors with stacks
//! panic: -> goroutine N: -> calls and places                                 Go
//! thread 'x' panicked at -> what it says -> note, backtrace                  Rust
//! fail: Category[0] -> indented lines                                        .NET's console
//! E0131 ...] "text" key=< -> lines behind a tab -> >                         klog
//! ```
//!
//! By the form of a line alone, so that the same lines always give the same
//! records. A line that fits no rule begins a record of its own. Where a line alone doesn't tell (`?`),
//! it is perhaps of the record, and the next lines say. A terminal's carriage return is no part of a line.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::{Deserialize, Serialize};

use super::{severity, stamp::stamp};
use crate::record::Level;

/// Lines of a message that wait for a frame behind it.
const MAX_MESSAGE: usize = 8;
/// Lines of a statement that wait for its end.
const MAX_STATEMENT: usize = 64;
/// What .NET's console writes before each line but the first.
const CONSOLE_PADDING: &[u8] = b"      ";

/// Where in a trace a record stands, as far as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trace {
    /// A line of a logger, so grave that a trace may follow.
    Logged,
    /// After the line that says what was thrown, of the JVM, .NET or JavaScript.
    Frames,
    /// Among its frames.
    Framed,
    /// .NET's console: a level and a category, and what stands indented below.
    Console,
    /// Within Python's list of files and code.
    Python,
    /// After the line that says what was raised.
    Raised,
    /// Within the statement that a database refused.
    Statement,
    /// Between two of Python's tracebacks.
    Chained,
    Go,
    /// After a function's name, behind which its place must follow.
    Called,
    /// After such a place.
    Stack,
    /// Within a value of several lines of klog.
    Quoted,
    /// Nothing more is of it.
    Ended,
    /// What a Rust program's panic says comes next.
    Panicked,
    Rust,
}

impl Trace {
    /// The same in a word that versions know which knew fewer. They read no checkpoint with others.
    pub fn former(self) -> Self {
        match self {
            Trace::Framed => Trace::Frames,
            Trace::Statement => Trace::Raised,
            Trace::Console | Trace::Called | Trace::Stack | Trace::Quoted | Trace::Ended => Trace::Logged,
            known => known,
        }
    }
}

/// What a line is to the record before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// One of its lines, and so are those that perhaps were.
    Of(Trace),
    /// One of its lines if a later line is.
    Perhaps(Trace),
    Not,
}

/// Whether more lines may follow this one, which begins a record.
pub fn begins(line: &[u8], level: Level) -> Option<Trace> {
    let line = without_return(line);
    let known = head(line).map(|(trace, _)| trace).or_else(|| framed(line));
    known.or_else(|| {
        if is_quoting(line) {
            return Some(Trace::Quoted);
        }
        let logged = level >= Level::Warn && line.first() != Some(&b'{');
        logged.then_some(Trace::Logged)
    })
}

/// What the line is to a record that stands there, and after whose last sure line so many
/// stand that perhaps are of it.
pub fn goes_on(trace: Trace, perhaps: usize, line: &[u8]) -> Next {
    let line = without_return(line);
    match trace {
        Trace::Logged => after_logged(perhaps, line),
        Trace::Frames => after_thrown(perhaps, line),
        Trace::Framed => framed(line).map_or(Next::Not, Next::Of),
        Trace::Console => of(line.starts_with(CONSOLE_PADDING), Trace::Console),
        Trace::Python if is_indented(line) => Next::Of(Trace::Python),
        Trace::Python => of(is_raised(line), Trace::Raised),
        Trace::Raised => after_raised(perhaps, line),
        Trace::Statement => in_statement(perhaps, line),
        Trace::Chained | Trace::Go if line.is_empty() && perhaps == 0 => Next::Perhaps(trace),
        Trace::Chained => of(is_traceback(line), Trace::Python),
        // Only a tab: other programs of the container begin their lines with spaces.
        Trace::Go => of(line.starts_with(b"\t") || is_go(line), Trace::Go),
        Trace::Called => of(is_place(line), Trace::Stack),
        Trace::Stack if is_function(line) => Next::Perhaps(Trace::Called),
        Trace::Stack | Trace::Ended => Next::Not,
        Trace::Quoted if line.starts_with(b"\t") => Next::Of(Trace::Quoted),
        Trace::Quoted if line.ends_with(b"=<") => of(line.starts_with(b" > "), Trace::Quoted),
        Trace::Quoted => of(line == b" >" || line.starts_with(b" > "), Trace::Ended),
        // Whatever stands here: it is the message.
        Trace::Panicked => Next::Of(Trace::Rust),
        Trace::Rust => of(is_rust(line), Trace::Rust),
    }
}

/// The level of a trace without a logger's line before it.
pub fn level(line: &[u8]) -> Option<Level> {
    head(without_return(line)).and_then(|(_, level)| level)
}

/// A line as it was meant: a terminal ends lines with a carriage return, too.
pub fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn of(is_of_it: bool, trace: Trace) -> Next {
    if is_of_it { Next::Of(trace) } else { Next::Not }
}

fn after_logged(perhaps: usize, line: &[u8]) -> Next {
    match head(line) {
        Some((Trace::Frames, _)) if !is_uncaught(line) => Next::Of(Trace::Frames),
        None if line.is_empty() && perhaps == 0 => Next::Perhaps(Trace::Logged),
        // Behind an empty line stands what was thrown, or another record.
        _ if perhaps > 0 => Next::Not,
        Some((Trace::Python, _)) => Next::Of(Trace::Python),
        Some((Trace::Go, _)) => of(is_goroutine(line), Trace::Go),
        Some(_) => Next::Not,
        None => match framed(line) {
            Some(trace) => Next::Of(trace),
            None if is_function(line) => Next::Perhaps(Trace::Called),
            None => Next::Not,
        },
    }
}

fn after_thrown(perhaps: usize, line: &[u8]) -> Next {
    match framed(line) {
        Some(trace) => Next::Of(trace),
        // A function's name, which seemed to be an error's.
        None if perhaps == 0 && is_place(line) => Next::Of(Trace::Stack),
        None => perhaps_said(Trace::Frames, perhaps < MAX_MESSAGE, line),
    }
}

fn after_raised(perhaps: usize, line: &[u8]) -> Next {
    match line {
        // What was raised may end with an end of line of its own.
        [] if perhaps < 2 => Next::Perhaps(Trace::Raised),
        _ if is_link(line) => Next::Of(Trace::Chained),
        _ if line.starts_with(b"[SQL: ") && !line.ends_with(b"]") => Next::Of(Trace::Statement),
        _ => of(is_note(line) || (perhaps == 0 && is_more(line)), Trace::Raised),
    }
}

/// A further line of what was raised, indented. Loggers indent their lines, too, to the width of the
/// longest level; ` * ` begins those of Flask.
fn is_more(line: &[u8]) -> bool {
    is_indented(line) && !line.starts_with(b" * ") && !is_new(line)
}

fn in_statement(perhaps: usize, line: &[u8]) -> Next {
    if is_note(line) || (line.ends_with(b"]") && !is_new(line)) {
        return Next::Of(Trace::Raised);
    }
    perhaps_said(Trace::Statement, perhaps < MAX_STATEMENT, line)
}

/// A further line of what was said, unless it begins a record of its own.
fn perhaps_said(trace: Trace, has_room: bool, line: &[u8]) -> Next {
    if has_room && !is_new(line) { Next::Perhaps(trace) } else { Next::Not }
}

/// Whether a line begins a record for sure, also where it may be one of a message.
fn is_new(line: &[u8]) -> bool {
    line.first() == Some(&b'{')
        || head(line).is_some()
        || severity::level(line) != Level::Unknown
        || stamp(line, 0).is_some()
}

fn is_indented(line: &[u8]) -> bool {
    line.first().is_some_and(|byte| matches!(byte, b' ' | b'\t'))
}

fn head(line: &[u8]) -> Option<(Trace, Option<Level>)> {
    // Each line comes by here: its first letter rules most of them out.
    match line.trim_ascii_start().first()? {
        b'T' | b'+' if is_traceback(line) => Some((Trace::Python, Some(Level::Error))),
        b'p' if line.starts_with(b"panic: ") => Some((Trace::Go, Some(Level::Fatal))),
        b'f' if line.starts_with(b"fatal error: ") => Some((Trace::Go, Some(Level::Fatal))),
        b'g' if is_goroutine(line) => Some((Trace::Go, None)),
        b'h' | b'0'..=b'9' if is_served(line) => Some((Trace::Logged, Some(Level::Error))),
        b't' if is_panicked(line) => {
            // Before Rust 1.73 the message stood in this line.
            let trace = if line.ends_with(b":") { Trace::Panicked } else { Trace::Rust };
            Some((trace, Some(Level::Fatal)))
        }
        b't' | b'd' | b'i' | b'w' | b'f' | b'c' if is_console(line) => Some((Trace::Console, None)),
        b'E' | b'U' if is_uncaught(line) => Some((Trace::Frames, Some(Level::Error))),
        _ => is_thrown(line).then_some((Trace::Frames, Some(Level::Error))),
    }
}

fn is_traceback(line: &[u8]) -> bool {
    let text = line.trim_ascii_start();
    text.starts_with(b"Traceback (most recent call last):")
        || text.starts_with(b"+ Exception Group Traceback (most recent call last):")
}

/// `goroutine 7 [running]:`, of newer ones with more before the bracket.
fn is_goroutine(line: &[u8]) -> bool {
    let Some(rest) = line.strip_prefix(b"goroutine ") else { return false };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    digits > 0 && [b" [".as_slice(), b" gp="].iter().any(|next| rest[digits..].starts_with(next))
}

/// `2026/01/31 12:00:00 http: panic serving 10.0.0.1:4: boom`, the words of Go's server.
fn is_served(line: &[u8]) -> bool {
    const PROTOCOLS: [&[u8]; 2] = [b"http", b"http2"];
    static SERVED: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b": panic serving "));
    if line.first() == Some(&b'h') {
        let behind = PROTOCOLS.iter().find_map(|protocol| line.strip_prefix(*protocol)?.strip_prefix(b": "));
        return behind.is_some_and(|text| text.starts_with(b"panic serving "));
    }
    let is_dated = line.get(..11).is_some_and(|date| date[4] == b'/' && date[7] == b'/' && date[10] == b' ');
    if !is_dated {
        return false;
    }
    let begin = &line[..line.len().min(160)];
    let Some(at) = SERVED.find(begin) else { return false };
    let before = PROTOCOLS.iter().find_map(|protocol| begin[..at].strip_suffix(*protocol));
    before.is_some_and(|before| before.ends_with(b" "))
}

/// `fail: Microsoft.AspNetCore.Server.Kestrel[13]`
fn is_console(line: &[u8]) -> bool {
    const LEVELS: [&[u8]; 6] = [b"trce", b"dbug", b"info", b"warn", b"fail", b"crit"];
    let Some((level, rest)) = line.split_at_checked(4) else { return false };
    let Some(text) = rest.strip_prefix(b": ").and_then(|rest| rest.strip_suffix(b"]")) else { return false };
    let Some(open) = text.iter().rposition(|byte| *byte == b'[') else { return false };
    let (category, id) = (&text[..open], &text[open + 1..]);
    let id = id.strip_prefix(b"-").unwrap_or(id);
    let is_named = category.last().is_some_and(|byte| !byte.is_ascii_whitespace());
    LEVELS.contains(&level) && is_named && !id.is_empty() && id.iter().all(u8::is_ascii_digit)
}

/// klog's line that goes on with a value of several lines: `E0131 12:00:00.1 1 a.go:1] "gone" stack=<`.
fn is_quoting(line: &[u8]) -> bool {
    line.ends_with(b"=<")
        && line.get(..6).is_some_and(|begin| {
            b"IWEF".contains(&begin[0]) && begin[1..5].iter().all(u8::is_ascii_digit) && begin[5] == b' '
        })
}

/// `thread 'main' panicked at src/main.rs:2:5:`, of newer ones with the thread's id before `panicked`.
fn is_panicked(line: &[u8]) -> bool {
    let Some(rest) = line.strip_prefix(b"thread '") else { return false };
    rest.windows(13).take(200).any(|window| window == b" panicked at ")
}

/// Notes, `stack backtrace:`, numbered frames and their places.
fn is_rust(line: &[u8]) -> bool {
    let text = line.trim_ascii_start();
    let indented = text.len() < line.len();
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let frame = indented && (text.starts_with(b"at ") || digits > 0 && text.get(digits) == Some(&b':'));
    frame
        || line == b"stack backtrace:"
        || [b"note: run with `RUST_BACKTRACE".as_slice(), b"note: Some details are omitted"]
            .iter()
            .any(|begin| line.starts_with(begin))
}

/// What the runtime says when nobody caught it.
fn is_uncaught(line: &[u8]) -> bool {
    line.starts_with(b"Exception in thread ") || line.starts_with(b"Unhandled exception")
}

/// `java.lang.IllegalStateException: boom`, `TypeError: x is not a function`.
fn is_thrown(line: &[u8]) -> bool {
    let name = type_name(line);
    let ends = [b"Exception".as_slice(), b"Error", b"Throwable"].iter().any(|end| name.ends_with(end));
    ends && matches!(line.get(name.len()), None | Some(b':'))
}

/// The last line of a traceback: `KeyError: 'x'`, `app.errors.NotFound`.
fn is_raised(line: &[u8]) -> bool {
    let name = type_name(line);
    let ended = matches!(&line[name.len()..], [] | [b':'] | [b':', b' ', ..]);
    let is_level = std::str::from_utf8(name).ok().and_then(Level::from_word).is_some();
    ended && !is_level && name.first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_')
}

/// A dotted name; longer than people write them it is none.
fn type_name(line: &[u8]) -> &[u8] {
    let length = line
        .iter()
        .take(200)
        .position(|byte| !byte.is_ascii_alphanumeric() && !b"._$`+".contains(byte))
        .unwrap_or(line.len().min(200));
    &line[..length]
}

fn is_link(line: &[u8]) -> bool {
    line.starts_with(b"During handling of the above exception")
        || line.starts_with(b"The above exception was the direct cause")
}

/// What databases and their libraries say below what was raised.
fn is_note(line: &[u8]) -> bool {
    const BEGINS: [&[u8]; 6] = [
        b"[SQL: ",
        b"[parameters: ",
        b"(Background on this error at: ",
        b"DETAIL: ",
        b"HINT: ",
        b"CONTEXT: ",
    ];
    let Some(place) = line.strip_prefix(b"LINE ") else {
        return BEGINS.iter().any(|begin| line.starts_with(begin));
    };
    let digits = place.iter().take_while(|byte| byte.is_ascii_digit()).count();
    digits > 0 && place.get(digits) == Some(&b':')
}

/// Where a frame, or what stands between frames, leaves the trace.
fn framed(line: &[u8]) -> Option<Trace> {
    if !is_frame(line) {
        return None;
    }
    // A cause may say more than a line, as what was thrown.
    let text = line.trim_ascii_start();
    let begins = [b"Caused by: ".as_slice(), b"Suppressed: ", b"---> "];
    let says = begins.iter().any(|begin| text.starts_with(begin));
    Some(if says { Trace::Frames } else { Trace::Framed })
}

/// A frame, a cause, or what stands between them.
fn is_frame(line: &[u8]) -> bool {
    let text = line.trim_ascii_start();
    let indented = text.len() < line.len();
    if indented && (text.starts_with(b"at ") || text.starts_with(b"---> ") || is_elided(text)) {
        return true;
    }
    if indented && text.starts_with(b"[CIRCULAR REFERENCE") {
        return true;
    }
    [b"Caused by: ".as_slice(), b"Suppressed: ", b"--- End of "].iter().any(|begin| text.starts_with(begin))
}

/// `... 12 more`, `... 3 common frames omitted`.
fn is_elided(text: &[u8]) -> bool {
    text.strip_prefix(b"... ").and_then(<[u8]>::first).is_some_and(u8::is_ascii_digit)
}

/// `main.(*T).run(0xc000, 0x1)`, `created by net/http.(*Server).Serve in goroutine 1`, `[signal SIGSEGV ...]`.
fn is_go(line: &[u8]) -> bool {
    if is_goroutine(line)
        || [b"created by ".as_slice(), b"[signal ", b"exit status "]
            .iter()
            .any(|begin| line.starts_with(begin))
    {
        return true;
    }
    let end = line.iter().position(|byte| byte.is_ascii_whitespace()).unwrap_or(line.len());
    line.ends_with(b")") && line[..end].contains(&b'(') && line[..end].contains(&b'.')
        || line.starts_with(b"panic(") && line.ends_with(b")")
}

/// A function as Go names it, alone in its line: `main.(*T).run`, `k8s.io/pkg.(*Controller).Start.func2`.
fn is_function(line: &[u8]) -> bool {
    let is_sign = |byte: &u8| *byte >= 0x80 || b"._-/()*[]{},~@$%".contains(byte);
    line.len() <= 512
        && line.first().is_some_and(u8::is_ascii_alphabetic)
        && line.contains(&b'.')
        && line.iter().all(|byte| byte.is_ascii_alphanumeric() || is_sign(byte))
}

/// `\t/app/main.go:5`, with or without ` +0x1d` behind it.
fn is_place(line: &[u8]) -> bool {
    let Some(text) = line.strip_prefix(b"\t") else { return false };
    let end = text.iter().position(u8::is_ascii_whitespace).unwrap_or(text.len());
    let (place, behind) = text.split_at(end);
    let Some(colon) = place.iter().rposition(|byte| *byte == b':') else { return false };
    let (file, number) = (&place[..colon], &place[colon + 1..]);
    (file.ends_with(b".go") || file.ends_with(b".s"))
        && !number.is_empty()
        && number.iter().all(u8::is_ascii_digit)
        && (behind.is_empty() || behind.starts_with(b" +0x"))
}

#[cfg(test)]
mod tests;
