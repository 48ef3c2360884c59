//! Whether enough is known of a Pod and its namespace for its lines to be read. Pure.
//!
//! An answer counts when it was asked for after the Pod's directory was seen: the
//! kubelet had the Pod from the API before it made the directory, so a Pod that
//! isn't there then will never be.

use std::time::Duration;

/// Without the API server, what was known before holds after this.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// The same for who asks about a namespace alone: a sender waits no longer for its answer.
pub const PATIENCE_OF_SENDERS: Duration = Duration::from_secs(3);
/// The kubelet has so long to tell the API server of a Pod that it has from a file.
pub const MIRROR: Duration = Duration::from_secs(60);

/// What the API server says of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Found,
    Absent,
    /// Nothing, or nothing that helps.
    Silent,
}

/// What is known of a Pod and its namespace.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// `None` if it isn't about a Pod.
    pub pod: Option<Answer>,
    pub namespace: Answer,
    /// The tables have both, from an earlier time.
    pub known_before: bool,
    /// It comes from a file of the node, and the API server is told after it has begun.
    pub is_of_file: bool,
    pub waited: Duration,
}

/// Whether its lines may be read now.
pub fn may_read(facts: Facts) -> bool {
    let Facts { pod, namespace, known_before, is_of_file, waited } = facts;
    if namespace == Answer::Silent || pod == Some(Answer::Silent) {
        let patience = if pod.is_some() { PATIENCE } else { PATIENCE_OF_SENDERS };
        return known_before && waited >= patience;
    }
    !(pod == Some(Answer::Absent) && is_of_file && waited < MIRROR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_wait_until_their_rules_are_known() {
        use Answer::{Absent, Found, Silent};
        let check = |pod, namespace, known_before, is_of_file, seconds, expected| {
            let waited = Duration::from_secs(seconds);
            let facts = Facts { pod, namespace, known_before, is_of_file, waited };
            assert_eq!(may_read(facts), expected, "{facts:?}");
        };
        check(Some(Found), Found, false, false, 0, true);
        check(Some(Found), Absent, false, false, 0, true);
        check(None, Found, false, false, 0, true);
        // It is gone, and was not known before.
        check(Some(Absent), Found, false, false, 0, true);
        check(Some(Absent), Absent, false, false, 0, true);
        // Nobody answers: what was known holds after a while, what wasn't waits for ever.
        check(Some(Silent), Found, true, false, 9, false);
        check(Some(Silent), Found, true, false, 10, true);
        check(Some(Found), Silent, true, false, 10, true);
        check(Some(Silent), Silent, false, false, 1_000_000, false);
        check(Some(Found), Silent, false, false, 1_000_000, false);
        check(None, Silent, false, false, 1_000_000, false);
        // The kubelet's word on a Pod of a file comes late.
        check(Some(Absent), Found, false, true, 59, false);
        check(Some(Absent), Found, false, true, 60, true);
        check(Some(Found), Found, false, true, 0, true);
    }
}
