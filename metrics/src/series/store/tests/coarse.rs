//! Days that are old are made coarser: they answer as the samples that stay do, are seen at the same
//! moments as before, and a damaged one is set aside.

mod killed;

use std::path::Path;

use super::*;
use crate::{
    promql::{self, Grid, Outcome},
    series::{
        Downsampling, STALE,
        downsample::tests::{grown, series, thinned_naively},
        is_stale,
    },
};

pub const DAY: i64 = 24 * HOUR;
const STEP: i64 = 5 * MINUTE;

/// Five minutes after a week.
pub fn after_a_week() -> Option<Downsampling> {
    let (week, step) = (Duration::from_secs(7 * 24 * 3600), Duration::from_secs(300));
    Some(Downsampling::new(week, step).expect("a step"))
}

fn coarse(folder: &Path) -> StoreConfig {
    StoreConfig { downsampling: after_a_week(), ..config(folder) }
}

/// The resolutions of the blocks, oldest first.
fn resolutions(store: &Store) -> Vec<i64> {
    let (blocks, _) = store.blocks.as_ref().expect("on disk").meeting(&(i64::MIN..i64::MAX));
    blocks.iter().map(|block| block.resolution).collect()
}

fn file(folder: &Path, day: i64) -> std::path::PathBuf {
    folder.join("blocks").join(format!("{}-{}.parquet", START + day * DAY, START + (day + 1) * DAY))
}

/// A sample each minute of three days and an hour.
fn minutes(folder: &Path) -> (StoreConfig, Store) {
    let config = coarse(folder);
    let store = Store::recover(&config).expect("opened");
    let series = store.resolve(&up("a")).expect("made");
    let until = 3 * DAY + HOUR;
    // Values that are not packed to nothing.
    let value = |minute: i64| (minute * 7919 % 10_007) as f64;
    let samples: Vec<_> =
        (0..until / MINUTE).map(|minute| number(series, START + minute * MINUTE, value(minute))).collect();
    assert_eq!(store.append(&samples).taken, samples.len() as u64);
    store.keep(&config, START + until, true).expect("written out");
    (config, store)
}

/// The minutes of the samples within a day.
async fn of_day(store: &Store, day: i64) -> Vec<i64> {
    let found = all(store, &[], START + day * DAY..START + (day + 1) * DAY).await;
    found.iter().flat_map(|(_, samples)| samples).map(|(time, _)| (time - START) / MINUTE).collect()
}

#[tokio::test]
async fn a_day_is_made_coarser_when_it_is_old() {
    let folder = tempfile::tempdir().expect("a folder");
    let (config, store) = minutes(folder.path());
    let (size, old) = (store.disk_size(), START + 8 * DAY);
    assert!(!store.make_coarser(&config, old - 1).expect("looked"));
    let never = StoreConfig { downsampling: None, ..config.clone() };
    assert!(!store.make_coarser(&never, old).expect("looked"));
    assert_eq!(of_day(&store, 0).await.len(), 1440);
    assert!(store.make_coarser(&config, old).expect("made"));
    assert!(!store.make_coarser(&config, old).expect("looked"), "once is enough");
    let left: Vec<_> = (0..1440).filter(|minute| minute % 5 == 0 || *minute == 1439).collect();
    let check = async |store: &Store| {
        assert_eq!(resolutions(store)[..3], [STEP, 0, 0]);
        assert_eq!(of_day(store, 0).await, left);
        assert_eq!(of_day(store, 1).await, (1440..2880).collect::<Vec<_>>());
    };
    check(&store).await;
    assert!(store.disk_size() < size);
    drop(store);
    let store = Store::recover(&config).expect("opened again");
    check(&store).await;
    // The day that isn't over is left alone, however old it is.
    for _ in 0..2 {
        assert!(store.make_coarser(&config, old + 100 * DAY).expect("made"));
    }
    assert!(!store.make_coarser(&config, old + 100 * DAY).expect("looked"));
    assert_eq!(resolutions(&store)[..3], [STEP; 3]);
    assert!(resolutions(&store)[3..].iter().all(|resolution| *resolution == 0));
}

