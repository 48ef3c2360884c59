//! What the store tells of itself, and what it keeps of what is said of metrics.

use tiphys_telemetry::Component;

use super::*;

fn told(store: &Store, what: &str) -> Option<u64> {
    let component = Component::new("test");
    component.registry(|registry| store.counts().register(registry));
    let text = component.render();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("tiphys_metrics_store_{what} ")))?;
    line.parse().ok()
}

fn bytes_of(folder: &std::path::Path) -> u64 {
    let files = std::fs::read_dir(folder).expect("a folder");
    files.map(|file| file.expect("listed").metadata().expect("there").len()).sum()
}

#[tokio::test]
async fn it_tells_how_large_it_is_and_what_is_damaged() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(folder.path());
    let (blocks, log) = (folder.path().join("blocks"), folder.path().join("log"));
    let store = Store::recover(&config).expect("opened");
    for quarter in 0..2 {
        let series = store.resolve(&up("a")).expect("made");
        store.append(&[number(series, START + quarter * PART, 1.0)]);
    }
    store.flush_log().expect("flushed");
    store.measure();
    assert_eq!((told(&store, "series"), told(&store, "block_bytes")), (Some(1), Some(0)));
    assert!(bytes_of(&log) > 0 && told(&store, "log_bytes") == Some(bytes_of(&log)));
    store.keep(&config, START + PART + GRACE, true).expect("a quarter is written out");
    store.measure();
    assert!(bytes_of(&blocks) > 0 && told(&store, "block_bytes") == Some(bytes_of(&blocks)));
    assert_eq!(told(&store, "log_bytes"), Some(bytes_of(&log)));
    let losses = ["damaged_blocks", "damaged_segments", "unreadable", "unlogged_samples"];
    let lost = |store: &Store| losses.map(|what| told(store, &format!("{what}_total")));
    assert_eq!(lost(&store), [Some(0); 4]);
    drop(store);
    // A file that is none, and a segment that is torn though it is not the last.
    std::fs::write(blocks.join("1-2.parquet"), b"no block").expect("written");
    std::fs::write(log.join("00000000.log"), [9, 0, 0, 0, 1, 1, 1, 1, 7]).expect("written");
    std::fs::write(log.join("99999998.log"), []).expect("written");
    let store = Store::recover(&config).expect("opened again");
    assert_eq!(lost(&store), [Some(1), Some(1), Some(0), Some(0)]);
    assert!(told(&store, "block_bytes") > Some(0), "it is told before the first round, too");
}

#[tokio::test]
async fn what_is_said_of_a_metric_needs_its_series_and_goes_with_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(folder.path());
    let store = Store::recover(&config).expect("opened");
    let says = |metric: &str| {
        let meta = Meta { help: "Words.".to_owned(), ..Meta::default() };
        store.describe("shop", metric, meta);
    };
    let kept = || store.metadata().into_iter().map(|one| one.metric).collect::<Vec<_>>();
    says("up");
    assert!(kept().is_empty(), "there are no series of it");
    let series = store.resolve(&up("a")).expect("made");
    store.append(&[number(series, START, 1.0)]);
    says("up");
    says("other");
    store.describe_own("ours", Meta::default());
    assert_eq!(kept(), ["ours", "up"]);
    let (keep, now) = (Duration::from_secs(3600), jiff::Timestamp::now().as_millisecond());
    store.forget_descriptions(now + 2 * HOUR, keep);
    assert_eq!(kept(), ["ours", "up"], "the series is there");
    store.keep(&config, START + 3 * HOUR, true).expect("written out");
    store.forget_descriptions(now + 2 * HOUR, keep);
    assert_eq!(kept(), ["ours", "up"], "it was there lately");
    store.forget_descriptions(now + 4 * HOUR, keep);
    assert_eq!(kept(), ["ours"]);
}

#[test]
fn abuse_34_words_beyond_what_is_kept_are_counted() {
    let store = Store::in_memory(Limits { described: 2, ..Limits::default() });
    for metric in ["a", "b", "c", "d"] {
        store.describe("", metric, Meta::default());
    }
    store.describe("", &"x".repeat(5000), Meta::default());
    assert_eq!((store.metadata().len(), store.counts.words_refused.get()), (2, 2));
}
