//! Which series have which labels: for each name and value the slots of the series, and the symbol that
//! all of them share.
//!
//! The list of slots is the symbol's count, too: where no series is left, both go.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
};

use hashbrown::{HashTable, hash_table::Entry};

use super::{
    Labels, MatchOp, Matcher,
    symbols::{Symbol, Symbols},
};

/// Lists that are shorter grow by a quarter, others to twice as much: those of a Pod or a container are
/// many and short, and pages of long ones are no memory before something stands in them.
const SHORT: usize = 1024;

/// The series with one name and value.
#[derive(Debug)]
struct Posting {
    symbol: Symbol,
    /// Ascending.
    slots: Vec<u32>,
}

/// The values of one name, by the hash of their text.
type Values = HashTable<Posting>;

/// Slots by label, ascending.
#[derive(Debug, Default)]
pub struct Index {
    hasher: RandomState,
    names: HashMap<Box<str>, Values>,
    all: Vec<u32>,
}

impl Index {
    /// Adds a series, and gives its labels as all series of the index have them.
    pub fn add(&mut self, slot: u32, labels: &Labels) -> Symbols {
        insert(&mut self.all, slot);
        Symbols::of(labels, |name, value| self.post(slot, name, value))
    }

    fn post(&mut self, slot: u32, name: &str, value: &str) -> Symbol {
        let hasher = &self.hasher;
        let values = match self.names.get_mut(name) {
            Some(values) => values,
            None => self.names.entry(name.into()).or_default(),
        };
        let is_it = |one: &Posting| one.symbol.value() == value;
        match values.entry(hasher.hash_one(value), is_it, |one| hasher.hash_one(one.symbol.value())) {
            Entry::Occupied(mut found) => {
                insert(&mut found.get_mut().slots, slot);
                found.get().symbol.clone()
            }
            Entry::Vacant(place) => {
                let symbol = Symbol::new(name, value);
                place.insert(Posting { symbol: symbol.clone(), slots: vec![slot] });
                symbol
            }
        }
    }

    /// Takes out series; `gone` are their slots, ascending, with their labels.
    pub fn remove(&mut self, gone: &[(u32, Symbols)]) {
        let is_gone = |slot: &u32| gone.binary_search_by_key(slot, |(slot, _)| *slot).is_ok();
        self.all.retain(|slot| !is_gone(slot));
        give_back(&mut self.all);
        let mut touched: Vec<_> = gone.iter().flat_map(|(_, symbols)| symbols.iter()).collect();
        touched.sort_unstable();
        touched.dedup();
        let hasher = &self.hasher;
        for symbol in touched {
            let (name, value) = (symbol.name(), symbol.value());
            let Some(values) = self.names.get_mut(name) else { continue };
            let is_it = |one: &Posting| one.symbol.value() == value;
            let Ok(mut found) = values.find_entry(hasher.hash_one(value), is_it) else { continue };
            let slots = &mut found.get_mut().slots;
            slots.retain(|slot| !is_gone(slot));
            give_back(slots);
            if slots.is_empty() {
                drop(found.remove());
            }
            if values.is_empty() {
                self.names.remove(name);
            } else if values.len() < values.capacity() / 4 {
                values.shrink_to(values.len() * 2, |one| hasher.hash_one(one.symbol.value()));
            }
        }
    }

    /// The slots that may match, ascending: all conditions that need their label hold. The
    /// others, which a series without the label meets too, are for [`open_ones`].
    pub fn candidates(&self, matchers: &[Matcher]) -> Vec<u32> {
        let mut lists: Vec<_> =
            matchers.iter().filter(|matcher| !matcher.matches_absent()).map(|one| self.slots(one)).collect();
        lists.sort_unstable_by_key(Slots::len);
        let mut lists = lists.iter();
        let Some(fewest) = lists.next() else { return self.all.clone() };
        let mut found = fewest.as_slice().to_vec();
        for list in lists {
            keep_common(&mut found, list.as_slice());
        }
        found
    }

    fn slots(&self, matcher: &Matcher) -> Slots<'_> {
        let Some(values) = self.names.get(matcher.name.as_str()) else { return Slots::Own(Vec::new()) };
        if matcher.op == MatchOp::Equal {
            let value = matcher.value.as_str();
            let found = values.find(self.hasher.hash_one(value), |one| one.symbol.value() == value);
            return Slots::Kept(found.map_or(&[], |one| one.slots.as_slice()));
        }
        let matching = values.iter().filter(|one| matcher.matches(one.symbol.value()));
        let mut slots: Vec<_> = matching.flat_map(|one| one.slots.iter().copied()).collect();
        slots.sort_unstable();
        Slots::Own(slots)
    }
}

/// The conditions that [`Index::candidates`] leaves open.
pub fn open_ones(matchers: &[Matcher]) -> Vec<&Matcher> {
    matchers.iter().filter(|matcher| matcher.matches_absent()).collect()
}

enum Slots<'a> {
    Kept(&'a [u32]),
    Own(Vec<u32>),
}

impl Slots<'_> {
    fn as_slice(&self) -> &[u32] {
        match self {
            Self::Kept(slots) => slots,
            Self::Own(slots) => slots,
        }
    }

    fn len(&self) -> usize {
        self.as_slice().len()
    }
}

fn insert(slots: &mut Vec<u32>, slot: u32) {
    if slots.len() == slots.capacity() && slots.len() < SHORT {
        let room = (slots.len() + slots.len() / 4 + 1).next_multiple_of(4);
        slots.reserve_exact(room - slots.len());
    }
    match slots.last() {
        Some(last) if *last >= slot => {
            if let Err(at) = slots.binary_search(&slot) {
                slots.insert(at, slot);
            }
        }
        _ => slots.push(slot),
    }
}

