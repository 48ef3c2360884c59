//! The order of built-in groups and of their versions, as upstream's APIServices give it. Pure.
//!
//! Clients resolve a short name such as `events` to the first group that has it.

/// Of custom resources' groups.
pub const CUSTOM: Priority = Priority { group: 1000, version: 100 };
/// Of groups that other parts of this server answer: as the manifests of the servers that they
/// stand for have it.
pub const MOUNTED: Priority = Priority { group: 100, version: 100 };

/// The higher, the earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Priority {
    pub group: i64,
    pub version: i64,
}

/// Group, version, priority of the group, priority of the version.
const BUILTIN: &[(&str, &str, i64, i64)] = &[
    ("", "v1", 18000, 1),
    ("apps", "v1", 17800, 15),
    ("events.k8s.io", "v1", 17750, 15),
    ("authentication.k8s.io", "v1", 17700, 15),
    ("authorization.k8s.io", "v1", 17600, 15),
    ("autoscaling", "v2", 17500, 30),
    ("autoscaling", "v1", 17500, 15),
    ("batch", "v1", 17400, 15),
    ("certificates.k8s.io", "v1", 17300, 15),
    ("certificates.k8s.io", "v1beta1", 17300, 9),
    ("certificates.k8s.io", "v1alpha1", 17300, 1),
    ("networking.k8s.io", "v1", 17200, 15),
    ("networking.k8s.io", "v1beta1", 17200, 9),
    ("policy", "v1", 17100, 15),
    ("rbac.authorization.k8s.io", "v1", 17000, 15),
    ("storage.k8s.io", "v1", 16800, 15),
    ("storage.k8s.io", "v1beta1", 16800, 9),
    ("storage.k8s.io", "v1alpha1", 16800, 1),
    ("apiextensions.k8s.io", "v1", 16700, 15),
    ("admissionregistration.k8s.io", "v1", 16700, 15),
    ("admissionregistration.k8s.io", "v1beta1", 16700, 12),
    ("admissionregistration.k8s.io", "v1alpha1", 16700, 9),
    ("scheduling.k8s.io", "v1", 16600, 15),
    ("coordination.k8s.io", "v1", 16500, 15),
    ("coordination.k8s.io", "v1beta1", 16500, 13),
    ("coordination.k8s.io", "v1alpha2", 16500, 12),
    ("node.k8s.io", "v1", 16300, 15),
    ("discovery.k8s.io", "v1", 16200, 15),
    ("resource.k8s.io", "v1", 16200, 20),
    ("resource.k8s.io", "v1beta2", 16200, 15),
    ("resource.k8s.io", "v1beta1", 16200, 9),
    ("resource.k8s.io", "v1alpha3", 16200, 1),
    ("flowcontrol.apiserver.k8s.io", "v1", 16100, 21),
    ("internal.apiserver.k8s.io", "v1alpha1", 16000, 9),
    ("storagemigration.k8s.io", "v1", 15800, 15),
    ("storagemigration.k8s.io", "v1beta1", 15800, 9),
];

/// Of a built-in group and version; None for others, and for APIServices' own group, which has none.
pub fn builtin(group: &str, version: &str) -> Option<Priority> {
    let found = BUILTIN.iter().find(|(known, of, ..)| (*known, *of) == (group, version));
    found.map(|(_, _, group, version)| Priority { group: *group, version: *version })
}

#[cfg(test)]
mod tests {
    use tiphys_api::kinds::{self, api_service};

    use super::*;

    #[test]
    fn every_built_in_version_has_a_priority() {
        for kind in kinds::all() {
            let own = kind.group == api_service::GROUP;
            assert_eq!(builtin(kind.group, kind.version).is_none(), own, "{}", kind.api_version());
        }
    }
}
