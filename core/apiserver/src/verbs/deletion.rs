//! What a DELETE does to an object: takes it away, or marks it and leaves the
//! end to its finalizers or its kubelet. Pure.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tiphys_api::{field::FieldError, kinds::custom_resource_definition::conditions};

use crate::{
    request::options::{self as query, Options},
    status::{ApiError, GroupResource, Result},
    write::metadata::{self, rfc3339},
};

const FOREGROUND: &str = "foregroundDeletion";
const POLICIES: [&str; 3] = ["Foreground", "Background", "Orphan"];
const ORPHAN: &str = "orphan";

/// `DeleteOptions`, from the body or the query.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    pub grace_seconds: Option<i64>,
    /// Orphan, Background or Foreground.
    pub propagation: Option<String>,
    pub uid: Option<String>,
    pub resource_version: Option<String>,
    pub dry_run: bool,
}

impl DeleteOptions {
    /// As the API writes them.
    pub fn to_value(&self) -> Value {
        let mut options = json!({ "kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1" });
        let mut set = |key: &str, value: Value| options[key] = value;
        if let Some(seconds) = self.grace_seconds {
            set("gracePeriodSeconds", seconds.into());
        }
        if let Some(policy) = &self.propagation {
            set("propagationPolicy", policy.as_str().into());
        }
        if self.dry_run {
            set("dryRun", json!(["All"]));
        }
        let mut preconditions = serde_json::Map::new();
        for (key, value) in [("uid", &self.uid), ("resourceVersion", &self.resource_version)] {
            if let Some(value) = value {
                preconditions.insert(key.into(), value.as_str().into());
            }
        }
        if !preconditions.is_empty() {
            set("preconditions", preconditions.into());
        }
        options
    }
}

/// Reads the body, if there is one; what it leaves open comes from the query.
pub fn options(body: Option<&Value>, asked: &Options) -> Result<DeleteOptions> {
    let body = body.unwrap_or(&Value::Null);
    let text = |value: &Value| value.as_str().map(String::from);
    let orphan = body["orphanDependents"].as_bool().or(asked.orphan_dependents);
    let policy = text(&body["propagationPolicy"]).or(asked.propagation_policy.clone());
    let errors = faults(body, orphan, policy.as_deref());
    if !errors.is_empty() {
        return Err(query::refused("delete", &errors));
    }
    let by_flag = orphan.map(|orphan| if orphan { "Orphan" } else { "Background" }.to_owned());
    Ok(DeleteOptions {
        grace_seconds: body["gracePeriodSeconds"].as_i64().or(asked.grace_period_seconds),
        propagation: policy.or(by_flag),
        uid: text(&body["preconditions"]["uid"]),
        resource_version: text(&body["preconditions"]["resourceVersion"]),
        dry_run: asked.dry_run || body["dryRun"].as_array().is_some_and(|list| !list.is_empty()),
    })
}

fn faults(body: &Value, orphan: Option<bool>, policy: Option<&str>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if orphan.is_some()
        && let Some(policy) = policy
    {
        let why = "orphanDependents and deletionPropagation cannot be both set";
        errors.push(FieldError::invalid("propagationPolicy", &policy.into(), why));
    }
    if let Some(policy) = policy.filter(|policy| !POLICIES.contains(policy)) {
        let supported = &["Foreground", "Background", "Orphan", "nil"];
        errors.push(FieldError::not_supported("propagationPolicy", policy, supported));
    }
    let dry_runs = body["dryRun"].as_array().into_iter().flatten().filter_map(Value::as_str);
    errors.extend(dry_runs.filter_map(|value| query::dry_run(value).err()));
    errors
}

/// The caller's idea of the object must be right.
pub fn check(object: &Value, options: &DeleteOptions, resource: GroupResource<'_>, name: &str) -> Result<()> {
    let pairs =
        [("UID", "uid", &options.uid), ("ResourceVersion", "resourceVersion", &options.resource_version)];
    for (word, key, wanted) in pairs {
        let stored = metadata::text(object, key);
        if let Some(wanted) = wanted.as_deref().filter(|wanted| *wanted != stored) {
            let why = format!(
                "Precondition failed: {word} in precondition: {wanted}, {word} in object meta: {stored}"
            );
            return Err(ApiError::conflict(resource, name, &why));
        }
    }
    Ok(())
}

