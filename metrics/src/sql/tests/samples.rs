//! The table `samples`: what conditions choose, and who sees what.

use std::{sync::Arc, time::Duration};

use tiphys_api::auth::UserInfo;
use tiphys_lifecycle::Tasks;

use super::{ByName, Engine, Format, SqlError};
use crate::{
    decisions::Decisions,
    series::{ArchiveConfig, Histogram, Labels, Limits, NAME, STALE, Sample, Store, StoreConfig, Value},
    sql::{Asker, SamplesTable},
};

const START: i64 = 1_700_000_000_000;

/// A counter of two namespaces and one of none, 20,000 samples each.
fn store() -> Arc<Store> {
    let store = Store::in_memory(Limits::default());
    for namespace in ["shop", "bank", ""] {
        let pairs = [(NAME, "requests_total"), ("namespace", namespace), ("pod", "web-1"), ("code", "200")];
        let series = store.resolve(&Labels::new(pairs)).expect("made");
        let number = |n: i64| Sample { series, time: START + n * 1000, value: Value::Number(n as f64) };
        store.append(&(0..20_000).map(number).collect::<Vec<_>>());
    }
    Arc::new(store)
}

async fn ask_as(user: &str, statement: &str) -> Result<String, SqlError> {
    ask_of(store(), user, statement).await
}

async fn ask_of(store: Arc<Store>, user: &str, statement: &str) -> Result<String, SqlError> {
    let folder = tempfile::tempdir().expect("a folder");
    let decisions = Decisions::open(folder.path().join("decisions"), &Tasks::new()).expect("opened");
    let engine = Engine::new(Arc::default(), decisions, vec![Arc::new(SamplesTable::new(store))])
        .with_default_range(None);
    let asker = Asker::new(UserInfo { name: user.into(), ..UserInfo::default() }, Arc::new(ByName));
    engine.answer(statement, Format::Csv, asker).await.map(|answer| answer.text)
}

#[tokio::test]
async fn all_rows_are_there_once() {
    let answer =
        ask_as("admin", "select count(*), sum(value), max(value) from samples").await.expect("an answer");
    assert_eq!(answer.lines().nth(1), Some("60000,599970000.0,19999.0"));
    let grouped =
        "select namespace, count(*) from samples where name = 'requests_total' group by 1 order by 1";
    let answer = ask_as("admin", grouped).await.expect("an answer");
    assert_eq!(answer.lines().skip(1).collect::<Vec<_>>(), ["bank,20000", "shop,20000", ",20000"]);
}

#[tokio::test]
async fn conditions_on_names_and_times_choose() {
    let statement = "select time, namespace, value, labels from samples where namespace in ('shop', 'other')
        and name like 'requests%' and time >= timestamp '2023-11-14 22:13:30' and time < timestamp '2023-11-14 22:13:32'";
    let answer = ask_as("admin", statement).await.expect("an answer");
    let labels = r#""{""code"":""200"",""namespace"":""shop"",""pod"":""web-1""}""#;
    let expected = [
        format!("2023-11-14T22:13:30Z,shop,10.0,{labels}"),
        format!("2023-11-14T22:13:31Z,shop,11.0,{labels}"),
    ];
    assert_eq!(answer.lines().skip(1).collect::<Vec<_>>(), expected);
    let none = ask_as("admin", "select * from samples where name = 'other'").await.expect("an answer");
    assert_eq!(none.lines().count(), 1, "{none}");
}

#[tokio::test]
async fn keys_of_labels_are_columns_for_conditions() {
    let table = [
        ("labels->>'code' = '200'", 60_000),
        ("labels->>'code' = '200' and labels->>'namespace' in ('shop', 'other')", 20_000),
        ("labels->>'namespace' like 'b%' or namespace = 'shop'", 40_000),
        ("labels#>>'{namespace}' ~ '^(bank|shop)$'", 40_000),
        ("labels->>'code' <> '404'", 60_000),
        ("labels->>'namespace' is null", 20_000),
        ("labels->>'namespace' = ''", 0),
        ("labels->>'code' = '404'", 0),
        ("labels->'code' = '200'", 0),
        // The name is no key of it.
        ("labels->>'__name__' = 'requests_total'", 0),
        ("name = labels->>'code'", 0),
    ];
    for (condition, rows) in table {
        let statement = format!("select count(*) from samples where {condition}");
        let answer = ask_as("admin", &statement).await.expect(condition);
        assert_eq!(answer.lines().nth(1), Some(rows.to_string().as_str()), "{condition}");
    }
}

