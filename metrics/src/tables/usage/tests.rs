//! Rows against a naive evaluation of what nodes have told: over the seam between memory and the
//! store, out of memory, log and blocks; who sees them; and what isn't read.

mod coarse;
mod fed;
mod long;
mod set;

use std::collections::BTreeMap;

use serde_json::Value;

use super::*;
use crate::memory::{GRID, Point, rate};
use fed::{Fed, RESTART, START, UNTIL};

/// A row as it is answered: columns to numbers, where they aren't null.
type Numbers = BTreeMap<String, Value>;

/// Rows by names and microseconds; each stands there once.
async fn answered(
    fed: &Fed,
    user: &str,
    table: &str,
    condition: &str,
) -> BTreeMap<(Vec<String>, i64), Numbers> {
    let statement = format!("select cast(time as bigint) as at, * from {table} where {condition}");
    let text = fed.ask(user, &statement).await;
    let rows: Vec<Numbers> = serde_json::from_str(&text).expect("JSON");
    let mut found = BTreeMap::new();
    for mut row in rows {
        row.remove("time");
        row.retain(|_, value| !value.is_null());
        let at = row.remove("at").and_then(|at| at.as_i64()).expect("a time");
        let names = ["namespace", "pod", "container", "node"];
        let names =
            names.map(|name| row.remove(name).map(|name| name.as_str().unwrap_or_default().to_owned()));
        let key = (names.into_iter().flatten().collect(), at);
        assert!(found.insert(key.clone(), row).is_none(), "{key:?} is there twice");
    }
    found
}

/// What each row must be, by a look at all that was told.
fn expected(fed: &Fed, level: Level) -> BTreeMap<(Vec<String>, i64), Numbers> {
    let mut rows = BTreeMap::new();
    for (key, told) in fed.told.iter().filter(|(key, _)| key.level == level) {
        let recent: Vec<Point> = fed.memory.read(key, |ring| ring.points().collect()).unwrap_or_default();
        let begins = recent.first().map_or(i64::MAX, |first| first.time.div_euclid(GRID) * GRID);
        let older = told.iter().filter(|point| point.time % GRID == 0 && point.time < begins);
        let all = older.map(|point| (point, false)).chain(recent.iter().map(|point| (point, true)));
        let mut before: Option<Point> = None;
        for (point, is_recent) in all {
            let names = names_of(level).iter().map(|(name, _)| name_in(key, name).to_owned()).collect();
            rows.insert((names, point.time), numbers(level, before.as_ref(), point, is_recent));
            before = Some(*point);
        }
    }
    rows
}

fn numbers(level: Level, before: Option<&Point>, point: &Point, is_recent: bool) -> Numbers {
    let mut row = Numbers::new();
    for figure in FIGURES {
        let is_lost = match figure.name {
            "memory_limit_bytes" => true,
            "filesystem_inodes_used" => level != Level::Node,
            _ => false,
        };
        let is_none = match figure.name {
            "memory_limit_bytes" | "cpu_limit_millicores" | "memory_limit_asked_bytes" => {
                (figure.value)(&point.usage) == 0
            }
            "filesystem_capacity_bytes" | "filesystem_inodes" => level != Level::Node,
            name => name.starts_with("network_") && level == Level::Container,
        };
        if is_none || (is_lost && !is_recent) {
            continue;
        }
        row.insert(figure.name.to_owned(), (figure.value)(&point.usage).into());
        if let (Kind::Counter { rate: name, scale, .. }, Some(before)) = (figure.kind, before) {
            row.insert(name.to_owned(), (rate(figure, before, point) * scale).into());
        }
    }
    row
}

fn compare(found: &BTreeMap<(Vec<String>, i64), Numbers>, expected: &BTreeMap<(Vec<String>, i64), Numbers>) {
    let missing: Vec<_> = expected.keys().filter(|key| !found.contains_key(*key)).take(5).collect();
    let more: Vec<_> = found.keys().filter(|key| !expected.contains_key(*key)).take(5).collect();
    assert!(missing.is_empty() && more.is_empty(), "missing {missing:?}, too many {more:?}");
    for (key, row) in expected {
        let names: Vec<_> = row.keys().collect();
        assert_eq!(found[key].keys().collect::<Vec<_>>(), names, "{key:?}");
        for (name, value) in row {
            let (is, should) = (found[key][name].as_f64(), value.as_f64());
            let (is, should) = (is.expect("a number"), should.expect("a number"));
            assert!((is - should).abs() <= should.abs() * 1e-9, "{key:?} {name}: {is}, not {should}");
        }
    }
}

fn micros(second: i64) -> i64 {
    (START + second) * 1_000_000
}

/// Answers of all tables are what was told; of the whole time, and of parts of it.
async fn check(fed: &Fed) {
    for (table, level) in [("node", Level::Node), ("pod", Level::Pod), ("container", Level::Container)] {
        let all = expected(fed, level);
        compare(&answered(fed, "admin", table, "time > '2000-01-01'").await, &all);
        for (since, until) in [(100, 1000), (3000, 7500), (RESTART - 20, RESTART + 20), (RESTART + 1, UNTIL)]
        {
            let (since, until) = (micros(since), micros(until));
            let condition = format!(
                "time >= arrow_cast({since}, 'Timestamp(Microsecond, Some(\"UTC\"))') \
                 and time < arrow_cast({until}, 'Timestamp(Microsecond, Some(\"UTC\"))')"
            );
            let part: BTreeMap<_, _> =
                all.clone().into_iter().filter(|((_, at), _)| (since..until).contains(at)).collect();
            assert!(!part.is_empty());
            compare(&answered(fed, "admin", table, &condition).await, &part);
        }
    }
}

