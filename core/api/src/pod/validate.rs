//! What is wrong with a Pod's spec, in a Pod or in a template.
//!
//! The parts stand in files of their own: `container` with `env`, `mounts`, `resources` and `probe`;
//! `volume` with `projected`; `security`; [`placing`](super::placing). Here is what is left, and the order.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{RESTART_POLICIES, container, placing, resources, security, volume};
use crate::{
    access::{entries, flag, has, int, list, present, text},
    field::FieldError,
    validate::{Errors, addresses, labels, names, obey, one_of, optional_one_of, quantity},
};

const DNS_POLICIES: &[&str] = &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
const MOST_SERVERS: usize = 3;
const MOST_SEARCHES: usize = 32;
const LONGEST_SEARCHES: usize = 2048;

/// What containers of a spec need to know of the rest of it.
pub struct Around<'a> {
    pub spec: &'a Value,
    /// The volumes by name.
    pub volumes: BTreeMap<&'a str, &'a Value>,
    /// The Pod's names of its claims for devices.
    pub claims: BTreeSet<&'a str>,
    /// A Pod itself, and not a template of one.
    pub is_pod: bool,
}

impl Around<'_> {
    pub fn grace_seconds(&self) -> Option<i64> {
        int(self.spec, "/terminationGracePeriodSeconds")
    }

    /// Whether users in the containers are users of the node.
    pub fn host_users(&self) -> bool {
        self.spec.get("hostUsers").and_then(Value::as_bool).unwrap_or(true)
    }
}

/// The spec of a template at `path`, defaulted.
pub fn spec(spec: &Value, path: &str, errors: &mut Errors) {
    check(spec, path, false, errors);
}

/// A whole Pod.
pub fn pod(pod: &Value, errors: &mut Errors) {
    let Some(spec) = present(pod, "/spec") else {
        return errors.push(FieldError::required("spec.containers", ""));
    };
    check(spec, "spec", true, errors);
    if text(spec, "/serviceAccountName").is_empty() {
        for (index, volume) in list(spec, "/volumes").iter().enumerate() {
            for (at, source) in list(volume, "/projected/sources").iter().enumerate() {
                if has(source, "/serviceAccountToken") {
                    let detail = "must not be specified when serviceAccountName is not set";
                    let field = format!("spec.volumes[{index}].projected.sources[{at}].serviceAccountToken");
                    errors.push(FieldError::forbidden(field, detail));
                }
            }
        }
    }
}

/// What is wrong only with a Pod that is new.
pub fn new_pod(pod: &Value) -> Errors {
    let mut errors = Vec::new();
    if !list(pod, "/spec/ephemeralContainers").is_empty() {
        errors.push(FieldError::forbidden("spec.ephemeralContainers", "cannot be set on create"));
    }
    if !text(pod, "/spec/nodeName").is_empty() && !list(pod, "/spec/schedulingGates").is_empty() {
        let detail = "cannot be set until all schedulingGates have been cleared";
        errors.push(FieldError::forbidden("spec.nodeName", detail));
    }
    errors
}

fn check(spec: &Value, path: &str, is_pod: bool, errors: &mut Errors) {
    let volumes = volume::validate(list(spec, "/volumes"), path, errors);
    let claims = resources::claims(list(spec, "/resourceClaims"), &format!("{path}.resourceClaims"), errors);
    let around = Around { spec, volumes, claims, is_pod };
    container::validate_all(&around, path, errors);
    resources::of_pod(spec, &format!("{path}.resources"), errors);
    container::host_network(&around, path, errors);
    one_of(spec, "restartPolicy", path, RESTART_POLICIES, errors);
    one_of(spec, "dnsPolicy", path, DNS_POLICIES, errors);
    security::of_pod(spec, path, errors);
    placing::validate(spec, path, errors);
    dns(spec, &format!("{path}.dnsConfig"), errors);
    gates(spec, path, errors);
    security::host_users(spec, path, errors);
    names_of(spec, path, errors);
    seconds(spec, path, errors);
    host_aliases(spec, path, errors);
    optional_one_of(spec, "preemptionPolicy", path, &["PreemptLowerPriority", "Never"], errors);
    for (name, amount) in entries(spec, "/overhead") {
        let path = format!("{path}.overhead");
        crate::resource_names::any(name, &format!("{path}[{name}]"), errors);
        quantity(amount, &format!("{path}[{name}]"), errors);
    }
    if has(spec, "/os") {
        let os = spec.get("os").unwrap_or(&Value::Null);
        one_of(os, "name", &format!("{path}.os"), &["linux", "windows"], errors);
        security::by_system(spec, text(os, "/name"), path, errors);
    }
}

fn seconds(spec: &Value, path: &str, errors: &mut Errors) {
    if let Some(grace) = int(spec, "/terminationGracePeriodSeconds").filter(|grace| *grace < 0) {
        let field = format!("{path}.terminationGracePeriodSeconds");
        errors.push(FieldError::invalid(field, &grace.into(), "must be greater than or equal to 0"));
    }
    if let Some(seconds) = present(spec, "/activeDeadlineSeconds")
        && !seconds.as_i64().is_some_and(|n| (1..=i64::from(i32::MAX)).contains(&n))
    {
        let detail = "must be between 1 and 2147483647, inclusive";
        errors.push(FieldError::invalid(format!("{path}.activeDeadlineSeconds"), seconds, detail));
    }
}

