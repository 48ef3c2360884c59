//! Events of a real watch are not needed here: what is kept, forgotten, and who sees it.

mod full;
mod killed;

use jiff::ToSpan;
use serde_json::json;
use tiphys_api::auth::UserInfo;

use super::{table::Occurred, *};
use crate::sql::{
    Engine, Format,
    tests::{ByName, World},
};

fn event(version: u64, namespace: &str, time: &str) -> Occurred {
    let event = json!({
        "metadata": {"name": format!("e{version}"), "namespace": namespace, "resourceVersion": version.to_string()},
        "involvedObject": {"kind": "Pod", "name": "web", "uid": "u1"},
        "reason": "Pulled", "message": "it is there", "type": "Normal", "count": 3,
        "source": {"component": "kubelet", "host": "n1"},
        "firstTimestamp": "2026-01-31T12:00:00Z", "lastTimestamp": time,
    });
    Occurred::of(serde_json::from_value(event).expect("an Event")).expect("versioned")
}

fn within(bytes: u64) -> Retention {
    Retention { bytes, ..Retention::EVENTS }
}

fn kept(segments: &Segments) -> Vec<u64> {
    let mut versions = Vec::new();
    for hour in segments.hours(|_, _| true) {
        segments.read(hour, &mut |row| versions.push(row.version)).expect("read");
    }
    versions
}

#[test]
fn an_occurrence_is_written_once_and_forgotten_in_the_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let open = |bytes| Segments::open(folder.path().to_owned(), within(bytes)).expect("opened");
    let begin: jiff::Timestamp = "2026-01-31T12:30:00Z".parse().expect("a time");
    let segments = open(1 << 20);
    for version in [3, 5, 4, 5] {
        segments.add(&event(version, "shop", "2026-01-31T12:29:00Z"), begin).expect("added");
    }
    assert_eq!(kept(&segments), [3, 5, 4]);
    // After a restart, and a kill in the middle of a line.
    let file = folder.path().join("2026-01-31T12.jsonl");
    let mut text = std::fs::read_to_string(&file).expect("a segment");
    text.push_str("{\"time\": 12");
    std::fs::write(&file, text).expect("written");
    let segments = open(1 << 20);
    segments.add(&event(5, "shop", "2026-01-31T12:29:00Z"), begin).expect("added");
    assert_eq!(kept(&segments), [3, 5, 4]);
    // What comes behind the half line is not spoilt by it.
    segments.add(&event(6, "shop", "2026-01-31T12:29:00Z"), begin).expect("added");
    assert_eq!(kept(&segments), [3, 5, 4, 6]);
    assert_eq!(kept(&open(1 << 20)), [3, 5, 4, 6]);
    segments.believe();
    let later = begin + 150.hours();
    segments.add(&event(7, "shop", "2026-02-06T18:29:00Z"), later).expect("added");
    assert_eq!(kept(&segments), [3, 5, 4, 6, 7]);
    segments.add(&event(8, "shop", "2026-02-07T18:29:00Z"), later + 24.hours()).expect("added");
    assert_eq!(kept(&segments), [7, 8]);
    // No more bytes than allowed, but for the hour that is written.
    let segments = open(300);
    segments.add(&event(9, "shop", "2026-02-07T20:29:00Z"), later + 26.hours()).expect("added");
    assert_eq!(kept(&segments), [9]);
}

#[test]
fn an_api_that_counts_its_versions_anew_is_heard() {
    let folder = tempfile::tempdir().expect("a folder");
    let open = || Segments::open(folder.path().to_owned(), within(1 << 20)).expect("opened");
    let add = |segments: &Segments, version: u64, time: &str| {
        let now = time.parse::<Timestamp>().expect("a time") + 1.minute();
        segments.add(&event(version, "shop", time), now).expect("added");
    };
    let segments = open();
    let times = ["2026-01-31T10:20:00Z", "2026-01-31T11:20:00Z", "2026-01-31T12:20:00Z"];
    for (version, time) in (1000..).zip(times) {
        add(&segments, version, time);
    }
    // A restore: what the API has of before, and what happens since.
    for (version, time) in [(1001, times[1]), (1002, times[2]), (5, times[2]), (6, times[2]), (5, times[2])] {
        add(&segments, version, time);
    }
    assert_eq!(kept(&segments), [1000, 1001, 1002, 5, 6]);
    // After a restart what is older than the hours that are remembered was written all the same.
    let segments = open();
    for (version, time) in [(1000, times[0]), (1001, times[1]), (6, times[2]), (7, "2026-01-31T12:40:00Z")] {
        add(&segments, version, time);
    }
    assert_eq!(kept(&segments), [1000, 1001, 1002, 5, 6, 7]);
    assert_eq!(kept(&open()), [1000, 1001, 1002, 5, 6, 7]);
}

#[test]
fn events_are_kept_as_long_as_it_is_said() {
    let begin: jiff::Timestamp = "2026-01-31T12:30:00Z".parse().expect("a time");
    for (seconds, left) in [(1, &[3, 4][..]), (3600, &[3, 4]), (3601, &[2, 3, 4]), (86_400, &[1, 2, 3, 4])] {
        let folder = tempfile::tempdir().expect("a folder");
        let retention = Retention { age: std::time::Duration::from_secs(seconds), ..Retention::EVENTS };
        let segments = Segments::open(folder.path().to_owned(), retention).expect("opened");
        segments.believe();
        for (version, hour) in (1..).zip(0_i64..4) {
            let now = begin + hour.hours();
            segments.add(&event(version, "shop", "2026-01-31T12:29:00Z"), now).expect("added");
        }
        assert_eq!(kept(&segments), left, "{seconds} s");
    }
}

