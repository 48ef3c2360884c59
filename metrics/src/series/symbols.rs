//! A series' labels as they are kept in memory: a place a label, which all series that have it share.
//!
//! Names repeat in all series, and values such as a job, a namespace or a Pod in many: as text they
//! would be most of what a series takes. A [`Symbol`] is one name with one value, once; the index has
//! one of each ([`super::index`]), series hold theirs, and with the last of them its memory is given
//! back. Its bytes are those that [`Labels`] has for the pair, so that the bytes of a series' symbols in
//! a row are those of its labels: whether text that comes is a series' is seen without putting anything
//! together. What it must not do: find a symbol by its text, or lock anything.

use std::{cmp::Ordering, fmt, sync::Arc};

use super::{
    Labels,
    labels::{Pieces, put},
};

/// A label. Clones share the memory; the text stands apart, so that a place is eight bytes.
#[derive(Clone)]
pub struct Symbol(Arc<Box<[u8]>>);

impl Symbol {
    pub fn new(name: &str, value: &str) -> Self {
        let mut bytes = Vec::with_capacity(name.len() + value.len() + 2);
        put(&mut bytes, name);
        put(&mut bytes, value);
        Self(Arc::new(bytes.into_boxed_slice()))
    }

    /// Its part of what [`Labels::as_bytes`] gives.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn name(&self) -> &str {
        text(Pieces(&self.0).next())
    }

    pub fn value(&self) -> &str {
        text(Pieces(&self.0).nth(1))
    }
}

fn text(piece: Option<&[u8]>) -> &str {
    piece.and_then(|piece| std::str::from_utf8(piece).ok()).unwrap_or_default()
}

impl PartialEq for Symbol {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl Eq for Symbol {}

impl PartialOrd for Symbol {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Symbol {
    /// By name and value.
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) {
            return Ordering::Equal;
        }
        Pieces(&self.0).cmp(Pieces(&other.0))
    }
}

impl fmt::Debug for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={:?}", self.name(), self.value())
    }
}

/// The labels of a series, in order of their names; in the order of [`Labels`] among one another. Clones
/// share the memory.
#[derive(Clone, PartialEq, Eq)]
pub struct Symbols(Arc<[Symbol]>);

impl Symbols {
    /// `symbol` gives that of a name and a value.
    pub fn of(labels: &Labels, mut symbol: impl FnMut(&str, &str) -> Symbol) -> Self {
        Self(labels.iter().map(|(name, value)| symbol(name, value)).collect())
    }

    pub fn iter(&self) -> impl Iterator<Item = &Symbol> {
        self.0.iter()
    }

    /// Whether they are the labels that these bytes stand for.
    pub fn are(&self, bytes: &[u8]) -> bool {
        let mut rest = bytes;
        for symbol in &*self.0 {
            match rest.strip_prefix(symbol.as_bytes()) {
                Some(behind) => rest = behind,
                None => return false,
            }
        }
        rest.is_empty()
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        let has_it = |symbol: &&Symbol| Pieces(&symbol.0).next() == Some(name.as_bytes());
        self.0.iter().find(has_it).map(Symbol::value)
    }

    /// The labels as text of their own.
    pub fn labels(&self) -> Labels {
        Labels::joined(self.0.iter().map(Symbol::as_bytes))
    }

    /// Bytes that a series has of them for itself: its list, with the two counts before it.
    pub fn size(&self) -> usize {
        size_of_val(&*self.0) + 2 * size_of::<usize>()
    }
}

impl PartialOrd for Symbols {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Symbols {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.iter().cmp(other.0.iter())
    }
}

impl fmt::Debug for Symbols {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.labels(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn apart(labels: &Labels) -> Symbols {
        Symbols::of(labels, Symbol::new)
    }

    #[test]
    fn a_place_is_small() {
        let symbols = apart(&Labels::new([("a", "1"), ("b", "2"), ("c", "3")]));
        assert_eq!((size_of::<Symbol>(), size_of::<Symbols>(), symbols.size()), (8, 16, 16 + 3 * 8));
    }

    #[test]
    fn long_names_and_values_are_told_apart() {
        let (short, long) = ("v".repeat(254), "v".repeat(255));
        let pairs = [("a", short.as_str()), ("b", long.as_str())];
        let symbols = apart(&Labels::new(pairs));
        assert_eq!(symbols.labels(), Labels::new(pairs));
        assert_eq!((symbols.get("a"), symbols.get("b")), (Some(short.as_str()), Some(long.as_str())));
        // A value must not run into what follows it.
        let other = Labels::new([("a", format!("{short}\u{1}b").as_str()), ("b", long.as_str())]);
        assert!(!symbols.are(other.as_bytes()) && apart(&other).are(other.as_bytes()));
    }

    fn pairs() -> impl Strategy<Value = Vec<(String, String)>> {
        let pairs = prop::collection::btree_map("[ab]{1,2}", "[a-cé]{1,3}", 0..4);
        pairs.prop_map(|pairs| pairs.into_iter().collect::<Vec<_>>())
    }

    proptest! {
        #[test]
        fn they_are_what_their_labels_are(one in pairs(), other in pairs()) {
            let (of_one, of_other) = (Labels::new(one.iter().cloned()), Labels::new(other.iter().cloned()));
            let (symbols, others) = (apart(&of_one), apart(&of_other));
            prop_assert_eq!(symbols.labels(), of_one.clone());
            prop_assert!(symbols.are(of_one.as_bytes()));
            prop_assert_eq!(symbols.are(of_other.as_bytes()), of_one == of_other);
            prop_assert_eq!(symbols == others, of_one == of_other);
            prop_assert_eq!(symbols.cmp(&others), of_one.cmp(&of_other));
            for name in ["a", "b", "ab", "c"] {
                prop_assert_eq!(symbols.get(name), of_one.get(name));
            }
        }
    }
}
