//! Both texts and the protobuf form: what is read, what is refused and where.

use proptest::prelude::*;
use prost::Message;

use super::{
    proto::{self, Family, Metric, Span, WireHistogram},
    *,
};
use crate::series::{NAME, Value};

fn read(body: &str, open_metrics: bool) -> Result<Vec<String>, String> {
    let text = Text::new(body.as_bytes(), open_metrics).map_err(|fault| fault.to_string())?;
    let mut seen = Vec::new();
    for item in text {
        seen.push(match item.map_err(|fault| fault.to_string())? {
            Item::Kind { metric, kind } => format!("type {metric} {}", kind.name()),
            Item::Help { metric, help } => format!("help {metric} {help}"),
            Item::Unit { metric, unit } => format!("unit {metric} {unit}"),
            Item::Sample(line) => {
                let spelt = labels(line.series)?;
                let spelt: Vec<_> = spelt.iter().map(|(name, value)| format!("{name}={value}")).collect();
                let time = line.time.map(|time| format!(" @{time}")).unwrap_or_default();
                let example = line.exemplar.map(|found| {
                    let of = labels(found.labels).expect("labels of an exemplar");
                    format!(" # {of:?} {} {:?}", found.value, found.time)
                });
                format!("{} {}{time}{}", spelt.join(","), line.value, example.unwrap_or_default())
            }
        });
    }
    Ok(seen)
}

#[test]
fn plain_text_is_read() {
    let body = "# HELP http_requests_total The \\\\ total\\nnumber\n# TYPE http_requests_total counter\n\
        # a word\n\n http_requests_total{method=\"post\", code=\"200\",} 1027 1395066363000\r\n\
        up\t1\nbare 1.5e3\nx {a=\"\\\"}\\n\\\\\\q\"} -Inf\n{\"my.metric\",\"a b\"=\"c\"} NaN";
    assert_eq!(
        read(body, false).expect("readable"),
        [
            "help http_requests_total The \\ total\nnumber",
            "type http_requests_total counter",
            "__name__=http_requests_total,method=post,code=200 1027 @1395066363000",
            "__name__=up 1",
            "__name__=bare 1500",
            "__name__=x,a=\"}\n\\\\q -inf",
            "__name__=my.metric,a b=c NaN",
        ]
    );
}

#[test]
fn open_metrics_is_read() {
    let body = "# TYPE foo histogram\n# UNIT foo seconds\n# HELP foo help\n\
        foo_bucket{le=\"1.0\"} 17 # {trace_id=\"abc\"} 0.5 1520879607.789\n\
        foo_bucket{le=\"+Inf\"} 18 1520879607.5 # {} 2\nfoo_created 1520430000.123\n# EOF\n";
    assert_eq!(
        read(body, true).expect("readable"),
        [
            "type foo histogram",
            "unit foo seconds",
            "help foo help",
            "__name__=foo_bucket,le=1.0 17 # [(\"trace_id\", \"abc\")] 0.5 Some(1520879607789)",
            "__name__=foo_bucket,le=+Inf 18 @1520879607500 # [] 2 None",
            "__name__=foo_created 1520430000.123",
        ]
    );
}

#[test]
fn a_fault_says_where_and_what() {
    let plain = [
        ("up 1\na{b=\"c\" 1", "line 2: the labels have no end"),
        ("a{b=\"c} 1", "line 1: the labels have no end"),
        ("up", "line 1: a sample has no value"),
        ("up one", "line 1: \"one\" is no number"),
        ("up 1 2 3", "line 1: \"3\" stands behind"),
        ("up 1 1.5", "line 1: \"1.5\" is no time"),
        ("# TYPE up thing", "line 1: \"thing\" is no type"),
        ("up 1 # {a=\"b\"} 1", "stands behind the sample"),
        ("9up 1", "\"9up\" is no name"),
        ("up{a=\"1\",a=\"2\"} 1", "label \"a\" is there twice"),
        ("up{a} 1", "label \"a\" has no value"),
        ("up{a=\"1\" b=\"2\"} 1", "a comma or the end"),
        ("up{a=1} 1", "must stand in quotes"),
        ("up{a:b=\"1\"} 1", "is no name of a label"),
    ];
    for (body, wanted) in plain {
        let found = read(body, false).expect_err(body);
        assert!(found.contains(wanted), "{body:?}: {found}");
    }
    let open = [
        ("up 1\n", "without `# EOF`"),
        ("up 1\n# EOF\nup 2\n", "line 3: there is more behind"),
        ("\n# EOF", "line 1: a line is empty"),
        ("# word\n# EOF", "line 1: a line of `#`"),
        ("up 1 # x\n# EOF", "labels in braces"),
    ];
    for (body, wanted) in open {
        let found = read(body, true).expect_err(body);
        assert!(found.contains(wanted), "{body:?}: {found}");
    }
    assert!(read("a 1\n\u{fffd}", false).is_err());
    assert_eq!(Text::new(b"a\xff", false).err(), Some(Fault::NoText(1)));
}

