//! The store gives back what it took: from memory, from the log after an end, from blocks of
//! a quarter, of hours and of days; and what is damaged takes nothing else with it.

mod archived;
mod coarse;
mod full;
mod killed;
mod large;
mod lost;
mod own;
mod parts;
mod slow;
mod told;

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::series::{Histogram, Matcher, Missing, NAME, Select, SeriesData, Value, Wanted, head::HOUR};

const MINUTE: i64 = 60_000;
/// A day's begin, so that days end where the tests expect it.
const START: i64 = 20_000 * 24 * HOUR;

fn config(folder: &std::path::Path) -> StoreConfig {
    StoreConfig {
        folder: folder.to_owned(),
        limits: Limits::default(),
        keep: Duration::from_secs(1000 * 365 * 24 * 3600),
        keep_bytes: u64::MAX,
        downsampling: None,
        archive: None,
    }
}

fn up(instance: &str) -> Labels {
    Labels::new([(NAME, "up"), ("instance", instance), ("namespace", "shop")])
}

fn number(series: SeriesId, time: i64, value: f64) -> Sample {
    Sample { series, time, value: Value::Number(value) }
}

async fn all(
    store: &Store,
    matchers: &[Matcher],
    range: std::ops::Range<i64>,
) -> Vec<(Labels, Vec<(i64, Value)>)> {
    store
        .all(matchers, range)
        .await
        .into_iter()
        .map(|SeriesData { labels, samples }| (labels, samples))
        .collect()
}

async fn names(store: &Store, matchers: &[Matcher], range: std::ops::Range<i64>) -> Vec<Labels> {
    store.series(matchers, range, &Missing::default()).await.expect("an answer")
}

#[tokio::test]
async fn what_is_appended_is_found_by_labels_and_time() {
    let store = Store::in_memory(Limits::default());
    let (a, b) = (store.resolve(&up("a")).expect("made"), store.resolve(&up("b")).expect("made"));
    assert_eq!(store.resolve(&up("a")), Ok(a));
    let appended =
        store.append(&[number(a, 1, 1.0), number(a, 2, 2.0), number(b, 2, 5.0), number(a, 1, 9.0)]);
    assert_eq!(appended, Appended { taken: 3, out_of_order: 1, ..Appended::default() });
    let again = store.append(&[number(a, 2, 2.0), number(a, 2, 3.0), number(a, i64::MAX, 3.0)]);
    assert_eq!(again, Appended { taken: 1, duplicate: 1, future: 1, ..Appended::default() });
    let of_up = [Matcher::equal(NAME, "up")];
    let expected = [(up("a"), vec![(2, Value::Number(2.0))]), (up("b"), vec![(2, Value::Number(5.0))])];
    assert_eq!(all(&store, &of_up, 2..3).await, expected);
    assert_eq!(names(&store, &[Matcher::equal("instance", "a")], 0..9).await, [up("a")]);
    assert!(names(&store, &of_up, 3..9).await.is_empty());
}

/// The last sample of each series.
async fn newest(store: &Store, range: std::ops::Range<i64>, wanted: Wanted) -> Vec<(Labels, (i64, Value))> {
    let found = store.asked(&[], range, wanted).await.into_iter();
    found.filter_map(|series| Some((series.labels, series.samples.last()?.clone()))).collect()
}

#[tokio::test]
async fn who_wants_the_newest_gets_the_last_of_all() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(folder.path());
    let store = Store::recover(&config).expect("opened");
    let named = ["a", "b", "c"].map(|name| store.resolve(&up(name)).expect("made"));
    let histogram = |sum: f64| Value::Histogram(Histogram { sum, ..Histogram::default() }.into());
    for step in 0..180 {
        let (time, value) = (START + step * 10_000, (step * 7 % 13) as f64);
        store.append(&[number(named[0], time, value)]);
        // One has no more after some time, one turns into histograms.
        if step < 120 {
            store.append(&[number(named[1], time + 3, value / 3.0)]);
        }
        let value = if step < 100 { Value::Number(value) } else { histogram(value) };
        store.append(&[Sample { series: named[2], time, value }]);
    }
    store.keep(&config, START + PART + GRACE, true).expect("the first quarter is a block");
    for end in (1..200).map(|step| START + step * 9_876) {
        let range = end - 5 * MINUTE..end;
        let last = newest(&store, range.clone(), Wanted::All).await;
        assert_eq!(newest(&store, range, Wanted::Newest).await, last);
        assert!(!last.is_empty());
    }
    let most = store.asked(&[], START..i64::MAX, Wanted::Newest).await;
    let of_a = most.iter().find(|series| series.labels == up("a")).expect("found");
    // What stands in the head beside the newest was left out.
    assert_eq!(of_a.samples.len(), (PART / 10_000) as usize + 1);
}

