//! Access logs, klog and syslog for the grep that knows nothing: lines of these formats,
//! and some that are nearly of them, and their fields found the slow way.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::*;

/// Lines as servers and programs write them. Boxed, or their state would not fit a test's stack.
pub fn bodies() -> BoxedStrategy<Vec<u8>> {
    let lines = prop_oneof![
        3 => access().boxed(),
        1 => envoy().boxed(),
        2 => klog().boxed(),
        2 => syslog().boxed(),
    ];
    lines.prop_map(String::into_bytes).boxed()
}

fn requests() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just("GET /api/v1/u7?page=12 HTTP/1.1"),
        Just("GET /api/v1/u12 HTTP/2"),
        Just("POST /api/v1/u7 HTTP/1.1"),
        Just("POST /error HTTP/1.1"),
        Just("GET /a b HTTP/1.0"),
        Just("GET /apis"),
        Just("get /api HTTP/1.1"),
        Just(r"\x16\x03"),
        Just(r#"GET /api\" HTTP/1.1"#),
        Just("-"),
    ]
}

fn access() -> impl Strategy<Value = String> {
    let client = prop_oneof![Just("10.0.0.1"), Just("::1"), Just("web-7"), Just("-")];
    let user = prop_oneof![Just("-"), Just("bob"), Just("u7")];
    // The last two are no times that a template has.
    let time = prop_oneof![
        4 => Just("02/Jan/2024:10:00:00 +0000"),
        1 => Just("31/Feb/2024:10:00:00 +0000"),
        1 => Just("02/Jan/2024 10:00:00"),
        1 => Just("main"),
    ];
    let status = prop_oneof![Just("200"), Just("500"), Just("503"), Just("0503"), Just("5xx"), Just("-")];
    let tail = prop_oneof![
        Just(" 12"),
        Just(" -"),
        Just(""),
        Just(r#" 1250 "-" "curl/8""#),
        Just(r#" 12 "http://a/b" "Mozilla/5.0 (a; b)" "10.0.0.1""#),
        Just(r#" 12 "-" "x \" y" 522 0.012 [shop-web-80] 10.0.0.1:80"#),
        Just(r#" 12 "-" "curl/8" 1 "web@docker" 250ms"#),
        Just(r#" 12 "-" "curl/8" a1 x.5 12 0.x7"#),
        Just(r#" 12 "-" "curl"#),
        Just(" 12 0.250"),
        Just(" 12 a1.250"),
    ];
    (client, user, time, requests(), status, tail).prop_map(|(client, user, time, request, status, tail)| {
        format!("{client} - {user} [{time}] \"{request}\" {status}{tail}")
    })
}

fn envoy() -> impl Strategy<Value = String> {
    let status = prop_oneof![Just("200"), Just("503"), Just("0")];
    let details = prop_oneof![Just(""), Just(" via_upstream - \"-\"")];
    let time = prop_oneof![3 => Just("2024-01-02T03:04:05.5Z"), 1 => Just("2024-02-31T03:04:05.5Z")];
    let took = prop_oneof![Just("12"), Just("250"), Just("-")];
    (time, requests(), status, details, took).prop_map(|(time, request, status, details, took)| {
        format!(
            "[{time}] \"{request}\" {status} UF{details} 7 12 {took} - \"-\" \"curl/8\" \"a1b2c3\" \"shop:80\" \"10.0.0.1:80\""
        )
    })
}

fn klog() -> impl Strategy<Value = String> {
    let stamp = prop_oneof![
        3 => Just("E0102"),
        2 => Just("I0102"),
        1 => Just("W20240102"),
        1 => Just("X0102"),
        1 => Just("I01023"),
    ];
    let thread = prop_oneof![Just("7"), Just("12"), Just("a1")];
    let place = prop_oneof![
        Just("main.go:12"),
        Just("k8s.go:7"),
        Just("pkg/main.go:1250"),
        Just("main:7"),
        Just("main.go:x")
    ];
    (stamp, thread, place, any::<bool>()).prop_map(|(stamp, thread, place, pairs)| {
        let pairs = if pairs { " user.id=u7 took=5ms" } else { "" };
        format!("{stamp} 10:00:00.5       {thread} {place}] connection reset{pairs}")
    })
}

fn syslog() -> impl Strategy<Value = String> {
    let newer = (
        prop_oneof![Just("<34>1"), Just("<34>2"), Just("<999>1")],
        prop_oneof![Just("2024-01-02T03:04:05.5Z"), Just("-")],
        prop_oneof![Just("web-1"), Just("-")],
        prop_oneof![Just("su"), Just("k8s")],
        prop_oneof![Just("7"), Just("-")],
    )
        .prop_map(|(head, time, host, app, process)| {
            format!("{head} {time} {host} {app} {process} ID47 - reset")
        });
    let older = (
        prop_oneof![Just("<30>"), Just("")],
        prop_oneof![Just("Jan  2 10:00:00 "), Just("Jan x2 10:00:00 "), Just("")],
        prop_oneof![Just("web-1 "), Just("10.0.0.1 "), Just("")],
        prop_oneof![
            Just("su[7]: "),
            Just("su[12]: "),
            Just("su: "),
            Just("k8s[7]: "),
            Just("a(b): "),
            Just("")
        ],
    )
        .prop_map(|(priority, time, host, tag)| format!("{priority}{time}{host}{tag}error at"));
    prop_oneof![newer, older]
}

const QUOTED: &str = r#"((?:[^"\\]|\\.)*)"#;

static COMMON: LazyLock<Regex> = LazyLock::new(|| {
    let time = r"\d\d/[A-Z][a-z]{2}/\d{4}[: ][^\]]*";
    pattern(&format!(
        r#"^(?P<remote_addr>\S+) - (?P<user>\S+) \[{time}\] "{QUOTED}" (?P<status>\d+)(?P<behind>$| .*$)"#
    ))
});
static AGENT: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&format!(r#"^ (?:\d+|-) "(?P<referer>{QUOTED})" "(?P<user_agent>{QUOTED})("|$)"#))
});
static ALL_QUOTED: LazyLock<Regex> = LazyLock::new(|| pattern(&format!("\"{QUOTED}\"?")));
static ENVOY: LazyLock<Regex> = LazyLock::new(|| {
    let time = r"\d{4}-\d\d-\d\dT[^\]]*Z";
    let numbers = r"7 (?P<bytes>\d+) (?P<millis>\S+) -";
    pattern(&format!(
        r#"^\[{time}\] "{QUOTED}" (?P<status>\d+) UF(?: via_upstream - "-")? {numbers} "-" "(?P<user_agent>[^"]*)""#
    ))
});
static REQUEST: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"^(?P<method>[A-Z]+) (?P<path>[^?]*?)(?:\?(?P<query>.*?))?(?: (?P<protocol>HTTP/\S+))?$")
});
static KLOG: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"^[IWEF](?:\d{4}|\d{8}) \d+:\S+ +(?P<thread>\d+) (?P<file>\S+\.[a-z]+):(?P<line>\d+)\]")
});
static NEWER: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"^<34>1 \S+ (?P<hostname>\S+) (?P<appname>\S+) (?P<procid>\S+) (?P<msgid>\S+) -")
});
static OLDER: LazyLock<Regex> = LazyLock::new(|| {
    let tag = r"(?P<appname>\w+)(?:\[(?P<procid>\d+)\])?: ";
    pattern(&format!(r"^(?:<30>)?Jan +\d+ \d\d:\d\d:\d\d (?:(?P<hostname>[\w.-]+) )?{tag}"))
});
/// With a priority a host will do, and without a time a process.
static HOST: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^<30>Jan +\d+ \d\d:\d\d:\d\d (?P<hostname>[\w.-]+) "));
static PROCESS: LazyLock<Regex> = LazyLock::new(|| pattern(r"^<30>(?P<appname>\w+)\[(?P<procid>\d+)\]: "));

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a pattern")
}

