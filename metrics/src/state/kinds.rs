//! The kinds that are told as series: of each its names, what starts its watch, and the resource
//! that who sees its series must be allowed to list.
//!
//! A series says the name of its object, and a Secret's name is nobody's business who may not
//! list Secrets.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use kube::Client;
use tiphys_lifecycle::Tasks;

use super::{
    Name, config_map, cron_job, daemon_set, deployment, horizontal_pod_autoscaler, ingress, job, limit_range,
    namespace, node, persistent_volume, persistent_volume_claim, pod, pod_containers, pod_disruption_budget,
    replica_set, resource_quota, secret, service, stateful_set, storage_class, told::Told, watched::objects,
};

/// What series are about: a resource by its group and its plural.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Subject {
    pub group: &'static str,
    pub resource: &'static str,
}

/// A kind: its series' subject, its names, and what starts its watch.
pub struct Kind {
    pub subject: Subject,
    pub names: &'static [&'static [Name]],
    pub start: fn(&Client, Arc<Told>, &Tasks),
}

/// All kinds.
pub static KINDS: &[Kind] = &[
    Kind {
        subject: Subject { group: "", resource: "configmaps" },
        names: &[config_map::NAMES],
        start: |client, told, tasks| objects(client, told, tasks, config_map::tell),
    },
    Kind {
        subject: Subject { group: "batch", resource: "cronjobs" },
        names: &[cron_job::NAMES],
        start: |client, told, tasks| objects(client, told, tasks, cron_job::tell),
    },
    Kind {
        subject: Subject { group: "apps", resource: "daemonsets" },
        names: &[daemon_set::NAMES],
        start: |client, told, tasks| objects(client, told, tasks, daemon_set::tell),
    },
    Kind {
        subject: Subject { group: "apps", resource: "deployments" },
        names: &[deployment::NAMES],
        start: |client, told, tasks| objects(client, told, tasks, deployment::tell),
    },
    Kind {
        subject: Subject { group: "autoscaling", resource: "horizontalpodautoscalers" },
        names: &[horizontal_pod_autoscaler::NAMES],
        start: |client, told, tasks| objects(client, told, tasks, horizontal_pod_autoscaler::tell),
    },
    Kind {
        subject: Subject { group: "networking.k8s.io", resource: "ingresses" },
        names: &[ingress::NAMES],
        start: |client, told, tasks| objects(client, told, tasks, ingress::tell),
    },
    Kind {
        subject: Subject { group: "batch", resource: "jobs" },
        names: &[job::NAMES],
        start: |client, told, tasks| objects(client, told, tasks, job::tell),
    },
    Kind {
        subject: Subject { group: "", resource: "limitranges" },
        names: &[limit_range::NAMES],
        start: |client, told, tasks| objects(client, told, tasks, limit_range::tell),
    },
    Kind {
        subject: Subject { group: "", resource: "namespaces" },
        names: &[namespace::NAMES],
        start: |client, told, tasks| objects(client, told, tasks, namespace::tell),
    },
    Kind {
        subject: Subject { group: "", resource: "nodes" },
        names: &[node::NAMES],
        start: |client, told, tasks| objects(client, told, tasks, node::tell),
    },
    Kind {
        subject: Subject { group: "", resource: "persistentvolumes" },
        names: &[persistent_volume::NAMES],
        start: |client, told, tasks| objects(client, told, tasks, persistent_volume::tell),
    },
    Kind {
        subject: Subject { group: "", resource: "persistentvolumeclaims" },
        names: &[persistent_volume_claim::NAMES],
        start: |client, told, tasks| objects(client, told, tasks, persistent_volume_claim::tell),
    },
    Kind {
        subject: Subject { group: "", resource: "pods" },
        names: &[pod::NAMES, pod_containers::NAMES, pod_containers::INIT_NAMES],
        start: |client, told, tasks| objects(client, told, tasks, pod::tell),
    },
    Kind {
        subject: Subject { group: "policy", resource: "poddisruptionbudgets" },
        names: &[pod_disruption_budget::NAMES],
        start: |client, told, tasks| objects(client, told, tasks, pod_disruption_budget::tell),
    },
    Kind {
        subject: Subject { group: "apps", resource: "replicasets" },
        names: &[replica_set::NAMES],
        start: |client, told, tasks| objects(client, told, tasks, replica_set::tell),
    },
    Kind {
        subject: Subject { group: "", resource: "resourcequotas" },
        names: &[resource_quota::NAMES],
        start: |client, told, tasks| objects(client, told, tasks, resource_quota::tell),
    },
    Kind {
        subject: Subject { group: "", resource: "secrets" },
        names: &[secret::NAMES],
        start: |client, told, tasks| objects(client, told, tasks, secret::tell),
    },
    Kind {
        subject: Subject { group: "", resource: "services" },
        names: &[service::NAMES],
        start: |client, told, tasks| objects(client, told, tasks, service::tell),
    },
    Kind {
        subject: Subject { group: "apps", resource: "statefulsets" },
        names: &[stateful_set::NAMES],
        start: |client, told, tasks| objects(client, told, tasks, stateful_set::tell),
    },
    Kind {
        subject: Subject { group: "storage.k8s.io", resource: "storageclasses" },
        names: &[storage_class::NAMES],
        start: |client, told, tasks| objects(client, told, tasks, storage_class::tell),
    },
];

static BY_NAME: LazyLock<HashMap<&'static str, &'static Subject>> = LazyLock::new(|| {
    let named = |kind: &'static Kind| {
        let subject = &kind.subject;
        kind.names.iter().copied().flatten().map(move |(name, _, _)| (*name, subject))
    };
    KINDS.iter().flat_map(named).collect()
});

/// What the series of a name are about; nothing of names that are not of the API's objects.
pub fn subject(name: &str) -> Option<&'static Subject> {
    BY_NAME.get(name).copied()
}

/// All that series are about.
pub fn subjects() -> impl Iterator<Item = &'static Subject> {
    KINDS.iter().map(|kind| &kind.subject)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tiphys_api::kinds;

    #[test]
    fn each_name_is_about_the_resource_that_the_api_has() {
        for Subject { group, resource } in subjects() {
            let known = kinds::all().iter().any(|kind| kind.group == *group && kind.plural == *resource);
            assert!(known, "{resource}.{group}");
        }
        for (name, resource) in [
            ("kube_secret_info", "secrets"),
            ("kube_pod_container_info", "pods"),
            ("kube_persistentvolumeclaim_info", "persistentvolumeclaims"),
            ("kube_persistentvolume_info", "persistentvolumes"),
        ] {
            assert_eq!(subject(name).map(|found| found.resource), Some(resource), "{name}");
        }
        assert_eq!(subject("kube_secret"), None);
    }
}
