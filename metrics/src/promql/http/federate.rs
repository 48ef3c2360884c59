//! `/federate`: the newest samples of chosen series, for another Prometheus to scrape.
//!
//! Texts have no place for native histograms: who asks for a text is told how many are left out, and the
//! protobuf form ([`families`]) has them.

mod families;
mod names;

use axum::{
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use futures::StreamExt;

use self::names::Escaping;
use super::{Asked, json, parameters::Parameters, reply::Refusal};
use crate::series::{Labels, Missing, NAME, Select, SelectError, SeriesColumns, Value, Wanted};

/// The exposition formats, those last that say more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Format {
    Text,
    OpenMetrics,
    Protobuf,
}

impl Format {
    /// What the header Accept wants most; of several that it wants alike, what says more.
    fn wanted(headers: &HeaderMap) -> (Self, Escaping) {
        let accepts = headers.get_all(header::ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
        let wanted = accepts.flat_map(|accept| accept.split(',')).filter_map(Self::accepted).max();
        wanted.map_or((Self::Text, Escaping::default()), |(_, format, escaping)| (format, escaping))
    }

    /// One that is accepted, and how much it is wanted, in thousandths.
    fn accepted(text: &str) -> Option<(u32, Self, Escaping)> {
        let mut parts = text.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let parameters: Vec<_> = parts.filter_map(|part| part.split_once('=')).collect();
        let of = |wanted: &str| {
            let found = parameters.iter().find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted));
            found.map(|(_, value)| value.trim().trim_matches('"'))
        };
        let format = match kind.as_str() {
            "application/vnd.google.protobuf" if of("encoding") == Some("delimited") => Self::Protobuf,
            "application/openmetrics-text" => Self::OpenMetrics,
            "text/plain" | "text/*" | "*/*" => Self::Text,
            _ => return None,
        };
        let weight = of("q").map_or(Some(1.0), |weight| weight.parse::<f64>().ok())?;
        (weight > 0.0).then_some(((weight * 1000.0) as u32, format, Escaping::called(of("escaping"))))
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        }
    }
}

/// The newest sample of a series that has not ended.
#[derive(Debug, Clone, PartialEq)]
struct Newest {
    labels: Labels,
    /// Milliseconds since the Unix epoch.
    time: i64,
    value: Value,
}

impl Newest {
    fn of(series: SeriesColumns) -> Option<Self> {
        let number = series.times.last().zip(series.values.last());
        let number = number.map(|(time, number)| (*time, Value::Number(*number)));
        let histogram = series.histograms.last().map(|(time, one)| (*time, Value::Histogram(one.clone())));
        let (time, value) = match (number, histogram) {
            (Some(number), Some(histogram)) if histogram.0 > number.0 => histogram,
            (Some(number), _) => number,
            (None, histogram) => histogram?,
        };
        (!value.is_stale()).then_some(Self { labels: series.labels, time, value })
    }

    /// What it takes of the budget.
    fn size(&self) -> usize {
        match &self.value {
            Value::Number(_) => 1,
            Value::Histogram(histogram) => 1 + histogram.size(),
        }
    }

    /// Its labels but for the name, and with `instance`: else who scrapes would put its own there.
    fn pairs(&self) -> Vec<(&str, &str)> {
        let mut pairs: Vec<_> = self.labels.iter().filter(|(name, _)| *name != NAME).collect();
        if !pairs.iter().any(|(name, _)| *name == "instance") {
            pairs.push(("instance", ""));
        }
        pairs
    }
}

pub async fn federate(headers: HeaderMap, asked: Asked, parameters: Parameters) -> Response {
    match newest(&asked, &parameters).await {
        Ok(mut found) => {
            let (format, escaping) = Format::wanted(&headers);
            names::spell(&mut found, escaping);
            told(&found, format, escaping)
        }
        Err(refusal) => (refusal.status, refusal.sentence).into_response(),
    }
}

