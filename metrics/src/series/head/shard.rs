//! The series of one shard, found by their labels or by their place.
//!
//! Series stand side by side in pages: a piece of memory for each would take what the allocator rounds up,
//! and the place of a pointer to it. A page goes when all its series are gone. Places are used again, under
//! another generation. What it must not do: know the index, or lock anything.

use std::cmp::Reverse;

use hashbrown::HashTable;
use tiphys_api::ways::Ways;

use super::kept::Kept;
use crate::series::{Labels, Symbols};

/// Series of a page; as many as stand in 8 kB, which the allocator has a size of.
const PAGE: usize = 8192 / size_of::<Option<Kept>>();

/// Without places where all its series are gone.
type Page = Box<[Option<Kept>]>;

/// Series of one shard.
#[derive(Debug, Default)]
pub struct Shard {
    /// Places, by the hash of the labels that stand there.
    by_labels: HashTable<u32>,
    pages: Vec<Page>,
    /// Places that there were so far.
    places: u32,
    free: Vec<u32>,
    /// Counts up with every series made, so that no id is given twice.
    generation: u32,
}

/// The page of a place, and where it is there.
fn within(at: u32) -> (usize, usize) {
    (at as usize / PAGE, at as usize % PAGE)
}

fn at(pages: &[Page], at: u32) -> Option<&Kept> {
    let (page, place) = within(at);
    pages.get(page)?.get(place)?.as_ref()
}

impl Shard {
    /// Where the series with these labels stands, and its generation; `hash` is that of the labels.
    pub fn find(&self, hash: u64, labels: &Labels) -> Option<(u32, u32)> {
        let is_it = |at: &u32| self.at(*at).is_some_and(|kept| kept.symbols.are(labels.as_bytes()));
        let at = *self.by_labels.find(hash, is_it)?;
        Some((at, self.at(at)?.generation))
    }

    /// Where the next series that is added will stand.
    pub fn next_place(&self) -> u32 {
        self.free.last().copied().unwrap_or(self.places)
    }

    /// Adds a series that is not there; `of_labels` is the hash of its labels, as `hash` gives it of others.
    pub fn add(&mut self, symbols: Symbols, of_labels: u64, hash: impl Fn(&Symbols) -> u64) -> (u32, u32) {
        self.generation = self.generation.wrapping_add(1);
        let place = self.next_place();
        if self.free.pop().is_none() {
            self.places += 1;
        }
        self.put(place, Kept::new(symbols, self.generation));
        let pages = &self.pages;
        let of_place = |place: &u32| at(pages, *place).map_or(0, |kept| hash(&kept.symbols));
        self.by_labels.insert_unique(of_labels, place, of_place);
        (place, self.generation)
    }

    fn put(&mut self, at: u32, kept: Kept) {
        let (page, place) = within(at);
        if page >= self.pages.len() {
            self.pages.resize_with(page + 1, Page::default);
        }
        let page = &mut self.pages[page];
        if page.is_empty() {
            *page = (0..PAGE).map(|_| None).collect();
        }
        page[place] = Some(kept);
    }

    pub fn at(&self, place: u32) -> Option<&Kept> {
        at(&self.pages, place)
    }

    #[inline]
    pub fn get_mut(&mut self, at: u32, generation: u32) -> Option<&mut Kept> {
        let (page, place) = within(at);
        let kept = self.pages.get_mut(page)?.get_mut(place)?.as_mut();
        kept.filter(|kept| kept.generation == generation)
    }

    /// Remembers by which ways a series comes, if that is said.
    pub fn comes_by(&mut self, at: u32, generation: u32, ways: Ways) {
        if !ways.is_empty()
            && let Some(kept) = self.get_mut(at, generation)
        {
            kept.ways = ways;
        }
    }

    pub fn each(&self, mut take: impl FnMut(u32, &Kept)) {
        for (number, page) in self.pages.iter().enumerate() {
            for (place, kept) in page.iter().enumerate() {
                if let Some(kept) = kept {
                    take((number * PAGE + place) as u32, kept);
                }
            }
        }
    }

