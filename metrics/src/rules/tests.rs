//! Rules over a store in memory: what they read, write and must not see.

use std::{collections::BTreeSet, sync::Arc};

use futures::FutureExt;
use parking_lot::Mutex;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{
    AT_ONCE, Bounds, Health, REACHING, SAMPLES, Standing,
    keep::{evaluate, following, next},
    run::{Evaluation, limits},
    spec::{Group, PrometheusRule, Reach, groups},
};
use crate::{
    promql::Budget,
    series::{Labels, Limits, MatchOp, Matcher, Sample, Store, Symbols, Value},
};

/// The groups of an object in the namespace `shop`, which reaches all namespaces or its own.
fn read(spec: serde_json::Value, reaches: bool) -> (Vec<Group>, Vec<String>) {
    let object = json!({"metadata": {"name": "rules", "namespace": "shop"}, "spec": spec});
    let object: PrometheusRule = serde_json::from_value(object).expect("an object");
    let reaching = if reaches { BTreeSet::from(["shop".to_owned()]) } else { BTreeSet::new() };
    groups(&object, &reaching)
}

fn group(spec: serde_json::Value, reaches: bool) -> Standing {
    let (mut groups, wrong) = read(json!({"groups": [spec]}), reaches);
    assert!(wrong.is_empty(), "{wrong:?}");
    let group = groups.remove(0);
    let health = Mutex::new(vec![Health::default(); group.rules.len()]);
    Standing { group, health }
}

/// An evaluation that shares with no other.
fn evaluation(store: &Arc<Store>, standing: &Standing) -> Evaluation {
    Evaluation::new(store.clone(), &standing.group, &Bounds::new(Budget::default()))
}

/// A store with a series of each namespace, and the time of its last sample.
fn store() -> (Arc<Store>, i64) {
    let store = Store::in_memory(Limits::default());
    let now = jiff::Timestamp::now().as_millisecond() / 1000 * 1000;
    for (namespace, pod, value) in [("shop", "a", 1.0), ("shop", "b", 2.0), ("bank", "c", 40.0)] {
        let labels = Labels::new([("__name__", "load"), ("namespace", namespace), ("pod", pod)]);
        let series = store.resolve(&labels).expect("room");
        store.append(&[Sample { series, time: now, value: Value::Number(value) }]);
    }
    (Arc::new(store), now)
}

/// The series of a name, with their samples.
async fn kept(store: &Store, name: &str) -> Vec<(Labels, Vec<(i64, Value)>)> {
    let named = Matcher::new("__name__", MatchOp::Equal, name).expect("a matcher");
    store.all(&[named], 0..i64::MAX / 2).await.into_iter().map(|one| (one.labels, one.samples)).collect()
}

#[tokio::test]
async fn an_answer_becomes_series_and_what_ends_is_marked() {
    let (store, now) = store();
    let standing = group(
        json!({"name": "g", "labels": {"by": "group"}, "rules": [
            {"record": "pod:load:double", "expr": "2 * load > 1", "labels": {"kind": "double"}},
            {"record": "load:sum", "expr": "sum(pod:load:double)"},
            {"alert": "Late", "expr": "vector(1)"},
            {"record": "wrong", "expr": "sum("},
        ]}),
        true,
    );
    let mut evaluation = evaluation(&store, &standing);
    evaluation.run(&standing, now).await;
    let double = kept(&store, "pod:load:double").await;
    let expected = Labels::new([
        ("__name__", "pod:load:double"),
        ("by", "group"),
        ("kind", "double"),
        ("namespace", "shop"),
        ("pod", "a"),
    ]);
    assert_eq!(double.len(), 3);
    assert!(double.contains(&(expected.clone(), vec![(now, Value::Number(2.0))])), "{double:?}");
    // A rule sees what those before it told.
    let sum = kept(&store, "load:sum").await;
    assert_eq!(sum[0].1, [(now, Value::Number(86.0))]);
    let health = standing.health.lock().clone();
    assert!(health[0].error.is_empty() && health[0].at.is_some());
    assert!(health.len() == 3 && health[2].error.contains("1:5"), "{health:?}");
    // Series a falls below what the rule tells of.
    let load = Labels::new([("__name__", "load"), ("namespace", "shop"), ("pod", "a")]);
    let series = store.resolve(&load).expect("known");
    let later = now + 1000;
    store.append(&[Sample { series, time: later, value: Value::Number(0.0) }]);
    evaluation.run(&standing, later).await;
    let double = kept(&store, "pod:load:double").await;
    let (_, samples) = double.iter().find(|(labels, _)| *labels == expected).expect("still known");
    assert!(samples.len() == 2 && samples[1].0 == later && samples[1].1.is_stale(), "{samples:?}");
    evaluation.end(later + 1000);
    for (labels, samples) in kept(&store, "pod:load:double").await {
        assert!(samples.last().is_some_and(|(_, value)| value.is_stale()), "{labels:?} {samples:?}");
    }
}

