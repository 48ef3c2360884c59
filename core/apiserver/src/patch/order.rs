//! The order of a list that two sides wrote.

use std::collections::HashSet;

use serde_json::Value;

/// Elements that only the server has stay where they were among those that both know; where the two
/// orders say nothing, the ordered ones come first.
///
/// `ordered` have the wanted order, `others` their old one; `place` gives an
/// element's place in the old list.
pub fn interleave(
    ordered: Vec<Value>,
    others: Vec<Value>,
    place: impl Fn(&Value) -> Option<usize>,
) -> Vec<Value> {
    let mut merged = Vec::with_capacity(ordered.len() + others.len());
    let mut others = others.into_iter().peekable();
    for item in ordered {
        while let Some(other) = others.next_if(|other| match (place(other), place(&item)) {
            (Some(other), Some(item)) => other < item,
            _ => false,
        }) {
            merged.push(other);
        }
        merged.push(item);
    }
    merged.extend(others);
    merged
}

/// Where an element of an applied list comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// From the live list: the configuration doesn't have it.
    Live(usize),
    /// From the configuration, merged with the live one of the same name.
    Config(usize),
}

/// The elements of a live list with those of an applied one, by their names.
///
/// What both have stands as the configuration has it; what only the live list has stays
/// before what followed it there, as structured-merge-diff has it.
pub fn applied(live: &[String], config: &[String]) -> Vec<Taken> {
    let in_live: HashSet<&String> = live.iter().collect();
    let in_config: HashSet<&String> = config.iter().collect();
    let mut shared = config.iter().filter(|name| in_live.contains(name)).peekable();
    let mut done = HashSet::new();
    let mut taken = Vec::with_capacity(live.len().max(config.len()));
    let (mut l, mut c) = (0, 0);
    while l < live.len() || c < config.len() {
        let old = live.get(l);
        if let Some(old) = old {
            if Some(old) == config.get(c) {
                l += 1;
            } else if !in_config.contains(old) {
                taken.push(Taken::Live(l));
                l += 1;
                continue;
            } else if c < config.len() && shared.peek().is_some_and(|next| *next != old) {
                // Both have it, and it comes later.
                l += 1;
                continue;
            } else if done.contains(old) {
                l += 1;
            }
        }
        if let Some(name) = config.get(c) {
            taken.push(Taken::Config(c));
            done.insert(name);
            shared.next_if_eq(&name);
            c += 1;
        }
    }
    taken
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_only_the_server_has_keeps_its_place() {
        let old = json!(["a", "b", "c", "d"]);
        let place = |v: &Value| old.as_array()?.iter().position(|o| o == v);
        let table = [
            (json!(["a", "c"]), json!(["b", "d"]), json!(["a", "b", "c", "d"])),
            (json!(["c", "a"]), json!(["b", "d"]), json!(["b", "c", "a", "d"])),
            (json!(["x", "a"]), json!(["b"]), json!(["x", "a", "b"])),
            (json!([]), json!(["b"]), json!(["b"])),
        ];
        for (ordered, others, expected) in table {
            let list = |v: &Value| v.as_array().cloned().unwrap_or_default();
            assert_eq!(interleave(list(&ordered), list(&others), place), list(&expected));
        }
    }

    #[test]
    fn an_applied_list_goes_into_the_live_one() {
        let table = [
            ("a", "b", "a b"),
            ("a b c", "c", "a b c"),
            ("a b c", "a c", "a b c"),
            ("a b c", "c a", "b c a"),
            ("a b", "x a", "x a b"),
            ("a b", "b x", "a b x"),
            ("", "b a", "b a"),
            ("a b", "", "a b"),
            ("a a", "b", "a a b"),
        ];
        for (live, config, expected) in table {
            let names = |text: &str| text.split_whitespace().map(String::from).collect::<Vec<_>>();
            let (live, config) = (names(live), names(config));
            let name = |taken: &Taken| match *taken {
                Taken::Live(at) => live[at].clone(),
                Taken::Config(at) => config[at].clone(),
            };
            let merged: Vec<String> = applied(&live, &config).iter().map(name).collect();
            assert_eq!(merged.join(" "), expected, "{live:?} {config:?}");
        }
    }
}
