//! Queries that Prometheus 2.42 understands: all its functions, operators and modifiers.

use super::peer::BASE;

/// Functions of one range, over two metrics.
const OF_RANGES: [&str; 24] = [
    "rate",
    "increase",
    "delta",
    "irate",
    "idelta",
    "deriv",
    "changes",
    "resets",
    "avg_over_time",
    "min_over_time",
    "max_over_time",
    "sum_over_time",
    "count_over_time",
    "stddev_over_time",
    "stdvar_over_time",
    "last_over_time",
    "present_over_time",
    "absent_over_time",
    "quantile_over_time(0.3, ",
    "quantile_over_time(-1, ",
    "quantile_over_time(1.5, ",
    "quantile_over_time(1, ",
    "sum by (job) (rate",
    "max(avg_over_time",
];

/// Functions of one vector.
const OF_VECTORS: &str = "abs ceil floor exp sqrt ln log2 log10 sgn deg rad sin cos tan asin acos atan sinh \
    cosh tanh asinh acosh atanh round sort sort_desc timestamp absent - + sum avg group count";

const OF_DATES: &str = "minute hour day_of_week day_of_month day_of_year days_in_month month year";

/// Aggregations, and their parameters.
const AGGREGATIONS: [&str; 17] = [
    "sum",
    "avg",
    "min",
    "max",
    "count",
    "group",
    "stddev",
    "stdvar",
    "topk(2, ",
    "bottomk(2, ",
    "topk(100, ",
    "topk(0, ",
    "quantile(0.4, ",
    "quantile(2, ",
    "quantile(scalar(vector(0.9)), ",
    "count_values(\"value\", ",
    "bottomk(1, ",
];

const OPERATORS: [&str; 12] = ["+", "-", "*", "/", "%", "^", "==", "!=", ">", "<", ">=", "<="];

fn call(function: &str, argument: &str) -> String {
    let opened = function.matches('(').count();
    let separator = if function.ends_with(", ") { "" } else { "(" };
    let closed = ")".repeat(opened + separator.len());
    format!("{function}{separator}{argument}{closed}")
}

pub fn queries() -> Vec<String> {
    let mut all = Vec::new();
    for function in OF_RANGES {
        for range in [
            "requests_total[5m]",
            "temperature[7m]",
            "requests_total[29s]",
            "temperature{room=\"shed\"}[40m] offset 3m",
            "sum by (job) (requests_total)[20m:50s]",
            "temperature[10m:]",
        ] {
            all.push(call(function, range));
        }
    }
    for function in OF_DATES.split_whitespace() {
        // Neither NaN nor infinity is a date.
        all.push(call(function, "temperature < 1e9"));
        all.push(call(function, "vector(time() + 7654321)"));
        all.push(format!("{function}()"));
    }
    for function in OF_VECTORS.split_whitespace() {
        all.push(call(function, "temperature"));
        all.push(call(function, "requests_total / 100"));
    }
    for aggregation in AGGREGATIONS {
        all.push(call(aggregation, "requests_total"));
        all.push(call(aggregation, "temperature"));
        let (name, rest) = aggregation.split_once('(').unwrap_or((aggregation, ""));
        all.push(format!("{name} by (job) ({rest}requests_total)"));
        all.push(format!(
            "{name} without (instance, room) ({rest}{{__name__=~\"requests_total|temperature\"}})"
        ));
    }
    for operator in OPERATORS {
        let as_bool = if OPERATORS[6..].contains(&operator) { " bool" } else { "" };
        all.push(format!("7 {operator}{as_bool} 2.5"));
        all.push(format!("temperature {operator} 3"));
        all.push(format!("3 {operator} temperature"));
        all.push(format!("temperature {operator}{as_bool} 3"));
        all.push(format!("requests_total {operator} on (instance) group_left (zone) capacity"));
        all.push(format!("capacity {operator}{as_bool} on (instance) group_right requests_total"));
        all.push(format!("requests_total {operator} ignoring (code) requests_total"));
        all.push(format!("temperature {operator} temperature offset 1m"));
        all.push(format!("sum by (job) (requests_total) {operator} on () group_left () count(temperature)"));
    }
    // 2.42 keeps the name, 3 doesn't.
    all.push("sum(requests_total atan2 on (instance) group_left capacity)".to_owned());
    all.push(
        "sum without (room) (label_replace(temperature, \"__name__\", \"\", \"\", \"\") atan2 2)".to_owned(),
    );
    all.push("7 atan2 -2".to_owned());
    for set in ["and", "or", "unless"] {
        all.push(format!("requests_total {set} on (instance) capacity > 80"));
        all.push(format!("temperature {set} ignoring (room) requests_total"));
        all.push(format!("(temperature > 5) {set} (temperature < 10)"));
        all.push(format!("temperature {set} temperature{{room=\"attic\"}}"));
    }
    all.extend(MORE.iter().map(|query| (*query).to_owned()));
    let at = BASE + 2000;
    all.push(format!("rate(requests_total[5m] @ {at})"));
    all.push(format!("temperature @ {at} offset 5m"));
    all.push(format!("max_over_time(temperature[10m:33s] @ {at})"));
    all.push(format!("temperature + temperature @ {at}"));
    all
}

