//! `--previous`: of each container of a Pod the instance before the one that runs, which is mostly
//! the one that crashed. Pure.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use tiphys_logging::query::Expr;

use super::scope::named;
use crate::failure::{Failure, Outcome};

/// The records of these instances.
///
/// # Errors
/// The Pod is gone, so nobody knows how often its containers were started; or none was started
/// again.
pub fn instances(namespace: &str, name: &str, pod: Option<&Pod>) -> Outcome<Expr> {
    let Some(pod) = pod else {
        return Err(Failure::new(
            format!("the Pod {namespace}/{name} is gone, and with it the number of its last instance"),
            format!("tiphys logs -n {namespace} 'pod:{name}' --facets restart, then the same with restart:N"),
        ));
    };
    let status = pod.status.as_ref();
    let main = status.into_iter().flat_map(|status| status.container_statuses.iter().flatten());
    let init = status.into_iter().flat_map(|status| status.init_container_statuses.iter().flatten());
    let of = |status: &ContainerStatus| {
        let parts = vec![named("container", &status.name), named("restart", &before(status)?.to_string())];
        Some(Expr::and(parts))
    };
    let parts: Vec<_> = main.chain(init).filter_map(of).collect();
    if parts.is_empty() {
        return Err(Failure::new(
            format!("no container of the Pod {namespace}/{name} was started a second time"),
            format!("tiphys logs -n {namespace} {name}"),
        ));
    }
    Ok(Expr::or(parts))
}

/// The restart count of the instance before. A container that waits to be started again has the
/// count of the one that ended last, and that is the one meant, as in kubectl.
fn before(status: &ContainerStatus) -> Option<i32> {
    let last = status.last_state.as_ref().and_then(|last| last.terminated.as_ref());
    let ended = last.and_then(|last| last.container_id.as_ref());
    let waits = status.state.as_ref().is_some_and(|state| state.waiting.is_some());
    let is_latest = waits && ended.is_some() && ended == status.container_id.as_ref();
    let instance = if is_latest { status.restart_count } else { status.restart_count - 1 };
    (instance >= 0).then_some(instance)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn asked(statuses: Value) -> String {
        let pod: Pod = serde_json::from_value(json!({"metadata": {}, "status": statuses})).expect("a Pod");
        match instances("shop", "web", Some(&pod)) {
            Ok(query) => query.to_string(),
            Err(failure) => failure.message(),
        }
    }

    fn container(name: &str, restarts: i32, id: &str, state: Value, last: Option<&str>) -> Value {
        let last = last.map(|id| json!({"terminated": {"exitCode": 1, "containerID": id}}));
        json!({
            "name": name, "restartCount": restarts, "containerID": id, "ready": false, "image": "",
            "imageID": "", "state": state, "lastState": last.unwrap_or(json!({})),
        })
    }

    #[test]
    fn the_instance_before_is_by_the_restart_count() {
        let runs = || json!({"running": {}});
        let waits = || json!({"waiting": {"reason": "CrashLoopBackOff"}});
        let ended = || json!({"terminated": {"exitCode": 1, "containerID": "c2"}});
        let one = |status: Value| asked(json!({"containerStatuses": [status]}));
        assert_eq!(one(container("a", 2, "c2", runs(), Some("c1"))), "container:a AND restart:1");
        assert_eq!(one(container("a", 2, "c2", ended(), Some("c1"))), "container:a AND restart:1");
        // In a crash loop nothing runs: what ended last is meant.
        assert_eq!(one(container("a", 2, "c2", waits(), Some("c2"))), "container:a AND restart:2");
        assert_eq!(one(container("a", 0, "c0", waits(), Some("c0"))), "container:a AND restart:0");
        // It is being created, and has its new count.
        assert_eq!(one(container("a", 2, "c2", waits(), Some("c1"))), "container:a AND restart:1");
        assert!(one(container("a", 0, "c0", runs(), None)).contains("a second time"));
        let several = asked(json!({
            "containerStatuses": [container("a", 1, "c", runs(), None), container("b", 0, "c", runs(), None)],
            "initContainerStatuses": [container("i", 4, "c", runs(), None)],
        }));
        assert_eq!(several, "(container:a AND restart:0) OR (container:i AND restart:3)");
        let gone = instances("shop", "web", None).expect_err("gone");
        assert!(gone.next().contains("--facets restart"), "{}", gone.next());
    }
}
