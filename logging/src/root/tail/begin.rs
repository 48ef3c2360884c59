//! From when on each node is shown. Pure. Times are nanoseconds.

use std::collections::HashMap;

use crate::{root::RootError, time, wire::SearchRequest};

/// Where a tail begins.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Begin {
    /// The reader was there before, and says since when he wants more.
    pub is_again: bool,
    /// Of nodes that are not named.
    since: i64,
    nodes: HashMap<String, i64>,
}

impl Begin {
    /// What a request says of it at the time `now`.
    ///
    /// # Errors
    /// A time or a node that can't be read.
    pub fn of(request: &SearchRequest, now: i64) -> Result<Self, RootError> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let since = given(&request.since).map(|text| time::resolve(&text, now, "since")).transpose();
        let since = since.map_err(|error| RootError::Invalid(error.to_string()))?;
        let named = given(&request.since_of);
        let nodes = named.iter().flat_map(|text| text.split(',')).map(|node| {
            let (name, time) = node.split_once('=').unwrap_or((node, ""));
            let time = time::parse(time).filter(|_| !name.is_empty());
            time.map(|time| (name.to_owned(), time)).ok_or_else(|| {
                let example = "since_of=n1=2026-01-31T12:00:00Z,n2=2026-01-31T12:05:00Z";
                RootError::Invalid(format!("`{node}` of `since_of` is no node with a time: write {example}"))
            })
        });
        let nodes = nodes.collect::<Result<HashMap<_, _>, _>>()?;
        let is_again = since.is_some() || !nodes.is_empty();
        Ok(Self { is_again, since: since.unwrap_or(now), nodes })
    }

    /// From when on the node is shown.
    pub fn of_node(&self, node: &str) -> i64 {
        self.nodes.get(node).copied().unwrap_or(self.since)
    }

    /// How far the node was is not known any more, but that it was no further than this: the same counts
    /// for all that join from now on.
    pub fn forget(&mut self, node: &str, whole: i64) {
        self.nodes.remove(node);
        self.since = self.since.max(whole);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(since: &str, since_of: &str) -> Result<Begin, String> {
        let [since, since_of] = [since, since_of].map(|text| Some(text.to_owned()));
        let request = SearchRequest { since, since_of, ..SearchRequest::default() };
        Begin::of(&request, 7).map_err(|error| error.to_string())
    }

    #[test]
    fn a_node_begins_where_it_is_said_and_others_where_the_rest_does() {
        let at = |text| time::parse(text).expect("a time");
        let (early, late) = ("2026-01-31T12:00:00Z", "2026-01-31T13:00:00Z");
        let mut begin = of(late, &format!("n1={early},n2={late}")).expect("a begin");
        assert_eq!((begin.of_node("n1"), begin.of_node("n3"), begin.is_again), (at(early), at(late), true));
        begin.forget("n1", at(late) + 1);
        assert_eq!((begin.of_node("n1"), begin.of_node("n2")), (at(late) + 1, at(late)));
        let new = of("", "").expect("a begin");
        assert_eq!((new.of_node("n1"), new.is_again), (7, false));
        let named = of("", &format!("n1={early}")).expect("a begin");
        assert_eq!((named.of_node("n1"), named.of_node("n2"), named.is_again), (at(early), 7, true));
    }

    #[test]
    fn what_is_no_time_or_no_node_is_told_with_an_example() {
        for wrong in ["n1", "n1=soon", "=2026-01-31T12:00:00Z", "n1=2026-01-31T12:00:00Z,"] {
            let error = of("", wrong).expect_err("refused");
            assert!(error.contains("`since_of`") && error.contains("n1=2026-"), "{wrong}: {error}");
        }
        assert!(of("soon", "").expect_err("refused").contains("`soon`"));
    }
}
