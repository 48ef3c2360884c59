//! What plug-ins read and ask of the cluster.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;
use tiphys_api::auth::SharedAuthorizer;
use tokio::sync::OwnedMutexGuard;

use super::{Versions, policy::Policies, webhook::Webhooks};
use crate::{authz::Objects, webhook::Client};

pub struct Cluster {
    pub objects: Arc<dyn Objects>,
    /// For plug-ins that ask whether the user may do something else, too.
    pub authorizer: SharedAuthorizer,
    pub versions: Arc<dyn Versions>,
    pub webhooks: Webhooks,
    pub policies: Policies,
    turns: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl Cluster {
    pub fn new(
        objects: Arc<dyn Objects>,
        authorizer: SharedAuthorizer,
        versions: Arc<dyn Versions>,
        client: Arc<Client>,
    ) -> Self {
        Self {
            objects,
            authorizer,
            versions,
            webhooks: Webhooks::new(client),
            policies: Policies::new(),
            turns: Mutex::default(),
        }
    }

    /// Waits for the turn to count in a namespace.
    pub async fn turn(&self, namespace: &str) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.turns.lock();
            // Those that nobody waits for or holds are of no use any more.
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            turns.entry(namespace.to_owned()).or_default().clone()
        };
        turn.lock_owned().await
    }
}
