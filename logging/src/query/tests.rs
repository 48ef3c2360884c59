//! The language, as tables; and that every query can be written and read again.

use bytes::Bytes;
use proptest::prelude::*;

use super::{
    compile::{Compiled, StreamView},
    *,
};
use crate::record::{Level, Record, Source, StreamInfo};

fn shown(query: &str) -> String {
    match parse(query) {
        Ok(expr) => expr.to_string(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn queries_read_as_people_mean_them() {
    let check = |query, expected: &str| assert_eq!(shown(query), expected, "{query}");
    check("", "*");
    check("a b", "a AND b");
    check("a OR b c", "a OR (b AND c)");
    check("a AND NOT b", "a AND NOT b");
    check("-a !b", "NOT a AND NOT b");
    check("(a OR b) c", "(a OR b) AND c");
    check("error AND pod:web-*", "error AND pod:web\\-*");
    check("level:>=warn", "level:>=warn");
    check("status:[400 TO 499] x:{* TO -5}", "status:[400 TO 499] AND x:{* TO -5}");
    check("pod:(a OR b)", "pod:a OR pod:b");
    check("user:*", "user:*");
    check("10:30:15", "10:30:15");
    check("and or not", "and AND or AND not");
    check(r"/a\/b/", r"/a\/b/");
    check("path:/api* x", r"path:\/api* AND x");
    check("path:/api/v1 -path:/", "path:\"/api/v1\" AND NOT path:\"/\"");
    check(r"(path:/^\/a b/) path:/b/", r"path:/^\/a b/ AND path:/b/");
    check("(path:/a OR path:/b) (/ c/)", "(path:\"/a\" OR path:\"/b\") AND / c/");
    check("--flag", "\"--flag\"");
    check(r#"a|b || "|" OR x:|c"#, r#"a|b OR "|" OR x:"|c""#);
    check("t:>-5", "t:>-5");
    check("time:>=2026-11-25T10:00:00+01:00", "time:>=2026-11-25T10:00:00+01:00");
    check("time:[now-1h TO now-5m] a", "time:[now-1h TO now-5m] AND a");
    check("-time:{2026-11-25 TO *}", "NOT time:{2026-11-25 TO *}");
    check("time:<now+1h30m OR time:*", "time:<now+1h30m OR time:*");
    check("@body.time:12", "@body.time:12");
}

#[test]
fn what_is_equal_is_a_number_or_a_text_to_the_letter() {
    let check = |query, expected: &str| assert_eq!(shown(query), expected, "{query}");
    check("status:=500 took:=1.5s", "status:[500 TO 500] AND took:[1.5s TO 1.5s]");
    check("status:=\"500\"", "status:=\"500\"");
    check("user:=bob -user:=Bob", "user:=\"bob\" AND NOT user:=\"Bob\"");
    check("path:=/api/ url:=http://a/b", "path:=\"/api/\" AND url:=\"http://a/b\"");
    check("a:(=-5 OR =-x) b:= c", "(a:[-5 TO -5] OR a:=\"-x\") AND b:=\"c\"");
    check("a:=AND b:=!c x:=\"\"", "a:=\"AND\" AND b:=\"!c\" AND x:=\"\"");
    check("level:=warning time:=now restart:=2", "level:warning AND time:[now TO now] AND restart:[2 TO 2]");
    check("pod:=5 @label.version:=1.10", "pod:=\"5\" AND @label.version:=\"1.10\"");
    check("a=b =c", "a=b AND \"=c\"");
    for (query, why) in [
        ("a:=", "`=` needs a value"),
        ("a:= AND b", "`=` needs a value"),
        ("a:=(b OR c)", "`=` needs a value"),
        ("a:=b*", "`=` takes no pattern"),
        ("a:=*", "`=` takes no pattern"),
        ("a:=>5", "two operators"),
        ("a:=~5", "two operators"),
        ("a:==5", "`==` compares nothing here"),
        ("a | count by pod", "there are no steps behind a `|` here"),
        ("a |= \"b\"", "there are no steps behind a `|` here"),
        ("a |b", "there are no steps behind a `|` here"),
        ("a:=!=5", "`!=` compares nothing here"),
        ("level:=loud", "`loud` is no level"),
        ("time:=15m", "`15m` is no time"),
    ] {
        let error = parse(query).expect_err(query).to_string();
        assert!(error.starts_with(why) && error.lines().count() == 4, "{query}: {error}");
    }
}

#[test]
fn operators_compare_in_a_fields_bracket_and_are_words_within_words() {
    let check = |query, expected: &str| assert_eq!(shown(query), expected, "{query}");
    check("status:(>=400 AND <500)", "status:>=400 AND status:<500");
    check("status:(>=400 <500) x", "status:>=400 AND status:<500 AND x");
    check("level:(>=warn OR unknown) (<init>)", "(level:>=warn OR level:unknown) AND \"<init>\"");
    check("t:(>-5 OR (<= -9 NOT 7))", "t:>-5 OR (t:<=-9 AND NOT t:7)");
    check("time:(>=now-1h <now)", "time:>=now-1h AND time:<now");
    check("<init> -<clinit> a->b x=>y", "\"<init>\" AND NOT \"<clinit>\" AND a->b AND x=>y");
    check("a -> b => c", "a AND \"->\" AND b AND \"=>\" AND c");
    check("<- <=> >> a!=b a>=b", "\"<-\" AND \"<=>\" AND \">>\" AND a!=b AND a>=b");
    check("\">=\" \\!=", "\">=\" AND \"!=\"");
    check("op:\"!=\" op:\\==", "op:\"!=\" AND op:\"==\"");
    for query in ["pod:(>1)", "status:(>many)", "status:(>)", "status:(>=>5)", "msg:(<init>)"] {
        let error = parse(query).expect_err(query).to_string();
        assert!(error.lines().count() == 4 && error.contains('^'), "{query}: {error}");
    }
}

#[test]
fn an_operator_that_compares_nothing_is_refused_with_what_is_meant() {
    let check = |query: &str, operator: &str, meant: &str| {
        let error = parse(query).expect_err(query);
        assert_eq!(&query[error.span.clone()], operator, "{query}");
        let expected = format!("write {meant}, or put it in quotes if you search for it");
        let text = error.to_string();
        assert!(text.starts_with(&format!("`{operator}` compares nothing here")), "{text}");
        assert_eq!(text.lines().last(), Some(expected.as_str()), "{query}");
    };
    check("status >= 500", ">=", "status:>=500");
    check("a AND (took < 5ms)", "<", "took:<5ms");
    check("level != info", "!=", "NOT level:info");
    check("code == 7 x", "==", "code:=7");
    check("status: > 7", ">", "status:>7");
    check("pod:web <= 7", "<=", "status:<=7");
    check("5 >", ">", "status:>500");
    check("status:!=200", "!=", "NOT status:200");
    check("x (code:==2*)", "==", "code:=2");
    check("a:==5", "==", "a:=5");
    check("level:(!=info)", "!=", "NOT level:info");
    check("level:(warn OR (!= info))", "!=", "NOT level:info");
    assert_eq!(
        shown("a status >= 500"),
        "`>=` compares nothing here\n  a status >= 500\n           ^^\nwrite status:>=500, or put it in quotes if you search for it"
    );
    assert_eq!(
        shown("x a:==5"),
        "`==` compares nothing here\n  x a:==5\n      ^^\nwrite a:=5, or put it in quotes if you search for it"
    );
}

#[test]
fn errors_point_at_the_character() {
    let check = |query, expected: &str| assert_eq!(shown(query), expected, "{query}");
    check(
        "error AND (pod:web-*",
        "this bracket is not closed\n  error AND (pod:web-*\n            ^\nclose it with `)`",
    );
    check("a AND", "something is missing here\n  a AND\n       ^\nwrite a word, a phrase or a bracket");
    check(
        "level:loud",
        "`loud` is no level\n  level:loud\n        ^^^^\nwrite trace, debug, info, warn, error, fatal or unknown",
    );
    check("a) b", "this bracket was never opened\n  a) b\n   ^\ntake it out, or open it with `(`");
    check(
        "status:>many",
        "only numbers are compared\n  status:>many\n          ^^^^\nwrite a number; it may have a unit, such as 100ms, 1.5s or 4KiB",
    );
    check(
        "a time:>=yesterday",
        "`yesterday` is no time\n  a time:>=yesterday\n           ^^^^^^^^^\nwrite 2026-01-31T12:00:00Z, 2026-01-31, now, or a span from now such as now-15m",
    );
    check(
        "time:15m",
        "a time is compared\n  time:15m\n       ^^^\nwrite time:>=now-15m, or time:[now-1h TO now-5m]; a field of the body with that name is @body.time",
    );
    for query in [
        "time:[now-1h TO soon]",
        "time:>now-1y",
        "time:>15",
        "time:/x/",
        "time:2026*",
        "time:>",
        "time:>2026-1-1",
    ] {
        let error = parse(query).expect_err(query).to_string();
        assert!(error.lines().count() == 4 && error.contains('^'), "{query}: {error}");
    }
    for query in
        ["\"open", "/open", "pod: x", "status:[1 2]", "/(/", "x\\", "pod:>1", "]", "OR a", "restart:>first"]
    {
        let error = parse(query).expect_err(query).to_string();
        assert!(error.lines().count() == 4 && error.contains('^'), "{query}: {error}");
    }
}

#[test]
fn abuse_18_big_or_deep_queries_are_refused_not_run() {
    for query in
        ["(".repeat(5_000), "NOT ".repeat(5_000), "/(((a{200}){200}){200})/".into(), "x".repeat(20_000)]
    {
        assert!(parse(&query).is_err());
    }
}

#[test]
fn abuse_18_parts_that_are_small_one_by_one_are_bounded_together() {
    let words = |count: usize| (0..count).map(|at| format!("w{at}")).collect::<Vec<_>>().join(" OR ");
    let patterns = |count: usize| vec![r"/\w{12}/"; count].join(" ");
    assert!(parse(&words(400)).is_ok() && parse(&patterns(8)).is_ok());
    for query in [
        words(1000),
        patterns(9),
        "a:b ".repeat(1000),
        "a:>1 ".repeat(1000),
        "a:[1 TO 2] ".repeat(1000),
        "a:* ".repeat(1000),
    ] {
        let error = parse(&query).expect_err("refused").to_string();
        assert!(error.contains("too many words") && error.contains('^'), "{error}");
    }
}

fn matches(query: &str, body: &str) -> bool {
    let info = StreamInfo {
        namespace: "shop".into(),
        pod: "web-7f9c-abc".into(),
        uid: "u-1".into(),
        container: "app".into(),
        restart: 2,
        node: "n1".into(),
    };
    let labels =
        [("app".to_string(), "web".to_string()), ("tier".to_string(), "front end".to_string())].into();
    let record = Record {
        time: 0,
        seq: 0,
        level: Level::Warn,
        source: Source::Stderr,
        body: Bytes::copy_from_slice(body.as_bytes()),
    };
    let compiled = Compiled::new(&parse(query).expect(query)).expect(query);
    let verdicts = compiled.on_stream(StreamView { info: &info, labels: Some(&labels) });
    compiled.matches(&verdicts, &record)
}

#[test]
fn matching_follows_the_rules() {
    let check = |query, body, expected| assert_eq!(matches(query, body), expected, "{query} in {body}");
    check("error", "An ERROR: gone", true);
    check("error", "errors", false);
    check("\"connection reset\"", "Connection reset by peer", true);
    check("\"connection reset\"", "connection was reset", false);
    check("err*", "two errors", true);
    check("*rror", "an error", true);
    check("c?t", "a cat", true);
    check("c?t", "a coat", false);
    check("a*z", "a z", false);
    check("/tim(ed )?out/", "it timed out", true);
    check("/Out/", "it timed out", false);
    check("pod:web-*", "", true);
    check("pod:web", "", false);
    check("ns:shop node:n1 container:app stream:stderr app:web", "", true);
    check("ns:Shop app:WEB pod:WEB-*", "", true);
    check("restart:2 restart:>1 restart:<=2 restart:[2 TO 9] restart:* restart:/^2$/", "", true);
    check("restart:0", "restart=0", false);
    check("restart:10", "", false);
    check("restart:<2 OR restart:{2 TO *}", "restart=1", false);
    check("restart:2*", "", true);
    check("tier:\"front end\"", "", true);
    check("tier:front", "", false);
    check("time:>=now-1h", "", false);
    check("time:[1970-01-01 TO 1970-01-02] time:<now", "", true);
    check("time:{1970-01-01 TO *}", "", false);
    check("NOT time:>1970-01-01 time:*", "", true);
    check("level:>=warn", "", true);
    check("level:>warn", "", false);
    check("level:warning", "", true);
    check("status:500", r#"{"status":500}"#, true);
    check("status:>=500", r#"{"status":499.5}"#, false);
    check("status:[400 TO 499]", r#"{"status":"404"}"#, true);
    check("status:{400 TO 404}", "status=404", false);
    check("status:(>=400 AND <500)", r#"{"status":404}"#, true);
    check("status:(>=400 AND <500)", "status=500", false);
    check("status:=500", r#"{"status":500.0}"#, true);
    check("status:=500", "status=5e2", true);
    check("status:=500", "status=5000", false);
    check("took:=1s", "took=1000ms", true);
    check("status:=\"500\"", "status=500", true);
    check("status:=\"500\"", "status=5e2", false);
    check("user:=\"a b\"", r#"{"user":"a b"}"#, true);
    check("user:=\"a b\"", r#"{"user":"a b c"}"#, false);
    check("user:=bob", "user=Bob", false);
    check("user:=bob", "user=bob", true);
    check("user:=\"\"", r#"{"user":""}"#, true);
    check("user:=\"\"", "user=x", false);
    check("pod:=web-7f9c-abc app:=web tier:=\"front end\" restart:=2 level:=warn", "", true);
    check("pod:=web OR app:=Web OR tier:=front OR restart:=1", "", false);
    check("<init>", "at com.example.App.<init>(App.java:7)", true);
    check("msg:reset", r#"{"msg":"connection\nreset"}"#, true);
    check("msg:*", "msg=x", true);
    check("msg:*", "x", false);
    check("NOT msg:*", "x", true);
    check("путь", "найден путь тут", true);
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,6}",
        "[a-zA-Z0-9_.:/<>=!&|-]{1,8}",
        "[ -~]{1,8}",
        "\\PC{1,6}",
        Just("AND".to_string()),
        Just("TO".to_string()),
        Just("a\"b\\c\n\td".to_string()),
    ]
}

fn globs() -> impl Strategy<Value = Glob> {
    let literal = || texts().prop_map(Part::Literal);
    prop_oneof![
        literal().prop_map(|text| Glob(vec![text, Part::Any])),
        literal().prop_map(|text| Glob(vec![Part::Any, text])),
        (literal(), literal()).prop_map(|(a, b)| Glob(vec![a, Part::One, b, Part::Any])),
        Just(Glob(vec![Part::One])),
    ]
}

fn text_values() -> impl Strategy<Value = Text> {
    prop_oneof![texts().prop_map(Text::Exact), globs().prop_map(Text::Glob)]
}

fn regexes() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("a/b".to_string()),
        Just(r"\d+ (x|y)".to_string()),
        Just(r"\\/".to_string()),
        "[a-z ]{1,5}"
    ]
}

fn moments() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("now".to_owned()),
        (1u32..100, any::<bool>())
            .prop_map(|(n, minus)| format!("now{}{n}h{n}ns", if minus { '-' } else { '+' })),
        any::<i64>().prop_map(crate::time::format),
        (1970..2200, 1..13, 1..29).prop_map(|(year, month, day)| format!("{year}-{month:02}-{day:02}")),
        (0..24, 0..60).prop_map(|(hour, minute)| format!("2026-11-25T{hour:02}:{minute:02}:00+{hour:02}:00")),
    ]
}

fn exprs() -> impl Strategy<Value = Expr> {
    let names = "[a-z][a-z0-9_.]{0,5}"
        .prop_filter("takes levels", |name| !matches!(name.as_str(), "level" | "to" | "time"));
    let numbers = || proptest::option::of((-500i32..500).prop_map(|number| number.to_string()));
    let values = prop_oneof![
        text_values().prop_map(Value::Text),
        regexes().prop_map(Value::Regex),
        texts().prop_map(Value::Is),
        Just(Value::Exists),
        (-5i32..5).prop_map(|number| Value::Compare(Op::AtLeast, number.to_string())),
        (numbers(), numbers(), any::<bool>()).prop_map(|(from, to, inclusive)| Value::Range {
            from,
            to,
            inclusive
        }),
    ];
    let field = (names, values).prop_filter_map("names can't be compared", |(name, value)| {
        let compares = matches!(value, Value::Compare(..) | Value::Range { .. });
        (!(compares && compile::is_meta(&name))).then_some(Expr::Field { name, value })
    });
    let bounds = || proptest::option::of(moments());
    let times = prop_oneof![
        Just(Value::Exists),
        moments().prop_map(|moment| Value::Compare(Op::Less, moment)),
        (bounds(), bounds(), any::<bool>()).prop_map(|(from, to, inclusive)| Value::Range {
            from,
            to,
            inclusive
        }),
    ];
    let time = times.prop_map(|value| Expr::Field { name: "time".into(), value });
    let leaf = prop_oneof![
        Just(Expr::All),
        time,
        text_values().prop_map(Expr::Text),
        regexes().prop_map(Expr::Regex),
        field
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|expr| Expr::Not(Box::new(expr))),
            proptest::collection::vec(inner.clone(), 2..4).prop_map(Expr::and),
            proptest::collection::vec(inner, 2..4).prop_map(Expr::or),
        ]
    })
}

proptest! {
    #[test]
    fn a_query_written_and_read_again_is_the_same(expr in exprs()) {
        let text = expr.to_string();
        prop_assert_eq!(parse(&text), Ok(expr), "{}", text);
    }

    #[test]
    fn no_text_makes_the_parser_panic(query in "\\PC{0,40}") {
        if let Err(error) = parse(&query) {
            prop_assert!(error.to_string().contains('^'));
        }
    }

    #[test]
    fn operators_in_any_order_are_parsed_or_refused(
        words in proptest::collection::vec(
            prop_oneof![Just("("), Just(")"), Just("AND"), Just("NOT"), Just("a"), Just("pod:"), Just("["), Just("*"), Just("\""), Just("-"), Just(":>"), Just("pod:=")],
            0..12,
        ),
        space in any::<bool>(),
    ) {
        let query = words.join(if space { " " } else { "" });
        if let Ok(expr) = parse(&query) {
            prop_assert_eq!(parse(&expr.to_string()), Ok(expr));
        }
    }
}

#[test]
fn abuse_26_a_wrong_query_sends_no_control_character_back() {
    for query in ["a \x1b]52;c;AAAA\x07(", "\x1b[2J\r:", "level:\"\x1b]0;x\x07\"", "/[\x1b]8;;http:"] {
        let error = parse(query).expect_err("wrong").to_string();
        assert!(!error.chars().any(|c| c.is_control() && c != '\n'), "{error:?}");
    }
}
