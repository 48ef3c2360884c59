//! What all requests share.

use std::sync::Arc;

use tiphys_api::auth::{Attributes, Authorizer, UserInfo};
use tiphys_lifecycle::{CancellationToken, Tasks};

use crate::{
    admission::Admission,
    aggregation::Aggregation,
    audit::{self, Audit},
    authn::Authenticator,
    authz::{Rbac, forbidden},
    components::Components,
    flow::Flow,
    metrics::Metrics,
    mounts::Mounts,
    openapi::OpenApi,
    registry::Registry,
    service::Pools,
    status::Result,
    storage::Storage,
    streaming::Streaming,
    webhook,
};

/// The shared parts of an API server.
pub struct Core {
    pub registry: Arc<Registry>,
    pub storage: Storage,
    pub admission: Admission,
    pub authenticator: Authenticator,
    pub rbac: Arc<Rbac>,
    pub audit: Option<Arc<Audit>>,
    pub flow: Flow,
    pub streaming: Streaming,
    pub webhooks: Arc<webhook::Client>,
    pub service_pools: Pools,
    pub aggregation: Aggregation,
    pub mounts: Mounts,
    pub components: Components,
    pub openapi: OpenApi,
    pub metrics: Metrics,
    pub tasks: Tasks,
}

impl Core {
    /// Refuses with 403 what the user may not do.
    pub fn authorize(&self, user: &UserInfo, attributes: &Attributes) -> Result<()> {
        Ok(self.rbac.authorize(user, attributes).map_err(|why| forbidden(user, attributes, &why))?)
    }

    /// As [`Core::authorize`], for what the request itself asks: the answer is noted in its record.
    pub fn authorize_request<B>(
        &self,
        user: &UserInfo,
        attributes: &Attributes,
        request: &http::Request<B>,
    ) -> Result<()> {
        let Some(recorder) = request.extensions().get::<audit::Recorder>() else {
            return self.authorize(user, attributes);
        };
        let decision = self.rbac.decide(user, attributes);
        recorder.authorized(decision.allowed, &decision.reason);
        if decision.allowed { Ok(()) } else { self.authorize(user, attributes) }
    }

    /// Cancelled when the server stops: watches end then, so that it can drain.
    pub fn stopping(&self) -> CancellationToken {
        self.tasks.token()
    }
}