#[tokio::test]
async fn a_series_that_is_gone_is_resolved_again_under_another_id() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(folder.path());
    let store = Store::recover(&config).expect("opened");
    let old = store.resolve(&up("a")).expect("made");
    store.append(&[number(old, START, 1.0)]);
    store.keep(&config, START + 3 * HOUR, true).expect("written out");
    assert_eq!(store.series_count(), 0);
    let new = store.resolve(&up("a")).expect("made again");
    assert_ne!(old, new);
    let late =
        [number(old, START + 4 * HOUR, 1.0), number(new, START + 4 * HOUR, 2.0), number(new, START, 1.0)];
    let appended = store.append(&late);
    assert_eq!(appended, Appended { taken: 1, unknown: 1, out_of_order: 1, ..Appended::default() });
    assert_eq!(all(&store, &[], START..i64::MAX).await[0].1.len(), 2);
}

#[tokio::test]
async fn a_sample_whose_series_went_since_it_was_resolved_is_taken_where_its_labels_are_at_hand() {
    let store = Store::in_memory(Limits { series_of_namespace: 2, ..Limits::default() });
    let labels = [up("a"), up("b"), up("c")];
    let [a, b] = [0, 1].map(|at| store.resolve(&labels[at]).expect("made"));
    store.append(&[number(b, START, 1.0)]);
    // Nothing was in the first one, and the last one will find no room.
    store.drop_before(START);
    let all_of = [(a, START, 1.0), (b, START, 2.0), (a, START + 1, 2.0), (a, START, 3.0)];
    let mut samples = all_of.map(|(series, time, value)| number(series, time, value));
    let of_sample = |at: usize| &labels[[0, 1, 0, 2][at]];
    let mut untaken = Vec::new();
    let tell = |at: usize, why: Untaken| untaken.push((at, why));
    let appended = store.append_of(&mut samples, of_sample, Way::RemoteWrite, tell);
    assert_eq!(appended, Appended { taken: 2, duplicate: 1, unknown: 1, ..Appended::default() });
    assert_eq!(untaken, [(1, Untaken::Duplicate), (3, Untaken::Unknown)]);
    let expected = [(START, Value::Number(1.0)), (START + 1, Value::Number(2.0))];
    assert_eq!(all(&store, &[Matcher::equal("instance", "a")], 0..i64::MAX).await[0].1, expected);
}

#[tokio::test]
async fn series_that_were_taken_are_there_again_before_their_namespace_says_its_limit() {
    let folder = tempfile::tempdir().expect("a folder");
    let limits = Limits { series_of_namespace: 1, ..Limits::default() };
    let config = StoreConfig { limits, ..config(folder.path()) };
    let store = Store::recover(&config).expect("opened");
    store.limit_namespace("shop", Some(3));
    for instance in ["a", "b", "c"] {
        let series = store.resolve(&up(instance)).expect("made");
        store.append(&[number(series, START, 1.0)]);
    }
    store.flush_log().expect("flushed");
    drop(store);
    let store = Store::recover(&config).expect("opened again");
    assert_eq!((store.series_count(), all(&store, &[], START..i64::MAX).await.len()), (3, 3));
    // They count: one that was not there is refused.
    assert!(matches!(store.resolve(&up("d")), Err(Refused::NamespaceFull { limit: 1, .. })));
}

#[tokio::test]
async fn a_damaged_block_is_set_aside_and_the_rest_answers() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(folder.path());
    let store = Store::recover(&config).expect("opened");
    let series = store.resolve(&up("a")).expect("made");
    for hour in 0..3 {
        store.append(&[number(series, START + hour * HOUR, hour as f64)]);
    }
    store.keep(&config, START + 2 * HOUR + GRACE, true).expect("two hours are over");
    let blocks = folder.path().join("blocks");
    let first = blocks.join(format!("{START}-{}.parquet", START + PART));
    let mut bytes = std::fs::read(&first).expect("a block");
    // Behind the magic come the pages.
    bytes[40] ^= 0x55;
    std::fs::write(&first, &bytes).expect("damaged");
    let times = |found: Vec<(Labels, Vec<(i64, Value)>)>| -> Vec<i64> {
        found.iter().flat_map(|(_, samples)| samples).map(|(time, _)| (time - START) / HOUR).collect()
    };
    let store = Store::recover(&config).expect("opened again");
    // It is named, and the rest answers.
    let missing = Missing::default();
    let scan = store.scan(&[], &(START..i64::MAX), &missing).expect("begun");
    let found = scan.map(|series| SeriesData::from(series.expect("read")));
    assert_eq!(times(found.map(|one| (one.labels, one.samples)).collect()), [1, 2]);
    let sentences = missing.sentences();
    assert!(sentences.len() == 1 && sentences[0].contains("parquet is damaged"), "{sentences:?}");
    assert_eq!(times(all(&store, &[], START..i64::MAX).await), [1, 2]);
    assert!(first.with_extension("damaged").exists());
    std::fs::write(blocks.join("1-2.parquet"), b"no block").expect("written");
    std::fs::write(blocks.join("3-4.new"), b"half").expect("written");
    let store = Store::recover(&config).expect("opened again");
    assert_eq!(times(all(&store, &[], START..i64::MAX).await), [1, 2]);
    assert!(blocks.join("1-2.damaged").exists() && !blocks.join("3-4.new").exists());
}