#[test]
fn the_content_type_says_which_format() {
    let table = [
        ("text/plain; version=0.0.4; charset=utf-8", Format::Plain),
        ("application/openmetrics-text; version=1.0.0", Format::OpenMetrics),
        (
            "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
            Format::Protobuf,
        ),
        ("application/vnd.google.protobuf; encoding=text", Format::Plain),
        ("", Format::Plain),
    ];
    for (given, wanted) in table {
        assert_eq!(Format::of(given, Format::Plain), wanted, "{given}");
    }
    // Who says nothing that is known is read as the monitor says, and who does as it says itself.
    for (given, wanted) in [
        ("", Format::OpenMetrics),
        ("application/json", Format::OpenMetrics),
        ("application/vnd.google.protobuf; encoding=text", Format::OpenMetrics),
        ("text/plain", Format::Plain),
    ] {
        assert_eq!(Format::of(given, Format::OpenMetrics), wanted, "{given}");
    }
}

fn delimited(families: &[Family]) -> Vec<u8> {
    families.iter().flat_map(Message::encode_length_delimited_to_vec).collect()
}

#[test]
fn native_histograms_have_absolute_counts_and_classic_ones_their_buckets() {
    let histogram = WireHistogram {
        sample_count: 6,
        sample_sum: 10.5,
        bucket: vec![proto::Bucket { cumulative_count: 4, upper_bound: 5.0, ..Default::default() }],
        schema: Some(3),
        zero_threshold: 0.001,
        zero_count: 1,
        positive_span: vec![Span { offset: -2, length: 2 }, Span { offset: 3, length: 1 }],
        positive_delta: vec![2, 1, -3],
        ..WireHistogram::default()
    };
    let metric = Metric { histogram: Some(histogram), ..Metric::default() };
    let family = Family { name: "h".into(), kind: 4, metric: vec![metric], ..Family::default() };
    let again = proto::families(&delimited(&[family.clone(), family])).expect("its own bytes");
    assert_eq!(again.len(), 2);
    let drawn = proto::draw(&again[1], &again[1].metric[0]);
    let Value::Histogram(native) = &drawn[0].value else { panic!("the native one comes first") };
    assert_eq!(native.positive.iter().collect::<Vec<_>>(), [(-2, 2.0), (-1, 3.0), (3, 0.0)]);
    assert_eq!((native.schema, native.count, native.sum, native.zero_count), (3, 6.0, 10.5, 1.0));
    let classic: Vec<_> = drawn[1..]
        .iter()
        .map(|one| (one.suffix, one.extra.clone().map(|(_, bound)| bound), one.value.number()))
        .collect();
    assert_eq!(
        classic,
        [
            ("_bucket", Some("5.0".to_owned()), Some(4.0)),
            ("_bucket", Some("+Inf".to_owned()), Some(6.0)),
            ("_sum", None, Some(10.5)),
            ("_count", None, Some(6.0)),
        ]
    );
}

#[test]
fn a_native_histogram_is_a_gauge_where_its_family_says_so() {
    let histogram = WireHistogram { zero_threshold: 0.001, sample_count: 1, ..WireHistogram::default() };
    let metric = Metric { histogram: Some(histogram), ..Metric::default() };
    for (kind, is_gauge) in [(4, false), (5, true)] {
        let family = Family { name: "h".into(), kind, metric: vec![metric.clone()], ..Family::default() };
        let drawn = proto::draw(&family, &family.metric[0]);
        let [proto::Drawn { value: Value::Histogram(native), .. }] = &drawn[..] else { panic!("{drawn:?}") };
        assert_eq!((native.gauge, native.count), (is_gauge, 1.0));
    }
}