const MORE: [&str; 66] = [
    "1",
    "-1.5e3",
    "0x1F",
    "Inf",
    "NaN",
    "\"a text\"",
    "pi()",
    "time()",
    "vector(1)",
    "scalar(temperature)",
    "scalar(capacity{instance=\"1\"})",
    "scalar(sum(capacity)) * 2",
    "vector(scalar(sum(temperature)))",
    "temperature[100s]",
    "requests_total{code!~\"2..\"}[1m] offset 10m",
    "nothing",
    "nothing[5m]",
    "absent(nothing{a=\"b\",c=~\"d\"})",
    "absent_over_time(nothing{a=\"b\"}[5m])",
    "absent(sum(nothing))",
    "absent_over_time(temperature{room=\"attic\"}[1m])",
    "{__name__=~\"re.*\", job=\"web\"}",
    "requests_total{job=~\"a.*\", code!=\"500\"}",
    "temperature{room=~\"\"}",
    "clamp(temperature, -5, 5)",
    "clamp(temperature, 5, -5)",
    "clamp_min(temperature, 2)",
    "clamp_max(temperature, 2)",
    "clamp_min(temperature, NaN)",
    "round(temperature, 0.25)",
    "round(temperature, 5)",
    "predict_linear(temperature[10m], 600)",
    "predict_linear(requests_total[10m], -60)",
    "holt_winters(temperature[10m], 0.3, 0.6)",
    "holt_winters(temperature[10m], 1.5, 0.6)",
    "label_replace(requests_total, \"host\", \"h$1\", \"instance\", \"(.)\")",
    "label_replace(requests_total, \"job\", \"\", \"code\", \".*\")",
    "label_replace(requests_total, \"x\", \"${a}\", \"job\", \"(?P<a>w).*\")",
    "label_replace(temperature, \"__name__\", \"t\", \"\", \"\")",
    "label_join(requests_total, \"all\", \"/\", \"job\", \"code\", \"none\")",
    "histogram_quantile(0.9, rate(latency_bucket[5m]))",
    "histogram_quantile(0.5, latency_bucket)",
    "histogram_quantile(0.1, sum by (le) (rate(latency_bucket[3m])))",
    "histogram_quantile(0, latency_bucket)",
    "histogram_quantile(1, latency_bucket)",
    "histogram_quantile(-1, latency_bucket)",
    "histogram_quantile(2, latency_bucket)",
    "histogram_quantile(0.5, latency_bucket{le!=\"+Inf\"})",
    "histogram_quantile(0.5, temperature)",
    "histogram_quantile(scalar(vector(0.7)), latency_bucket)",
    "rate(requests_total[5m] offset 7m)",
    "temperature offset -2m",
    "rate(requests_total[2m]) @ start()",
    "sum(rate(requests_total[5m] @ start()))",
    "topk(3, rate(requests_total[5m] @ end()))",
    "max_over_time(rate(requests_total[2m])[10m:17s])",
    "sum_over_time(max_over_time(temperature[3m])[15m:1m] offset 2m)",
    "avg_over_time((temperature > 5)[20m:31s])",
    "sum(requests_total) by (job) / on (job) group_left count(requests_total) by (job)",
    "requests_total * on (job) requests_total",
    "sum by (job) (requests_total) + on (job) requests_total",
    "(temperature > 3) == bool 5",
    "hour()",
    "day_of_week(vector(time() + 86400))",
    "count_values without (room) (\"v\", round(temperature))",
    "quantile by (job) (0.5, requests_total) > bool 300 or vector(0)",
];
