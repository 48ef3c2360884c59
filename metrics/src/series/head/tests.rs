//! Series in memory beside a plain map of them: what is found, and what labels take.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::series::NAME;

fn head() -> Head {
    Head::new(Limits::default())
}

fn pod(metric: &str, pod: &str) -> Labels {
    Labels::new([(NAME, metric), ("job", "shop"), ("pod", pod)])
}

fn made(head: &Head, labels: &Labels) -> SeriesId {
    head.resolve(labels, Ways::default()).expect("there is room")
}

/// Where the texts of a series' labels lie.
fn places(head: &Head, series: SeriesId, labels: &Labels) -> Vec<*const u8> {
    head.symbols(series, labels).iter().map(|symbol| symbol.as_bytes().as_ptr()).collect()
}

#[test]
fn two_series_share_what_is_the_same_of_them_until_the_last_goes() {
    let head = head();
    let (one, other) = (pod("up", "a"), pod("up", "b"));
    let (first, second) = (made(&head, &one), made(&head, &other));
    let (of_one, of_other) = (places(&head, first, &one), places(&head, second, &other));
    assert_eq!((&of_one[..2], of_one[2] == of_other[2]), (&of_other[..2], false));
    assert_eq!((made(&head, &one), head.index.read().symbols()), (first, 4));
    // Neither has a sample, so that both go.
    head.drop_before(0);
    assert_eq!((head.series_count(), head.index.read().symbols()), (0, 0));
    // Who asks for those of a series that is gone has them all the same.
    assert_eq!(head.symbols(first, &one).labels(), one);
    let again = made(&head, &one);
    assert_ne!(again, first);
    assert_eq!(head.symbols(first, &other).labels(), other, "its place is another's now");
}

#[test]
fn matchers_see_the_labels_of_each_series() {
    let head = head();
    for labels in [pod("up", "a"), pod("up", "b"), pod("down", "a"), Labels::new([(NAME, "up")])] {
        made(&head, &labels);
    }
    let found = |matchers: &[Matcher]| {
        let found = head.gather(matchers, |kept| Some(kept.labels().to_string()));
        found.into_iter().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(" ")
    };
    let is = |name, value| Matcher::equal(name, value);
    assert_eq!(found(&[is(NAME, "up"), is("pod", "a")]), r#"up{job="shop", pod="a"}"#);
    // A series without the label meets this one, too.
    assert_eq!(found(&[is(NAME, "up"), is("pod", "")]), "up{}");
    assert_eq!(found(&[is("pod", "c")]), "");
}

#[test]
fn a_place_that_is_anothers_meanwhile_answers_for_nobody() {
    let head = head();
    made(&head, &pod("up", "a"));
    let matchers = [Matcher::equal("pod", "a")];
    let (candidates, asked) = head.candidates(&matchers);
    // It has no sample, so that it goes.
    head.drop_before(0);
    let others = (0..1000).map(|n| made(&head, &pod("up", &n.to_string())));
    let other = others.map(SeriesId::slot).find(|slot| candidates == [*slot]);
    let mut found = Vec::new();
    head.look(other.expect("one stands there"), &asked, |kept| found.push(kept.labels()));
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn series_that_go_before_their_turn_are_left_out() {
    let (head, log) = (head(), Current::new(0));
    for (time, name) in (1i64..).zip(["a", "b", "c"]) {
        let series = made(&head, &pod("up", name));
        let sample = Sample { series, time, value: Value::Number(1.0) };
        head.append(&[sample], &Bounds::NONE, &log, |_| {}, |_, _| {});
    }
    let mut having = head.having(&(0..9)).map(|(labels, _)| labels);
    assert_eq!(having.next(), Some(pod("up", "a")));
    head.drop_before(3);
    assert_eq!(having.collect::<Vec<_>>(), [pod("up", "c")]);
}

#[derive(Debug, Clone)]
enum Step {
    /// A sample of one series, which is made if there is none.
    Take(usize),
    /// What is older than so many samples goes.
    Drop(i64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![4 => (0usize..24).prop_map(Step::Take), 1 => (0i64..12).prop_map(Step::Drop)]
}

/// One of 24 sets.
fn set(number: usize) -> Labels {
    let (metric, le) = (["up", "down"][number % 2], ["", "1", "2"][number / 8]);
    Labels::new([(NAME, metric), ("pod", ["", "a", "b", "c"][number / 2 % 4]), ("le", le)])
}

proptest! {
    #[test]
    fn it_has_what_a_plain_map_has(steps in prop::collection::vec(step(), 1..80)) {
        let (head, log) = (head(), Current::new(0));
        let mut plain: BTreeMap<Labels, (SeriesId, i64)> = BTreeMap::new();
        for (time, step) in (1i64..).zip(steps) {
            match step {
                Step::Take(number) => {
                    let labels = set(number);
                    let series = made(&head, &labels);
                    let before = plain.insert(labels, (series, time));
                    prop_assert!(before.is_none_or(|(before, _)| before == series));
                    let sample = Sample { series, time, value: Value::Number(1.0) };
                    let appended = head.append(&[sample], &Bounds::NONE, &log, |_| {}, |_, _| {});
                    prop_assert_eq!(appended.taken, 1);
                }
                Step::Drop(back) => {
                    head.drop_before(time - back);
                    plain.retain(|_, (_, last)| *last >= time - back);
                }
            }
            prop_assert_eq!(head.series_count(), plain.len());
            let found: Vec<_> = head.having(&(0..i64::MAX)).map(|(labels, _)| labels).collect();
            prop_assert_eq!(found, plain.keys().cloned().collect::<Vec<_>>());
            let pairs: BTreeSet<(&str, &str)> = plain.keys().flat_map(Labels::iter).collect();
            prop_assert_eq!(head.index.read().symbols(), pairs.len());
            for (labels, (series, _)) in &plain {
                prop_assert_eq!(head.symbols(*series, labels).labels(), labels.clone());
            }
        }
    }
}
