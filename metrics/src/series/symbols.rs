//! A series' labels as they are kept in memory: a place a label, which all series that have it share.
//!
//! Names repeat in all series, and values such as a job, a namespace or a Pod in many: as text they
//! would be most of what a series takes. A [`Symbol`] is one name with one value, once; the index has
//! one of each ([`super::index`]), series hold theirs, and with the last of them its memory is given
//! back. Its bytes are those that [`Labels`] has for the pair, so that the bytes of a series' symbols in
//! a row are those of its labels: whether text that comes is a series' is seen without putting anything
//! together.
//!
//! Nor has a series a list of its own. What one container or one object tells differs by the metric's name
//! and, of a histogram, by the bucket's bound; the [`Rest`] of the labels is one list for all of it.
//! What it must not do: find a symbol by its text, or lock anything.

use std::{cmp::Ordering, fmt, sync::Arc};

use super::{
    Labels, NAME,
    labels::{Pieces, put},
};

/// The name under which the upper bound of a histogram's bucket stands.
const BOUND: &str = "le";

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

    /// Where it lies: of symbols that are alike, an index has one.
    pub fn address(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
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

/// The labels of a series but for its metric's name and its bucket's bound, in order of their names. Clones
/// share the memory.
#[derive(Debug, Clone)]
pub struct Rest(Arc<Listed>);

#[derive(Debug)]
struct Listed {
    symbols: Box<[Symbol]>,
    /// So many of them stand before the name, and so many before the bound.
    before_name: u32,
    before_bound: u32,
}

impl Rest {
    fn new(symbols: Vec<Symbol>) -> Self {
        let before = |name: &str| symbols.partition_point(|symbol| symbol.name() < name) as u32;
        let (before_name, before_bound) = (before(NAME), before(BOUND));
        Self(Arc::new(Listed { symbols: symbols.into_boxed_slice(), before_name, before_bound }))
    }

    pub fn symbols(&self) -> &[Symbol] {
        &self.0.symbols
    }
}

impl PartialEq for Rest {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.symbols() == other.symbols()
    }
}

impl Eq for Rest {}

/// The labels of a series, in order of their names; in the order of [`Labels`] among one another. Clones
/// share the memory.
#[derive(Clone, PartialEq, Eq)]
pub struct Symbols {
    name: Option<Symbol>,
    bound: Option<Symbol>,
    rest: Rest,
}

impl Symbols {
    /// `symbol` gives that of a name and a value.
    pub fn of(labels: &Labels, mut symbol: impl FnMut(&str, &str) -> Symbol) -> Self {
        let (mut name_of_it, mut bound, mut rest) = (None, None, Vec::new());
        for (name, value) in labels.iter() {
            let symbol = symbol(name, value);
            match name {
                NAME => name_of_it = Some(symbol),
                BOUND => bound = Some(symbol),
                _ => rest.push(symbol),
            }
        }
        Self { name: name_of_it, bound, rest: Rest::new(rest) }
    }

    pub fn rest(&self) -> &Rest {
        &self.rest
    }

    /// The same with this rest, which must be like its own.
    #[must_use]
    pub fn sharing(self, rest: Rest) -> Self {
        Self { rest, ..self }
    }

    /// Them all, in pieces: the name and the bound, and what stands before, between and behind them.
    fn pieces(&self) -> [&[Symbol]; 5] {
        let Listed { symbols, before_name, before_bound } = &*self.rest.0;
        // The name's name is less than the bound's.
        let (others, back) = symbols.split_at(*before_bound as usize);
        let (front, middle) = others.split_at(*before_name as usize);
        [front, self.name.as_slice(), middle, self.bound.as_slice(), back]
    }

    pub fn iter(&self) -> impl Iterator<Item = &Symbol> {
        self.pieces().into_iter().flatten()
    }

    /// Whether they are the labels that these bytes stand for.
    pub fn are(&self, bytes: &[u8]) -> bool {
        let mut rest = bytes;
        for piece in self.pieces() {
            for symbol in piece {
                match rest.strip_prefix(symbol.as_bytes()) {
                    Some(behind) => rest = behind,
                    None => return false,
                }
            }
        }
        rest.is_empty()
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        let found = match name {
            NAME => self.name.as_ref(),
            BOUND => self.bound.as_ref(),
            _ => {
                let has_it = |symbol: &&Symbol| Pieces(&symbol.0).next() == Some(name.as_bytes());
                self.rest.symbols().iter().find(has_it)
            }
        };
        found.map(Symbol::value)
    }

    /// The labels as text of their own.
    pub fn labels(&self) -> Labels {
        Labels::joined(self.iter().map(Symbol::as_bytes))
    }
}

impl PartialOrd for Symbols {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Symbols {
    fn cmp(&self, other: &Self) -> Ordering {
        let (one, two) = (self.pieces(), other.pieces());
        // Where pieces are as long as the other's, they are in order as all of it is.
        match (0..4).all(|at| one[at].len() == two[at].len()) {
            true => one.cmp(&two),
            false => self.iter().cmp(other.iter()),
        }
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
        assert_eq!((size_of::<Symbol>(), size_of::<Symbols>()), (8, 24));
        assert_eq!((size_of::<Option<Symbols>>(), size_of::<Listed>()), (24, 24));
    }

    #[test]
    fn a_name_and_a_bound_stand_where_their_names_say() {
        // What begins with a capital letter stands before `__name__`, and so does `__a`.
        let pairs = [(NAME, "up"), ("Zone", "z"), ("__a", "1"), ("job", "j"), ("le", "5"), ("lf", "f")];
        for left_out in 0..=pairs.len() {
            let kept = pairs.iter().enumerate().filter(|(at, _)| *at != left_out).map(|(_, pair)| *pair);
            let labels = Labels::new(kept);
            let symbols = apart(&labels);
            assert_eq!((symbols.labels(), symbols.are(labels.as_bytes())), (labels.clone(), true));
            let names: Vec<_> = symbols.iter().map(Symbol::name).collect();
            assert!(names.is_sorted(), "{names:?}");
            for (name, _) in pairs {
                assert_eq!(symbols.get(name), labels.get(name));
            }
        }
    }

    #[test]
    fn series_that_differ_by_name_and_bound_have_the_same_rest() {
        let of = |pairs: &[(&str, &str)]| apart(&Labels::new(pairs.iter().copied().chain([("pod", "a")])));
        let (one, other) = (of(&[(NAME, "up")]), of(&[(NAME, "x_bucket"), (BOUND, "0.5")]));
        assert!(one.rest() == other.rest() && one != other);
        assert!(one.rest() != of(&[("job", "b")]).rest());
        // Whoever takes the other's is what it was.
        let sharing = other.clone().sharing(one.rest().clone());
        assert!(sharing == other && sharing.labels() == other.labels());
        assert_eq!(sharing.rest().symbols()[0].address(), one.rest().symbols()[0].address());
        assert_ne!(sharing.rest().symbols()[0].address(), other.rest().symbols()[0].address());
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
        let name = prop_oneof![3 => "[abz]{1,2}", 1 => Just(NAME.to_owned()), 1 => Just(BOUND.to_owned())];
        let pairs = prop::collection::btree_map(name, "[a-cé]{1,3}", 0..5);
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
            for name in ["a", "b", "ab", "c", NAME, BOUND] {
                prop_assert_eq!(symbols.get(name), of_one.get(name));
            }
        }
    }
}
