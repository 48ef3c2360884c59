//! Which series belong together.

use std::collections::HashMap;

use promql_parser::parser::LabelModifier;

use super::super::column::Column;
use crate::series::{Labels, NAME};

/// Series that are aggregated together, by their places.
#[derive(Debug, PartialEq)]
pub struct Group {
    pub labels: Labels,
    pub members: Vec<usize>,
}

/// The labels of the group that a series is in.
pub fn labels_of(labels: &Labels, modifier: Option<&LabelModifier>) -> Labels {
    match modifier {
        None => Labels::default(),
        Some(LabelModifier::Include(names)) => labels.keep(&names.labels),
        Some(LabelModifier::Exclude(names)) => {
            let gone = |name: &str| name == NAME || names.labels.iter().any(|gone| gone == name);
            Labels::from_sorted(labels.iter().filter(|(name, _)| !gone(name)))
        }
    }
}

/// Groups in order of their first members.
pub fn groups(columns: &[Column], modifier: Option<&LabelModifier>) -> Vec<Group> {
    if modifier.is_none() {
        return vec![Group { labels: Labels::default(), members: (0..columns.len()).collect() }];
    }
    let mut places: HashMap<Labels, usize> = HashMap::new();
    let mut found: Vec<Group> = Vec::new();
    for (member, column) in columns.iter().enumerate() {
        let labels = labels_of(&column.labels, modifier);
        match places.get(&labels) {
            Some(place) => found[*place].members.push(member),
            None => {
                places.insert(labels.clone(), found.len());
                found.push(Group { labels, members: vec![member] });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_by_and_without() {
        let column =
            |pod: &str, host: &str| Column::new(Labels::new([(NAME, "up"), ("pod", pod), ("host", host)]), 1);
        let columns = [column("a", "x"), column("b", "y"), column("c", "x")];
        let by = groups(&columns, Some(&LabelModifier::include(vec!["host"])));
        assert_eq!(by[0], Group { labels: Labels::new([("host", "x")]), members: vec![0, 2] });
        assert_eq!(groups(&columns, Some(&LabelModifier::exclude(vec!["pod"]))), by);
        assert_eq!(groups(&columns, None)[0].members, [0, 1, 2]);
    }
}
