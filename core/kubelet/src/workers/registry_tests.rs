//! Who is told what, and when a place is given up.

use serde_json::json;

use super::*;

fn pod(uid: &str, deleted: bool) -> Arc<Pod> {
    let mut metadata = json!({"name": "web", "namespace": "ns", "uid": uid});
    if deleted {
        metadata["deletionTimestamp"] = json!("2026-01-02T03:04:05Z");
    }
    Arc::new(serde_json::from_value(json!({"metadata": metadata})).expect("a Pod"))
}

#[test]
fn a_pod_that_is_wanted_again_keeps_its_worker() {
    let registry = Registry::default();
    let seat = registry.tell(Desired::Gone(pod("u", false))).expect("a seat");
    // A manifest that was moved away and back.
    assert!(registry.tell(Desired::As(pod("u", false))).is_none());
    assert!(!registry.leave("u") && registry.has("u"));
    assert!(seat.desired.borrow().deleted().is_none(), "its object is not to be deleted");
    registry.tell(Desired::As(pod("u", true)));
    assert!(seat.desired.borrow().deleted().is_some());
    assert!(registry.leave("u") && !registry.has("u"));
    assert!(registry.leave("u"), "again is no error");
}

#[test]
fn a_static_pod_has_no_object_to_delete() {
    let mut pod = Pod::clone(&pod("u", true));
    pod.metadata.annotations = Some([(names::CONFIG_SOURCE.to_owned(), "file".to_owned())].into());
    assert!(Desired::As(Arc::new(pod)).deleted().is_none());
}

#[test]
fn an_end_is_told_whoever_comes_first() {
    let registry = Registry::default();
    let seat = registry.tell(Desired::As(pod("u", false))).expect("a seat");
    registry.owns("u", ["known".to_owned()].into_iter());
    registry.ended("known");
    registry.ended("early");
    let news = seat.wake.take_news();
    assert_eq!(news.ended, HashSet::from(["known".to_owned()]));
    registry.owns("u", ["early".to_owned(), "known".to_owned()].into_iter());
    assert_eq!(seat.wake.take_news().ended, HashSet::from(["early".to_owned()]));
    for n in 0..2 * MAX_STRAYS {
        registry.ended(&format!("other-{n}"));
    }
    assert_eq!(registry.strays.lock().len(), MAX_STRAYS);
}

#[test]
fn news_that_led_to_nothing_is_kept() {
    let wake = Wake::default();
    let news = News { ended: HashSet::from(["a".to_owned()]), sources: true };
    wake.news.lock().ended.insert("b".into());
    wake.give_back(news);
    let news = wake.take_news();
    assert!(news.sources && news.ended.len() == 2);
}

fn local(uid: &str) -> Arc<Pod> {
    let mut pod = Pod::clone(&pod(uid, false));
    pod.metadata.annotations = Some([(names::CONFIG_SOURCE.to_owned(), "file".to_owned())].into());
    Arc::new(pod)
}

fn showing(pod: &Pod, phase: &str, ready: &str) -> Arc<Pod> {
    let conditions =
        json!([{"type": "Ready", "status": ready}, {"type": "DisruptionTarget", "status": ready}]);
    let mut pod = pod.clone();
    pod.status = serde_json::from_value(json!({"phase": phase, "conditions": conditions})).ok();
    Arc::new(pod)
}

#[test]
fn only_what_somebody_else_wrote_wakes() {
    let (registry, pod) = (Registry::default(), pod("u", false));
    let mut seat = registry.tell(Desired::As(pod.clone())).expect("a seat");
    let own = showing(&pod, "Running", "True");
    seat.view.send_replace(Arc::new(PodView { pod: own.clone(), runtime: RuntimeState::default() }));
    for (shown, expected) in [
        // Its own write comes back; another's word; its own again; its end by another.
        (own.clone(), false),
        (showing(&pod, "Running", "False"), true),
        (own, false),
        (showing(&pod, "Failed", "True"), true),
    ] {
        registry.tell(Desired::As(shown.clone()));
        assert_eq!(seat.desired.has_changed().expect("there"), expected, "{shown:?}");
        seat.desired.mark_unchanged();
    }
}

#[test]
fn a_copy_that_says_otherwise_wakes() {
    use futures::FutureExt;
    let (registry, pod) = (Registry::default(), local("u"));
    let seat = registry.tell(Desired::As(pod.clone())).expect("a seat");
    let view = PodView { pod: showing(&pod, "Running", "True"), runtime: RuntimeState::default() };
    seat.view.send_replace(Arc::new(view));
    let copy = |ready: &str| {
        let mut copy = Pod::clone(&showing(&pod, "Running", ready));
        copy.metadata.uid = Some("copy".into());
        copy.metadata.annotations = Some([(names::MIRROR.to_owned(), "u".to_owned())].into());
        Arc::new(copy)
    };
    let woken = || seat.wake.called().now_or_never().is_some();
    let mut told = registry.mirrors();
    registry.mirror_all(vec![copy("True")]);
    assert!(woken(), "it is new");
    registry.mirror(copy("True"));
    assert!(!woken());
    registry.mirror(copy("False"));
    assert!(woken());
    registry.mirror_all(vec![copy("False")]);
    assert!(woken());
    told.mark_unchanged();
    // The manifests' set has no status: it contradicts nothing.
    registry.tell(Desired::As(pod.clone()));
    assert!(!seat.desired.has_changed().expect("there"));
    // None is there for a moment without the others.
    registry.retain(&HashSet::new());
    assert!(!told.has_changed().expect("there"));
    registry.mirror_all(Vec::new());
    assert_eq!(told.borrow_and_update().as_ref().map(BTreeMap::len), Some(0));
}

#[test]
fn of_one_name_the_later_static_pod_waits() {
    use futures::FutureExt;
    let registry = Registry::default();
    let seats = ["first", "second"].map(|uid| registry.tell(Desired::As(local(uid))).expect("a seat"));
    registry.tell(Desired::As(pod("api", false)));
    assert!(!registry.is_behind("first") && registry.is_behind("second") && !registry.is_behind("api"));
    registry.tell(Desired::Gone(local("first")));
    assert!(registry.is_behind("second"), "it has not ended");
    assert!(seats[1].wake.called().now_or_never().is_none());
    assert!(registry.leave("first") && !registry.is_behind("second"));
    assert!(seats[1].wake.called().now_or_never().is_some());
}
