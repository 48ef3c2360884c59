//! What all requests share.

use std::sync::Arc;

use tiphys_api::auth::{Attributes, Authorizer, UserInfo};
use tiphys_lifecycle::{CancellationToken, Tasks};

use crate::{
    admission::Admission,
    authn::Authenticator,
    authz::{Rbac, forbidden},
    metrics::Metrics,
    mounts::Mounts,
    openapi::OpenApi,
    registry::Registry,
    service::Pools,
    status::Result,
    storage::Storage,
    streaming::Streaming,
};

/// The shared parts of an API server.
pub struct Core {
    pub registry: Arc<Registry>,
    pub storage: Storage,
    pub admission: Admission,
    pub authenticator: Authenticator,
    pub rbac: Arc<Rbac>,
    pub streaming: Streaming,
    pub service_pools: Pools,
    pub mounts: Mounts,
    pub openapi: OpenApi,
    pub metrics: Metrics,
    pub tasks: Tasks,
}

impl Core {
    /// Refuses with 403 what the user may not do.
    pub fn authorize(&self, user: &UserInfo, attributes: &Attributes) -> Result<()> {
        Ok(self.rbac.authorize(user, attributes).map_err(|why| forbidden(user, attributes, &why))?)
    }

    /// Cancelled when the server stops: watches end then, so that it can drain.
    pub fn stopping(&self) -> CancellationToken {
        self.tasks.token()
    }
}
