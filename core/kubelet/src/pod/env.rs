//! Environment variables of a container. Pure: what ConfigMaps and Secrets hold
//! is fetched before and handed in.
//!
//! Order, later over earlier: service links, `envFrom`, `env`. `$(NAME)` in a
//! value refers to what was set before it; `$$(NAME)` is that text itself.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, EnvVarSource, Pod, Service};

use super::{
    downward::{self, NodeFacts},
    spec,
};

/// Keys and values of the ConfigMaps and Secrets that a container refers to.
/// `None` for one that doesn't exist.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    pub config_maps: BTreeMap<String, Option<BTreeMap<String, String>>>,
    pub secrets: BTreeMap<String, Option<BTreeMap<String, Vec<u8>>>>,
}

/// The variables in the order in which they were first set, or why there are none.
pub fn variables(
    pod: &Pod,
    container: &Container,
    node: &NodeFacts,
    sources: &Sources,
    links: Vec<(String, String)>,
) -> Result<Vec<(String, String)>, String> {
    let mut variables = Variables::default();
    for (name, value) in links {
        variables.set(name, value);
    }
    for from in container.env_from.iter().flatten() {
        let prefix = from.prefix.as_deref().unwrap_or_default();
        let mut take = |key: &str, value: String| {
            let name = format!("{prefix}{key}");
            if is_variable_name(&name) {
                variables.set(name, value);
            }
        };
        if let Some(source) = &from.config_map_ref {
            let map = find(&sources.config_maps, "configmap", &source.name, source.optional)?;
            map.iter().flat_map(|map| map.iter()).for_each(|(key, value)| take(key, value.clone()));
        }
        if let Some(source) = &from.secret_ref {
            let map = find(&sources.secrets, "secret", &source.name, source.optional)?;
            map.iter().flat_map(|map| map.iter()).for_each(|(key, value)| take(key, text(value)));
        }
    }
    for variable in container.env.iter().flatten() {
        let value = match (&variable.value, &variable.value_from) {
            (_, Some(from)) => match value_from(pod, container, node, sources, from)? {
                Some(value) => value,
                None => continue,
            },
            (value, None) => expand(value.as_deref().unwrap_or_default(), |name| variables.get(name)),
        };
        variables.set(variable.name.clone(), value);
    }
    Ok(variables.in_order)
}

#[derive(Default)]
struct Variables {
    in_order: Vec<(String, String)>,
}

impl Variables {
    fn set(&mut self, name: String, value: String) {
        match self.in_order.iter_mut().find(|(other, _)| *other == name) {
            Some(entry) => entry.1 = value,
            None => self.in_order.push((name, value)),
        }
    }

    fn get(&self, name: &str) -> Option<String> {
        self.in_order.iter().find(|(other, _)| other == name).map(|(_, value)| value.clone())
    }
}

/// `None` where an optional source or key is missing.
fn value_from(
    pod: &Pod,
    container: &Container,
    node: &NodeFacts,
    sources: &Sources,
    from: &EnvVarSource,
) -> Result<Option<String>, String> {
    if let Some(field) = &from.field_ref {
        return downward::field(pod, node, &field.field_path).map(Some);
    }
    if let Some(selector) = &from.resource_field_ref {
        let of = selector.container_name.as_deref().filter(|name| !name.is_empty());
        let container = of.map_or(Some(container), |name| spec::original(pod, name));
        let container = container.ok_or("resourceFieldRef names a container that the Pod has not")?;
        return downward::resource(container, node, selector).map(Some);
    }
    if let Some(selector) = &from.config_map_key_ref {
        let map = find(&sources.config_maps, "configmap", &selector.name, selector.optional)?;
        let value = map.and_then(|map| map.get(&selector.key)).cloned();
        return required(value, "ConfigMap", pod, &selector.name, &selector.key, selector.optional);
    }
    if let Some(selector) = &from.secret_key_ref {
        let map = find(&sources.secrets, "secret", &selector.name, selector.optional)?;
        let value = map.and_then(|map| map.get(&selector.key)).map(|value| text(value));
        return required(value, "Secret", pod, &selector.name, &selector.key, selector.optional);
    }
    Err("valueFrom names no source that this kubelet knows".into())
}

