//! The registry kept up with the definitions there are, and their status with it.
//!
//! A kind is installed before its definition says Established, and shown from the moment on at
//! which clients can read that: whoever waits for the condition finds it, and nobody earlier. One task sees to all definitions, one change after the
//! other: two that want the same name are decided about in the order they came.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use parking_lot::Mutex;
use serde_json::Value;
use tiphys_api::{
    access::{condition, text},
    kinds::{
        self,
        custom_resource_definition::{GROUP, PLURAL, names},
    },
};
use tiphys_lifecycle::BoxError;

use super::{
    finalize,
    install::{Installed, Signature},
};
use crate::{
    bootstrap,
    cache::{CacheWatch, EventKind, Selector, WatchEvent, WatchQuery, WatchStart},
    state::Core,
    status::{ApiError, Result},
    write::{
        commit::{self, Change, Part},
        metadata,
    },
};

/// Serves what is defined already, then follows the definitions.
///
/// # Errors
/// The definitions can't be read.
pub async fn start(core: &Arc<Core>) -> Result<()> {
    let definitions = Arc::new(Definitions::default());
    for object in core.registry.decoded(GROUP, PLURAL) {
        definitions.known.lock().insert(metadata::text(&object, "name").into(), object);
    }
    let names: Vec<String> = definitions.known.lock().keys().cloned().collect();
    for name in names {
        definitions.sync(core, &name).await?;
    }
    let shared = core.clone();
    core.tasks.spawn_restarting("custom resource definitions", move || {
        let (core, definitions) = (shared.clone(), definitions.clone());
        async move { definitions.follow(&core).await }
    });
    Ok(())
}

/// All definitions by name, and those whose end is being seen to.
#[derive(Default)]
struct Definitions {
    known: Mutex<BTreeMap<String, Value>>,
    ending: Arc<Mutex<BTreeSet<String>>>,
}

async fn watch(core: &Core) -> std::result::Result<CacheWatch, BoxError> {
    let resource = core.registry.stored(GROUP, PLURAL).ok_or("definitions are not served")?;
    let query = WatchQuery {
        start: WatchStart::Any,
        namespace: None,
        selector: Selector::default(),
        bookmarks: false,
    };
    Ok(resource.cache()?.watch(query).await?)
}

impl Definitions {
    async fn follow(&self, core: &Arc<Core>) -> std::result::Result<(), BoxError> {
        let mut events = watch(core).await?;
        while let Some(event) = events.next().await {
            self.take(core, &event?).await?;
        }
        Err("the watch on definitions ended".into())
    }

    async fn take(&self, core: &Arc<Core>, event: &WatchEvent) -> Result<()> {
        let Some(object) = &event.object else { return Ok(()) };
        let definition: Value = serde_json::from_slice(&object.json).map_err(ApiError::internal)?;
        let name = object.name().to_owned();
        if event.kind != EventKind::Deleted {
            self.known.lock().insert(name.clone(), definition);
            return self.sync(core, &name).await;
        }
        self.known.lock().remove(&name);
        core.registry.uninstall(&name);
        tracing::info!(definition = name, "custom resource no longer served");
        self.reconsider(core, text(&definition, "/spec/group"), &name).await
    }

    /// Names have become free: others of the group may want them.
    async fn reconsider(&self, core: &Arc<Core>, group: &str, except: &str) -> Result<()> {
        let waits = |(name, definition): (&String, &Value)| {
            let refused = !condition(definition, "NamesAccepted");
            (refused && text(definition, "/spec/group") == group && name != except).then(|| name.clone())
        };
        let waiting: Vec<String> = self.known.lock().iter().filter_map(waits).collect();
        for name in waiting {
            self.sync(core, &name).await?;
        }
        Ok(())
    }

    /// Names, registry, status and end of one definition.
    async fn sync(&self, core: &Arc<Core>, name: &str) -> Result<()> {
        let Some(definition) = self.known.lock().get(name).cloned() else { return Ok(()) };
        let accepted = names::accept(&definition, &self.taken(&definition));
        if accepted.conflict.is_none() || condition(&definition, "Established") {
            install(core, name, &definition, &accepted.names);
        }
        if let Some(written) = write_status(core, &definition, &accepted).await? {
            self.known.lock().insert(name.to_owned(), written);
        }
        if metadata::text(&definition, "deletionTimestamp").is_empty() {
            return Ok(());
        }
        if let Some(installed) = core.registry.installed(name) {
            installed.end();
        }
        self.end(core, name);
        Ok(())
    }

    /// Names in a definition's group that others have.
    fn taken(&self, definition: &Value) -> names::Taken {
        let (group, own) = (text(definition, "/spec/group"), metadata::text(definition, "name"));
        let mut taken = names::Taken::default();
        for (name, other) in self.known.lock().iter() {
            if name != own && text(other, "/spec/group") == group {
                taken.add(&other["status"]["acceptedNames"]);
            }
        }
        for kind in kinds::all().iter().filter(|kind| kind.group == group) {
            taken.resources.extend([kind.plural, kind.singular].map(String::from));
            taken.resources.extend(kind.short_names.iter().map(|name| (*name).to_owned()));
            taken.kinds.extend([kind.kind.to_owned(), kind.list_kind().into_owned()]);
        }
        taken
    }

    /// Sees to the end of a definition beside everything else: its instances may have finalizers.
    fn end(&self, core: &Arc<Core>, name: &str) {
        if !self.ending.lock().insert(name.to_owned()) {
            return;
        }
        let (core, name, ending) = (core.clone(), name.to_owned(), self.ending.clone());
        let tasks = core.tasks.clone();
        tasks.spawn_restarting(format!("end of {name}"), move || {
            let (core, name, ending) = (core.clone(), name.clone(), ending.clone());
            async move {
                finalize::finalize(&core, &name).await?;
                ending.lock().remove(&name);
                Ok::<(), BoxError>(())
            }
        });
    }
}

fn install(core: &Arc<Core>, name: &str, definition: &Value, names: &Value) {
    let signature = Signature::of(definition, names);
    if core.registry.installed(name).is_some_and(|installed| installed.signature == signature) {
        return;
    }
    match Installed::of(definition, names, core) {
        Some(installed) => {
            core.registry.install(name, installed);
            tracing::info!(definition = name, "custom resource served");
        }
        None => tracing::error!(definition = name, "definition has no storage version and is not served"),
    }
}

/// Writes names and conditions, if they aren't there already. Gives the definition as written.
async fn write_status(
    core: &Arc<Core>,
    definition: &Value,
    accepted: &names::Accepted,
) -> Result<Option<Value>> {
    let now = metadata::now();
    let mut wanted = definition.clone();
    names::write(&mut wanted, accepted, &now);
    if wanted == *definition {
        return Ok(None);
    }
    let ctx = bootstrap::context(core, definition)?;
    let change = |current: &crate::storage::Current| {
        let mut object = current.object.clone();
        names::write(&mut object, accepted, &now);
        Ok(Change::to(object))
    };
    match commit::update(&ctx, Part::Status, &change).await {
        Ok(written) => Ok(Some(written)),
        Err(error) if error.reason == "NotFound" => Ok(None),
        Err(error) => Err(error),
    }
}
