//! A node whose runtime is docker: the log files are links, and the kernel tells of
//! writes and rotations only in docker's own folder.

use std::os::unix::fs::symlink;

use super::*;

/// The log in docker's folder of a container that was just started.
fn docker_log(folder: &Path, pod: &str) -> PathBuf {
    let link = log_file(folder, pod);
    let path = folder.join("docker").join(pod).join(format!("{pod}-json.log"));
    let home = path.parent().expect("a folder");
    fs::create_dir_all(home).expect("a folder");
    let labels = serde_json::json!({ "io.kubernetes.container.logpath": link });
    fs::write(home.join("config.v2.json"), serde_json::json!({ "Config": { "Labels": labels } }).to_string())
        .expect("written");
    write(&path, "");
    symlink(&path, link).expect("a link");
    path
}

fn json(body: &str, end: &str) -> String {
    let log = format!("{body}{end}");
    let line = serde_json::json!({ "log": log, "stream": "stdout", "time": "2026-01-31T12:00:00Z" });
    format!("{line}\n")
}

/// The numbers go up, and the file itself is the first.
fn rotate(path: &Path, rotations: usize) {
    let name = |number| PathBuf::from(format!("{}.{number}", path.display()));
    for number in (1..=rotations).rev() {
        fs::rename(name(number), name(number + 1)).expect("renamed");
    }
    fs::rename(path, name(1)).expect("renamed");
    write(path, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_behind_a_link_is_found_when_it_is_written_also_after_a_rotation() {
    let folder = tempfile::tempdir().expect("a folder");
    let tasks = Tasks::new();
    let running = run(config(folder.path(), "n1"), None, &tasks).await.expect("started");
    let path = docker_log(folder.path(), "shop_web-1");
    write(&path, &json("hello one", "\n"));
    until_found(&running, "ns:shop pod:web-1 hello", 1).await;
    write(&path, &json("hello two", "\n"));
    until_found(&running, "hello", 2).await;
    rotate(&path, 0);
    write(&path, &json("hello three", "\n"));
    until_found(&running, "hello", 3).await;
    assert_eq!(tasks.shutdown(Duration::from_secs(120)).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_loses_and_doubles_nothing_behind_links() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = docker_log(folder.path(), "shop_web-1");
    let (mut written, mut rotations) = (Vec::new(), 0);
    for kill in 0..5 {
        let child = Killed::start(folder.path());
        let manifest = || fs::read(folder.path().join("data/MANIFEST")).ok();
        let before = manifest();
        for round in 0..2 + 3 * (kill % 3) {
            for _ in 0..20 {
                let body = format!("line n{}x", written.len());
                let (head, rest) = body.split_at(5);
                write(&path, &(json(head, "") + &json(rest, "\n")));
                written.push(body);
            }
            if round % 3 == 1 {
                rotate(&path, rotations);
                rotations += 1;
            }
            // So that the kill comes after a commit and before the next one.
            if round == 2 {
                let committed = async {
                    while manifest() == before {
                        tokio::task::yield_now().await;
                    }
                };
                tokio::time::timeout(Duration::from_secs(120), committed).await.expect("a commit");
            }
        }
        drop(child);
        if kill % 2 == 0 {
            rotate(&path, rotations);
            rotations += 1;
        }
    }
    let tasks = Tasks::new();
    let running = again(folder.path(), &tasks).await;
    until_found(&running, "ns:shop", written.len()).await;
    // What is doubled comes before the last line, which ends the newest file.
    write(&path, &json("the very last", "\n"));
    until_found(&running, "\"the very last\"", 1).await;
    tasks.shutdown(Duration::from_secs(120)).await;
    let mut found = find(&running.store, "line");
    found.sort();
    written.sort();
    assert_eq!(found, written);
}
