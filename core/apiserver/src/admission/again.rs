//! Who has changed the object after whom: whether plug-ins see it once more.
//!
//! When a webhook or a mutating policy changes the object, all plug-ins run a second time; of
//! webhooks and policies those that asked for it and had run before the change.

use std::collections::BTreeSet;

use serde_json::Value;

/// The rounds of one request.
#[derive(Debug, Default)]
pub struct Again {
    /// This is the second round.
    pub second: bool,
    /// There shall be one.
    pub wanted: bool,
    pub webhooks: Calls,
    pub policies: Calls,
}

/// The calls of one plug-in.
#[derive(Debug, Default)]
pub struct Calls {
    /// Those that want to see changes and have run since the last one.
    before: BTreeSet<String>,
    /// Those that are called in the second round.
    due: BTreeSet<String>,
    output: Option<Value>,
}

impl Calls {
    /// At the begin of a second round: whether others have changed the object since.
    pub fn resume(&mut self, object: &Value) {
        if self.output.as_ref().is_some_and(|output| output != object) {
            self.changed();
        }
    }

    /// At the end of a round.
    pub fn finish(&mut self, object: &Value) {
        self.output = Some(object.clone());
    }

    pub fn is_due(&self, id: &str) -> bool {
        self.due.contains(id)
    }

    /// The object is another one than those before have seen.
    pub fn changed(&mut self) {
        self.due.append(&mut self.before);
    }

    /// This one has run, and wants to see what others make of the object.
    pub fn follows(&mut self, id: &str) {
        self.before.insert(id.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn those_before_a_change_are_called_again() {
        let mut calls = Calls::default();
        calls.follows("a");
        calls.changed();
        calls.follows("b");
        assert!(calls.is_due("a") && !calls.is_due("b"));
        calls.finish(&json!(1));
        calls.resume(&json!(1));
        assert!(!calls.is_due("b"));
        calls.resume(&json!(2));
        assert!(calls.is_due("b"));
    }
}
