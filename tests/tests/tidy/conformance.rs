//! Each line of upstream's conformance list that is said to hold is shown by a test of ours.
//!
//! The files stand in `tests/conformance`, one for each of upstream's special interest groups;
//! an entry names a line and, by file and name, what shows it: a scenario (`- name: …`) or a
//! function. That what is named is there can be checked here; that it shows the line's substance
//! can't, and is for who writes the entry. A line that is not shown has no entry.

use std::{collections::BTreeSet, fs};

use serde::Deserialize;

use super::{files, name, refuse, root};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    line: String,
    /// `path: name`, the path from the repository's root.
    shown_by: Vec<String>,
}

#[test]
fn lines_of_the_conformance_list_are_shown_by_tests_that_are_there() {
    let lists: Vec<_> =
        files(".yaml").into_iter().filter(|path| name(path).starts_with("tests/conformance/")).collect();
    assert!(!lists.is_empty(), "there are no lists");
    let mut offenders = Vec::new();
    for path in lists {
        let text = fs::read_to_string(&path).expect("readable");
        let list = name(&path);
        let entries: Vec<Entry> =
            serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{list}: {error}"));
        offenders.extend(wrong(&entries).into_iter().map(|why| format!("{list}: {why}")));
    }
    refuse("lines of the conformance list that nothing shows", offenders);
}

/// What is wrong with a list.
fn wrong(entries: &[Entry]) -> Vec<String> {
    let mut lines = BTreeSet::new();
    let mut found = Vec::new();
    for Entry { line, shown_by } in entries {
        if !lines.insert(line) {
            found.push(format!("{line:?} stands there twice"));
        }
        if shown_by.is_empty() {
            found.push(format!("{line:?} is shown by nothing"));
        }
        let bad = shown_by.iter().filter_map(|shows| absent(shows));
        found.extend(bad.map(|why| format!("{line:?}: {why}")));
    }
    found
}

/// Why what is named is not there.
fn absent(shows: &str) -> Option<String> {
    let Some((file, wanted)) = shows.split_once(": ") else {
        return Some(format!("{shows:?} is not a file and a name"));
    };
    let Ok(text) = fs::read_to_string(root().join(file)) else {
        return Some(format!("there is no file {file}"));
    };
    let is_there = if file.ends_with(".rs") {
        text.contains(&format!("fn {wanted}("))
    } else {
        text.lines().any(|line| line.strip_prefix("- name: ").is_some_and(|name| unquoted(name) == wanted))
    };
    (!is_there).then(|| format!("{file} has no {wanted:?}"))
}

fn unquoted(text: &str) -> &str {
    let inner = |quote| text.strip_prefix(quote).and_then(|text| text.strip_suffix(quote));
    inner('"').or_else(|| inner('\'')).unwrap_or(text)
}

#[test]
fn what_shows_a_line_must_be_there() {
    let entry = |line: &str, shows: &[&str]| Entry {
        line: line.to_owned(),
        shown_by: shows.iter().map(|text| (*text).to_owned()).collect(),
    };
    let own = "tests/tests/tidy/conformance.rs";
    let scenario = "core/apiserver/scenarios/writes.yaml: a name is taken once";
    let good = [entry("a", &[&format!("{own}: absent")]), entry("b", &[scenario])];
    assert_eq!(wrong(&good), Vec::<String>::new());
    let bad = [
        entry("a", &[]),
        entry("a", &[scenario]),
        entry("b", &["absent"]),
        entry("c", &["tests/nowhere.rs: absent"]),
        entry("d", &[&format!("{own}: abs")]),
        entry("e", &["core/apiserver/scenarios/writes.yaml: a name"]),
    ];
    assert_eq!(wrong(&bad).len(), 6, "{:#?}", wrong(&bad));
}
