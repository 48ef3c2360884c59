//! What is asked, and whether two answers say the same.

use serde_json::Value;

use crate::sets::Set;

pub struct Question {
    pub name: &'static str,
    pub query: &'static str,
    /// Seconds since the Unix epoch: from, to, step; one moment when they are equal.
    pub range: (i64, i64, i64),
    /// The same in SQL, with the table that is asked.
    pub statements: Vec<(&'static str, String)>,
}

/// Times that questions are about, seconds since the Unix epoch.
#[derive(Clone, Copy)]
struct Times {
    end: i64,
    hours: i64,
}

impl Times {
    fn at(self) -> (i64, i64, i64) {
        (self.end, self.end, 0)
    }

    fn last(self, hours: i64, step: i64) -> (i64, i64, i64) {
        (self.end - hours.min(self.hours) * 3600 + 1, self.end, step)
    }

    /// A condition: so many seconds before the end.
    fn within(self, seconds: i64) -> String {
        let from = self.end - seconds.min(self.hours * 3600);
        format!("time > to_timestamp({from}) and time <= to_timestamp({})", self.end)
    }
}

fn question(
    name: &'static str,
    query: &'static str,
    range: (i64, i64, i64),
    statements: Vec<(&'static str, String)>,
) -> Question {
    Question { name, query, range, statements }
}

/// A statement over `samples`.
fn samples(statement: String) -> Vec<(&'static str, String)> {
    vec![("samples", statement)]
}

/// The questions of a set.
pub fn of(set: &Set) -> Vec<Question> {
    let hours = (set.steps as i64 * set.interval / 3_600_000).max(1);
    let times = Times { end: set.end() / 1000, hours };
    match set.name {
        "hosts" => hosts(times),
        "mix" => mix(times),
        _ => nodes(times),
    }
}

fn hosts(times: Times) -> Vec<Question> {
    let host = "labels ->> 'hostname'";
    let (now, hour, half_day) = (times.within(300), times.within(3600), times.within(12 * 3600));
    let user = "from samples where name = 'cpu_usage_user'";
    vec![
        question(
            "last value of one series",
            "cpu_usage_user{hostname=\"host_7\"}",
            times.at(),
            samples(format!("select last(value, time) {user} and {host} = 'host_7' and {now}")),
        ),
        question(
            "one series over an hour",
            "cpu_usage_user{hostname=\"host_7\"}",
            times.last(1, 10),
            samples(format!("select time, value {user} and {host} = 'host_7' and {hour} order by time")),
        ),
        question(
            "by host, hourly mean of all",
            "avg by (hostname) (avg_over_time(cpu_usage_user[1h]))",
            times.last(12, 3600),
            samples(format!(
                "select {host} as host, time_bucket('1h', time) as hour, avg(value) {user} and {half_day}
                 group by 1, 2"
            )),
        ),
        question(
            "top 10 of an hour's mean",
            "topk(10, avg_over_time(cpu_usage_user[1h]))",
            times.at(),
            samples(format!(
                "select {host} as host, avg(value) as mean {user} and {hour} group by 1 order by 2 desc limit 10"
            )),
        ),
        question(
            "high CPU over all",
            "count(cpu_usage_user > 90)",
            times.last(12, 60),
            samples(format!(
                "select minute, count(*) as hosts from (
                     select time_bucket('1m', time) as minute, {host} as host, last(value, time) as used
                     {user} and {half_day} group by 1, 2) each_host
                 where used > 90 group by 1"
            )),
        ),
    ]
}

fn mix(times: Times) -> Vec<Question> {
    let (now, hour, quarter) = (times.within(300), times.within(3600), times.within(6 * 3600));
    vec![
        question(
            "last value of a container's series",
            "http_requests_total{namespace=\"team-3\",container=\"app\"}",
            times.at(),
            samples(format!(
                "select labels, last(value, time) from samples where name = 'http_requests_total'
                 and namespace = 'team-3' and container = 'app' and {now} group by 1"
            )),
        ),
        question(
            "rate of all requests by namespace",
            "sum by (namespace) (rate(http_requests_total[5m]))",
            times.last(6, 60),
            samples(rate_by_namespace("http_requests_total", &quarter)),
        ),
        question(
            "quantile of all buckets",
            "histogram_quantile(0.9, sum by (le) (rate(http_request_duration_seconds_bucket[5m])))",
            times.last(1, 60),
            samples(format!(
                "select minute, histogram_quantile(0.9, le, grown) from (
                     select time_bucket('1m', time) as minute, labels, labels ->> 'le' as le,
                     increase(value, time) as grown from samples
                     where name = 'http_request_duration_seconds_bucket' and {hour} group by 1, 2, 3) buckets
                 group by 1"
            )),
        ),
        question(
            "top 10 of memory",
            "topk(10, process_resident_memory_bytes)",
            times.at(),
            samples(top("process_resident_memory_bytes", &now)),
        ),
    ]
}

fn nodes(times: Times) -> Vec<Question> {
    let (now, quarter) = (times.within(300), times.within(6 * 3600));
    let both =
        |of_samples: String, of_container: String| vec![("samples", of_samples), ("container", of_container)];
    let cpu = "container_cpu_usage_seconds_total";
    vec![
        question(
            "last value of one Pod",
            "container_memory_working_set_bytes{pod=~\"service-7-.*\"}",
            times.at(),
            both(
                format!(
                    "select pod, container, last(value, time) from samples
                     where name = 'container_memory_working_set_bytes' and pod like 'service-7-%' and {now}
                     group by 1, 2"
                ),
                format!(
                    "select pod, container, last(memory_working_set_bytes, time) from container
                     where pod like 'service-7-%' and {now} group by 1, 2"
                ),
            ),
        ),
        question(
            "rate of each container",
            "rate(container_cpu_usage_seconds_total[5m])",
            times.last(6, 60),
            both(
                format!(
                    "select time_bucket('1m', time) as minute, pod, container, rate(value, time) from samples
                     where name = '{cpu}' and {quarter} group by 1, 2, 3"
                ),
                format!(
                    "select time_bucket('1m', time) as minute, pod, container, avg(cpu_cores) from container
                     where {quarter} group by 1, 2, 3"
                ),
            ),
        ),
        question(
            "CPU by namespace",
            "sum by (namespace) (rate(container_cpu_usage_seconds_total[5m]))",
            times.last(6, 60),
            both(
                rate_by_namespace(cpu, &quarter),
                format!(
                    "select minute, namespace, sum(cores) from (
                         select time_bucket('1m', time) as minute, namespace, pod, container,
                         avg(cpu_cores) as cores from container where {quarter} group by 1, 2, 3, 4) each_one
                     group by 1, 2"
                ),
            ),
        ),
        question(
            "top 10 of memory",
            "topk(10, container_memory_working_set_bytes)",
            times.at(),
            both(
                top("container_memory_working_set_bytes", &now),
                format!(
                    "select pod, container, last(memory_working_set_bytes, time) as bytes from container
                     where {now} group by 1, 2 order by 3 desc limit 10"
                ),
            ),
        ),
    ]
}

fn rate_by_namespace(name: &str, within: &str) -> String {
    format!(
        "select minute, namespace, sum(grows) from (
             select time_bucket('1m', time) as minute, namespace, labels, rate(value, time) as grows
             from samples where name = '{name}' and {within} group by 1, 2, 3) each_one
         group by 1, 2"
    )
}

fn top(name: &str, within: &str) -> String {
    format!(
        "select pod, labels, last(value, time) as bytes from samples where name = '{name}' and {within}
         group by 1, 2 order by 3 desc limit 10"
    )
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
