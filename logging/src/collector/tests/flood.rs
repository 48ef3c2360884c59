//! A container that writes faster than anybody reads, into files that are set aside, renamed,
//! emptied and deleted meanwhile: each line once, whole, and in its order.

use super::*;
use crate::{block, index::Store};

/// Bytes of a line.
const LINE: usize = 2000;
/// Lines of a file: 10 MiB, so that a writer of 50 MB/s has some five files a second.
const OF_FILE: usize = 5_243;
/// Files: 100 MiB.
const FILES: usize = 10;
/// Lines that the writer is ahead of the reader at most: three files.
const AHEAD: usize = 3 * OF_FILE;
/// Bytes that are written at once: not of whole lines.
const AT_ONCE: usize = 70_001;

/// Writes as fast as it can.
struct Writer<'a> {
    path: PathBuf,
    running: &'a Running,
    /// Lines so far.
    written: usize,
}

impl Writer<'_> {
    fn body(number: usize) -> String {
        format!("{number:08} {}", "x".repeat(LINE - 50))
    }

    /// Waits until so many lines at most are still to be read.
    async fn until_read_up_to(&self, left: usize) {
        let read = || usize::try_from(self.running.metrics.records.get()).expect("it fits");
        let reads = async {
            while read() + left < self.written {
                tokio::task::yield_now().await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(120), reads).await;
        assert!(in_time.is_ok(), "{} of {} lines are read", read(), self.written);
    }

    /// Fills the file, in pieces that end anywhere in a line.
    async fn fill(&mut self) {
        let mut file = OpenOptions::new().create(true).append(true).open(&self.path).expect("a file");
        for from in (self.written..self.written + OF_FILE).step_by(500) {
            let lines = from..(from + 500).min(self.written + OF_FILE);
            let text: String = lines.map(|number| line(number, &Self::body(number))).collect();
            text.as_bytes().chunks(AT_ONCE).for_each(|piece| file.write_all(piece).expect("written"));
            tokio::task::yield_now().await;
        }
        self.written += OF_FILE;
        self.until_read_up_to(AHEAD).await;
    }

    /// What happens to a file that is full.
    async fn turn(&self, number: usize) {
        let aside = |more: &str| self.path.with_file_name(format!("0.log.{number:08}{more}"));
        match number % 3 {
            0 => fs::rename(&self.path, aside("")).expect("renamed"),
            1 => {
                fs::rename(&self.path, aside("")).expect("renamed");
                fs::rename(aside(""), aside("-moved")).expect("renamed");
            }
            // What is not read when a file is emptied is gone for anybody.
            _ => {
                self.until_read_up_to(0).await;
                OpenOptions::new().write(true).truncate(true).open(&self.path).expect("emptied");
            }
        }
        delete_acknowledged(self.path.parent().expect("a folder"));
    }
}

/// The lines on disk by their place in the stream: the number that each begins with, and its bytes.
fn on_disk(store: &Store) -> Vec<(u64, usize, usize)> {
    let snapshot = store.snapshot();
    let mut lines = Vec::new();
    for split in snapshot.splits() {
        for at in 0..split.blocks().len() {
            let records = block::records(&split.read_block(at).expect("read")).expect("sound");
            lines.extend(records.iter().map(|record| {
                let body = std::str::from_utf8(&record.body).expect("a text");
                let number = body.split(' ').next().and_then(|number| number.parse().ok());
                (record.seq, number.expect("a number"), body.len())
            }));
        }
    }
    lines.sort_unstable();
    lines
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_grows_faster_than_it_is_read_loses_and_doubles_no_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let tasks = Tasks::new();
    let running = run(config(folder.path(), "n1"), None, &tasks).await.expect("started");
    let path = log_file(folder.path(), "shop_web-1");
    let mut writer = Writer { path, running: &running, written: 0 };
    for number in 0..FILES {
        writer.fill().await;
        writer.turn(number).await;
    }
    writer.until_read_up_to(0).await;
    let written = writer.written;
    assert_eq!(tasks.shutdown(Duration::from_secs(120)).await, Vec::<String>::new());
    assert_eq!(running.metrics.records.get(), written as u64);
    assert!(!running.store.has_uncommitted(), "the end commits what is in memory");
    let length = Writer::body(0).len();
    let lines = on_disk(&running.store);
    let wrong = (0..).zip(&lines).find(|(at, line)| **line != (*at as u64, *at, length));
    assert_eq!(wrong, None, "of {} lines", lines.len());
    assert_eq!(lines.len(), written);
}