/// Changes a byte of a page.
fn damage(path: &Path) {
    let mut bytes = std::fs::read(path).expect("a block");
    bytes[40] ^= 0x55;
    std::fs::write(path, &bytes).expect("damaged");
}

#[tokio::test]
async fn a_damaged_day_is_set_aside_coarse_or_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let (config, store) = minutes(folder.path());
    let old = START + 100 * DAY;
    assert!(store.make_coarser(&config, old).expect("made"));
    drop(store);
    [0, 1].iter().for_each(|day| damage(&file(folder.path(), *day)));
    let store = Store::recover(&config).expect("opened again");
    assert_eq!(resolutions(&store)[..3], [STEP, 0, 0]);
    // The one that was to be made coarser is not there any more, and nothing of it is half written.
    let error = store.make_coarser(&config, old).expect_err("it is damaged");
    assert!(matches!(error, StoreError::Block(BlockError::Damaged { .. })), "{error}");
    assert!(file(folder.path(), 1).with_extension("damaged").exists());
    assert!(!file(folder.path(), 1).with_extension("new").exists());
    // The coarse one is found damaged by who asks, and told of.
    let missing = Missing::default();
    let scan = store.scan(&[], &(START..i64::MAX), &missing).expect("begun");
    let first = scan.map(|series| series.expect("read").times[0]).min();
    assert_eq!(first, Some(START + 2 * DAY));
    let sentences = missing.sentences();
    assert!(sentences.len() == 1 && sentences[0].contains("parquet is damaged"), "{sentences:?}");
    assert!(file(folder.path(), 0).with_extension("damaged").exists());
    // The others go on.
    assert!(store.make_coarser(&config, old).expect("made"));
    assert_eq!(of_day(&store, 2).await.len(), 289);
}

fn labels(number: usize, metric: &str) -> Labels {
    Labels::new([(NAME, metric), ("n", &number.to_string())])
}

/// A series.
type Made = (Labels, Vec<(i64, f64)>);

fn append(store: &Store, all: &[Made]) {
    for (labels, samples) in all {
        let id = store.resolve(labels).expect("made");
        let samples: Vec<_> = samples.iter().map(|(time, value)| number(id, *time, *value)).collect();
        assert_eq!(store.append(&samples).taken, samples.len() as u64);
    }
}

/// A store that has them in memory.
fn plain(all: &[Made]) -> Store {
    let store = Store::in_memory(Limits::default());
    append(&store, all);
    store
}

/// A store that has them in a block of an old day.
fn made_coarser(folder: &Path, all: &[Made]) -> Store {
    let config = coarse(folder);
    let store = Store::recover(&config).expect("opened");
    append(&store, all);
    let later = store.resolve(&up("later")).expect("made");
    assert_eq!(store.append(&[number(later, START + DAY + HOUR, 1.0)]).taken, 1);
    store.keep(&config, START + DAY + 2 * HOUR, true).expect("written out");
    assert!(store.make_coarser(&config, START + 8 * DAY).expect("made"));
    store
}

const SELECTED: &str = "{__name__=~\"m|m_total\"}";
const QUERIES: [&str; 9] = [
    "SELECTED",
    "timestamp(SELECTED)",
    "sum(SELECTED)",
    "count_over_time(SELECTED[10m])",
    "max_over_time(SELECTED[1h])",
    "resets(SELECTED[1h])",
    "rate(SELECTED[15m])",
    "increase(SELECTED[3h])",
    "last_over_time(SELECTED[7m])",
];

