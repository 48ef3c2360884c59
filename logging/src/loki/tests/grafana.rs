//! Grafana's way through a data source: test, labels, lines, volume, fields.

use serde_json::json;

use super::*;
use crate::{loki::lines::LOOKED, root::tests::admin};

const START: &str = "1700000040000000000";
/// Two minutes later.
const END: &str = "1700000160000000000";

async fn ok(cluster: &TestCluster, path: &str, params: &[(&str, &str)]) -> Value {
    let mut all = vec![("start", START), ("end", END)];
    all.retain(|(name, _)| params.iter().all(|(other, _)| other != name));
    all.extend_from_slice(params);
    let (status, answer) = get(cluster, Some(admin()), &with(path, &all)).await;
    assert_eq!(status, StatusCode::OK, "{path} {params:?}: {answer}");
    answer
}

#[tokio::test]
async fn a_data_source_is_tested_and_its_labels_are_listed() {
    let cluster = cluster().await;
    let (status, health) = get(
        &cluster,
        Some(admin()),
        &with("query", &[("query", "vector(1)+vector(1)"), ("time", "4000000000")]),
    )
    .await;
    let expected = json!({ "resultType": "vector", "result": [{ "metric": {}, "value": [4_000_000_000.0, "2"] }], "stats": {} });
    assert_eq!((status, &health["status"], &health["data"]), (StatusCode::OK, &json!("success"), &expected));
    assert!(ok(&cluster, "status/buildinfo", &[]).await["version"].is_string());
    let (status, ready) = get(&cluster, None, "/tiphys/loki/ready").await;
    assert_eq!((status, ready), (StatusCode::OK, json!("ready\n")));

    let labels = ok(&cluster, "labels", &[]).await;
    assert_eq!(labels["data"], json!(["app", "container", "level", "namespace", "node", "pod", "stream"]));
    assert_eq!(ok(&cluster, "label/pod/values", &[]).await["data"], json!(["db-1", "web-1"]));
    assert_eq!(
        ok(&cluster, "label/level/values", &[("query", "{app=\"web\"}")]).await["data"],
        json!(["error", "info"])
    );
    assert_eq!(ok(&cluster, "label/none/values", &[]).await["data"], json!([]));
    // Nothing is older than the lines.
    assert_eq!(
        ok(&cluster, "labels", &[("start", "1600000000"), ("end", "1600000060")]).await["data"],
        json!([])
    );
    let series =
        ok(&cluster, "series", &[("match[]", "{namespace=\"ops\"}"), ("match", "{pod=\"none\"}")]).await;
    let db = json!({ "namespace": "ops", "pod": "db-1", "container": "app", "node": "n1", "app": "db" });
    assert_eq!(series["data"], json!([db]));
    let detected = ok(&cluster, "detected_labels", &[("query", "{app=\"web\"}")]).await;
    let node = detected["detectedLabels"]
        .as_array()
        .and_then(|all| all.iter().find(|label| label["label"] == "node"));
    assert_eq!(node.map(|node| &node["cardinality"]), Some(&json!(2)));
    cluster.stop().await;
}

#[tokio::test]
async fn a_label_that_only_a_quiet_pod_has_is_listed() {
    let cluster = TestCluster::start(1, 0).await;
    let node = &cluster.nodes[0];
    for pod in 0..1001 {
        for at in 0..2u64 {
            node.write(&format!("shop/busy-{pod}"), BEGIN + at as i64, at, Level::Info, "x");
        }
    }
    node.write("shop/quiet-1", BEGIN, 0, Level::Info, "x");
    node.label("shop/quiet-1", "example.org/rare", "yes");
    let labels = ok(&cluster, "labels", &[]).await;
    let expected =
        json!(["app", "container", "example_org_rare", "level", "namespace", "node", "pod", "stream"]);
    assert_eq!(labels["data"], expected);
    let detected = ok(&cluster, "detected_labels", &[]).await;
    let detected = detected["detectedLabels"].as_array().expect("labels").clone();
    assert!(detected.contains(&json!({ "label": "example_org_rare", "cardinality": 1 })), "{detected:?}");
    assert!(detected.iter().all(|label| label["label"] != "stream"), "{detected:?}");
    cluster.stop().await;
}

