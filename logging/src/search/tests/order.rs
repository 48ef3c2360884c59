//! Every order, and records around one, against lists sorted as a whole.

use std::cmp::Reverse;

use super::*;
use crate::wire::{Only, Order};

/// All records in an order; what stands first comes first.
fn sorted(world: &World, order: Order) -> Vec<(Arc<StreamInfo>, Position)> {
    let place = |(info, record): &(Arc<StreamInfo>, Record)| {
        (info.clone(), Position { time: record.time, stream: info.key(), seq: record.seq })
    };
    let mut all: Vec<_> = world.all.iter().map(place).collect();
    match order {
        Order::Newest => all.sort_by(|a, b| b.1.cmp(&a.1)),
        Order::Oldest => all.sort_by(|a, b| a.1.cmp(&b.1)),
        Order::Last => all.sort_by_key(|(_, position)| Reverse(position.seq)),
        Order::First => all.sort_by_key(|(_, position)| position.seq),
    }
    all
}

fn found(world: &World, request: &NodeRequest, limit: usize) -> (Vec<String>, Option<String>) {
    let request = Request::new(request, Duration::from_secs(60)).expect("a request");
    let answer = search(&world.store, &request, limit, "n1");
    assert_eq!(answer.partial, []);
    (answer.records.into_iter().map(|record| record.id).collect(), answer.cursor)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn pages_in_any_order_hold_what_sorting_gives(
        steps in steps(),
        order in prop_oneof![Just(Order::Newest), Just(Order::Oldest), Just(Order::Last), Just(Order::First)],
        stream in 0usize..3,
        page in 1usize..12,
    ) {
        let world = world(steps);
        // Numbers order one stream's records only.
        let by_time = matches!(order, Order::Newest | Order::Oldest);
        let only = (!by_time).then(|| Only::Stream(info(stream).key()));
        let expected: Vec<String> = sorted(&world, order).into_iter()
            .filter(|(of, _)| by_time || of.key() == info(stream).key())
            .map(|(_, position)| position.to_string())
            .collect();
        let (mut all, mut cursor) = (Vec::new(), None);
        loop {
            let request = NodeRequest { cursor, order, only: only.clone(), ..NodeRequest::default() };
            let (records, next) = found(&world, &request, page);
            all.extend(records);
            cursor = next;
            if cursor.is_none() {
                break;
            }
        }
        prop_assert_eq!(all, expected);
    }

    #[test]
    fn what_stands_around_a_record_is_found(
        steps in steps(),
        which in any::<prop::sample::Index>(),
        scope in 0..3,
        limit in 1usize..6,
    ) {
        let world = world(steps);
        prop_assume!(!world.all.is_empty());
        let (of, record) = which.get(&world.all).clone();
        let at = Position { time: record.time, stream: of.key(), seq: record.seq };
        let (only, before, after) = match scope {
            0 => (Only::Stream(of.key()), Order::Last, Order::First),
            1 => (Only::Pod(of.uid.clone()), Order::Newest, Order::Oldest),
            _ => (Only::Node("n1".into()), Order::Newest, Order::Oldest),
        };
        for order in [before, after] {
            let expected: Vec<String> = sorted(&world, order).into_iter()
                .filter(|(other, _)| scope == 2 || other.uid == of.uid)
                .skip_while(|(_, position)| *position != at)
                .skip(1)
                .take(limit)
                .map(|(_, position)| position.to_string())
                .collect();
            let request = NodeRequest { cursor: Some(at.to_string()), order, only: Some(only.clone()), ..NodeRequest::default() };
            prop_assert_eq!(found(&world, &request, limit).0, expected, "{:?}", order);
        }
    }
}

#[test]
fn what_is_missing_when_time_is_up_stands_behind_the_order() {
    let world = world(vec![append(0, 0, Bytes::from_static(b"a"))]);
    let table =
        [(Order::Newest, "older"), (Order::Oldest, "newer"), (Order::Last, "older"), (Order::First, "newer")];
    for (order, missing) in table {
        let request = NodeRequest { order, ..NodeRequest::default() };
        let late = Request::new(&request, Duration::ZERO).expect("a request");
        let partial = search(&world.store, &late, 10, "n1").partial;
        let said = format!("time was up after 0 records, {missing} ones are missing");
        assert!(partial.len() == 1 && partial[0].error.starts_with(&said), "{order:?}: {partial:?}");
    }
}