/// The newest sample of each chosen series that has not ended.
async fn newest(asked: &Asked, parameters: &Parameters) -> Result<Vec<Newest>, Refusal> {
    let selectors = parameters.selectors()?;
    let now = jiff::Timestamp::now().as_millisecond();
    let lookback = i64::try_from(asked.limits.lookback.as_millis()).unwrap_or(i64::MAX);
    let mut found: Vec<Newest> = Vec::new();
    let _place = asked.place(asked.limits.deadline).await?;
    for matchers in selectors {
        let range = now - lookback + 1..now + 1;
        // So recent that nothing of it can be missing.
        let mut series = asked.source.stream(&matchers, range, Wanted::Newest, &Missing::default()).await?;
        while let Some(batch) = series.next().await {
            let before = found.len();
            for series in batch? {
                found.extend(Newest::of(series?));
            }
            asked.limits.share.take(found[before..].iter().map(Newest::size).sum())?;
            if found.len() > asked.limits.samples {
                return Err(SelectError::TooMany(asked.limits.samples).into());
            }
        }
    }
    in_order(&mut found);
    Ok(found)
}

/// By name, each series once.
fn in_order(found: &mut Vec<Newest>) {
    found.sort_by(|a, b| a.labels.name().cmp(b.labels.name()).then_with(|| a.labels.cmp(&b.labels)));
    found.dedup_by(|a, b| a.labels == b.labels);
}

fn told(found: &[Newest], format: Format, escaping: Escaping) -> Response {
    let kind = match escaping {
        Escaping::Underscores => format.content_type().to_owned(),
        Escaping::Utf8 => format!("{}; escaping=allow-utf-8", format.content_type()),
    };
    let kind = [(header::CONTENT_TYPE, kind)];
    if format == Format::Protobuf {
        return (kind, families::delimited(found)).into_response();
    }
    let mut response = (kind, written(found, format)).into_response();
    if let Some(warning) = left_out(found).and_then(|warning| HeaderValue::try_from(warning).ok()) {
        response.headers_mut().insert(header::WARNING, warning);
    }
    response
}

/// What a text says of the series that it has no place for. kubectl shows warnings of this kind.
fn left_out(found: &[Newest]) -> Option<String> {
    let count = found.iter().filter(|one| one.value.number().is_none()).count();
    (count > 0).then(|| {
        format!(
            "299 - \"{count} series with native histograms are left out, which only the protobuf form has: \
             put PrometheusProto first in scrape_protocols\""
        )
    })
}

