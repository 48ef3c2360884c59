//! Every built-in kind, and the words that all parts share. No I/O.
//!
//! - [`kind`]: the description of a kind that the generic verbs work from; [`field`]: what is wrong with an object.
//! - [`kinds`]: the list of kinds; [`schema`]: their schemas, as documents and compiled; [`table`]: cells of their tables.
//! - [`auth`]: who asks, and the question whether they may.
//! - [`serve`]: the shape of an HTTP handler, so that parts can be mounted into
//!   one another without knowing each other.
//! - [`samples`], [`decisions`]: what travels between node, metrics server and autoscaler;
//!   [`cadvisor`]: the names that others have for samples; [`ways`]: by which way a figure came.
//! - [`custom`]: custom resources: schemas, defaults, rules.
//! - [`slices`]: EndpointSlices by their Service.
//! - [`amounts`]: resources of containers and Pods, added up; [`quota`]: what objects count against a ResourceQuota.
//! - [`placement`]: where a Pod may run; [`quantity`]: `100m` and `1Gi` as numbers; [`human`]: spans of time as kubectl writes them.
//! - [`validate`], [`pod`], [`workload`], [`access`]: what kinds share: names and labels, Pod specs, templates, fields of JSON.
//! - [`labels`]: labels in their compact form; [`selector`]: what selects by them.
//! - [`names`]: labels, annotations, namespaces and ports that more than one part uses.

pub mod access;
pub mod amounts;
pub mod auth;
pub mod cadvisor;
pub mod cel;
pub mod certificate_request;
pub mod custom;
pub mod decisions;
pub mod field;
pub mod human;
pub mod kind;
pub mod kinds;
pub mod labels;
pub mod names;
pub mod placement;
pub mod pod;
pub mod quantity;
pub mod quota;
pub mod resource_names;
pub mod samples;
pub mod schema;
pub mod selector;
pub mod serve;
pub mod slices;
pub mod table;
#[cfg(test)]
mod test_rows;
pub mod validate;
pub mod ways;
pub mod workload;
