//! Which series have which labels: for each name and value the slots of the series, and the symbol that
//! all of them share.
//!
//! The list of slots is the symbol's count, too: where no series is left, both go. Of the rests of labels
//! that series have in common ([`super::symbols`]) it has one each, and counts their series.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hasher, RandomState},
};

use hashbrown::{HashTable, hash_table::Entry};

use super::{
    Labels, MatchOp, Matcher,
    symbols::{Rest, Symbol, Symbols},
};

/// Lists that are shorter grow by a quarter, others by an eighth: those of a Pod or a container are many and
/// short, and of the long ones each series has several.
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

/// A rest of labels, and how many series have it.
#[derive(Debug)]
struct Alike {
    rest: Rest,
    series: u32,
}

/// Slots by label, ascending.
#[derive(Debug, Default)]
pub struct Index {
    hasher: RandomState,
    names: HashMap<Box<str>, Values>,
    /// By the hash of where their symbols lie.
    rests: HashTable<Alike>,
    all: Vec<u32>,
}

impl Index {
    /// Adds a series, and gives its labels as all series of the index have them.
    pub fn add(&mut self, slot: u32, labels: &Labels) -> Symbols {
        insert(&mut self.all, slot);
        let symbols = Symbols::of(labels, |name, value| self.post(slot, name, value));
        self.share(symbols)
    }

    /// The same, with the rest that other series have already.
    fn share(&mut self, symbols: Symbols) -> Symbols {
        let (hasher, rest) = (&self.hasher, symbols.rest());
        let is_it = |one: &Alike| one.rest == *rest;
        match self.rests.entry(hash_of(hasher, rest), is_it, |one| hash_of(hasher, &one.rest)) {
            Entry::Occupied(mut found) => {
                found.get_mut().series += 1;
                let rest = found.get().rest.clone();
                symbols.sharing(rest)
            }
            Entry::Vacant(place) => {
                place.insert(Alike { rest: rest.clone(), series: 1 });
                symbols
            }
        }
    }

    /// One series less has this rest.
    fn unshare(&mut self, rest: &Rest) {
        let is_it = |one: &Alike| one.rest == *rest;
        let Ok(mut found) = self.rests.find_entry(hash_of(&self.hasher, rest), is_it) else { return };
        found.get_mut().series -= 1;
        if found.get().series == 0 {
            drop(found.remove());
        }
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
        gone.iter().for_each(|(_, symbols)| self.unshare(symbols.rest()));
        let hasher = &self.hasher;
        if self.rests.len() < self.rests.capacity() / 4 {
            self.rests.shrink_to(self.rests.len() * 2, |one| hash_of(hasher, &one.rest));
        }
        let mut touched: Vec<_> = gone.iter().flat_map(|(_, symbols)| symbols.iter()).collect();
        touched.sort_unstable();
        touched.dedup();
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

/// Symbols of an index are alike where they lie at one place.
fn hash_of(hasher: &RandomState, rest: &Rest) -> u64 {
    let mut hash = hasher.build_hasher();
    rest.symbols().iter().for_each(|symbol| hash.write_usize(symbol.address()));
    hash.finish()
}

fn insert(slots: &mut Vec<u32>, slot: u32) {
    if slots.len() == slots.capacity() {
        let more = if slots.len() < SHORT { slots.len() / 4 + 1 } else { slots.len() / 8 };
        let room = (slots.len() + more).next_multiple_of(4);
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
    fn series_of_one_object_share_the_rest_of_their_labels() {
        let mut index = Index::default();
        let of = |name: &str, le: &str| Labels::new([("__name__", name), ("le", le), ("pod", "a")]);
        let series = [of("up", ""), of("x_bucket", "1"), of("x_bucket", "2"), of("x_sum", "")];
        let mut added: Vec<_> =
            (0..).zip(&series).map(|(slot, labels)| (slot, index.add(slot, labels))).collect();
        let places = |index: &Index| index.rests.iter().map(|one| one.series).collect::<Vec<_>>();
        assert_eq!(places(&index), [4]);
        let of_one = added[0].1.rest().symbols().as_ptr();
        assert!(added.iter().all(|(_, symbols)| symbols.rest().symbols().as_ptr() == of_one));
        assert!(added.iter().zip(&series).all(|((_, symbols), labels)| symbols.labels() == *labels));
        // Another Pod's is another, and so is none.
        let other = index.add(4, &labels("up", "b"));
        let none = index.add(5, &Labels::new([("__name__", "up")]));
        assert_eq!(index.rests.len(), 3);
        index.remove(&[(4, other), (5, none)]);
        index.remove(&added.split_off(1));
        assert_eq!(places(&index), [1]);
        assert_eq!(index.add(9, &series[1]).rest().symbols().as_ptr(), of_one);
        index.remove(&added);
        assert_eq!(places(&index), [1]);
    }

    #[test]
    fn long_lists_have_little_room_for_more() {
        let mut slots = Vec::new();
        for slot in 0..100_000 {
            insert(&mut slots, slot);
            let part = if slots.len() < 2 * SHORT { 4 } else { 8 };
            let most = slots.len() + slots.len() / part + 8;
            assert!(slots.capacity() <= most, "{} places of {}", slots.capacity(), slots.len());
        }
        assert!(slots.iter().copied().eq(0..100_000));
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
        assert!(index.rests.capacity() < 100, "{} rests", index.rests.capacity());
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
            let left: BTreeSet<&Labels> = left.map(|(_, labels)| labels).collect();
            let plain: BTreeSet<(&str, &str)> = left.iter().flat_map(|labels| labels.iter()).collect();
            prop_assert_eq!((index.symbols(), index.rests.len()), (plain.len(), left.len()));
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
