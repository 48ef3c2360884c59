//! A process that is killed while it makes days coarser leaves each of them as it came or
//! coarse, and whole.

use super::*;
use crate::{append::tests::child, series::block::Writer};

const NAME_OF_TEST: &str =
    "series::store::tests::coarse::killed::a_process_killed_while_it_makes_days_coarser_loses_none";
const SERIES: usize = 5;
const KILLS: usize = 4;
/// What a process makes coarser at most, however late it is killed on a busy machine.
const MOST: usize = 4;
/// More than are made coarser by all of them.
const DAYS: i64 = (KILLS * MOST) as i64 + 2;
/// Of the samples.
const EACH: i64 = 15_000;
const LATE: i64 = START + 1000 * DAY;

/// Days of samples each 15 s, and an hour of a day that isn't over.
fn write(folder: &Path) {
    let blocks = folder.join("blocks");
    std::fs::create_dir_all(&blocks).expect("made");
    let ranges = (0..DAYS).map(|day| START + day * DAY..START + (day + 1) * DAY);
    for range in ranges.chain(std::iter::once(START + DAYS * DAY..START + DAYS * DAY + HOUR)) {
        let mut writer = Writer::begin(&blocks, &range).expect("begun");
        let numbers: Vec<_> =
            (range.start..range.end).step_by(EACH as usize).map(|time| (time, (time % 977) as f64)).collect();
        for name in 0..SERIES {
            writer.add(&up(&name.to_string()), &numbers, &[]).expect("written");
        }
        writer.finish().expect("finished");
    }
}

/// Makes days coarser, says how many there are, and waits to be killed.
fn make_some(folder: &Path) {
    let config = coarse(folder);
    let store = Store::recover(&config).expect("opened");
    for _ in 0..MOST {
        assert!(store.make_coarser(&config, LATE).expect("made"), "there are more");
        child::say(coarse_days(&store));
    }
    loop {
        std::thread::park();
    }
}

fn coarse_days(store: &Store) -> i64 {
    resolutions(store).iter().filter(|resolution| **resolution == STEP).count() as i64
}

#[test]
fn a_process_killed_while_it_makes_days_coarser_loses_none() {
    if let Some(folder) = child::folder() {
        return make_some(&folder);
    }
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path());
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("threads");
    for _ in 0..KILLS {
        let said = child::killed(NAME_OF_TEST, folder.path(), |said| said.len() > 1);
        let store = Store::recover(&coarse(folder.path())).expect("opened");
        assert!(coarse_days(&store) >= said.last(), "what was made is there");
        assert_eq!(resolutions(&store).len() as i64, DAYS + 1, "no day is gone");
        let left = std::fs::read_dir(folder.path().join("blocks")).expect("a folder");
        let mut names = left.map(|entry| entry.expect("listed").file_name().into_string().expect("a name"));
        assert!(names.all(|name| name.ends_with(".parquet")), "nothing half made is left");
        for (day, resolution) in (0..DAYS).zip(resolutions(&store)) {
            let range = START + day * DAY..START + (day + 1) * DAY;
            let step = if resolution == STEP { STEP } else { EACH };
            let mut expected: Vec<_> = range.clone().step_by(step as usize).collect();
            if resolution == STEP {
                expected.push(range.end - EACH);
            }
            let found = runtime.block_on(all(&store, &[], range));
            assert_eq!(found.len(), SERIES);
            for (_, samples) in found {
                let times: Vec<_> = samples.iter().map(|(time, _)| *time).collect();
                assert!(times == expected, "day {day} has {} samples, not {}", times.len(), expected.len());
            }
        }
    }
}