#[test]
fn bounds_are_spelt_as_open_metrics_spells_them() {
    let table = [
        (1.0, "1.0"),
        (0.5, "0.5"),
        (f64::INFINITY, "+Inf"),
        (1e22, "1e+22"),
        (1e-5, "1e-05"),
        (-2.0, "-2.0"),
        (0.0, "0.0"),
    ];
    for (value, spelt) in table {
        assert_eq!(proto::bound(value), spelt);
    }
}

#[test]
fn abuse_34_a_length_beyond_the_body_takes_no_memory() {
    let fault = proto::families(&[0xff, 0xff, 0xff, 0xff, 0x0f, 1]).expect_err("too long");
    assert!(fault.to_string().contains("message 1: has 4294967295 bytes"), "{fault}");
    // Very many labels on one line cost no more than that they are too many.
    let names: Vec<_> = (0..100_000).map(|number| format!("l{number}=\"\"")).collect();
    let line = format!("a{{{}}} 1\n", names.join(","));
    assert!(read(&line, false).expect_err("too many").contains("more than 500 labels"));
    // Spans that promise more buckets than there are.
    let buckets = proto::buckets(&[Span { offset: 0, length: u32::MAX }], &[1, 1], &[]);
    assert_eq!((buckets.spans, buckets.counts), (vec![(0, 2)], vec![1.0, 2.0]));
}

/// Writes a sample as a client library does.
fn written(name: &str, pairs: &[(String, String)], value: f64, time: Option<i64>) -> String {
    let escaped = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let pairs: Vec<_> = pairs.iter().map(|(name, text)| format!("{name}=\"{}\"", escaped(text))).collect();
    let time = time.map(|time| format!(" {time}")).unwrap_or_default();
    format!("{name}{{{}}} {value}{time}\n", pairs.join(","))
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[\\x09-\\x7e\"{}\\\\#=, \n]{0,120}") {
        for open in [true, false] {
            for body in [bytes.as_slice(), text.as_bytes()] {
                let Ok(items) = Text::new(body, open) else { continue };
                for item in items {
                    let Ok(Item::Sample(line)) = item else { continue };
                    let _ = labels(line.series);
                    let _ = line.exemplar.map(|found| labels(found.labels).is_ok());
                }
            }
        }
        let families = proto::families(&bytes);
        for family in families.iter().flatten() {
            for metric in &family.metric {
                proto::draw(family, metric);
            }
        }
    }

    #[test]
    fn what_is_written_is_read_back(
        samples in prop::collection::vec(("[a-z_:][a-z0-9_:]{0,8}", prop::collection::btree_map("[a-z_][a-z0-9]{0,5}", "[^\r]{0,20}", 0..4), any::<f64>(), prop::option::of(any::<i64>())), 0..8),
    ) {
        let samples: Vec<_> = samples
            .into_iter()
            .map(|(name, pairs, value, time)| (name, pairs.into_iter().collect::<Vec<_>>(), value, time))
            .collect();
        let body: String = samples.iter().map(|(name, pairs, value, time)| written(name, pairs, *value, *time)).collect();
        let items: Result<Vec<_>, _> = Text::new(body.as_bytes(), false).expect("UTF-8").collect();
        let items = items.expect("its own text");
        prop_assert_eq!(items.len(), samples.len());
        for (item, (name, pairs, value, time)) in items.iter().zip(&samples) {
            let Item::Sample(line) = item else { panic!("a sample") };
            let mut spelt = labels(line.series).expect("its own labels").into_iter();
            prop_assert_eq!(spelt.next(), Some((NAME.into(), name.as_str().into())));
            let found: Vec<_> = spelt.map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
            prop_assert_eq!(&found, pairs);
            prop_assert!(line.value.to_bits() == value.to_bits() || (line.value.is_nan() && value.is_nan()));
            prop_assert_eq!(line.time, *time);
        }
    }
}
