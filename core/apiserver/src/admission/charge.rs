//! What is stored together with an object: quotas whose use it adds to.
//!
//! A quota counts rightly only if it changes exactly when the object does. So it is
//! no write of its own that could be left over when the object's fails: both go
//! into the store in one transaction, which compares the quota's revision. Who loses
//! the comparison asks for the charges anew.

use serde_json::Value;
use tokio::sync::OwnedMutexGuard;

/// An object as it is to be stored, with the `resourceVersion` at which it must still be.
#[derive(Debug, Clone, PartialEq)]
pub struct Charge {
    pub group: &'static str,
    pub resource: &'static str,
    pub object: Value,
}

/// All charges of one write, and the turn of whoever makes them: the next one in
/// line sees what this one has stored.
#[derive(Debug, Default)]
pub struct Charges {
    pub list: Vec<Charge>,
    turn: Option<OwnedMutexGuard<()>>,
}

impl Charges {
    pub fn new(list: Vec<Charge>, turn: OwnedMutexGuard<()>) -> Self {
        Self { list, turn: Some(turn) }
    }

    pub fn extend(&mut self, more: Self) {
        self.list.extend(more.list);
        self.turn = self.turn.take().or(more.turn);
    }
}
