//! When the change was that a Service's endpoints are written for: told in an annotation, from which
//! service proxies measure how long it took until the kernel had it.
//!
//! Such a time is the last turn of a Pod's readiness, or a Service's creation; nothing else says when it
//! came about. The earliest of those that are new since the last look counts, as upstream has it
//! (`staging/src/k8s.io/endpointslice/util/trigger_time_tracker.go`): of several changes that are
//! written at once, the one that waited longest. Where nothing is new, an older annotation is taken
//! away: it told of another write.
//!
//! [`Seen::look`] is pure. What was seen is kept when all writes have been made, so that one that is
//! tried again tells the same time.

use std::collections::HashMap;

use jiff::Timestamp;
use k8s_openapi::{api::core::v1::Service, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use parking_lot::Mutex;
use tiphys_client::LeanPod;

use crate::{key::Key, object};

const ANNOTATION: &str = "endpoints.kubernetes.io/last-change-trigger-time";

/// The times that a Service and its Pods told when they were last looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    service: Timestamp,
    /// By the Pod's name; one that has never been said to be ready or not has none.
    pods: HashMap<Box<str>, Timestamp>,
}

impl Seen {
    /// What the Service and its Pods tell now, and which time a write tells that is made for it.
    pub fn look<'a>(
        before: Option<&Self>,
        service: &Service,
        pods: impl IntoIterator<Item = &'a LeanPod>,
    ) -> (Self, Option<Timestamp>) {
        let times = pods.into_iter().filter_map(|pod| Some((&*pod.name, pod.condition("Ready")?.since?)));
        let now = Self {
            service: object::created(service),
            pods: times.map(|(name, since)| (name.into(), since)).collect(),
        };
        let created = now.service;
        // A Service that is seen first has waited for its endpoints since it was made.
        let Some(before) = before else { return (now, Some(created)) };
        let is_new = |name: &str, since: Timestamp| before.pods.get(name).is_none_or(|known| since > *known);
        let pods = now.pods.iter().filter(|(name, since)| is_new(name, **since)).map(|(_, since)| *since);
        let created = Some(created).filter(|created| *created > before.service);
        let trigger = pods.chain(created).min();
        (now, trigger)
    }
}

/// What was seen of each Service.
#[derive(Default)]
pub struct Triggers(Mutex<HashMap<Key, Seen>>);

impl Triggers {
    /// As [`Seen::look`], of what was kept last. Not at the same time for one Service.
    pub fn look<'a>(
        &self,
        key: &Key,
        service: &Service,
        pods: impl IntoIterator<Item = &'a LeanPod>,
    ) -> (Seen, Option<Timestamp>) {
        let seen = self.0.lock();
        Seen::look(seen.get(key), service, pods)
    }

    /// What was looked at is written.
    pub fn keep(&self, key: &Key, seen: Seen) {
        self.0.lock().insert(key.clone(), seen);
    }

    /// The Service is gone.
    pub fn forget(&self, key: &Key) {
        self.0.lock().remove(key);
    }
}

