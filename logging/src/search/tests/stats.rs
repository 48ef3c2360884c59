//! Statistics and facets of any field against counts made record by record.

use super::*;
use crate::{
    search::LABEL_NAMES,
    wire::{FacetValue, NodeStatsRequest},
};

/// What the statistics know by a name, found the slow way.
fn naive_key(key: &str, info: &StreamInfo, record: &Record) -> Option<String> {
    match key {
        "ns" => Some(info.namespace.clone()),
        "pod" => Some(info.pod.clone()),
        "restart" => Some(info.restart.to_string()),
        "level" => Some(record.level.name().into()),
        "stream" => Some(record.source.name().into()),
        "app" => (info.uid == "uid-0").then(|| APP.1.into()),
        "tier" => (info.uid == "uid-0").then(|| LABEL.1.into()),
        "pattern" => {
            let mut key = Vec::new();
            crate::block::template::split(&record.body, record.time, &mut key, &mut Vec::new());
            Some(patterns::pattern(&key))
        }
        _ => naive_field(record, key),
    }
}

const KEYS: [&str; 12] = [
    "ns", "pod", "restart", "level", "stream", "app", "tier", "pattern", "status", "user.id", "path",
    "duration",
];

#[derive(Debug, Default, PartialEq)]
struct Sum {
    count: u64,
    numbers: Vec<f64>,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn statistics_say_what_counting_says(
        steps in steps(),
        query in queries(),
        by in proptest::sample::subsequence(KEYS.to_vec(), 0..=3),
        field in proptest::option::of(prop_oneof![Just("status"), Just("took"), Just("_bytes"), Just("tier"), Just("duration")]),
        step in 1i64..20,
    ) {
        let world = world(steps);
        let request = request(&query.text(), None);
        let mut expected: BTreeMap<(Vec<Option<String>>, u32), Sum> = BTreeMap::new();
        for (info, record) in world.all.iter().filter(|(_, record)| (2..19).contains(&record.time)) {
            if query.grep(info, record) {
                let group = by.iter().map(|key| naive_key(key, info, record)).collect();
                let sum = expected.entry((group, ((record.time - 2) / step) as u32)).or_default();
                sum.count += 1;
                match field {
                    Some("_bytes") => sum.numbers.push(record.body.len() as f64),
                    Some("tier") if info.uid == "uid-0" => {}
                    Some(name) => sum.numbers.extend(naive_number(record, name)),
                    None => {}
                }
            }
        }
        let want = NodeStatsRequest {
            field: field.map(str::to_owned),
            by: by.iter().map(ToString::to_string).collect(),
            step_ns: step,
            origin: None,
            sketch: true,
        };
        let answer = super::super::stats(&world.store, &request, &want, "n1");
        prop_assert!(answer.other.is_empty() && answer.partial.is_empty());
        let mut found = BTreeMap::new();
        for series in &answer.series {
            for (step, cell) in &series.cells {
                found.insert((series.group.clone(), *step), cell);
            }
        }
        prop_assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{}", query.text());
        for (key, sum) in &mut expected {
            let cell = found[key];
            prop_assert_eq!(cell.count, sum.count, "{:?}", key);
            let Some(measured) = &cell.measured else {
                prop_assert_eq!(&sum.numbers, &Vec::<f64>::new());
                continue;
            };
            sum.numbers.sort_by(f64::total_cmp);
            prop_assert_eq!(measured.numbers, sum.numbers.len() as u64);
            prop_assert!((measured.sum - sum.numbers.iter().sum::<f64>()).abs() < 1e-6);
            prop_assert_eq!(Some(&measured.min), sum.numbers.first());
            prop_assert_eq!(Some(&measured.max), sum.numbers.last());
            let (sketch, middle) = (measured.sketch.as_ref().expect("asked for"), sum.numbers[(sum.numbers.len() - 1) / 2]);
            let low = 0.5 * (sum.numbers.len() - 1) as f64 - 0.5;
            let found = sketch.quantile((low.max(0.0)) / (sum.numbers.len() as f64 - 1.0).max(1.0)).expect("numbers");
            prop_assert!(sum.numbers.iter().any(|n| (found - n).abs() <= n.abs() * 0.0101 + 1e-12), "{} {}", found, middle);
        }
    }

    #[test]
    fn facets_of_any_field_say_what_counting_says(
        steps in steps(),
        query in queries(),
        fields in proptest::sample::subsequence(KEYS.to_vec(), 1..=3),
    ) {
        let world = world(steps);
        let mut request = request(&query.text(), None);
        request.fields = fields.iter().map(ToString::to_string).collect();
        let answer = facets(&world.store, &request, "n1").facets;
        for field in fields {
            let mut expected: BTreeMap<String, u64> = BTreeMap::new();
            for (info, record) in world.all.iter().filter(|(_, record)| (2..19).contains(&record.time)) {
                if query.grep(info, record) && let Some(value) = naive_key(field, info, record) {
                    *expected.entry(value).or_default() += 1;
                }
            }
            let found: BTreeMap<_, _> = answer[field].iter().map(|v| (v.value.clone(), v.count)).collect();
            prop_assert_eq!(found, expected, "{} of {}", field, query.text());
        }
    }
}

