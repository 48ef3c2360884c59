//! Against a server with two records: what is asked for is in the file in each form, or there is none,
//! as when a signal comes first.

use axum::{Json, Router, routing};
use kube::Client;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tiphys_logging::query::Expr;

use super::*;
use crate::cli::logs::{
    Logs,
    facets::Facets,
    figures::Figures,
    signalled::{asked, client, leave_nothing},
    tests::parsed,
};

/// Answers as the server has them, newest first.
fn server() -> Client {
    let record = |id: &str, second: u32| {
        json!({
            "id": id, "time": format!("2026-01-31T12:00:0{second}.000000000Z"),
            "namespace": "shop", "pod": "web", "level": "error", "body": id,
        })
    };
    let records = json!({"records": [record("two", 2), record("one", 1)]});
    let values = json!([{"value": "error", "count": 2}]);
    let facets = json!({"count": 2, "facets": {"level": values, "field": values, "pattern": values}});
    let histogram = json!({"buckets": [{"time": "2026-01-31T12:00:00Z", "count": 2}]});
    let reply = |answer: Value| routing::post(move || async move { Json(answer) });
    let around = |Json(asked): Json<Value>| async move {
        let id = asked["id"].as_str().expect("an id").to_owned();
        let record = json!({"id": id, "time": "2026-01-31T12:00:00.000000000Z", "body": id});
        Json(json!({"record": record, "before": [], "after": []}))
    };
    client(
        Router::new()
            .route("/tiphys/v1/logs/search", reply(records))
            .route("/tiphys/v1/logs/facets", reply(facets))
            .route("/tiphys/v1/logs/histogram", reply(histogram))
            .route("/tiphys/v1/logs/stats", reply(json!({"series": [], "count": 2})))
            .route("/tiphys/v1/logs/context", routing::post(around)),
    )
}

fn command(arguments: &[&str], path: &Path) -> Box<Logs> {
    let path = path.display().to_string();
    let logs = parsed(&[arguments, &["--file", path.as_str()]].concat());
    assert!(logs.check().is_ok(), "{arguments:?}");
    logs
}

async fn answered(arguments: &[&str], path: &Path, client: &Client) -> bool {
    let mut logs = command(arguments, path);
    let figures = logs.stats.as_deref().map(|text| Figures::parse(text).expect("figures"));
    let facets = logs.facets.as_ref().map(|fields| Facets::parse(fields.as_deref()).expect("fields"));
    Box::pin(logs.answer(client, &Expr::All, figures, facets)).await.is_ok()
}

#[tokio::test]
async fn each_form_is_in_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, server) = (folder.path().join("answer"), server());
    let table: [(&[&str], &[&str]); 9] = [
        (&[], &["one\n", "two\n"]),
        (&["-o", "raw"], &["one\ntwo\n"]),
        (&["--template", "<{message}>"], &["<one>\n<two>\n"]),
        (&["-o", "jsonl"], &["\"body\":\"one\"", "}\n{", "\"body\":\"two\""]),
        (&["-C", "1"], &["one\n--\n"]),
        (&["--facets", "level"], &["FIELD", "2 records\n"]),
        (&["--fields"], &["FIELD", "error"]),
        (&["--patterns"], &["2", "error\n"]),
        (&["--histogram", "-o", "jsonl"], &["\"count\":2"]),
    ];
    for (arguments, parts) in table {
        assert!(answered(arguments, &path, &server).await, "{arguments:?}");
        let text = std::fs::read_to_string(&path).expect("a file");
        assert!(parts.iter().all(|part| text.contains(part)), "{arguments:?}: {text}");
        assert_eq!(folder.path().read_dir().expect("a folder").count(), 1, "{arguments:?}");
        std::fs::remove_file(&path).expect("it is there");
    }
    type Check = fn(&Value) -> bool;
    let table: [(&[&str], Check); 3] = [
        (&["-o", "json"], |value| value[0]["body"] == "one" && value[1]["body"] == "two"),
        (&["-o", "json", "-C", "1"], |value| value[1]["body"] == "two" && value[1]["group"] == 2),
        (&["-o", "json", "--stats", "count"], |value| value["count"] == 2),
    ];
    for (arguments, holds) in table {
        assert!(answered(arguments, &path, &server).await, "{arguments:?}");
        let text = std::fs::read(&path).expect("a file");
        let value: Value = serde_json::from_slice(&text).expect("one value of JSON");
        assert!(holds(&value), "{arguments:?}: {value}");
    }
}

#[tokio::test]
async fn without_an_answer_there_is_no_file_and_the_old_one_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("answer");
    assert!(!answered(&["-o", "json"], &path, &client(Router::new())).await);
    assert_eq!(folder.path().read_dir().expect("a folder").count(), 0);
    std::fs::write(&path, "old").expect("written");
    assert!(!answered(&[], &path, &client(Router::new())).await);
    assert_eq!(std::fs::read(&path).expect("a file"), b"old");
}

/// Not a test of its own: the process that asks a server that never answers.
#[tokio::test]
async fn child_process() {
    let Some((path, form)) = asked() else { return };
    let silent = routing::post(|| async { std::future::pending::<()>().await });
    let silent = client(Router::new().route("/tiphys/v1/logs/search", silent));
    let mut logs = command(&["-o", form.as_str()], Path::new(&path));
    let ended = Box::pin(logs.answer_or_end(&silent, &Expr::All, None, None)).await;
    assert!(ended.is_err_and(|failure| failure.message().starts_with("interrupted")));
}

#[test]
fn a_signal_leaves_no_part_of_an_answer() {
    let table = [(Signal::SIGINT, "text"), (Signal::SIGTERM, "json"), (Signal::SIGINT, "parquet")];
    leave_nothing("cli::logs::out::tests::child_process", &table);
}

#[test]
fn a_file_is_no_terminal_and_has_an_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("answer");
    assert!(!Out::open(&path).expect("opened").is_terminal());
    assert!(!command(&[], &path).colour() && command(&["--color", "always"], &path).colour());
    for form in ["text", "jsonl", "parquet"] {
        let refused = parsed(&["--file", "answer", "-o", form, "-f"]).check().expect_err("refused");
        assert!(refused.message().contains("--follow has no"), "{form}: {}", refused.message());
    }
}
