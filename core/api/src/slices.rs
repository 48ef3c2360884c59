//! EndpointSlices by the Service they belong to: what service proxy and DNS both
//! look up at each change. Pure; whoever watches the slices feeds it.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
};

use k8s_openapi::api::{core::v1::Service, discovery::v1::EndpointSlice};

const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Namespace and name of a Service.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceKey {
    pub namespace: String,
    pub name: String,
}

impl ServiceKey {
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// The key of `service`.
    pub fn of(service: &Service) -> Self {
        let metadata = &service.metadata;
        Self::new(metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default())
    }

    /// The Service that `slice` says it belongs to.
    pub fn of_slice(slice: &EndpointSlice) -> Option<Self> {
        let service = slice.metadata.labels.as_ref()?.get(SERVICE_NAME)?;
        Some(Self::new(slice.metadata.namespace.clone().unwrap_or_default(), service.clone()))
    }
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The slices of each Service.
#[derive(Debug, Default)]
pub struct SliceIndex {
    by_service: HashMap<ServiceKey, BTreeMap<String, Arc<EndpointSlice>>>,
    /// Namespace and name of a slice to its Service: the label of a slice may change.
    service_of: HashMap<(String, String), ServiceKey>,
}

impl SliceIndex {
    /// An index of `slices`.
    pub fn new(slices: impl IntoIterator<Item = Arc<EndpointSlice>>) -> Self {
        let mut index = Self::default();
        for slice in slices {
            index.apply(slice);
        }
        index
    }

    /// Takes a new or changed slice. Gives the Services it touches: one, or two when it moved.
    pub fn apply(&mut self, slice: Arc<EndpointSlice>) -> Vec<ServiceKey> {
        let mut touched: Vec<_> = self.remove(&slice).into_iter().collect();
        if let Some(service) = ServiceKey::of_slice(&slice) {
            let (namespace, name) = name_of(&slice);
            self.service_of.insert((namespace, name.clone()), service.clone());
            self.by_service.entry(service.clone()).or_default().insert(name, slice);
            if !touched.contains(&service) {
                touched.push(service);
            }
        }
        touched
    }

    /// Forgets a slice. Gives the Service it belonged to.
    pub fn remove(&mut self, slice: &EndpointSlice) -> Option<ServiceKey> {
        let key = name_of(slice);
        let service = self.service_of.remove(&key)?;
        if let Some(slices) = self.by_service.get_mut(&service) {
            slices.remove(&key.1);
            if slices.is_empty() {
                self.by_service.remove(&service);
            }
        }
        Some(service)
    }

    /// The slices of a Service, by name.
    pub fn of(&self, service: &ServiceKey) -> Vec<&EndpointSlice> {
        self.by_service.get(service).into_iter().flat_map(BTreeMap::values).map(Arc::as_ref).collect()
    }
}

fn name_of(slice: &EndpointSlice) -> (String, String) {
    let metadata = &slice.metadata;
    (metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn slice(name: &str, service: &str) -> Arc<EndpointSlice> {
        let slice = json!({
            "metadata": { "namespace": "shop", "name": name, "labels": { SERVICE_NAME: service } },
            "addressType": "IPv4", "endpoints": [],
        });
        Arc::new(serde_json::from_value(slice).unwrap())
    }

    #[test]
    fn a_slice_that_moves_touches_both_services() {
        let (web, api) = (ServiceKey::new("shop", "web"), ServiceKey::new("shop", "api"));
        let mut index = SliceIndex::new([slice("a", "web"), slice("b", "web")]);
        assert_eq!(index.of(&web).len(), 2);
        assert_eq!(index.apply(slice("a", "api")), [web.clone(), api.clone()]);
        assert_eq!((index.of(&web).len(), index.of(&api).len()), (1, 1));
        assert_eq!(index.remove(&slice("a", "anything")), Some(api.clone()));
        assert_eq!(index.remove(&slice("a", "api")), None);
        assert!(index.of(&api).is_empty());
    }
}