/// Gives memory back where most of it is not needed any more.
fn give_back(slots: &mut Vec<u32>) {
    if slots.len() < slots.capacity() / 4 {
        slots.shrink_to(slots.len() * 2);
    }
}

fn keep_common(found: &mut Vec<u32>, list: &[u32]) {
    // A few are looked up in many; alike lists are walked side by side.
    if found.len() * 16 < list.len() {
        found.retain(|slot| list.binary_search(slot).is_ok());
        return;
    }
    let mut rest = list;
    found.retain(|slot| {
        let passed = rest.iter().take_while(|other| *other < slot).count();
        rest = &rest[passed..];
        rest.first() == Some(slot)
    });
}

#[cfg(test)]
impl Index {
    /// How many different labels there are.
    pub fn symbols(&self) -> usize {
        self.names.values().map(HashTable::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use proptest::prelude::*;

    fn matcher() -> impl Strategy<Value = Matcher> {
        let op = prop::sample::select(vec![
            MatchOp::Equal,
            MatchOp::NotEqual,
            MatchOp::Matches,
            MatchOp::NotMatches,
        ]);
        ("[abc]", op, prop::sample::select(vec!["", "x", "y", "xy", "x.*", "x|yy", ".+", "x?"]))
            .prop_map(|(name, op, value)| Matcher::new(&name, op, value).expect("valid"))
    }

    fn labels(name: &str, pod: &str) -> Labels {
        Labels::new([("__name__", name), ("job", "shop"), ("pod", pod)])
    }

    fn places(symbols: &Symbols) -> Vec<*const u8> {
        symbols.iter().map(|symbol| symbol.as_bytes().as_ptr()).collect()
    }

    #[test]
    fn series_share_what_is_the_same_of_them() {
        let mut index = Index::default();
        let one = places(&index.add(0, &labels("up", "a")));
        let other = places(&index.add(1, &labels("up", "b")));
        assert_eq!((one[0], one[1]), (other[0], other[1]));
        assert_ne!(one[2], other[2]);
        assert_eq!(index.symbols(), 4);
        // The same value under another name is another label.
        index.add(2, &Labels::new([("instance", "a")]));
        assert_eq!(index.symbols(), 5);
    }

    #[test]
    fn symbols_go_with_the_last_series_that_has_them() {
        let mut index = Index::default();
        let one = index.add(0, &labels("up", "a"));
        let other = index.add(1, &labels("up", "b"));
        index.remove(&[(0, one.clone())]);
        assert_eq!(index.symbols(), 3);
        // What is gone from the index is whole for who still has it, and nobody else gets it.
        assert_eq!(one.labels(), labels("up", "a"));
        assert_ne!(places(&index.add(0, &labels("up", "a")))[2], places(&one)[2]);
        index.remove(&[(0, one), (1, other)]);
        assert_eq!((index.symbols(), index.names.len()), (0, 0));
    }

    #[test]
    fn what_many_series_took_is_given_back() {
        let mut index = Index::default();
        let of = |n: u32| labels("up", &n.to_string());
        let all: Vec<_> = (0..5_000).map(|n| (n, index.add(n, &of(n)))).collect();
        index.remove(&all[10..]);
        let capacity = |name: &str| index.names.get(name).map_or(0, HashTable::capacity);
        assert!(capacity("pod") < 100, "{} places of values", capacity("pod"));
        assert!(index.all.capacity() < 100, "{} slots of all", index.all.capacity());
        let jobs = index.slots(&Matcher::new("job", MatchOp::Equal, "shop").expect("valid")).len();
        assert_eq!((jobs, index.symbols()), (10, 12));
    }

    proptest! {
        #[test]
        fn it_finds_what_a_look_at_each_finds(
            series in prop::collection::vec(prop::collection::btree_map("[abc]", "[xy]{1,2}", 0..4), 1..20),
            gone in prop::collection::btree_set(0usize..20, 0..5),
            matchers in prop::collection::vec(matcher(), 0..4),
        ) {
            let all: Vec<_> = series.iter().map(Labels::new).collect();
            let mut index = Index::default();
            // Slots are used again, so they do not always come in order.
            let mut symbols: Vec<_> =
                (0..all.len()).rev().map(|slot| (slot as u32, index.add(slot as u32, &all[slot]))).collect();
            symbols.reverse();
            symbols.retain(|(slot, of_it)| {
                assert_eq!(&of_it.labels(), &all[*slot as usize]);
                gone.contains(&(*slot as usize))
            });
            index.remove(&symbols);
            let left = all.iter().enumerate().filter(|(slot, _)| !gone.contains(slot));
            let plain: BTreeSet<(&str, &str)> = left.flat_map(|(_, labels)| labels.iter()).collect();
            prop_assert_eq!(index.symbols(), plain.len());
            let open = open_ones(&matchers);
            let holds = |matcher: &Matcher, slot: usize| matcher.matches(all[slot].get(&matcher.name).unwrap_or_default());
            let found: Vec<_> = index.candidates(&matchers).into_iter()
                .filter(|slot| open.iter().all(|matcher| holds(matcher, *slot as usize))).collect();
            let expected: Vec<_> = (0..all.len()).filter(|slot| !gone.contains(slot))
                .filter(|slot| matchers.iter().all(|matcher| holds(matcher, *slot))).map(|slot| slot as u32).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
