//! Statements over very many hours: what they hold, and how they end.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, TryStreamExt};
use tiphys_api::auth::UserInfo;
use tiphys_lifecycle::Tasks;
use tokio_util::sync::CancellationToken;

use super::fed::second;
use crate::{
    decisions::Decisions,
    memory::Level,
    names::{Names, back},
    series::Store,
    sql::{Asker, Engine, Format, Limits, SamplesTable, SqlError, tests::ByName},
    tables::joined::{Joined, Question},
};

/// An hour of each of so many days is told, so that no day is made of hours.
const HOURS: i64 = 120;
const DAY: i64 = 24 * 3600;
/// Steps of each.
const STEPS: i64 = 8;
/// Containers of each of them.
const CONTAINERS: i64 = 4;

struct World {
    store: Arc<Store>,
    engine: Engine,
    _folder: tempfile::TempDir,
}

fn world() -> World {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Arc::new(Store::at(&folder.path().join("series")));
    let names = Names::new(store.clone());
    for hour in 0..HOURS {
        for step in 0..STEPS {
            let mut samples = second(600 + step * 15);
            samples.time += hour * DAY * 1_000_000;
            names.take(&samples);
        }
    }
    let last = second(600).time / 1_000_000 + HOURS * DAY;
    store.write_out(last * 1000);
    let decisions = Decisions::open(folder.path().join("decisions"), &Tasks::new()).expect("opened");
    let samples = Arc::new(SamplesTable::new(store.clone()));
    let engine = Engine::new(Arc::default(), decisions, vec![samples])
        .with_series(store.clone())
        .with_default_range(None)
        .with_deadline(Duration::from_secs(300));
    World { store, engine, _folder: folder }
}

fn asker() -> Asker {
    Asker::new(UserInfo::named("admin", &[]), Arc::new(ByName))
}

/// Waits until nothing is read any more, and no statement has a slot.
async fn idle(world: &World) {
    let idle = async {
        while world.store.readings().open() > 0 || world.engine.running() > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), idle).await.expect("the statement was given up");
}

#[tokio::test]
async fn abuse_35_a_statement_over_many_hours_holds_one_of_them_and_ends_in_time() {
    let world = world();
    assert_eq!(world.store.parts(&(i64::MIN..i64::MAX)).len() as i64, HOURS + 1);
    let names: Vec<_> = back::FIGURES.iter().flat_map(|back| back.names).copied().collect();
    let question = Question {
        anchor: back::ANCHOR,
        matchers: back::of_level(Level::Container),
        apart: &back::APART,
        several: Some(back::SEVERAL),
        range: i64::MIN..i64::MAX,
        names: names.clone(),
    };
    // Each has a walk, and those of disks one for the second disk.
    let walks = names.len() + back::SEVERAL.names.len();
    let mut objects = 0;
    for object in Joined::new(world.store.clone(), question) {
        assert_eq!(object.expect("read").times.len() as i64, STEPS);
        objects += 1;
        let open = world.store.readings().open();
        assert!(open <= walks, "{open} readings at once");
    }
    assert_eq!((objects, world.store.readings().open()), (HOURS * CONTAINERS, 0));

    let ask = async |engine: &Engine, statement: &str| {
        engine.answer(statement, Format::Json, asker()).await.map(|answer| answer.text.trim().to_owned())
    };
    let all = format!("[{{\"n\":{}}}]", HOURS * CONTAINERS * STEPS);
    let whole = "select count(*) as n from container where time > '2000-01-01'";
    assert_eq!(ask(&world.engine, whole).await.expect("answered"), all);
    // With less memory than the answer takes, it is refused.
    let poor = world.engine.clone().with_memory_limit(2 << 20);
    let sorted = "select * from container where time > '2000-01-01' order by memory_rss_bytes, time";
    let refused = ask(&poor, sorted).await;
    assert!(matches!(&refused, Err(SqlError::Invalid(wrong)) if wrong.code == "53200"), "{refused:?}");
    idle(&world).await;
    // Each row with each other, twice: no time is enough.
    let limits = Limits::of(Duration::from_millis(1500), &asker().user);
    let deadly = "select count(*) from container a, container b, samples c \
         where a.cpu_usage_nanos_total + b.cpu_usage_nanos_total = c.value and a.time > '2000-01-01' \
         and b.time > '2000-01-01' and c.time > '2000-01-01'";
    let late = async {
        let rows = world.engine.rows(deadly, &asker(), &limits).await?;
        rows.try_collect::<Vec<_>>().await
    };
    let late = tokio::time::timeout(Duration::from_secs(120), late).await.expect("ended by itself");
    let ended = match &late {
        Err(SqlError::TooSlow(_)) => true,
        Err(SqlError::Invalid(wrong)) => wrong.code == "53200",
        _ => false,
    };
    assert!(ended, "{late:?}");
    idle(&world).await;
    assert_eq!(ask(&world.engine, whole).await.expect("others go on"), all);
}

#[tokio::test]
async fn abuse_35_a_statement_over_many_hours_is_cancelled() {
    let world = world();
    let cancelled = CancellationToken::new();
    let limits =
        Limits { cancelled: cancelled.clone(), ..Limits::of(Duration::from_secs(300), &asker().user) };
    // Nobody reads on, so it stands in the middle of its files.
    let statement = "select a.time, b.* from container a, samples b where a.time > '2000-01-01' and b.time > '2000-01-01'";
    let mut rows = world.engine.rows(statement, &asker(), &limits).await.expect("started");
    rows.next().await.expect("a batch").expect("sound");
    cancelled.cancel();
    let ended = rows.try_collect::<Vec<_>>().await.map(|batches| batches.len());
    assert!(matches!(ended, Err(SqlError::Cancelled)), "{ended:?}");
    idle(&world).await;
    // The same when the reader has gone.
    let limits = Limits::of(Duration::from_secs(300), &asker().user);
    let rows = world.engine.rows("select * from samples where time > '2000-01-01'", &asker(), &limits).await;
    let mut rows = rows.expect("started");
    rows.next().await.expect("a batch").expect("sound");
    drop(rows);
    idle(&world).await;
}
