//! A node whose kubelet compresses rotated files: every line is found once, whether a collector
//! runs meanwhile or not, and a file that can't be read to its end is counted.

use flate2::{Compression, write::GzEncoder};

use super::*;

/// Whole under another name first, and then in the place of the original.
fn compress(path: &Path) {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&fs::read(path).expect("read")).expect("packed");
    let name = |ending: &str| PathBuf::from(format!("{}{ending}", path.display()));
    fs::write(name(".tmp"), encoder.finish().expect("packed")).expect("written");
    fs::rename(name(".tmp"), name(".gz")).expect("renamed");
    fs::remove_file(path).expect("removed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_are_found_once_before_while_and_after_a_kubelet_compresses_their_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = log_file(folder.path(), "shop_web-1");
    let rotated = |number: usize| path.with_file_name(format!("0.log.{number:06}"));
    write(&rotated(1), &line(1, "hello one"));
    compress(&rotated(1));
    fs::write(path.with_file_name("0.log.000002.gz"), "no gzip").expect("written");

    let tasks = Tasks::new();
    let running = run(config(folder.path(), "n1"), None, &tasks).await.expect("started");
    until_found(&running, "hello", 1).await;
    let counted = async {
        while running.metrics.damaged_files.get() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), counted).await.expect("counted in time");
    let metrics = running.metrics.component.render();
    assert!(metrics.lines().any(|line| line == "tiphys_logs_damaged_files_total 1"), "{metrics}");
    for number in 3..13 {
        write(&path, &line(number, "hello again"));
        if number > 3 {
            compress(&rotated(number - 1));
        }
        fs::rename(&path, rotated(number)).expect("renamed");
    }
    until_found(&running, "hello", 11).await;
    assert_eq!(tasks.shutdown(Duration::from_secs(120)).await, Vec::<String>::new());
    drop(running);

    for number in 13..16 {
        write(&path, &line(number, "hello away"));
        compress(&rotated(number - 1));
        fs::rename(&path, rotated(number)).expect("renamed");
    }
    let tasks = Tasks::new();
    let running = again(folder.path(), &tasks).await;
    until_found(&running, "away", 3).await;
    assert_eq!(find(&running.store, "hello").len(), 14);
    assert_eq!(tasks.shutdown(Duration::from_secs(120)).await, Vec::<String>::new());
}
