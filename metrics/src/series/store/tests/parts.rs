//! Parts of an hour become hours, and those days; who asks meanwhile misses nothing.

use super::*;

fn files(folder: &std::path::Path) -> Vec<(i64, i64)> {
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        let name = entry.ok()?.file_name().into_string().ok()?;
        let (start, end) = name.strip_suffix(".parquet")?.split_once('-')?;
        let minute = |time: &str| Some((time.parse::<i64>().ok()? - START) / MINUTE);
        Some((minute(start)?, minute(end)?))
    };
    let all = std::fs::read_dir(folder.join("blocks")).expect("a folder");
    let mut all: Vec<_> = all.filter_map(name).collect();
    all.sort_unstable();
    all
}

#[tokio::test]
async fn parts_become_hours_and_hours_days() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(folder.path());
    let store = Store::recover(&config).expect("opened");
    let series = store.resolve(&up("a")).expect("made");
    let mut minute = 0;
    let mut until = |end: i64| {
        while minute < end {
            assert_eq!(store.append(&[number(series, START + minute * MINUTE, 1.0)]).taken, 1);
            minute += 1;
        }
        // Samples say how late it is.
        store.keep(&config, START, false).expect("written out");
        files(folder.path())
    };
    assert_eq!(until(25), []);
    assert_eq!(until(26), [(0, 15)]);
    assert_eq!(until(60), [(0, 15), (15, 30), (30, 45)]);
    assert_eq!(until(71), [(0, 60)]);
    assert_eq!(until(101), [(0, 60), (60, 75), (75, 90)]);
    assert_eq!(until(24 * 60 + 11), [(0, 24 * 60)]);
    let kept = store.head.oldest_since(i64::MIN);
    assert_eq!(kept, Some(START + 24 * HOUR), "what is written out has left memory");
    let times = all(&store, &[], 0..i64::MAX).await[0]
        .1
        .iter()
        .map(|(time, _)| (time - START) / MINUTE)
        .collect::<Vec<_>>();
    assert_eq!(times, (0..24 * 60 + 11).collect::<Vec<_>>());
    drop(store);
    let again = Store::recover(&config).expect("opened again");
    assert_eq!(all(&again, &[], 0..i64::MAX).await[0].1.len(), times.len());
}

#[tokio::test]
async fn who_asks_while_it_is_written_out_misses_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(folder.path());
    let store = Arc::new(Store::recover(&config).expect("opened"));
    let (newest, answers) = (Arc::new(AtomicI64::new(-1)), Arc::new(AtomicUsize::new(0)));
    let writing = {
        let (store, newest, answers) = (store.clone(), newest.clone(), answers.clone());
        tokio::task::spawn_blocking(move || {
            let labels: Vec<_> = (0..30).map(|n| up(&n.to_string())).collect();
            for minute in 0_i64..1500 {
                // On a busy machine who asks may have no turn for long. One that failed asks no more.
                let asked = minute.unsigned_abs() as usize / 100;
                while answers.load(Ordering::Acquire) < asked && Arc::strong_count(&answers) > 1 {
                    std::thread::sleep(Duration::from_millis(1));
                }
                let sample = |labels| {
                    number(store.resolve(labels).expect("made"), START + minute * MINUTE, minute as f64)
                };
                let samples: Vec<_> = labels.iter().map(sample).collect();
                assert_eq!(store.append(&samples).taken, 30);
                newest.store(minute, Ordering::Release);
                store.keep(&config, START, false).expect("written out");
            }
        })
    };
    while !writing.is_finished() {
        let there = newest.load(Ordering::Acquire);
        let found = all(&store, &[], 0..i64::MAX).await;
        let named = names(&store, &[], 0..i64::MAX).await.len();
        assert!(there < 0 || (found.len(), named) == (30, 30), "{} and {named} series", found.len());
        for (_, samples) in found {
            let times: Vec<_> = samples.iter().map(|(time, _)| (time - START) / MINUTE).collect();
            let last = *times.last().expect("samples");
            assert!(last >= there, "{last} where {there} was taken");
            assert_eq!(times, (0..=last).collect::<Vec<_>>());
        }
        answers.fetch_add(1, Ordering::Release);
    }
    writing.await.expect("written");
    assert!(answers.load(Ordering::Acquire) >= 14, "{answers:?} answers");
}

#[tokio::test]
async fn exemplars_stay_longer_than_samples_in_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(folder.path());
    let store = Store::recover(&config).expect("opened");
    let (told, ended) = (store.resolve(&up("a")).expect("made"), store.resolve(&up("b")).expect("made"));
    for series in [told, ended] {
        let exemplar = Exemplar { labels: Labels::new([("trace_id", "1")]), value: 1.0, time: START };
        store.append(&[number(series, START, 1.0)]);
        store.add_exemplar(series, exemplar);
    }
    let left_at = |minute: i64| {
        store.append(&[number(told, START + minute * MINUTE, 1.0)]);
        store.keep(&config, START, false).expect("written out");
        let of = store.exemplars(&[], 0..i64::MAX);
        of.into_iter().map(|(labels, _)| labels.get("instance").map(str::to_owned)).collect::<Vec<_>>()
    };
    assert_eq!(left_at(10), [Some("a".to_owned()), Some("b".to_owned())]);
    assert_eq!(left_at(100), [Some("a".to_owned())], "a series without samples is gone");
    assert_eq!(left_at(3 * 60), [Some("a".to_owned())]);
    assert!(left_at(4 * 60).is_empty(), "what was there three hours ago is written out by now");
}
