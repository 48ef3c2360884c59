//! PodDisruptionBudgets: evictions go as far as they allow, and on when Pods are back.

use k8s_openapi::api::{
    apps::v1::Deployment,
    policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus},
};
use kube::api::EvictParams;
use serde_json::{Value, json};

use crate::harness::{Plane, cache, until};

fn budget(spec: Value) -> Value {
    let mut budget = json!({"metadata": {"name": "web", "namespace": "default"}, "spec": spec});
    budget["spec"]["selector"] = json!({"matchLabels": {"app": "web"}});
    budget
}

fn status(all: &[std::sync::Arc<PodDisruptionBudget>]) -> PodDisruptionBudgetStatus {
    all.first().and_then(|budget| budget.status.clone()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_allows_as_many_evictions_as_it_can_spare() {
    let plane = Plane::start(2).await;
    let budgets = cache::<PodDisruptionBudget>(&plane.client, &plane.tasks);
    plane.deploy("web", 3).await;
    plane.rolled_out("web").await;
    plane.create::<PodDisruptionBudget>(budget(json!({"maxUnavailable": 1}))).await;
    until("one is spare", &budgets, |all| status(all).disruptions_allowed == Some(1)).await;
    let spare = status(&budgets.list());
    assert_eq!(
        (spare.expected_pods, spare.desired_healthy, spare.current_healthy),
        (Some(3), Some(2), Some(3))
    );

    let pods = plane.api::<k8s_openapi::api::core::v1::Pod>();
    let name = |number: usize| plane.pods.list()[number].metadata.name.clone().unwrap();
    let first = name(0);
    pods.evict(&first, &EvictParams::default()).await.unwrap();
    // The Deployment makes another: then one is spare again.
    until("another Pod", &plane.pods, |pods| {
        pods.len() == 3 && pods.iter().all(|pod| pod.metadata.name.as_ref() != Some(&first))
    })
    .await;
    until("one is spare again", &budgets, |all| {
        let status = status(all);
        status.disruptions_allowed == Some(1) && status.disrupted_pods.is_none()
    })
    .await;

    plane
        .patch::<PodDisruptionBudget>("web", json!({"spec": {"maxUnavailable": null, "minAvailable": 3}}))
        .await;
    until("none is spare", &budgets, |all| {
        let status = status(all);
        status.observed_generation == Some(2) && status.disruptions_allowed == Some(0)
    })
    .await;
    let refused = pods.evict(&name(0), &EvictParams::default()).await.unwrap_err();
    assert!(matches!(&refused, kube::Error::Api(status) if status.code == 429), "{refused:?}");
    plane.patch::<Deployment>("web", json!({"spec": {"replicas": 4}})).await;
    until("one of four is spare", &budgets, |all| status(all).disruptions_allowed == Some(1)).await;
    plane.stop().await;
}