#[tokio::test]
async fn rates_of_many_groups_over_many_batches() {
    // Each counter grows by one a second; minutes begin and end within batches.
    let of_series = "select time_bucket('1m', time) as minute, labels, labels->>'namespace' as namespace, \
        rate(value, time) as rate, increase(value, time) as grown, \
        last(value, time) - first(value, time) as far, count(*) as n \
        from samples where name = 'requests_total' group by 1, 2, 3";
    let statement = format!(
        "select namespace, count(*), min(rate), max(rate), sum(grown), sum(far), sum(n) \
         from ({of_series}) each_one group by 1 order by 1"
    );
    let answer = ask_as("admin", &statement).await.expect("an answer");
    // 20,000 samples from 22:13:20 on: 334 minutes, each of which lacks what is between it and the next.
    let row = |namespace: &str| format!("{namespace},334,1.0,1.0,19666.0,19666.0,20000");
    let expected = ["bank", "shop", ""].map(row);
    assert_eq!(answer.lines().skip(1).collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn groups_are_made_in_one_step() {
    let statement = "explain format indent select namespace, rate(value, time) from samples group by 1";
    let plan = ask_as("admin", statement).await.expect("a plan");
    assert!(plan.contains("mode=Single") && !plan.contains("RepartitionExec"), "{plan}");
}

fn histogram(sum: f64) -> Value {
    Value::Histogram(Arc::new(Histogram { count: 1.0, sum, ..Histogram::default() }))
}

/// Rows of an answer about series with these values, a second after the other.
async fn rows_about(all: &[(&str, Vec<Value>)], statement: &str) -> Vec<String> {
    let store = Store::in_memory(Limits::default());
    for (pod, values) in all {
        let series = store.resolve(&Labels::new([(NAME, "m"), ("pod", *pod)])).expect("made");
        let times = (0..).map(|second: i64| START + second * 1000);
        let samples = times.zip(values).map(|(time, value)| Sample { series, time, value: value.clone() });
        store.append(&samples.collect::<Vec<_>>());
    }
    let answer = ask_of(Arc::new(store), "admin", statement).await.expect("an answer");
    answer.lines().skip(1).map(str::to_owned).collect()
}

#[tokio::test]
async fn the_marker_of_an_end_is_no_row_and_what_is_no_number_is_one() {
    let number = Value::Number;
    let all = [
        ("ended", vec![number(3.0), number(7.0), number(STALE)]),
        ("gone", vec![number(STALE)]),
        ("histogram", vec![histogram(2.0), histogram(STALE), histogram(4.0), number(STALE)]),
        ("odd", vec![number(f64::NAN), number(1.0), number(STALE)]),
    ];
    let statement = "select pod, max(value), count(*), count(histogram) from samples \
        where pod <> 'odd' group by pod order by pod";
    assert_eq!(rows_about(&all, statement).await, ["ended,7.0,2,0", "histogram,4.0,2,2"]);
    let odd = "select value from samples where pod = 'odd' order by time";
    assert_eq!(rows_about(&all, odd).await, ["NaN", "1.0"]);
}

#[tokio::test]
async fn numbers_and_histograms_of_a_series_are_all_there() {
    // Batches end among the histograms.
    let values = [vec![Value::Number(1.0); 5000], vec![histogram(2.0); 20_000]].concat();
    let statement = "select count(*), count(distinct time), count(histogram), sum(value), \
        sum(value) filter (where histogram is not null) from samples";
    assert_eq!(rows_about(&[("web", values)], statement).await, ["25000,25000,20000,45000.0,40000.0"]);
}

#[tokio::test]
async fn abuse_29_series_of_other_namespaces_are_not_seen() {
    let counts = |user: &'static str| async move {
        let answer =
            ask_as(user, "select count(*), count(distinct namespace) from samples").await.expect("an answer");
        answer.lines().nth(1).map(str::to_owned)
    };
    assert_eq!(counts("shop").await.as_deref(), Some("20000,1"));
    assert_eq!(counts("nobody").await.as_deref(), Some("0,0"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_archive_that_is_away_has_is_said_to_be_missing() {
    let folder = tempfile::tempdir().expect("a folder");
    let tasks = Tasks::new();
    // Nobody listens there.
    let environment = [
        ("AWS_ACCESS_KEY_ID", "a"),
        ("AWS_SECRET_ACCESS_KEY", "b"),
        ("AWS_ENDPOINT", "http://127.0.0.1:1"),
        ("AWS_ALLOW_HTTP", "true"),
    ];
    let place: tiphys_objects::Location = "s3://series".parse().expect("a place");
    let objects = place.open_with(environment.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let archive = ArchiveConfig {
        objects: objects.expect("opened"),
        local: Duration::MAX,
        keep: Duration::MAX,
        keep_bytes: u64::MAX,
        cache_bytes: 0,
        deadline: Duration::from_millis(500),
    };
    let config = StoreConfig {
        folder: folder.path().join("series"),
        limits: Limits::default(),
        keep: Duration::MAX,
        keep_bytes: u64::MAX,
        downsampling: None,
        archive: Some(archive),
    };
    let store = Store::open(config, &tasks).expect("opened");
    let series = store.resolve(&Labels::new([(NAME, "up")])).expect("made");
    store.append(&[Sample { series, time: START, value: Value::Number(1.0) }]);
    let decisions = Decisions::open(folder.path().join("decisions"), &tasks).expect("opened");
    let engine = Engine::new(Arc::default(), decisions, vec![Arc::new(SamplesTable::new(store))]);
    let engine = engine.with_default_range(None);
    let asker = || Asker::new(UserInfo { name: "admin".into(), ..UserInfo::default() }, Arc::new(ByName));
    let all = engine.answer("select count(*) from samples", Format::Csv, asker()).await.expect("an answer");
    assert_eq!(all.text.lines().nth(1), Some("1"));
    assert!(all.notes.len() == 1 && all.notes[0].contains("the archive can't be reached"), "{:?}", all.notes);
    let statement = "select count(*) from samples where time >= timestamp '2023-11-14 22:13:20'";
    let recent = engine.answer(statement, Format::Csv, asker()).await.expect("an answer");
    assert_eq!((recent.text.lines().nth(1), recent.notes), (Some("1"), vec![]));
    tasks.shutdown(Duration::from_secs(120)).await;
}
