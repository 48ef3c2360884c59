//! The table: which files a statement reads, what it may hold of them, and when it ends.

use datafusion::arrow::array::RecordBatch;
use futures::StreamExt;
use tiphys_api::auth::UserInfo;

use super::*;
use crate::sql::{Asker, Engine, Format, Limits, SqlError, tests::ByName};

const FILE: i64 = 50;
const FILES: i64 = 40;

/// Rows of two namespaces, in 39 files and in memory.
fn filled(folder: &std::path::Path, begin: i64) -> Keeper {
    let keeper = load(folder, FILE as usize, 9999);
    for at in 0..FILES * FILE {
        let namespace = if at % 2 == 0 { "shop" } else { "bank" };
        keeper.decisions.record(Decision { namespace: namespace.into(), ..decision(begin + at) });
        if at % FILE == FILE - 1 && at < (FILES - 1) * FILE {
            keeper.write().expect("written");
        }
    }
    keeper.settle().expect("sealed");
    assert_eq!(keeper.decisions.inner.read().sealed.len() as i64, FILES - 1);
    keeper
}

fn engine(keeper: &Keeper) -> Engine {
    Engine::new(Arc::default(), keeper.decisions.clone(), Vec::new()).with_default_range(None)
}

fn asker(user: &str) -> Asker {
    Asker::new(UserInfo::named(user, &[]), Arc::new(ByName))
}

async fn ask(engine: &Engine, user: &str, statement: &str) -> Result<String, SqlError> {
    let answer = engine.answer(statement, Format::Csv, asker(user)).await?;
    Ok(answer.text.lines().skip(1).collect::<Vec<_>>().join(" "))
}

fn literal(micros: i64) -> String {
    format!("arrow_cast({micros}, 'Timestamp(Microsecond, Some(\"UTC\"))')")
}

#[tokio::test]
async fn a_statement_reads_the_files_of_its_time_and_a_user_sees_their_namespaces() {
    let folder = tempfile::tempdir().expect("a folder");
    let begin = now();
    let keeper = filled(folder.path(), begin);
    let engine = engine(&keeper);
    let within = |since: i64, until: i64| {
        format!("time >= {} and time < {}", literal(begin + since), literal(begin + until))
    };
    let table = [
        ("admin", within(1975, 9999), "25", 0),
        ("admin", within(100, 149), "49", 1),
        ("admin", within(149, 152), "3", 2),
        ("bank", within(100, 149), "24", 1),
        ("nobody", within(100, 149), "0", 1),
        ("admin", within(0, 9999), "2000", 39),
        ("admin", format!("{} and namespace = 'bank' and autoscaler = 'web'", within(100, 149)), "24", 1),
        ("admin", format!("{} and autoscaler = 'none'", within(100, 149)), "0", 1),
        ("admin", within(5000, 6000), "0", 0),
    ];
    for (user, condition, count, files) in table {
        let before = read(&keeper.decisions);
        let statement = format!("select count(*) as n from decisions where {condition}");
        assert_eq!(ask(&engine, user, &statement).await.expect("answered"), count, "{user} {condition}");
        assert_eq!(read(&keeper.decisions) - before, files, "files of {user} {condition}");
    }
    let newest = "select cast(time as bigint) - {begin} as at from decisions order by time desc limit 3";
    let newest = newest.replace("{begin}", &begin.to_string());
    assert_eq!(ask(&engine, "admin", &newest).await.expect("answered"), "1999 1998 1997");
}

#[tokio::test]
async fn abuse_35_a_look_at_all_decisions_holds_no_more_than_a_statement_may() {
    let folder = tempfile::tempdir().expect("a folder");
    let keeper = filled(folder.path(), now());
    // Less than the rows of one file take.
    let poor = engine(&keeper).with_memory_limit(8 << 10);
    let refused = ask(&poor, "admin", "select time, reason from decisions").await;
    assert!(matches!(&refused, Err(SqlError::Invalid(wrong)) if wrong.code == "53200"), "{refused:?}");
    // What isn't wanted, or isn't seen, is never held.
    for (user, statement) in [
        ("admin", "select time, reason from decisions where autoscaler = 'none'"),
        ("nobody", "select time, reason from decisions"),
    ] {
        assert_eq!(ask(&poor, user, statement).await.expect("answered"), "", "{user} {statement}");
    }
    // Each file has its turn: what is held is given back.
    let enough = engine(&keeper).with_memory_limit(1 << 20);
    let all = ask(&enough, "admin", "select reason from decisions").await.expect("answered");
    assert_eq!(all.matches("row").count() as i64, FILES * FILE);
}

#[tokio::test]
async fn abuse_35_reading_ends_with_the_limit_and_with_the_reader() {
    let folder = tempfile::tempdir().expect("a folder");
    let keeper = filled(folder.path(), now());
    let engine = engine(&keeper);
    let limited = ask(&engine, "admin", "select autoscaler from decisions limit 3").await;
    assert_eq!(limited.expect("answered"), "web web web");
    assert!(read(&keeper.decisions) < 10, "{} files were read", read(&keeper.decisions));
    let before = read(&keeper.decisions);
    let limits = Limits::of(Duration::from_secs(300), &asker("admin").user);
    let mut rows = engine.rows("select * from decisions", &asker("admin"), &limits).await.expect("started");
    let first: RecordBatch = rows.next().await.expect("a batch").expect("sound");
    assert!(first.num_rows() > 0);
    limits.cancelled.cancel();
    let ended = async {
        while engine.running() > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), ended).await.expect("it was given up");
    let files = read(&keeper.decisions) - before;
    assert!(files < 20, "{files} files were read");
}
