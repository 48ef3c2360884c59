//! What a contender for a Lease does next. Pure.
//!
//! Clocks of machines differ, so the holder's times are not compared with the own
//! clock: a Lease is over when it has not changed for its duration, as seen from here.

use std::time::Duration;

/// Who holds a Lease, as it stands in the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Empty: it was given back.
    pub identity: String,
    pub duration: Duration,
    pub transitions: i32,
    /// Whatever changes when it is renewed.
    pub renewed: String,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// There is no Lease yet.
    Create,
    /// It is nobody's, or its holder is dead: the number of transitions to write.
    Take { transitions: i32 },
    /// It is one's own already.
    Renew,
    /// It is somebody's who may live: for this long, unless it changes.
    Wait(Duration),
}

/// `unchanged` is how long the holder has been seen as it is.
pub fn decide(found: Option<&Holder>, unchanged: Duration, me: &str) -> Step {
    let Some(holder) = found else { return Step::Create };
    if holder.identity == me {
        return Step::Renew;
    }
    if holder.identity.is_empty() || unchanged >= holder.duration {
        return Step::Take { transitions: holder.transitions.saturating_add(1) };
    }
    Step::Wait(holder.duration - unchanged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_taken_when_nobody_can_hold_it() {
        let seconds = Duration::from_secs;
        let holder = |identity: &str| Holder {
            identity: identity.into(),
            duration: seconds(15),
            transitions: 3,
            renewed: "then".into(),
        };
        for (found, unchanged, expected) in [
            (None, 0, Step::Create),
            (Some(holder("me")), 99, Step::Renew),
            (Some(holder("")), 0, Step::Take { transitions: 4 }),
            (Some(holder("other")), 0, Step::Wait(seconds(15))),
            (Some(holder("other")), 14, Step::Wait(seconds(1))),
            (Some(holder("other")), 15, Step::Take { transitions: 4 }),
        ] {
            assert_eq!(decide(found.as_ref(), seconds(unchanged), "me"), expected, "{found:?} {unchanged}");
        }
    }
}