fn names(world: &World) -> crate::wire::FacetsAnswer {
    let mut request = Request::new(&NodeRequest::default(), Duration::from_secs(60)).expect("a query");
    request.names = true;
    facets(&world.store, &request, "n1")
}

#[test]
fn the_names_of_fields_are_told() {
    let world = world(vec![
        append(0, 0, r#"{"a":1,"b":{"c":"x","d":null},"e":[1]}"#.into()),
        append(1, 1, "took=5ms a=2 and words".into()),
    ]);
    let answer = names(&world);
    let found: BTreeMap<_, _> = answer.facets["field"].iter().map(|v| (v.value.as_str(), v.count)).collect();
    let expected = [("a", 2), ("app", 1), ("b.c", 1), ("e", 1), ("tier", 1), ("took", 1)];
    assert_eq!(found, expected.into());
    assert_eq!(answer.partial, []);
}

#[test]
fn the_names_of_labels_are_told_by_themselves() {
    let world = world(vec![append(0, 0, "a".into()), append(1, 1, "b".into()), append(0, 2, "c".into())]);
    // With the level records are looked at, alone it is told by their streams.
    for fields in [&[LABEL_NAMES][..], &["level", LABEL_NAMES]] {
        let mut request = Request::new(&NodeRequest::default(), Duration::from_secs(60)).expect("a query");
        request.fields = fields.iter().map(ToString::to_string).collect();
        let answer = facets(&world.store, &request, "n1").facets;
        let found: Vec<_> = answer[LABEL_NAMES].iter().map(|v| (v.value.as_str(), v.count)).collect();
        assert_eq!(found, [("app", 2), ("tier", 2)], "{fields:?}");
    }
}

#[test]
fn abuse_34_ten_thousand_field_names_are_capped_and_the_offender_is_named() {
    let body = |at: u64| {
        let fields: Vec<String> = (0..100).map(|field| format!("\"f{}\":1", at * 100 + field)).collect();
        format!("{{{}}}", fields.join(","))
    };
    let steps = (0..100).map(|at| append(1, at, body(at).into()));
    let world = world([append(0, 0, "a=1".into())].into_iter().chain(steps).collect());
    let answer = names(&world);
    assert_eq!(answer.facets["field"].len(), 1000);
    assert_eq!(answer.partial.len(), 1);
    assert!(answer.partial[0].error.contains("`app` of Pod `ops/web-1`"), "{}", answer.partial[0].error);
    // Each record can still be found by any of its fields.
    let one = NodeRequest { query: "f9999:1".into(), ..NodeRequest::default() };
    let one = Request::new(&one, Duration::from_secs(60)).expect("a query");
    assert_eq!(search(&world.store, &one, 10, "n1").records.len(), 1);
}

#[test]
fn abuse_34_values_of_a_facet_are_capped_and_the_rest_is_counted() {
    let line = |at: u64| Bytes::from(format!("user=u{at}"));
    let world = world(
        (0..10_005)
            .map(|at| Step::Append { stream: 0, time: 2, level: 3, stderr: false, body: line(at).to_vec() })
            .collect(),
    );
    let mut request = request("*", None);
    request.fields = vec!["user".into()];
    let answer = facets(&world.store, &request, "n1");
    let others = FacetValue { value: "<others>".into(), count: 5, ..FacetValue::default() };
    assert_eq!(answer.facets["user"][0], others);
    assert_eq!(answer.facets["user"].len(), 1000);
}

#[test]
fn abuse_30_statistics_show_nothing_of_a_namespace_that_is_not_allowed() {
    let world = world(vec![
        append(0, 0, "status=200 seen=1".into()),
        append(1, 1, "status=500 secret=1".into()),
        Step::Commit,
        append(1, 2, "status=501 secret=1".into()),
    ]);
    let allowed = NodeRequest {
        since: Some(0),
        until: Some(100),
        namespaces: Some(vec!["shop".into()]),
        fields: vec!["status".into(), "ns".into()],
        names: true,
        ..NodeRequest::default()
    };
    let request = Request::new(&allowed, Duration::from_secs(60)).expect("a query");
    let want = NodeStatsRequest {
        by: vec!["ns".into()],
        field: Some("status".into()),
        step_ns: 100,
        origin: None,
        sketch: true,
    };
    let answer = super::super::stats(&world.store, &request, &want, "n1");
    assert_eq!((answer.series.len(), answer.series[0].group[0].as_deref()), (1, Some("shop")));
    assert_eq!(answer.series[0].cells[&0].measured.as_ref().map(|m| m.max), Some(200.0));
    let facets = serde_json::to_string(&facets(&world.store, &request, "n1")).expect("JSON");
    assert!(facets.contains("seen") && !facets.contains("secret") && !facets.contains("50"), "{facets}");
}