#[tokio::test]
async fn a_series_that_goes_before_its_sample_is_appended_is_resolved_again() {
    let (store, now) = store();
    let standing = group(json!({"name": "g", "rules": [{"record": "new", "expr": "1"}]}), true);
    let mut evaluation = evaluation(&store, &standing);
    let new = Labels::new([("__name__", "new"), ("namespace", "shop")]);
    let prepared = evaluation.prepare(0, vec![(new.clone(), Value::Number(7.0))], now);
    // What has no sample yet goes when a part of an hour is written out.
    store.drop_before(now);
    assert_eq!(evaluation.append(0, prepared), Ok(()));
    assert_eq!(kept(&store, "new").await, [(new.clone(), vec![(now, Value::Number(7.0))])]);
    // So does the mark of its end, when all that it had is written out.
    let prepared = evaluation.prepare(0, Vec::new(), now + 1000);
    store.drop_before(now + 1);
    assert_eq!(evaluation.append(0, prepared), Ok(()));
    let ended = kept(&store, "new").await;
    assert!(ended[0].1.len() == 1 && ended[0].1[0].1.is_stale(), "{ended:?}");
}

#[tokio::test]
async fn labels_of_what_rules_told_are_in_memory_once() {
    let (store, now) = store();
    let standing = group(json!({"name": "g", "rules": [{"record": "again", "expr": "load"}]}), true);
    let mut evaluation = evaluation(&store, &standing);
    let places =
        |symbols: &Symbols| -> Vec<_> { symbols.iter().map(|symbol| symbol.as_bytes().as_ptr()).collect() };
    for time in [now, now + 1000] {
        evaluation.run(&standing, time).await;
        let told = evaluation.told();
        assert_eq!(told.len(), 3);
        for symbols in told {
            let labels = symbols.labels();
            let of_store = store.symbols(store.resolve(&labels).expect("known"), &labels);
            assert_eq!(places(&symbols), places(&of_store), "{labels}");
        }
    }
}

#[tokio::test]
async fn abuse_29_rules_of_a_namespace_see_and_write_its_own() {
    let (store, now) = store();
    let spec = json!({"name": "g", "rules": [
        {"record": "all", "expr": "sum(load)"},
        {"record": "load", "expr": "load * 100", "labels": {"namespace": "bank", "pod": "c"}},
        {"record": "theirs", "expr": "load{namespace=\"bank\"} or label_replace(load, \"namespace\", \"bank\", \"\", \"\")"},
    ]});
    let standing = group(spec, false);
    evaluation(&store, &standing).run(&standing, now + 1000).await;
    let all = kept(&store, "all").await;
    assert_eq!(all[0].1, [(now + 1000, Value::Number(3.0))]);
    assert_eq!(all[0].0.get("namespace"), Some("shop"));
    for name in ["load", "theirs"] {
        for (labels, samples) in kept(&store, name).await {
            let written = samples.iter().any(|(time, _)| *time > now);
            assert!(!written || labels.get("namespace") == Some("shop"), "{labels:?}");
        }
    }
    assert!(kept(&store, "theirs").await.iter().all(|(labels, _)| labels.get("pod") != Some("c")));
}

