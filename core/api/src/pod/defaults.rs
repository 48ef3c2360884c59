//! What is filled in where a Pod's spec says nothing. Idempotent.
//!
//! [`spec`] holds for Pods and for templates, [`pod_only`] for Pods themselves:
//! templates keep looking as their authors wrote them.

use serde_json::{Value, json};

use crate::{
    access::{at, default, each, ensure, flag, has, int, remove, set, text, with},
    amounts,
};

const CONTAINER_LISTS: [&str; 3] = ["/initContainers", "/containers", "/ephemeralContainers"];

/// Defaults of a Pod's spec, in a Pod or in a template.
pub fn spec(spec: &mut Value) {
    default(spec, "dnsPolicy", "ClusterFirst");
    default(spec, "restartPolicy", "Always");
    default(spec, "terminationGracePeriodSeconds", 30);
    default(spec, "schedulerName", "default-scheduler");
    let _ = ensure(spec, "securityContext");
    if has(spec, "/serviceAccountName") || has(spec, "/serviceAccount") {
        let account = match text(spec, "/serviceAccountName") {
            "" => text(spec, "/serviceAccount"),
            name => name,
        };
        let account = account.to_owned();
        default(spec, "serviceAccountName", account.clone());
        // The old name of the field is kept alike for old clients.
        set(spec, "serviceAccount", account.into());
    }
    for containers in CONTAINER_LISTS {
        each(spec, containers, |c| container(c, containers != "/ephemeralContainers"));
    }
    each(spec, "/volumes", volume);
}

/// Defaults that only a Pod gets.
pub fn pod_only(spec: &mut Value) {
    default(spec, "enableServiceLinks", true);
    let host_network = flag(spec, "/hostNetwork");
    for containers in ["/initContainers", "/containers"] {
        each(spec, containers, |container| {
            requests_from_limits(container);
            if host_network {
                each(container, "/ports", host_port);
            }
        });
    }
    requests_of_pod(spec);
}

/// On the node's own network a container's port is the node's.
fn host_port(port: &mut Value) {
    if int(port, "/hostPort").unwrap_or(0) == 0
        && let Some(number) = port.get("containerPort").cloned()
    {
        set(port, "hostPort", number);
    }
}

/// What a Pod bounds as a whole and doesn't ask for: what its containers ask for, or else the bound.
fn requests_of_pod(spec: &mut Value) {
    let limits = amounts::read(spec, "/resources/limits");
    if limits.is_empty() {
        return;
    }
    let mut alone = spec.clone();
    remove(&mut alone, "resources");
    let sums = amounts::of_containers(&alone, "requests");
    let Some(requests) = spec.get_mut("resources").and_then(|resources| ensure(resources, "requests")) else {
        return;
    };
    for (name, limit) in limits {
        let whole_pages = name.starts_with("hugepages-");
        let wanted = sums.get(&name).filter(|_| !whole_pages).copied().unwrap_or(limit);
        default(requests, &name, wanted.to_string());
    }
}

/// A limit without a request is the request.
fn requests_from_limits(container: &mut Value) {
    let Some(limits) = at(container, "/resources/limits").and_then(Value::as_object).cloned() else {
        return;
    };
    let Some(resources) = ensure(container, "resources") else { return };
    let Some(requests) = ensure(resources, "requests") else { return };
    for (name, amount) in limits {
        default(requests, &name, amount);
    }
}

fn container(container: &mut Value, with_ports: bool) {
    let policy = if pulls_always(text(container, "/image")) { "Always" } else { "IfNotPresent" };
    default(container, "imagePullPolicy", policy);
    default(container, "terminationMessagePath", "/dev/termination-log");
    default(container, "terminationMessagePolicy", "File");
    let _ = ensure(container, "resources");
    if with_ports {
        each(container, "/ports", |port| default(port, "protocol", "TCP"));
    }
    each(container, "/env", |env| {
        with(env, "/valueFrom/fieldRef", |field| default(field, "apiVersion", "v1"));
        with(env, "/valueFrom/resourceFieldRef", |field| default(field, "divisor", "0"));
    });
    for pointer in ["/livenessProbe", "/readinessProbe", "/startupProbe"] {
        with(container, pointer, probe);
    }
    for pointer in ["/lifecycle/postStart/httpGet", "/lifecycle/preStop/httpGet"] {
        with(container, pointer, http_get);
    }
}

/// Whether an image is named by no tag or by `latest`, and by no digest.
pub fn pulls_always(image: &str) -> bool {
    if image.contains('@') {
        return false;
    }
    let last = image.rsplit('/').next().unwrap_or_default();
    last.split_once(':').is_none_or(|(_, tag)| tag == "latest")
}

fn probe(probe: &mut Value) {
    default(probe, "timeoutSeconds", 1);
    default(probe, "periodSeconds", 10);
    default(probe, "successThreshold", 1);
    default(probe, "failureThreshold", 3);
    for (key, value) in
        [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)]
    {
        if probe.get(key) == Some(&json!(0)) {
            set(probe, key, json!(value));
        }
    }
    with(probe, "/httpGet", http_get);
    with(probe, "/grpc", |grpc| {
        if !has(grpc, "/service") {
            set(grpc, "service", json!(""));
        }
    });
}

fn http_get(action: &mut Value) {
    default(action, "path", "/");
    default(action, "scheme", "HTTP");
}

fn volume(volume: &mut Value) {
    let has_source =
        volume.as_object().is_some_and(|v| v.iter().any(|(key, value)| key != "name" && !value.is_null()));
    if !has_source {
        let _ = ensure(volume, "emptyDir");
    }
    sources(volume);
    for source in ["/secret", "/configMap", "/downwardAPI", "/projected"] {
        with(volume, source, |source| default(source, "defaultMode", 0o644));
    }
    with(volume, "/hostPath", |path| {
        if !has(path, "/type") {
            set(path, "type", json!(""));
        }
    });
    each(volume, "/downwardAPI/items", downward_item);
    each(volume, "/projected/sources", |source| {
        each(source, "/downwardAPI/items", downward_item);
        with(source, "/serviceAccountToken", |token| default(token, "expirationSeconds", 3600));
    });
    with(volume, "/ephemeral/volumeClaimTemplate/spec", |claim| default(claim, "volumeMode", "Filesystem"));
    with(volume, "/image", |image| {
        let policy = if pulls_always(text(image, "/reference")) { "Always" } else { "IfNotPresent" };
        default(image, "pullPolicy", policy);
    });
}

/// What sources of volumes leave out, in Pods and in PersistentVolumes.
pub fn sources(volume: &mut Value) {
    let table: [(&str, &[(&str, Value)]); 4] = [
        ("/iscsi", &[("iscsiInterface", json!("default"))]),
        (
            "/rbd",
            &[("pool", json!("rbd")), ("user", json!("admin")), ("keyring", json!("/etc/ceph/keyring"))],
        ),
        (
            "/azureDisk",
            &[
                ("cachingMode", json!("ReadWrite")),
                ("kind", json!("Shared")),
                ("fsType", json!("ext4")),
                ("readOnly", json!(false)),
            ],
        ),
        ("/scaleIO", &[("storageMode", json!("ThinProvisioned")), ("fsType", json!("xfs"))]),
    ];
    for (pointer, fields) in table {
        with(volume, pointer, |source| {
            fields.iter().for_each(|(key, value)| default(source, key, value.clone()))
        });
    }
}

fn downward_item(item: &mut Value) {
    with(item, "/fieldRef", |field| default(field, "apiVersion", "v1"));
    with(item, "/resourceFieldRef", |field| default(field, "divisor", "0"));
}
