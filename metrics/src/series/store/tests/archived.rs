//! Days in an archive: answered as if they were here, whatever dies, is damaged or away meanwhile.

mod coarse;
mod killed;
mod misread;
mod others;
mod replaced;
mod s3;

// The same dying store as the logs' archive is tested on.
#[path = "../../../../../logging/src/archive/tests/failing.rs"]
mod failing;

use std::path::Path;

use tiphys_objects::Objects;

use super::{super::keeping::archive_round, *};
use crate::series::{ArchiveConfig, archive::ArchiveError};

const DAY: i64 = 24 * HOUR;
/// Three days are over.
const NOW: i64 = START + 3 * DAY + 2 * HOUR;

/// What is archived goes from here at once, and nothing goes from the archive.
pub fn archived(folder: &Path, objects: Objects) -> StoreConfig {
    let archive = ArchiveConfig {
        objects,
        local: Duration::ZERO,
        keep: Duration::from_secs(1000 * 365 * 24 * 3600),
        keep_bytes: u64::MAX,
        cache_bytes: 1 << 20,
        deadline: Duration::from_secs(60),
    };
    StoreConfig { archive: Some(archive), ..config(folder) }
}

pub fn in_folder(folder: &Path) -> Objects {
    Objects::in_folder(folder.join("archive")).expect("a folder")
}

/// One round of the archive.
pub async fn round(store: &Store, now: i64) -> Result<(), ArchiveError> {
    let (archive, blocks) = (store.archive.as_ref().expect("one"), store.blocks.as_ref().expect("on disk"));
    archive_round(archive, blocks, now).await
}

/// Two series for three days and a bit, and one that has only the second day.
fn fill(store: &Store) {
    let series = ["a", "b"].map(|name| store.resolve(&up(name)).expect("made"));
    let once = store.resolve(&Labels::new([(NAME, "once"), ("namespace", "shop")])).expect("made");
    for hour in 0..74 {
        let time = START + hour * HOUR + MINUTE;
        let mut samples: Vec<_> = series.iter().map(|series| number(*series, time, hour as f64)).collect();
        if (24..48).contains(&hour) {
            samples.push(number(once, time, 1.0));
        }
        assert_eq!(store.append(&samples).taken, samples.len() as u64);
    }
    store.keep(&config(Path::new("")), NOW, true).expect("written out");
}

/// All samples in a range, and what is said to be missing of them.
async fn told(store: &Store, range: std::ops::Range<i64>) -> (Vec<String>, Vec<String>) {
    let missing = Missing::default();
    let mut stream = store.stream(&[], range, Wanted::All, &missing).await.expect("an answer");
    let mut found = Vec::new();
    while let Some(batch) = futures::StreamExt::next(&mut stream).await {
        found.extend(batch.expect("an answer").map(|columns| {
            let SeriesData { labels, samples } = columns.expect("sound rows").into();
            (labels, samples)
        }));
    }
    (text(&found), missing.sentences())
}

fn days_here(folder: &Path) -> usize {
    let here = std::fs::read_dir(folder.join("blocks")).expect("a folder");
    here.filter(|entry| {
        let name = entry.as_ref().expect("listed").file_name().into_string().expect("a name");
        (0..3).any(|day| name == format!("{}-{}.parquet", START + day * DAY, START + (day + 1) * DAY))
    })
    .count()
}
