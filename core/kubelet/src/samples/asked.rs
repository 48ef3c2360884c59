//! What Pods ask for, beside what they use: read of a spec once, not each second.

use std::{collections::HashMap, sync::Arc};

use k8s_openapi::api::core::v1::Pod;
use tiphys_api::samples::Usage;

use crate::{
    pod::{
        resources::{self, Asked},
        spec,
    },
    workers::PodView,
};

/// By the Pod's UID.
#[derive(Default)]
pub(super) struct AskedOfPods(HashMap<String, Of>);

struct Of {
    /// The spec that it was read of.
    pod: Arc<Pod>,
    containers: HashMap<String, Asked>,
    whole: Asked,
}

impl AskedOfPods {
    /// Forgets Pods that are gone.
    pub fn retain(&mut self, views: &[Arc<PodView>]) {
        if self.0.len() > views.len() {
            self.0.retain(|uid, _| views.iter().any(|view| spec::uid(&view.pod) == uid));
        }
    }

    /// Puts in what a container of the Pod asks for, or all of them.
    pub fn put(&mut self, pod: &Arc<Pod>, container: Option<&str>, usage: &mut Usage) {
        let uid = spec::uid(pod);
        if !self.0.get(uid).is_some_and(|known| Arc::ptr_eq(&known.pod, pod)) {
            self.0.insert(uid.to_owned(), Of::read(pod));
        }
        let Some(of) = self.0.get(uid) else { return };
        let asked = match container {
            Some(name) => of.containers.get(name).copied().unwrap_or_default(),
            None => of.whole,
        };
        usage.cpu_request_millicores = asked.cpu_request.unwrap_or_default();
        usage.cpu_limit_millicores = asked.cpu_limit.unwrap_or_default();
        usage.memory_request_bytes = asked.memory_request.unwrap_or_default();
        usage.memory_limit_asked_bytes = asked.memory_limit.unwrap_or_default();
    }
}

impl Of {
    fn read(pod: &Arc<Pod>) -> Self {
        let containers: HashMap<_, _> = spec::all_containers(pod)
            .map(|container| (container.name.clone(), resources::asked(container)))
            .collect();
        Self { pod: pod.clone(), containers, whole: resources::asked_of_pod(pod) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn requests_are_summed_and_limits_where_all_have_one() {
        let pod = |limit: serde_json::Value| -> Arc<Pod> {
            let a = json!({"name": "a", "resources": {"requests": {"cpu": "250m", "memory": "64Mi"}, "limits": limit}});
            let b = json!({"name": "b", "resources": {"limits": {"cpu": "1"}}});
            let pod = json!({"metadata": {"uid": "u"}, "spec": {"containers": [a, b]}});
            Arc::new(serde_json::from_value(pod).expect("a Pod"))
        };
        let of = |asked: &mut AskedOfPods, pod: &Arc<Pod>, container: Option<&str>| {
            let mut usage = Usage::default();
            asked.put(pod, container, &mut usage);
            let Usage { cpu_request_millicores, cpu_limit_millicores, .. } = usage;
            (cpu_request_millicores, cpu_limit_millicores, usage.memory_request_bytes)
        };
        let (mut asked, open) = (AskedOfPods::default(), pod(json!({})));
        assert_eq!(of(&mut asked, &open, Some("a")), (250, 0, 64 << 20));
        assert_eq!(of(&mut asked, &open, Some("b")), (1000, 1000, 0), "a limit stands for a request");
        assert_eq!(of(&mut asked, &open, None), (1250, 0, 64 << 20));
        // Changed: of the same UID.
        assert_eq!(of(&mut asked, &pod(json!({"cpu": "500m"})), None), (1250, 1500, 64 << 20));
    }

    #[test]
    fn what_a_pod_says_for_itself_is_what_it_asks_for() {
        let whole = json!({"requests": {"cpu": "2"}, "limits": {"cpu": "3"}});
        let spec = json!({"containers": [{"name": "a"}], "resources": whole, "overhead": {"cpu": "100m"}});
        let pod: Arc<Pod> =
            Arc::new(serde_json::from_value(json!({"metadata": {"uid": "u"}, "spec": spec})).expect("a Pod"));
        let mut usage = Usage::default();
        AskedOfPods::default().put(&pod, None, &mut usage);
        assert_eq!((usage.cpu_request_millicores, usage.cpu_limit_millicores), (2100, 3100));
        AskedOfPods::default().put(&pod, Some("a"), &mut usage);
        assert_eq!((usage.cpu_request_millicores, usage.cpu_limit_millicores), (0, 0), "no container's");
    }
}
