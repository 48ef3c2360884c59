//! Who took a target's last replica: the autoscaler, which brings it back with work, or somebody
//! else, who switched the autoscaler off by that. Pure.
//!
//! The condition `ScaledToZero` carries it over a restart; what was seen since counts more.

use crate::conditions::{self, Condition};

/// Whether the autoscaler took the last replica when the target's replicas changed last; nothing
/// is known before it was seen.
#[derive(Debug, Clone, Copy, Default)]
pub struct ScaledToZero(Option<bool>);

impl ScaledToZero {
    /// Whether a target that is found with so many replicas has none because of the autoscaler;
    /// `told` is what the conditions say. Once there is one again that is over, whoever made it: who
    /// takes that one by hand switches the autoscaler off.
    pub fn find(&mut self, told: bool, replicas: i32) -> bool {
        let did = self.0.unwrap_or(told);
        if did && replicas > 0 {
            self.0 = Some(false);
        }
        did && replicas == 0
    }

    /// The autoscaler has changed the number of replicas.
    pub fn scaled(&mut self, from: i32, to: i32) {
        self.0 = Some(from > 0 && to == 0);
    }

    /// What the status is to say; nothing where it knows better.
    pub fn condition(self) -> Option<Condition> {
        self.0.map(conditions::scaled_to_zero)
    }
}
