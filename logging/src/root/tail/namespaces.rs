//! Which namespaces a follow shows whose user may not read all and has named none: those that he
//! may read now, found out again and again, since namespaces and rights come and go.
//!
//! Nodes may be slow to say which they have, so this is asked beside the lines. The end is decided by
//! rights alone: a follow of nothing waits for a first namespace, and who doesn't answer takes none away.

use std::collections::HashSet;

use tiphys_api::auth::UserInfo;

use super::super::{
    LogRoot,
    fanout::{self, Seen},
};
use crate::time;

/// What was found out.
#[derive(Debug)]
pub struct Found {
    /// When it was asked, nanoseconds.
    pub at: i64,
    /// Those that may be read now, in the order of their names; `None`: all.
    pub namespaces: Option<Vec<String>>,
    /// The nodes that said which they have.
    pub nodes: Vec<String>,
    /// There are others, and none of them said so.
    pub is_silent: bool,
}

pub async fn find(root: LogRoot, user: UserInfo) -> Option<Found> {
    let at = time::now();
    let collectors = root.collectors.list().await;
    // It is refused for one namespace only.
    let Seen { scope, silent } = fanout::scope(&root, &user, None, &collectors).await.ok()?;
    let away: HashSet<&str> = silent.iter().map(|missing| missing.node.as_str()).collect();
    let nodes = collectors.iter().map(|collector| &collector.node);
    let nodes: Vec<String> = nodes.filter(|node| !away.contains(node.as_str())).cloned().collect();
    let is_silent = nodes.is_empty() && !away.is_empty();
    Some(Found { at, namespaces: scope.namespaces, nodes, is_silent })
}

/// How a follow goes on.
#[derive(Debug, PartialEq, Eq)]
pub enum Course {
    AsBefore,
    /// With these, in the order of their names; `None`: with all.
    With(Option<Vec<String>>),
    /// Nothing may be read any more that could be.
    End,
}

/// Of a follow of these namespaces, `None`: of all. What could be read and can't be for now stays among
/// them: its lines are left out one by one.
pub fn course(followed: Option<&[String]>, found: &Found, mut may_read: impl FnMut(&str) -> bool) -> Course {
    match (followed, found.namespaces.as_deref()) {
        (None, Some([])) if !found.is_silent => Course::End,
        (None, _) => Course::AsBefore,
        (Some(_), None) => Course::With(None),
        (Some(followed), Some(found)) => {
            let known: HashSet<&String> = followed.iter().collect();
            let new: Vec<&String> = found.iter().filter(|namespace| !known.contains(namespace)).collect();
            if !new.is_empty() {
                let mut all: Vec<String> = followed.iter().chain(new).cloned().collect();
                all.sort_unstable();
                return Course::With(Some(all));
            }
            let is_gone = !followed.is_empty() && !followed.iter().any(|namespace| may_read(namespace));
            if is_gone { Course::End } else { Course::AsBefore }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    fn check(
        followed: Option<&[&str]>,
        found: Option<&[&str]>,
        is_silent: bool,
        readable: &[&str],
        expected: Course,
    ) {
        let followed = followed.map(names);
        let found = Found { at: 1, namespaces: found.map(names), nodes: Vec::new(), is_silent };
        let course = course(followed.as_deref(), &found, |namespace| readable.contains(&namespace));
        assert_eq!(course, expected, "{followed:?} {found:?} {readable:?}");
    }

    #[test]
    fn a_follow_grows_with_what_may_be_read_and_ends_when_what_was_held_is_gone() {
        let with = |all: &[&str]| Course::With(Some(names(all)));
        // A right that was never held is waited for.
        check(Some(&[]), Some(&[]), false, &[], Course::AsBefore);
        check(Some(&[]), Some(&["b"]), false, &["b"], with(&["b"]));
        check(Some(&["b"]), Some(&["a", "b"]), false, &["a", "b"], with(&["a", "b"]));
        check(Some(&["a"]), None, false, &["a"], Course::With(None));
        check(Some(&["a", "b"]), Some(&["b"]), false, &["b"], Course::AsBefore);
        check(Some(&["a"]), Some(&[]), false, &[], Course::End);
        // One right for another.
        check(Some(&["a"]), Some(&["b"]), false, &["b"], with(&["a", "b"]));
        // Who doesn't answer takes no right away, and gives none back.
        check(Some(&["a"]), Some(&[]), true, &["a"], Course::AsBefore);
        check(Some(&["a"]), Some(&[]), true, &[], Course::End);
        // Who could read all and may still read some.
        check(None, None, false, &[], Course::AsBefore);
        check(None, Some(&["a"]), false, &["a"], Course::AsBefore);
        check(None, Some(&[]), false, &[], Course::End);
        check(None, Some(&[]), true, &[], Course::AsBefore);
    }
}