/// What is done.
#[derive(Debug, Clone, PartialEq)]
pub enum Plan {
    Remove,
    /// The object is replaced by this one, which says that it is to be deleted.
    Mark(Value),
    /// It is marked already.
    Nothing,
}

/// Decides for an object (stored version, with its kind).
pub fn plan(object: &Value, options: &DeleteOptions, now: Timestamp) -> Plan {
    let mut marked = object.clone();
    let deleting = object["metadata"]["deletionTimestamp"].is_string();
    let default = (!deleting && leaves_its_own(object)).then_some("Orphan");
    set_finalizers(&mut marked, options.propagation.as_deref().or(default));
    let grace = grace(object, options);
    let before = object["metadata"]["deletionGracePeriodSeconds"].as_i64();
    if !deleting {
        mark(&mut marked, grace, now);
    } else if before.is_some_and(|before| grace < before) && is_pod(object) {
        shorten(&mut marked, grace, now);
    }
    if metadata::is_released(&marked) {
        return Plan::Remove;
    }
    if marked == *object { Plan::Nothing } else { Plan::Mark(marked) }
}

fn is_core(object: &Value, kind: &str) -> bool {
    object["kind"] == kind && object["apiVersion"] == "v1"
}

fn is_pod(object: &Value) -> bool {
    is_core(object, "Pod")
}

fn is_definition(object: &Value) -> bool {
    object["kind"] == "CustomResourceDefinition" && object["apiVersion"] == "apiextensions.k8s.io/v1"
}

/// Whether what it owns stays when nobody says what is to become of it: these
/// kinds are older than the garbage collector. A finalizer says it too.
fn leaves_its_own(object: &Value) -> bool {
    let finalizers = object["metadata"]["finalizers"].as_array().into_iter().flatten();
    let said = finalizers.into_iter().any(|one| one == FOREGROUND || one == ORPHAN);
    let is_old = is_core(object, "ReplicationController")
        || object["kind"] == "Job" && object["apiVersion"] == "batch/v1";
    is_old && !said
}