fn names_of(spec: &Value, path: &str, errors: &mut Errors) {
    type Form = fn(&str) -> Vec<String>;
    let forms: [(&str, Form); 7] = [
        ("serviceAccountName", names::dns_subdomain),
        ("nodeName", names::dns_subdomain),
        ("hostname", names::dns_label),
        ("subdomain", names::dns_label),
        ("priorityClassName", names::dns_subdomain),
        ("runtimeClassName", names::dns_subdomain),
        ("hostnameOverride", names::dns_subdomain),
    ];
    for (key, form) in forms {
        let name = text(spec, &format!("/{key}"));
        if !name.is_empty() {
            obey(form, name, &format!("{path}.{key}"), errors);
        }
    }
    let given = text(spec, "/hostnameOverride");
    let field = format!("{path}.hostnameOverride");
    if given.len() > 64 {
        errors.push(FieldError::too_long(&*field, 64));
    }
    for (key, detail) in [
        ("hostNetwork", "may not be specified when hostNetwork is true"),
        ("setHostnameAsFQDN", "may not be specified when setHostnameAsFQDN is true"),
    ] {
        if !given.is_empty() && flag(spec, &format!("/{key}")) {
            errors.push(FieldError::forbidden(&*field, detail));
        }
    }
}

fn dns(spec: &Value, path: &str, errors: &mut Errors) {
    let (config, servers) = (present(spec, "/dnsConfig"), list(spec, "/dnsConfig/nameservers"));
    let searches = list(spec, "/dnsConfig/searches");
    if text(spec, "/dnsPolicy") == "None" && config.is_none() {
        let detail = "must provide `dnsConfig` when `dnsPolicy` is None";
        return errors.push(FieldError::required(path, detail));
    }
    if text(spec, "/dnsPolicy") == "None" && servers.is_empty() {
        let detail = "must provide at least one DNS nameserver when `dnsPolicy` is None";
        return errors.push(FieldError::required(format!("{path}.nameservers"), detail));
    }
    if servers.len() > MOST_SERVERS {
        let detail = format!("must not have more than {MOST_SERVERS} nameservers");
        errors.push(FieldError::invalid(format!("{path}.nameservers"), &servers.into(), detail));
    }
    for (index, server) in servers.iter().enumerate() {
        let field = format!("{path}.nameservers[{index}]");
        obey(addresses::ip, server.as_str().unwrap_or_default(), &field, errors);
    }
    if searches.len() > MOST_SEARCHES {
        let detail = format!("must not have more than {MOST_SEARCHES} search paths");
        errors.push(FieldError::invalid(format!("{path}.searches"), &searches.into(), detail));
    }
    let length: usize = searches.iter().filter_map(Value::as_str).map(|search| search.len() + 1).sum();
    if length > LONGEST_SEARCHES + 1 {
        let detail = format!(
            "must not have more than {LONGEST_SEARCHES} characters (including spaces) in the search list"
        );
        errors.push(FieldError::invalid(format!("{path}.searches"), &searches.into(), detail));
    }
    for (index, search) in searches.iter().filter_map(Value::as_str).enumerate().filter(|(_, s)| *s != ".") {
        let field = format!("{path}.searches[{index}]");
        obey(names::dns_subdomain_with_underscores, search.trim_end_matches('.'), &field, errors);
    }
    for (index, option) in list(spec, "/dnsConfig/options").iter().enumerate() {
        if text(option, "/name").is_empty() {
            errors.push(FieldError::required(format!("{path}.options[{index}]"), "must not be empty"));
        }
    }
}

/// Gates that keep a Pod from being ready, or from being placed.
fn gates(spec: &Value, path: &str, errors: &mut Errors) {
    for (index, gate) in list(spec, "/readinessGates").iter().enumerate() {
        let field = format!("{path}.readinessGates[{index}].conditionType");
        labels::key_of(text(gate, "/conditionType"), &field, errors);
    }
    let gates = list(spec, "/schedulingGates");
    for (index, gate) in gates.iter().enumerate() {
        let field = format!("{path}.schedulingGates[{index}]");
        labels::key_of(text(gate, "/name"), &field, errors);
        if gates[..index].contains(gate) {
            errors.push(FieldError::duplicate(field, &text(gate, "/name").into()));
        }
    }
}

fn host_aliases(spec: &Value, path: &str, errors: &mut Errors) {
    for (index, alias) in list(spec, "/hostAliases").iter().enumerate() {
        let path = format!("{path}.hostAliases[{index}]");
        obey(addresses::ip, text(alias, "/ip"), &format!("{path}.ip"), errors);
        for (at, name) in list(alias, "/hostnames").iter().enumerate() {
            let name = name.as_str().unwrap_or_default();
            obey(names::dns_subdomain, name, &format!("{path}.hostnames[{at}]"), errors);
        }
    }
}

/// Names that are there twice, each named at its second place.
pub(super) fn unique<'a>(
    items: impl IntoIterator<Item = (String, &'a str)>,
    seen: &mut BTreeSet<&'a str>,
    errors: &mut Errors,
) {
    for (field, name) in items {
        if !name.is_empty() && !seen.insert(name) {
            errors.push(FieldError::duplicate(field, &json!(name)));
        }
    }
}