#[tokio::test]
async fn lines_are_explored_newest_or_oldest_first() {
    let cluster = cluster().await;
    let lines = async |query: &str, direction: &str, limit: &str| {
        let params = [("query", query), ("direction", direction), ("limit", limit), ("step", "1")];
        let answer = ok(&cluster, "query_range", &params).await;
        assert_eq!(answer["data"]["resultType"], "streams");
        answer["data"]["result"].as_array().cloned().expect("streams")
    };
    let newest = lines("{app=\"db\"} |= \"done\"", "backward", "2").await;
    assert_eq!(newest.len(), 1);
    assert_eq!(newest[0]["stream"]["pod"], "db-1");
    assert_eq!(
        newest[0]["values"],
        json!([
            ["1700000150000000001", "msg=\"query done\" rows=11 took=55ms"],
            ["1700000140000000001", "msg=\"query done\" rows=10 took=50ms"],
        ])
    );
    let oldest = lines("{app=\"db\"}", "FORWARD", "1").await;
    assert_eq!(oldest[0]["values"][0][0], "1700000040000000001");
    // Parsed labels are labels of the line.
    let parsed = lines(
        "{app=\"web\"} | json | status >= 500 | line_format \"{{.path}} {{.user_id}}\"",
        "backward",
        "100",
    )
    .await;
    let texts: Vec<_> = parsed
        .iter()
        .map(|stream| (stream["values"][0][1].clone(), stream["stream"]["status"].clone()))
        .collect();
    assert_eq!(
        texts,
        [
            (json!("/a/8 u8"), json!("503")),
            (json!("/a/4 u4"), json!("503")),
            (json!("/a/0 u0"), json!("503"))
        ]
    );
    cluster.stop().await;
}

#[tokio::test]
async fn volumes_and_numbers_are_charted() {
    let cluster = cluster().await;
    let matrix = async |query: &str, step: &str| {
        let answer = ok(
            &cluster,
            "query_range",
            &[("query", query), ("step", step), ("start", "1700000100"), ("end", "1700000160")],
        )
        .await;
        assert_eq!(answer["data"]["resultType"], "matrix", "{query}");
        answer["data"]["result"].clone()
    };
    // What Explore's volume asks for, letter by letter. Over many lines it is answered only because
    // none of them is looked at.
    LOOKED.set(0);
    let query =
        "sum by (level, detected_level) (count_over_time({app=\"web\"} |= \"status\" | drop __error__[1m]))";
    let volume = matrix(query, "60").await;
    assert_eq!(LOOKED.get(), 0, "the index counts");
    assert_eq!(
        volume,
        json!([
            { "metric": { "level": "error" }, "values": [[1700000100.0, "1"], [1700000160.0, "1"]] },
            { "metric": { "level": "info" }, "values": [[1700000100.0, "5"], [1700000160.0, "4"]] },
        ])
    );
    let rate = matrix("sum(rate({namespace=~\"shop|ops\"}[30s])) * 30", "60s").await;
    assert_eq!(rate, json!([{ "metric": {}, "values": [[1700000100.0, "6"], [1700000160.0, "5"]] }]));
    let unwrapped =
        matrix("max_over_time({app=\"db\"} | logfmt | unwrap duration(took) [1m]) by (pod)", "60").await;
    assert!(LOOKED.get() > 0, "lines are looked at where the index has no answer");
    assert_eq!(
        unwrapped,
        json!([{ "metric": { "pod": "db-1" }, "values": [[1700000100.0, "0.025"], [1700000160.0, "0.055"]] }])
    );
    let top = matrix("topk(1, sum by (pod) (bytes_over_time({app=~\".+\"}[2m])))", "60").await;
    assert_eq!(top[0]["metric"], json!({ "pod": "web-1" }));
    let instant =
        ok(&cluster, "query", &[("query", "count_over_time({app=\"web\"}[2m]) > 1"), ("time", "1700000159")])
            .await;
    assert_eq!(instant["data"]["result"].as_array().map(Vec::len), Some(3));
    let bytes = ok(&cluster, "index/volume", &[("query", "{app=\"db\"}"), ("limit", "5")]).await;
    assert_eq!(bytes["data"]["result"][0]["metric"], json!({ "app": "db" }));
    let by_step = ok(
        &cluster,
        "index/volume_range",
        &[("query", "{app=\"db\"}"), ("targetLabels", "pod"), ("step", "60")],
    )
    .await;
    assert_eq!(by_step["data"]["result"][0]["metric"], json!({ "pod": "db-1" }));
    cluster.stop().await;
}

