//! Which rows a user sees: those of the namespaces where they may list Pods (or what the
//! rows are about); a node's own rows where they may list Nodes.

use std::sync::Arc;

use tiphys_api::auth::{Attributes, Authorizer, UserInfo};

use crate::{series::Labels, sql::Asker};

/// What one user may see, asked once for each series and query.
#[derive(Clone)]
pub struct Scope {
    user: UserInfo,
    authorizer: Arc<dyn Authorizer>,
    resource: &'static str,
    everywhere: bool,
}

impl Scope {
    /// Of rows about Pods.
    pub fn of(user: UserInfo, authorizer: Arc<dyn Authorizer>) -> Self {
        Self::about("pods", user, authorizer)
    }

    /// The same, of who asks a statement.
    pub fn of_asker(asker: &Asker) -> Self {
        Self::over("pods", asker)
    }

    /// Of rows about another resource of the core group.
    pub fn over(resource: &'static str, asker: &Asker) -> Self {
        Self::about(resource, asker.user.clone(), asker.authorizer.clone())
    }

    fn about(resource: &'static str, user: UserInfo, authorizer: Arc<dyn Authorizer>) -> Self {
        let everywhere = authorizer.authorize(&user, &Attributes::core("list", resource, "")).is_ok();
        Self { user, authorizer, resource, everywhere }
    }

    /// Whether they may list Pods everywhere.
    pub fn sees_all(&self) -> bool {
        self.everywhere
    }

    pub fn sees_namespace(&self, namespace: &str) -> bool {
        let list = Attributes::core("list", self.resource, namespace);
        self.everywhere || self.authorizer.authorize(&self.user, &list).is_ok()
    }

    /// A series counts to the namespace of its label; without one, to the whole cluster.
    pub fn sees_series(&self, labels: &Labels) -> bool {
        self.everywhere || labels.get("namespace").is_some_and(|namespace| self.sees_namespace(namespace))
    }

    pub fn sees_nodes(&self) -> bool {
        self.authorizer.authorize(&self.user, &Attributes::core("list", "nodes", "")).is_ok()
    }
}

impl std::fmt::Debug for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scope").field("user", &self.user.name).field("everywhere", &self.everywhere).finish()
    }
}