#[tokio::test]
async fn too_many_series_and_equal_ones_are_refused() {
    let (store, now) = store();
    let standing = group(
        json!({"name": "g", "limit": 2, "rules": [
            {"record": "many", "expr": "load"},
            {"record": "equal", "expr": "load{namespace=\"shop\"}", "labels": {"pod": "x"}},
            {"record": "samples", "expr": "load[5m]"},
            {"record": "one", "expr": 7},
        ]}),
        true,
    );
    evaluation(&store, &standing).run(&standing, now).await;
    let health = standing.health.lock().clone();
    for (number, part) in [(0, "limit of 2"), (1, "same labelset"), (2, "one value a series")] {
        assert!(health[number].error.contains(part), "{health:?}");
    }
    for name in ["many", "equal", "samples"] {
        assert!(kept(&store, name).await.is_empty(), "{name}");
    }
    assert_eq!(kept(&store, "one").await[0].1, [(now, Value::Number(7.0))]);
}

/// A group of a namespace whose one rule is answered without a wait, and how far it reaches.
fn ready(namespace: &str, reach: Reach) -> Standing {
    let mut standing = group(json!({"name": "g", "rules": [{"record": "one", "expr": 1}]}), true);
    standing.group.place.0 = namespace.to_owned();
    standing.group.reach = reach;
    standing
}

fn of_its_own(namespace: &str) -> Standing {
    ready(namespace, Reach::Namespace(namespace.to_owned()))
}

#[tokio::test]
async fn abuse_35_rules_of_a_namespace_wait_for_each_other_and_nobody_else_for_them() {
    let (store, now) = store();
    let bounds = Bounds::new(Budget::default());
    let of = |standing: &Standing| Evaluation::new(store.clone(), &standing.group, &bounds);
    let (shop, bank, late) = (of_its_own("shop"), of_its_own("bank"), of_its_own("late"));
    let slow = bounds.seats.take_now("shop").expect("free");
    let mut of_shop = of(&shop);
    let mut waiting = Box::pin(of_shop.run(&shop, now));
    assert!(waiting.as_mut().now_or_never().is_none(), "a namespace has one seat");
    of(&bank).run(&bank, now).now_or_never().expect("another has its own");
    assert!(bank.health.lock()[0].at.is_some());
    let others: Vec<_> =
        (1..AT_ONCE).map(|n| bounds.seats.take_now(&format!("n{n}")).expect("free")).collect();
    assert!(of(&late).run(&late, now).now_or_never().is_none(), "all seats are taken");
    drop((slow, others));
    waiting.now_or_never().expect("its turn");
    assert!(shop.health.lock()[0].at.is_some() && late.health.lock()[0].at.is_none());
    assert_eq!(bounds.seats.taken(), 0, "who has had a seat gives it back");
}

#[tokio::test]
async fn abuse_35_rules_that_reach_everywhere_run_side_by_side_and_leave_a_seat_for_others() {
    let (store, now) = store();
    let bounds = Bounds::new(Budget::default());
    let of = |standing: &Standing| Evaluation::new(store.clone(), &standing.group, &bounds);
    let everywhere = || bounds.seat(&Reach::Cluster).now_or_never().expect("free");
    let (wide, late) = (ready("monitoring", Reach::Cluster), ready("monitoring", Reach::Cluster));
    let shop = of_its_own("shop");
    let mut slow: Vec<_> = (1..REACHING).map(|_| everywhere()).collect();
    of(&wide).run(&wide, now).now_or_never().expect("those of its namespace are not waited for");
    slow.push(everywhere());
    assert!(of(&late).run(&late, now).now_or_never().is_none(), "they have no more seats");
    of(&shop).run(&shop, now).now_or_never().expect("one is left for others");
    assert!(late.health.lock()[0].at.is_none() && shop.health.lock()[0].at.is_some());
    drop(slow);
    of(&late).run(&late, now).now_or_never().expect("its turn");
    assert_eq!(bounds.seats.taken(), 0, "who has had a seat gives it back");
}

#[tokio::test]
async fn abuse_35_what_rules_read_counts_with_what_users_queries_hold() {
    let (store, now) = store();
    let budget = Budget::new(100, 100);
    let standing = group(json!({"name": "g", "rules": [{"record": "again", "expr": "load"}]}), true);
    let mut evaluation = Evaluation::new(store.clone(), &standing.group, &Bounds::new(budget.clone()));
    let of_users = budget.share("anna");
    of_users.take(99).expect("there is so much");
    evaluation.run(&standing, now).await;
    let why = standing.health.lock()[0].error.clone();
    assert!(why.contains("all running queries together") && kept(&store, "again").await.is_empty(), "{why}");
    drop(of_users);
    evaluation.run(&standing, now).await;
    assert_eq!(standing.health.lock()[0].error, "");
    assert_eq!((kept(&store, "again").await.len(), budget.held()), (3, 0));
}

