//! What of the host a Pod may not reach.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Pod, Violation, containers, name, named, plural, quoted, setters, those, violation};
use crate::admission::items;

pub fn namespaces(pod: Pod<'_>) -> Option<Violation> {
    let shared: Vec<String> = ["hostNetwork", "hostPID", "hostIPC"]
        .iter()
        .filter(|field| pod.spec[**field] == true)
        .map(|field| format!("{field}=true"))
        .collect();
    if shared.is_empty() { None } else { violation("host namespaces", shared.join(", ")) }
}

pub fn path_volumes(pod: Pod<'_>) -> Option<Violation> {
    let volumes: Vec<&str> =
        items(&pod.spec["volumes"]).filter(|volume| !volume["hostPath"].is_null()).map(name).collect();
    if volumes.is_empty() {
        return None;
    }
    violation(
        "hostPath volumes",
        format!("{} {}", plural("volume", "volumes", volumes.len()), quoted(volumes)),
    )
}

pub fn ports(pod: Pod<'_>) -> Option<Violation> {
    let of = |container: &Value| -> Vec<String> {
        let ports = items(&container["ports"]).filter_map(|port| port["hostPort"].as_i64());
        ports.filter(|port| *port != 0).map(|port| port.to_string()).collect()
    };
    let bad = those(pod, |container| !of(container).is_empty());
    if bad.is_empty() {
        return None;
    }
    let ports: BTreeSet<String> = containers(pod).flat_map(of).collect();
    let detail = format!(
        "{} {} {} {}",
        named(&bad),
        plural("uses", "use", bad.len()),
        plural("hostPort", "hostPorts", ports.len()),
        ports.into_iter().collect::<Vec<_>>().join(", "),
    );
    violation("hostPort", detail)
}

/// A probe to another host makes the kubelet a client of whatever it can reach.
pub fn probes(pod: Pod<'_>) -> Option<Violation> {
    let of = |container: &Value| -> Vec<String> {
        let probes = ["livenessProbe", "readinessProbe", "startupProbe"].map(|field| &container[field]);
        let hooks = ["postStart", "preStop"].map(|field| &container["lifecycle"][field]);
        let handlers = probes.into_iter().chain(hooks);
        let hosts = handlers.flat_map(|handler| ["httpGet", "tcpSocket"].map(|way| &handler[way]["host"]));
        hosts.filter_map(Value::as_str).filter(|host| !host.is_empty()).map(String::from).collect()
    };
    let bad: BTreeSet<&str> = those(pod, |container| !of(container).is_empty()).into_iter().collect();
    if bad.is_empty() {
        return None;
    }
    let hosts: BTreeSet<String> = containers(pod).flat_map(of).collect();
    let bad: Vec<&str> = bad.into_iter().collect();
    let detail = format!(
        "{} {} {} {}",
        named(&bad),
        plural("uses", "use", bad.len()),
        plural("probe or lifecycle host", "probe or lifecycle hosts", hosts.len()),
        quoted(hosts),
    );
    violation("probe or lifecycle host", detail)
}

pub fn windows_process(pod: Pod<'_>) -> Option<Violation> {
    let is_host = |context: &Value| context["windowsOptions"]["hostProcess"] == true;
    let bad = those(pod, |container| is_host(&container["securityContext"]));
    let setters = setters(is_host(&pod.spec["securityContext"]), &bad)?;
    violation(
        "hostProcess",
        format!("{setters} must not set securityContext.windowsOptions.hostProcess=true"),
    )
}
