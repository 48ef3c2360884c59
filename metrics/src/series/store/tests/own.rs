//! Whose series are, after the log was read again.

use super::*;

fn told_of(pod: &str) -> Labels {
    let job = ("job", "kube-state-metrics");
    Labels::new([(NAME, "kube_pod_info"), job, ("namespace", "shop"), ("pod", pod)])
}

#[test]
fn abuse_34_what_tiphys_tells_takes_no_room_of_a_namespace_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let limits = Limits { series_of_namespace: 2, ..Limits::default() };
    let config = StoreConfig { limits, ..config(folder.path()) };
    let store = Store::recover(&config).expect("opened");
    let ours = ["a", "b"].map(|pod| (told_of(pod), Way::Objects));
    for (labels, way) in ours.into_iter().chain([(up("a"), Way::Otlp)]) {
        let series = store.resolve_by(&labels, way).expect("room");
        store.append(&[number(series, START, 1.0)]);
    }
    store.end();
    drop(store);
    let store = Store::recover(&config).expect("opened again");
    let is_full = |result: Result<SeriesId, Refused>| matches!(result, Err(Refused::NamespaceFull { .. }));
    assert_eq!(store.series_count(), 3);
    store.resolve_by(&up("b"), Way::Otlp).expect("one of two is theirs");
    assert!(is_full(store.resolve_by(&up("c"), Way::Otlp)));
    // They are told again, which changes nothing.
    store.resolve_by(&told_of("a"), Way::Objects).expect("known");
    assert!(is_full(store.resolve_by(&up("c"), Way::Otlp)));
    drop(store);
    // What is sent with such labels counts as sent when it comes again.
    let store = Store::recover(&config).expect("opened again");
    store.resolve_by(&told_of("a"), Way::Otlp).expect("known");
    assert!(is_full(store.resolve_by(&up("b"), Way::Otlp)));
}
