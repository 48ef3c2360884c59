//! The authorizer of the cluster.

use std::sync::Arc;

use arc_swap::ArcSwap;
use serde_json::Value;
use tiphys_api::auth::{Attributes, Authorizer, MASTERS, UserInfo};

use super::{
    Objects, RBAC_GROUP, node,
    rule::Rule,
    table::{Sources, Table},
    wording::cannot,
};

/// RBAC beside the Node authorizer, answered from memory.
pub struct Rbac {
    objects: Arc<dyn Objects>,
    table: ArcSwap<Table>,
}

/// An answer with its reason, as access reviews show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub allowed: bool,
    /// By which binding, or which role is missing. May be empty.
    pub reason: String,
}

impl Rbac {
    /// With the roles and bindings that `objects` has now.
    pub fn new(objects: Arc<dyn Objects>) -> Arc<Self> {
        let rbac = Self { objects, table: ArcSwap::default() };
        rbac.rebuild();
        Arc::new(rbac)
    }

    /// Reads roles and bindings again. To be called after any of them changed.
    pub fn rebuild(&self) {
        let list = |resource: &str| self.objects.list(RBAC_GROUP, resource, "", &[]);
        let sources = Sources {
            roles: list("roles"),
            cluster_roles: list("clusterroles"),
            role_bindings: list("rolebindings"),
            cluster_role_bindings: list("clusterrolebindings"),
        };
        self.table.store(Arc::new(Table::build(&sources)));
    }

    pub fn decide(&self, user: &UserInfo, attributes: &Attributes) -> Decision {
        if is_master(user) || node::allows(&*self.objects, user, attributes) {
            return Decision { allowed: true, reason: String::new() };
        }
        match self.table.load().decide(user, attributes) {
            Ok(via) => Decision { allowed: true, reason: format!("RBAC: allowed by {via}") },
            Err(missing) if missing.is_empty() => Decision { allowed: false, reason: String::new() },
            Err(missing) => Decision { allowed: false, reason: format!("RBAC: {}", missing.join(", ")) },
        }
    }

    /// The rules of a user in a namespace, as PolicyRules.
    pub fn rules(&self, user: &UserInfo, namespace: &str) -> Vec<Value> {
        let rules = self.rules_of(user, namespace);
        rules.iter().filter_map(|rule| serde_json::to_value(rule).ok()).collect()
    }

    pub(super) fn rules_of(&self, user: &UserInfo, namespace: &str) -> Vec<Rule> {
        if is_master(user) {
            return all_rules();
        }
        self.table.load().rules_of(user, namespace)
    }

    pub(super) fn role(&self, kind: &str, namespace: &str, name: &str) -> Option<Arc<Vec<Rule>>> {
        self.table.load().role(kind, namespace, name)
    }
}

impl Authorizer for Rbac {
    fn authorize(&self, user: &UserInfo, attributes: &Attributes) -> Result<(), String> {
        let decision = self.decide(user, attributes);
        match (decision.allowed, decision.reason.is_empty()) {
            (true, _) => Ok(()),
            (false, true) => Err(cannot(user, attributes)),
            (false, false) => Err(format!("{}: {}", cannot(user, attributes), decision.reason)),
        }
    }
}

pub(super) fn is_master(user: &UserInfo) -> bool {
    user.groups.iter().any(|group| group == MASTERS)
}

/// Everything there is: on every resource, and on every path.
pub(super) fn all_rules() -> Vec<Rule> {
    let star = || vec!["*".to_owned()];
    vec![
        Rule { verbs: star(), api_groups: star(), resources: star(), ..Rule::default() },
        Rule { verbs: star(), non_resource_urls: star(), ..Rule::default() },
    ]
}