/// A field of a line of a known format.
pub fn naive_field(text: &str, name: &str) -> Option<String> {
    let found = match (COMMON.captures(text), ENVOY.captures(text)) {
        (Some(line), _) => of_common(&line, name),
        (None, Some(line)) => of_envoy(&line, name),
        (None, None) => {
            let others = [&KLOG, &NEWER, &OLDER, &HOST, &PROCESS];
            let line = others.into_iter().find_map(|format| format.captures(text))?;
            named(&line, name)
        }
    };
    found.filter(|value| !matches!(value.as_str(), "" | "-"))
}

fn of_common(line: &Captures<'_>, name: &str) -> Option<String> {
    let behind = &line["behind"];
    match name {
        "bytes" => {
            let word = behind.split_ascii_whitespace().next()?;
            word.bytes().all(|byte| byte.is_ascii_digit()).then(|| word.to_owned())
        }
        "referer" | "user_agent" => named(&AGENT.captures(behind)?, name),
        "duration" => {
            let is_duration = |word: &&str| {
                let number = word.strip_suffix("ms").unwrap_or(word);
                number.parse::<f64>().is_ok() && (number.contains('.') || number.len() < word.len())
            };
            let unquoted = ALL_QUOTED.replace_all(behind, "");
            unquoted.split_ascii_whitespace().find(is_duration).map(str::to_owned)
        }
        _ => named(line, name).or_else(|| of_request(&line[3], name)),
    }
}

fn of_envoy(line: &Captures<'_>, name: &str) -> Option<String> {
    match name {
        "duration" => line["millis"].parse::<u64>().ok().map(|millis| format!("{millis}ms")),
        _ => named(line, name).or_else(|| of_request(&line[1], name)),
    }
}

fn of_request(text: &str, name: &str) -> Option<String> {
    named(&REQUEST.captures(text)?, name)
}

fn named(line: &Captures<'_>, name: &str) -> Option<String> {
    line.name(name).map(|value| value.as_str().to_owned())
}

pub const LEAVES: usize = 16;

