//! The Service `kubernetes` in `default`, at the first service address, and the
//! endpoint where Pods reach this server.

use std::{net::IpAddr, sync::Arc};

use futures::StreamExt;
use serde_json::{Value, json};
use tiphys_lifecycle::BoxError;

use super::{changes, changes::Name, ensure};
use crate::{
    cache::{EventKind, Selector},
    state::Core,
    status::Result,
};

/// What Pods reach the API server by.
const OBJECTS: [Name; 3] = [("", "services"), ("", "endpoints"), ("discovery.k8s.io", "endpointslices")];

pub async fn write(core: &Arc<Core>, advertise: Option<(IpAddr, u16)>) -> Result<()> {
    let address = core.service_pools.addresses.cidr().nth(1).to_string();
    let port = advertise.map_or(443, |(_, port)| port);
    ensure(core, &service(&address, port), &|stored| {
        let ports = service(&address, port)["spec"]["ports"].take();
        (stored["spec"]["ports"][0]["targetPort"] != ports[0]["targetPort"]).then(|| {
            let mut changed = stored.clone();
            changed["spec"]["ports"] = ports;
            changed
        })
    })
    .await?;
    let Some((ip, port)) = advertise else { return Ok(()) };
    for (wanted, own) in
        [(endpoints(ip, port), &["subsets"][..]), (slice(ip, port), &["endpoints", "ports"][..])]
    {
        ensure(core, &wanted, &|stored| {
            let same = own.iter().all(|key| covers(&stored[*key], &wanted[*key]));
            (!same).then(|| {
                let mut changed = stored.clone();
                for key in own {
                    changed[*key] = wanted[*key].clone();
                }
                changed
            })
        })
        .await?;
    }
    Ok(())
}

/// Writes them again when someone deletes one of them: every Pod relies on them.
pub fn follow(core: &Arc<Core>, advertise: Option<(IpAddr, u16)>) {
    let shared = core.clone();
    core.tasks.spawn_restarting("service kubernetes", move || {
        let core = shared.clone();
        async move {
            let only_it = Selector::parse(None, Some("metadata.name=kubernetes"))?;
            let mut changes = changes::of(&core, &OBJECTS, Some("default"), &only_it).await?;
            write(&core, advertise).await?;
            while let Some(event) = changes.next().await {
                if event?.kind == EventKind::Deleted {
                    write(&core, advertise).await?;
                }
            }
            Err::<(), BoxError>("a watch on the service kubernetes ended".into())
        }
    });
}

/// Whether `stored` says what `wanted` says; defaults may have been added to it.
fn covers(stored: &Value, wanted: &Value) -> bool {
    match (stored, wanted) {
        (Value::Object(stored), Value::Object(wanted)) => {
            wanted.iter().all(|(key, value)| stored.get(key).is_some_and(|found| covers(found, value)))
        }
        (Value::Array(stored), Value::Array(wanted)) => {
            stored.len() == wanted.len()
                && stored.iter().zip(wanted).all(|(found, value)| covers(found, value))
        }
        (stored, wanted) => stored == wanted,
    }
}

fn service(address: &str, target: u16) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": { "component": "apiserver", "provider": "kubernetes" },
        },
        "spec": {
            "type": "ClusterIP",
            "clusterIP": address,
            "ports": [{ "name": "https", "protocol": "TCP", "port": 443, "targetPort": target }],
        },
    })
}

fn endpoints(ip: IpAddr, port: u16) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            // The mirroring controller leaves it alone: the slice below is written here.
            "labels": { "endpointslice.kubernetes.io/skip-mirror": "true" },
        },
        "subsets": [{
            "addresses": [{ "ip": ip.to_string() }],
            "ports": [{ "name": "https", "port": port, "protocol": "TCP" }],
        }],
    })
}

fn slice(ip: IpAddr, port: u16) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": { "kubernetes.io/service-name": "kubernetes" },
        },
        "addressType": if ip.is_ipv4() { "IPv4" } else { "IPv6" },
        "endpoints": [{ "addresses": [ip.to_string()], "conditions": { "ready": true } }],
        "ports": [{ "name": "https", "port": port, "protocol": "TCP" }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn added_defaults_are_no_difference() {
        assert!(covers(&json!([{"a": 1, "b": 2}]), &json!([{"a": 1}])));
        assert!(!covers(&json!([{"a": 2}]), &json!([{"a": 1}])));
        assert!(!covers(&json!([]), &json!([{"a": 1}])));
    }
}
