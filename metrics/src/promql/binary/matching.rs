//! By which labels the series of two vectors belong together.

use std::collections::HashMap;

use promql_parser::parser::{BinModifier, LabelModifier};

use super::super::column::Column;
use crate::series::{Labels, NAME};

/// `on (...)`, `ignoring (...)`, or neither.
#[derive(Debug, Clone, PartialEq)]
pub struct Signature {
    pub on: bool,
    pub names: Vec<String>,
}

impl Signature {
    pub fn of(modifier: Option<&BinModifier>) -> Self {
        match modifier.and_then(|modifier| modifier.matching.as_ref()) {
            None => Self { on: false, names: Vec::new() },
            Some(LabelModifier::Include(names)) => Self { on: true, names: names.labels.clone() },
            Some(LabelModifier::Exclude(names)) => Self { on: false, names: names.labels.clone() },
        }
    }

    /// The labels that decide.
    pub fn labels(&self, labels: &Labels) -> Labels {
        if self.on {
            return labels.keep(&self.names);
        }
        let gone = |name: &str| name == NAME || self.names.iter().any(|gone| gone == name);
        Labels::from_sorted(labels.iter().filter(|(name, _)| !gone(name)))
    }
}

/// Series of both sides with the same labels that decide, by their places.
#[derive(Debug, Default, PartialEq)]
pub struct Match {
    pub labels: Labels,
    pub left: Vec<usize>,
    pub right: Vec<usize>,
}

/// All matches, in order of the left side's series, then of the right side's.
pub fn matches(left: &[Column], right: &[Column], signature: &Signature) -> Vec<Match> {
    let mut places: HashMap<Labels, usize> = HashMap::with_capacity(left.len());
    let mut found: Vec<Match> = Vec::new();
    let mut place = |column: &Column, found: &mut Vec<Match>| {
        let labels = signature.labels(&column.labels);
        *places.entry(labels.clone()).or_insert_with(|| {
            found.push(Match { labels, ..Match::default() });
            found.len() - 1
        })
    };
    for (number, column) in left.iter().enumerate() {
        let at = place(column, &mut found);
        found[at].left.push(number);
    }
    for (number, column) in right.iter().enumerate() {
        let at = place(column, &mut found);
        found[at].right.push(number);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_belong_together_by_the_labels_that_decide() {
        let column = |name: &str, pod: &str, code: &str| {
            Column::new(Labels::new([(NAME, name), ("pod", pod), ("code", code)]), 1)
        };
        let left = [column("errors", "a", "500"), column("errors", "a", "404")];
        let right = [column("all", "a", ""), column("all", "b", "")];
        for signature in [
            Signature { on: true, names: vec!["pod".into()] },
            Signature { on: false, names: vec!["code".into()] },
        ] {
            let found = matches(&left, &right, &signature);
            assert_eq!((&found[0].left[..], &found[0].right[..]), (&[0, 1][..], &[0][..]));
            assert_eq!((&found[1].left[..], &found[1].right[..]), (&[][..], &[1][..]));
        }
    }
}
