//! ClusterRoles that are sums of others: their rules are kept as those of all
//! roles that their aggregation rule selects.
//!
//! The authorizer works such sums out by itself; what is written here is for
//! people and programs that read roles.

use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
    core::{Selector, SelectorExt},
    runtime::watcher,
};
use serde_json::json;
use tiphys_client::Cache;

use crate::{
    context::Context,
    error::{Error, found},
    key::Key,
    object,
    queue::Queue,
    runtime::{Controller, Reconciler, Requeue},
    watched::Watched,
};

struct Aggregation {
    client: Client,
    roles: Watched<ClusterRole>,
}

pub fn start(context: &Context) {
    let queue = Arc::new(Queue::default());
    let cache = Cache::start(&context.tasks, Api::all(context.client.clone()), watcher::Config::default());
    let roles: Watched<ClusterRole> = Watched::start(&context.tasks, cache, |_| None);
    let (keys, all) = (queue.clone(), roles.clone());
    roles.subscribe(move |before, after| {
        if before.map(|role| counts(role)) == after.map(|role| counts(role)) {
            return;
        }
        let sums = all.list().into_iter().filter(|role| role.aggregation_rule.is_some());
        sums.for_each(|role| keys.add(Key::of(&*role)));
    });
    context.run(Controller {
        name: "cluster-role-aggregation",
        workers: 1,
        queue,
        synced: vec![roles.synced()],
        reconciler: Arc::new(Aggregation { client: context.client.clone(), roles }),
    });
}

/// What of a role makes a difference to a sum.
fn counts(
    role: &ClusterRole,
) -> (&std::collections::BTreeMap<String, String>, &Option<Vec<PolicyRule>>, bool) {
    (object::labels(role), &role.rules, role.aggregation_rule.is_some())
}

#[async_trait]
impl Reconciler for Aggregation {
    async fn reconcile(&self, key: &Key) -> Result<Requeue, Error> {
        let Some(role) = self.roles.get(key) else { return Ok(Requeue::No) };
        let Some(rules) = sum(&role, &self.roles.list())? else { return Ok(Requeue::No) };
        if role.rules.as_deref().unwrap_or_default() == rules {
            return Ok(Requeue::No);
        }
        let patch = json!({
            "metadata": {"resourceVersion": role.metadata.resource_version},
            "rules": rules,
        });
        let api: Api<ClusterRole> = Api::all(self.client.clone());
        found(api.patch(&key.name, &PatchParams::default(), &Patch::Merge(patch)).await)?;
        Ok(Requeue::No)
    }
}

/// The rules of all selected roles, in the order of their names, each once;
/// `None` where the role is no sum.
fn sum(role: &ClusterRole, all: &[Arc<ClusterRole>]) -> Result<Option<Vec<PolicyRule>>, Error> {
    let Some(rule) = &role.aggregation_rule else { return Ok(None) };
    let mut selected: Vec<&Arc<ClusterRole>> = Vec::new();
    for selector in rule.cluster_role_selectors.iter().flatten() {
        let selector = Selector::try_from(selector.clone())
            .map_err(|error| Error::Invalid(format!("a selector of the role can't be used: {error}")))?;
        let fits = |other: &&Arc<ClusterRole>| {
            object::name(&***other) != object::name(role) && selector.matches(object::labels(&***other))
        };
        selected.extend(all.iter().filter(fits));
    }
    selected.sort_by_key(|role| object::name(&***role).to_owned());
    let mut rules: Vec<PolicyRule> = Vec::new();
    for rule in selected.iter().flat_map(|role| role.rules.iter().flatten()) {
        if !rules.contains(rule) {
            rules.push(rule.clone());
        }
    }
    Ok(Some(rules))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn role(name: &str, label: &str, verbs: &[&str], selects: &[&str]) -> Arc<ClusterRole> {
        let mut role = json!({
            "metadata": {"name": name, "labels": {label: "true"}},
            "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": verbs}],
        });
        if !selects.is_empty() {
            let selectors: Vec<Value> =
                selects.iter().map(|label| json!({"matchLabels": {*label: "true"}})).collect();
            role["aggregationRule"] = json!({"clusterRoleSelectors": selectors});
        }
        Arc::new(serde_json::from_value(role).unwrap())
    }

    #[test]
    fn a_sum_has_every_rule_once_in_the_order_of_the_roles() {
        let all = [
            role("b", "x", &["list"], &[]),
            role("a", "x", &["get"], &[]),
            role("again", "y", &["get"], &[]),
            role("other", "z", &["delete"], &[]),
            role("sum", "x", &["patch"], &["x", "y"]),
        ];
        let rules = sum(&all[4], &all).unwrap().unwrap();
        let verbs: Vec<&str> = rules.iter().map(|rule| rule.verbs[0].as_str()).collect();
        assert_eq!(verbs, ["get", "list"]);
        assert!(sum(&all[0], &all).unwrap().is_none());
    }
}