#[test]
fn a_clock_that_leaps_years_is_not_followed_at_once() {
    let day = 24 * HOUR;
    let table = [
        (START, START, START),
        (START - HOUR, START - HOUR, START - HOUR),
        // Up to a day counts.
        (START + day, START, START + day),
        (START + day + 1, START, START),
        (START + 365 * day, START + MINUTE, START + MINUTE),
    ];
    for (now, late, believed) in table {
        assert_eq!(up_to(now, late), believed + FUTURE, "{now} {late}");
    }
}

#[test]
fn a_clock_that_leaps_years_makes_nothing_old() {
    let folder = tempfile::tempdir().expect("a folder");
    let keep = Duration::from_secs(15 * 24 * 3600);
    let config = StoreConfig { keep, ..config(folder.path()) };
    let store = Store::recover(&config).expect("opened");
    let series = store.resolve(&up("a")).expect("made");
    let days = [0, 1, 2].map(|day| START + day * 24 * HOUR);
    store.append(&days.map(|day| number(series, day, 1.0)));
    store.keep(&config, days[2] + 2 * HOUR, true).expect("written out");
    drop(store);
    // The clock tells years more than what was written last.
    let store = Store::recover(&config).expect("opened again");
    let blocks = store.blocks.as_ref().expect("on disk");
    let count = || blocks.meeting(&(i64::MIN..i64::MAX)).0.len();
    let now = jiff::Timestamp::now().as_millisecond();
    let late = store.going(now);
    assert!((days[2]..days[2] + HOUR).contains(&late) && now > late + 365 * 24 * HOUR, "{late}");
    store.keep(&config, late, true).expect("kept");
    assert_eq!(count(), 3);
    // When it has stood, it counts.
    store.keep(&config, now, true).expect("kept");
    assert_eq!(count(), 0);
}

#[tokio::test]
async fn what_is_too_old_or_too_much_goes() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(folder.path());
    let store = Store::recover(&config).expect("opened");
    let series = store.resolve(&up("a")).expect("made");
    let days = [0, 1, 2].map(|day| START + day * 24 * HOUR);
    store.append(&days.map(|day| number(series, day, 1.0)));
    let now = days[2] + 2 * HOUR;
    store.keep(&config, now, true).expect("written out");
    let blocks = store.blocks.as_ref().expect("on disk");
    let count = || blocks.meeting(&(i64::MIN..i64::MAX)).0.len();
    assert_eq!(count(), 3);
    let short = StoreConfig { keep: Duration::from_secs(30 * 3600), ..config.clone() };
    store.keep(&short, now, true).expect("cleared");
    assert_eq!(count(), 2);
    let small = StoreConfig { keep_bytes: blocks.size() - 1, ..config };
    store.keep(&small, now, true).expect("cleared");
    assert_eq!(all(&store, &[], 0..i64::MAX).await[0].1, [(days[2], Value::Number(1.0))]);
}

/// One thing that happens to a store.
#[derive(Debug, Clone)]
enum Event {
    /// The clock goes on so many minutes; some series get a sample.
    Samples(i64, Vec<(u8, f64)>),
    /// Native histograms of a series.
    Histogram(u8),
    /// The keeper's round.
    Keep,
    /// The archive's round; what it has is here no more.
    Archive,
    /// The process ends with its log flushed, and begins again.
    Restart,
}

fn event() -> impl Strategy<Value = Event> {
    let value = prop_oneof![(0i64..50).prop_map(|n| n as f64), (0u32..500).prop_map(|n| f64::from(n) / 8.0)];
    let value = prop_oneof![8 => value, 1 => any::<u64>().prop_map(f64::from_bits)];
    prop_oneof![
        12 => (1i64..90, prop::collection::vec((0u8..5, value), 1..5)).prop_map(|(step, samples)| Event::Samples(step, samples)),
        2 => (0u8..5).prop_map(Event::Histogram),
        3 => Just(Event::Keep),
        2 => Just(Event::Archive),
        1 => Just(Event::Restart),
    ]
}

