//! Which lines belong to one record: the rules of stack traces.
//!
//! ```text
//! a logger's grave line -> what was thrown -> frames, causes            JVM, .NET, JavaScript
//!                       -> Traceback -> files and code -> what was raised -> the trace before it    Python
//! panic: -> goroutine N: -> calls and places                            Go
//! thread 'x' panicked at -> what it says -> note, backtrace             Rust
//! ```
//!
//! By the form of a line alone, so that the same lines always give the same
//! records. A line that fits no rule begins a record of its own.

use serde::{Deserialize, Serialize};

use crate::record::Level;

/// Where in a trace a record stands, as far as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trace {
    /// A line of a logger, so grave that a trace may follow.
    Logged,
    /// Of the JVM, .NET or JavaScript.
    Frames,
    /// Within Python's list of files and code.
    Python,
    /// After the line that says what was raised.
    Raised,
    /// Between two of Python's tracebacks.
    Chained,
    Go,
    /// What a Rust program's panic says comes next.
    Panicked,
    Rust,
}

/// Whether more lines may follow this one, which begins a record.
pub fn begins(line: &[u8], level: Level) -> Option<Trace> {
    head(line).map(|(trace, _)| trace).or_else(|| {
        let logged = level >= Level::Warn && line.first() != Some(&b'{');
        if is_frame(line) { Some(Trace::Frames) } else { logged.then_some(Trace::Logged) }
    })
}

/// Where the record stands with one more line; `None` when the line is not its.
pub fn goes_on(trace: Trace, line: &[u8]) -> Option<Trace> {
    let indented = line.first().is_some_and(|byte| matches!(byte, b' ' | b'\t'));
    match trace {
        Trace::Logged => match head(line) {
            Some((Trace::Go | Trace::Panicked | Trace::Rust, _)) => None,
            Some((trace, _)) => (!is_uncaught(line)).then_some(trace),
            None => is_frame(line).then_some(Trace::Frames),
        },
        Trace::Frames => is_frame(line).then_some(Trace::Frames),
        Trace::Python if indented => Some(Trace::Python),
        Trace::Python => is_raised(line).then_some(Trace::Raised),
        Trace::Raised => is_link(line).then_some(Trace::Chained),
        Trace::Chained => is_traceback(line).then_some(Trace::Python),
        Trace::Go => (indented || is_go(line)).then_some(Trace::Go),
        // Whatever stands here: it is the message.
        Trace::Panicked => Some(Trace::Rust),
        Trace::Rust => is_rust(line).then_some(Trace::Rust),
    }
}

/// Whether one empty line may stand before the next line of the record.
pub fn may_gap(trace: Trace) -> bool {
    matches!(trace, Trace::Raised | Trace::Chained | Trace::Go)
}

/// The level of a trace without a logger's line before it.
pub fn level(line: &[u8]) -> Option<Level> {
    head(line).and_then(|(_, level)| level)
}

fn head(line: &[u8]) -> Option<(Trace, Option<Level>)> {
    // Each line comes by here: its first letter rules most of them out.
    match line.trim_ascii_start().first()? {
        b'T' | b'+' if is_traceback(line) => Some((Trace::Python, Some(Level::Error))),
        b'p' if line.starts_with(b"panic: ") => Some((Trace::Go, Some(Level::Fatal))),
        b'f' if line.starts_with(b"fatal error: ") => Some((Trace::Go, Some(Level::Fatal))),
        b'g' if is_goroutine(line) => Some((Trace::Go, None)),
        b't' if is_panicked(line) => {
            // Before Rust 1.73 the message stood in this line.
            let trace = if line.ends_with(b":") { Trace::Panicked } else { Trace::Rust };
            Some((trace, Some(Level::Fatal)))
        }
        b'E' | b'U' if is_uncaught(line) => Some((Trace::Frames, Some(Level::Error))),
        _ => is_thrown(line).then_some((Trace::Frames, Some(Level::Error))),
    }
}

fn is_traceback(line: &[u8]) -> bool {
    let text = line.trim_ascii_start();
    text.starts_with(b"Traceback (most recent call last):")
        || text.starts_with(b"+ Exception Group Traceback (most recent call last):")
}

