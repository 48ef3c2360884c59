//! The end of a definition: its instances are deleted, and when the last one is gone
//! the finalizer is taken off, and the definition with it.

use std::sync::Arc;

use serde_json::{Value, json};
use tiphys_api::{
    access::{list, text},
    kinds::custom_resource_definition::{
        GROUP, PLURAL,
        conditions::{self, Condition, FINALIZER},
    },
};
use tiphys_lifecycle::BoxError;

use crate::{
    bootstrap,
    cache::{CacheError, CachedObject, EventKind, ListQuery, Selector, WatchQuery, WatchStart},
    context::Context,
    registry::Resource,
    request::info::RequestInfo,
    state::Core,
    status::{ApiError, Result},
    storage::Current,
    verbs::{delete::delete_object, deletion::DeleteOptions},
    write::{
        commit::{self, Change, Part},
        metadata,
    },
};

/// Returns when the definition is gone, or somebody else sees to it.
pub async fn finalize(core: &Arc<Core>, name: &str) -> std::result::Result<(), BoxError> {
    let named = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": name},
    });
    let ctx = bootstrap::context(core, &named)?;
    let definitions = core.registry.stored(GROUP, PLURAL).ok_or("definitions are not served")?;
    loop {
        let Some(current) = core.storage.load(&definitions, "", name).await? else { return Ok(()) };
        let held = list(&current.object, "/metadata/finalizers").iter().any(|one| one == FINALIZER);
        if metadata::text(&current.object, "deletionTimestamp").is_empty() || !held {
            return Ok(());
        }
        let (group, plural) =
            (text(&current.object, "/spec/group"), text(&current.object, "/spec/names/plural"));
        // One that was never accepted has no instances; its name may be another's.
        let own = core.registry.installed(name).is_some();
        if let Some(resource) = core.registry.stored(group, plural).filter(|_| own) {
            tell(&ctx, "InstanceDeletionInProgress", "CustomResource deletion is in progress", true).await?;
            match empty(&ctx, &resource).await {
                // The definition has been changed meanwhile, and with it the cache.
                Err(error) if error.reason == "ServiceUnavailable" && !core.stopping().is_cancelled() => {
                    continue;
                }
                done => done?,
            }
        }
        tell(&ctx, "InstanceDeletionCompleted", "removed all instances", false).await?;
        return Ok(release(&ctx).await?);
    }
}

/// Deletes every instance, and waits until none is left.
async fn empty(ctx: &Context, resource: &Arc<Resource>) -> Result<()> {
    let cache = resource.cache()?;
    let before = cache.list(&ListQuery::default()).await?;
    let query = WatchQuery {
        start: WatchStart::FromRevision(before.revision),
        namespace: None,
        selector: Selector::default(),
        bookmarks: false,
    };
    let mut events = cache.watch(query).await?;
    for object in &before.objects {
        delete(ctx, resource, object).await?;
    }
    while !cache.is_empty() {
        let event = events.next().await.ok_or(CacheError::Closed)??;
        // One that was on its way when the definition was marked.
        if let (EventKind::Added, Some(object)) = (event.kind, &event.object) {
            delete(ctx, resource, object).await?;
        }
    }
    Ok(())
}

async fn delete(ctx: &Context, resource: &Arc<Resource>, object: &CachedObject) -> Result<()> {
    let options = DeleteOptions { propagation: Some("Background".into()), ..DeleteOptions::default() };
    let info = RequestInfo {
        group: resource.kind.group.into(),
        version: resource.kind.version.into(),
        resource: resource.kind.plural.into(),
        namespace: object.namespace().into(),
        name: object.name().into(),
        verb: "delete",
        ..RequestInfo::default()
    };
    match delete_object(&ctx.about(resource.clone(), info, ctx.options.clone()), &options).await {
        Err(error) if error.reason != "NotFound" => Err(error),
        _ => Ok(()),
    }
}

async fn tell(ctx: &Context, reason: &'static str, message: &str, holds: bool) -> Result<()> {
    let now = metadata::now();
    let change = |current: &Current| {
        let mut object = current.object.clone();
        conditions::set(&mut object, Condition { kind: "Terminating", holds, reason, message }, &now);
        Ok(Change::to(object))
    };
    gone_is_fine(commit::update(ctx, Part::Status, &change).await)
}

async fn release(ctx: &Context) -> Result<()> {
    let change = |current: &Current| {
        let mut object = current.object.clone();
        if let Some(finalizers) = object.pointer_mut("/metadata/finalizers").and_then(Value::as_array_mut) {
            finalizers.retain(|one| one != FINALIZER);
        }
        Ok(Change::to(object))
    };
    gone_is_fine(commit::update(ctx, Part::Main, &change).await)
}

fn gone_is_fine(written: Result<Value>) -> Result<()> {
    match written {
        Err(error @ ApiError { .. }) if error.reason != "NotFound" => Err(error),
        _ => Ok(()),
    }
}
