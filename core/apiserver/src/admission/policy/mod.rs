//! ValidatingAdmissionPolicy and MutatingAdmissionPolicy: rules in CEL that are kept in the cluster.
//!
//! ```text
//! policies x bindings that concern the write ── params ──> invocations (compiled expressions, one param each)
//! mutating: conditions, then each mutation, on what the ones before have made
//! validating: conditions, then all validations ──> Deny, Warn, Audit, as the binding says
//! ```
//!
//! A policy that can't be evaluated refuses the write, unless it ignores failures.

mod apply;
mod compiled;
mod invocations;
mod json_patch;
mod mutating;
mod params;
mod permission;
#[cfg(test)]
mod tests;
mod validating;
mod validations;

pub use compiled::{Binding, Policy};
pub use mutating::MutatingAdmissionPolicy;
pub use validating::ValidatingAdmissionPolicy;

use super::compiled::Compiled;

/// The policies of both kinds, and what binds them.
pub struct Policies {
    validating: Kept,
    mutating: Kept,
}

/// One kind of policy.
struct Kept {
    policies: Compiled<Policy>,
    bindings: Compiled<Binding>,
}

impl Policies {
    pub fn new() -> Self {
        let kept = |policies, bindings, make| Kept {
            policies: Compiled::new(policies, make),
            bindings: Compiled::new(bindings, compiled::binding),
        };
        Self {
            validating: kept(
                "validatingadmissionpolicies",
                "validatingadmissionpolicybindings",
                compiled::validating,
            ),
            mutating: kept(
                "mutatingadmissionpolicies",
                "mutatingadmissionpolicybindings",
                compiled::mutating,
            ),
        }
    }
}
