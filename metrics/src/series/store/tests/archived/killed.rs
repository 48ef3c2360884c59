//! A process that is killed while it copies a block to a real S3 server leaves nothing that counts.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Instant,
};

use tiphys_objects::Location;
use tiphys_tests::s3::S3Server;

use super::*;
use crate::{append::tests::child, series::block::Writer};

const NAME_OF_TEST: &str =
    "series::store::tests::archived::killed::a_process_killed_while_it_copies_leaves_nothing_that_counts";
const SERIES: usize = 60;
/// Of a day, so many that the block is sent in several pieces.
const STEPS: i64 = 24_000;
const STEP: i64 = DAY / STEPS;

fn place(environment: impl IntoIterator<Item = (String, String)>) -> Objects {
    let place: Location = "s3://series".parse().expect("a place");
    place.open_with(environment).expect("opened")
}

/// A block of numbers that no packing makes smaller, and an hour behind it.
fn write(folder: &Path) {
    std::fs::create_dir_all(folder.join("blocks")).expect("made");
    let mut seed = 7u64;
    let mut labels: Vec<_> = (0..SERIES).map(|name| up(&name.to_string())).collect();
    labels.sort();
    let range = START..START + DAY;
    let mut writer = Writer::begin(&folder.join("blocks"), &range).expect("begun");
    for labels in &labels {
        let mut random = || {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            f64::from_bits(seed >> 12 | 0x3ff0_0000_0000_0000)
        };
        let numbers: Vec<_> = (0..STEPS).map(|step| (START + step * STEP, random())).collect();
        writer.add(labels, &numbers, &[]).expect("written");
    }
    writer.finish().expect("finished");
    let mut writer =
        Writer::begin(&folder.join("blocks"), &(START + DAY..START + DAY + HOUR)).expect("begun");
    writer.add(&labels[0], &[(START + DAY, 1.0)], &[]).expect("written");
    writer.finish().expect("finished");
}

/// Copies until it is killed.
fn copy(folder: &Path) {
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    runtime.block_on(async {
        let environment = std::env::vars().filter(|(name, _)| name.starts_with("AWS_"));
        let store = Store::recover(&archived(folder, place(environment))).expect("opened");
        round(&store, NOW).await.expect("archived");
    });
}

/// Whether a folder has a file of this size.
fn has(folder: &Path, least: u64) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| match entry.metadata() {
        Ok(found) if found.is_dir() => has(&entry.path(), least),
        Ok(found) => found.len() >= least,
        Err(_) => false,
    })
}

/// A folder with these blocks, and the one that a process copied when it was killed.
fn kill_halfway(s3: &S3Server, made: &Path) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let blocks = folder.path().join("blocks");
    std::fs::create_dir_all(&blocks).expect("made");
    for file in std::fs::read_dir(made.join("blocks")).expect("a folder") {
        let file = file.expect("listed");
        std::fs::copy(file.path(), blocks.join(file.file_name())).expect("copied");
    }
    std::fs::remove_dir_all(s3.bucket("series")).expect("emptied");
    std::fs::create_dir_all(s3.bucket("series")).expect("made");
    let mut child = child::command(NAME_OF_TEST, folder.path())
        .envs(s3.environment())
        .stdout(Stdio::null())
        .spawn()
        .expect("it runs");
    let begun = Instant::now();
    // A piece of it has come.
    while !has(&s3.bucket("series"), 1 << 20) && child.try_wait().expect("asked").is_none() {
        assert!(begun.elapsed() < Duration::from_secs(120), "nothing is copied");
        std::thread::yield_now();
    }
    child.kill().expect("killed");
    child.wait().expect("ended");
    (folder, blocks.join(format!("{START}-{}.parquet", START + DAY)))
}

#[test]
fn a_process_killed_while_it_copies_leaves_nothing_that_counts() {
    if let Some(folder) = child::folder() {
        return copy(&folder);
    }
    let s3 = S3Server::start("series").expect("a server");
    let made = tempfile::tempdir().expect("a folder");
    write(made.path());
    // It may be through before it is killed, on a busy machine many times.
    let halfway = (0..100).map(|_| kill_halfway(&s3, made.path())).find(|(_, block)| block.exists());
    let (folder, block) = halfway.expect("one was killed while it copied");
    assert!(block.metadata().expect("a file").len() > 8 << 20);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("threads").block_on(async {
        let objects = place(s3.environment());
        let config = archived(folder.path(), objects.clone());
        let store = Store::recover(&config).expect("opened");
        round(&store, NOW).await.expect("archived");
        assert!(!block.exists());
        let own = super::super::super::keeping::own_name(folder.path()).expect("named");
        let mut there: Vec<_> = objects.below(&own).list().await.expect("listed");
        there.retain(|object| object.name != "index");
        assert_eq!(there.len(), 1, "{there:?}");
        let missing = Missing::default();
        let mut found =
            store.stream(&[], START..START + DAY, Wanted::All, &missing).await.expect("an answer");
        let (mut series, mut samples) = (0, 0);
        while let Some(batch) = futures::StreamExt::next(&mut found).await {
            for one in batch.expect("read") {
                (series, samples) = (series + 1, samples + one.expect("a sound row").len());
            }
        }
        assert_eq!((series, samples), (SERIES, SERIES * STEPS as usize));
        assert_eq!(missing.sentences(), [""; 0]);
    });
}
