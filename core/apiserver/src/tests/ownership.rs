//! Server-side apply by several managers at random, on real kinds: after each request, what is owned
//! by whom is compared with what must follow from the state before.
//!
//! Fields are found here by a walk of its own, not by the product's: a leaf is a path in the form of
//! `managedFields`, such as `f:spec/f:replicas`.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use proptest::{
    collection::btree_map,
    option,
    prelude::*,
    sample::subsequence,
    test_runner::{RngAlgorithm, TestRng, TestRunner},
};
use serde_json::{Map, Value, json};

use super::harness::{Answer, DEPLOYMENTS, Harness};

const SERVICES: &str = "/api/v1/namespaces/default/services";

/// Path of a field, and what it holds.
type Leaves = BTreeMap<String, Value>;

/// Manager, operation and subresource.
type Owner = (String, String, String);

/// What each owns.
type Owned = BTreeMap<Owner, BTreeSet<String>>;

/// The keys of lists whose elements are owned one by one; no keys: the elements are values.
fn keys(list: &str, element: &Value) -> Option<&'static [&'static str]> {
    Some(match list {
        "containers" | "env" | "volumes" => &["name"],
        "conditions" => &["type"],
        "ports" if element.get("containerPort").is_some() => &["containerPort", "protocol"],
        "ports" => &["port", "protocol"],
        "finalizers" => &[],
        _ => return None,
    })
}

fn element(value: &Value, keys: &[&str]) -> String {
    if keys.is_empty() {
        return format!("v:{value}");
    }
    let key = |key: &&str| {
        let default = if *key == "protocol" { json!("TCP") } else { Value::Null };
        format!("{key:?}:{}", value.get(*key).unwrap_or(&default))
    };
    format!("k:{{{}}}", keys.iter().map(key).collect::<Vec<_>>().join(","))
}

/// Selectors are atomic; who they are and what the server counts is nobody's.
fn leaves(object: &Value) -> Leaves {
    let mut object = object.clone();
    let map = object.as_object_mut().expect("an object");
    map.remove("apiVersion");
    map.remove("kind");
    let metadata = map["metadata"].as_object_mut().expect("metadata");
    metadata.retain(|name, _| matches!(name.as_str(), "labels" | "annotations" | "finalizers"));
    let mut all = Leaves::new();
    walk(&object, "", "", &mut all);
    all
}

fn walk(value: &Value, name: &str, path: &str, all: &mut Leaves) {
    let below = |part: &str| if path.is_empty() { part.to_owned() } else { format!("{path}/{part}") };
    match value {
        Value::Object(map) if !map.is_empty() && name != "selector" => {
            map.iter().for_each(|(name, value)| walk(value, name, &below(&format!("f:{name}")), all));
        }
        Value::Array(items) if items.first().and_then(|first| keys(name, first)).is_some() => {
            for item in items {
                let keys = keys(name, item).expect("one list has one sort of keys");
                let path = below(&element(item, keys));
                // The element itself is owned, beside what is in it.
                all.insert(path.clone(), Value::Null);
                if !keys.is_empty() {
                    walk(item, "", &path, all);
                }
            }
        }
        // What is empty is left out: it holds no field.
        Value::Object(map) if map.is_empty() => {}
        Value::Array(items) if items.is_empty() => {}
        Value::Null => {}
        other => drop(all.insert(path.to_owned(), other.clone())),
    }
}

fn owned(object: &Value) -> Owned {
    let mut all = Owned::new();
    for entry in object["metadata"]["managedFields"].as_array().into_iter().flatten() {
        let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
        let mut paths = BTreeSet::new();
        fields(&entry["fieldsV1"], "", &mut paths);
        let twice = all.insert((text("manager"), text("operation"), text("subresource")), paths);
        assert!(twice.is_none(), "{entry} is there twice");
    }
    all
}

fn fields(set: &Value, path: &str, all: &mut BTreeSet<String>) {
    let children = set.as_object().expect("a set is an object");
    let is_element = path.rsplit("/k:").next().is_some_and(|last| last != path && last.ends_with('}'));
    if children.is_empty() || (children.contains_key(".") && is_element) {
        all.insert(path.to_owned());
    }
    for (name, child) in children.iter().filter(|(name, _)| *name != ".") {
        let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
        fields(child, &path, all);
    }
}

/// A request by one of three managers.
#[derive(Debug, Clone)]
enum Step {
    Apply {
        manager: &'static str,
        config: Value,
        force: bool,
    },
    /// Of the object as it is, with this in it.
    Update {
        manager: &'static str,
        part: Value,
    },
    Status {
        manager: &'static str,
        apply: bool,
        status: Value,
    },
}

fn manager() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("a"), Just("b"), Just("c")]
}

