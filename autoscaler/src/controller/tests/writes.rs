//! What the autoscaler does where the API does not take what it writes.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;

const SCALE: &str = "/deployments/worker/scale";
const STATUS: &str = "/horizontalpodautoscalers/worker/status";

/// A gate that writes something to the Deployment before its scale is written for the first time;
/// and how often that was tried.
fn written_by_others(change: Value) -> (Gate, Arc<AtomicUsize>) {
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = tries.clone();
    let gate: Gate = Arc::new(move |around, method, path| {
        let (counted, change) = (counted.clone(), change.clone());
        Box::pin(async move {
            if method == http::Method::PATCH
                && path.ends_with(SCALE)
                && counted.fetch_add(1, Ordering::SeqCst) == 0
            {
                let deployments: Api<Deployment> = Api::namespaced(around, "default");
                let change = Patch::Merge(change);
                deployments.patch("worker", &PatchParams::default(), &change).await.expect("written");
            }
            None
        })
    });
    (gate, tries)
}

/// A gate that refuses to write paths with this end while it is closed.
fn closed_for(end: &'static str, why: &'static str, closed: &Arc<AtomicBool>) -> Gate {
    let closed = closed.clone();
    Arc::new(move |_, method, path| {
        let is_refused =
            closed.load(Ordering::SeqCst) && method == http::Method::PATCH && path.ends_with(end);
        Box::pin(std::future::ready(is_refused.then(|| gate::refused(why))))
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scale_whose_object_was_written_in_between_is_written_again() {
    let (gate, tries) = written_by_others(json!({"metadata": {"annotations": {"seen": "now"}}}));
    let plane = Plane::behind(Some(gate), None).await;
    plane.desk.tell(5000);
    plane.deploy(1).await;
    plane.autoscale("desk", 1, json!({})).await;
    let row = plane.row(|row| row.scaled || !row.failure.is_empty()).await;
    assert_eq!((row.failure.as_str(), row.current_replicas, row.desired_replicas), ("", 1, 5));
    assert_eq!(plane.wanted().await, Some(5));
    assert_eq!(tries.load(Ordering::SeqCst), 2);
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_scaled_the_target_in_between_is_not_overruled() {
    let (gate, _) = written_by_others(json!({"spec": {"replicas": 3}}));
    let plane = Plane::behind(Some(gate), None).await;
    plane.desk.tell(5000);
    plane.deploy(1).await;
    plane.autoscale("desk", 1, json!({})).await;
    let failed = plane.row(|row| row.scaled || !row.failure.is_empty()).await;
    assert!(failed.failure.contains("the object has been modified"), "{failed:?}");
    let said = plane.event("FailedRescale").await;
    assert!(said.starts_with("New size: 5; reason: ") && said.contains("has been modified"), "{said}");
    // It is decided anew, on what is there.
    let row = plane.row(|row| row.scaled).await;
    assert_eq!((row.current_replicas, row.desired_replicas), (3, 5), "{}", row.reason);
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scale_that_is_not_written_leaves_the_status_as_it_was() {
    let closed = Arc::new(AtomicBool::new(false));
    let plane = Plane::behind(Some(closed_for(SCALE, "scales are closed", &closed)), None).await;
    plane.desk.tell(3000);
    plane.deploy(1).await;
    plane.autoscale("desk", 1, json!({})).await;
    plane.row(|row| row.scaled).await;
    plane.has(3).await;
    let first = plane.until(|scaler| scaler.status.as_ref().is_some_and(|s| s.desired_replicas == 3)).await;
    closed.store(true, Ordering::SeqCst);
    plane.desk.tell(5000);
    let row = plane.row(|row| !row.failure.is_empty()).await;
    assert_eq!((row.desired_replicas, row.scaled), (5, false), "{}", row.reason);
    assert_eq!(row.failure, "the scale could not be written: scales are closed");
    let said = plane.says("AbleToScale", "FailedUpdateScale").await;
    assert_eq!(said, "the HPA controller was unable to update the target scale: scales are closed");
    let event = plane.event("FailedRescale").await;
    assert!(event.starts_with("New size: 5; reason: "), "{event}");
    assert!(event.ends_with("; error: scales are closed"), "{event}");
    let status = plane.until(|_| true).await.status.expect("a status");
    assert_eq!((status.current_replicas, status.desired_replicas), (Some(3), 3));
    assert_eq!(status.last_scale_time, first.status.and_then(|status| status.last_scale_time));
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_that_is_not_written_is_said_in_an_event() {
    let closed = Arc::new(AtomicBool::new(true));
    let plane = Plane::behind(Some(closed_for(STATUS, "statuses are closed", &closed)), None).await;
    plane.desk.tell(3000);
    plane.deploy(1).await;
    plane.autoscale("desk", 1, json!({})).await;
    assert_eq!(plane.event("FailedUpdateStatus").await, "statuses are closed");
    // It scales all the same.
    assert_eq!(plane.wanted().await, Some(3));
    let scaler = plane.until(|_| true).await;
    assert!(scaler.status.is_none_or(|status| status.conditions.is_none_or(|all| all.is_empty())));
    closed.store(false, Ordering::SeqCst);
    plane.desk.tell(3000);
    plane.until(|scaler| scaler.status.as_ref().is_some_and(|s| s.desired_replicas == 3)).await;
    plane.stop().await;
}

/// Else an autoscaler that is killed in between would take it for somebody's hand that did it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn that_the_last_replica_is_taken_is_said_before() {
    let said = Arc::new(Mutex::new(Vec::new()));
    let told = said.clone();
    let gate: Gate = Arc::new(move |around, method, path| {
        let told = told.clone();
        Box::pin(async move {
            if method == http::Method::PATCH && path.ends_with(SCALE) {
                let scalers: Api<HorizontalPodAutoscaler> = Api::namespaced(around, "default");
                let scaler = scalers.get("worker").await.expect("an autoscaler");
                told.lock().push(crate::status::scaled_to_zero(&scaler));
            }
            None
        })
    });
    let plane = Plane::behind(Some(gate), None).await;
    plane.deploy(2).await;
    plane.autoscale("desk", 0, json!({})).await;
    let row = plane.row(|row| row.scaled).await;
    assert_eq!((row.current_replicas, row.desired_replicas), (2, 0), "{}", row.reason);
    assert_eq!(*said.lock(), [true]);
    plane.stop().await;
}