fn text(found: &[(Labels, Vec<(i64, Value)>)]) -> Vec<String> {
    // NaNs are equal by their bits only.
    let value = |value: &Value| match value {
        Value::Number(number) => format!("{:x}", number.to_bits()),
        Value::Histogram(histogram) => format!("{histogram:?}"),
    };
    let line = |labels: &Labels, time: &i64, one: &Value| format!("{labels} {} {}", time - START, value(one));
    found
        .iter()
        .flat_map(|(labels, samples)| samples.iter().map(move |(time, one)| line(labels, time, one)))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn it_gives_back_what_it_took(events in prop::collection::vec(event(), 1..120), from in 0i64..3000, length in 1i64..3000) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("threads");
        let _inside = runtime.enter();
        let folder = tempfile::tempdir().expect("a folder");
        let config = archived::archived(folder.path(), archived::in_folder(folder.path()));
        let mut store = Store::recover(&config).expect("opened");
        let mut taken: BTreeMap<Labels, Vec<(i64, Value)>> = BTreeMap::new();
        let mut now = START;
        for event in events {
            let mut put = |store: &Store, series: u8, time: i64, value: Value| {
                let labels = up(&series.to_string());
                let id = store.resolve(&labels).expect("made");
                if store.append(&[Sample { series: id, time, value: value.clone() }]).taken == 1 {
                    let samples = taken.entry(labels).or_default();
                    if samples.last().is_none_or(|last| last.0 < time) {
                        samples.push((time, value));
                    }
                }
            };
            match event {
                Event::Samples(step, samples) => {
                    now += step * MINUTE;
                    samples.into_iter().for_each(|(series, value)| put(&store, series, now, Value::Number(value)));
                }
                Event::Histogram(series) => {
                    now += MINUTE;
                    let histogram = Histogram { count: now as f64, ..Histogram::default() };
                    put(&store, series, now, Value::Histogram(Arc::new(histogram)));
                }
                Event::Keep => store.keep(&config, now, true).expect("kept"),
                Event::Archive => runtime.block_on(archived::round(&store, now)).expect("archived"),
                Event::Restart => {
                    store.flush_log().expect("flushed");
                    store = Store::recover(&config).expect("opened again");
                }
            }
        }
        // After a restart it is not known yet what is archived.
        runtime.block_on(archived::round(&store, now)).expect("archived");
        let taken: Vec<_> = taken.into_iter().collect();
        let found = runtime.block_on(all(&store, &[Matcher::equal(NAME, "up")], 0..i64::MAX));
        prop_assert_eq!(text(&found), text(&taken));
        let range = START + from * MINUTE..START + (from + length) * MINUTE;
        let one = [Matcher::equal("instance", "3")];
        let within: Vec<_> = taken.into_iter().filter(|(labels, _)| labels.get("instance") == Some("3"))
            .map(|(labels, samples)| (labels, samples.into_iter().filter(|(time, _)| range.contains(time)).collect::<Vec<_>>()))
            .filter(|(_, samples)| !samples.is_empty()).collect();
        prop_assert_eq!(text(&runtime.block_on(all(&store, &one, range.clone()))), text(&within));
        let series = runtime.block_on(names(&store, &one, range));
        prop_assert!(within.iter().all(|(labels, _)| series.contains(labels)));
        prop_assert!(series.iter().all(|labels| labels.get("instance") == Some("3")));
    }
}

#[tokio::test]
async fn what_hosts_say_takes_few_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(folder.path());
    let store = Store::recover(&config).expect("opened");
    let mut seed = 7u64;
    let mut random = move || {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        seed >> 33
    };
    let series: Vec<_> = (0..400)
        .map(|host| {
            store
                .resolve(&Labels::new([(NAME, "cpu_user".to_owned()), ("host", format!("host_{host}"))]))
                .expect("made")
        })
        .collect();
    let mut values = vec![50i64; series.len()];
    for step in 0..1440 {
        let samples: Vec<_> = series
            .iter()
            .zip(&mut values)
            .map(|(series, value)| {
                *value = (*value + (random() % 5) as i64 - 2).clamp(0, 100);
                number(*series, START + step * 10_000, *value as f64)
            })
            .collect();
        assert_eq!(store.append(&samples).taken, 400);
        store.keep(&config, START, false).expect("written out");
        if step == 599 {
            // Twenty-five minutes, which is the most: 128 bytes at most of the series itself, 106 at most of the
            // quarter that is over (90 samples), 64 of the one that isn't (60). None of them is by chance.
            assert!(store.head_size() / 400 < 320, "{} bytes a series", store.head_size() / 400);
        }
    }
    store.keep(&config, START + 5 * HOUR, true).expect("written out");
    store.flush_log().expect("flushed");
    let size = store.disk_size();
    let each = size as f64 / (400.0 * 1440.0);
    // Five steps of equal chance are 0.29 bytes.
    assert!(each < 0.45, "{each} bytes a sample");
}
