//! Nothing beyond the right to read, whatever is asked.

use super::*;
use crate::root::tests::{admin, reader};

#[tokio::test]
async fn abuse_30_no_path_shows_a_namespace_that_is_not_allowed() {
    let cluster = cluster().await;
    let range = [("start", "1700000000"), ("end", "1700000200"), ("step", "60")];
    for (path, params) in [
        ("labels", vec![]),
        ("label/pod/values", vec![]),
        ("label/namespace/values", vec![("query", "{namespace=\"ops\"}")]),
        ("series", vec![("match[]", "{namespace=\"ops\"}")]),
        ("series", vec![]),
        ("query_range", vec![("query", "{namespace=\"ops\"}")]),
        ("query_range", vec![("query", "{} |= \"done\"")]),
        ("query_range", vec![("query", "sum by (namespace, pod) (count_over_time({}[1m]))")]),
        ("query_range", vec![("query", "rate({} | logfmt | rows > 0 [1m])")]),
        ("query", vec![("query", "bytes_over_time({}[10m])"), ("time", "1700000200")]),
        ("index/volume", vec![("query", "{}"), ("targetLabels", "namespace")]),
        ("index/volume_range", vec![("query", "{}"), ("targetLabels", "pod")]),
        ("patterns", vec![("query", "{}")]),
        ("detected_fields", vec![("query", "{}")]),
        ("detected_field/msg/values", vec![("query", "{}")]),
        ("detected_labels", vec![]),
    ] {
        let mut params = params;
        params.extend_from_slice(&range);
        let (status, answer) = get(&cluster, Some(reader("shop")), &with(path, &params)).await;
        let text = answer.to_string();
        assert_eq!(status, StatusCode::OK, "{path} {params:?}: {text}");
        for hidden in ["ops", "db-1", "done", "rows"] {
            assert!(!text.contains(hidden), "{path} {params:?}: {text}");
        }
    }
    let own = with("query_range", &[("query", "{}"), ("start", "1700000000"), ("end", "1700000200")]);
    assert!(get(&cluster, Some(reader("shop")), &own).await.1.to_string().contains("/a/11"));
    let stats = with("index/stats", &[("query", "{}"), ("start", "1700000000"), ("end", "1700000200")]);
    assert_eq!(get(&cluster, Some(reader("shop")), &stats).await.1["entries"], 12);
    cluster.stop().await;
}

#[tokio::test]
async fn abuse_35_metric_queries_are_bounded_and_the_widest_range_has_an_answer() {
    let cluster = cluster().await;
    let sums = |count: usize| vec![r#"count_over_time({app="web"}[1m])"#; count].join(" + ");
    let at = [("time", "1700000160000000000")];
    for (count, expected) in [(16, StatusCode::OK), (17, StatusCode::BAD_REQUEST)] {
        let query = sums(count);
        let params = [at[0], ("query", &query)];
        let (status, answer) = get(&cluster, Some(admin()), &with("query", &params)).await;
        assert_eq!(status, expected, "{answer}");
        assert!(status.is_success() || answer.to_string().contains("17 functions over ranges"), "{answer}");
    }
    let (start, end) = (i64::MIN.to_string(), i64::MAX.to_string());
    let widest = [("query", r#"{app="web"}"#), ("start", &start), ("end", &end), ("step", "100000000")];
    for path in ["index/volume", "index/volume_range", "index/stats", "patterns", "labels", "query_range"] {
        let (status, answer) = get(&cluster, Some(admin()), &with(path, &widest)).await;
        assert!(status.is_success() || status == StatusCode::BAD_REQUEST, "{path}: {status} {answer}");
    }
    let (_, volume) = get(&cluster, Some(admin()), &with("index/volume", &widest)).await;
    assert_eq!(volume["data"]["result"].as_array().map(Vec::len), Some(1), "{volume}");
    cluster.stop().await;
}
