//! A series' labels in one piece of memory.
//!
//! Sorted by name, without empty values, each name once; so equal sets are equal bytes.
//! Each name and value stands behind its length (one byte, or 255 and four).

use std::{cell::Cell, cmp::Ordering, fmt, sync::Arc};

/// Bytes of memory in which a thread puts labels together: more than these don't stay.
const ROOM: usize = 16 << 10;

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The name under which a metric's own name stands.
pub const NAME: &str = "__name__";

/// Sorted labels. Clones share the memory.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Labels(Arc<[u8]>);

impl Default for Labels {
    fn default() -> Self {
        Self(Arc::from([].as_slice()))
    }
}

impl Labels {
    /// Labels from names and values in any order. Empty values are left out; of a doubled
    /// name the last stays.
    pub fn new<N: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut builder = LabelsBuilder::default();
        for (name, value) in pairs {
            builder.set(name.as_ref(), value.as_ref());
        }
        builder.finish()
    }

    /// Labels from pairs that are sorted by name already, unique and without empty values.
    pub fn from_sorted<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self::put_together(|bytes| {
            for (name, value) in pairs {
                put(bytes, name);
                put(bytes, value);
            }
        })
    }

    /// Labels from the bytes of others, one behind the other, that are in order when they are joined.
    pub(super) fn joined<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        Self::put_together(|bytes| parts.into_iter().for_each(|part| bytes.extend_from_slice(part)))
    }

    /// Labels whose bytes `write` puts into nothing: only they themselves are new memory.
    fn put_together(write: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut bytes = SCRATCH.take();
        bytes.clear();
        write(&mut bytes);
        let labels = Self(Arc::from(bytes.as_slice()));
        if bytes.capacity() <= ROOM {
            SCRATCH.set(bytes);
        }
        labels
    }

    /// Labels from pairs as somebody sent them, mostly sorted already. Empty values are left out.
    ///
    /// # Errors
    /// The name that is there twice.
    pub fn sent<'a>(pairs: &mut Vec<(&'a str, &'a str)>) -> Result<Self, &'a str> {
        if !pairs.is_sorted_by(|one, next| one.0 < next.0) {
            pairs.sort_unstable();
            if let Some(twice) = pairs.windows(2).find(|two| two[0].0 == two[1].0) {
                return Err(twice[0].0);
            }
        }
        pairs.retain(|(_, value)| !value.is_empty());
        Ok(Self::from_sorted(pairs.iter().copied()))
    }

    /// Names and values in order of the names.
    pub fn iter(&self) -> Iter<'_> {
        Iter(&self.0)
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        Self::find(&self.0, name)
    }

    /// The value of a label in bytes as [`Labels::as_bytes`] gives them.
    pub(super) fn find<'a>(bytes: &'a [u8], name: &str) -> Option<&'a str> {
        let mut pieces = Pieces(bytes);
        while let (Some(found), Some(value)) = (pieces.next(), pieces.next()) {
            if found == name.as_bytes() {
                return std::str::from_utf8(value).ok();
            }
        }
        None
    }

    /// The metric's name; empty where there is none.
    pub fn name(&self) -> &str {
        self.get(NAME).unwrap_or_default()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes that stand for these labels, in files and as keys.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Labels from what [`Labels::as_bytes`] gave.
    ///
    /// # Errors
    /// The bytes are none of it; a sentence.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        Self::check(bytes)?;
        Ok(Self(bytes.into()))
    }

    /// Whether bytes are those of labels.
    ///
    /// # Errors
    /// They are none of it; a sentence.
    pub(super) fn check(bytes: &[u8]) -> Result<(), String> {
        let mut rest = bytes;
        let mut last = "";
        while !rest.is_empty() {
            let name = take(&mut rest).ok_or("labels end early")?;
            let value = take(&mut rest).ok_or("labels end early")?;
            if (name <= last && !last.is_empty()) || value.is_empty() {
                return Err(format!("label {name:?} stands in the wrong place"));
            }
            last = name;
        }
        Ok(())
    }

    /// These labels with the named ones only.
    pub fn keep(&self, names: &[impl AsRef<str>]) -> Self {
        Self::from_sorted(self.iter().filter(|(name, _)| names.iter().any(|kept| kept.as_ref() == *name)))
    }

    /// These labels without the named ones.
    pub fn without(&self, names: &[impl AsRef<str>]) -> Self {
        Self::from_sorted(self.iter().filter(|(name, _)| !names.iter().any(|gone| gone.as_ref() == *name)))
    }

    /// A builder that begins with these.
    pub fn edit(&self) -> LabelsBuilder {
        LabelsBuilder {
            pairs: self.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        }
    }
}

/// Puts a name or a value behind what is there.
pub(super) fn put(bytes: &mut Vec<u8>, text: &str) {
    match u8::try_from(text.len()) {
        Ok(length) if length < 255 => bytes.push(length),
        _ => {
            bytes.push(255);
            bytes.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
        }
    }
    bytes.extend_from_slice(text.as_bytes());
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let mut pieces = Pieces(rest);
    let text = std::str::from_utf8(pieces.next()?).ok()?;
    *rest = pieces.0;
    Some(text)
}