fn field(record: &Record, name: &str) -> Option<String> {
    super::naive_field(record, name)
}

fn field_has(record: &Record, name: &str, word: &str) -> bool {
    field(record, name).is_some_and(|text| has_word(text.as_bytes(), word))
}

/// Queries on fields of these lines.
pub fn leaf(which: usize) -> (&'static str, Naive) {
    match which {
        0 => ("path:/api*", Box::new(|_, r| field(r, "path").is_some_and(|path| path.starts_with("/api")))),
        1 => ("method:POST", Box::new(|_, r| field_has(r, "method", "POST"))),
        2 => ("duration:>100ms", Box::new(|_, r| naive_number(r, "duration") > Some(0.1))),
        3 => ("user_agent:curl", Box::new(|_, r| field_has(r, "user_agent", "curl"))),
        4 => ("thread:7", Box::new(|_, r| field_has(r, "thread", "7"))),
        5 => ("line:>=12", Box::new(|_, r| naive_number(r, "line") >= Some(12.0))),
        6 => ("file:main.go", Box::new(|_, r| field_has(r, "file", "main.go"))),
        7 => ("appname:su", Box::new(|_, r| field_has(r, "appname", "su"))),
        8 => ("procid:*", Box::new(|_, r| field(r, "procid").is_some())),
        9 => ("hostname:web-1", Box::new(|_, r| field_has(r, "hostname", "web-1"))),
        10 => ("bytes:<1000", Box::new(|_, r| naive_number(r, "bytes").is_some_and(|bytes| bytes < 1000.0))),
        11 => ("path:/api/v1/u7", Box::new(|_, r| field_has(r, "path", "/api/v1/u7"))),
        12 => ("remote_addr:10.0.0.1", Box::new(|_, r| field_has(r, "remote_addr", "10.0.0.1"))),
        13 => ("duration:12ms", Box::new(|_, r| field_has(r, "duration", "12ms"))),
        14 => (
            "protocol:/^HTTP.1/",
            Box::new(|_, r| field(r, "protocol").is_some_and(|text| text.starts_with("HTTP/1"))),
        ),
        _ => (
            "@body.status:[500 TO 503]",
            Box::new(|_, r| {
                naive_number(r, "status").is_some_and(|status| (500.0..=503.0).contains(&status))
            }),
        ),
    }
}

#[test]
fn fields_of_known_formats_are_asked_for_like_any_other() {
    let line = |at: u64| match at % 4 {
        0 => format!(
            r#"10.0.0.{at} - - [02/Jan/2024:10:00:00 +0000] "POST /api/cart?n={at} HTTP/1.1" 503 {at} "-" "curl/8" 0.{at:03}"#
        ),
        1 => format!(
            r#"10.0.0.{at} - - [02/Jan/2024:10:00:00 +0000] "GET /home HTTP/1.1" 200 {at} "-" "x status=503 y""#
        ),
        2 => format!("E0102 10:00:00.5       7 main.go:{at}] \"gone\" pod=\"a/b\""),
        _ => format!("<30>Jan  2 10:00:00 web-1 su[{at}]: ok"),
    };
    for sealed in [false, true] {
        let steps = (0..16).map(|at| append(0, at, line(at).into()));
        let world = world(steps.chain(sealed.then_some(Step::Commit)).collect());
        for (query, count) in [
            ("status:>=500", 8),
            ("status:200", 4),
            ("method:POST path:/api*", 4),
            ("path:/home", 4),
            ("duration:>=4ms", 3),
            ("file:main.go line:>7", 2),
            ("pod.name:* OR @body.pod:a/b", 4),
            ("appname:su procid:[3 TO 7]", 2),
            ("NOT status:* NOT file:* NOT hostname:*", 0),
        ] {
            let answer = search(&world.store, &request(query, None), 100, "n1");
            assert_eq!((answer.records.len(), answer.partial), (count, vec![]), "{query}, sealed: {sealed}");
        }
        let asked = Request { fields: vec!["path".into()], names: true, ..request("*", None) };
        let facets = facets(&world.store, &asked, "n1").facets;
        let counts = |facet: &str| -> BTreeMap<String, u64> {
            facets[facet].iter().map(|value| (value.value.clone(), value.count)).collect()
        };
        assert_eq!(counts("path"), [("/api/cart".to_owned(), 4), ("/home".to_owned(), 4)].into());
        let names = counts("field");
        for name in ["remote_addr", "duration", "user_agent", "thread", "pod", "procid", "query"] {
            assert!(names.get(name).is_some_and(|count| *count >= 3), "{name} of {names:?}");
        }
    }
}

#[test]
fn a_block_without_such_lines_is_not_looked_into() {
    let steps = (0..16).map(|at| append(0, at, format!("level=info msg=\"call {at}\"").into()));
    let world = world(steps.chain([Step::Commit]).collect());
    for query in ["status:>=500", "file:main.go", "hostname:*"] {
        assert_eq!(search(&world.store, &request(query, None), 10, "n1").scanned, 0, "{query}");
    }
}