    /// Drops what is older; gives the series that are gone, and by which ways they came.
    pub fn drop_before(&mut self, time: i64, hash: impl Fn(&Symbols) -> u64) -> Vec<(u32, Symbols, Ways)> {
        let mut gone = Vec::new();
        for (number, page) in self.pages.iter_mut().enumerate() {
            for (place, slot) in page.iter_mut().enumerate() {
                if slot.as_mut().is_some_and(|kept| !kept.drop_before(time))
                    && let Some(kept) = slot.take()
                {
                    gone.push(((number * PAGE + place) as u32, kept.symbols, kept.ways));
                }
            }
            if page.iter().all(Option::is_none) {
                *page = Page::default();
            }
        }
        for (at, symbols, _) in &gone {
            if let Ok(entry) = self.by_labels.find_entry(hash(symbols), |place| place == at) {
                entry.remove();
            }
            self.free.push(*at);
        }
        if !gone.is_empty() {
            // The first ones are used first: pages at the end become empty, and lists of the index grow at
            // their end.
            self.free.sort_unstable_by_key(|at| Reverse(*at));
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeMap,
        hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    };

    use super::*;
    use crate::series::{NAME, Value, symbols::Symbol};

    fn labels(number: usize) -> Labels {
        Labels::new([(NAME, "up".to_owned()), ("pod", number.to_string())])
    }

    fn hash(labels: &Labels) -> u64 {
        BuildHasherDefault::<DefaultHasher>::default().hash_one(labels)
    }

    /// A series with a sample at a time.
    fn add(shard: &mut Shard, number: usize, time: i64) -> (u32, u32) {
        let labels = labels(number);
        let place = shard.next_place();
        let symbols = Symbols::of(&labels, Symbol::new);
        let (at, generation) = shard.add(symbols, hash(&labels), |symbols| hash(&symbols.labels()));
        assert_eq!(at, place);
        shard.get_mut(at, generation).expect("just made").push(time, &Value::Number(1.0));
        (at, generation)
    }

    fn drop_before(shard: &mut Shard, time: i64) -> usize {
        shard.drop_before(time, |symbols| hash(&symbols.labels())).len()
    }

    /// What is found in every way is what a plain map has.
    fn check(shard: &Shard, plain: &BTreeMap<usize, (u32, u32)>) {
        let mut found = BTreeMap::new();
        shard.each(|at, kept| {
            let number = kept.symbols.get("pod").and_then(|pod| pod.parse::<usize>().ok());
            found.insert(number.expect("its own"), (at, kept.generation));
        });
        assert_eq!(&found, plain);
        for (number, (at, generation)) in plain {
            assert_eq!(shard.find(hash(&labels(*number)), &labels(*number)), Some((*at, *generation)));
            assert!(shard.at(*at).is_some_and(|kept| kept.labels() == labels(*number)));
        }
    }

    fn full(shard: &Shard) -> Vec<bool> {
        shard.pages.iter().map(|page| !page.is_empty()).collect()
    }

    #[test]
    fn a_page_goes_with_its_series_and_comes_again() {
        let (mut shard, mut plain) = (Shard::default(), BTreeMap::new());
        // Those of the page in the middle are older, and so is the first of the others.
        let time = |number: usize| if number == 0 || (PAGE..2 * PAGE).contains(&number) { 10 } else { 20 };
        for number in 0..2 * PAGE + 5 {
            plain.insert(number, add(&mut shard, number, time(number)));
        }
        check(&shard, &plain);
        let old = plain[&PAGE];
        assert_eq!(drop_before(&mut shard, 15), PAGE + 1);
        plain.retain(|number, _| time(*number) == 20);
        check(&shard, &plain);
        assert_eq!(full(&shard), [true, false, true]);
        assert!(shard.at(old.0).is_none() && shard.get_mut(old.0, old.1).is_none());
        assert_eq!(shard.find(hash(&labels(PAGE)), &labels(PAGE)), None);
        // As many come anew: no place is without use, and no id is there twice.
        for number in (0..=PAGE).map(|n| 10 * PAGE + n) {
            plain.insert(number, add(&mut shard, number, 30));
        }
        check(&shard, &plain);
        assert_eq!((full(&shard), shard.places as usize), (vec![true; 3], 2 * PAGE + 5));
        assert!(shard.at(old.0).is_some() && shard.get_mut(old.0, old.1).is_none());
        drop_before(&mut shard, 100);
        assert_eq!((full(&shard), shard.by_labels.len()), (vec![false; 3], 0));
        let (at, _) = add(&mut shard, 0, 100);
        assert_eq!(at, 0, "the first ones are used first");
    }
}