fn required(
    value: Option<String>,
    kind: &str,
    pod: &Pod,
    name: &str,
    key: &str,
    optional: Option<bool>,
) -> Result<Option<String>, String> {
    if value.is_none() && optional != Some(true) {
        return Err(format!("couldn't find key {key} in {kind} {}/{name}", spec::namespace(pod)));
    }
    Ok(value)
}

fn find<'a, T>(
    all: &'a BTreeMap<String, Option<T>>,
    kind: &str,
    name: &str,
    optional: Option<bool>,
) -> Result<Option<&'a T>, String> {
    let found = all.get(name).and_then(Option::as_ref);
    if found.is_none() && optional != Some(true) {
        return Err(format!("{kind} {name:?} not found"));
    }
    Ok(found)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Names that the API accepts for variables: printable, no `=`.
fn is_variable_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_graphic() && c != '=')
}

/// Replaces `$(NAME)` by what `value` gives; what it doesn't know stays as it is.
pub fn expand(text: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        expanded.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            expanded.push('$');
            rest = after;
            continue;
        }
        let inner = rest.strip_prefix('(').and_then(|inner| inner.split_once(')'));
        match inner {
            Some((name, after)) => {
                match value(name) {
                    Some(value) => expanded.push_str(&value),
                    None => expanded.push_str(&format!("$({name})")),
                }
                rest = after;
            }
            None => expanded.push('$'),
        }
    }
    expanded.push_str(rest);
    expanded
}

/// Variables that point at the Services of the Pod's namespace, in the form that
/// links between containers once had, and always at the API's own Service.
pub fn service_links<'a>(pod: &Pod, services: impl Iterator<Item = &'a Service>) -> Vec<(String, String)> {
    let all = spec::of(pod).enable_service_links != Some(false);
    let mut chosen: BTreeMap<&str, &Service> = BTreeMap::new();
    for service in services {
        let name = service.metadata.name.as_deref().unwrap_or_default();
        let namespace = service.metadata.namespace.as_deref().unwrap_or_default();
        let is_api = namespace == "default" && name == "kubernetes";
        if all && namespace == spec::namespace(pod) || is_api && !chosen.contains_key(name) {
            chosen.insert(name, service);
        }
    }
    chosen.into_iter().flat_map(|(name, service)| links(name, service)).collect()
}

fn links(name: &str, service: &Service) -> Vec<(String, String)> {
    let Some(spec) = &service.spec else { return Vec::new() };
    let address = spec.cluster_ip.as_deref().unwrap_or_default();
    let ports = spec.ports.as_deref().unwrap_or_default();
    let Some(first) = ports.first() else { return Vec::new() };
    if address.is_empty() || address == "None" {
        return Vec::new();
    }
    let prefix = name.to_uppercase().replace('-', "_");
    let mut links = vec![
        (format!("{prefix}_SERVICE_HOST"), address.to_owned()),
        (format!("{prefix}_SERVICE_PORT"), first.port.to_string()),
    ];
    for port in ports {
        if let Some(port_name) = port.name.as_deref().filter(|name| !name.is_empty()) {
            let port_name = port_name.to_uppercase().replace('-', "_");
            links.push((format!("{prefix}_SERVICE_PORT_{port_name}"), port.port.to_string()));
        }
    }
    let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
    for (n, port) in ports.iter().enumerate() {
        let protocol = port.protocol.as_deref().unwrap_or("TCP");
        let url = format!("{}://{host}:{}", protocol.to_lowercase(), port.port);
        let base = format!("{prefix}_PORT_{}_{protocol}", port.port);
        if n == 0 {
            links.push((format!("{prefix}_PORT"), url.clone()));
        }
        links.extend([
            (base.clone(), url),
            (format!("{base}_PROTO"), protocol.to_lowercase()),
            (format!("{base}_PORT"), port.port.to_string()),
            (format!("{base}_ADDR"), address.to_owned()),
        ]);
    }
    links
}

#[cfg(test)]
#[path = "env_tests.rs"]
mod tests;