/// Seconds that the object's processes get to end. Only Pods have processes,
/// and only those that a node has and that haven't ended.
fn grace(object: &Value, options: &DeleteOptions) -> i64 {
    let ended = matches!(object["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    let placed = object["spec"]["nodeName"].as_str().is_some_and(|node| !node.is_empty());
    if !is_pod(object) || ended || !placed {
        return 0;
    }
    let own = object["spec"]["terminationGracePeriodSeconds"].as_i64();
    match options.grace_seconds.or(own).unwrap_or(30) {
        // A negative period has meant one second since it was allowed.
        seconds if seconds < 0 => 1,
        seconds => seconds,
    }
}

fn mark(object: &mut Value, grace: i64, now: Timestamp) {
    shorten(object, grace, now);
    if let Some(generation) = object["metadata"]["generation"].as_i64().filter(|n| *n > 0) {
        object["metadata"]["generation"] = (generation + 1).into();
    }
    if is_definition(object) {
        conditions::hold(object, &rfc3339(now));
    }
    if is_core(object, "Namespace") {
        object["status"]["phase"] = "Terminating".into();
    }
}

fn shorten(object: &mut Value, grace: i64, now: Timestamp) {
    let until = now.checked_add(SignedDuration::from_secs(grace)).unwrap_or(now);
    let metadata = metadata::of(object);
    metadata.insert("deletionTimestamp".into(), rfc3339(until).into());
    metadata.insert("deletionGracePeriodSeconds".into(), grace.into());
}

/// Finalizers that make the garbage collector orphan the dependents, or delete them first.
fn set_finalizers(object: &mut Value, propagation: Option<&str>) {
    let Some(policy) = propagation else { return };
    let metadata = metadata::of(object);
    let mut finalizers: Vec<Value> =
        metadata.get("finalizers").and_then(Value::as_array).cloned().unwrap_or_default();
    finalizers.retain(|finalizer| finalizer != FOREGROUND && finalizer != ORPHAN);
    match policy {
        "Foreground" => finalizers.push(FOREGROUND.into()),
        "Orphan" => finalizers.push(ORPHAN.into()),
        _ => {}
    }
    if finalizers.is_empty() {
        metadata.remove("finalizers");
    } else {
        metadata.insert("finalizers".into(), json!(finalizers));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().expect("a time")
    }

    fn plan_of(object: &Value, options: &DeleteOptions) -> Plan {
        plan(object, options, now())
    }

    fn pod(node: &str, phase: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"nodeName": node}, "status": {"phase": phase}})
    }

    #[test]
    fn a_pod_on_a_node_gets_its_time() {
        let Plan::Mark(marked) = plan_of(&pod("n", "Running"), &DeleteOptions::default()) else {
            panic!("the pod is marked")
        };
        assert_eq!(marked["metadata"]["deletionTimestamp"], "2026-01-01T00:00:30Z");
        assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 30);
        assert_eq!(plan_of(&marked, &DeleteOptions::default()), Plan::Nothing);
        let at_once = DeleteOptions { grace_seconds: Some(0), ..DeleteOptions::default() };
        assert_eq!(plan_of(&marked, &at_once), Plan::Remove);
        let shorter = DeleteOptions { grace_seconds: Some(5), ..DeleteOptions::default() };
        assert!(matches!(plan_of(&marked, &shorter), Plan::Mark(_)));
    }

    #[test]
    fn a_pod_without_processes_goes_at_once() {
        for pod in [pod("", "Pending"), pod("n", "Succeeded"), pod("n", "Failed")] {
            assert_eq!(plan_of(&pod, &DeleteOptions::default()), Plan::Remove);
        }
    }

    #[test]
    fn propagation_leaves_the_end_to_the_garbage_collector() {
        let object = json!({"kind": "Deployment", "metadata": {"name": "d"}});
        for (policy, finalizer) in [("Foreground", FOREGROUND), ("Orphan", ORPHAN)] {
            let options = DeleteOptions { propagation: Some(policy.into()), ..DeleteOptions::default() };
            let Plan::Mark(marked) = plan_of(&object, &options) else { panic!("{policy} marks") };
            assert_eq!(marked["metadata"]["finalizers"], json!([finalizer]));
        }
        let background = DeleteOptions { propagation: Some("Background".into()), ..DeleteOptions::default() };
        assert_eq!(plan_of(&object, &background), Plan::Remove);
    }

    #[test]
    fn kinds_older_than_the_garbage_collector_leave_their_own_unless_asked() {
        let asked =
            |policy: &str| DeleteOptions { propagation: Some(policy.into()), ..DeleteOptions::default() };
        for (version, kind) in [("v1", "ReplicationController"), ("batch/v1", "Job")] {
            let object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": "o"}});
            let Plan::Mark(marked) = plan_of(&object, &DeleteOptions::default()) else {
                panic!("{kind} stays")
            };
            assert_eq!(marked["metadata"]["finalizers"], json!([ORPHAN]));
            assert_eq!(plan_of(&object, &asked("Background")), Plan::Remove, "{kind}");
            let held = json!({"apiVersion": version, "kind": kind, "metadata": {"name": "o", "finalizers": [FOREGROUND]}});
            let Plan::Mark(marked) = plan_of(&held, &DeleteOptions::default()) else {
                panic!("{kind} waits")
            };
            assert_eq!(marked["metadata"]["finalizers"], json!([FOREGROUND]), "what a finalizer says counts");
            let mut left = marked;
            left["metadata"]["finalizers"] = json!(["example.com/mine"]);
            assert_eq!(
                plan_of(&left, &DeleteOptions::default()),
                Plan::Nothing,
                "{kind} is asked about once"
            );
        }
        let newer = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "o"}});
        assert_eq!(plan_of(&newer, &DeleteOptions::default()), Plan::Remove);
    }

    #[test]
    fn a_namespace_waits_for_its_finalizer() {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}, "spec": {"finalizers": ["kubernetes"]}});
        let Plan::Mark(marked) = plan_of(&namespace, &DeleteOptions::default()) else {
            panic!("it is marked")
        };
        assert_eq!(marked["status"]["phase"], "Terminating");
    }

    #[test]
    fn options_come_from_body_and_query() {
        let body = json!({"gracePeriodSeconds": 3, "preconditions": {"uid": "u"}, "dryRun": ["All"]});
        let query = Options { propagation_policy: Some("Orphan".into()), ..Options::default() };
        let options = options(Some(&body), &query).expect("good options");
        assert_eq!(
            (options.grace_seconds, options.uid.as_deref(), options.dry_run),
            (Some(3), Some("u"), true)
        );
        assert_eq!(options.propagation.as_deref(), Some("Orphan"));
    }
}
