//! CSIStorageCapacity: how much a storage class can still provide for some nodes. Served; the scheduler
//! does not read it yet.

use serde_json::Value;

use crate::{
    access::{present, text},
    kind::{Column, Kind},
    table::{NAME, text_or},
    validate::{Errors, labels, names, obey, quantity, unchanged},
};

pub static KIND: Kind = Kind {
    validate,
    validate_update: |new, old| unchanged(new, old, &["/nodeTopology", "/storageClassName"]),
    columns: &[
        NAME,
        Column::text("StorageClassName", |c, _| text_or(c, "/storageClassName", "")),
        Column::text("Capacity", |c, _| text_or(c, "/capacity", "<unset>")),
    ],
    ..Kind::namespaced(
        "storage.k8s.io",
        "v1",
        "CSIStorageCapacity",
        "csistoragecapacities",
        "csistoragecapacity",
        "io.k8s.api.storage.v1.CSIStorageCapacity",
    )
};

fn validate(capacity: &Value) -> Errors {
    let mut errors = Vec::new();
    if let Some(topology) = present(capacity, "/nodeTopology") {
        labels::selector(topology, "nodeTopology", &mut errors);
    }
    obey(names::dns_subdomain, text(capacity, "/storageClassName"), "storageClassName", &mut errors);
    for key in ["capacity", "maximumVolumeSize"] {
        if let Some(amount) = present(capacity, &format!("/{key}")) {
            quantity(amount, key, &mut errors);
        }
    }
    errors
}
