//! Which series have which labels: for each name and value the slots of the series.

use std::collections::HashMap;

use super::{Labels, MatchOp, Matcher};

/// Slots by label, ascending.
#[derive(Debug, Default)]
pub struct Index {
    names: HashMap<Box<str>, HashMap<Box<str>, Vec<u32>>>,
    all: Vec<u32>,
}

impl Index {
    pub fn add(&mut self, slot: u32, labels: &Labels) {
        for (name, value) in labels.iter() {
            if !self.names.contains_key(name) {
                self.names.insert(name.into(), HashMap::new());
            }
            let Some(values) = self.names.get_mut(name) else { continue };
            match values.get_mut(value) {
                Some(slots) => insert(slots, slot),
                None => drop(values.insert(value.into(), vec![slot])),
            }
        }
        insert(&mut self.all, slot);
    }

    /// Takes out series; `gone` are their slots, ascending, with their labels.
    pub fn remove(&mut self, gone: &[(u32, Labels)]) {
        let is_gone = |slot: &u32| gone.binary_search_by_key(slot, |(slot, _)| *slot).is_ok();
        self.all.retain(|slot| !is_gone(slot));
        let mut touched: Vec<_> = gone.iter().flat_map(|(_, labels)| labels.iter()).collect();
        touched.sort_unstable();
        touched.dedup();
        for (name, value) in touched {
            let Some(values) = self.names.get_mut(name) else { continue };
            let Some(slots) = values.get_mut(value) else { continue };
            slots.retain(|slot| !is_gone(slot));
            if slots.is_empty() {
                values.remove(value);
            }
            if values.is_empty() {
                self.names.remove(name);
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
            return Slots::Kept(values.get(matcher.value.as_str()).map_or(&[], Vec::as_slice));
        }
        let matching = values.iter().filter(|(value, _)| matcher.matches(value));
        let mut slots: Vec<_> = matching.flat_map(|(_, slots)| slots.iter().copied()).collect();
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
    match slots.last() {
        Some(last) if *last >= slot => {
            if let Err(at) = slots.binary_search(&slot) {
                slots.insert(at, slot);
            }
        }
        _ => slots.push(slot),
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
mod tests {
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
            for slot in (0..all.len()).rev() {
                index.add(slot as u32, &all[slot]);
            }
            let out: Vec<_> =
                gone.iter().filter_map(|slot| Some((*slot as u32, all.get(*slot)?.clone()))).collect();
            index.remove(&out);
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