/// Names and values in turn, as bytes: whether they are text was seen when labels were made.
pub(super) struct Pieces<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let (first, mut tail) = self.0.split_first()?;
        let mut length = usize::from(*first);
        if *first == 255 {
            let (four, after) = tail.split_first_chunk::<4>()?;
            length = usize::try_from(u32::from_le_bytes(*four)).ok()?;
            tail = after;
        }
        let (piece, after) = tail.split_at_checked(length)?;
        self.0 = after;
        Some(piece)
    }
}

/// Walks over labels.
#[derive(Clone)]
pub struct Iter<'a>(&'a [u8]);

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        Some((take(&mut self.0)?, take(&mut self.0)?))
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Labels {
    /// By name and value, label by label.
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) {
            return Ordering::Equal;
        }
        Pieces(&self.0).cmp(Pieces(&other.0))
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Labels {
    /// As PromQL writes a series: `up{job="node"}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        f.write_str("{")?;
        for (number, (name, value)) in self.iter().filter(|(name, _)| *name != NAME).enumerate() {
            let comma = if number > 0 { ", " } else { "" };
            write!(f, "{comma}{name}={value:?}")?;
        }
        f.write_str("}")
    }
}

/// Labels while they are put together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelsBuilder {
    pairs: Vec<(String, String)>,
}

impl LabelsBuilder {
    /// Sets a label; an empty value takes it away.
    pub fn set(&mut self, name: &str, value: &str) {
        let at = self.pairs.iter().position(|(found, _)| found == name);
        match (at, value.is_empty()) {
            (Some(at), true) => drop(self.pairs.remove(at)),
            (Some(at), false) => value.clone_into(&mut self.pairs[at].1),
            (None, true) => {}
            (None, false) => self.pairs.push((name.to_owned(), value.to_owned())),
        }
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Names and values as they were set.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub fn finish(mut self) -> Labels {
        self.pairs.sort_unstable();
        Labels::from_sorted(self.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn equal_sets_are_equal_in_any_order() {
        let one = Labels::new([("b", "2"), (NAME, "up"), ("a", "1"), ("gone", "")]);
        let other = Labels::new([("a", "0"), ("b", "2"), ("a", "1"), (NAME, "up")]);
        assert_eq!(one, other);
        assert_eq!(one.to_string(), r#"up{a="1", b="2"}"#);
        assert_eq!((one.name(), one.get("b"), one.get("gone")), ("up", Some("2"), None));
        assert_eq!(one.keep(&["a"]), Labels::new([("a", "1")]));
        assert_eq!(one.without(&["a", NAME]), Labels::new([("b", "2")]));
    }

    #[test]
    fn what_is_sent_is_sorted_and_no_name_is_there_twice() {
        let sorted = Labels::sent(&mut vec![("a", "1"), ("b", ""), ("c", "3")]);
        assert_eq!(sorted, Ok(Labels::new([("a", "1"), ("c", "3")])));
        assert_eq!(Labels::sent(&mut vec![("c", "3"), ("a", "1")]), sorted);
        assert_eq!(Labels::sent(&mut vec![("c", "3"), ("a", "1"), ("c", "")]), Err("c"));
        assert_eq!(Labels::sent(&mut vec![("a", "1"), ("a", "2")]), Err("a"));
    }

    #[test]
    fn what_is_no_labels_is_refused() {
        assert!(Labels::from_bytes(&[3, b'a']).is_err());
        assert!(Labels::from_bytes(&[1, b'b', 1, b'x', 1, b'a', 1, b'x']).is_err());
        assert!(Labels::from_bytes(&[1, b'b', 0]).is_err());
    }

    #[test]
    fn labels_made_while_others_are_made_are_none_of_them() {
        let inner = |n: usize| Labels::new([("inner", n.to_string())]);
        let values: Vec<_> = (0..3).map(|n| format!("{:?}", inner(n))).collect();
        let names = ["a", "b", "c"];
        let made = Labels::from_sorted(names.iter().zip(&values).map(|(name, value)| {
            assert_eq!(inner(7).get("inner"), Some("7"));
            (*name, value.as_str())
        }));
        assert_eq!(made, Labels::new(names.iter().zip(&values)));
        // Nothing of longer ones is left over, wherever they are put together.
        let long = "v".repeat(2 * ROOM);
        assert_eq!(Labels::new([("a", long.as_str())]).get("a"), Some(long.as_str()));
        assert_eq!(Labels::joined([made.as_bytes()]), made);
        assert_eq!(inner(1).as_bytes(), b"\x05inner\x011");
    }

    proptest! {
        #[test]
        fn bytes_give_the_same_labels(pairs in prop::collection::btree_map("[a-z]{1,4}", ".{1,300}", 0..6)) {
            let labels = Labels::new(&pairs);
            let again = Labels::from_bytes(labels.as_bytes()).expect("its own bytes");
            prop_assert_eq!(&again, &labels);
            let seen: Vec<_> = labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
            prop_assert_eq!(seen, pairs.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn they_stand_in_order_of_names_and_values(
            one in prop::collection::btree_map("[ab]{1,2}", "[a-cé]{1,3}", 0..4),
            other in prop::collection::btree_map("[ab]{1,2}", "[a-cé]{1,3}", 0..4),
        ) {
            let labels = Labels::new(&one);
            prop_assert_eq!(labels.cmp(&Labels::new(&other)), one.iter().cmp(other.iter()));
            for name in ["a", "b", "ab"] {
                prop_assert_eq!(labels.get(name), one.get(name).map(String::as_str));
            }
        }
    }
}
