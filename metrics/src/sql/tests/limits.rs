//! What a statement may take: memory, time, turns; and what becomes of it when nobody reads.

use futures::{StreamExt, TryStreamExt};
use tokio_util::sync::CancellationToken;

use super::*;

const ROWS: &str = "select a.value, b.value as other from generate_series(1, 100000) a cross join generate_series(1, 1000) b";

fn asker() -> Asker {
    Asker::new(UserInfo::named("admin", &[]), Arc::new(ByName))
}

/// Waits until no statement has a slot.
async fn idle(engine: &Engine) {
    let idle = async {
        while engine.runner.running() > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), idle).await.expect("the statement was given up");
}

#[tokio::test]
async fn abuse_35_joins_that_never_give_a_row_end_and_the_others_go_on() {
    let world = World::new();
    let engine = world.engine.clone().with_deadline(Duration::from_secs(1));
    let deadly = [
        "select count(*) from generate_series(1, 100000) a join generate_series(1, 100000) b on a.value * b.value = -1",
        "with recursive t(n) as (select 1 union all select t.n + 1 from t join generate_series(1, 3) s on s.value > 0) \
         select count(*) from t",
        "with recursive t(n) as (select 1 union all select n from t where n > 0) select n from t where n = 2",
        "select sum(a.value) from generate_series(1, 10000000) a, generate_series(1, 10000000) b",
        "select a.value, array_agg(b.value) from generate_series(1, 20000) a, generate_series(1, 20000) b group by 1",
    ];
    let dying = deadly.map(|statement| engine.answer(statement, Format::Json, asker()));
    let others = async {
        for _ in 0..5 {
            let answer = world.engine.answer("select count(*) as n from pod", Format::Json, asker()).await;
            assert_eq!(answer.expect("answered").text.trim(), r#"[{"n":6}]"#);
        }
    };
    let (died, ()) = tokio::join!(futures::future::join_all(dying), others);
    for (statement, outcome) in deadly.iter().zip(died) {
        let ended = match &outcome {
            Err(SqlError::TooSlow(_)) => true,
            Err(SqlError::Invalid(wrong)) => wrong.code == "53200",
            _ => false,
        };
        assert!(ended, "{statement}: {outcome:?}");
    }
    idle(&engine).await;
    world.end().await;
}

#[tokio::test]
async fn abuse_33_a_reader_that_takes_nothing_is_cut_off() {
    let world = World::new();
    let limits = Limits {
        patience: Duration::from_millis(300),
        ..Limits::of(Duration::from_secs(300), &asker().user)
    };
    let mut rows = world.engine.rows(ROWS, &asker(), &limits).await.expect("started");
    rows.next().await.expect("a batch").expect("sound");
    idle(&world.engine).await;
    // What was under way is still there, and then it says why it ends.
    let rest: Vec<_> = rows.collect().await;
    assert!(rest.len() <= 4, "{} batches were kept", rest.len());
    assert!(matches!(rest.last(), Some(Err(SqlError::SlowReader))), "{:?}", rest.last());
    world.end().await;
}

#[tokio::test]
async fn a_statement_ends_with_its_reader_and_when_it_is_cancelled() {
    let world = World::new();
    let limits = Limits::of(Duration::from_secs(300), &asker().user);
    let mut rows = world.engine.rows(ROWS, &asker(), &limits).await.expect("started");
    rows.next().await.expect("a batch").expect("sound");
    drop(rows);
    idle(&world.engine).await;
    let cancelled = CancellationToken::new();
    let limits = Limits { cancelled: cancelled.clone(), ..limits };
    let rows = world.engine.rows(ROWS, &asker(), &limits).await.expect("started");
    cancelled.cancel();
    assert!(matches!(rows.try_collect::<Vec<_>>().await, Err(SqlError::Cancelled)));
    idle(&world.engine).await;
    world.end().await;
}

#[tokio::test]
async fn abuse_35_one_user_leaves_places_for_others() {
    let world = World::new();
    let limits = Limits::of(Duration::from_secs(300), &asker().user);
    let (patient, greedy) = (Limits { patience: Duration::from_secs(300), ..limits.clone() }, asker());
    let mut held = Vec::new();
    // As many as one may have; the next one waits.
    while let Ok(rows) =
        tokio::time::timeout(Duration::from_millis(500), world.engine.rows(ROWS, &greedy, &patient)).await
    {
        held.push(rows.expect("started"));
        assert!(held.len() < 16, "one user took all places");
    }
    let other = Asker::new(UserInfo::named("bank", &[]), Arc::new(ByName));
    let answer = world.engine.answer("select count(*) as n from pod", Format::Json, other).await;
    assert_eq!(answer.expect("answered").text.trim(), r#"[{"n":3}]"#);
    drop(held);
    idle(&world.engine).await;
    world.end().await;
}

#[tokio::test]
async fn answers_come_in_pieces() {
    let world = World::new();
    for form in [Streamed::Csv, Streamed::Jsonl, Streamed::Arrow] {
        let statement = "select value as n from generate_series(1, 50000)";
        let pieces = world.engine.stream(statement, form, asker()).await.expect("started");
        let pieces: Vec<Bytes> = pieces.try_collect().await.expect("whole");
        let longest = pieces.iter().map(Bytes::len).max().unwrap_or(0);
        let whole = pieces.concat();
        assert!(longest * 4 < whole.len(), "{form:?}: {longest} of {}", whole.len());
        match form {
            Streamed::Arrow => {
                let reader = datafusion::arrow::ipc::reader::StreamReader::try_new(&*whole, None);
                let rows = reader.expect("a stream").map(|batch| batch.expect("sound").num_rows());
                assert_eq!(rows.sum::<usize>(), 50_000);
            }
            Streamed::Csv => {
                let text = String::from_utf8(whole).expect("text");
                assert!(text.starts_with("n\n1\n2\n") && text.ends_with("\n50000\n"));
            }
            _ => assert!(String::from_utf8(whole).expect("text").ends_with("{\"n\":50000}\n")),
        }
    }
    let none =
        world.engine.stream("select 1 as a where false", Streamed::Csv, asker()).await.expect("started");
    assert_eq!(none.try_collect::<Vec<_>>().await.expect("whole").concat(), b"a\n");
    world.end().await;
}
