//! The local APIServices kept as they are desired: what to do about each (pure), and doing it.
//!
//! | there is | desired: none | on start | always | when missing |
//! |---|---|---|---|---|
//! | none | - | make, once | make | make |
//! | one that is not kept | - | - | - | - |
//! | one kept on start, not there at the start | - | - | - | - |
//! | one kept on start, there at the start | delete, once | set, once | set, once | - |
//! | one kept always | delete | set, once | set | - |
//!
//! Once means: until it went well for the first time since this server started.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::Value;
use tiphys_api::kinds::{
    api_service,
    custom_resource_definition::{GROUP as DEFINITIONS_GROUP, PLURAL as DEFINITIONS},
};

use super::desired::{self, Desired, Keep};
use crate::{
    bootstrap,
    state::Core,
    status::{ApiError, Result},
    storage::Current,
    verbs::{delete::delete_object, deletion::DeleteOptions},
    write::{
        commit::{self, Change, Part},
        metadata,
    },
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Nothing,
    Create,
    Set,
    Delete,
}

/// What to do about one name. `at_start`: the object was there when the server started; `done`:
/// all was well with it once since.
pub fn action(desired: Option<&Desired>, current: Option<&Value>, at_start: bool, done: bool) -> Action {
    let wanted = desired.map(|desired| desired.keep);
    let Some(current) = current else {
        return match wanted {
            None => Action::Nothing,
            Some(Keep::OnStart) if done => Action::Nothing,
            Some(_) => Action::Create,
        };
    };
    let kept = Keep::of(current);
    if wanted == Some(Keep::OnStart) && done {
        return Action::Nothing;
    }
    match (wanted, kept) {
        (_, None) | (Some(Keep::WhenMissing), _) => Action::Nothing,
        (_, Some(Keep::OnStart)) if !at_start || done => Action::Nothing,
        (None, Some(_)) => Action::Delete,
        (Some(_), Some(_)) if desired.is_some_and(|desired| desired.spec == current["spec"]) => {
            Action::Nothing
        }
        (Some(_), Some(_)) => Action::Set,
    }
}

/// What was so since the server started.
#[derive(Default)]
pub struct Registration {
    at_start: Option<BTreeSet<String>>,
    done: BTreeSet<String>,
}

impl Registration {
    /// Does what is to be done about all of them, `current` being all that there are.
    ///
    /// # Errors
    /// The first that can't be written; what was done is remembered.
    pub async fn settle(&mut self, core: &Arc<Core>, current: &[Value]) -> Result<()> {
        let current: BTreeMap<&str, &Value> =
            current.iter().map(|object| (metadata::text(object, "name"), object)).collect();
        let at_start =
            self.at_start.get_or_insert_with(|| current.keys().map(|name| (*name).to_owned()).collect());
        let desired = desired(core);
        let names: BTreeSet<&str> =
            current.keys().copied().chain(desired.keys().map(String::as_str)).collect();
        for name in names {
            let (desired, current) = (desired.get(name), current.get(name).copied());
            let action = action(desired, current, at_start.contains(name), self.done.contains(name));
            act(core, name, action, desired, current).await?;
            self.done.insert(name.to_owned());
        }
        Ok(())
    }
}

fn desired(core: &Core) -> BTreeMap<String, Desired> {
    let builtin = core.registry.builtin().iter().map(|resource| (resource.kind.group, resource.kind.version));
    let definitions = core.registry.decoded(DEFINITIONS_GROUP, DEFINITIONS);
    let mounted = core.mounts.groups();
    desired::all(builtin, &definitions, mounted.iter().map(|mounted| (mounted.group, mounted.version)))
}

/// Another server of the cluster may have been faster: then there is nothing left to do.
async fn act(
    core: &Arc<Core>,
    name: &str,
    action: Action,
    desired: Option<&Desired>,
    current: Option<&Value>,
) -> Result<()> {
    let done = match (action, desired, current) {
        (Action::Create, Some(desired), _) => {
            let object = desired.object(name);
            let ctx = bootstrap::context(core, &object)?;
            commit::create(&ctx, Change::to(object)).await.map(drop)
        }
        (Action::Set, Some(desired), Some(current)) => {
            let change = |stored: &Current| {
                let mut object = stored.object.clone();
                if Keep::of(&object).is_some() {
                    object["spec"] = desired.spec.clone();
                }
                Ok(Change::to(object))
            };
            commit::update(&bootstrap::context(core, current)?, Part::Main, &change).await.map(drop)
        }
        (Action::Delete, _, Some(current)) => {
            let uid = Some(metadata::text(current, "uid").to_owned());
            let revision = Some(metadata::text(current, "resourceVersion").to_owned());
            let options = DeleteOptions { uid, resource_version: revision, ..DeleteOptions::default() };
            delete_object(&bootstrap::context(core, current)?, &options).await.map(drop)
        }
        _ => return Ok(()),
    };
    match done {
        Ok(()) => {
            tracing::debug!(service = name, ?action, "API service kept as desired");
            Ok(())
        }
        Err(ApiError { reason, .. }) if matches!(&*reason, "AlreadyExists" | "NotFound" | "Conflict") => {
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// All APIServices.
pub fn current(core: &Core) -> Vec<Value> {
    core.registry.decoded(api_service::GROUP, api_service::PLURAL)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_done_about_each() {
        use Action::*;
        let spec = json!({ "version": "v1" });
        let wanted = [None, Some(Keep::OnStart), Some(Keep::Always), Some(Keep::WhenMissing)];
        let object = |keep: &str| json!({ "metadata": { "labels": { desired::MANAGED: keep } }, "spec": {} });
        let (other, on_start, always) = (object("no"), object("onstart"), object("true"));
        // Each row: what there is, whether it was there at the start; not done yet, done once.
        let table = [
            (None, false, [Nothing, Create, Create, Create], [Nothing, Nothing, Create, Create]),
            (Some(&other), true, [Nothing; 4], [Nothing; 4]),
            (Some(&on_start), false, [Nothing; 4], [Nothing; 4]),
            (Some(&on_start), true, [Delete, Set, Set, Nothing], [Nothing; 4]),
            (Some(&always), true, [Delete, Set, Set, Nothing], [Delete, Nothing, Set, Nothing]),
            (Some(&always), false, [Delete, Set, Set, Nothing], [Delete, Nothing, Set, Nothing]),
        ];
        for (current, at_start, first, later) in table {
            for (done, expected) in [(false, first), (true, later)] {
                let found = wanted.map(|keep| {
                    let desired = keep.map(|keep| Desired { spec: spec.clone(), keep });
                    action(desired.as_ref(), current, at_start, done)
                });
                assert_eq!(found, expected, "{current:?} at start {at_start}, done {done}");
            }
        }
        let mut same = always.clone();
        same["spec"] = spec.clone();
        let desired = Desired { spec, keep: Keep::Always };
        assert_eq!(action(Some(&desired), Some(&same), true, false), Nothing);
    }
}