fn written(found: &[Newest], format: Format) -> String {
    let kind = if format == Format::Text { "untyped" } else { "unknown" };
    let mut text = String::new();
    let mut before = "";
    for (one, number) in found.iter().filter_map(|one| Some((one, one.value.number()?))) {
        let name = one.labels.name();
        let (spelt, is_within) = names::metric(name);
        if name != before {
            text.push_str(&format!("# TYPE {spelt} {kind}\n"));
            before = name;
        }
        let (outside, within) = if is_within { ("", Some(&*spelt)) } else { (&*spelt, None) };
        let labels = one.pairs().into_iter().map(|(name, value)| names::label(name, value));
        let pairs: Vec<_> = within.map(str::to_owned).into_iter().chain(labels).collect();
        text.push_str(&format!("{outside}{{{}}} ", pairs.join(",")));
        json::plain(&mut text, number);
        text.push(' ');
        match format {
            Format::OpenMetrics => json::seconds(&mut text, one.time),
            _ => text.push_str(&one.time.to_string()),
        }
        text.push('\n');
    }
    if format == Format::OpenMetrics {
        text.push_str("# EOF\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::{Extension, body::Body, http::Request};
    use tiphys_api::auth::{Attributes, Authorizer, UserInfo};
    use tower::ServiceExt;

    use super::*;
    use crate::{
        scrape::expose::{self, proto},
        series::{Histogram, Limits, STALE, Sample, Store},
    };

    fn one(labels: &[(&str, &str)], value: Value) -> Newest {
        Newest { labels: Labels::new(labels.iter().copied()), time: 1500, value }
    }

    fn histogram(sum: f64) -> Value {
        let zero = Histogram { zero_count: 2.0, count: 2.0, sum, ..Histogram::default() };
        Value::Histogram(Arc::new(zero))
    }

    #[test]
    fn both_texts_are_written() {
        let found = [one(&[(NAME, "up"), ("job", "a\"b")], Value::Number(1.0))];
        assert_eq!(
            written(&found, Format::Text),
            "# TYPE up untyped\nup{job=\"a\\\"b\",instance=\"\"} 1 1500\n"
        );
        assert_eq!(
            written(&found, Format::OpenMetrics),
            "# TYPE up unknown\nup{job=\"a\\\"b\",instance=\"\"} 1 1.500\n# EOF\n"
        );
        let found = [one(&[(NAME, "a.b"), ("c.d", "e")], Value::Number(1.0))];
        assert_eq!(
            written(&found, Format::Text),
            "# TYPE \"a.b\" untyped\n{\"a.b\",\"c.d\"=\"e\",instance=\"\"} 1 1500\n"
        );
    }

    #[test]
    fn the_format_that_is_wanted_most_is_taken() {
        let proto = Format::Protobuf.content_type();
        let of = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().expect("a value"));
            Format::wanted(&headers).0
        };
        let texts = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.2,*/*;q=0.1";
        for (accept, wanted) in [
            (format!("{proto};q=0.6,{texts}"), Format::Protobuf),
            (format!("{texts},{proto};q=0.3"), Format::OpenMetrics),
            (texts.to_owned(), Format::OpenMetrics),
            ("text/plain,application/openmetrics-text".to_owned(), Format::OpenMetrics),
            ("text/plain, application/openmetrics-text; q=0.9".to_owned(), Format::Text),
            (format!("{proto};q=0, */*"), Format::Text),
            ("application/vnd.google.protobuf;encoding=text, */*;q=0.1".to_owned(), Format::Text),
            ("text/html".to_owned(), Format::Text),
        ] {
            assert_eq!(of(&accept), wanted, "{accept}");
        }
        assert_eq!(Format::wanted(&HeaderMap::new()), (Format::Text, Escaping::Underscores));
    }

    #[test]
    fn names_are_escaped_as_the_format_that_is_taken_asks() {
        let of = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().expect("a value"));
            Format::wanted(&headers)
        };
        let three = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                     application/openmetrics-text;version=0.0.1;q=0.5,\
                     text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
                     text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for (accept, wanted) in [
            (three, (Format::OpenMetrics, Escaping::Utf8)),
            ("text/plain;escaping=allow-utf-8", (Format::Text, Escaping::Utf8)),
            ("text/plain;escaping=values", (Format::Text, Escaping::Underscores)),
            ("text/plain;escaping=underscores", (Format::Text, Escaping::Underscores)),
            (
                "text/plain;q=0.9,application/openmetrics-text;escaping=allow-utf-8;q=0.5",
                (Format::Text, Escaping::Underscores),
            ),
        ] {
            assert_eq!(of(accept), wanted, "{accept}");
        }
        let kind = told(&[], Format::OpenMetrics, Escaping::Utf8).headers()[header::CONTENT_TYPE].clone();
        assert!(kind.to_str().expect("a text").ends_with("; escaping=allow-utf-8"), "{kind:?}");
    }

    #[test]
    fn the_newest_sample_counts_whatever_it_is_unless_the_series_ended() {
        let of = |numbers: &[(i64, f64)], histograms: &[(i64, f64)]| {
            let mut series = SeriesColumns::default();
            numbers.iter().for_each(|(time, number)| series.push(*time, *number));
            series.histograms = histograms
                .iter()
                .map(|(time, sum)| (*time, Arc::new(Histogram { sum: *sum, ..Histogram::default() })))
                .collect();
            Newest::of(series).map(|newest| (newest.time, newest.value.number()))
        };
        assert_eq!(of(&[(1, 5.0), (2, 6.0)], &[]), Some((2, Some(6.0))));
        assert_eq!(of(&[], &[(3, 1.0)]), Some((3, None)));
        assert_eq!(of(&[(2, 6.0)], &[(3, 1.0)]), Some((3, None)));
        assert_eq!(of(&[(3, 6.0)], &[(3, 1.0)]), Some((3, Some(6.0))));
        type Samples<'a> = &'a [(i64, f64)];
        let ended: [(Samples<'_>, Samples<'_>); 5] = [
            (&[(2, STALE)], &[]),
            (&[], &[(3, STALE)]),
            (&[(2, 6.0)], &[(3, STALE)]),
            (&[(4, STALE)], &[(3, 1.0)]),
            (&[], &[]),
        ];
        for (numbers, histograms) in ended {
            assert_eq!(of(numbers, histograms), None, "{numbers:?} {histograms:?}");
        }
    }

    #[test]
    fn a_text_tells_what_it_has_no_place_for() {
        let number = one(&[(NAME, "up")], Value::Number(1.0));
        let warning = |found: &[Newest], format| {
            let response = told(found, format, Escaping::default());
            let warning = response.headers().get(header::WARNING);
            warning.map(|warning| warning.to_str().expect("a text").to_owned())
        };
        let found = [one(&[(NAME, "took")], histogram(1.0)), number.clone()];
        for format in [Format::Text, Format::OpenMetrics] {
            let told = warning(&found, format).expect("a warning");
            assert!(told.starts_with("299 - \"1 series with native") && told.ends_with('"'), "{told}");
            assert!(!written(&found, format).contains("took"));
            assert_eq!(warning(std::slice::from_ref(&number), format), None);
        }
        assert_eq!(warning(&found, Format::Protobuf), None);
    }

    struct Everything;

    impl Authorizer for Everything {
        fn authorize(&self, _: &UserInfo, _: &Attributes) -> Result<(), String> {
            Ok(())
        }
    }

    /// What is answered of these series, all of namespace `shop` and with a NUL in a value: its type and its
    /// body.
    async fn federated(series: &[(&str, Value)], accept: &str) -> (String, axum::body::Bytes) {
        let store = Store::in_memory(Limits::default());
        let time = jiff::Timestamp::now().as_millisecond() - 1000;
        for (name, value) in series {
            let labels = [(NAME, *name), ("namespace", "shop"), ("note", "a\0b")];
            let series = store.resolve(&Labels::new(labels)).expect("taken");
            store.append(&[Sample { series, time, value: value.clone() }]);
        }
        let routes = super::super::routes(Arc::new(store), Arc::new(Everything));
        let routes = routes.layer(Extension(UserInfo::named("admin", &[])));
        let request = Request::get("/prometheus/federate?match[]={namespace=%22shop%22}")
            .header(header::ACCEPT, accept)
            .body(Body::empty());
        let response = routes.oneshot(request.expect("a request")).await.expect("answered");
        let kind = response.headers().get(header::CONTENT_TYPE).cloned().expect("a type");
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.expect("read");
        (kind.to_str().expect("a text").to_owned(), body)
    }

    #[tokio::test]
    async fn abuse_36_a_name_says_no_series_that_nobody_sent() {
        let forged = "x 1\nkube_node_info{namespace=\"kube-system\"} 99\n#";
        let series = [(forged, Value::Number(1.0)), ("a.b", Value::Number(2.0)), ("up", Value::Number(3.0))];
        let underscored = "x_1_kube_node_info_namespace__kube_system___99__";
        for (accept, names) in [
            ("text/plain", ["a_b", "up", underscored]),
            ("application/openmetrics-text", ["a_b", "up", underscored]),
            ("text/plain;escaping=allow-utf-8", ["a.b", "up", forged]),
            ("application/openmetrics-text;escaping=allow-utf-8", ["a.b", "up", forged]),
        ] {
            let (kind, body) = federated(&series, accept).await;
            let text = expose::Text::new(&body, kind.contains("openmetrics")).expect("a text");
            let mut read = Vec::new();
            for item in text {
                if let expose::Item::Sample(line) = item.expect(accept) {
                    let labels = expose::labels(line.series).expect("labels");
                    read.push(Labels::new(labels));
                }
            }
            let note = ("note", "a\u{fffd}b");
            let expected = names.map(|name| Labels::new([(NAME, name), ("namespace", "shop"), note]));
            assert_eq!(read, expected, "{accept}");
            assert!(!body.contains(&0), "{accept}: Prometheus refuses a text with a NUL");
        }
        let (_, body) = federated(&series, Format::Protobuf.content_type()).await;
        let families = proto::families(&body).expect("families");
        let told: Vec<_> = families.iter().map(|family| family.name.as_str()).collect();
        assert_eq!(told, ["a_b", "up", underscored]);
    }

    #[tokio::test]
    async fn who_asks_for_protobuf_gets_histograms_too() {
        let series = [("took", histogram(7.5)), ("up", Value::Number(1.0))];
        let accept = "application/vnd.google.protobuf;encoding=delimited;q=0.6,*/*;q=0.1";
        let (kind, body) = federated(&series, accept).await;
        assert_eq!(kind, Format::Protobuf.content_type());
        let families = proto::families(&body).expect("families");
        let told: Vec<_> = families.iter().map(|family| (family.name.as_str(), family.kind)).collect();
        assert_eq!(told, [("took", 4), ("up", 3)]);
        assert_eq!(proto::draw(&families[0], &families[0].metric[0])[0].value, histogram(7.5));
    }
}
