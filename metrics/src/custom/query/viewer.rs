//! Who a TiphysMetric's statement or a rule is asked as: a viewer of its namespace and nothing else.
//!
//! Whoever may write such an object may edit the namespace, so what they get to see is
//! theirs. Secrets and who may do what are not a viewer's.

use std::sync::Arc;

use tiphys_api::auth::{Attributes, Authorizer, SharedAuthorizer, UserInfo};

/// Groups of which a viewer sees all kinds.
const GROUPS: [&str; 7] =
    ["apps", "autoscaling", "batch", "discovery.k8s.io", "metrics.tiphys.io", "networking.k8s.io", "policy"];
/// Of the core group, what a viewer does not see.
const HIDDEN: [&str; 1] = ["secrets"];

struct Viewer {
    namespace: String,
}

/// The user and the authorizer of a namespace's statements.
pub fn of(namespace: &str) -> (UserInfo, SharedAuthorizer) {
    let user = UserInfo { name: format!("system:tiphysmetric:{namespace}"), ..UserInfo::default() };
    (user, Arc::new(Viewer { namespace: namespace.to_owned() }))
}

impl Authorizer for Viewer {
    fn authorize(&self, _: &UserInfo, attributes: &Attributes) -> Result<(), String> {
        let Attributes::Resource { verb, group, resource, namespace, .. } = attributes else {
            return Err("a TiphysMetric sees resources only".to_owned());
        };
        let reads = ["get", "list", "watch"].contains(&verb.as_str());
        let shown = match group.as_str() {
            "" => !HIDDEN.contains(&resource.as_str()),
            group => GROUPS.contains(&group),
        };
        if reads && shown && !namespace.is_empty() && *namespace == self.namespace {
            return Ok(());
        }
        Err(format!("a TiphysMetric of {} sees what a viewer of that namespace sees", self.namespace))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn abuse_29_a_metric_sees_its_own_namespace_and_no_secrets() {
        let (user, authorizer) = of("shop");
        let may = |verb, resource, namespace| {
            authorizer.authorize(&user, &Attributes::core(verb, resource, namespace)).is_ok()
        };
        assert!(may("list", "pods", "shop") && may("get", "pods/log", "shop"));
        assert!(!may("list", "pods", "other") && !may("list", "pods", ""));
        assert!(
            !may("list", "secrets", "shop") && !may("list", "nodes", "") && !may("create", "pods", "shop")
        );
    }
}