#[tokio::test]
async fn sizes_patterns_and_fields_are_told() {
    let cluster = cluster().await;
    let stats = ok(&cluster, "index/stats", &[("query", "{app=\"web\"}")]).await;
    assert_eq!((&stats["streams"], &stats["entries"]), (&json!(2), &json!(12)));
    assert!(stats["bytes"].as_u64().is_some_and(|bytes| bytes > 500) && stats["chunks"].as_u64() == Some(2));
    let patterns = ok(&cluster, "patterns", &[("query", "{app=\"db\"}"), ("step", "60")]).await;
    assert_eq!(
        patterns["data"],
        json!([{
            "pattern": "msg=\"query done\" rows=<*> took=<*>ms",
            "samples": [[1_700_000_040, 6], [1_700_000_100, 6]],
        }])
    );
    let fields = ok(&cluster, "detected_fields", &[("query", "{app=~\"web|db\"}")]).await;
    let of = |name: &str| {
        fields["fields"].as_array().and_then(|all| all.iter().find(|field| field["label"] == name)).cloned()
    };
    assert_eq!(
        of("status"),
        Some(json!({ "label": "status", "type": "int", "cardinality": 2, "parsers": ["json"] }))
    );
    assert_eq!(of("took").map(|took| took["type"].clone()), Some(json!("duration")));
    assert_eq!(of("user_id").map(|user| user["type"].clone()), Some(json!("string")));
    assert_eq!(of("rows").map(|rows| rows["parsers"].clone()), Some(json!(["logfmt"])));
    let values = async |name: &str, limit: &str| {
        let path = format!("detected_field/{name}/values");
        ok(&cluster, &path, &[("query", "{app=~\"web|db\"}"), ("limit", limit)]).await
    };
    // A field is named as it was told: `user.id` of the line is `user_id`.
    for (name, expected) in [("status", json!(["200", "503"])), ("none", json!([]))] {
        let expected = json!({ "values": expected, "limit": 1000, "warnings": [] });
        assert_eq!(values(name, "").await, expected, "{name}");
    }
    let two = values("user_id", "2").await;
    assert_eq!((&two["values"], &two["limit"]), (&json!(["u0", "u1"]), &json!(2)));
    assert!(two["warnings"][0].as_str().is_some_and(|said| said.contains("12 values")), "{two}");
    cluster.stop().await;
}

#[tokio::test]
async fn a_query_is_written_in_its_format() {
    let cluster = cluster().await;
    for (query, expected) in [
        ("{ app = `web` }|=`x` |json| status>=500", r#"{app="web"} |= "x" | json | status>=500"#),
        ("sum(rate({app=\"web\"}[5m])) by (pod)", r#"sum by (pod)(rate({app="web"} [5m]))"#),
    ] {
        let answer = ok(&cluster, "format_query", &[("query", query)]).await;
        assert_eq!(answer, json!({ "status": "success", "data": expected }));
    }
    cluster.stop().await;
}

#[tokio::test]
async fn what_is_wrong_is_told_as_text() {
    let cluster = cluster().await;
    for (path, params, needle) in [
        ("query_range", vec![("query", "{app=\"web\"} |= nothing")], "parse error at line 1, col 16"),
        ("query_range", vec![("query", "{a=\"b\"} | distinct x")], "the stage `distinct`"),
        ("query_range", vec![("query", "{a=\"b\"} |> \"x <_>\"")], "pattern filters"),
        ("format_query", vec![("query", "{app=\"web\"} |= nothing")], "parse error at line 1, col 16"),
        ("detected_field/status/values", vec![("query", "{}"), ("limit", "1000000")], "more than 5000"),
        ("query_range", vec![], "`query` is missing"),
        ("query_range", vec![("query", "{}"), ("limit", "1000000")], "more than 5000"),
        ("query_range", vec![("query", "{}"), ("start", "20"), ("end", "10")], "swap the two"),
        ("query_range", vec![("query", "rate({}[1s])"), ("step", "0")], "is no step"),
        (
            "query",
            vec![("query", "sum_over_time({app=\"db\"} | logfmt | unwrap msg [1h])"), ("time", "1700000160")],
            "pipeline error",
        ),
        ("labels", vec![("start", "yesterday")], "is no time for `start`"),
    ] {
        let (status, answer) = get(&cluster, Some(admin()), &with(path, &params)).await;
        let text = answer.as_str().expect("text");
        assert!(
            status == StatusCode::BAD_REQUEST && text.contains(needle),
            "{path} {params:?}: {status} {text}"
        );
    }
    assert_eq!(get(&cluster, Some(admin()), &with("rules", &[])).await.0, StatusCode::NOT_FOUND);
    assert_eq!(get(&cluster, None, &with("labels", &[])).await.0, StatusCode::UNAUTHORIZED);
    cluster.stop().await;
}