/// Without what is empty.
fn filled(value: Value) -> Value {
    let is_empty = |value: &Value| {
        value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty)
    };
    match value {
        Value::Object(map) => {
            let map = map.into_iter().map(|(name, value)| (name, filled(value)));
            Value::Object(map.filter(|(_, value)| !is_empty(value)).collect())
        }
        Value::Array(items) => items.into_iter().map(filled).collect(),
        other => other,
    }
}

fn names() -> impl Strategy<Value = Value> {
    btree_map("[k-m]", "[x-z]", 0..3).prop_map(|map| json!(map))
}

/// Fields that have no default: what is dropped is gone.
fn deployment() -> impl Strategy<Value = Value> {
    let port = (80..82_u16, prop_oneof![Just("TCP"), Just("UDP")])
        .prop_map(|(port, protocol)| json!({"containerPort": port, "protocol": protocol}));
    let env = btree_map("[A-B]", "[x-z]", 0..3).prop_map(|env| {
        env.iter().map(|(name, value)| json!({"name": name, "value": value})).collect::<Value>()
    });
    let container = (option::of(port), env, "[x-y]").prop_map(|(port, env, image)| {
        let mut container = json!({"image": image, "env": env});
        if let Some(port) = port {
            container["ports"] = json!([port]);
        }
        container
    });
    let containers = (subsequence(vec!["side", "more"], 0..=2), proptest::collection::vec(container, 3));
    let numbers = (option::of(0..3_i32), option::of(any::<bool>()));
    (names(), names(), containers, numbers, subsequence(vec!["f.io/a", "f.io/b"], 0..=2)).prop_map(
        |(labels, annotations, (others, bodies), (seconds, paused), finalizers)| {
            let named = ["main"].into_iter().chain(others).zip(bodies);
            let containers: Value = named
                .map(|(name, mut container)| {
                    container["name"] = name.into();
                    container
                })
                .collect();
            let mut object = json!({
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": "web", "labels": labels, "annotations": annotations, "finalizers": finalizers},
                "spec": {
                    "selector": {"matchLabels": {"app": "web"}},
                    "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": containers}},
                },
            });
            if let Some(seconds) = seconds {
                object["spec"]["minReadySeconds"] = (seconds + 1).into();
            }
            if let Some(paused) = paused.filter(|paused| *paused) {
                object["spec"]["paused"] = paused.into();
            }
            filled(object)
        },
    )
}

fn service() -> impl Strategy<Value = Value> {
    let ports = btree_map(80..84_u16, "[x-z]", 1..4);
    (names(), names(), ports, option::of("[x-y]")).prop_map(|(labels, annotations, ports, app)| {
        let port = |(port, target): (&u16, &String)| {
            json!({"name": format!("p{port}"), "port": port, "protocol": "TCP", "targetPort": target})
        };
        let mut object = json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "web", "labels": labels, "annotations": annotations},
            // Each applier must name its ports.
            "spec": {"ports": ports.iter().map(port).collect::<Value>()},
        });
        if let Some(app) = app {
            object["spec"]["selector"] = json!({"app": app});
        }
        filled(object)
    })
}

fn status() -> impl Strategy<Value = Value> {
    let condition = |kind: &'static str| {
        prop_oneof![Just("True"), Just("False")]
            .prop_map(move |status| json!({"type": kind, "status": status}))
    };
    subsequence(vec!["Available", "Progressing"], 0..=2)
        .prop_flat_map(move |kinds| kinds.into_iter().map(condition).collect::<Vec<_>>())
        .prop_map(|conditions| json!({"conditions": conditions}))
}

fn steps(config: impl Strategy<Value = Value>) -> impl Strategy<Value = Vec<Step>> {
    let apply = (manager(), config, any::<bool>()).prop_map(|(manager, config, force)| Step::Apply {
        manager,
        config,
        force,
    });
    let part = (names(), option::of(1..4_i32)).prop_map(|(labels, seconds)| {
        let mut part = json!({"metadata": {"labels": labels}});
        if let Some(seconds) = seconds {
            part["spec"] = json!({"minReadySeconds": seconds});
        }
        part
    });
    let update = (manager(), part).prop_map(|(manager, part)| Step::Update { manager, part });
    let status = (manager(), any::<bool>(), status()).prop_map(|(manager, apply, status)| Step::Status {
        manager,
        apply,
        status,
    });
    proptest::collection::vec(prop_oneof![5 => apply, 2 => update, 1 => status], 2..14)
}

struct Run<'a> {
    api: &'a Harness,
    /// Of the object.
    path: String,
    /// What the object was at last; null before it is there.
    object: Value,
}

