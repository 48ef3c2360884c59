//! The functions and operators that SQL has here, in statements.

use super::ask;

const COUNTER: &str = "with c(pod, t, v) as (values ('a', timestamp '2026-01-01 00:00:00Z', 10), \
    ('a', timestamp '2026-01-01 00:00:20Z', 5), ('a', timestamp '2026-01-01 00:00:10Z', 40), \
    ('b', timestamp '2026-01-01 00:00:00Z', 7)) ";

#[tokio::test]
async fn counters_over_time() {
    let statement = "select pod, rate(v, t) as r, increase(v, t) as i, first(v, t) as f, last(v, t) as l from c group by pod order by pod";
    assert_eq!(
        ask(&format!("{COUNTER}{statement}")).await,
        r#"[{"pod":"a","r":1.75,"i":35.0,"f":10.0,"l":5.0},{"pod":"b","r":null,"i":null,"f":7.0,"l":7.0}]"#
    );
    // Of the samples' own: half a core in each of three seconds.
    let statement = "select pod, rate(cpu_usage_nanos_total, time) / 1e9 as cores from pod where pod = 'shop-1' group by pod";
    assert_eq!(ask(statement).await, r#"[{"pod":"shop-1","cores":0.5}]"#);
}

#[tokio::test]
async fn buckets_of_time_and_of_histograms() {
    let statement = "select time_bucket('15s', t) as b, count(*) as n from c group by 1 order by 1";
    assert_eq!(
        ask(&format!("{COUNTER}{statement}")).await,
        r#"[{"b":"2026-01-01T00:00:00","n":3},{"b":"2026-01-01T00:00:15","n":1}]"#
    );
    let statement = "select histogram_quantile(0.75, le, n) as q from (values ('1', 50), ('2', 100), ('+Inf', 100)) h(le, n)";
    assert_eq!(ask(statement).await, r#"[{"q":1.5}]"#);
}

#[tokio::test]
async fn json_in_texts() {
    let json = r#"'{"spec": {"replicas": 3, "list": [{"name": "x"}]}, "n": null}'"#;
    let table = [
        ("j->'spec'->>'replicas'", r#""3""#),
        ("(j->'spec'->>'replicas')::int + 1", "4"),
        ("j->'spec'->'list'->0->>'name'", r#""x""#),
        ("j#>>'{spec,list,0,name}'", r#""x""#),
        ("j->'spec'->'list'", r#""[{\"name\":\"x\"}]""#),
        ("j->>'n'", "null"),
        ("j->'none'->>'x'", "null"),
        ("j->'spec'->>'replicas' = '3'", "true"),
    ];
    for (expression, expected) in table {
        let statement = format!("select {expression} as v from (values ({json})) t(j)");
        assert_eq!(ask(&statement).await, format!(r#"[{{"v":{expected}}}]"#), "{expression}");
    }
}

#[tokio::test]
async fn functions_are_described() {
    let statement =
        "select arguments, kind from functions where function_name in ('rate', 'time_bucket') order by 1";
    assert_eq!(
        ask(statement).await,
        r#"[{"arguments":"rate(value, time)","kind":"aggregate"},{"arguments":"time_bucket(width, time)","kind":"scalar"}]"#
    );
}
