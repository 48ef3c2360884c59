//! A component's OpenMetrics text in OTLP's words. Pure.
//!
//! A registry of `prometheus_client` tells what it holds as text only, so that text is read:
//! a family after another, and of a histogram the samples of one set of labels in a row.
//! What it must not do: understand the texts of others.

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, KeyValue, any_value},
    metrics::v1::{
        AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, Sum,
        metric::Data, number_data_point::Value,
    },
};

const CUMULATIVE: i32 = AggregationTemporality::Cumulative as i32;

/// Since when the figures count, and when they are told: nanoseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    pub since: u64,
    pub now: u64,
}

/// The metrics of a text. A line that can't be read is left out: the registry does not escape
/// the values of labels.
pub fn metrics(text: &str, times: Times) -> Vec<Metric> {
    let mut families: Vec<Family<'_>> = Vec::new();
    for line in text.lines() {
        if let Some(about) = line.strip_prefix("# HELP ") {
            let (name, help) = about.split_once(' ').unwrap_or((about, ""));
            families.push(Family { name, help, kind: "", samples: Vec::new() });
            continue;
        }
        let Some(family) = families.last_mut() else { continue };
        match line.strip_prefix("# TYPE ") {
            Some(about) => family.kind = about.rsplit(' ').next().unwrap_or_default(),
            None if line.starts_with('#') => {}
            None => family.samples.extend(sample(line)),
        }
    }
    families.retain(|family| !family.samples.is_empty());
    families.iter().map(|family| family.metric(times)).collect()
}

type Labels<'a> = Vec<(&'a str, &'a str)>;

/// What stands under one `# HELP`.
struct Family<'a> {
    name: &'a str,
    help: &'a str,
    kind: &'a str,
    samples: Vec<Sample<'a>>,
}

struct Sample<'a> {
    name: &'a str,
    labels: Labels<'a>,
    value: &'a str,
}

impl Family<'_> {
    fn metric(&self, times: Times) -> Metric {
        let (name, data) = match self.kind {
            "counter" => {
                let data_points = self.numbers(times);
                let sum = Sum { data_points, aggregation_temporality: CUMULATIVE, is_monotonic: true };
                (self.name, Data::Sum(sum))
            }
            "histogram" => {
                let data_points = self.histograms(times);
                (self.name, Data::Histogram(Histogram { data_points, aggregation_temporality: CUMULATIVE }))
            }
            // An info's samples have a name of their own.
            _ => {
                let name = self.samples.first().map_or(self.name, |sample| sample.name);
                (name, Data::Gauge(Gauge { data_points: self.numbers(Times { since: 0, ..times }) }))
            }
        };
        Metric {
            name: name.to_owned(),
            description: self.help.to_owned(),
            data: Some(data),
            ..Metric::default()
        }
    }

    fn numbers(&self, times: Times) -> Vec<NumberDataPoint> {
        let point = |sample: &Sample<'_>| {
            Some(NumberDataPoint {
                attributes: attributes(&sample.labels),
                start_time_unix_nano: times.since,
                time_unix_nano: times.now,
                value: Some(number(sample.value)?),
                ..NumberDataPoint::default()
            })
        };
        self.samples.iter().filter_map(point).collect()
    }

    fn histograms(&self, times: Times) -> Vec<HistogramDataPoint> {
        let mut found: Vec<(Labels<'_>, HistogramDataPoint)> = Vec::new();
        for sample in &self.samples {
            let mut labels = sample.labels.clone();
            let at = labels.iter().position(|(key, _)| *key == "le");
            let bound = at.map(|at| labels.remove(at).1);
            if found.last().is_none_or(|(before, _)| *before != labels) {
                let point = HistogramDataPoint {
                    attributes: attributes(&labels),
                    start_time_unix_nano: times.since,
                    time_unix_nano: times.now,
                    ..HistogramDataPoint::default()
                };
                found.push((labels, point));
            }
            let Some((_, point)) = found.last_mut() else { continue };
            match sample.name.strip_prefix(self.name) {
                Some("_sum") => point.sum = sample.value.parse().ok(),
                Some("_count") => point.count = sample.value.parse().unwrap_or_default(),
                Some("_bucket") => {
                    point.bucket_counts.push(sample.value.parse().unwrap_or_default());
                    // The last is +Inf, which OTLP leaves out.
                    let bound = bound.and_then(|bound| bound.parse().ok());
                    point.explicit_bounds.extend(bound.filter(|bound: &f64| bound.is_finite()));
                }
                _ => {}
            }
        }
        let mut points: Vec<_> = found.into_iter().map(|(_, point)| point).collect();
        points.iter_mut().for_each(|point| apart(&mut point.bucket_counts));
        points
    }
}

/// Counts up to a bound become counts between two.
fn apart(counts: &mut [u64]) {
    for at in (1..counts.len()).rev() {
        counts[at] = counts[at].saturating_sub(counts[at - 1]);
    }
}

/// Whole where it is written so: a metric's kind of number never changes.
fn number(text: &str) -> Option<Value> {
    match text.parse::<i64>() {
        Ok(whole) => Some(Value::AsInt(whole)),
        Err(_) => text.parse::<f64>().ok().map(Value::AsDouble),
    }
}

fn attributes(labels: &[(&str, &str)]) -> Vec<KeyValue> {
    let attribute = |(key, value): &(&str, &str)| KeyValue {
        key: (*key).to_owned(),
        value: Some(AnyValue { value: Some(any_value::Value::StringValue((*value).to_owned())) }),
        ..KeyValue::default()
    };
    labels.iter().map(attribute).collect()
}

