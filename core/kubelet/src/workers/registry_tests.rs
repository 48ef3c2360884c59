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
