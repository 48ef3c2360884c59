//! What is asked, and whether two answers say the same.

use serde_json::Value;

use crate::sets::Set;

pub struct Question {
    pub name: &'static str,
    pub query: &'static str,
    /// Seconds since the Unix epoch: from, to, step; one moment when they are equal.
    pub range: (i64, i64, i64),
}

/// The questions of a set.
pub fn of(set: &Set) -> Vec<Question> {
    let end = set.end() / 1000;
    let hours = (set.steps as i64 * set.interval / 3_600_000).max(1);
    let at = (end, end, 0);
    let last = |hours_back: i64, step| (end - hours_back.min(hours) * 3600 + 1, end, step);
    let question = |name, query, range| Question { name, query, range };
    match set.name {
        "hosts" => vec![
            question("last value of one series", "cpu_usage_user{hostname=\"host_7\"}", at),
            question("one series over an hour", "cpu_usage_user{hostname=\"host_7\"}", last(1, 10)),
            question(
                "by host, hourly mean of all",
                "avg by (hostname) (avg_over_time(cpu_usage_user[1h]))",
                last(12, 3600),
            ),
            question("top 10 of an hour's mean", "topk(10, avg_over_time(cpu_usage_user[1h]))", at),
            question("high CPU over all", "count(cpu_usage_user > 90)", last(12, 60)),
        ],
        "mix" => vec![
            question(
                "last value of one series",
                "http_requests_total{namespace=\"team-3\",container=\"app\"}",
                at,
            ),
            question(
                "rate of all requests by namespace",
                "sum by (namespace) (rate(http_requests_total[5m]))",
                last(6, 60),
            ),
            question(
                "quantile of all buckets",
                "histogram_quantile(0.9, sum by (le) (rate(http_request_duration_seconds_bucket[5m])))",
                last(1, 60),
            ),
            question("top 10 of memory", "topk(10, process_resident_memory_bytes)", at),
        ],
        _ => vec![
            question(
                "last value of one Pod",
                "container_memory_working_set_bytes{pod=~\"service-7-.*\"}",
                at,
            ),
            question("rate of each container", "rate(container_cpu_usage_seconds_total[5m])", last(6, 60)),
            question(
                "CPU by namespace",
                "sum by (namespace) (rate(container_cpu_usage_seconds_total[5m]))",
                last(6, 60),
            ),
            question("top 10 of memory", "topk(10, container_memory_working_set_bytes)", at),
        ],
    }
}

/// Whether two answers have the same series with the same values, within rounding.
pub fn alike(one: &Value, other: &Value) -> bool {
    let series = |answer: &Value| {
        let mut all: Vec<_> = answer["data"]["result"].as_array().cloned().unwrap_or_default();
        all.sort_by_key(|series| series["metric"].to_string());
        all
    };
    let (one, other) = (series(one), series(other));
    one.len() == other.len()
        && one.iter().zip(&other).all(|(one, other)| {
            one["metric"] == other["metric"]
                && numbers_alike(&one["value"], &other["value"])
                && numbers_alike(&one["values"], &other["values"])
        })
}

fn numbers_alike(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| numbers_alike(one, other))
        }
        (Value::String(one), Value::String(other)) => {
            let (Ok(one), Ok(other)) = (one.parse::<f64>(), other.parse::<f64>()) else {
                return one == other;
            };
            (one - other).abs() <= 1e-9 * one.abs().max(other.abs())
        }
        _ => one == other,
    }
}
