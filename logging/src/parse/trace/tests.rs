//! Lines of each language, what they are to a record, and those that only look so.

use super::*;

#[test]
fn what_begins_and_what_does_not() {
    let check = |line: &str, level, expected| assert_eq!(begins(line.as_bytes(), level), expected, "{line}");
    check("ERROR gone", Level::Error, Some(Trace::Logged));
    check("INFO up", Level::Info, None);
    check(r#"{"level":"error"}"#, Level::Error, None);
    check("java.lang.IllegalStateException: boom", Level::Error, Some(Trace::Frames));
    check("TypeError", Level::Error, Some(Trace::Frames));
    check("TypeError\r", Level::Error, Some(Trace::Frames));
    check("NoErrors: here", Level::Unknown, None);
    check("Traceback (most recent call last):", Level::Error, Some(Trace::Python));
    check("panic: boom", Level::Fatal, Some(Trace::Go));
    check("goroutine 7 [running]:", Level::Unknown, Some(Trace::Go));
    check("goroutine 7 gp=0xc000 m=0 mp=0x1 [running]:", Level::Unknown, Some(Trace::Go));
    check("goroutine 7 leaks", Level::Unknown, None);
    check("\tat a.B.c(B.java:1)", Level::Unknown, Some(Trace::Framed));
    check("at noon", Level::Unknown, None);
    check("thread 'main' panicked at src/main.rs:2:5:", Level::Fatal, Some(Trace::Panicked));
    check("thread 'main' panicked at src/main.rs:2:5:\r", Level::Fatal, Some(Trace::Panicked));
    check("thread 'tokio' (17) panicked at a.rs:2:5:", Level::Fatal, Some(Trace::Panicked));
    check("thread 'main' panicked at 'boom', src/main.rs:2:5", Level::Fatal, Some(Trace::Rust));
    check("thread 'main' ended", Level::Info, None);
    check(r#"I0131 12:00:00.1 1 a.go:1] "text" data=<"#, Level::Info, Some(Trace::Quoted));
    check("INFO a=<", Level::Info, None);
    check("I01=<", Level::Unknown, None);
}

#[test]
fn heads_of_the_console_of_dotnet() {
    for word in ["trce", "dbug", "info", "warn", "fail", "crit"] {
        let line = format!("{word}: Microsoft.Hosting.Lifetime[14]");
        assert_eq!(begins(line.as_bytes(), Level::Unknown), Some(Trace::Console), "{line}");
    }
    for line in ["info: A[-7]", "info: A B[0]", "info: A[0]\r", "fail: A<B[]>[0]"] {
        assert_eq!(begins(line.as_bytes(), Level::Info), Some(Trace::Console), "{line}");
    }
    for line in [
        "info: [14]",
        "info: retries [3]",
        "info: A[]",
        "info: A[-]",
        "info: A[x]",
        "info: A[1] up",
        "info:A[1]",
        " info: A[1]",
        "note: A[1]",
        "info",
        "",
    ] {
        assert_eq!(begins(line.as_bytes(), Level::Info), None, "{line}");
    }
}

#[test]
fn panics_that_the_server_of_go_has_caught() {
    let check = |line: &str, expected| assert_eq!(level(line.as_bytes()), expected, "{line}");
    let error = Some(Level::Error);
    check("2026/01/31 12:00:00 http: panic serving 10.0.0.1:4: boom", error);
    check("2026/01/31 12:00:00.000001 a.go:1: http2: panic serving 10.0.0.1:4: boom", error);
    check("http: panic serving [::1]:4: boom", error);
    check("http2: panic serving [::1]:4: boom", error);
    check("http3: panic serving [::1]:4: boom", None);
    check("http: no panic serving [::1]:4: boom", None);
    check("2026/01/31 12:00:00 xhttp: panic serving 10.0.0.1:4: boom", None);
    check("2026/01/31 12:00:00 no panic serving", None);
    check("2026-01-31 12:00:00 http: panic serving 10.0.0.1:4: boom", None);
    check("2026-01-31 12:00:00 x", None);
}

/// Of a line that follows a sure one.
#[track_caller]
fn check(trace: Trace, line: &str, expected: Next) {
    assert_eq!(goes_on(trace, 0, line.as_bytes()), expected, "{trace:?} {line}");
    let returned = format!("{line}\r");
    assert_eq!(goes_on(trace, 0, returned.as_bytes()), expected, "{trace:?} {line}, of a terminal");
}

#[test]
fn what_goes_on() {
    use super::Next::{Not, Of, Perhaps};
    check(Trace::Logged, "a.b.CException: x", Of(Trace::Frames));
    check(Trace::Logged, "Traceback (most recent call last):", Of(Trace::Python));
    check(Trace::Logged, "goroutine 1 [running]:", Of(Trace::Go));
    check(Trace::Logged, "panic: x", Not);
    check(Trace::Logged, "Exception in thread \"main\" a.BError", Not);
    check(Trace::Logged, "ERROR again", Not);
    check(Trace::Logged, "fail: App[0]", Not);
    check(Trace::Logged, "sigs.k8s.io/pkg/c.(*Controller).reconcileHandler", Perhaps(Trace::Called));
    check(Trace::Logged, "main.run(0x1, 0x2)", Not);
    check(Trace::Logged, "next", Not);
    check(Trace::Logged, "", Perhaps(Trace::Logged));
    check(Trace::Frames, "   at A.B() in /a.cs:line 3", Of(Trace::Framed));
    check(Trace::Frames, " ---> System.Exception: inner", Of(Trace::Frames));
    check(Trace::Frames, "Caused by: a.BException", Of(Trace::Frames));
    check(Trace::Frames, "\t... 12 more", Of(Trace::Framed));
    check(Trace::Frames, "\t/app/main.go:5", Of(Trace::Stack));
    check(Trace::Frames, "a.b.CException: another", Not);
    check(Trace::Frames, "  Detail: Key (id)=(1) already exists.", Perhaps(Trace::Frames));
    check(Trace::Frames, "", Perhaps(Trace::Frames));
    check(Trace::Frames, "INFO next", Not);
    check(Trace::Frames, "2026-01-31 12:00:00 next", Not);
    check(Trace::Frames, r#"{"msg":"next"}"#, Not);
    check(Trace::Framed, "   --- End of inner exception stack trace ---", Of(Trace::Framed));
    check(Trace::Framed, "\tSuppressed: a.BException", Of(Trace::Frames));
    check(Trace::Framed, "  ... and so on", Not);
    check(Trace::Framed, "", Not);
    check(Trace::Console, "      text", Of(Trace::Console));
    check(Trace::Console, "         at A.B()", Of(Trace::Console));
    check(Trace::Console, "     text", Not);
    check(Trace::Console, "", Not);
    check(Trace::Go, "goroutine 1 [running]:", Of(Trace::Go));
    check(Trace::Go, "main.(*T).run(0xc000, 0x1)", Of(Trace::Go));
    check(Trace::Go, "panic({0x1, 0x2})", Of(Trace::Go));
    check(Trace::Go, "\t/app/main.go:3 +0x1d", Of(Trace::Go));
    check(Trace::Go, "created by main.main in goroutine 1", Of(Trace::Go));
    check(Trace::Go, "server started (again)", Not);
    check(Trace::Go, "    INFO next", Not);
    check(Trace::Go, "  text", Not);
    check(Trace::Go, "", Perhaps(Trace::Go));
    for place in ["\t/app/main.go:5", "\tk8s.io/a@v0.1.2/b.go:329 +0x1d", "\t/go/asm_amd64.s:1695"] {
        check(Trace::Called, place, Of(Trace::Stack));
    }
    for other in ["/app/main.go:5", "\t/app/main.go", "\t/app/main.go:", "\t/a.rs:5", "\ta.go:5 x", ""] {
        check(Trace::Called, other, Not);
    }
    check(Trace::Stack, "main.main", Perhaps(Trace::Called));
    check(Trace::Stack, "main", Not);
    check(Trace::Quoted, "\tgoroutine 1 [running]:", Of(Trace::Quoted));
    check(Trace::Quoted, " > other=<", Of(Trace::Quoted));
    check(Trace::Quoted, " > other=\"x\"", Of(Trace::Ended));
    check(Trace::Quoted, " >", Of(Trace::Ended));
    check(Trace::Quoted, "next", Not);
    check(Trace::Ended, "\tat a.B.c(B.java:1)", Not);
    check(Trace::Panicked, "index out of bounds", Of(Trace::Rust));
    check(Trace::Rust, "note: run with `RUST_BACKTRACE=1` environment variable", Of(Trace::Rust));
    check(Trace::Rust, "stack backtrace:", Of(Trace::Rust));
    check(Trace::Rust, "   0: rust_begin_unwind", Of(Trace::Rust));
    check(Trace::Rust, "             at /rustc/x/panicking.rs:1:5", Of(Trace::Rust));
    check(Trace::Rust, "next line", Not);
    check(Trace::Rust, "12: next", Not);
}

#[test]
fn what_goes_on_after_what_python_raised() {
    use super::Next::{Not, Of, Perhaps};
    check(Trace::Python, "  File \"a.py\", line 3, in f", Of(Trace::Python));
    check(Trace::Python, "KeyError: 'x'", Of(Trace::Raised));
    check(Trace::Python, "INFO: next", Not);
    check(Trace::Python, "2026-01-31 next", Not);
    let link = "During handling of the above exception, another exception occurred:";
    check(Trace::Raised, link, Of(Trace::Chained));
    for note in [
        "[SQL: SELECT 1]",
        "[parameters: {'id': 1}]",
        "(Background on this error at: https://sqlalche.me/e/20/gkpj)",
        "LINE 1: SELECT x",
        "DETAIL:  Key (id)=(1) already exists.",
        "         ^",
    ] {
        check(Trace::Raised, note, Of(Trace::Raised));
    }
    check(Trace::Raised, "LINE x: y", Not);
    check(Trace::Raised, "next", Not);
    // As loggers write that indent levels, and Flask.
    for other in [
        "    INFO next",
        "   ERROR again",
        " WARNING:root:next",
        "      INFO   Application startup complete.",
        " * Restarting with stat",
    ] {
        check(Trace::Raised, other, Not);
    }
    check(Trace::Raised, "  * more", Of(Trace::Raised));
    check(Trace::Raised, "", Perhaps(Trace::Raised));
    check(Trace::Raised, "[SQL: SELECT a ", Of(Trace::Statement));
    check(Trace::Statement, "FROM b", Perhaps(Trace::Statement));
    check(Trace::Statement, "WHERE c = 1]", Of(Trace::Raised));
    check(Trace::Statement, "[parameters: ()]", Of(Trace::Raised));
    check(Trace::Statement, "INFO [main]", Not);
    check(Trace::Chained, "Traceback (most recent call last):", Of(Trace::Python));
    check(Trace::Chained, "", Perhaps(Trace::Chained));
    check(Trace::Chained, "other", Not);
}

#[test]
fn what_is_perhaps_of_a_record_is_little() {
    let check = |trace, perhaps, line: &str, expected| {
        assert_eq!(goes_on(trace, perhaps, line.as_bytes()), expected, "{trace:?} {perhaps} {line}");
    };
    check(Trace::Frames, MAX_MESSAGE - 1, "x", Next::Perhaps(Trace::Frames));
    check(Trace::Frames, MAX_MESSAGE, "x", Next::Not);
    check(Trace::Frames, MAX_MESSAGE, "\tat a.B.c(B.java:1)", Next::Of(Trace::Framed));
    check(Trace::Frames, 1, "\t/app/main.go:5", Next::Perhaps(Trace::Frames));
    check(Trace::Statement, MAX_STATEMENT, "x", Next::Not);
    check(Trace::Raised, 1, "", Next::Perhaps(Trace::Raised));
    check(Trace::Raised, 2, "", Next::Not);
    check(Trace::Raised, 1, "  x", Next::Not);
    check(Trace::Raised, 2, "[SQL: SELECT 1]", Next::Of(Trace::Raised));
    check(Trace::Chained, 1, "", Next::Not);
    check(Trace::Go, 1, "", Next::Not);
    check(Trace::Logged, 1, "", Next::Not);
    check(Trace::Logged, 1, "a.BException: x", Next::Of(Trace::Frames));
    check(Trace::Logged, 1, "\tat a.B.c(B.java:1)", Next::Not);
    check(Trace::Logged, 1, "main.main", Next::Not);
}
