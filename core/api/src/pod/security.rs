//! What is wrong with the rights of a Pod and its containers on their node.

use serde_json::Value;

use super::volume::local_path;
use crate::{
    access::{flag, has, list, present, text},
    field::FieldError,
    validate::{Errors, names, obey, optional_one_of},
};

const PROFILES: [&str; 3] = ["Localhost", "RuntimeDefault", "Unconfined"];
const LONGEST_SYSCTL: usize = 253;
const LONGEST_PROFILE: usize = 4095;
const LONGEST_GMSA: usize = 64 * 1024;
const LINUX_POD: [&str; 12] = [
    "appArmorProfile",
    "seLinuxOptions",
    "seccompProfile",
    "fsGroup",
    "fsGroupChangePolicy",
    "sysctls",
    "runAsUser",
    "runAsGroup",
    "supplementalGroups",
    "supplementalGroupsPolicy",
    "seLinuxChangePolicy",
    "procMount",
];
const LINUX_CONTAINER: [&str; 10] = [
    "appArmorProfile",
    "seLinuxOptions",
    "seccompProfile",
    "capabilities",
    "readOnlyRootFilesystem",
    "privileged",
    "allowPrivilegeEscalation",
    "procMount",
    "runAsUser",
    "runAsGroup",
];

/// `securityContext` of the spec at `path`.
pub fn of_pod(spec: &Value, path: &str, errors: &mut Errors) {
    let path = format!("{path}.securityContext");
    if flag(spec, "/shareProcessNamespace") && flag(spec, "/hostPID") {
        let detail = "ShareProcessNamespace and HostPID cannot both be enabled";
        errors.push(FieldError::invalid(format!("{path}.shareProcessNamespace"), &true.into(), detail));
    }
    let Some(context) = present(spec, "/securityContext") else { return };
    ids(context, &["fsGroup", "runAsUser", "runAsGroup"], &path, errors);
    for (index, group) in list(context, "/supplementalGroups").iter().enumerate() {
        id(group, &format!("{path}.supplementalGroups[{index}]"), errors);
    }
    sysctls(list(context, "/sysctls"), spec, &format!("{path}.sysctls"), errors);
    optional_one_of(context, "fsGroupChangePolicy", &path, &["Always", "OnRootMismatch"], errors);
    optional_one_of(context, "supplementalGroupsPolicy", &path, &["Merge", "Strict"], errors);
    optional_one_of(context, "seLinuxChangePolicy", &path, &["MountOption", "Recursive"], errors);
    shared(context, &path, errors);
}

/// `securityContext` of a container, at `path`.
pub fn of_container(container: &Value, host_users: bool, path: &str, errors: &mut Errors) {
    let Some(context) = present(container, "/securityContext") else { return };
    ids(context, &["runAsUser", "runAsGroup"], path, errors);
    optional_one_of(context, "procMount", path, &["Default", "Unmasked"], errors);
    if host_users && text(context, "/procMount") == "Unmasked" {
        let detail = "`hostUsers` must be false to use `Unmasked`";
        errors.push(FieldError::invalid(format!("{path}.procMount"), &"Unmasked".into(), detail));
    }
    if context.get("allowPrivilegeEscalation") == Some(&Value::Bool(false)) {
        let mut refuse = |with: &str| {
            let detail = format!("cannot set `allowPrivilegeEscalation` to false and {with}");
            errors.push(FieldError::invalid(path, context, detail));
        };
        if flag(context, "/privileged") {
            refuse("`privileged` to true");
        }
        if list(context, "/capabilities/add").iter().any(|added| added == "CAP_SYS_ADMIN") {
            refuse("`capabilities.Add` CAP_SYS_ADMIN");
        }
    }
    shared(context, path, errors);
}

/// What Pods and containers both have.
fn shared(context: &Value, path: &str, errors: &mut Errors) {
    if let Some(profile) = present(context, "/seccompProfile") {
        let path = format!("{path}.seccompProfile");
        typed(profile, "seccomp", "seccompProfile", &path, errors);
        if let Some(file) = present(profile, "/localhostProfile").and_then(Value::as_str) {
            local_path(file, &format!("{path}.localhostProfile"), errors);
        }
    }
    if let Some(profile) = present(context, "/appArmorProfile") {
        let path = format!("{path}.appArmorProfile");
        typed(profile, "AppArmor", "appArmorProfile", &path, errors);
        if let Some(name) = present(profile, "/localhostProfile").and_then(Value::as_str) {
            let field = format!("{path}.localhostProfile");
            if name.trim() != name {
                let detail = "must not be padded with whitespace";
                errors.push(FieldError::invalid(&*field, &name.into(), detail));
            }
            if name.len() > LONGEST_PROFILE {
                errors.push(FieldError::too_long(field, LONGEST_PROFILE));
            }
        }
    }
    if let Some(options) = present(context, "/windowsOptions") {
        windows_options(options, &format!("{path}.windowsOptions"), errors);
    }
}

/// A profile's type, and the name that only one of the types has.
fn typed(profile: &Value, of: &str, field: &str, path: &str, errors: &mut Errors) {
    let kind = text(profile, "/type");
    if kind.is_empty() {
        let detail = format!("type is required when {field} is set");
        errors.push(FieldError::required(format!("{path}.type"), &detail));
    } else if !PROFILES.contains(&kind) {
        errors.push(FieldError::not_supported(format!("{path}.type"), kind, &PROFILES));
    }
    let (name, at) = (present(profile, "/localhostProfile"), format!("{path}.localhostProfile"));
    match (kind, name) {
        ("Localhost", None) => {
            errors.push(FieldError::required(at, &format!("must be set when {of} type is Localhost")));
        }
        ("Localhost", Some(_)) | (_, None) => {}
        (_, Some(name)) => {
            let detail = format!("can only be set when {of} type is Localhost");
            errors.push(FieldError::invalid(at, name, detail));
        }
    }
}

