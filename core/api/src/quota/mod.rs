//! What an object counts against a ResourceQuota. Pure.
//!
//! The API server charges a new object by it, the quota controller adds up what is
//! there by it: so both always mean the same. Every namespaced resource counts as
//! `count/RESOURCE.GROUP`; a few count by more, each in its file.
//!
//! <https://kubernetes.io/docs/concepts/policy/resource-quotas/>

mod claims;
mod pods;
mod scope;
mod services;

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    access::text,
    amounts::{self, Amounts},
    quantity::Quantity,
};

pub use claims::class_of;
pub use scope::selectors;

/// A resource as quotas see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted<'a> {
    /// Empty for the core group.
    pub group: &'a str,
    /// Plural.
    pub resource: &'a str,
}

/// Names from before `count/` that are the number of objects, too.
const ALIASES: &[&str] = &["configmaps", "resourcequotas", "replicationcontrollers", "secrets"];

/// A write, as far as it may change what counts.
#[derive(Debug, Clone, Copy)]
pub struct Write<'a> {
    pub subresource: &'a str,
    pub new: &'a Value,
    /// `None` for a create.
    pub old: Option<&'a Value>,
}

impl Counted<'_> {
    fn is_core(self, resource: &str) -> bool {
        self.group.is_empty() && self.resource == resource
    }

    /// `count/deployments.apps`, `count/pods`
    pub fn object_count(self) -> String {
        match self.group {
            "" => format!("count/{}", self.resource),
            group => format!("count/{}.{group}", self.resource),
        }
    }

    /// Whether the write can change what the object counts.
    pub fn is_charged(self, write: Write<'_>) -> bool {
        let creates = write.old.is_none();
        match (self.group, self.resource) {
            ("", "pods") => match write.subresource {
                "" => creates,
                subresource => subresource == "resize" && !creates,
            },
            ("", "services") => write.subresource.is_empty(),
            ("", "persistentvolumeclaims") => match (write.subresource, write.old) {
                ("", _) => true,
                ("status", Some(old)) => claims::status_counts(write.new, old),
                _ => false,
            },
            _ => creates && write.subresource.is_empty(),
        }
    }

    /// What the object counts, by all names there are for it.
    pub fn usage(self, object: &Value, now: Timestamp) -> Amounts {
        let mut usage = Amounts::from([(self.object_count(), Quantity::from_units(1))]);
        if self.group.is_empty() {
            match self.resource {
                "pods" => pods::add(object, now, &mut usage),
                "services" => services::add(object, &mut usage),
                "persistentvolumeclaims" => claims::add(object, &mut usage),
                alias if ALIASES.contains(&alias) => {
                    usage.insert(alias.to_owned(), Quantity::from_units(1));
                }
                _ => {}
            }
        }
        usage
    }

    /// Whether a quota's resource of this name is about objects of this resource.
    pub fn is_counted_by(self, name: &str) -> bool {
        let special = match (self.group, self.resource) {
            ("", "pods") => pods::counts(name),
            ("", "services") => services::NAMES.contains(&name),
            ("", "persistentvolumeclaims") => claims::counts(name),
            ("", alias) => ALIASES.contains(&alias) && name == alias,
            _ => false,
        };
        special || name == self.object_count()
    }

    /// Whether the object lies within all scopes of a quota.
    pub fn is_in_scope(self, quota: &Value, object: &Value) -> bool {
        selectors(quota).iter().all(|selector| {
            (self.is_core("pods") && scope::of_pod(selector, object))
                || (self.is_core("persistentvolumeclaims") && scope::of_claim(selector, object))
        })
    }

    /// What the object must say for a quota of these resources, and does not.
    pub fn missing(self, names: &[String], object: &Value) -> Option<String> {
        if self.is_core("pods") { pods::missing(names, object) } else { None }
    }
}

/// The resources of `quota.status.hard` that are about objects of this resource.
pub fn bounded(counted: Counted<'_>, quota: &Value) -> Vec<String> {
    let hard = amounts::read(quota, "/status/hard");
    hard.into_keys().filter(|name| counted.is_counted_by(name)).collect()
}

/// The resource whose objects a quota's resource of this name is about: group and
/// plural; `None` when nothing is known by the name.
pub fn resource_of(name: &str) -> Option<(&str, &str)> {
    if let Some(named) = name.strip_prefix("count/") {
        return Some(match named.split_once('.') {
            Some((resource, group)) => (group, resource),
            None => ("", named),
        });
    }
    let core = |resource| Some(("", resource));
    match name {
        name if services::NAMES.contains(&name) => core("services"),
        name if claims::counts(name) => core("persistentvolumeclaims"),
        name if pods::counts(name) => core("pods"),
        alias if ALIASES.contains(&alias) => core(alias),
        _ => None,
    }
}

/// Whether a Pod has run its course and counts as an object only.
pub fn has_ended(pod: &Value, now: Timestamp) -> bool {
    if matches!(text(pod, "/status/phase"), "Failed" | "Succeeded") {
        return true;
    }
    let deleted = text(pod, "/metadata/deletionTimestamp").parse::<Timestamp>();
    let grace = pod.pointer("/metadata/deletionGracePeriodSeconds").and_then(Value::as_i64);
    match (deleted, grace) {
        (Ok(deleted), Some(grace)) => now.as_second() > deleted.as_second().saturating_add(grace),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
