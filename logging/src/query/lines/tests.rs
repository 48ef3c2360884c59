//! Lines as servers, programs and clients write them, also those who mean no good.

use proptest::prelude::*;

use super::*;

/// All fields of a body, as `name=value`.
fn fields(body: &str) -> Vec<String> {
    let mut found = Vec::new();
    read(body, &mut Plain, &mut |name, part| found.push(format!("{name}={}", part.value())));
    found
}

#[track_caller]
fn check(body: &str, expected: &[&str]) {
    assert_eq!(fields(body), expected, "{body}");
}

#[test]
fn names_are_one_word_each() {
    for name in Formats::of(|_| true).names() {
        assert_eq!(crate::query::text::tokens(name.as_bytes()), [name.as_bytes()], "{name}");
        assert!(!crate::query::text::is_id(name.as_bytes()) && is_name(name.as_bytes()), "{name}");
        assert!(!with_name(name).is_empty());
    }
    assert!(crate::query::text::tokens(NAMED).len() > 1);
    assert!(crate::query::text::tokens(NAMED_BUT_SYSLOG).len() > 1);
    assert!(is_name_of_syslog(b"appname") && !is_name_of_syslog(b"status"));
    assert!(with_name("level").is_empty() && !is_name(b"level"));
}

#[test]
fn access_logs_of_nginx_and_apache() {
    check(
        r#"10.0.0.1 - bob [31/Jan/2026:12:00:00 +0000] "GET /api/v1?page=2&x=y HTTP/1.1" 502 157 "https://a.example/b?c" "Mozilla/5.0 (X11; Linux x86_64)" "10.1.0.9, 10.1.0.8""#,
        &[
            "remote_addr=10.0.0.1",
            "user=bob",
            "method=GET",
            "path=/api/v1",
            "query=page=2&x=y",
            "protocol=HTTP/1.1",
            "status=502",
            "bytes=157",
            "referer=https://a.example/b?c",
            "user_agent=Mozilla/5.0 (X11; Linux x86_64)",
            "x_forwarded_for=10.1.0.9, 10.1.0.8",
        ],
    );
    let request = ["method=GET", "path=/", "protocol=HTTP/1.1", "status=200"];
    let with = |before: &[&'static str], after: &[&'static str]| [before, &request, after].concat();
    let line =
        |head: &str, tail: &str| format!(r#"{head}[31/Jan/2026:12:00:00 +0000] "GET / HTTP/1.1" 200 {tail}"#);
    let heads: &[(&str, &[&str])] = &[
        ("::1 - - ", &["remote_addr=::1"]),
        ("2001:db8::17 - ada@example.org ", &["remote_addr=2001:db8::17", "user=ada@example.org"]),
        ("web-1.example - john doe ", &["remote_addr=web-1.example", "user=john doe"]),
        ("10.0.0.1 ident bob ", &["remote_addr=10.0.0.1", "user=bob"]),
        ("shop.example:80 ::1 - - ", &["host=shop.example:80", "remote_addr=::1"]),
        ("shop.example 10.0.0.1 - a b ", &["host=shop.example", "remote_addr=10.0.0.1", "user=a b"]),
        ("- - - ", &[]),
        ("10.0.0.1 ", &["remote_addr=10.0.0.1"]),
        ("  10.0.0.1 - - ", &["remote_addr=10.0.0.1"]),
        ("", &[]),
    ];
    for (head, expected) in heads {
        check(&line(head, "5"), &with(expected, &["bytes=5"]));
    }
    let tails: &[(&str, &[&str])] = &[
        ("-", &[]),
        ("", &[]),
        ("17 \"-\" \"-\"", &["bytes=17"]),
        ("17 \"-\" \"\"", &["bytes=17"]),
        // nginx with its times, the ingress controller, Ruby's Rack, Traefik.
        ("17 \"-\" \"a\" 0.003 0.002", &["bytes=17", "user_agent=a", "duration=0.003"]),
        ("17 \"-\" \"a\" \"-\" rt=0.1 12.500", &["bytes=17", "user_agent=a", "duration=12.500"]),
        (
            "17 \"-\" \"k6/0.49\" 522 0.003 [shop-web-80] [] 10.244.1.7:8080 0 0.002 200 5f0c",
            &["bytes=17", "user_agent=k6/0.49", "duration=0.003"],
        ),
        ("17 0.0034", &["bytes=17", "duration=0.0034"]),
        (
            "17 \"-\" \"a\" 42 \"web@docker\" \"http://10.0.0.2:80\" 12ms",
            &["bytes=17", "user_agent=a", "duration=12ms"],
        ),
        // Microseconds or seconds: it isn't said.
        ("17 \"-\" \"a\" 1250", &["bytes=17", "user_agent=a"]),
        ("0.003", &["duration=0.003"]),
        ("17 \"one\"", &["bytes=17"]),
        ("17 \"-\" \"a\" 10.0.0.1 1.2.3 v1.2 x.5 5.x ms 5s", &["bytes=17", "user_agent=a"]),
    ];
    for (tail, expected) in tails {
        check(&line("- ", tail), &with(&[], expected));
    }
    // Python's http.server.
    check(
        r#"127.0.0.1 - - [31/Jan/2026 12:00:00] "GET / HTTP/1.1" 200 -"#,
        &with(&["remote_addr=127.0.0.1"], &[]),
    );
    check(
        r#"127.0.0.1 - - [2026-01-31T12:00:00+01:00] "GET / HTTP/1.1" 200 5"#,
        &with(&["remote_addr=127.0.0.1"], &["bytes=5"]),
    );
}

#[test]
fn abuse_16_what_clients_send_stays_in_its_place() {
    let line = |request: &str, tail: &str| {
        format!(r#"10.0.0.1 - - [31/Jan/2026:12:00:00 +0000] "{request}" 400 5{tail}"#)
    };
    let fixed = ["remote_addr=10.0.0.1", "status=400", "bytes=5"];
    for request in
        ["-", "", r"\x16\x03\x01\x00", "get / HTTP/1.1", "GET", r#"a\"b 200 \"c"#, "G\u{e9}T / HTTP/1.1"]
    {
        check(&line(request, r#" "-" "-""#), &fixed);
    }
    let check = |request: &str, tail: &str, more: &[&str]| {
        let expected: Vec<&str> = fixed.iter().copied().chain(more.iter().copied()).collect();
        let mut found = fields(&line(request, tail));
        let mut sorted: Vec<String> = expected.into_iter().map(str::to_owned).collect();
        found.sort();
        sorted.sort();
        assert_eq!(found, sorted, "{request} {tail}");
    };
    check("GET / HTTP/1.1", "", &["method=GET", "path=/", "protocol=HTTP/1.1"]);
    check("GET /a b?c d HTTP/1.0", "", &["method=GET", "path=/a b", "query=c d", "protocol=HTTP/1.0"]);
    check("M-SEARCH *", "", &["method=M-SEARCH", "path=*"]);
    check(
        "CONNECT a.example:443 HTTP/1.1",
        "",
        &["method=CONNECT", "path=a.example:443", "protocol=HTTP/1.1"],
    );
    check(r#"GET /\"] HTTP/1.1"#, "", &["method=GET", r#"path=/\"]"#, "protocol=HTTP/1.1"]);
    check("-", r#" "-" "a \" 200 \"b\\" 0.5"#, &[r#"user_agent=a \" 200 \"b\\"#, "duration=0.5"]);
    check("-", r#" "-" "x\x22 200 \x22y""#, &[r"user_agent=x\x22 200 \x22y"]);
    check("-", r#" "-" "a status=200 0.7 b""#, &["user_agent=a status=200 0.7 b"]);
    // A line that was cut.
    check("-", r#" "-" "Mozil"#, &["user_agent=Mozil"]);
    check("-", r#" "http://a"#, &[]);
    check("-", r#" "-" "Mozil\"#, &[r"user_agent=Mozil\"]);
    for cut in [
        r#"10.0.0.1 - - [31/Jan/2026:12:00:00 +0000] "GET / HT"#,
        r#"10.0.0.1 - - [31/Jan/2026:12:00:00 +0000] "GET / HTTP/1.1""#,
        r#"10.0.0.1 - - [31/Jan/2026:12:00:00 +0000] "GET / HTTP/1.1\" 200 5"#,
        r#"10.0.0.1 - - [31/Jan/2026:12:0"#,
        "",
    ] {
        assert_eq!(fields(cut), Vec::<String>::new(), "{cut}");
    }
}

#[test]
fn lines_that_look_like_an_access_log() {
    for body in [
        r#"[main] "GET / HTTP/1.1" 500"#,
        r#"said "hello" 500 times"#,
        r#"[12:00:01] "x" 500 y"#,
        r#"10.0.0.1 - - [31/Jan/2026:12:00:00 +0000] "GET / HTTP/1.1" OK 5"#,
        r#"10.0.0.1 - - [31/Jan/2026:12:00:00 +0000] "GET / HTTP/1.1" 5xx 5"#,
        r#"10.0.0.1 - - [31/01/2026:12:00:00 +0000] "GET / HTTP/1.1" 200 5"#,
        r#"127.0.0.1:52345 - "GET / HTTP/1.1" 200 OK"#,
        r#"{"a":1} - - [31/Jan/2026:12:00:00 +0000] "GET / HTTP/1.1" 200 5"#,
        "first\n10.0.0.1 - - [31/Jan/2026:12:00:00 +0000] \"GET / HTTP/1.1\" 200 5",
        r#"level=info msg="GET / HTTP/1.1" status=200"#,
    ] {
        assert_eq!(fields(body), Vec::<String>::new(), "{body}");
    }
    let line = "10.0.0.1 - - [31/Jan/2026:12:00:00 +0000] \"-\" 200 5\r\n\tat \"a\" \"b\" 0.5";
    check(line, &["remote_addr=10.0.0.1", "status=200", "bytes=5"]);
}

#[test]
fn access_logs_of_envoy_and_istio() {
    check(
        r#"[2026-01-31T12:00:00.000Z] "GET /a?b HTTP/2" 503 UF,URX 7 91 12 11 "10.0.0.7" "curl/8" "1f-2" "shop.example" "10.1.0.7:80""#,
        &[
            "method=GET",
            "path=/a",
            "query=b",
            "protocol=HTTP/2",
            "status=503",
            "response_flags=UF,URX",
            "bytes_received=7",
            "bytes=91",
            "duration=12ms",
            "x_forwarded_for=10.0.0.7",
            "user_agent=curl/8",
            "request_id=1f-2",
            "host=shop.example",
            "upstream_host=10.1.0.7:80",
        ],
    );
    check(
        r#"[2026-01-31T12:00:00.000Z] "- - -" 0 - 1 2 5 - "-" "-" "-" "-" "-""#,
        &["status=0", "bytes_received=1", "bytes=2", "duration=5ms"],
    );
    check(
        r#"[2026-01-31T12:00:00.000Z] "GET /a HTTP/1.1" 200 - via_upstream - "-" 0 2 1 0 "-" "curl" "id" "web:80" "127.0.0.1:80" inbound|80|| 127.0.0.6:1 10.0.0.3:80 10.0.0.2:1 outbound_.80_._.web default"#,
        &[
            "method=GET",
            "path=/a",
            "protocol=HTTP/1.1",
            "status=200",
            "bytes_received=0",
            "bytes=2",
            "duration=1ms",
            "user_agent=curl",
            "request_id=id",
            "host=web:80",
            "upstream_host=127.0.0.1:80",
        ],
    );
    let tails: &[(&str, &[&str])] = &[
        ("", &["status=503"]),
        (" UF", &["status=503", "response_flags=UF"]),
        (" UF 0 91", &["status=503", "response_flags=UF", "bytes_received=0", "bytes=91"]),
        (" UF no_route \"x\"", &["status=503", "response_flags=UF"]),
        (" \"UF\" 0 91", &["status=503"]),
    ];
    for (tail, expected) in tails {
        check(&format!(r#"[2026-01-31T12:00:00Z] "-" 503{tail}"#), expected);
    }
}

#[test]
fn klog_says_where_a_line_was_written() {
    check(
        r#"I0131 12:00:00.123456       7 pkg/leader.go:116] "won" lease="a""#,
        &["file=pkg/leader.go", "line=116", "thread=7"],
    );
    check("W20260131 12:00:00.1 12345 main.cc:12] slow", &["file=main.cc", "line=12", "thread=12345"]);
    check("E0131 12:00:00.1 1 k8s.v2.go:7]", &["file=k8s.v2.go", "line=7", "thread=1"]);
    for body in [
        "I013 12:00:00.1 1 main.go:1] x",
        "X0131 12:00:00.1 1 main.go:1] x",
        "E0131 gone",
        "E0131 12:00:00.1 1 main.go:1 x",
        "E0131 12:00:00.1 one main.go:1] x",
        "E0131 12:00:00.1 1 no file:1] x",
        "E0131 12:00:00.1 1 main:1] x",
        "E0131 12:00:00.1 1 2026-01-31T12:00:00] x",
        "E0131 2026-01-31T12:00:00 1 main.go:1] x",
        "[E 260131 12:00:00 web:1] gone",
        "I",
    ] {
        assert_eq!(fields(body), Vec::<String>::new(), "{body}");
    }
}

#[test]
fn syslog_says_who_wrote() {
    check(
        "<165>1 2026-01-31T22:14:15.003Z web-1 nginx 12 ID47 [ex@1 a=\"b\"] up",
        &["hostname=web-1", "appname=nginx", "procid=12", "msgid=ID47"],
    );
    check("<11>1 - - app - - - x", &["appname=app"]);
    check(
        "<34>Oct 11 22:14:15 mymachine su: 'su root' failed on /dev/pts/8",
        &["hostname=mymachine", "appname=su"],
    );
    check("<30>Jan  1 02:03:04 web-1 kubelet[812]: up", &["hostname=web-1", "appname=kubelet", "procid=812"]);
    check("<30>Jan  1 02:03:04 nginx[12]: up", &["appname=nginx", "procid=12"]);
    check("<30>Jan  1 02:03:04 web-1 some text", &["hostname=web-1"]);
    check("<30>cron[12]: up", &["appname=cron", "procid=12"]);
    check("Jan 31 12:00:00 web-1 kernel: [  1.2] usb", &["hostname=web-1", "appname=kernel"]);
    check(
        "Jan 31 12:00:00 ::1 /usr/sbin/cron[7]: (root) CMD (x)",
        &["hostname=::1", "appname=/usr/sbin/cron", "procid=7"],
    );
    for (time, tail) in [
        ("2026-01-31T12:00:00.123456+01:00", "up"),
        ("2026-01-31T12:00:00.123456-05:00", "up"),
        ("2026-01-31T12:00:00.123456+00:00", "INFO up"),
        ("<30>2026-01-31T12:00:00+00:00", "up"),
        ("<30>2026-01-31T12:00:00Z", "up"),
    ] {
        let expected = ["hostname=web-1", "appname=kubelet", "procid=812"];
        check(&format!("{time} web-1 kubelet[812]: {tail}"), &expected);
        check(&format!("{time} web-1 su: {tail}"), &["hostname=web-1", "appname=su"]);
    }
    check("2026-01-31T12:00:00.123456+01:00 web-1 su:\r\nmore", &["hostname=web-1", "appname=su"]);
    assert!(value(b"2026-01-31T12:00:00.123456+01:00 web-1 su:\r\nmore", "appname").is_some());
    // With a time that others write, too, who says its process.
    for time in ["2026-01-31T12:00:00Z", "2026-01-31T12:00:00.123456Z", "2026-01-31T12:00:00.123+01:00"] {
        let expected = ["hostname=web-1", "appname=kubelet", "procid=812"];
        check(&format!("{time} web-1 kubelet[812]: INFO up"), &expected);
        check(&format!("{time} main worker: started"), &[]);
        check(&format!("{time} main worker[]: started"), &[]);
    }
    check("<30>2026-01-31T12:00:00Z web-1 some text", &["hostname=web-1"]);
    check("<30>2026-01-31T12:00:00Z nginx[12]: up", &["appname=nginx", "procid=12"]);
    for body in [
        "2026-01-31T12:00:00.123456Z ERROR tiphys: gone",
        "2026-01-31T12:00:00.123456Z  INFO tiphys: up",
        "2026-01-31T12:00:00Z main WARN: slow",
        "2026-01-31T12:00:00Z nginx[12]: up",
        "2026-01-31T12:00:00Z app: up",
        "2026-01-31T12:00:00Z web-1 some text",
        "2026-01-31T12:00:00 web-1 su: up",
        "2026-01-31 12:00:00 web-1 su: up",
        "2026-01-31T12:00:00+0100 web-1 su: up",
        "2026/01/31 main.go:5: up",
        "<4>careful",
        "<4>note: careful",
        "<192>1 - - app - - - x",
        "<03>cron[12]: x",
        "<34>2 - - app - - - x",
        "<34>1 - host app",
        "<html>1 - - app - - - x",
        "<>cron[12]: x",
        "<12",
        "May the force be: with you",
        "Mar 12 a:b:c host app: x",
        "Jan 31 12:00:00 some free text",
        "Jan 31 12:00:00",
        "Jan",
        "<30>Jan  1 02:03:04 a(b): x",
    ] {
        assert_eq!(fields(body), Vec::<String>::new(), "{body}");
    }
}

#[test]
fn bytes_that_are_no_text_have_no_fields() {
    let line = b"10.0.0.1 - - [31/Jan/2026:12:00:00 +0000] \"GET /\xff HTTP/1.1\" 200 5";
    assert_eq!(value(line, "status"), None);
    each_name(line, &mut |name| panic!("{name}"));
}

#[test]
fn lines_of_other_formats_take_no_memory() {
    let lines: [&[u8]; 4] = [
        br#"level=info msg="GET / HTTP/1.1" status=200 took=5ms"#,
        b"2026-01-31 12:00:00,123 ERROR [main] c.e.App - gone",
        br#"{"status":200}"#,
        b"I think that <this> is \"none\"",
    ];
    let info = allocation_counter::measure(|| {
        for line in lines {
            for name in ["status", "file", "appname", "took"] {
                assert_eq!(value(line, name), None);
            }
            each_name(line, &mut |_| {});
        }
    });
    assert_eq!(info.count_total, 0);
}

/// Parts of all formats, in any order.
fn lines() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("10.0.0.1 - -"),
        Just("[31/Jan/2026:12:00:00 +0000]"),
        Just("[2026-01-31T12:00:00.000Z]"),
        Just("\"GET /a?b HTTP/1.1\""),
        Just("\"a \\\" b\""),
        Just("\"open"),
        Just("200"),
        Just("-"),
        Just("0.5"),
        Just("E0131 12:00:00.1"),
        Just("main.go:12]"),
        Just("<34>1"),
        Just("<34>Jan  1 02:03:04"),
        Just("2026-01-31T12:00:00.1+01:00"),
        Just("2026-01-31T12:00:00Z"),
        Just("web-1"),
        Just("su[7]:"),
        Just("é"),
        Just("\n"),
        Just(""),
    ];
    prop::collection::vec(part, 0..9).prop_map(|parts| parts.join(" "))
}

proptest! {
    #[test]
    fn any_text_is_read_and_a_guess_misses_no_format(body in prop_oneof![lines(), "\\PC{0,60}"]) {
        let mut found = Vec::new();
        let format = read(&body, &mut Plain, &mut |name, part| found.push((name, part.value())));
        if let Some(format) = format {
            prop_assert!(guess(body.as_bytes()).meets(Formats::of(|one| one == format)), "{:?} of {}", format, body);
        }
        prop_assert!(format.is_some() || found.is_empty());
        for (name, text) in &found {
            prop_assert_eq!(value(body.as_bytes(), name), format.map(|format| (format, text.clone())));
            prop_assert!(is_respelt(name) || body.contains(text.as_str()));
        }
        let mut names = Vec::new();
        each_name(body.as_bytes(), &mut |name| names.push(name.to_owned()));
        prop_assert_eq!(names, found.iter().map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>());
    }
}