#[test]
fn abuse_35_rules_on_all_seats_have_room_beside_each_other_and_leave_some_for_users() {
    let budget = Budget::default();
    let bounds = Bounds::new(budget.clone());
    let of = |interval: &str| {
        let spec = json!({"name": "g", "interval": interval, "rules": [{"record": "x", "expr": "1"}]});
        limits(&group(spec, false).group, &bounds)
    };
    let all: Vec<_> = (0..AT_ONCE).map(|_| of("1m")).collect();
    for limits in &all {
        assert_eq!((limits.samples, limits.deadline.as_secs()), (SAMPLES, 60));
        limits.share.take(SAMPLES).expect("as many as it may read");
    }
    all[0].share.take(10_000_000).expect_err("all rules have less than there is");
    budget.share("anna").take(20_000_000).expect("something is left for users");
    assert_eq!((of("1s").deadline.as_secs(), of("1h").deadline.as_secs()), (10, 120));
}

#[tokio::test(start_paused = true)]
async fn a_group_that_is_gone_waits_for_no_seat_and_its_series_end() {
    let (store, now) = store();
    let bounds = Bounds::new(Budget::default());
    let standing = Arc::new(of_its_own("shop"));
    let mut evaluation = Evaluation::new(store.clone(), &standing.group, &bounds);
    evaluation.run(&standing, now - 60_000).await;
    let before = standing.health.lock()[0].at;
    let _slow = bounds.seats.take_now("shop").expect("free");
    let gone = CancellationToken::new();
    let mut going = Box::pin(evaluate(standing.clone(), evaluation, gone.clone()));
    // On a clock that runs ahead while nobody works: its time comes, and no seat.
    let minute = std::time::Duration::from_secs(60);
    tokio::time::timeout(minute, going.as_mut()).await.expect_err("it goes on");
    assert_eq!(standing.health.lock()[0].at, before);
    gone.cancel();
    tokio::time::timeout(minute, going).await.expect("it ends at once").expect("well");
    let one = kept(&store, "one").await;
    assert!(one[0].1.len() == 2 && one[0].1[1].1.is_stale(), "{one:?}");
}

#[test]
fn a_wrong_group_does_not_hide_the_others() {
    let (groups, wrong) = read(
        json!({"groups": [
            {"name": "a", "interval": "soon", "rules": [{"record": "x", "expr": "1"}]},
            {"name": "b", "rules": "none"},
            {"name": "c", "interval": "1m30s", "query_offset": "0s", "rules": [{"record": "x", "expr": "1"}]},
            {"name": "d", "rules": [{"alert": "x", "expr": "1"}]},
        ]}),
        false,
    );
    assert_eq!(groups.len(), 1);
    assert_eq!((groups[0].place.2.as_str(), groups[0].interval.as_secs()), ("c", 90));
    assert!(wrong.len() == 2 && wrong[0].contains("soon") && wrong[1].contains("\"b\""), "{wrong:?}");
}

#[test]
fn times_are_an_interval_apart_and_ahead() {
    let (groups, _) =
        read(json!({"groups": [{"name": "c", "rules": [{"record": "x", "expr": "1"}]}]}), false);
    let mut time = 1_700_000_000_123;
    for _ in 0..5 {
        let after = next(time, &groups[0]);
        assert!(after > time && after - time <= 30_000);
        assert_eq!(next(after, &groups[0]), after + 30_000);
        assert_eq!(next(after - 1, &groups[0]), after);
        // Woken a little early, in time, and late.
        for (late, expected) in [(-5, 30_000), (3, 30_000), (70_000, 90_000)] {
            assert_eq!(following(after, after + late, &groups[0]), after + expected, "{late}");
        }
        // The clock was set back meanwhile.
        let set = after - 365 * 24 * 3_600_000;
        assert_eq!(following(after, set, &groups[0]), next(set, &groups[0]));
        time += 7_777;
    }
}
