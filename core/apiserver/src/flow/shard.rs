//! Shuffle sharding: which few of many queues a flow may use. Pure.
//!
//! How rarely two flows share all of their queues is up to the level: with 8 of 64
//! once in 4,400 million pairs, with 4 of 16 once in 1,820, with as many as there are
//! always. While they don't, one that fills its own leaves the other a free one.

use std::hash::{DefaultHasher, Hash, Hasher};

/// A number for a flow: schema and what tells flows apart within it.
pub fn flow(schema: &str, distinguisher: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (schema, distinguisher).hash(&mut hasher);
    hasher.finish()
}

/// `size` different queues of `queues`, dealt by the flow's number.
pub fn hand(mut flow: u64, queues: usize, size: usize) -> Vec<usize> {
    let mut dealt: Vec<usize> = Vec::with_capacity(size);
    for taken in 0..size.min(queues) {
        let left = (queues - taken) as u64;
        let mut card = (flow % left) as usize;
        flow /= left;
        // The card counts those that are left: step over the ones that are gone.
        let mut sorted = dealt.clone();
        sorted.sort_unstable();
        for gone in sorted {
            if card >= gone {
                card += 1;
            }
        }
        dealt.push(card);
    }
    dealt
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_hand_holds_different_queues_and_is_always_the_same() {
        for number in 0..1000 {
            let flow = flow("schema", &number.to_string());
            let dealt = hand(flow, 64, 8);
            assert_eq!(dealt.iter().collect::<BTreeSet<_>>().len(), 8, "{dealt:?}");
            assert!(dealt.iter().all(|queue| *queue < 64));
            assert_eq!(dealt, hand(flow, 64, 8));
        }
        assert_eq!(hand(u64::MAX, 3, 8).len(), 3);
        assert!(hand(7, 0, 8).is_empty());
    }

    #[test]
    fn flows_spread_over_all_queues() {
        let mut used = [0; 16];
        for number in 0..4000 {
            hand(flow("schema", &number.to_string()), 16, 4).into_iter().for_each(|queue| used[queue] += 1);
        }
        assert!(used.iter().all(|count| (800..1200).contains(count)), "{used:?}");
    }
}
