//! The kinds that are told as series: of each its names, what starts its watch, and the resource
//! that who sees its series must be allowed to list.
//!
//! A series says the name of its object, and a Secret's name is nobody's business who may not
//! list Secrets.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use super::{
    Name, admission_policy, admission_policy_binding, certificate_signing_request, config_map, cron_job,
    daemon_set, deployment, endpoint_slice, endpoints, horizontal_pod_autoscaler, ingress, ingress_class,
    job, lease, limit_range, namespace, network_policy, node, persistent_volume, persistent_volume_claim,
    pod, pod_containers, pod_disruption_budget, replica_set, replication_controller, resource_quota, secret,
    service, service_account, stateful_set, storage_class, told::Told, volume_attachment, watched::Watch,
    webhook_configuration,
};
use crate::series::MetricKind::Gauge;

/// What series are about: a resource by its group and its plural.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Subject {
    pub group: &'static str,
    pub resource: &'static str,
}

/// A kind: its series' subject, its names, and what starts its watch and gives what is told by it.
pub struct Kind {
    pub subject: Subject,
    pub names: &'static [&'static [Name]],
    /// Under which name its labels are told, and under which its annotations, where that is asked for.
    pub words: &'static [Name],
    pub start: fn(&Watch<'_>) -> Vec<Arc<Told>>,
}

impl Kind {
    /// All of its names.
    pub fn all_names(&self) -> impl Iterator<Item = &'static Name> + use<> {
        self.names.iter().copied().flatten().chain(self.words)
    }
}

/// Names of labels and annotations, as kube-state-metrics spells the kind.
macro_rules! words {
    ($kind:literal) => {
        &[
            (concat!("kube_", $kind, "_labels"), Gauge, "Labels of it that are asked for"),
            (concat!("kube_", $kind, "_annotations"), Gauge, "Annotations of it that are asked for"),
        ]
    };
}

const ADMISSION: &str = "admissionregistration.k8s.io";

