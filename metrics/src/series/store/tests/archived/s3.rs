//! Against a real S3 server: copied, answered from there, damaged there, and gone.

use std::path::PathBuf;

use tiphys_objects::Location;
use tiphys_tests::s3::S3Server;

use super::*;
use crate::promql;

fn place(s3: &S3Server) -> Objects {
    let place: Location = "s3://series/some/prefix".parse().expect("a place");
    place.open_with(s3.environment()).expect("opened")
}

/// The files that are the objects of the only store.
fn objects(s3: &S3Server) -> Vec<PathBuf> {
    let stores = s3.bucket("series").join("some/prefix");
    let store = std::fs::read_dir(stores).expect("a folder").next().expect("a store").expect("listed").path();
    let mut files: Vec<_> =
        std::fs::read_dir(store).expect("a folder").map(|entry| entry.expect("listed").path()).collect();
    files.sort();
    files
}

fn is_day(path: &std::path::Path, day: i64, extension: &str) -> bool {
    let name = path.file_name().expect("a name").to_str().expect("a text");
    name.starts_with(&format!("{}-", START + day * DAY)) && name.ends_with(extension)
}

fn of_days(samples: &[String], days: &[i64]) -> Vec<String> {
    let is_of = |line: &&String| {
        let time: i64 = line.split(' ').rev().nth(1).expect("a time").parse().expect("a number");
        days.contains(&(time / DAY))
    };
    samples.iter().filter(is_of).cloned().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn days_are_answered_from_a_real_s3_server() {
    let s3 = tokio::task::spawn_blocking(|| S3Server::start("series")).await.expect("run").expect("a server");
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = archived(folder.path(), place(&s3));
    let store = Store::recover(&config).expect("opened");
    fill(&store);
    store.flush_log().expect("flushed");
    let whole = 0..i64::MAX;
    let (samples, _) = told(&store, whole.clone()).await;
    assert_eq!((days_here(folder.path()), samples.len()), (3, 2 * 74 + 24));
    round(&store, NOW).await.expect("archived");
    assert_eq!(days_here(folder.path()), 0);
    assert_eq!(told(&store, whole.clone()).await, (samples.clone(), vec![]));
    let once = [Matcher::equal(NAME, "once")];
    assert_eq!(names(&store, &once, whole.clone()).await.len(), 1);
    assert!(names(&store, &once, START + 2 * DAY..NOW).await.is_empty());

    // Another process doesn't know yet what is there, and says so.
    drop(store);
    let store = Store::recover(&config).expect("opened again");
    let (found, missing) = told(&store, whole.clone()).await;
    assert_eq!((found, missing.len()), (of_days(&samples, &[3]), 1), "{missing:?}");
    assert!(missing[0].contains("the archive can't be reached"), "{missing:?}");
    assert_eq!(told(&store, START + 3 * DAY + MINUTE..i64::MAX).await.1, [""; 0]);
    round(&store, NOW).await.expect("read");
    assert_eq!(told(&store, whole.clone()).await, (samples.clone(), vec![]));

    // One object has other bytes, another one lacks some.
    let days = objects(&s3);
    let day = |day| days.iter().find(|path| is_day(path, day, ".parquet")).expect("the day");
    let mut bytes = std::fs::read(day(0)).expect("read");
    bytes[40] ^= 0x55;
    std::fs::write(day(0), bytes).expect("damaged");
    let bytes = std::fs::read(day(1)).expect("read");
    std::fs::write(day(1), &bytes[..bytes.len() / 2]).expect("damaged");
    // What was read before is held.
    assert_eq!(told(&store, whole.clone()).await, (samples.clone(), vec![]));
    drop(store);
    let store = Store::recover(&config).expect("opened again");
    round(&store, NOW).await.expect("read");
    let (found, missing) = told(&store, whole.clone()).await;
    assert_eq!((found, missing.len()), (of_days(&samples, &[2, 3]), 2), "{missing:?}");
    assert!(missing.iter().all(|what| what.contains("is damaged")), "{missing:?}");
    round(&store, NOW).await.expect("set aside");
    let counts = store.archive_counts().expect("an archive");
    assert_eq!((counts.damaged.get(), counts.blocks.get()), (2, 1));
    let aside = objects(&s3).iter().filter(|path| path.extension().is_some_and(|e| e == "damaged")).count();
    assert_eq!(aside, 2);
    assert_eq!(told(&store, whole.clone()).await, (of_days(&samples, &[2, 3]), vec![]));

    // Nobody answers.
    drop(store);
    if let Some(archive) = &mut config.archive {
        archive.deadline = Duration::from_millis(500);
    }
    let store = Store::recover(&config).expect("opened again");
    round(&store, NOW).await.expect("read");
    tokio::task::spawn_blocking(move || drop(s3)).await.expect("ended");
    let (found, missing) = told(&store, whole).await;
    assert_eq!((found, missing.len()), (of_days(&samples, &[3]), 1), "{missing:?}");
    assert!(
        missing[0].contains(
            "from 2024-10-06T00:00:00Z to 2024-10-07T00:00:00Z are incomplete: the archive can't be reached"
        ),
        "{missing:?}"
    );
    let limits = promql::Limits::default();
    let answer = promql::instant(&store, "count_over_time(up[2d])", NOW, &limits).await.expect("an answer");
    assert!(answer.notes.warnings.iter().any(|what| what.contains("can't be reached")), "{:?}", answer.notes);
}
