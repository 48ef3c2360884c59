//! The objects in the cluster and the table in memory, kept alike.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tiphys_api::access::{find, list, text};

use super::{Result, bootstrap, table::Table};
use crate::{
    authz::Objects,
    bootstrap::{
        changes::{self, Name},
        context, ensure,
    },
    server::StartError,
    state::Core,
    write::{
        commit::{self, Change, Part},
        metadata,
    },
};

const GROUP: &str = "flowcontrol.apiserver.k8s.io";
const RESOURCES: [&str; 2] = ["flowschemas", "prioritylevelconfigurations"];
const WATCHED: [Name; 2] = [(GROUP, RESOURCES[0]), (GROUP, RESOURCES[1])];

/// Writes the mandatory and suggested objects, and begins to serve by them.
pub async fn write(core: &Arc<Core>) -> std::result::Result<(), StartError> {
    let mandatory = bootstrap::mandatory().into_iter().map(|object| (object, true));
    let suggested = bootstrap::suggested().into_iter().map(|object| (object, false));
    for (wanted, always) in mandatory.chain(suggested) {
        let name = format!("{} {}", text(&wanted, "/kind"), text(&wanted, "/metadata/name"));
        let reconcile = |stored: &Value| reconcile(stored, &wanted, always);
        ensure(core, &wanted, &reconcile).await.map_err(StartError::bootstrap(name))?;
    }
    rebuild(core);
    Ok(())
}

/// The spec as it should be, unless somebody keeps it otherwise.
fn reconcile(stored: &Value, wanted: &Value, always: bool) -> Option<Value> {
    let annotation = stored["metadata"]["annotations"][bootstrap::AUTOUPDATE].as_str();
    let theirs = !always && annotation.is_some_and(|text| text != "true");
    if theirs || stored["spec"] == wanted["spec"] {
        return None;
    }
    let mut merged = stored.clone();
    merged["spec"] = wanted["spec"].clone();
    Some(merged)
}

fn rebuild(core: &Core) {
    let all = |resource| core.registry.list(GROUP, resource, "", &[]);
    let before = core.flow.table.load();
    let table = Table::build(&all(RESOURCES[0]), &all(RESOURCES[1]), core.flow.seats, &before);
    core.flow.table.store(Arc::new(table));
}

/// Rebuilds the table after each change, says in every schema's status whether
/// its level is there, and brings back what may not be missing.
pub fn follow(core: &Arc<Core>) {
    let pause = Duration::from_millis(50);
    changes::follow(core, "priority and fairness", &WATCHED, pause, async |core| settle(&core).await);
}

async fn settle(core: &Arc<Core>) -> Result<()> {
    rebuild(core);
    let missing = |object: &Value| {
        let resource = if object["kind"] == "FlowSchema" { RESOURCES[0] } else { RESOURCES[1] };
        !core
            .registry
            .list(GROUP, resource, "", &[])
            .iter()
            .any(|stored| stored["metadata"]["name"] == object["metadata"]["name"])
    };
    for wanted in bootstrap::mandatory().into_iter().filter(missing) {
        ensure(core, &wanted, &|_| None).await.map_err(|error| error.to_string())?;
    }
    for schema in core.registry.list(GROUP, RESOURCES[0], "", &[]) {
        write_status(core, &schema).await?;
    }
    Ok(())
}

async fn write_status(core: &Arc<Core>, schema: &Arc<Value>) -> Result<()> {
    let level = text(schema, "/spec/priorityLevelConfiguration/name");
    let there = core.registry.list(GROUP, RESOURCES[1], "", &[]);
    let there = there.iter().any(|stored| stored["metadata"]["name"] == level);
    let (status, reason, words) = match there {
        true => ("False", "Found", "it exists"),
        false => ("True", "NotFound", "there is no such object"),
    };
    let stored = find(list(schema, "/status/conditions"), "type", "Dangling");
    if stored.is_some_and(|condition| condition["status"] == status) {
        return Ok(());
    }
    let condition = json!({
        "type": "Dangling", "status": status, "reason": reason, "lastTransitionTime": metadata::now(),
        "message":
            format!("This FlowSchema references the PriorityLevelConfiguration object named {level:?} and {words}"),
    });
    let ctx = context(core, schema).map_err(|error| error.to_string())?;
    let change = |current: &crate::storage::Current| {
        let mut object = current.object.clone();
        let mut conditions = list(&object, "/status/conditions").to_vec();
        conditions.retain(|other| other["type"] != condition["type"]);
        conditions.push(condition.clone());
        object["status"]["conditions"] = conditions.into();
        Ok(Change::to(object))
    };
    match commit::update(&ctx, Part::Status, &change).await {
        Err(error) if error.reason != "NotFound" => Err(error.to_string().into()),
        _ => Ok(()),
    }
}