impl Run<'_> {
    async fn apply(&self, place: &str, manager: &str, force: bool, config: &Value) -> Answer {
        let path = format!("{}{place}?fieldManager={manager}&force={force}", self.path);
        self.api.call(Method::PATCH, &path, "application/apply-patch+yaml", "", config.to_string()).await
    }

    async fn step(&mut self, step: &Step) {
        match step {
            Step::Apply { manager, config, force } => self.applied(manager, config, *force).await,
            _ if self.object.is_null() => {}
            Step::Update { manager, part } => {
                let mut new = self.object.clone();
                json_patch::merge(&mut new, part);
                let path = format!("{}?fieldManager={manager}", self.path);
                let after = self.api.put(&path, &new).await.expect(200);
                self.written(&(manager.to_string(), "Update".into(), String::new()), after);
            }
            Step::Status { manager, apply: true, status } => {
                let kind = (&self.object["apiVersion"], &self.object["kind"]);
                let config = json!({"apiVersion": kind.0, "kind": kind.1, "status": status});
                let after = self.apply("/status", manager, true, &config).await.expect(200);
                let owner = (manager.to_string(), "Apply".into(), "status".into());
                let mut named = config.clone();
                named["metadata"] = json!({});
                self.taken(&owner, &leaves(&named), after);
            }
            Step::Status { manager, apply: false, status } => {
                let path = format!("{}/status?fieldManager={manager}", self.path);
                let after = self.api.patch(&path, "merge", &json!({"status": status})).await.expect(200);
                self.written(&(manager.to_string(), "Update".into(), "status".into()), after);
            }
        }
    }

    /// The fields of a configuration that others own with other values.
    fn conflicts(&self, owner: &Owner, config: &Leaves) -> BTreeSet<(Owner, String)> {
        let (now, owned) = (leaves(&self.object), owned(&self.object));
        let others = owned.iter().filter(|(other, _)| *other != owner);
        let conflicting = |(other, set): (&Owner, &BTreeSet<String>)| {
            let differing = set
                .iter()
                .filter(|path| config.get(*path).is_some_and(|value| now.get(*path) != Some(value)));
            differing.map(|path| (other.clone(), path.clone())).collect::<Vec<_>>()
        };
        others.flat_map(conflicting).collect()
    }

    async fn applied(&mut self, manager: &str, config: &Value, force: bool) {
        let owner = (manager.to_owned(), "Apply".to_owned(), String::new());
        let wanted = leaves(config);
        let expected = if self.object.is_null() { BTreeSet::new() } else { self.conflicts(&owner, &wanted) };
        let answer = self.apply("", manager, force, config).await;
        if !force && !expected.is_empty() {
            let refusal = answer.json();
            let causes = refusal["details"]["causes"].as_array().cloned().unwrap_or_default();
            let mut told: Vec<(String, &str)> =
                causes.iter().map(|cause| owner_of(&cause["message"])).collect();
            told.sort();
            let mut named: Vec<(String, &str)> =
                expected.iter().map(|(owner, _)| (owner.0.clone(), owner.1.as_str())).collect();
            named.sort();
            assert_eq!(told, named, "{expected:?}: {refusal}");
            answer.refused(409, "Conflict");
            assert_eq!(self.api.get(&self.path).await.expect(200), self.object, "a refusal changes nothing");
            return;
        }
        let created = self.object.is_null();
        // Who lost a field by force leaves an element without it when the new owner goes.
        if answer.code == 422 && !created {
            assert_eq!(self.api.get(&self.path).await.expect(200), self.object, "a refusal changes nothing");
            return;
        }
        let after = answer.expect(if created { 201 } else { 200 });
        self.taken(&owner, &wanted, after);
        let again = self.apply("", manager, false, config).await.expect(200);
        assert_eq!(again, self.object, "the same again changes nothing");
        let written_back = self.api.put(&self.path, &again).await.expect(200);
        assert_eq!(written_back, self.object, "managedFields come back as they went");
    }

    /// After an apply.
    fn taken(&mut self, owner: &Owner, wanted: &Leaves, after: Value) {
        let before = std::mem::replace(&mut self.object, after);
        let (now, owns) = (leaves(&self.object), owned(&self.object));
        for (path, value) in wanted {
            assert_eq!(now.get(path), Some(value), "{path} is not as {owner:?} applied it");
        }
        let own: BTreeSet<String> = wanted.keys().cloned().collect();
        let nothing = BTreeSet::new();
        let of_owner = owns.get(owner).unwrap_or(&nothing);
        assert_eq!(fieldful(of_owner, wanted), own, "{owner:?} owns what it applied");
        if before.is_null() {
            return;
        }
        let (was, owned_before) = (leaves(&before), owned(&before));
        for (other, set) in owned_before.iter().filter(|(other, _)| *other != owner) {
            let kept: BTreeSet<&String> = set
                .iter()
                .filter(|path| was.contains_key(*path) && now.get(*path) == was.get(*path))
                .collect();
            let keeps: BTreeSet<&String> =
                owns.get(other).into_iter().flatten().filter(|path| was.contains_key(*path)).collect();
            assert_eq!(keeps, kept, "what {other:?} owns after {owner:?} applied");
        }
        // Nobody has these any more.
        let others: BTreeSet<&String> =
            owned_before.iter().filter(|(other, _)| *other != owner).flat_map(|(_, set)| set).collect();
        for path in owned_before.get(owner).into_iter().flatten() {
            let is_within = others.iter().any(|other| other.starts_with(&format!("{path}/")));
            let gone = !own.contains(path) && !others.contains(path) && !is_within;
            let within_wanted = own.iter().any(|other| other.starts_with(&format!("{path}/")));
            assert!(
                !gone || within_wanted || now.get(path) != was.get(path),
                "{path} is nobody's and still there"
            );
        }
    }

    /// After any other write.
    fn written(&mut self, owner: &Owner, after: Value) {
        let before = std::mem::replace(&mut self.object, after);
        let (was, now) = (leaves(&before), leaves(&self.object));
        let (owned_before, owns) = (owned(&before), owned(&self.object));
        for path in now.keys() {
            let owners = |owned: &Owned| -> BTreeSet<Owner> {
                owned.iter().filter(|(_, set)| set.contains(path)).map(|(owner, _)| owner.clone()).collect()
            };
            let (earlier, later) = (owners(&owned_before), owners(&owns));
            if now.get(path) == was.get(path) {
                assert_eq!(later, earlier, "{path} was not changed by {owner:?}");
            } else {
                assert_eq!(later, BTreeSet::from([owner.clone()]), "{path} was changed by {owner:?}");
            }
        }
        let gone = was.keys().filter(|path| !now.contains_key(*path));
        for path in gone {
            assert!(owns.values().all(|set| !set.contains(path)), "{path} is gone and somebody's");
        }
    }
}