fn is_goroutine(line: &[u8]) -> bool {
    line.strip_prefix(b"goroutine ").and_then(<[u8]>::first).is_some_and(u8::is_ascii_digit)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_and_what_does_not() {
        let check =
            |line: &str, level, expected| assert_eq!(begins(line.as_bytes(), level), expected, "{line}");
        check("ERROR gone", Level::Error, Some(Trace::Logged));
        check("INFO up", Level::Info, None);
        check(r#"{"level":"error"}"#, Level::Error, None);
        check("java.lang.IllegalStateException: boom", Level::Error, Some(Trace::Frames));
        check("TypeError", Level::Error, Some(Trace::Frames));
        check("NoErrors: here", Level::Unknown, None);
        check("Traceback (most recent call last):", Level::Error, Some(Trace::Python));
        check("panic: boom", Level::Fatal, Some(Trace::Go));
        check("goroutine 7 [running]:", Level::Unknown, Some(Trace::Go));
        check("\tat a.B.c(B.java:1)", Level::Unknown, Some(Trace::Frames));
        check("at noon", Level::Unknown, None);
        check("thread 'main' panicked at src/main.rs:2:5:", Level::Fatal, Some(Trace::Panicked));
        check("thread 'tokio' (17) panicked at a.rs:2:5:", Level::Fatal, Some(Trace::Panicked));
        check("thread 'main' panicked at 'boom', src/main.rs:2:5", Level::Fatal, Some(Trace::Rust));
        check("thread 'main' ended", Level::Info, None);
    }

    #[test]
    fn what_goes_on() {
        let check = |trace, line: &str, expected| {
            assert_eq!(goes_on(trace, line.as_bytes()), expected, "{trace:?} {line}");
        };
        check(Trace::Logged, "a.b.CException: x", Some(Trace::Frames));
        check(Trace::Logged, "Traceback (most recent call last):", Some(Trace::Python));
        check(Trace::Logged, "panic: x", None);
        check(Trace::Logged, "Exception in thread \"main\" a.BError", None);
        check(Trace::Logged, "ERROR again", None);
        check(Trace::Frames, "   at A.B() in /a.cs:line 3", Some(Trace::Frames));
        check(Trace::Frames, " ---> System.Exception: inner", Some(Trace::Frames));
        check(Trace::Frames, "   --- End of inner exception stack trace ---", Some(Trace::Frames));
        check(Trace::Frames, "\t... 12 more", Some(Trace::Frames));
        check(Trace::Frames, "Caused by: a.BException", Some(Trace::Frames));
        check(Trace::Frames, "\tSuppressed: a.BException", Some(Trace::Frames));
        check(Trace::Frames, "a.b.CException: another", None);
        check(Trace::Frames, "  ... and so on", None);
        check(Trace::Python, "  File \"a.py\", line 3, in f", Some(Trace::Python));
        check(Trace::Python, "KeyError: 'x'", Some(Trace::Raised));
        check(Trace::Python, "INFO: next", None);
        check(Trace::Python, "2026-01-31 next", None);
        check(
            Trace::Raised,
            "During handling of the above exception, another exception occurred:",
            Some(Trace::Chained),
        );
        check(Trace::Chained, "Traceback (most recent call last):", Some(Trace::Python));
        check(Trace::Chained, "other", None);
        check(Trace::Go, "goroutine 1 [running]:", Some(Trace::Go));
        check(Trace::Go, "main.(*T).run(0xc000, 0x1)", Some(Trace::Go));
        check(Trace::Go, "panic({0x1, 0x2})", Some(Trace::Go));
        check(Trace::Go, "\t/app/main.go:3 +0x1d", Some(Trace::Go));
        check(Trace::Go, "created by main.main in goroutine 1", Some(Trace::Go));
        check(Trace::Go, "server started (again)", None);
        check(Trace::Panicked, "index out of bounds", Some(Trace::Rust));
        check(Trace::Rust, "note: run with `RUST_BACKTRACE=1` environment variable", Some(Trace::Rust));
        check(Trace::Rust, "stack backtrace:", Some(Trace::Rust));
        check(Trace::Rust, "   0: rust_begin_unwind", Some(Trace::Rust));
        check(Trace::Rust, "             at /rustc/x/panicking.rs:1:5", Some(Trace::Rust));
        check(Trace::Rust, "next line", None);
        check(Trace::Rust, "12: next", None);
    }
}