#[test]
fn a_clock_that_is_wrong_for_a_minute_makes_nothing_old() {
    let folder = tempfile::tempdir().expect("a folder");
    let begin: jiff::Timestamp = "2026-01-31T12:30:00Z".parse().expect("a time");
    let years = (365 * 24 * 5).hours();
    let add = |segments: &Segments, version: u64, now: jiff::Timestamp| {
        segments.add(&event(version, "shop", "2026-01-31T12:29:00Z"), now).expect("added");
    };
    let segments = Segments::open(folder.path().to_owned(), within(1 << 20)).expect("opened");
    for (version, now) in [(1, begin), (2, begin + years), (3, begin), (4, begin - years), (5, begin)] {
        add(&segments, version, now);
    }
    let mut all = kept(&segments);
    all.sort_unstable();
    assert_eq!(all, [1, 2, 3, 4, 5]);
    drop(segments);
    // The same where it is wrong when the process begins.
    std::fs::remove_file(folder.path().join("2031-01-30T12.jsonl")).expect("years ahead");
    let segments = Segments::open(folder.path().to_owned(), within(1 << 20)).expect("opened again");
    add(&segments, 6, begin + years);
    assert_eq!(kept(&segments), [1, 3, 5, 6], "what is years older than the newest is old");
}

#[tokio::test]
async fn abuse_29_events_are_seen_in_ones_own_namespaces() {
    let folder = tempfile::tempdir().expect("a folder");
    let segments = Segments::open(folder.path().to_owned(), within(1 << 20)).expect("opened");
    let now = "2026-01-31T12:30:00Z".parse().expect("a time");
    for (version, namespace) in [(1, "shop"), (2, "bank"), (3, "shop")] {
        segments.add(&event(version, namespace, "2026-01-31T12:29:00Z"), now).expect("added");
    }
    let world = World::new();
    let log = EventLog { segments: Arc::new(segments) };
    let engine = world.engine.clone().with(Arc::new(log));
    let ask = async |user: &str, statement: &str| {
        let asker = Asker::new(UserInfo::named(user, &[]), Arc::new(ByName));
        engine.answer(statement, Format::Csv, asker).await.expect("answered").text
    };
    let counted = "select namespace, count(*) as n, max(count) as c from events group by 1 order by 1";
    assert_eq!(ask("admin", counted).await, "namespace,n,c\nbank,1,3\nshop,2,3\n");
    assert_eq!(ask("bank", counted).await, "namespace,n,c\nbank,1,3\n");
    let narrow =
        "select name from events where time > '2026-01-31T12:00:00Z' and object = 'web' and name = 'e3'";
    assert_eq!(ask("admin", narrow).await, "name\ne3\n");
    assert_eq!(ask("admin", "select name from events where time > '2026-01-31T13:00:00Z'").await, "name\n");
    world.end().await;
}

/// An engine over what is kept.
fn engine(world: &World, segments: Segments) -> Engine {
    world.engine.clone().with(Arc::new(EventLog { segments: Arc::new(segments) }))
}

#[tokio::test]
async fn a_damaged_line_is_left_out_and_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let open = || Segments::open(folder.path().to_owned(), within(1 << 20)).expect("opened");
    let now = "2026-01-31T12:30:00Z".parse().expect("a time");
    let segments = open();
    for version in 1..4 {
        segments.add(&event(version, "shop", "2026-01-31T12:29:00Z"), now).expect("added");
    }
    let file = folder.path().join("2026-01-31T12.jsonl");
    let text = std::fs::read_to_string(&file).expect("a segment");
    let mut lines: Vec<&str> = text.lines().collect();
    lines[1] = r#"{"time": "never"}"#;
    // A kill's half line is none that is missing.
    lines.push(r#"{"time": 12"#);
    std::fs::write(&file, lines.join("\n")).expect("written");
    let world = World::new();
    let engine = engine(&world, open());
    let asker = Asker::new(UserInfo::named("admin", &[]), Arc::new(ByName));
    let statement = "select name from events order by name";
    let answer = engine.answer(statement, Format::Csv, asker).await.expect("answered");
    assert_eq!(answer.text, "name\ne1\ne3\n");
    assert_eq!(answer.notes, ["events: lines of 2026-01-31T12.jsonl that can't be read are left out: 1"]);
    world.end().await;
}

#[tokio::test]
async fn abuse_35_an_hour_of_events_is_read_in_pieces() {
    let folder = tempfile::tempdir().expect("a folder");
    let segments = Segments::open(folder.path().to_owned(), within(1 << 30)).expect("opened");
    let now = "2026-01-31T12:30:00Z".parse().expect("a time");
    let mut row = event(1, "shop", "2026-01-31T12:29:00Z");
    row.message = "x".repeat(2000);
    for version in 1..=5000 {
        row.version = version;
        segments.add(&row, now).expect("added");
    }
    let world = World::new();
    let engine = engine(&world, segments);
    let ask = async |engine: &Engine| {
        let asker = Asker::new(UserInfo::named("admin", &[]), Arc::new(ByName));
        let statement = "select count(*) as n, max(length(message)) as l from events";
        engine.answer(statement, Format::Csv, asker).await
    };
    // A piece takes twelve megabytes at most, and all of the hour some thirty.
    let enough = engine.clone().with_memory_limit(20 << 20);
    assert_eq!(ask(&enough).await.expect("pieces").text, "n,l\n5000,2000\n");
    let poor = engine.with_memory_limit(1 << 20);
    let refused = ask(&poor).await.expect_err("no room for a piece");
    assert_eq!(refused.code(), "53200", "{refused}");
    world.end().await;
}
