//! Which rows a user sees: those of the namespaces where they may list Pods (or what the
//! rows are about); a node's own rows where they may list Nodes. A series about an object of the
//! API says its name, so it is seen by who may list objects of that kind.

use std::{collections::HashMap, sync::Arc};

use tiphys_api::auth::{Attributes, Authorizer, UserInfo};

use crate::{
    series::Labels,
    sql::Asker,
    state::{self, Subject},
};

/// By this label a series is somebody's.
const NAMESPACE: &str = "namespace";

/// What one user may see; for many series there is [`Scope::sight`].
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

    /// Whether they see all series there are: they may list Pods everywhere, and all kinds that
    /// series are about.
    pub fn sees_all(&self) -> bool {
        self.everywhere && state::subjects().all(|subject| self.lists(subject, ""))
    }

    pub fn sees_namespace(&self, namespace: &str) -> bool {
        let list = Attributes::core("list", self.resource, namespace);
        self.everywhere || self.authorizer.authorize(&self.user, &list).is_ok()
    }

    /// Tells of series, one after the other, whether they see them; each right is asked for once. A
    /// series counts to the namespace of its label; without one, to the whole cluster. One about an
    /// object of the API is seen by who may list its kind there.
    pub fn sight(&self) -> impl FnMut(&Labels) -> bool + Send + use<> {
        let (scope, mut known) = (self.clone(), HashMap::new());
        move |labels: &Labels| {
            let subject = state::subject(labels.name());
            let namespace = labels.get(NAMESPACE).unwrap_or_default();
            let key = (subject, namespace.to_owned());
            *known.entry(key).or_insert_with(|| scope.sees(subject, namespace))
        }
    }

    /// Of series about objects of a kind, or about none; of a namespace, or of the cluster where it
    /// is empty.
    fn sees(&self, subject: Option<&Subject>, namespace: &str) -> bool {
        match subject {
            Some(subject) => {
                self.lists(subject, "") || (!namespace.is_empty() && self.lists(subject, namespace))
            }
            None if namespace.is_empty() => self.everywhere,
            None => self.sees_namespace(namespace),
        }
    }

    fn lists(&self, subject: &Subject, namespace: &str) -> bool {
        let list = Attributes::Resource {
            verb: "list".to_owned(),
            group: subject.group.to_owned(),
            version: "v1".to_owned(),
            resource: subject.resource.to_owned(),
            subresource: String::new(),
            namespace: namespace.to_owned(),
            name: String::new(),
        };
        self.authorizer.authorize(&self.user, &list).is_ok()
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

#[cfg(test)]
mod tests;
