//! What a quota's resources add up to. Pure.

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;
use serde_json::{Map, Value};
use tiphys_api::{
    access::{entries, text},
    amounts::{self, Amounts},
    quantity::Quantity,
    quota::{self, Counted},
};

use super::Listed;

/// Group and plural of everything that the quota bounds.
pub fn resources(quota: &Value) -> BTreeSet<(String, String)> {
    let names = entries(quota, "/spec/hard").filter_map(|(name, _)| quota::resource_of(name));
    names.map(|(group, resource)| (group.to_owned(), resource.to_owned())).collect()
}

/// Whether objects of the resource count by what they say.
pub fn needs_whole(group: &str, resource: &str) -> bool {
    group.is_empty() && matches!(resource, "pods" | "services" | "persistentvolumeclaims")
}

/// For each bound of the quota what of it is used.
pub fn used(quota: &Value, listed: &Listed, now: Timestamp) -> Map<String, Value> {
    let bounds: Vec<&String> = entries(quota, "/spec/hard").map(|(name, _)| name).collect();
    let mut used: Amounts = bounds.iter().map(|name| ((*name).clone(), Quantity::ZERO)).collect();
    for ((group, resource), objects) in listed {
        let counted = Counted { group, resource };
        for object in objects.iter().filter(|object| counted.is_in_scope(quota, object)) {
            let mut usage = counted.usage(object, now);
            usage.retain(|name, _| bounds.contains(&name));
            amounts::add(&mut used, &usage);
        }
    }
    used.into_iter().map(|(name, amount)| (name, amount.to_string().into())).collect()
}

/// When the next Pod that is to be deleted stops to count, though it is still there.
pub fn ends_next(listed: &Listed, now: Timestamp) -> Option<Duration> {
    let pods = listed.get(&(String::new(), "pods".to_owned()))?;
    let ends = pods.iter().filter(|pod| !quota::has_ended(pod, now)).filter_map(|pod| {
        let deleted = text(pod, "/metadata/deletionTimestamp").parse::<Timestamp>().ok()?;
        let grace = pod.pointer("/metadata/deletionGracePeriodSeconds").and_then(Value::as_i64)?;
        u64::try_from(deleted.as_second() + grace + 1 - now.as_second()).ok()
    });
    ends.min().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn now() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    fn pod(cpu: &str, more: Value) -> Value {
        let mut pod = json!({ "metadata": {}, "spec": { "containers": [
            { "name": "c", "resources": { "requests": { "cpu": cpu } } } ] } });
        pod.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        pod
    }

    #[test]
    fn every_bound_has_a_figure() {
        let quota = json!({ "spec": { "hard": {
            "pods": "5", "requests.cpu": "2", "count/deployments.apps": "9", "count/gone.example.com": "1" } } });
        let wanted: Vec<(String, String)> = resources(&quota).into_iter().collect();
        let pair = |group: &str, resource: &str| (group.to_owned(), resource.to_owned());
        assert_eq!(wanted, [pair("", "pods"), pair("apps", "deployments"), pair("example.com", "gone")]);
        let ended = json!({ "status": { "phase": "Succeeded" } });
        let listed = Listed::from([
            (pair("", "pods"), vec![pod("500m", json!({})), pod("1", json!({})), pod("9", ended)]),
            (pair("apps", "deployments"), vec![json!({}), json!({})]),
        ]);
        assert_eq!(
            Value::Object(used(&quota, &listed, now())),
            json!({ "pods": "2", "requests.cpu": "1500m", "count/deployments.apps": "2", "count/gone.example.com": "0" })
        );
    }

    #[test]
    fn scopes_leave_pods_out() {
        let quota = json!({ "spec": { "hard": { "pods": "5" }, "scopes": ["BestEffort"] } });
        let plain = json!({ "metadata": {}, "spec": { "containers": [{ "name": "c" }] } });
        let listed = Listed::from([((String::new(), "pods".to_owned()), vec![pod("1", json!({})), plain])]);
        assert_eq!(Value::Object(used(&quota, &listed, now())), json!({ "pods": "1" }));
    }

    #[test]
    fn a_pod_stuck_in_its_deletion_stops_to_count() {
        let deleted =
            |at: &str| json!({ "metadata": { "deletionTimestamp": at, "deletionGracePeriodSeconds": 30 } });
        let listed = Listed::from([(
            (String::new(), "pods".to_owned()),
            vec![
                pod("1", json!({})),
                pod("1", deleted("2026-01-01T00:00:10Z")),
                pod("1", deleted("2025-12-31T23:00:00Z")),
            ],
        )]);
        assert_eq!(ends_next(&listed, now()), Some(Duration::from_secs(41)));
    }
}
