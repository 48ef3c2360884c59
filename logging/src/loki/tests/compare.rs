//! Queries against an evaluation that knows lines only: what the index answers is the same.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{
    loki::{
        lines::Ask,
        logql::{self, Query, ast::Metric},
        metric,
        range::Grid,
        vector::Value as Found,
    },
    root::tests::admin,
};

#[derive(Debug, Clone)]
struct Written {
    node: usize,
    pod: &'static str,
    time: i64,
    level: Level,
    body: String,
}

fn written() -> impl Strategy<Value = Written> {
    let body = prop_oneof![
        (0u32..4, 0u32..300).prop_map(|(kind, took)| format!(
            r#"{{"status":{},"took":"{took}ms","msg":"a b{kind}"}}"#,
            200 + kind * 100
        )),
        (0u32..4, 0u32..300)
            .prop_map(|(kind, took)| format!("status={} took={took}ms msg=\"a b{kind}\"", 200 + kind * 100)),
        Just("plain error a".to_owned()),
        Just(r#"{"status":"200"}"#.to_owned()),
    ];
    let pod = prop_oneof![Just("shop/web-1"), Just("shop/web-2"), Just("ops/db-1")];
    let level = prop_oneof![Just(Level::Info), Just(Level::Error), Just(Level::Unknown)];
    (0usize..2, pod, 0i64..60, level, body).prop_map(|(node, pod, time, level, body)| Written {
        node,
        pod,
        time: BEGIN + time * SECOND,
        level,
        body,
    })
}

type Naive = fn(&Written) -> bool;

fn status(line: &Written) -> Option<f64> {
    let at = line.body.find("status").map(|at| &line.body[at + 6..])?;
    let digits: String =
        at.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

fn is_json(line: &Written) -> bool {
    line.body.starts_with('{')
}

/// Filters with what they mean.
const FILTERS: [(&str, Naive); 20] = [
    ("{}", |_| true),
    (r#"{namespace="shop"}"#, |line| line.pod.starts_with("shop/")),
    (r#"{namespace="Shop"}"#, |_| false),
    (r#"{pod=~"web-.|x"}"#, |line| line.pod.contains("web")),
    (r#"{pod!="web-1", app!~"d.+"}"#, |line| line.pod == "shop/web-2"),
    (r#"{level="error"}"#, |line| line.level == Level::Error),
    (r#"{level!="error", none=""}"#, |line| line.level != Level::Error),
    (r#"{none=~".+"}"#, |_| false),
    (r#"{} |= "b1""#, |line| line.body.contains("b1")),
    (r#"{} != "error" |~ "a b[12]|plain""#, |line| line.body.contains("a b1") || line.body.contains("a b2")),
    (r#"{} |= "b1" or "b2" | level="info""#, |line| {
        (line.body.contains("b1") || line.body.contains("b2")) && line.level == Level::Info
    }),
    (r#"{} | json | status >= 400"#, |line| is_json(line) && status(line) >= Some(400.0)),
    (r#"{} | logfmt | status < 400 | msg="a b1""#, |line| !is_json(line) && status(line) == Some(300.0)),
    (r#"{} | json | __error__="" | status=~"2..""#, |line| is_json(line) && status(line) == Some(200.0)),
    (r#"{} | drop __error__, __error_details__ | level="error""#, |line| line.level == Level::Error),
    (r#"{} |= "b1" | drop level | level="""#, |line| line.body.contains("b1")),
    (r#"{} | drop level="error", pod=~"db.*" | level="info""#, |line| line.level == Level::Info),
    (r#"{} | json | drop __error__, msg | status="200" | msg="""#, |line| {
        is_json(line) && status(line) == Some(200.0)
    }),
    (r#"{} | keep app, level="info" | level="info" | pod="""#, |line| line.level == Level::Info),
    (r#"{} | logfmt | keep app, status | msg="" | status < 400"#, |line| {
        !is_json(line) && status(line).is_some_and(|status| status < 400.0)
    }),
];

async fn cluster(lines: &[Written]) -> TestCluster {
    let cluster = TestCluster::start(2, 0).await;
    for (seq, line) in lines.iter().enumerate() {
        cluster.nodes[line.node].write(line.pod, line.time, seq as u64, line.level, &line.body);
    }
    cluster
}

/// Times and texts, in order of both.
async fn found(cluster: &TestCluster, query: &str) -> Vec<(i64, String)> {
    let Query::Logs(logs) = logql::parse(query).expect(query) else { panic!("{query}") };
    let ask = Ask { root: &cluster.root, user: &admin() };
    let (streams, warnings) = ask.streams(&logs, BEGIN..BEGIN + 60 * SECOND, true, 5000).await.expect(query);
    assert_eq!(warnings, Vec::<String>::new());
    let mut all: Vec<_> = streams.into_iter().flat_map(|(_, lines)| lines).collect();
    all.sort();
    all
}

/// Numbers by the label `app` and step.
async fn numbers(cluster: &TestCluster, query: &str, grid: Grid) -> BTreeMap<(String, usize), f64> {
    let Query::Metric(metric) = logql::parse(query).expect(query) else { panic!("{query}") };
    let metric: Metric = metric;
    let mut warnings = Vec::new();
    let ask = Ask { root: &cluster.root, user: &admin() };
    let Found::Vector(series) = metric::evaluate(ask, &metric, grid, &mut warnings).await.expect(query)
    else {
        panic!("{query}")
    };
    let mut all = BTreeMap::new();
    for one in series {
        let app = one.labels.get("app").cloned().unwrap_or_default();
        for (step, value) in one.values.into_iter().enumerate() {
            if let Some(value) = value {
                all.insert((app.clone(), step), value);
            }
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn lines_and_counts_are_those_of_a_naive_evaluation(
        lines in proptest::collection::vec(written(), 1..40),
        range in 1i64..25,
        step in 1i64..20,
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let cluster = cluster(&lines).await;
            for (query, naive) in FILTERS {
                let mut expected: Vec<(i64, String)> =
                    lines.iter().filter(|line| naive(line)).map(|line| (line.time, line.body.clone())).collect();
                expected.sort();
                assert_eq!(found(&cluster, query).await, expected, "{query}");

                let grid = Grid { start: BEGIN + 5 * SECOND, step: step * SECOND, count: 4 };
                // What can't be read has no place in numbers.
                let query = if query.contains("__error__") { query.to_owned() } else { format!("{query} | __error__=\"\"") };
                let mut counts: BTreeMap<(String, usize), f64> = BTreeMap::new();
                for line in lines.iter().filter(|line| naive(line) && (is_json(line) || !query.contains("json"))) {
                    for at in 0..4 {
                        let end = grid.time(at);
                        if line.time > end - range * SECOND && line.time <= end {
                            let app = if line.pod.contains("web") { "web" } else { "db" };
                            *counts.entry((app.into(), at)).or_default() += 1.0;
                        }
                    }
                }
                let by_index = format!("sum by (app) (count_over_time({query} [{range}s]))");
                assert_eq!(numbers(&cluster, &by_index, grid).await, counts, "{by_index}");
                let all_labels = format!("sum by (app) (avg by (app, pod, level, node) (count_over_time({query} [{range}s])) * 1)");
                if query.contains("json") || query.contains("logfmt") {
                    continue;
                }
                assert_eq!(numbers(&cluster, &all_labels, grid).await, counts, "{all_labels}");
            }
            cluster.stop().await;
        });
    }
}
