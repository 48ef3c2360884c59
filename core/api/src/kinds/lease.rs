//! Lease: who holds something, and until when: leader election, node heartbeats.

use serde_json::Value;

use crate::{
    access::present,
    field::FieldError,
    kind::{Column, Kind},
    table::{AGE, NAME, text_or},
    validate::Errors,
};

pub static KIND: Kind = Kind {
    validate,
    columns: &[NAME, Column::text("Holder", |l, _| text_or(l, "/spec/holderIdentity", "")), AGE],
    ..Kind::namespaced(
        "coordination.k8s.io",
        "v1",
        "Lease",
        "leases",
        "lease",
        "io.k8s.api.coordination.v1.Lease",
    )
};

fn validate(lease: &Value) -> Errors {
    let mut errors = Vec::new();
    for (key, least) in [("leaseDurationSeconds", 1), ("leaseTransitions", 0)] {
        let value = present(lease, &format!("/spec/{key}")).filter(|v| v.as_i64().is_some_and(|n| n < least));
        let detail = if least == 1 { "must be greater than 0" } else { "must be greater than or equal to 0" };
        errors.extend(value.map(|v| FieldError::invalid(format!("spec.{key}"), v, detail)));
    }
    errors
}