/// Of a set the places that are fields of the configuration: not those that are there as a whole.
fn fieldful(set: &BTreeSet<String>, wanted: &Leaves) -> BTreeSet<String> {
    let is_empty = |path: &String| !wanted.contains_key(path) && !path.contains("/k:");
    set.iter().filter(|path| !is_empty(path)).cloned().collect()
}

/// `conflict with "a" using v1` names a as one that updates; without a version it is one that applies.
fn owner_of(message: &Value) -> (String, &'static str) {
    let text = message.as_str().unwrap_or_default();
    let operation = if text.contains(" using ") { "Update" } else { "Apply" };
    (text.split('"').nth(1).unwrap_or_default().to_owned(), operation)
}

/// The same cases each time; with `TIPHYS_SOAK=1` others, and more.
fn runner(config: ProptestConfig) -> TestRunner {
    if std::env::var_os("TIPHYS_SOAK").is_some() {
        return TestRunner::new(config);
    }
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

/// The cases share a server: each has an object of its own.
fn check(collection: &'static str, steps: impl Strategy<Value = Vec<Step>>) {
    let cases = if std::env::var_os("TIPHYS_SOAK").is_some() { 5_000 } else { 40 };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let api = runtime.block_on(Harness::start());
    let n = std::cell::Cell::new(0);
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: 300,
        ..ProptestConfig::default()
    };
    let outcome = runner(config).run(&steps, |steps| {
        n.set(n.get() + 1);
        let name = format!("web-{}", n.get());
        let named = |step: &Step| match step.clone() {
            Step::Apply { manager, mut config, force } => {
                config["metadata"]["name"] = name.clone().into();
                Step::Apply { manager, config, force }
            }
            other => other,
        };
        let steps: Vec<Step> = steps.iter().map(named).collect();
        runtime.block_on(async {
            let mut run = Run { api: &api, path: format!("{collection}/{name}"), object: Value::Null };
            for step in &steps {
                run.step(step).await;
            }
        });
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    runtime.block_on(api.stop());
}

#[test]
fn fields_of_a_deployment_have_the_owners_that_follow() {
    check(DEPLOYMENTS, steps(deployment()));
}

#[test]
fn fields_of_a_service_have_the_owners_that_follow() {
    let no_seconds = steps(service()).prop_map(|mut steps| {
        for step in &mut steps {
            if let Step::Update { part, .. } = step {
                part.as_object_mut().map(|part: &mut Map<String, Value>| part.remove("spec"));
            }
        }
        steps
    });
    check(SERVICES, no_seconds);
}
