//! A signal while the answer of a statement goes into a file: no part of it stays.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use axum::Router;
use clap::Parser;
use http::Request;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tower::ServiceExt;

use super::*;
use crate::cli::logs::file::part;

/// Where the answer of the process goes that a signal ends, and its form.
const PLACE: &str = "TIPHYS_TEST_SQL_ANSWER";
const FORM: &str = "TIPHYS_TEST_SQL_FORM";

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    sql: Sql,
}

/// A server that never answers.
fn silent() -> Client {
    let router: Router = Router::new().fallback(|| async { std::future::pending::<()>().await });
    let service = tower::service_fn(move |request: Request<kube::client::Body>| {
        let router = router.clone();
        async move { Ok::<_, tower::BoxError>(router.oneshot(request.map(axum::body::Body::new)).await?) }
    });
    Client::new(service, "shop")
}

/// Not a test of its own: the process that asks a server that never answers.
#[tokio::test]
async fn child_process() {
    let (Ok(path), Ok(form)) = (std::env::var(PLACE), std::env::var(FORM)) else { return };
    let words = ["sql", "--file", path.as_str(), "-o", form.as_str(), "select 1"];
    let sql = Line::try_parse_from(words).expect("a command line").sql;
    let ended = Box::pin(sql.answer_or_end(silent(), "select 1", None)).await;
    let message = ended.expect_err("a signal ended it").message().to_owned();
    // Ctrl-C ends the statement, and with it what is carried out.
    assert!(message.starts_with("interrupted") || message == "cancelled", "{message}");
}

fn left(folder: &Path) -> usize {
    folder.read_dir().expect("a folder").count()
}

#[test]
fn a_signal_leaves_no_part_of_an_answer() {
    let table = [(Signal::SIGTERM, "csv"), (Signal::SIGINT, "table"), (Signal::SIGTERM, "parquet")];
    for (signal, form) in table {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("answer");
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "cli::sql::signal_tests::child_process"])
            .env(PLACE, &path)
            .env(FORM, form)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a process");
        let (part, started) = (part(&path), Instant::now());
        while !part.exists() && started.elapsed() < Duration::from_secs(60) {
            std::thread::yield_now();
        }
        kill(Pid::from_raw(child.id().cast_signed()), signal).expect("told");
        // Killed by the signal it would have no exit code.
        assert!(child.wait().expect("ended").success(), "{signal} {form}");
        assert_eq!(left(folder.path()), 0, "{signal} {form}");
    }
}