/// All kinds.
pub static KINDS: &[Kind] = &[
    Kind {
        subject: Subject { group: "certificates.k8s.io", resource: "certificatesigningrequests" },
        names: &[certificate_signing_request::NAMES],
        words: words!("certificatesigningrequest"),
        start: |watch| watch.objects(certificate_signing_request::tell),
    },
    Kind {
        subject: Subject { group: "", resource: "configmaps" },
        names: &[config_map::NAMES],
        words: words!("configmap"),
        start: |watch| watch.objects(config_map::tell),
    },
    Kind {
        subject: Subject { group: "batch", resource: "cronjobs" },
        names: &[cron_job::NAMES],
        words: words!("cronjob"),
        start: |watch| watch.objects(cron_job::tell),
    },
    Kind {
        subject: Subject { group: "apps", resource: "daemonsets" },
        names: &[daemon_set::NAMES],
        words: words!("daemonset"),
        start: |watch| watch.objects(daemon_set::tell),
    },
    Kind {
        subject: Subject { group: "apps", resource: "deployments" },
        names: &[deployment::NAMES],
        words: words!("deployment"),
        start: |watch| watch.objects(deployment::tell),
    },
    Kind {
        subject: Subject { group: "", resource: "endpoints" },
        names: &[endpoints::NAMES],
        words: words!("endpoint"),
        start: |watch| watch.objects(endpoints::tell),
    },
    Kind {
        subject: Subject { group: "discovery.k8s.io", resource: "endpointslices" },
        names: &[endpoint_slice::NAMES],
        words: words!("endpointslice"),
        start: |watch| watch.objects(endpoint_slice::tell),
    },
    Kind {
        subject: Subject { group: "autoscaling", resource: "horizontalpodautoscalers" },
        names: &[horizontal_pod_autoscaler::NAMES],
        words: words!("horizontalpodautoscaler"),
        start: |watch| watch.objects(horizontal_pod_autoscaler::tell),
    },
    Kind {
        subject: Subject { group: "networking.k8s.io", resource: "ingresses" },
        names: &[ingress::NAMES],
        words: words!("ingress"),
        start: |watch| watch.objects(ingress::tell),
    },
    Kind {
        subject: Subject { group: "networking.k8s.io", resource: "ingressclasses" },
        names: &[ingress_class::NAMES],
        words: words!("ingressclass"),
        start: |watch| watch.objects(ingress_class::tell),
    },
    Kind {
        subject: Subject { group: "batch", resource: "jobs" },
        names: &[job::NAMES],
        words: words!("job"),
        start: |watch| watch.objects(job::tell),
    },
    Kind {
        subject: Subject { group: "coordination.k8s.io", resource: "leases" },
        names: &[lease::NAMES],
        words: &[],
        start: |watch| watch.objects(lease::tell),
    },
    Kind {
        subject: Subject { group: "", resource: "limitranges" },
        names: &[limit_range::NAMES],
        words: &[],
        start: |watch| watch.objects(limit_range::tell),
    },
    Kind {
        subject: Subject { group: ADMISSION, resource: "mutatingadmissionpolicies" },
        names: &[admission_policy::MUTATING],
        words: &[],
        start: |watch| watch.objects(admission_policy::mutating),
    },
    Kind {
        subject: Subject { group: ADMISSION, resource: "mutatingadmissionpolicybindings" },
        names: &[admission_policy_binding::MUTATING],
        words: &[],
        start: |watch| watch.objects(admission_policy_binding::mutating),
    },
    Kind {
        subject: Subject { group: ADMISSION, resource: "mutatingwebhookconfigurations" },
        names: &[webhook_configuration::MUTATING],
        words: &[],
        start: |watch| watch.objects(webhook_configuration::mutating),
    },
    Kind {
        subject: Subject { group: "", resource: "namespaces" },
        names: &[namespace::NAMES],
        words: words!("namespace"),
        start: |watch| watch.objects(namespace::tell),
    },
    Kind {
        subject: Subject { group: "networking.k8s.io", resource: "networkpolicies" },
        names: &[network_policy::NAMES],
        words: words!("networkpolicy"),
        start: |watch| watch.objects(network_policy::tell),
    },
    Kind {
        subject: Subject { group: "", resource: "nodes" },
        names: &[node::NAMES],
        words: words!("node"),
        start: |watch| watch.objects(node::tell),
    },
    Kind {
        subject: Subject { group: "", resource: "persistentvolumes" },
        names: &[persistent_volume::NAMES],
        words: words!("persistentvolume"),
        start: |watch| watch.objects(persistent_volume::tell),
    },
    Kind {
        subject: Subject { group: "", resource: "persistentvolumeclaims" },
        names: &[persistent_volume_claim::NAMES],
        words: words!("persistentvolumeclaim"),
        start: |watch| watch.objects(persistent_volume_claim::tell),
    },
    Kind {
        subject: Subject { group: "", resource: "pods" },
        names: &[pod::NAMES, pod_containers::NAMES, pod_containers::INIT_NAMES],
        words: words!("pod"),
        start: |watch| watch.objects(pod::tell),
    },
    Kind {
        subject: Subject { group: "policy", resource: "poddisruptionbudgets" },
        names: &[pod_disruption_budget::NAMES],
        words: words!("poddisruptionbudget"),
        start: |watch| watch.objects(pod_disruption_budget::tell),
    },
    Kind {
        subject: Subject { group: "apps", resource: "replicasets" },
        names: &[replica_set::NAMES],
        words: words!("replicaset"),
        start: |watch| watch.objects(replica_set::tell),
    },
    Kind {
        subject: Subject { group: "", resource: "replicationcontrollers" },
        names: &[replication_controller::NAMES],
        words: &[],
        start: |watch| watch.objects(replication_controller::tell),
    },
    Kind {
        subject: Subject { group: "", resource: "resourcequotas" },
        names: &[resource_quota::NAMES],
        words: words!("resourcequota"),
        start: |watch| watch.objects(resource_quota::tell),
    },
    Kind {
        subject: Subject { group: "", resource: "secrets" },
        names: &[secret::NAMES],
        words: words!("secret"),
        start: secret::start,
    },
    Kind {
        subject: Subject { group: "", resource: "serviceaccounts" },
        names: &[service_account::NAMES],
        words: words!("serviceaccount"),
        start: |watch| watch.objects(service_account::tell),
    },
    Kind {
        subject: Subject { group: "", resource: "services" },
        names: &[service::NAMES],
        words: words!("service"),
        start: |watch| watch.objects(service::tell),
    },
    Kind {
        subject: Subject { group: "apps", resource: "statefulsets" },
        names: &[stateful_set::NAMES],
        words: words!("statefulset"),
        start: |watch| watch.objects(stateful_set::tell),
    },
    Kind {
        subject: Subject { group: "storage.k8s.io", resource: "storageclasses" },
        names: &[storage_class::NAMES],
        words: words!("storageclass"),
        start: |watch| watch.objects(storage_class::tell),
    },
    Kind {
        subject: Subject { group: ADMISSION, resource: "validatingadmissionpolicies" },
        names: &[admission_policy::VALIDATING],
        words: &[],
        start: |watch| watch.objects(admission_policy::validating),
    },
    Kind {
        subject: Subject { group: ADMISSION, resource: "validatingadmissionpolicybindings" },
        names: &[admission_policy_binding::VALIDATING],
        words: &[],
        start: |watch| watch.objects(admission_policy_binding::validating),
    },
    Kind {
        subject: Subject { group: ADMISSION, resource: "validatingwebhookconfigurations" },
        names: &[webhook_configuration::VALIDATING],
        words: &[],
        start: |watch| watch.objects(webhook_configuration::validating),
    },
    Kind {
        subject: Subject { group: "storage.k8s.io", resource: "volumeattachments" },
        names: &[volume_attachment::NAMES],
        words: words!("volumeattachment"),
        start: |watch| watch.objects(volume_attachment::tell),
    },
];

static BY_NAME: LazyLock<HashMap<&'static str, &'static Subject>> = LazyLock::new(|| {
    let named = |kind: &'static Kind| {
        let subject = &kind.subject;
        kind.all_names().map(move |(name, _, _)| (*name, subject))
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
            ("kube_secret_type", "secrets"),
            ("kube_pod_container_info", "pods"),
            ("kube_persistentvolumeclaim_info", "persistentvolumeclaims"),
            ("kube_persistentvolume_info", "persistentvolumes"),
            ("kube_secret_annotations", "secrets"),
            ("kube_serviceaccount_secret", "serviceaccounts"),
            ("kube_endpoint_labels", "endpoints"),
            ("kube_endpointslice_endpoints", "endpointslices"),
        ] {
            assert_eq!(subject(name).map(|found| found.resource), Some(resource), "{name}");
        }
        assert_eq!(subject("kube_secret"), None);
    }
}