/// `name{key="value",...} 1`; an exemplar behind it is left out.
fn sample(line: &str) -> Option<Sample<'_>> {
    let (name, mut rest) = line.split_at(line.find(['{', ' '])?);
    let mut labels = Labels::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        while !rest.starts_with('}') {
            let (key, behind) = rest.split_once("=\"")?;
            let end = end_of_value(behind)?;
            labels.push((key, &behind[..end]));
            rest = &behind[end + 1..];
            rest = rest.strip_prefix(',').unwrap_or(rest);
        }
        rest = &rest[1..];
    }
    let value = rest.strip_prefix(' ')?.split(' ').next()?;
    Some(Sample { name, labels, value })
}

/// The quote that another label or the end follows: those before it are the value's own.
fn end_of_value(text: &str) -> Option<usize> {
    text.match_indices('"').map(|(at, _)| at).find(|at| text[at + 1..].starts_with([',', '}']))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use prometheus_client::{
        metrics::{counter::Counter, family, gauge, histogram, info::Info},
        registry::Registry,
    };

    use super::*;
    use crate::Component;

    type Verb = Vec<(&'static str, &'static str)>;

    fn told(register: impl FnOnce(&mut Registry)) -> Vec<Metric> {
        let component = Component::new("openmetrics");
        component.registry(register);
        let mut told = metrics(&component.render(), Times { since: 1, now: 2 });
        // Of the process, which every component tells.
        told.retain(|metric| !metric.name.starts_with("process_"));
        told
    }

    fn spelt(attributes: &[KeyValue]) -> Vec<String> {
        let one = |attribute: &KeyValue| {
            let value = attribute.value.as_ref().and_then(|any| any.value.as_ref());
            let Some(any_value::Value::StringValue(value)) = value else { panic!("{attribute:?}") };
            format!("{}={value}", attribute.key)
        };
        attributes.iter().map(one).collect()
    }

    #[test]
    fn counters_become_sums_and_the_rest_gauges() {
        let requests = family::Family::<Verb, Counter>::default();
        requests.get_or_create(&vec![("verb", "get"), ("path", "/a,\"b\"")]).inc_by(3);
        let level = gauge::Gauge::<f64, AtomicU64>::default();
        level.set(0.5);
        let nobodys = family::Family::<Verb, Counter>::default();
        let metrics = told(|registry| {
            registry.register("requests", "Requests by verb", requests);
            registry.register("nobodys", "Has no series", nobodys);
            registry.register("level", "How full", level);
            registry.register("build", "What runs", Info::new(vec![("version", "1")]));
        });
        let names: Vec<_> = metrics.iter().map(|metric| metric.name.as_str()).collect();
        assert_eq!(names, ["requests", "level", "build_info"]);
        assert_eq!(metrics[0].description, "Requests by verb.");
        let Some(Data::Sum(sum)) = &metrics[0].data else { panic!("{metrics:?}") };
        assert!(sum.is_monotonic && sum.aggregation_temporality == CUMULATIVE);
        let point = &sum.data_points[0];
        assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (1, 2));
        assert_eq!(point.value, Some(Value::AsInt(3)));
        assert_eq!(spelt(&point.attributes), ["verb=get", "path=/a,\"b\""]);
        for (metric, expected) in [(&metrics[1], Value::AsDouble(0.5)), (&metrics[2], Value::AsInt(1))] {
            let Some(Data::Gauge(gauge)) = &metric.data else { panic!("{metric:?}") };
            assert_eq!(gauge.data_points[0].value, Some(expected), "{metric:?}");
        }
    }

    #[test]
    fn a_histograms_buckets_stand_apart() {
        let seconds: family::Family<Verb, histogram::Histogram> =
            family::Family::new_with_constructor(|| histogram::Histogram::new([0.125, 1.0]));
        for value in [0.0625, 0.5, 0.75, 5.0] {
            seconds.get_or_create(&vec![("verb", "get")]).observe(value);
        }
        seconds.get_or_create(&vec![("verb", "list")]).observe(0.5);
        let metrics = told(|registry| registry.register("seconds", "Time", seconds));
        let Some(Data::Histogram(histogram)) = &metrics[0].data else { panic!("{metrics:?}") };
        let mut points = histogram.data_points.clone();
        points.sort_by_key(|point| spelt(&point.attributes));
        let [get, list] = &points[..] else { panic!("{points:?}") };
        assert_eq!(spelt(&get.attributes), ["verb=get"]);
        assert_eq!((get.count, get.sum), (4, Some(6.3125)));
        assert_eq!((&get.explicit_bounds[..], &get.bucket_counts[..]), (&[0.125, 1.0][..], &[1, 2, 1][..]));
        assert_eq!((list.count, &list.bucket_counts[..]), (1, &[0, 1, 0][..]));
    }

    #[test]
    fn a_line_is_a_name_labels_and_a_value() {
        type Expected<'a> = Option<(&'a str, &'a [(&'a str, &'a str)], &'a str)>;
        let check = |line: &str, expected: Expected<'_>| {
            let found = sample(line);
            let found = found.as_ref().map(|sample| (sample.name, &sample.labels[..], sample.value));
            assert_eq!(found, expected, "{line}");
        };
        check("up 1", Some(("up", &[], "1")));
        check("up{} -1.5", Some(("up", &[], "-1.5")));
        check(r#"a_bucket{le="+Inf",b="c d"} 2"#, Some(("a_bucket", &[("le", "+Inf"), ("b", "c d")], "2")));
        check(r#"a{b="c"} 1 # {trace_id="7"} 0.5 1.0"#, Some(("a", &[("b", "c")], "1")));
        for wrong in ["", "up", r#"a{b="c"}"#, r#"a{b="c} 1"#, r#"a{b} 1"#, r#"a{b="c""#] {
            check(wrong, None);
        }
    }
}
