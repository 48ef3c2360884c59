//! What metrics asked for in the past: out of files and memory, each file read once for all.

use tiphys_api::decisions::MetricReading;

use super::*;

const FILE: i64 = 50;

/// What is asked for at a time: by `web` its own time from the begin, by `api` a hundred times that.
fn asking(time: i64, autoscaler: &str, proposals: &[Option<i32>]) -> Decision {
    let metric = |proposal: &Option<i32>| MetricReading { proposal: *proposal, ..MetricReading::default() };
    Decision {
        namespace: "shop".into(),
        autoscaler: autoscaler.into(),
        metrics: proposals.iter().map(metric).collect(),
        // A forecast would foretell itself.
        proposed_replicas: 9999,
        forecast: Some(9999),
        ..decision(time)
    }
}

/// Nine files of 50 rows, and as many rows in memory.
fn filled(folder: &std::path::Path, begin: i64) -> Keeper {
    let keeper = load(folder, FILE as usize, 9999);
    for at in 0..10 * FILE {
        let number = i32::try_from(at).expect("few");
        let row = match at % 2 {
            0 => asking(begin + at, "web", &[None, Some(number), Some(1)]),
            _ => asking(begin + at, "api", &[Some(number * 100)]),
        };
        keeper.decisions.record(row);
        if at % FILE == FILE - 1 && at < 9 * FILE {
            keeper.write().expect("written");
        }
    }
    keeper.settle().expect("sealed");
    keeper
}

#[test]
fn a_file_is_read_once_whoever_asks_for_what_times_of_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let begin = now();
    let keeper = filled(folder.path(), begin);
    let decisions = &keeper.decisions;
    assert_eq!(decisions.inner.read().sealed.len(), 9);
    let asked = |namespace: &str, name: &str, spans: &[Range<i64>]| {
        let spans: Vec<_> = spans.iter().map(|span| begin + span.start..begin + span.end).collect();
        decisions.asked(namespace, name, &spans)
    };
    // Two files, what is in none, and what is in memory; the end of a range isn't in it.
    let spans = [0..10, 60..61, 61..62, 5000..6000, 460..480];
    assert_eq!(asked("shop", "web", &spans), [Some(8), Some(60), None, None, Some(478)]);
    assert_eq!(read(decisions), 2);
    assert_eq!(asked("shop", "api", &spans), [Some(900), None, Some(6100), None, Some(47_900)]);
    assert_eq!(asked("bank", "web", &spans), [None; 5]);
    assert_eq!(asked("shop", "web", &[45..55, 0..0]), [Some(54), None]);
    assert_eq!(read(decisions), 2, "they were read before");
    assert_eq!(asked("shop", "web", &[0..450, 0..0]), [Some(448), None]);
    assert_eq!(read(decisions), 9);
}

#[test]
fn a_damaged_file_says_nothing_of_the_past_and_is_asked_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let begin = now();
    let keeper = filled(folder.path(), begin);
    let first = keeper.decisions.inner.read().sealed[0].path.clone();
    std::fs::write(&first, b"no file of decisions").expect("damaged");
    for _ in 0..2 {
        let asked = keeper.decisions.asked("shop", "web", &[begin..begin + 10, begin + 60..begin + 61]);
        assert_eq!(asked, [None, Some(60)]);
    }
    assert!(first.with_extension("damaged").exists());
    assert_eq!(read(&keeper.decisions), 2);
}
