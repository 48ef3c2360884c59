//! Pods of the API as the formula sees them.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Container;
use tiphys_api::{quantity, selector::LabelSelector};
use tiphys_client::{LeanPod, Phase};

use crate::{formula::PodView, source::MetricName};

/// Those of a namespace's Pods that a selector matches.
pub fn belong(mut pods: Vec<Arc<LeanPod>>, selector: &LabelSelector) -> Vec<Arc<LeanPod>> {
    pods.retain(|pod| selector.matches(&pod.labels));
    pods
}

/// What the formula needs of a Pod, for one metric.
pub fn view(pod: &LeanPod, metric: &MetricName) -> PodView {
    let ready = pod.condition("Ready");
    PodView {
        name: pod.name.to_string(),
        deleting: pod.deletion.is_some(),
        ended: pod.finished(),
        pending: pod.status.phase == Phase::Pending,
        running: pod.status.phase == Phase::Running,
        started: pod.status.started.map(|time| time.as_microsecond()),
        ready: ready.and_then(|ready| Some((ready.holds, ready.since?.as_microsecond()))),
        request: request(pod, metric),
    }
}

/// The sum of the requests that a utilization is a percentage of, in thousandths.
fn request(pod: &LeanPod, metric: &MetricName) -> Result<i64, String> {
    let MetricName::Resource { resource, container } = metric else { return Ok(0) };
    let name = &pod.name;
    // A request of the Pod's own stands for those of its containers.
    let whole = pod.spec.resources.as_ref().and_then(|resources| resources.requests.as_ref()?.get(resource));
    if let (None, Some(whole)) = (container, whole) {
        return quantity::milli(&whole.0).ok_or_else(|| format!("{} is no quantity", whole.0));
    }
    let sidecars = pod.spec.init_containers.iter().flatten();
    let sidecars = sidecars.filter(|container| container.restart_policy.as_deref() == Some("Always"));
    let containers = pod.spec.containers.iter().chain(sidecars);
    let chosen: Vec<_> =
        containers.filter(|one| container.as_ref().is_none_or(|container| one.name == *container)).collect();
    if chosen.is_empty() {
        let container = container.as_deref().unwrap_or_default();
        return Err(format!("container {container} not found in Pod {name}"));
    }
    let mut sum = 0i64;
    for container in chosen {
        let request = requested(container, resource).ok_or_else(|| {
            format!("missing request for {resource} in container {} of Pod {name}", container.name)
        })?;
        sum = sum.saturating_add(request);
    }
    Ok(sum)
}

fn requested(container: &Container, resource: &str) -> Option<i64> {
    let requests = container.resources.as_ref()?.requests.as_ref()?;
    quantity::milli(&requests.get(resource)?.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(requests: &[Option<&str>]) -> LeanPod {
        let containers: Vec<_> = requests
            .iter()
            .enumerate()
            .map(|(number, request)| match request {
                Some(cpu) => json!({"name": format!("c{number}"), "resources": {"requests": {"cpu": cpu}}}),
                None => json!({"name": format!("c{number}")}),
            })
            .collect();
        serde_json::from_value(json!({"metadata": {"name": "web"}, "spec": {"containers": containers}}))
            .expect("a Pod")
    }

    fn cpu(container: Option<&str>) -> MetricName {
        MetricName::Resource { resource: "cpu".into(), container: container.map(Into::into) }
    }

    #[test]
    fn a_phase_says_whether_a_pod_counts() {
        let of = |phase: &str| {
            let metadata = json!({"name": "web"});
            let pod = json!({"metadata": metadata, "spec": {"containers": []}, "status": {"phase": phase}});
            let view = view(&serde_json::from_value(pod).expect("a Pod"), &cpu(None));
            (view.ended, view.pending, view.running)
        };
        assert_eq!(of("Pending"), (false, true, false));
        assert_eq!(of("Running"), (false, false, true));
        assert_eq!(of("Succeeded"), (true, false, false));
        assert_eq!(of("Failed"), (true, false, false));
        assert_eq!(of("Unknown"), (false, false, false));
    }

    #[test]
    fn requests_are_summed_and_a_missing_one_is_named() {
        assert_eq!(request(&pod(&[Some("100m"), Some("1")]), &cpu(None)), Ok(1100));
        assert_eq!(request(&pod(&[Some("100m"), Some("1")]), &cpu(Some("c0"))), Ok(100));
        let missing = request(&pod(&[Some("100m"), None]), &cpu(None));
        assert_eq!(missing, Err("missing request for cpu in container c1 of Pod web".to_owned()));
        assert!(request(&pod(&[Some("1")]), &cpu(Some("other"))).is_err());
        let whole: LeanPod = serde_json::from_value(json!({"metadata": {"name": "web"}, "spec": {
            "resources": {"requests": {"cpu": "2"}}, "containers": [{"name": "c0"}]}}))
        .expect("a Pod");
        assert_eq!(request(&whole, &cpu(None)), Ok(2000));
    }
}