#[tokio::test]
async fn rows_are_what_was_told_without_a_gap_and_nothing_twice() {
    let mut fed = Fed::new().await;
    check(&fed).await;
    // The same out of blocks, and with memory's part in the log.
    fed.store.write_out((START + UNTIL) * 1000);
    assert!(fed.store.disk_size() > 0);
    check(&fed).await;
    fed.reopen();
    check(&fed).await;
}

#[tokio::test]
async fn a_process_that_has_just_begun_answers_from_the_store() {
    let mut fed = Fed::new().await;
    fed.forget_all();
    check_empty_memory(&fed).await;
}

async fn check_empty_memory(fed: &Fed) {
    let rows = answered(fed, "admin", "pod", "pod in ('old', 'web') and time > '2000-01-01'").await;
    let should: Vec<_> = expected(fed, Level::Pod)
        .into_iter()
        .filter(|((names, _), _)| names[1] == "old" || names[1] == "web")
        .collect();
    compare(&rows, &should.into_iter().collect());
    assert_eq!(rows.len() as i64, UNTIL / 15 + 4000_i64.div_euclid(15) + 1);
}

#[tokio::test]
async fn abuse_29_older_rows_are_those_of_ones_own_namespaces() {
    let fed = Fed::new().await;
    for (user, table, seen) in [("bank", "pod", "bank"), ("shop", "container", "shop")] {
        let statement = format!(
            "select distinct namespace from {table} where time < timestamp '2000-01-01' or time > '2000-01-01'"
        );
        assert_eq!(fed.ask(user, &statement).await, format!("[{{\"namespace\":\"{seen}\"}}]"), "{table}");
    }
    for (user, table) in [("bank", "node"), ("nobody", "pod"), ("nobody", "container"), ("nobody", "node")] {
        let statement = format!("select count(*) as n from {table} where time > '2000-01-01'");
        assert_eq!(fed.ask(user, &statement).await, "[{\"n\":0}]", "{user} {table}");
    }
    // Somebody else's series by the same name are no rows.
    fed.tell_others();
    let statement = "select count(*) as n from pod where pod = 'fake' and time > '2000-01-01'";
    assert_eq!(fed.ask("admin", statement).await, "[{\"n\":0}]");
    assert_eq!(
        fed.ask("admin", "select count(distinct node) as n from node where time > '2000-01-01'").await,
        "[{\"n\":1}]"
    );
}

#[tokio::test]
async fn only_what_is_asked_for_is_read() {
    let mut fed = Fed::new().await;
    fed.store.write_out((START + UNTIL) * 1000);
    fed.reopen();
    let all = "time > '2000-01-01'";
    // Five minutes before are read too, for the first rates.
    let hour = "time >= '2024-10-04T01:10:00Z' and time < '2024-10-04T01:40:00Z'";
    let table: [(&str, String, &str, usize, usize); 9] = [
        // Two hours and a quarter are in blocks; a name is a reading each.
        ("admin", format!("select time, cpu_usage_nanos_total from pod where {all}"), "some", 3, 9),
        ("admin", format!("select time, cpu_usage_nanos_total from pod where {hour}"), "some", 1, 3),
        ("admin", format!("select count(*) as n from pod where {hour}"), "some", 1, 3),
        ("admin", format!("select cpu_cores, memory_rss_bytes from pod where {hour}"), "some", 2, 6),
        ("admin", format!("select time from pod where {hour} and namespace = 'bank'"), "some", 1, 1),
        (
            "admin",
            format!("select time from container where {hour} and pod like 'w%' and container = 'app'"),
            "some",
            1,
            2,
        ),
        ("admin", format!("select time from pod where {hour} and node = 'n2'"), "[]", 1, 0),
        ("bank", format!("select time from node where {all}"), "[]", 0, 0),
        ("admin", "select time from pod where time > now() + interval '1 hour'".to_owned(), "[]", 0, 0),
    ];
    for (user, statement, answer, begun, rows) in table {
        let before = fed.store.readings();
        let text = fed.ask(user, &statement).await;
        assert!(if answer == "some" { text.len() > 10 } else { text == answer }, "{statement}: {text}");
        let after = fed.store.readings();
        assert_eq!(after.begun - before.begun, begun, "files of {statement}");
        assert_eq!(after.rows - before.rows, rows, "series of {statement}");
        assert_eq!(after.open(), 0, "{statement}");
    }
}

#[tokio::test]
async fn the_last_hour_is_not_asked_of_the_store() {
    let mut fed = Fed::new().await;
    fed.store.write_out((START + UNTIL) * 1000);
    fed.reopen();
    let statement = "select count(*) as n from pod where time > now() - interval '1 hour'";
    let asked = |fed: &Fed| fed.store.scans();
    let before = asked(&fed);
    fed.ask("admin", statement).await;
    assert_eq!(asked(&fed), before + 1, "memory has just begun");
    fed.memory = Arc::new(Memory::begun_at(0));
    let before = asked(&fed);
    fed.ask("admin", statement).await;
    assert_eq!(asked(&fed), before);
}
