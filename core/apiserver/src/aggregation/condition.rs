//! Whether an extension server is available: what can be told before it is asked, and the
//! condition that says so. Pure, but for [`write`].

use std::sync::Arc;

use serde_json::{Value, json};
use tiphys_api::{
    access::{condition, find, list, present, text},
    kinds::{
        api_service,
        custom_resource_definition::conditions::{self, Condition},
    },
};

use super::table::{Remote, Service};
use crate::{
    bootstrap,
    state::Core,
    status::Result,
    storage::Current,
    write::{
        commit::{self, Change, Part},
        metadata,
    },
};

/// What the condition says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub available: bool,
    pub reason: &'static str,
    pub message: String,
}

impl Verdict {
    pub fn passed() -> Self {
        Self { available: true, reason: "Passed", message: "all checks passed".into() }
    }

    pub fn local() -> Self {
        let (reason, message) = api_service::LOCAL;
        Self { available: true, reason, message: message.into() }
    }

    pub fn failed(reason: &'static str, message: String) -> Self {
        Self { available: false, reason, message }
    }
}

/// What keeps it from being reached: its Service and EndpointSlices. None: it may be asked.
pub fn obstacle(remote: &Remote, service: Option<&Value>, slices: &[Arc<Value>]) -> Option<Verdict> {
    let Remote { namespace, name, port, .. } = remote;
    let Some(service) = service else {
        let message = format!("service/{name} in {namespace:?} is not present");
        return Some(Verdict::failed("ServiceNotFound", message));
    };
    // Of an ExternalName nothing is known here; other types are reached by their endpoints, too.
    if text(service, "/spec/type") == "ExternalName" {
        return None;
    }
    let ports = list(service, "/spec/ports");
    let Some(own) = ports.iter().find(|one| one["port"].as_u64() == Some(u64::from(*port))) else {
        let message = format!("service/{name} in {namespace:?} is not listening on port {port}");
        return Some(Verdict::failed("ServicePortError", message));
    };
    if slices.is_empty() {
        let message = format!("cannot find endpointslices for service/{name} in {namespace:?}");
        return Some(Verdict::failed("EndpointsNotFound", message));
    }
    let port = text(own, "/name");
    if slices.iter().any(|slice| has_ready_endpoint(slice, port)) {
        return None;
    }
    let message = format!(
        "endpointslices for service/{name} in {namespace:?} have no addresses with port name {port:?}"
    );
    Some(Verdict::failed("MissingEndpoints", message))
}

fn has_ready_endpoint(slice: &Value, port: &str) -> bool {
    let named = |one: &Value| text(one, "/name") == port && present(one, "/port").is_some();
    list(slice, "/endpoints").iter().any(|endpoint| endpoint["conditions"]["ready"] != false)
        && list(slice, "/ports").iter().any(named)
}

/// The object with the condition. Its time moves only when its status does.
pub fn set(object: &mut Value, verdict: &Verdict, now: &str) {
    let Verdict { available, reason, message } = verdict;
    let condition = Condition { kind: api_service::AVAILABLE, holds: *available, reason, message };
    conditions::set(object, condition, now);
}

/// Whether a local one still says what was so when it led elsewhere, or nothing.
pub fn is_stale_local(object: &Value) -> bool {
    let said = find(list(object, "/status/conditions"), "type", api_service::AVAILABLE);
    let local = said.is_some_and(|said| text(said, "/reason") == api_service::LOCAL.0);
    present(object, "/spec/service").is_none() && !(local && condition(object, api_service::AVAILABLE))
}

/// Writes the condition, unless the object is another one by now, or gone.
pub async fn write(core: &Arc<Core>, service: &Service, verdict: &Verdict) -> Result<()> {
    let named = json!({ "apiVersion": "apiregistration.k8s.io/v1", "kind": api_service::KIND.kind,
        "metadata": { "name": service.name() } });
    let ctx = bootstrap::context(core, &named)?;
    let now = metadata::now();
    let change = |current: &Current| {
        let mut object = current.object.clone();
        if Service::of(&object).leads_as(service) {
            set(&mut object, verdict, &now);
        }
        Ok(Change::to(object))
    };
    match commit::update(&ctx, Part::Status, &change).await {
        Err(error) if error.reason != "NotFound" => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregation::table::Trust;

    fn reason(service: Option<Value>, slices: Vec<Value>) -> Option<&'static str> {
        let remote = Remote { namespace: "n".into(), name: "s".into(), port: 443, trust: Trust::Machine };
        let slices: Vec<Arc<Value>> = slices.into_iter().map(Arc::new).collect();
        obstacle(&remote, service.as_ref(), &slices).map(|verdict| verdict.reason)
    }

    #[test]
    fn what_is_missing_has_a_reason() {
        let service = |port: u16| json!({ "spec": { "ports": [{ "name": "https", "port": port }] } });
        let slice = |port: &str, ready: Value| {
            json!({ "ports": [{ "name": port, "port": 8443 }],
                    "endpoints": [{ "addresses": ["10.0.0.1"], "conditions": { "ready": ready } }] })
        };
        let no_endpoints = json!({ "ports": [{ "name": "https", "port": 8443 }], "endpoints": null });
        let table = [
            (None, vec![], Some("ServiceNotFound")),
            (Some(service(80)), vec![], Some("ServicePortError")),
            (Some(service(443)), vec![], Some("EndpointsNotFound")),
            (Some(service(443)), vec![no_endpoints], Some("MissingEndpoints")),
            (Some(service(443)), vec![slice("https", json!(false))], Some("MissingEndpoints")),
            (Some(service(443)), vec![slice("http", json!(true))], Some("MissingEndpoints")),
            (Some(service(443)), vec![slice("https", json!(true))], None),
            (Some(service(443)), vec![slice("http", json!(true)), slice("https", Value::Null)], None),
            (Some(json!({ "spec": { "type": "ExternalName" } })), vec![], None),
        ];
        for (service, slices, expected) in table {
            assert_eq!(reason(service.clone(), slices.clone()), expected, "{service:?} {slices:?}");
        }
    }

    #[test]
    fn the_time_is_that_of_the_last_transition() {
        let mut object = json!({});
        set(&mut object, &Verdict::failed("ServiceNotFound", "a".into()), "1");
        set(&mut object, &Verdict::failed("MissingEndpoints", "b".into()), "2");
        let condition = &object["status"]["conditions"][0];
        assert_eq!(
            (&condition["lastTransitionTime"], &condition["reason"]),
            (&json!("1"), &json!("MissingEndpoints"))
        );
        set(&mut object, &Verdict::passed(), "3");
        assert_eq!(object["status"]["conditions"][0]["lastTransitionTime"], "3");
        assert!(is_stale_local(&object), "it led elsewhere");
        set(&mut object, &Verdict::local(), "4");
        assert!(!is_stale_local(&object));
        assert_eq!(object["status"]["conditions"][0]["lastTransitionTime"], "3");
    }
}
