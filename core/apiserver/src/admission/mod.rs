//! What a write must pass before it is stored: one plug-in a file, one list.
//!
//! ```text
//! Admission::new(objects: Arc<dyn Objects>) -> Admission
//! admission.mutate(&mut Request).await -> Result<(), Refusal>      after decoding and defaulting, before validation
//! admission.validate(&Request).await -> Result<(), Refusal>        after validation of the kind
//! Request { operation: Operation::{Create, Update, Delete, Connect}, user: &UserInfo, group, resource, subresource,
//!           namespace, name: &str, object: Option<&mut Value> (new), old: Option<&Value> }
//! ```
