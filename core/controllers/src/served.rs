//! The resources that the API serves now, found by discovery: what the garbage
//! collector watches and a deleted namespace is emptied of.

use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject},
    discovery::{Discovery, Scope},
};

use tiphys_client::MetaOnly;

use crate::error::Error;

/// A stored resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    pub resource: ApiResource,
    pub namespaced: bool,
    pub verbs: Vec<String>,
}

impl Served {
    pub fn can(&self, verb: &str) -> bool {
        self.verbs.iter().any(|known| known == verb)
    }

    /// In all namespaces.
    pub fn all(&self, client: &Client) -> Api<MetaOnly> {
        Api::all_with(client.clone(), &self.resource)
    }

    /// For patches: whole objects come back, which every server can give.
    pub fn writes(&self, client: &Client, namespace: &str) -> Api<DynamicObject> {
        match self.namespaced && !namespace.is_empty() {
            true => Api::namespaced_with(client.clone(), namespace, &self.resource),
            false => Api::all_with(client.clone(), &self.resource),
        }
    }

    /// In this namespace, or cluster-wide when the resource is.
    pub fn within(&self, client: &Client, namespace: &str) -> Api<MetaOnly> {
        match self.namespaced && !namespace.is_empty() {
            true => Api::namespaced_with(client.clone(), namespace, &self.resource),
            false => self.all(client),
        }
    }
}

/// Every resource in its preferred version that can be listed and deleted.
///
/// # Errors
/// Discovery failed.
pub async fn served(client: &Client) -> Result<Vec<Served>, Error> {
    let discovery = match Discovery::new(client.clone()).run_aggregated().await {
        Ok(discovery) => discovery,
        Err(error) => {
            tracing::debug!(%error, "aggregated discovery failed, asking group by group");
            Discovery::new(client.clone()).run().await?
        }
    };
    let resources = discovery.groups().flat_map(|group| group.recommended_resources());
    let served = resources.map(|(resource, capabilities)| Served {
        resource,
        namespaced: capabilities.scope == Scope::Namespaced,
        verbs: capabilities.operations,
    });
    Ok(served.filter(|served| served.can("list") && served.can("delete")).collect())
}
