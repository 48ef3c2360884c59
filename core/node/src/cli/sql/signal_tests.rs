//! A signal while the answer of a statement goes into a file, no part of which stays; and while it is read in
//! a pager, which ends before us.

use axum::Router;
use clap::Parser;
use nix::sys::signal::Signal;

use super::*;
use crate::cli::logs::signalled::{asked, client, leave_nothing};

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    sql: Sql,
}

/// Not a test of its own: the process that asks a server that never answers.
#[tokio::test]
async fn child_process() {
    let Some((path, form)) = asked() else { return };
    let words = ["sql", "--file", path.as_str(), "-o", form.as_str(), "select 1"];
    let sql = Line::try_parse_from(words).expect("a command line").sql;
    let silent = client(Router::new().fallback(|| async { std::future::pending::<()>().await }));
    let ended = Box::pin(sql.answer_or_end(silent, "select 1", None)).await;
    let message = ended.expect_err("a signal ended it").message().to_owned();
    // Ctrl-C ends the statement, and with it what is carried out.
    assert!(message.starts_with("interrupted") || message == "cancelled", "{message}");
}

/// The same, whose answer goes where a statement says.
#[tokio::test]
async fn copying_process() {
    let Some((path, form)) = asked() else { return };
    let text = format!("\\copy (select 1) to '{path}' {form}");
    let sql = Line::try_parse_from(["sql", text.as_str()]).expect("a command line").sql;
    let silent = client(Router::new().fallback(|| async { std::future::pending::<()>().await }));
    let ended = Box::pin(sql.answer_or_end(silent, &text, None)).await;
    let message = ended.expect_err("a signal ended it").message();
    assert!(message.starts_with("terminated") || message == "cancelled", "{message}");
}

/// The same, whose answer is open in a pager. That has a file as long as it runs.
#[tokio::test]
async fn paging_process() {
    let Some((path, _)) = asked() else { return };
    let pager = format!("trap \"rm '{path}.part'; exit\" TERM; sleep 600 & : > '{path}.part'; wait");
    let shown = unless_terminated(pager::through("a\n", &pager)).await.expect("told of signals");
    assert!(shown.is_none(), "nobody has left the pager: {shown:?}");
}

#[test]
fn a_signal_ends_the_pager_that_is_open() {
    leave_nothing("cli::sql::signal_tests::paging_process", &[(Signal::SIGTERM, "table")]);
}

#[test]
fn a_signal_leaves_no_part_of_what_is_copied() {
    let table = [(Signal::SIGTERM, "csv"), (Signal::SIGINT, "csv"), (Signal::SIGTERM, "parquet")];
    leave_nothing("cli::sql::signal_tests::copying_process", &table);
}

#[test]
fn a_signal_leaves_no_part_of_an_answer() {
    let table = [(Signal::SIGTERM, "csv"), (Signal::SIGINT, "table"), (Signal::SIGTERM, "parquet")];
    leave_nothing("cli::sql::signal_tests::child_process", &table);
}
