//! LogQL: tables of what is understood and what is refused where; any query parses to itself.

use proptest::prelude::*;

use super::{ast::*, *};

#[test]
fn queries_are_understood() {
    // Each with the form it has in the end; empty: its own.
    for (text, shown) in [
        (r#"{a="b"}"#, ""),
        (r#"{}"#, ""),
        (r#"{ a = "b" , c=~`d\d+`, }"#, r#"{a="b", c=~"d\\d+"}"#),
        (r#"{a!="b"} |= "x" != "y" |~ "z+" !~ "q""#, ""),
        (r#"{a="b"} |= "x" or "y""#, ""),
        (
            r#"{a="b"} | json | status >= 500 and took > 1.5s or size<4KiB"#,
            r#"{a="b"} | json | ((status>=500 and took>1.5s) or size<4KiB)"#,
        ),
        (r#"{a="b"} | json | a="x", b!~"y" | c == 1"#, r#"{a="b"} | json | (a="x" and b!~"y") | c==1"#),
        (
            r#"{a="b"} | json first="a.b[0]", second | logfmt --strict x="y""#,
            r#"{a="b"} | json first="a.b[0]", second="second" | logfmt --strict x="y""#,
        ),
        (
            r#"{a="b"} | logfmt | line_format "{{.x}} {{ .y }}: {{__line__}}" | label_format a=b, c="{{.d}}!""#,
            r#"{a="b"} | logfmt | line_format "{{.x}} {{.y}}: {{__line__}}" | label_format a=b, c="{{.d}}!""#,
        ),
        (
            r#"{a="b"} | regexp "(?P<x>\\d+)" | pattern "<_> <p>" | unpack | decolorize | drop a, b="c" | keep d"#,
            "",
        ),
        ("{a=\"b\"} # a comment\n|= \"x\"", r#"{a="b"} |= "x""#),
        (r#"rate({a="b"}[5m])"#, r#"rate({a="b"} [5m])"#),
        (r#"rate({a="b"}[1s] |= "x")"#, r#"rate({a="b"} |= "x" [1s])"#),
        (r#"rate(({a="b"} |= "x")[1s] offset 1s)"#, r#"rate({a="b"} |= "x" [1s] offset 1s)"#),
        (r#"rate({a="b"}[1h30m] offset -36h)"#, r#"rate({a="b"} [90m] offset -36h)"#),
        (r#"rate({a="b"}[2w] offset 1500us)"#, r#"rate({a="b"} [14d] offset 1500us)"#),
        (r#"rate({a="b"}[60000ms] offset 7ns)"#, r#"rate({a="b"} [1m] offset 7ns)"#),
        (r#"sum by (x, y) (rate({a="b"}[1s]))"#, r#"sum by (x, y)(rate({a="b"} [1s]))"#),
        (r#"sum(rate({a="b"}[1s])) without (x)"#, r#"sum without (x)(rate({a="b"} [1s]))"#),
        (r#"topk(5, sum(count_over_time({a="b"}[1s])))"#, r#"topk(5, sum(count_over_time({a="b"} [1s])))"#),
        (
            r#"quantile_over_time(0.99, {a="b"} | json | unwrap duration(t) | __error__="" [1s]) by (x)"#,
            r#"quantile_over_time(0.99, {a="b"} | json | unwrap duration(t) | __error__="" [1s]) by (x)"#,
        ),
        (r#"rate_counter({a="b"} | logfmt | unwrap n [1s])"#, ""),
        ("vector(1)+vector(1)", "(vector(1) + vector(1))"),
        ("1 + 2 * 3 ^ 2 ^ 2 - 4", "((1 + (2 * (3 ^ (2 ^ 2)))) - 4)"),
        (
            r#"vector(1) > bool 0 or vector(2) and on (a) vector(3)"#,
            "((vector(1) > bool 0) or (vector(2) and on (a) vector(3)))",
        ),
    ] {
        let query = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(query.to_string(), if shown.is_empty() { text } else { shown });
    }
}

#[test]
fn errors_stand_at_their_place() {
    for (text, error) in [
        ("", "line 1, col 1: the query is empty"),
        ("error", "line 1, col 1: the function `error` is not understood"),
        (r#"{a="b""#, "line 1, col 7: `,` is expected here, not the end"),
        (r#"{a "b"}"#, "line 1, col 4: `=`, `!=`, `=~` or `!~` is expected"),
        (r#"{a="b}"#, "line 1, col 4: this quote is not closed"),
        (r#"{a=~"("}"#, "line 1, col 5: this regular expression can't be used"),
        (r#"{a="b"} |= error"#, "line 1, col 12: a text in quotes is expected here, not `error`"),
        ("{a=\"b\"}\n  | status >", "line 2, col 13: a number, a time"),
        (r#"{a="b"} | line_format "{{if .x}}""#, "`{{if .x}}` is more than a label"),
        (r#"{a="b"} | addr = ip("10.0.0.0/8")"#, "`ip(...)` is not understood"),
        (r#"{a="b"} |> "x <_>""#, "pattern filters"),
        (r#"{a="b"} | unwrap x"#, "`unwrap` makes numbers"),
        (r#"rate({a="b"})"#, "`[` is expected here"),
        (r#"rate({a="b"}[soon])"#, "a span such as"),
        (r#"sum_over_time({a="b"}[5m])"#, "add `| unwrap LABEL`"),
        (r#"rate_counter({a="b"}[5m])"#, "add `| unwrap LABEL`"),
        (r#"count_over_time({a="b"} | unwrap x [5m])"#, "counts lines"),
        (r#"label_replace(rate({a="b"}[5m]), "a", "b", "c", "d")"#, "`label_replace` is not understood"),
        (r#"vector(1) + on (a) group_left vector(1)"#, "`group_left`"),
        (r#"{a="b"} | distinct x"#, "the stage `distinct`"),
    ] {
        let found = parse(text).expect_err(text).to_string();
        assert!(found.contains(error), "{text}: {found}");
    }
}

#[test]
fn abuse_30_deep_and_long_queries_are_refused() {
    let deep = format!("{}vector(1){}", "(".repeat(10_000), ")".repeat(10_000));
    assert!(parse(&deep).expect_err("too deep").to_string().contains("too deeply"));
    let filters = format!("{{a=\"b\"}} | {}a=\"b\"", "(".repeat(10_000));
    assert!(parse(&filters).expect_err("too deep").to_string().contains("too deeply"));
    assert!(parse(&"x".repeat(100_000)).expect_err("too long").to_string().contains("longer"));
    // Flat on paper, nested in memory.
    let sum = format!("1{}", " + 1".repeat(10_000));
    let ands = format!("{{a=\"b\"}} | a=\"b\"{}", " and a=\"b\"".repeat(5_000));
    let ors = format!("{{a=\"b\"}} | a=\"b\"{}", " or a=\"b\"".repeat(5_000));
    for flat in [sum, ands, ors] {
        assert!(parse(&flat).expect_err("too many").to_string().contains("more than 200"));
    }
    assert!(parse(&format!("1{}", " + 1".repeat(150))).is_ok());
    let patterns = |count: usize| format!("{{a=\"b\"}} {}", "|~ `\\w{12}` ".repeat(count));
    assert!(parse(&patterns(8)).is_ok());
    assert!(parse(&patterns(9)).expect_err("too big").to_string().contains("too big together"));
    assert!(parse(&format!("{{a=\"b\"}}{}", "|= `x` ".repeat(64))).is_ok());
    let stages = parse(&format!("{{a=\"b\"}}{}", "|= `x` ".repeat(65)));
    assert!(stages.expect_err("too many").to_string().contains("more than 64 stages"));
}

fn name() -> impl Strategy<Value = String> {
    "[a-z_][a-z0-9_]{0,6}".prop_filter("no keyword", |name| {
        !matches!(
            name.as_str(),
            "or" | "and" | "unless" | "by" | "on" | "bool" | "ip" | "without" | "offset" | "ignoring"
        ) && ![
            "json",
            "logfmt",
            "regexp",
            "pattern",
            "unpack",
            "decolorize",
            "drop",
            "keep",
            "unwrap",
            "distinct",
            "bytes",
        ]
        .contains(&name.as_str())
    })
}

fn matcher() -> impl Strategy<Value = Matcher> {
    let op = prop_oneof![
        Just(MatchOp::Equal),
        Just(MatchOp::NotEqual),
        Just(MatchOp::Regex),
        Just(MatchOp::NotRegex)
    ];
    (name(), op, "\\PC{0,8}").prop_map(|(name, op, value)| {
        let value =
            if matches!(op, MatchOp::Regex | MatchOp::NotRegex) { ::regex::escape(&value) } else { value };
        Matcher { name, op, value }
    })
}

fn filter() -> impl Strategy<Value = LabelFilter> {
    let quantity = prop_oneof![
        (0u32..1000).prop_map(|n| Quantity { text: n.to_string(), kind: Kind::Plain, number: f64::from(n) }),
        (1u32..100).prop_map(|n| Quantity {
            text: format!("{n}ms"),
            kind: Kind::Duration,
            number: f64::from(n) / 1000.0
        }),
        (1u32..100).prop_map(|n| Quantity {
            text: format!("{n}KiB"),
            kind: Kind::Bytes,
            number: f64::from(n) * 1024.0
        }),
    ];
    let op = prop_oneof![
        Just(Compare::Equal),
        Just(Compare::NotEqual),
        Just(Compare::Less),
        Just(Compare::AtLeast)
    ];
    let leaf = prop_oneof![
        matcher().prop_map(LabelFilter::Text),
        (name(), op, quantity).prop_map(|(name, op, value)| LabelFilter::Number { name, op, value }),
    ];
    leaf.prop_recursive(3, 8, 2, |inner| {
        (inner.clone(), inner, any::<bool>()).prop_map(|(a, b, both)| {
            let (a, b) = (Box::new(a), Box::new(b));
            if both { LabelFilter::And(a, b) } else { LabelFilter::Or(a, b) }
        })
    })
}

fn stage() -> impl Strategy<Value = Stage> {
    let picks = || proptest::collection::vec((name(), "[a-z.]{1,5}"), 0..3);
    let op = prop_oneof![Just(MatchOp::Equal), Just(MatchOp::NotRegex)];
    prop_oneof![
        (op, proptest::collection::vec("[ -~é]{0,8}", 1..3)).prop_map(|(op, texts)| {
            let texts = texts
                .iter()
                .map(|text| if op == MatchOp::NotRegex { ::regex::escape(text) } else { text.clone() });
            Stage::Line { op, texts: texts.collect() }
        }),
        picks().prop_map(Stage::Json),
        (any::<bool>(), any::<bool>(), picks()).prop_map(|(strict, keep_empty, picks)| Stage::Logfmt {
            strict,
            keep_empty,
            picks
        }),
        Just(Stage::Unpack),
        Just(Stage::Decolorize),
        filter().prop_map(Stage::Filter),
        name().prop_map(|name| Stage::LineFormat(Format(vec![
            Part::Text("a ".into()),
            Part::Label(name),
            Part::Line
        ]))),
        proptest::collection::vec(matcher().prop_map(Pick::Where), 1..3).prop_map(Stage::Keep),
        // A name and a line filter behind it would be a name with a value.
        proptest::collection::vec(matcher().prop_map(Pick::Where), 1..3).prop_map(Stage::Drop),
    ]
}

fn logs() -> impl Strategy<Value = LogQuery> {
    (proptest::collection::vec(matcher(), 0..3), proptest::collection::vec(stage(), 0..4))
        .prop_map(|(selector, stages)| LogQuery { selector, stages })
}

fn metric() -> impl Strategy<Value = Metric> {
    let group = || {
        proptest::option::of(
            (any::<bool>(), proptest::collection::vec(name(), 0..3))
                .prop_map(|(without, labels)| Group { without, labels }),
        )
    };
    let range = (logs(), 1i64..1_000_000, -5i64..5, group()).prop_map(|(logs, range, offset, group)| {
        Metric::Range(Box::new(RangeAggregation {
            op: RangeOp::Rate,
            param: None,
            logs,
            range,
            offset,
            group,
        }))
    });
    let leaf = prop_oneof![range, (0u32..9).prop_map(|n| Metric::Vector(f64::from(n)))];
    leaf.prop_recursive(3, 8, 2, move |inner| {
        let op = prop_oneof![Just(VectorOp::Sum), Just(VectorOp::Max), Just(VectorOp::TopK)];
        let binary = prop_oneof![
            Just(BinaryOp::Add),
            Just(BinaryOp::Power),
            Just(BinaryOp::Less),
            Just(BinaryOp::Unless)
        ];
        prop_oneof![
            (op, group(), inner.clone()).prop_map(|(op, group, inner)| Metric::Aggregation {
                op,
                param: (op == VectorOp::TopK).then_some(3.0),
                group,
                inner: Box::new(inner)
            }),
            (binary, group(), inner.clone(), inner).prop_map(|(op, matching, left, right)| Metric::Binary {
                op,
                bool: op == BinaryOp::Less,
                matching,
                left: Box::new(left),
                right: Box::new(right)
            }),
        ]
    })
}

proptest! {
    #[test]
    fn any_query_parses_to_itself(query in prop_oneof![logs().prop_map(Query::Logs), metric().prop_map(Query::Metric)]) {
        let text = query.to_string();
        prop_assert_eq!(parse(&text), Ok(query), "{}", text);
    }

    #[test]
    fn no_text_makes_it_panic(text in prop_oneof!["\\PC{0,40}", r#"\{a="b"\}[ |=~!a-z"`\[\]()5ms{}.]{0,30}"#]) {
        let _ = parse(&text);
    }
}
