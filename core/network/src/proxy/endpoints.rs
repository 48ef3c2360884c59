//! Which endpoints of a Service port take traffic: pure.
//!
//! Those that are ready; when none is, those that still serve while they
//! terminate (so that a rolling update of one Pod loses no connection). With a
//! Local traffic policy the same rule over this node's endpoints alone.

use std::{collections::BTreeMap, net::Ipv4Addr};

use k8s_openapi::api::{core::v1::ServicePort, discovery::v1::EndpointSlice};

/// An address and port that traffic is sent to. Ordered, so that equal sets make equal rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Endpoint {
    pub address: Ipv4Addr,
    pub port: u16,
}

/// What a port's traffic may go to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Endpoints {
    /// On any node.
    pub all: Vec<Endpoint>,
    /// On this node. Not always a part of `all`: a terminating one serves here
    /// when no ready one is here.
    pub local: Vec<Endpoint>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Condition {
    Unusable,
    ServesWhileTerminating,
    Ready,
}

/// Chooses for `port` among the endpoints of `slices`; `node` is this node's name.
pub(crate) fn choose(port: &ServicePort, slices: &[&EndpointSlice], node: &str) -> Endpoints {
    let candidates = candidates(port, slices, node);
    let here = candidates.iter().filter(|(_, (_, is_local))| *is_local);
    Endpoints {
        all: best(candidates.iter().map(|(endpoint, (condition, _))| (*endpoint, *condition))),
        local: best(here.map(|(endpoint, (condition, _))| (*endpoint, *condition))),
    }
}

fn best(candidates: impl Iterator<Item = (Endpoint, Condition)> + Clone) -> Vec<Endpoint> {
    let highest = candidates.clone().map(|(_, condition)| condition).max();
    let Some(highest) = highest.filter(|condition| *condition != Condition::Unusable) else {
        return Vec::new();
    };
    candidates.filter(|(_, condition)| *condition == highest).map(|(endpoint, _)| endpoint).collect()
}

/// Each endpoint once, in its best condition: while a Pod moves between slices it
/// may stand in two.
fn candidates(
    port: &ServicePort,
    slices: &[&EndpointSlice],
    node: &str,
) -> BTreeMap<Endpoint, (Condition, bool)> {
    let mut found = BTreeMap::new();
    for slice in slices.iter().filter(|slice| slice.address_type == "IPv4") {
        let Some(number) = target_port(port, slice) else { continue };
        for endpoint in slice.endpoints.iter().flatten() {
            let Some(address) = endpoint.addresses.first().and_then(|text| text.parse().ok()) else {
                continue;
            };
            let condition = condition(endpoint.conditions.as_ref());
            let is_local = endpoint.node_name.as_deref() == Some(node);
            let known = found.entry(Endpoint { address, port: number }).or_insert((condition, is_local));
            known.0 = known.0.max(condition);
            known.1 |= is_local;
        }
    }
    found
}

/// The port number behind `port` in `slice`: the one of the same name and protocol.
fn target_port(port: &ServicePort, slice: &EndpointSlice) -> Option<u16> {
    let name = |name: &Option<String>| name.clone().unwrap_or_default();
    let protocol = |protocol: &Option<String>| protocol.clone().unwrap_or_else(|| "TCP".to_owned());
    let same = slice.ports.iter().flatten().find(|candidate| {
        name(&candidate.name) == name(&port.name) && protocol(&candidate.protocol) == protocol(&port.protocol)
    });
    same.and_then(|found| found.port).and_then(|number| u16::try_from(number).ok())
}

fn condition(conditions: Option<&k8s_openapi::api::discovery::v1::EndpointConditions>) -> Condition {
    let Some(conditions) = conditions else { return Condition::Ready };
    if conditions.ready.unwrap_or(true) {
        Condition::Ready
    } else if conditions.serving.unwrap_or(true) && conditions.terminating.unwrap_or(false) {
        Condition::ServesWhileTerminating
    } else {
        Condition::Unusable
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn endpoint(address: &str, node: &str, conditions: Value) -> Value {
        json!({ "addresses": [address], "nodeName": node, "conditions": conditions })
    }

    fn check(endpoints: &[Value], all: &[&str], local: &[&str]) {
        let slice: EndpointSlice = serde_json::from_value(json!({
            "metadata": {}, "addressType": "IPv4", "endpoints": endpoints,
            "ports": [{ "name": "metrics", "port": 9 }, { "name": "http", "port": 8080, "protocol": "TCP" }],
        }))
        .unwrap();
        let port = ServicePort { name: Some("http".into()), port: 80, ..Default::default() };
        let chosen = choose(&port, &[&slice, &slice], "here");
        let addresses =
            |chosen: &[Endpoint]| chosen.iter().map(|e| e.address.to_string()).collect::<Vec<_>>();
        assert_eq!(
            (addresses(&chosen.all), addresses(&chosen.local)),
            (own(all), own(local)),
            "of {endpoints:?}"
        );
        assert!(chosen.all.iter().all(|endpoint| endpoint.port == 8080));
    }

    fn own(texts: &[&str]) -> Vec<String> {
        texts.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn ready_endpoints_first_and_terminating_ones_when_there_are_no_others() {
        let ready = json!({ "ready": true });
        let starting = json!({ "ready": false, "serving": false });
        let ending = json!({ "ready": false, "serving": true, "terminating": true });
        check(&[], &[], &[]);
        check(&[endpoint("10.1.0.1", "here", json!({}))], &["10.1.0.1"], &["10.1.0.1"]);
        check(&[endpoint("10.1.0.1", "here", starting.clone())], &[], &[]);
        check(
            &[endpoint("10.1.0.1", "there", ready.clone()), endpoint("10.1.0.2", "here", ending.clone())],
            &["10.1.0.1"],
            &["10.1.0.2"],
        );
        check(
            &[endpoint("10.1.0.2", "here", ending), endpoint("10.1.0.3", "here", starting)],
            &["10.1.0.2"],
            &["10.1.0.2"],
        );
        check(
            &[endpoint("10.1.0.2", "x", ready.clone()), endpoint("10.1.0.1", "here", ready)],
            &["10.1.0.1", "10.1.0.2"],
            &["10.1.0.1"],
        );
    }
}
