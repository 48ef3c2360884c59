//! Lines as the loggers of the world write them, and that none makes trouble.

use proptest::prelude::*;

use super::*;

#[track_caller]
fn check(body: &str, expected: Level) {
    assert_eq!(level(body.as_bytes()), expected, "{body}");
}

#[test]
fn structured_bodies() {
    check(r#"{"level":"warning","msg":"ERROR"}"#, Level::Warn);
    check(r#"  {"log":{"level":"error"}}"#, Level::Error);
    check(r#"{"msg":"ERROR"}"#, Level::Unknown);
    check("{\n \"level\": \"error\"\n}", Level::Error);
    check("{ERROR} not JSON", Level::Error);
    check("ts=1 level=debug msg=x", Level::Debug);
    check(r#"time="2026-01-31T12:00:00Z" level=warning msg="an ERROR""#, Level::Warn);
    check("GET /a?level=error", Level::Unknown);
    check("E0131 12:00:00.1 1 main.go:1] gone", Level::Error);
    check("<11>1 2026-01-31T22:14:15.003Z host app - - - x", Level::Error);
    check(r#"127.0.0.1 - - [31/Jan/2026:12:00:00 +0000] "GET /error HTTP/1.1" 200 5"#, Level::Info);
}

#[test]
fn lines_of_loggers() {
    // JVM
    check("2026-01-31 12:00:00,123 ERROR [main] c.e.App - gone", Level::Error);
    check("12:00:00.123 [http-1] WARN  c.e.App - slow", Level::Warn);
    check("SEVERE: it broke", Level::Error);
    check("[2026-01-31 12:00:00,123] INFO [KafkaServer id=1] started", Level::Info);
    // Python
    check("ERROR:root:gone", Level::Error);
    check("2026-01-31 12:00:00,123 - app - CRITICAL - over", Level::Fatal);
    check("[2026-01-31 12:00:00 +0000] [1] [INFO] Listening", Level::Info);
    check("[I 260131 12:00:00 web:1] 200 GET /", Level::Info);
    // Go
    check("2026/01/31 12:00:00 INFO started port=80", Level::Info);
    check("INFO[0000] started", Level::Info);
    check("12:00PM FTL over", Level::Fatal);
    check("2026-01-31T12:00:00.000Z\terror\tapp/main.go:3\tgone", Level::Error);
    // .NET
    check("info: Microsoft.Hosting.Lifetime[14]", Level::Info);
    check("fail: App.Worker[0]", Level::Error);
    check("[12:00:00 WRN] slow", Level::Warn);
    // Servers
    check("2026/01/31 12:00:00 [emerg] 1#1: bind() failed", Level::Fatal);
    check("[Sat Jan 31 12:00:00.1 2026] [core:error] [pid 1:tid 2] gone", Level::Error);
    check("[Sat Jan 31 12:00:00.1 2026] [mpm_event:notice] [pid 1] resuming", Level::Info);
    check("[2026-01-31 12:00:00.123][1][warning][main] [source/server.cc:1] x", Level::Warn);
    check("2026-01-31 12:00:00.000 UTC [1] LOG:  ready", Level::Info);
    check("2026-01-31 12:00:00.000 UTC [1] FATAL:  no", Level::Fatal);
    check("2026-01-31T12:00:00.0Z 0 [Note] [MY-1] [Server] up", Level::Info);
    check("[2026-01-31T12:00:00Z ERROR app::db] gone", Level::Error);
}

#[test]
fn words_and_sentences() {
    check("[warn] careful", Level::Warn);
    check("panic: runtime error", Level::Fatal);
    check("error: no such file", Level::Error);
    check("there was no error at all", Level::Unknown);
    check("all is fine: really", Level::Unknown);
    check("127.0.0.1 - - \"GET /info HTTP/1.1\" 200", Level::Unknown);
    check("", Level::Unknown);
    check("\n\n", Level::Unknown);
}

#[test]
fn traces() {
    check("Traceback (most recent call last):\n  File \"a.py\", line 1\nKeyError: 1", Level::Error);
    check("java.lang.IllegalStateException: boom\n\tat a.B.c(B.java:1)", Level::Error);
    check("Exception in thread \"main\" java.lang.Error: x", Level::Error);
    check("Unhandled exception. System.Exception: x\n   at A.B()", Level::Error);
    check("fatal error: all goroutines are asleep - deadlock!", Level::Fatal);
    // A later line's word is not the record's.
    check("2026-01-31 12:00:00 INFO ok\nERROR later", Level::Info);
    check("no level here\nERROR later", Level::Unknown);
}

#[test]
fn panics_that_a_server_has_caught() {
    check("2026/01/31 12:00:00 http: panic serving 10.0.0.1:4: boom", Level::Error);
    check("crit: App.Worker[0]", Level::Fatal);
    check("trce: App.Worker[0]", Level::Trace);
}

#[test]
fn colours_hide_no_level() {
    check("\x1b[31mERROR\x1b[0m gone", Level::Error);
    check("\x1b[2m2026-01-31T12:00:00Z\x1b[0m \x1b[33m WARN\x1b[0m app: slow", Level::Warn);
    check("\x1b[90m12:00PM\x1b[0m \x1b[32mINF\x1b[0m up", Level::Info);
    check("\x1b[36mINFO\x1b[0m[0000] started", Level::Info);
    check("\x1b[40m\x1b[32minfo\x1b[39m\x1b[22m\x1b[49m: App[0]", Level::Info);
    check("{\"level\":\"\\u001b[32minfo\\u001b[39m\",\"message\":\"up\"}", Level::Info);
    check("\x1b[1mE0131\x1b[0m 12:00:00.1 1 main.go:1] gone", Level::Error);
}

#[test]
fn nor_does_the_end_of_a_line_of_a_terminal() {
    check("10.0.0.1 - - [31/Jan/2026:12:00:00 +0000] \"GET / HTTP/1.0\" 502\r", Level::Error);
    check("{\"level\":\"error\"}\r", Level::Error);
    check("{\r\n \"level\": \"error\"\r\n}\r", Level::Error);
    check("ts=1 level=error\r", Level::Error);
    check("java.lang.IllegalStateException\r\n\tat a.B.c(B.java:1)\r", Level::Error);
}

proptest! {
    #[test]
    fn any_bytes_have_a_level_and_colours_change_none(body: Vec<u8>, text in "[ -~]{0,80}") {
        let _ = level(&body);
        let coloured = format!("\x1b[31m{}\x1b[0m", text.replace(' ', " \x1b[1m"));
        if !text.trim_start().starts_with('{') {
            prop_assert_eq!(level(coloured.as_bytes()), level(text.as_bytes()));
        }
    }
}
