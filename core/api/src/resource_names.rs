//! The names of resources: which are the API's own, and where each may stand. Pure.

use crate::{
    field::FieldError,
    quantity::Quantity,
    validate::{Errors, names},
};

const HUGE_PAGES: &str = "hugepages-";
/// What may be counted or measured without a domain.
const STANDARD: [&str; 20] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "storage",
    "requests.storage",
    "services.nodeports",
    "services.loadbalancers",
];
/// Counted in pieces.
const PIECES: [&str; 9] = [
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
];

/// `example.com/gpu`, not `kubernetes.io/x`.
pub fn is_extended(name: &str) -> bool {
    !is_native(name)
        && !name.starts_with("requests.")
        && names::qualified(&format!("requests.{name}")).is_empty()
}

pub fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

/// Whether more may be promised than there is.
pub fn may_be_overcommitted(name: &str) -> bool {
    is_native(name) && !name.starts_with(HUGE_PAGES)
}

/// Whether a quota knows the name without a domain.
pub fn is_standard_for_quotas(name: &str) -> bool {
    let measured = STANDARD.contains(&name) && name != "storage";
    measured || is_huge_pages(name)
}

fn is_huge_pages(name: &str) -> bool {
    name.starts_with(HUGE_PAGES) || name.starts_with("requests.hugepages-")
}

/// Any resource.
pub fn any(name: &str, path: &str, errors: &mut Errors) {
    let wrong = names::qualified(name);
    if wrong.is_empty() && !name.contains('/') && !STANDARD.contains(&name) && !is_huge_pages(name) {
        let detail = "must be a standard resource type or fully qualified";
        errors.push(FieldError::invalid(path, &name.into(), detail));
    }
    errors.extend(wrong.into_iter().map(|why| FieldError::invalid(path, &name.into(), why)));
}

/// What a container may ask for.
pub fn of_containers(name: &str, path: &str, errors: &mut Errors) {
    any(name, path, errors);
    let standard = matches!(name, "cpu" | "memory" | "ephemeral-storage") || name.starts_with(HUGE_PAGES);
    if !name.contains('/') && !standard {
        errors.push(FieldError::invalid(path, &name.into(), "must be a standard resource for containers"));
    } else if !is_native(name) && !is_extended(name) {
        errors.push(FieldError::invalid(
            path,
            &name.into(),
            "doesn't follow extended resource name standard",
        ));
    }
}

/// What a quota may bound.
pub fn of_quotas(name: &str, path: &str, errors: &mut Errors) {
    any(name, path, errors);
    if !name.contains('/') && !is_standard_for_quotas(name) {
        errors.push(FieldError::invalid(path, &name.into(), "must be a standard resource for quota"));
    }
}

/// Pieces come whole.
pub fn whole(name: &str, amount: Option<Quantity>, path: &str, errors: &mut Errors) {
    let counted = PIECES.contains(&name) || is_extended(name);
    if let Some(amount) = amount.filter(|amount| counted && !amount.is_whole()) {
        errors.push(FieldError::invalid(path, &amount.to_string().into(), "must be an integer"));
    }
}