/// The values of each series over a grid.
async fn answered(store: &Store, query: &str, grid: Grid) -> Vec<(Labels, Vec<f64>)> {
    let query = query.replace("SELECTED", SELECTED);
    let answer = promql::range(store, &query, grid, &promql::Limits::default()).await.expect("an answer");
    match answer.outcome {
        Outcome::Matrix(_, columns) => {
            columns.into_iter().map(|column| (column.labels, column.numbers)).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn bits(found: &[(Labels, Vec<f64>)]) -> Vec<(Labels, Vec<u64>)> {
    let of = |numbers: &Vec<f64>| numbers.iter().map(|number| number.to_bits()).collect();
    found.iter().map(|(labels, numbers)| (labels.clone(), of(numbers))).collect()
}

/// At which steps there is a value.
fn seen(found: &[(Labels, Vec<f64>)]) -> Vec<(Labels, Vec<bool>)> {
    let of = |numbers: &Vec<f64>| numbers.iter().map(|number| !is_stale(*number)).collect();
    found.iter().map(|(labels, numbers)| (labels.clone(), of(numbers))).collect()
}

/// By how much the growth over a day that is told may differ: what is guessed between the ends of
/// the day and the first and the last sample. Absent: there are no two samples.
fn bound(samples: &[(i64, f64)], day: &std::ops::Range<i64>) -> Option<f64> {
    let numbers = samples.iter().filter(|(_, value)| !is_stale(*value));
    let times: Vec<_> = numbers.map(|(time, _)| *time).collect();
    let ([first, .., last], grown) = (times.as_slice(), grown(samples)) else { return None };
    let beyond = (first - day.start + day.end - last) as f64;
    Some(grown * beyond / (last - first) as f64 + 1e-9 * grown)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_coarse_day_answers_as_its_samples_do(all in prop::collection::vec((series(), any::<bool>()), 1..5),
            step in 20_000i64..10 * MINUTE) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("threads");
        let _inside = runtime.enter();
        let folder = tempfile::tempdir().expect("a folder");
        let made = |(place, (samples, is_counter)): (usize, (Vec<(i64, f64)>, bool))| {
            let within = samples.into_iter().filter(|(time, _)| *time < DAY);
            let moved = within.map(|(time, value)| (START + time, value)).collect::<Vec<_>>();
            (labels(place, if is_counter { "m_total" } else { "m" }), moved)
        };
        let raw: Vec<Made> = all.into_iter().enumerate().map(made).collect();
        let naive = |(labels, samples): &Made| (labels.clone(), thinned_naively(labels.name(), samples, STEP));
        let thinned: Vec<Made> = raw.iter().map(naive).collect();
        let (coarse, of_raw, of_thinned) = (made_coarser(folder.path(), &raw), plain(&raw), plain(&thinned));
        let grid = Grid::range(START - MINUTE, START + DAY - 1, step);
        for query in QUERIES {
            let ask = |store| runtime.block_on(answered(store, query, grid));
            let found = ask(&coarse);
            prop_assert_eq!(bits(&found), bits(&ask(&of_thinned)), "{}", query);
            if query == "SELECTED" {
                prop_assert_eq!(seen(&found), seen(&ask(&of_raw)));
            }
        }
        // Over the whole day a counter grew by what it grew by.
        let day = START - 1..START + DAY - 1;
        let ask = |store| runtime.block_on(answered(store, "increase(SELECTED[1d])", Grid::instant(day.end)));
        let (found, expected) = (ask(&coarse), ask(&of_raw));
        let value = |of: &[(Labels, Vec<f64>)], place: usize| {
            let place = place.to_string();
            let own = of.iter().find(|(labels, _)| labels.get("n") == Some(place.as_str()));
            own.map(|(_, numbers)| numbers[0]).filter(|number| !is_stale(*number))
        };
        for (place, (labels, samples)) in raw.iter().enumerate() {
            if labels.name() != "m_total" {
                continue;
            }
            let (found, expected) = (value(&found, place), value(&expected, place));
            let bound = bound(samples, &day);
            prop_assert_eq!((found.is_some(), expected.is_some()), (bound.is_some(), bound.is_some()));
            if let (Some(found), Some(expected), Some(bound)) = (found, expected, bound) {
                prop_assert!((found - expected).abs() <= bound, "{} is not {} by {}", found, expected, bound);
            }
        }
    }
}

#[tokio::test]
async fn a_series_that_ended_is_not_seen_until_it_begins_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let minute = |minute: i64, value| (START + minute * MINUTE, value);
    let samples = vec![minute(1, 1.0), minute(2, 2.0), minute(3, STALE), minute(4, 3.0)];
    let store = made_coarser(folder.path(), &[(labels(0, "m"), samples)]);
    let grid = Grid::range(START, START + 6 * MINUTE, MINUTE);
    let found = answered(&store, "SELECTED", grid).await;
    let expected = [false, true, true, false, true, true, true];
    assert_eq!(seen(&found), [(labels(0, "m"), expected.to_vec())]);
}
