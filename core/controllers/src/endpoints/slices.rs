//! From the slices that are there to those that should be, with few writes. Pure.
//!
//! Endpoints stay in the slice they are in; new ones fill slices that change
//! anyway or have room, then new slices. Names are made from the Service, the
//! group and a number: two reconciles on stale caches meet at the same name and
//! the second is refused, instead of making a double.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use jiff::Timestamp;
use k8s_openapi::{
    api::{
        core::v1::Service,
        discovery::v1::{Endpoint, EndpointSlice},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use super::{
    desired::{Group, Port},
    trigger,
};
use crate::{object, owner};

/// Endpoints a slice holds at most.
pub const MOST: usize = 100;

pub const SERVICE_NAME: &str = "kubernetes.io/service-name";
pub const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
pub const MANAGER: &str = "endpointslice-controller.k8s.io";
const HEADLESS: &str = "service.kubernetes.io/headless";

/// What to write.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Changes {
    pub create: Vec<EndpointSlice>,
    pub replace: Vec<EndpointSlice>,
    pub delete: Vec<String>,
}

impl Changes {
    /// Says since when they wait. What needs no write is left as it is.
    pub fn annotate(&mut self, since: Option<Timestamp>) {
        for slice in self.create.iter_mut().chain(&mut self.replace) {
            trigger::annotate(&mut slice.metadata, since);
        }
    }
}

/// The changes from `existing` (this Service's slices of this controller) to `wanted`.
pub fn changes(
    service: &Service,
    existing: &[Arc<EndpointSlice>],
    mut wanted: BTreeMap<Group, Vec<Endpoint>>,
    families: &[&'static str],
) -> Changes {
    // A Service without endpoints keeps one empty slice a family, so that
    // readers see that it was looked at.
    for family in families {
        if !wanted.keys().any(|group| group.family == *family) {
            wanted.insert(Group { family, ports: Vec::new() }, Vec::new());
        }
    }
    let mut changes = Changes::default();
    let mut by_group: BTreeMap<Group, Vec<&EndpointSlice>> = BTreeMap::new();
    for slice in existing {
        match group_of(slice).filter(|group| wanted.contains_key(group)) {
            Some(group) => by_group.entry(group).or_default().push(slice),
            None => changes.delete.push(object::name(&**slice).to_owned()),
        }
    }
    let mut names: HashSet<String> = existing.iter().map(|slice| object::name(&**slice).to_owned()).collect();
    for (group, endpoints) in wanted {
        let slices = by_group.remove(&group).unwrap_or_default();
        settle(service, &group, slices, endpoints, &mut names, &mut changes);
    }
    changes
}

fn group_of(slice: &EndpointSlice) -> Option<Group> {
    let family = match slice.address_type.as_str() {
        "IPv4" => "IPv4",
        "IPv6" => "IPv6",
        _ => return None,
    };
    let mut ports: Vec<Port> = slice.ports.iter().flatten().map(Port::of_slice).collect();
    ports.sort();
    Some(Group { family, ports })
}

fn settle(
    service: &Service,
    group: &Group,
    slices: Vec<&EndpointSlice>,
    endpoints: Vec<Endpoint>,
    names: &mut HashSet<String>,
    changes: &mut Changes,
) {
    let key = |endpoint: &Endpoint| -> (Vec<String>, Option<String>) {
        (endpoint.addresses.clone(), endpoint.target_ref.as_ref().and_then(|target| target.uid.clone()))
    };
    let mut new: BTreeMap<_, Endpoint> =
        endpoints.into_iter().map(|endpoint| (key(&endpoint), endpoint)).collect();
    let mut kept: Vec<(&EndpointSlice, Vec<Endpoint>)> = Vec::new();
    for slice in slices {
        let old = slice.endpoints.as_deref().unwrap_or_default();
        let stay = old.iter().filter_map(|endpoint| new.remove(&key(endpoint))).collect();
        kept.push((slice, stay));
    }
    let mut new: Vec<Endpoint> = new.into_values().collect();
    // Slices that change anyway first, then the fullest.
    let changed =
        |slice: &EndpointSlice, stay: &[Endpoint]| slice.endpoints.as_deref().unwrap_or_default() != stay;
    kept.sort_by_key(|(slice, stay)| (!changed(slice, stay), std::cmp::Reverse(stay.len())));
    for (_, stay) in &mut kept {
        let room = MOST.saturating_sub(stay.len()).min(new.len());
        stay.extend(new.drain(..room));
    }
    let mut any = false;
    let total = kept.len();
    for (number, (slice, stay)) in kept.into_iter().enumerate() {
        let placeholder = !any && new.is_empty() && number + 1 == total;
        if stay.is_empty() && !placeholder {
            changes.delete.push(object::name(slice).to_owned());
            continue;
        }
        any = true;
        let (labels, old) = (labels(service), slice.endpoints.as_deref().unwrap_or_default());
        if old != stay || slice.metadata.labels.as_ref() != Some(&labels) {
            let mut slice = slice.clone();
            slice.endpoints = Some(stay);
            slice.metadata.labels = Some(labels);
            changes.replace.push(slice);
        }
    }
    let mut rest = new.into_iter().peekable();
    while rest.peek().is_some() || !any {
        any = true;
        let endpoints: Vec<Endpoint> = rest.by_ref().take(MOST).collect();
        changes.create.push(slice(service, group, endpoints, names));
    }
}

fn slice(
    service: &Service,
    group: &Group,
    endpoints: Vec<Endpoint>,
    names: &mut HashSet<String>,
) -> EndpointSlice {
    let name = (0..).map(|number| name(service, group, number)).find(|name| names.insert(name.clone()));
    EndpointSlice {
        metadata: ObjectMeta {
            name,
            namespace: service.metadata.namespace.clone(),
            labels: Some(labels(service)),
            owner_references: Some(vec![owner::reference(service)]),
            ..ObjectMeta::default()
        },
        address_type: group.family.to_owned(),
        ports: Some(group.ports.iter().map(Port::to_slice).collect()),
        endpoints: Some(endpoints),
    }
}

fn name(service: &Service, group: &Group, number: u32) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let text = format!("{}/{group:?}/{number}", object::uid(service));
    let mut hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    let mut name: String = object::name(service).chars().take(56).collect();
    name.push('-');
    for _ in 0..5 {
        name.push(char::from(ALPHABET[(hash % 27) as usize]));
        hash /= 27;
    }
    name
}

/// The Service's labels, and those by which slices are found.
fn labels(service: &Service) -> BTreeMap<String, String> {
    let mut labels = object::labels(service).clone();
    labels.insert(SERVICE_NAME.to_owned(), object::name(service).to_owned());
    labels.insert(MANAGED_BY.to_owned(), MANAGER.to_owned());
    let headless = service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref()) == Some("None");
    if headless {
        labels.insert(HEADLESS.to_owned(), String::new());
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeSet;

    fn addresses(slices: &[EndpointSlice]) -> BTreeSet<String> {
        let endpoints = slices.iter().flat_map(|slice| slice.endpoints.iter().flatten());
        endpoints.flat_map(|endpoint| endpoint.addresses.clone()).collect()
    }

    fn service() -> Service {
        serde_json::from_value(json!({"metadata": {"name": "web", "namespace": "default", "uid": "s"}}))
            .unwrap()
    }

    fn wanted(range: std::ops::Range<usize>, ready: bool) -> BTreeMap<Group, Vec<Endpoint>> {
        let endpoint = |number: usize| -> Endpoint {
            let address = format!("10.0.{}.{}", number / 256, number % 256);
            serde_json::from_value(json!({"addresses": [address], "conditions": {"ready": ready},
                "targetRef": {"uid": number.to_string()}}))
            .unwrap()
        };
        let port = Port { name: "http".into(), protocol: "TCP".into(), port: 80, app_protocol: None };
        BTreeMap::from([(Group { family: "IPv4", ports: vec![port] }, range.map(endpoint).collect())])
    }

    fn apply(existing: &[Arc<EndpointSlice>], changes: &Changes) -> Vec<Arc<EndpointSlice>> {
        let mut after: BTreeMap<String, Arc<EndpointSlice>> =
            existing.iter().map(|slice| (object::name(&**slice).to_owned(), slice.clone())).collect();
        changes.delete.iter().for_each(|name| drop(after.remove(name)));
        for slice in changes.create.iter().chain(&changes.replace) {
            after.insert(object::name(slice).to_owned(), Arc::new(slice.clone()));
        }
        after.into_values().collect()
    }

    fn plan(existing: &[Arc<EndpointSlice>], wanted: BTreeMap<Group, Vec<Endpoint>>) -> Changes {
        changes(&service(), existing, wanted, &["IPv4"])
    }

    #[test]
    fn slices_hold_a_hundred_and_are_stable() {
        let first = plan(&[], wanted(0..250, true));
        let sizes: Vec<_> =
            first.create.iter().map(|slice| slice.endpoints.as_ref().unwrap().len()).collect();
        assert_eq!(sizes, [100, 100, 50]);
        assert_eq!(addresses(&first.create).len(), 250);
        let slices = apply(&[], &first);
        assert_eq!(
            plan(&slices, wanted(0..250, true)),
            Changes::default(),
            "nothing changed, nothing is written"
        );

        let grown = plan(&slices, wanted(0..251, true));
        assert_eq!((grown.create.len(), grown.replace.len(), grown.delete.len()), (0, 1, 0));
        let shrunk = plan(&slices, wanted(0..1, true));
        assert_eq!((shrunk.create.len(), shrunk.replace.len(), shrunk.delete.len()), (0, 1, 2));
    }

    #[test]
    fn a_changed_endpoint_stays_in_its_slice() {
        let slices = apply(&[], &plan(&[], wanted(0..3, true)));
        let changed = plan(&slices, wanted(0..3, false));
        assert_eq!((changed.create.len(), changed.replace.len(), changed.delete.len()), (0, 1, 0));
        assert_eq!(changed.replace[0].metadata.name, slices[0].metadata.name);
    }

    #[test]
    fn a_service_without_endpoints_keeps_one_empty_slice() {
        let empty = plan(&[], BTreeMap::new());
        assert_eq!(empty.create.len(), 1);
        let slices = apply(&[], &empty);
        assert_eq!(plan(&slices, BTreeMap::new()), Changes::default());
        // Its ports come with the first endpoint: another group, so another slice.
        let filled = plan(&slices, wanted(0..1, true));
        assert_eq!((filled.create.len(), filled.delete.len()), (1, 1));
    }

    #[test]
    fn what_is_written_says_since_when_it_waits_and_that_alone_is_no_change() {
        let told = |slice: &EndpointSlice| slice.metadata.annotations.clone().unwrap_or_default();
        let time: Timestamp = "2026-11-27T10:00:07Z".parse().unwrap();
        let mut first = plan(&[], wanted(0..150, true));
        first.annotate(Some(time));
        assert!(first.create.iter().all(|slice| told(slice).into_values().eq([time.to_string()])));
        let slices = apply(&[], &first);
        assert_eq!(plan(&slices, wanted(0..150, true)), Changes::default());
        let mut grown = plan(&slices, wanted(0..151, true));
        grown.annotate(None);
        assert_eq!(grown.replace.len(), 1);
        assert!(told(&grown.replace[0]).is_empty(), "it told of the write before");
    }

    #[test]
    fn the_same_plan_makes_the_same_names() {
        let names = |changes: &Changes| {
            changes.create.iter().map(|slice| slice.metadata.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(names(&plan(&[], wanted(0..150, true))), names(&plan(&[], wanted(0..150, true))));
    }
}
