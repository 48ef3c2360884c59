//! Priority: the name of a priority class becomes the number the scheduler orders by.

use async_trait::async_trait;
use serde_json::Value;

use super::{Cluster, Operation, Plugin, Request};
use crate::authz::{Objects, Refusal, find};

const GROUP: &str = "scheduling.k8s.io";
/// Classes that exist in every cluster, whether their objects do or not.
pub const SYSTEM: &[(&str, i64)] =
    &[("system-cluster-critical", 2_000_000_000), ("system-node-critical", 2_000_001_000)];
const PREEMPTION: &str = "PreemptLowerPriority";

pub struct Priority;

/// What a class gives to a Pod.
struct Class {
    name: String,
    value: i64,
    preemption: String,
}

#[async_trait]
impl Plugin for Priority {
    fn name(&self) -> &'static str {
        "Priority"
    }

    async fn mutate(&self, cluster: &Cluster, request: &mut Request<'_>) -> Result<(), Refusal> {
        let objects = &*cluster.objects;
        if !request.is("", "pods") {
            return Ok(());
        }
        match request.operation {
            Operation::Create => set(objects, request).await,
            Operation::Update => {
                keep(request);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn validate(&self, cluster: &Cluster, request: &Request<'_>) -> Result<(), Refusal> {
        let objects = &*cluster.objects;
        let class = request.new_object();
        let system = |name: &str| SYSTEM.iter().any(|(known, _)| *known == name);
        if request.is(GROUP, "priorityclasses")
            && request.operation == Operation::Delete
            && system(request.name)
        {
            return Err(request.forbid("this is a system priority class and cannot be deleted"));
        }
        if !request.is(GROUP, "priorityclasses") || !request.writes() || class["globalDefault"] != true {
            return Ok(());
        }
        let all = objects.list(GROUP, "priorityclasses", "", &[]);
        let other = all.iter().find(|other| {
            other["globalDefault"] == true && other["metadata"]["name"] != class["metadata"]["name"]
        });
        match other.and_then(|other| other["metadata"]["name"].as_str()) {
            Some(name) => {
                let why =
                    format!("PriorityClass {name} is already marked as default. Only one default can exist");
                Err(request.forbid(&why))
            }
            None => Ok(()),
        }
    }
}

async fn set(objects: &dyn Objects, request: &mut Request<'_>) -> Result<(), Refusal> {
    let wanted = request.new_object()["spec"]["priorityClassName"].as_str().unwrap_or_default().to_owned();
    let class = if wanted.is_empty() { default_class(objects) } else { class(objects, &wanted).await };
    let Some(class) = class else {
        return Err(request.forbid(&format!("no PriorityClass with name {wanted} was found")));
    };
    let given = request.new_object()["spec"]["priority"].as_i64();
    if let Some(given) = given.filter(|given| *given != class.value) {
        let why = format!(
            "the integer value of priority ({given}) must not be provided in pod spec; \
             priority admission controller computed {} from the given PriorityClass name",
            class.value
        );
        return Err(request.forbid(&why));
    }
    let policy = request.new_object()["spec"]["preemptionPolicy"].as_str();
    if let Some(given) = policy.filter(|given| *given != class.preemption) {
        let why = format!(
            "the string value of PreemptionPolicy ({given}) must not be provided in pod spec; \
             priority admission controller computed {} from the given PriorityClass name",
            class.preemption
        );
        return Err(request.forbid(&why));
    }
    let Some(pod) = request.object.as_deref_mut() else { return Ok(()) };
    let spec = &mut pod["spec"];
    spec["priority"] = class.value.into();
    if !class.name.is_empty() {
        spec["priorityClassName"] = class.name.into();
    }
    spec["preemptionPolicy"] = class.preemption.into();
    Ok(())
}

/// An update that leaves the number out means the stored one.
fn keep(request: &mut Request<'_>) {
    let old = request.old_object()["spec"].clone();
    let Some(pod) = request.object.as_deref_mut() else { return };
    for field in ["priority", "preemptionPolicy"] {
        if pod["spec"][field].is_null() && !old[field].is_null() {
            pod["spec"][field] = old[field].clone();
        }
    }
}

async fn class(objects: &dyn Objects, name: &str) -> Option<Class> {
    if let Some((_, value)) = SYSTEM.iter().find(|(system, _)| *system == name) {
        return Some(Class { name: name.into(), value: *value, preemption: PREEMPTION.into() });
    }
    find(objects, GROUP, "priorityclasses", "", name).await.map(|object| read(&object))
}

/// The class for Pods that name none: the one marked as default, else zero.
fn default_class(objects: &dyn Objects) -> Option<Class> {
    let all = objects.list(GROUP, "priorityclasses", "", &[]);
    let marked = all.iter().filter(|class| class["globalDefault"] == true).map(|class| read(class));
    let none = Class { name: String::new(), value: 0, preemption: PREEMPTION.into() };
    Some(marked.min_by_key(|class| class.value).unwrap_or(none))
}

fn read(class: &Value) -> Class {
    Class {
        name: class["metadata"]["name"].as_str().unwrap_or_default().into(),
        value: class["value"].as_i64().unwrap_or_default(),
        preemption: class["preemptionPolicy"].as_str().unwrap_or(PREEMPTION).into(),
    }
}