fn ids(context: &Value, keys: &[&str], path: &str, errors: &mut Errors) {
    for key in keys {
        if let Some(value) = context.get(key) {
            id(value, &format!("{path}.{key}"), errors);
        }
    }
}

fn id(value: &Value, field: &str, errors: &mut Errors) {
    if value.as_i64().is_some_and(|id| !(0..=i64::from(i32::MAX)).contains(&id)) {
        errors.push(FieldError::invalid(field, value, "must be between 0 and 2147483647, inclusive"));
    }
}

fn sysctls(sysctls: &[Value], spec: &Value, path: &str, errors: &mut Errors) {
    let names: Vec<&str> = sysctls.iter().map(|sysctl| text(sysctl, "/name")).collect();
    for (index, name) in names.iter().enumerate() {
        let field = format!("{path}[{index}].name");
        if name.is_empty() {
            errors.push(FieldError::required(&*field, ""));
        } else if !is_sysctl(name) {
            let detail = format!(
                "must have at most {LONGEST_SYSCTL} characters and match regex \
                 ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$"
            );
            errors.push(FieldError::invalid(&*field, &(*name).into(), detail));
        } else if names[..index].contains(name) {
            errors.push(FieldError::duplicate(&*field, &(*name).into()));
        }
        let dotted = name.replace('/', ".");
        let of_ipc =
            ["kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue."].iter().any(|p| dotted.starts_with(p));
        for (key, is_its) in [("hostNetwork", dotted.starts_with("net.")), ("hostIPC", of_ipc)] {
            if is_its && flag(spec, &format!("/{key}")) {
                let detail = format!("may not be specified when '{key}' is true");
                errors.push(FieldError::invalid(&*field, &(*name).into(), detail));
            }
        }
    }
}

fn is_sysctl(name: &str) -> bool {
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let segment = |part: &str| {
        part.starts_with(edge)
            && part.ends_with(edge)
            && part.chars().all(|c| edge(c) || matches!(c, '-' | '_'))
    };
    name.len() <= LONGEST_SYSCTL && name.split(['.', '/']).all(segment)
}

fn windows_options(options: &Value, path: &str, errors: &mut Errors) {
    if has(options, "/gmsaCredentialSpecName") {
        let name = text(options, "/gmsaCredentialSpecName");
        obey(names::dns_subdomain, name, &format!("{path}.gmsaCredentialSpecName"), errors);
    }
    let mut refuse = |key: &str, detail: String| {
        errors.push(FieldError::invalid(format!("{path}.{key}"), &options[key], detail));
    };
    if has(options, "/gmsaCredentialSpec") {
        match text(options, "/gmsaCredentialSpec").len() {
            0 => refuse("gmsaCredentialSpec", "gmsaCredentialSpec cannot be an empty string".into()),
            length if length > LONGEST_GMSA => {
                refuse("gmsaCredentialSpec", "gmsaCredentialSpec size must be under 64 KiB".into());
            }
            _ => {}
        }
    }
    if has(options, "/runAsUserName") {
        let name = text(options, "/runAsUserName");
        let detail = match name {
            "" => "runAsUserName cannot be an empty string",
            name if name.chars().any(|c| c.is_control()) => "runAsUserName cannot contain control characters",
            name if name.matches('\\').count() > 1 => "runAsUserName cannot contain more than one backslash",
            _ => return,
        };
        refuse("runAsUserName", detail.into());
    }
}

/// Users of their own don't go with namespaces of the node.
pub fn host_users(spec: &Value, path: &str, errors: &mut Errors) {
    if spec.get("hostUsers").and_then(Value::as_bool) != Some(false) {
        return;
    }
    for (key, shown) in [("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")] {
        if flag(spec, &format!("/{key}")) {
            let detail = "when `hostUsers` is false";
            errors.push(FieldError::forbidden(format!("{path}.{shown}"), detail));
        }
    }
}

/// What a Pod for one system may not have of the other one.
pub fn by_system(spec: &Value, system: &str, path: &str, errors: &mut Errors) {
    let mut contexts = Vec::from_iter(present(spec, "/securityContext").map(|c| (c, path.to_owned(), true)));
    for key in ["containers", "initContainers", "ephemeralContainers"] {
        for (index, container) in list(spec, &format!("/{key}")).iter().enumerate() {
            let context = present(container, "/securityContext");
            contexts.extend(context.map(|context| (context, format!("{path}.{key}[{index}]"), false)));
        }
    }
    for (context, path, of_pod) in &contexts {
        let foreign: (&[&str], &str) = match (system, of_pod) {
            ("linux", _) => (&["windowsOptions"], "windows options cannot be set for a linux pod"),
            ("windows", true) => (&LINUX_POD, "cannot be set for a windows pod"),
            ("windows", false) => (&LINUX_CONTAINER, "cannot be set for a windows pod"),
            _ => return,
        };
        for key in foreign.0.iter().filter(|key| has(context, &format!("/{key}"))) {
            errors.push(FieldError::forbidden(format!("{path}.securityContext.{key}"), foreign.1));
        }
    }
    if system == "windows" {
        for key in ["hostPID", "hostIPC", "shareProcessNamespace", "hostUsers"] {
            let set = spec.get(key).is_some_and(|value| key == "hostUsers" || value == &Value::Bool(true));
            if set {
                errors
                    .push(FieldError::forbidden(format!("{path}.{key}"), "cannot be set for a windows pod"));
            }
        }
    }
}
