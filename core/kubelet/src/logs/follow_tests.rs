//! Reading, cutting and following of log files, over a rotation.

use std::{fs, io::Write, time::Duration};

use tiphys_lifecycle::Tasks;

use super::*;

fn log(folder: &Path, texts: &[&str]) {
    let mut file =
        fs::OpenOptions::new().create(true).append(true).open(folder.join("0.log")).expect("opened");
    let lines: String =
        texts.iter().map(|text| format!("2026-01-02T03:04:05.5Z stdout F {text}\n")).collect();
    file.write_all(lines.as_bytes()).expect("written");
}

fn request(folder: &Path, options: Options) -> (Request, watch::Sender<bool>) {
    let (sender, ended) = watch::channel(false);
    (Request { root: folder.into(), path: folder.join("0.log"), options, ended }, sender)
}

async fn all(request: Request) -> String {
    let tasks = Tasks::new();
    let mut pieces = stream(request, &tasks);
    let mut text = Vec::new();
    while let Some(piece) = pieces.recv().await {
        text.extend(piece.expect("read"));
    }
    String::from_utf8(text).expect("text")
}

#[tokio::test]
async fn options_choose_what_is_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    log(folder.path(), &["one", "two", "three"]);
    let check = async |options: Options, expected: &str| {
        assert_eq!(all(request(folder.path(), options.clone()).0).await, expected, "{options:?}");
    };
    check(Options::default(), "one\ntwo\nthree\n").await;
    check(Options { tail_lines: Some(1), ..Options::default() }, "three\n").await;
    check(Options { limit_bytes: Some(6), ..Options::default() }, "one\ntw").await;
    check(Options { stream: Some("stderr".into()), ..Options::default() }, "").await;
    let stamped = Options { timestamps: true, tail_lines: Some(1), ..Options::default() };
    check(stamped, "2026-01-02T03:04:05.5Z three\n").await;
    let later = Options { since: "2026-01-02T03:04:06Z".parse().ok(), ..Options::default() };
    check(later, "").await;
}

#[tokio::test]
async fn pieces_of_a_line_are_joined() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "2026-01-02T03:04:05Z stdout P long \n2026-01-02T03:04:06Z stdout F line\n";
    fs::write(folder.path().join("0.log"), text).expect("written");
    let options = Options { timestamps: true, ..Options::default() };
    assert_eq!(all(request(folder.path(), options).0).await, "2026-01-02T03:04:05Z long line\n");
}

#[tokio::test]
async fn following_goes_on_over_a_rotation_and_ends_with_the_container() {
    let folder = tempfile::tempdir().expect("a folder");
    log(folder.path(), &["one"]);
    let options = Options { follow: true, ..Options::default() };
    let (request, ended) = request(folder.path(), options);
    let tasks = Tasks::new();
    let mut pieces = stream(request, &tasks);
    let mut next = async || {
        let piece = tokio::time::timeout(Duration::from_secs(120), pieces.recv()).await.expect("in time");
        piece.map(|piece| String::from_utf8(piece.expect("read").to_vec()).expect("text"))
    };
    assert_eq!(next().await.as_deref(), Some("one\n"));
    log(folder.path(), &["two"]);
    assert_eq!(next().await.as_deref(), Some("two\n"));
    fs::rename(folder.path().join("0.log"), folder.path().join("0.log.20260102-030405")).expect("rotated");
    log(folder.path(), &["three"]);
    assert_eq!(next().await.as_deref(), Some("three\n"));
    ended.send_replace(true);
    assert_eq!(next().await, None);
}

#[tokio::test]
async fn rotated_files_are_read_first() {
    let folder = tempfile::tempdir().expect("a folder");
    log(folder.path(), &["one", "two"]);
    fs::rename(folder.path().join("0.log"), folder.path().join("0.log.20260102-030405")).expect("rotated");
    log(folder.path(), &["three"]);
    let tail = |lines| Options { tail_lines: lines, ..Options::default() };
    assert_eq!(all(request(folder.path(), tail(None)).0).await, "one\ntwo\nthree\n");
    assert_eq!(all(request(folder.path(), tail(Some(2))).0).await, "two\nthree\n");
}

#[tokio::test]
async fn abuse_14_a_link_in_place_of_a_log_is_not_read() {
    let outside = tempfile::tempdir().expect("a folder");
    log(outside.path(), &["secret"]);
    let check = async |make: &dyn Fn(&Path), follow: bool| {
        let folder = tempfile::tempdir().expect("a folder");
        make(folder.path());
        let options = Options { follow, ..Options::default() };
        let (request, ended) = request(folder.path(), options);
        ended.send_replace(true);
        let tasks = Tasks::new();
        let mut pieces = stream(request, &tasks);
        let mut read = Vec::new();
        while let Some(piece) = pieces.recv().await {
            read.extend(piece.unwrap_or_default());
        }
        let read = String::from_utf8(read).expect("text");
        assert!(!read.contains("secret"), "{read}");
        read
    };
    let link = |folder: &Path, name: &str| {
        std::os::unix::fs::symlink(outside.path().join("0.log"), folder.join(name)).expect("linked");
    };
    for follow in [false, true] {
        assert_eq!(check(&|folder| link(folder, "0.log"), follow).await, "");
        let rotated = |folder: &Path| {
            log(folder, &["own"]);
            link(folder, "0.log.20260102-030405");
        };
        assert_eq!(check(&rotated, follow).await, "own\n");
    }
}
