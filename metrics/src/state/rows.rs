//! The rows of one object: what a kind's file puts in. Pure.

use std::collections::BTreeMap;

use k8s_openapi::{
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{ObjectMeta, Time},
        util::intstr::IntOrString,
    },
    jiff::Timestamp,
};
use tiphys_api::quantity;

use crate::series::{Labels, LabelsBuilder, NAME};

/// Labels and values of one object.
#[derive(Debug, Default)]
pub struct Rows {
    /// Of all rows of the object.
    own: Vec<(&'static str, String)>,
    pub rows: Vec<(Labels, f64)>,
}

impl Rows {
    /// Of this object, whose name stands under `label`.
    pub fn of(label: &'static str, meta: &ObjectMeta) -> Self {
        let mut own = vec![("job", "kube-state-metrics".to_owned())];
        own.extend(meta.namespace.clone().map(|namespace| ("namespace", namespace)));
        own.push((label, meta.name.clone().unwrap_or_default()));
        Self { own, rows: Vec::new() }
    }

    /// A label of all rows that follow.
    pub fn own(&mut self, label: &'static str, value: Option<&str>) {
        self.own.extend(value.map(|value| (label, value.to_owned())));
    }

    /// A row with labels of its own.
    pub fn with(&mut self, name: &'static str, labels: &[(&str, &str)], value: f64) {
        let mut builder = LabelsBuilder::default();
        builder.set(NAME, name);
        self.own.iter().for_each(|(name, value)| builder.set(name, value));
        labels.iter().for_each(|(name, value)| builder.set(name, value));
        self.rows.push((builder.finish(), value));
    }

    pub fn put(&mut self, name: &'static str, value: impl Into<f64>) {
        self.with(name, &[], value.into());
    }

    /// What the object says, if it does.
    pub fn some(&mut self, name: &'static str, value: Option<impl Into<f64>>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }

    /// Generations and such, which are of 64 bits.
    pub fn whole(&mut self, name: &'static str, value: Option<i64>) {
        if let Some(value) = value {
            self.with(name, &[], value as f64);
        }
    }

    /// The version of the object, where that is a number.
    pub fn version(&mut self, name: &'static str, meta: &ObjectMeta) {
        let version = meta.resource_version.as_ref().and_then(|version| version.parse().ok());
        self.whole(name, version);
    }

    pub fn flag(&mut self, name: &'static str, holds: bool) {
        self.put(name, u8::from(holds));
    }

    /// Seconds since the Unix epoch.
    pub fn time(&mut self, name: &'static str, time: Option<&Time>) {
        if let Some(time) = time {
            self.with(name, &[], seconds(time.0));
        }
    }

    /// One row for each of `all`, of which one holds.
    pub fn one_of(&mut self, name: &'static str, label: &str, all: &[&str], found: &str) {
        for one in all {
            self.with(name, &[(label, one)], f64::from(u8::from(*one == found)));
        }
    }

    /// A condition in its three states.
    pub fn condition(&mut self, name: &'static str, labels: &[(&str, &str)], status: &str) {
        for (state, shown) in [("True", "true"), ("False", "false"), ("Unknown", "unknown")] {
            let labels = [labels, &[("status", shown)]].concat();
            self.with(name, &labels, f64::from(u8::from(state == status)));
        }
    }

    /// Who owns it; one row without an owner where nobody does.
    pub fn owners(&mut self, name: &'static str, meta: &ObjectMeta) {
        let owners = meta.owner_references.as_deref().unwrap_or_default();
        for owner in owners {
            let controller = if owner.controller == Some(true) { "true" } else { "false" };
            let labels = [
                ("owner_kind", owner.kind.as_str()),
                ("owner_name", &owner.name),
                ("owner_is_controller", controller),
            ];
            self.with(name, &labels, 1.0);
        }
        if owners.is_empty() {
            let none = [("owner_kind", ""), ("owner_name", ""), ("owner_is_controller", "")];
            self.with(name, &none, 1.0);
        }
    }

    /// Amounts by resource, in cores, bytes or pieces.
    pub fn amounts(
        &mut self,
        name: &'static str,
        labels: &[(&str, &str)],
        amounts: Option<&BTreeMap<String, Quantity>>,
    ) {
        for (resource, amount) in amounts.into_iter().flatten() {
            let Some(amount) = number(amount) else { continue };
            let clean = sanitized(resource);
            let labels = [labels, &[("resource", &clean), ("unit", unit(resource))]].concat();
            self.with(name, &labels, amount);
        }
    }
}

/// An amount in whole units.
pub fn number(amount: &Quantity) -> Option<f64> {
    amount.0.parse::<quantity::Quantity>().ok().map(quantity::Quantity::as_f64)
}

/// As a label has it; nothing of what is not said.
pub fn said(flag: Option<bool>) -> &'static str {
    match flag {
        Some(true) => "true",
        Some(false) => "false",
        None => "",
    }
}

pub fn seconds(time: Timestamp) -> f64 {
    time.as_millisecond() as f64 / 1000.0
}

/// A number of Pods, or a share of so many.
pub fn count_of(text: Option<&IntOrString>, whole: i32, rounds_up: bool) -> Option<f64> {
    match text? {
        IntOrString::Int(count) => Some(f64::from(*count)),
        IntOrString::String(text) => {
            let share = text.trim_end_matches('%').parse::<f64>().ok()? / 100.0 * f64::from(whole);
            Some(if rounds_up { share.ceil() } else { share.floor() })
        }
    }
}

fn unit(resource: &str) -> &'static str {
    match resource {
        "cpu" => "core",
        "memory" | "storage" | "ephemeral-storage" => "byte",
        other if other.starts_with("hugepages-") || other.starts_with("attachable-volumes-") => "byte",
        _ => "integer",
    }
}

/// As a label's value may have it there.
fn sanitized(resource: &str) -> String {
    resource.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect()
}
