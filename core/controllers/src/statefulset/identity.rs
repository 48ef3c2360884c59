//! What a StatefulSet's Pod keeps through all its lives: ordinal, name, host name,
//! labels and claims. Pure.

use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{PersistentVolumeClaimVolumeSource, Pod, PodTemplateSpec, Volume},
};
use tiphys_client::LeanPod;

use super::claims;
use crate::{history::REVISION, object, pod_writer::from_template};

pub const POD_NAME: &str = "statefulset.kubernetes.io/pod-name";
pub const POD_INDEX: &str = "apps.kubernetes.io/pod-index";

/// The number of a Pod in its set. A sum of two that the API keeps in 32 bits each.
pub type Ordinal = i64;

/// The first ordinal.
pub fn start(set: &StatefulSet) -> Ordinal {
    set.spec.ordinals.as_ref().and_then(|ordinals| ordinals.start).unwrap_or(0).max(0).into()
}

pub fn replicas(set: &StatefulSet) -> i32 {
    set.spec.replicas.unwrap_or(1).max(0)
}

pub fn in_range(set: &StatefulSet, ordinal: Ordinal) -> bool {
    (start(set)..start(set) + Ordinal::from(replicas(set))).contains(&ordinal)
}

pub fn pod_name(set: &StatefulSet, ordinal: Ordinal) -> String {
    format!("{}-{ordinal}", object::name(set))
}

/// The ordinal that a name tells, when it is one of the set's. `web-01` is none, or two
/// Pods had the ordinal 1.
pub fn ordinal(set: &StatefulSet, name: &str) -> Option<Ordinal> {
    let digits = name.strip_prefix(object::name(set))?.strip_prefix('-')?;
    let ordinal = digits.parse::<i32>().ok()?;
    (digits == ordinal.to_string() && ordinal >= 0).then_some(ordinal.into())
}

/// Ordered: one Pod after the other, each when those before it are available.
pub fn ordered(set: &StatefulSet) -> bool {
    set.spec.pod_management_policy.as_deref() != Some("Parallel")
}

/// The Pod of an ordinal, made from the template of the revision.
pub fn pod_for(set: &StatefulSet, template: &PodTemplateSpec, revision: &str, ordinal: Ordinal) -> Pod {
    let mut pod = from_template(set, template);
    let name = pod_name(set, ordinal);
    pod.metadata.generate_name = None;
    pod.metadata.name = Some(name.clone());
    let spec = pod.spec.get_or_insert_default();
    spec.hostname = Some(name);
    spec.subdomain = set.spec.service_name.clone().filter(|service| !service.is_empty());
    pod.metadata.labels.get_or_insert_default().insert(REVISION.to_owned(), revision.to_owned());
    identify(set, ordinal, &mut pod);
    pod
}

/// Gives a Pod the labels and volumes of its ordinal.
pub fn identify(set: &StatefulSet, ordinal: Ordinal, pod: &mut Pod) {
    let labels = pod.metadata.labels.get_or_insert_default();
    labels.insert(POD_NAME.to_owned(), pod_name(set, ordinal));
    labels.insert(POD_INDEX.to_owned(), ordinal.to_string());
    let volumes = &mut pod.spec.get_or_insert_default().volumes;
    let own: Vec<Volume> = claims::names(set, ordinal).map(|(name, claim)| volume(name, claim)).collect();
    if own.is_empty() {
        return;
    }
    let mut others = volumes.take().unwrap_or_default();
    others.retain(|volume| !own.iter().any(|own| own.name == volume.name));
    *volumes = Some(own.into_iter().chain(others).collect());
}

fn volume(name: &str, claim: String) -> Volume {
    let claim = PersistentVolumeClaimVolumeSource { claim_name: claim, read_only: None };
    Volume { name: name.to_owned(), persistent_volume_claim: Some(claim), ..Volume::default() }
}

/// Whether the Pod says which one it is, and has the volumes of its ordinal.
pub fn matches(set: &StatefulSet, ordinal: Ordinal, pod: &LeanPod) -> bool {
    let volumes = pod.spec.volumes.as_deref().unwrap_or_default();
    let has = |(name, claim): (&str, String)| {
        volumes.iter().any(|volume| {
            let source = volume.persistent_volume_claim.as_ref();
            volume.name == name && source.is_some_and(|source| source.claim_name == claim)
        })
    };
    object::labels(pod).get(POD_NAME) == Some(object::name(pod)) && claims::names(set, ordinal).all(has)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statefulset::sample::set;
    use serde_json::json;

    #[test]
    fn a_name_tells_the_ordinal_of_its_own_set_only() {
        let set = set(json!({}));
        for (name, expected) in [
            ("web-0", Some(0)),
            ("web-12", Some(12)),
            ("web-2147483647", Some(2_147_483_647)),
            ("web-2147483648", None),
            ("web-01", None),
            ("web--1", None),
            ("web-+1", None),
            ("web-", None),
            ("web", None),
            ("web-a", None),
            ("other-0", None),
            ("web-db-0", None),
        ] {
            assert_eq!(ordinal(&set, name), expected, "{name}");
        }
    }

    #[test]
    fn ordinals_begin_where_the_set_says() {
        let set = set(json!({"replicas": 2, "ordinals": {"start": 2_147_483_647}}));
        let all: Vec<_> = (2_147_483_640..2_147_483_655).filter(|n| in_range(&set, *n)).collect();
        assert_eq!(all, [2_147_483_647, 2_147_483_648]);
    }

    #[test]
    fn a_pod_has_name_host_labels_and_claims_of_its_ordinal() {
        let set = set(json!({
            "serviceName": "peers",
            "volumeClaimTemplates": [{"metadata": {"name": "data"}}, {"metadata": {"name": "log"}}],
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [], "volumes": [
                {"name": "data", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}]}},
        }));
        let pod = pod_for(&set, &set.spec.template, "web-abc", 3);
        let told = serde_json::to_value(&pod).expect("JSON");
        assert_eq!(
            (&told["metadata"]["name"], &told["metadata"]["namespace"]),
            (&json!("web-3"), &json!("n"))
        );
        assert_eq!(told["metadata"].get("generateName"), None);
        assert_eq!(told["metadata"]["ownerReferences"][0]["kind"], "StatefulSet");
        assert_eq!(
            told["metadata"]["labels"],
            json!({"app": "web", POD_NAME: "web-3", POD_INDEX: "3", REVISION: "web-abc"})
        );
        assert_eq!(
            (&told["spec"]["hostname"], &told["spec"]["subdomain"]),
            (&json!("web-3"), &json!("peers"))
        );
        assert_eq!(
            told["spec"]["volumes"],
            json!([
                {"name": "data", "persistentVolumeClaim": {"claimName": "data-web-3"}},
                {"name": "log", "persistentVolumeClaim": {"claimName": "log-web-3"}},
                {"name": "tmp", "emptyDir": {}},
            ])
        );
        let held: LeanPod = serde_json::from_value(told.clone()).expect("a Pod");
        assert!(matches(&set, 3, &held));
        for (pointer, value) in [
            ("/metadata/labels", json!({"app": "web"})),
            ("/spec/volumes/0", json!({"name": "data", "emptyDir": {}})),
            ("/spec/volumes/1/persistentVolumeClaim/claimName", json!("log-web-2")),
        ] {
            let mut other = told.clone();
            *other.pointer_mut(pointer).expect(pointer) = value;
            let held: LeanPod = serde_json::from_value(other).expect("a Pod");
            assert!(!matches(&set, 3, &held), "{pointer}");
        }
    }
}
