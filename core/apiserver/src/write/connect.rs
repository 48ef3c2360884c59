//! exec, attach, port-forward and proxy as admission sees them: CONNECT, with the options as object.
//!
//! Webhooks and policies may refuse a connection. What they make of its options is not
//! used: the query goes on as the client sent it.

use serde_json::{Value, json};
use tiphys_api::auth::UserInfo;

use crate::{
    admission::{Notes, Operation, Request},
    registry::Resource,
    request::info::RequestInfo,
    state::Core,
    status::Result,
};

/// Whether the connection may be made.
pub async fn admit(
    core: &Core,
    resource: &Resource,
    user: &UserInfo,
    info: &RequestInfo,
    query: Option<&str>,
) -> Result<()> {
    let Some(mut object) = options(info, query.unwrap_or_default()) else { return Ok(()) };
    let notes = Notes::default();
    let mut request = Request {
        operation: Operation::Connect,
        user,
        group: resource.stored.group,
        version: resource.kind.version,
        resource: resource.stored.plural,
        subresource: &info.subresource,
        namespace: &info.namespace,
        name: &info.name,
        object: Some(&mut object),
        old: None,
        dry_run: false,
        options: &Value::Null,
        notes: &notes,
        again: Default::default(),
    };
    core.admission.mutate(&mut request).await?;
    Ok(core.admission.validate(&request).await?)
}

/// `None` for what is no connection: logs are read.
fn options(info: &RequestInfo, query: &str) -> Option<Value> {
    let kind = match (info.subresource.as_str(), info.resource.as_str()) {
        ("exec", _) => "PodExecOptions",
        ("attach", _) => "PodAttachOptions",
        ("portforward", _) => "PodPortForwardOptions",
        ("proxy", "nodes") => "NodeProxyOptions",
        ("proxy", "services") => "ServiceProxyOptions",
        ("proxy", _) => "PodProxyOptions",
        _ => return None,
    };
    let mut options = json!({ "kind": kind, "apiVersion": "v1" });
    match kind {
        "PodExecOptions" | "PodAttachOptions" => streams(&mut options, query),
        "PodPortForwardOptions" => ports(&mut options, query),
        _ if !info.rest.is_empty() => options["path"] = info.rest.clone().into(),
        _ => {}
    }
    Some(options)
}

fn streams(options: &mut Value, query: &str) {
    options["stdout"] = true.into();
    options["stderr"] = true.into();
    let mut command = Vec::new();
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*key {
            "stdin" | "stdout" | "stderr" | "tty" => {
                options[&*key] = (!matches!(&*value, "false" | "0" | "")).into();
            }
            "container" => options["container"] = value.into(),
            "command" => command.push(Value::from(value)),
            _ => {}
        }
    }
    if let Some(fields) = options.as_object_mut() {
        fields.retain(|_, value| *value != Value::Bool(false));
    }
    if !command.is_empty() {
        options["command"] = command.into();
    }
}

fn ports(options: &mut Value, query: &str) {
    let named = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == "ports");
    let ports: Vec<i64> = named
        .flat_map(|(_, list)| list.split(',').filter_map(|port| port.parse().ok()).collect::<Vec<_>>())
        .collect();
    if !ports.is_empty() {
        options["ports"] = ports.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_become_options() {
        let shown = |resource: &str, subresource: &str, rest: &str, query: &str| {
            let info = RequestInfo {
                resource: resource.into(),
                subresource: subresource.into(),
                rest: rest.into(),
                ..RequestInfo::default()
            };
            options(&info, query)
        };
        let table = [
            (
                shown("pods", "exec", "", "command=sh&command=-c&container=a&stdin=true&stderr=false&tty=1"),
                json!({ "kind": "PodExecOptions", "apiVersion": "v1", "stdin": true, "stdout": true, "tty": true,
                        "container": "a", "command": ["sh", "-c"] }),
            ),
            (
                shown("pods", "portforward", "", "ports=80&ports=81,82"),
                json!({ "kind": "PodPortForwardOptions", "apiVersion": "v1", "ports": [80, 81, 82] }),
            ),
            (
                shown("services", "proxy", "a/b", ""),
                json!({ "kind": "ServiceProxyOptions", "apiVersion": "v1", "path": "a/b" }),
            ),
        ];
        for (found, expected) in table {
            assert_eq!(found, Some(expected));
        }
        assert_eq!(shown("pods", "log", "", ""), None);
    }
}
