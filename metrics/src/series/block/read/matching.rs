//! Which rows of a batch match.
//!
//! A pair that must be there stands among a row's labels byte by byte, so that rows without these bytes
//! are passed over together, and only what may match is looked at label by label.

use datafusion::arrow::{
    array::{Array, BinaryArray, BooleanArray, StringArray},
    error::ArrowError,
};
use memchr::memmem::Finder;

use crate::series::{Labels, MatchOp, Matcher, NAME};

pub(super) fn names_that_match(names: &StringArray, matchers: &[Matcher]) -> BooleanArray {
    // Equal names stand side by side.
    let mut last: Option<(&str, bool)> = None;
    let matches = |name| match last {
        Some((before, matches)) if before == name => matches,
        _ => {
            let matches = matchers.iter().all(|matcher| matcher.matches(name));
            last = Some((name, matches));
            matches
        }
    };
    names.iter().map(|name| name.unwrap_or_default()).map(matches).map(Some).collect()
}

/// Conditions on labels.
pub(super) struct Conditions {
    matchers: Vec<Matcher>,
    /// The longest pair of which one says that it is there.
    pair: Option<Finder<'static>>,
}

impl Conditions {
    /// Those of a question that are not about the name; `None`: there are none.
    pub fn of_labels(matchers: &[Matcher]) -> Option<Self> {
        let others: Vec<_> = matchers.iter().filter(|matcher| matcher.name != NAME).cloned().collect();
        (!others.is_empty()).then(|| Self::new(others))
    }

    /// Whether one of them is a pair that must be there.
    pub fn has_pair(&self) -> bool {
        self.pair.is_some()
    }

    fn new(matchers: Vec<Matcher>) -> Self {
        let must_be = matchers.iter().filter(|one| one.op == MatchOp::Equal && !one.value.is_empty());
        let pairs = must_be.map(|one| Labels::from_sorted([(one.name.as_str(), one.value.as_str())]));
        let longest = pairs.max_by_key(|pair| pair.as_bytes().len());
        let pair = longest.map(|pair| Finder::new(pair.as_bytes()).into_owned());
        Self { matchers, pair }
    }

    /// # Errors
    /// Labels that may match are none.
    pub fn rows_that_match(&self, labels: &BinaryArray) -> Result<BooleanArray, ArrowError> {
        let mut found = vec![false; labels.len()];
        match &self.pair {
            Some(pair) => {
                for at in rows_with(pair, labels) {
                    found[at] = self.matches(labels.value(at))?;
                }
            }
            None => {
                for (at, found) in found.iter_mut().enumerate() {
                    *found = self.matches(labels.value(at))?;
                }
            }
        }
        Ok(found.into())
    }

    fn matches(&self, labels: &[u8]) -> Result<bool, ArrowError> {
        Labels::check(labels).map_err(ArrowError::ParquetError)?;
        let is_met = |one: &Matcher| one.matches(Labels::find(labels, &one.name).unwrap_or_default());
        Ok(self.matchers.iter().all(is_met))
    }
}

/// The rows in which these bytes begin, in order, each once.
fn rows_with<'a>(sought: &'a Finder<'static>, cells: &'a BinaryArray) -> impl Iterator<Item = usize> + 'a {
    let (bytes, ends) = (cells.value_data(), cells.value_offsets());
    let mut row = 0;
    std::iter::from_fn(move || {
        let from = ends[row] as usize;
        let place = from + sought.find(&bytes[from..ends[cells.len()] as usize])?;
        row += ends[row + 1..].partition_point(|end| *end as usize <= place);
        row += 1;
        Some(row - 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(series: &[&[(&str, &str)]]) -> BinaryArray {
        let labels: Vec<_> = series.iter().map(|pairs| Labels::new(pairs.iter().copied())).collect();
        labels.iter().map(|labels| Some(labels.as_bytes())).collect()
    }

    /// Rows that match by looking at each.
    fn naive(cells: &BinaryArray, matchers: &[Matcher]) -> Vec<bool> {
        let labels = |at: usize| Labels::from_bytes(cells.value(at)).expect("labels");
        let matches = |labels: &Labels| {
            matchers.iter().all(|one| one.matches(labels.get(&one.name).unwrap_or_default()))
        };
        (0..cells.len()).map(|at| matches(&labels(at))).collect()
    }

    fn found(cells: &BinaryArray, matchers: &[Matcher]) -> Vec<bool> {
        let found = Conditions::new(matchers.to_vec()).rows_that_match(cells).expect("labels");
        found.values().iter().collect()
    }

    #[test]
    fn the_same_rows_are_found_as_by_looking_at_each() {
        let long = "x".repeat(300);
        let all = cells(&[
            &[],
            &[("a", "1"), ("b", "2")],
            &[("a", "11"), ("b", "2")],
            &[("a", "1")],
            &[],
            // The bytes of a pair, in another label's value and over the border of two.
            &[("a", "\u{1}a\u{1}1"), ("b", "2")],
            &[("z", "y\u{1}a")],
            &[("\u{1}1", "q")],
            &[("a", &long), ("b", "2")],
            &[("a", "1"), ("b", "2"), ("c", "3")],
            &[],
        ]);
        let is = Matcher::equal;
        let not = |name, value| Matcher::new(name, MatchOp::NotEqual, value).expect("valid");
        let like = |name, value| Matcher::new(name, MatchOp::Matches, value).expect("valid");
        let table = [
            (vec![is("a", "1")], 3),
            (vec![is("b", "2")], 5),
            (vec![is("a", "1"), is("b", "2")], 2),
            (vec![is("a", "1"), is("c", "")], 2),
            (vec![is("a", &long)], 1),
            (vec![is("a", "")], 5),
            (vec![is("b", "2"), not("a", "1")], 3),
            (vec![is("b", "2"), like("a", "1+")], 3),
            (vec![like("a", "1+")], 4),
            (vec![is("a", "2")], 0),
        ];
        for (matchers, count) in table {
            // Also where a batch is a part of a column.
            for part in [all.clone(), all.slice(1, all.len() - 1), all.slice(2, 5), all.slice(4, 0)] {
                assert_eq!(found(&part, &matchers), naive(&part, &matchers), "{matchers:?}");
            }
            assert_eq!(found(&all, &matchers).iter().filter(|found| **found).count(), count, "{matchers:?}");
        }
    }

    #[test]
    fn labels_that_are_none_are_told_where_they_may_match() {
        let whole = Labels::new([("a", "1")]);
        let broken: BinaryArray =
            [whole.as_bytes(), b"\x01a\x011\x09", b"\x09".as_slice()].map(Some).into_iter().collect();
        let told = |matcher| Conditions::new(vec![matcher]).rows_that_match(&broken).is_err();
        assert!(told(Matcher::equal("a", "1")));
        assert!(told(Matcher::equal("a", "")));
        assert!(!told(Matcher::equal("a", "2")), "no bytes of it");
    }
}