/// Puts the time into what is written, or an older one out of it.
pub fn annotate(metadata: &mut ObjectMeta, trigger: Option<Timestamp>) {
    match trigger {
        Some(trigger) => {
            let annotations = metadata.annotations.get_or_insert_default();
            annotations.insert(ANNOTATION.to_owned(), trigger.to_string());
        }
        None => {
            metadata.annotations.as_mut().map(|annotations| annotations.remove(ANNOTATION));
            metadata.annotations.take_if(|annotations| annotations.is_empty());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use serde_json::json;

    /// A time within a minute.
    fn at(second: u8) -> Timestamp {
        format!("2026-11-27T10:00:{second:02}Z").parse().unwrap()
    }

    fn service(created: u8) -> Service {
        let metadata = json!({"name": "web", "namespace": "default", "creationTimestamp": at(created)});
        serde_json::from_value(json!({"metadata": metadata})).unwrap()
    }

    /// A Pod whose readiness turned then; 0: it has never been told.
    fn pod((name, turned): &(&str, u8)) -> LeanPod {
        let ready = json!({"type": "Ready", "status": "True", "lastTransitionTime": at(*turned)});
        let conditions = if *turned == 0 { json!([]) } else { json!([ready]) };
        let metadata = json!({"name": name, "namespace": "default", "uid": name});
        serde_json::from_value(json!({"metadata": metadata, "status": {"conditions": conditions}})).unwrap()
    }

    /// A look at a Service made then, with these Pods: what it tells.
    fn look(triggers: &Triggers, created: u8, pods: &[(&str, u8)]) -> (Seen, Option<Timestamp>) {
        let pods: Vec<LeanPod> = pods.iter().map(pod).collect();
        triggers.look(&Key::new("default", "web"), &service(created), &pods)
    }

    #[test]
    fn the_earliest_time_that_is_new_is_told() {
        type Look<'a> = (u8, &'a [(&'a str, u8)], Option<u8>);
        let table: [(&str, &[Look<'_>]); 9] = [
            ("a new Service without Pods", &[(5, &[], Some(5))]),
            ("a new Service whose Pods are there", &[(5, &[("a", 2), ("b", 9)], Some(5))]),
            ("nothing has changed", &[(5, &[("a", 2)], Some(5)), (5, &[("a", 2)], None)]),
            (
                "a Pod becomes ready, or stops to be",
                &[(5, &[("a", 2)], Some(5)), (5, &[("a", 8)], Some(8)), (5, &[("a", 9)], Some(9))],
            ),
            (
                "several at once: the one that waited longest",
                &[(5, &[("a", 2)], Some(5)), (5, &[("a", 9), ("b", 8), ("c", 10)], Some(8))],
            ),
            (
                "a Pod comes that has not been told to be ready or not",
                &[(5, &[], Some(5)), (5, &[("a", 0)], None), (5, &[("a", 7)], Some(7))],
            ),
            (
                "a Pod goes, and one of its name comes",
                &[(5, &[("a", 6)], Some(5)), (5, &[], None), (5, &[("a", 9)], Some(9))],
            ),
            (
                "an older time than that which was seen",
                &[(5, &[("a", 9)], Some(5)), (5, &[("a", 6)], None), (5, &[("a", 7)], Some(7))],
            ),
            (
                "another Service of the name, and a Pod that turned later",
                &[(5, &[("a", 2)], Some(5)), (20, &[("a", 25)], Some(20)), (20, &[("a", 25)], None)],
            ),
        ];
        for (why, looks) in table {
            let triggers = Triggers::default();
            for (number, (created, pods, expected)) in looks.iter().enumerate() {
                let (seen, trigger) = look(&triggers, *created, pods);
                assert_eq!(trigger, expected.map(at), "{why}: look {number}");
                triggers.keep(&Key::new("default", "web"), seen);
            }
        }
    }

    #[test]
    fn what_could_not_be_written_is_told_again() {
        let (triggers, key) = (Triggers::default(), Key::new("default", "web"));
        let (seen, _) = look(&triggers, 5, &[("a", 2)]);
        triggers.keep(&key, seen);
        let (_, refused) = look(&triggers, 5, &[("a", 8)]);
        // The write failed; another Pod turned before the next one.
        let (seen, again) = look(&triggers, 5, &[("a", 8), ("b", 9)]);
        assert_eq!((refused, again), (Some(at(8)), Some(at(8))));
        triggers.keep(&key, seen);
        assert_eq!(look(&triggers, 5, &[("a", 8), ("b", 9)]).1, None);
        triggers.forget(&key);
        assert_eq!(look(&triggers, 5, &[("a", 8)]).1, Some(at(5)), "a Service of which nothing is known");
    }

    #[test]
    fn the_annotation_tells_of_this_write_only() {
        let mut metadata = ObjectMeta::default();
        annotate(&mut metadata, None);
        assert_eq!(metadata.annotations, None);
        annotate(&mut metadata, Some(at(7)));
        let told = |metadata: &ObjectMeta| metadata.annotations.clone().unwrap_or_default();
        assert_eq!(told(&metadata)[ANNOTATION], "2026-11-27T10:00:07Z");
        let mut alone = metadata.clone();
        annotate(&mut alone, None);
        assert_eq!(alone.annotations, None);
        metadata.annotations.get_or_insert_default().insert("a".to_owned(), "b".to_owned());
        annotate(&mut metadata, None);
        assert_eq!(told(&metadata), BTreeMap::from([("a".to_owned(), "b".to_owned())]));
    }
}
