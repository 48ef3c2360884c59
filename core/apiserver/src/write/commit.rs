//! The way of an object into the store: once for a new one, and as a loop of
//! read, change and compare for one that is there.

use serde_json::Value;
use tiphys_api::field::FieldError;

use super::{admit, metadata, names, unchanged};
use crate::{
    admission::{Charge, Charges, compile_errors, type_check},
    certificates,
    context::Context,
    patch::apply::{Writer, track_update},
    service,
    status::{ApiError, Result},
    storage::{Along, Current, Outcome, set_revision},
};

/// How often a change is tried again when other writes come first. Each time one of
/// those has gone through, so a crowd on one object is worked off.
const ATTEMPTS: usize = 256;

/// Which part of the object a request may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All but status.
    Main,
    Status,
    /// What a subresource (`scale`, `binding`, `ephemeralcontainers`) changes; the verb has seen to it.
    Sub(&'static str),
}

impl Part {
    pub fn subresource(self) -> &'static str {
        match self {
            Self::Main => "",
            Self::Status => "status",
            Self::Sub(name) => name,
        }
    }
}

/// A change to the object as it is now: gives the object as it shall be.
/// `tracked` says that `managedFields` are right already (server-side apply).
pub struct Change {
    pub object: Value,
    pub tracked: bool,
}

impl Change {
    pub fn to(object: Value) -> Self {
        Self { object, tracked: false }
    }
}

/// Stores a new object (in its stored version). Gives it as stored.
pub async fn create(ctx: &Context, change: Change) -> Result<Value> {
    if let Some(custom) = &ctx.resource.custom {
        custom.check_open()?;
    }
    let prefix = metadata::text(&change.object, "generateName").to_owned();
    let generated = metadata::text(&change.object, "name").is_empty() && !prefix.is_empty();
    if !generated {
        return create_named(ctx, change.object, change.tracked).await;
    }
    // A generated name may be taken: chance gives another one.
    for _ in 0..8 {
        let mut object = change.object.clone();
        metadata::of(&mut object).insert("name".into(), names::generate(&prefix).into());
        match create_named(ctx, object, change.tracked).await {
            Err(error) if error.reason == "AlreadyExists" => continue,
            done => return done,
        }
    }
    Err(ApiError::already_exists(ctx.group_resource(), &prefix))
}

async fn create_named(ctx: &Context, mut object: Value, tracked: bool) -> Result<Value> {
    let now = metadata::now();
    begin(ctx, &mut object, &now)?;
    admit::mutate(ctx, Part::Main, &mut object, None).await?;
    certificates::requester(ctx, &mut object);
    ctx.resource.default(&mut object);
    // Admission may have changed what this was read off.
    (ctx.resource.stored.prepare_create)(&mut object);
    ctx.resource.default(&mut object);
    let name = metadata::text(&object, "name").to_owned();
    let mut errors = ctx.resource.check_create(&object);
    errors.extend(compile_errors(ctx.resource.stored, &object, None));
    invalid_if_any(ctx, &name, &errors)?;
    admit::validate(ctx, Part::Main, &mut object, None).await?;
    type_check(&*ctx.core.registry, ctx.resource.stored, &mut object);
    let claim = service::claim(ctx, &mut object, None)?;
    if !tracked {
        track(ctx, Part::Main, None, &mut object, &now);
    }
    if ctx.options.dry_run {
        admit::charge(ctx, Part::Main, &mut object, None).await?;
        return dry_create(ctx, &name, object).await;
    }
    let namespace = namespace_of(ctx, &object);
    for _ in 0..ATTEMPTS {
        let charges = admit::charge(ctx, Part::Main, &mut object, None).await?;
        let along = along(ctx, &charges)?;
        match ctx.core.storage.create(&ctx.resource, &namespace, &name, &object, &along).await? {
            Outcome::Done(revision) => {
                claim.keep();
                set_revision(&mut object, revision);
                return Ok(object);
            }
            Outcome::Lost(_) => return Err(ApiError::already_exists(ctx.group_resource(), &name)),
            Outcome::Outrun => {}
        }
    }
    Err(ApiError::modified(ctx.group_resource(), &name))
}

/// What is stored in one transaction with the object.
fn along(ctx: &Context, charges: &Charges) -> Result<Vec<Along>> {
    let of = |charge: &Charge| {
        let resource = ctx.core.registry.stored(charge.group, charge.resource);
        Along::new(resource.ok_or_else(ApiError::no_such_path)?, &charge.object)
    };
    charges.list.iter().map(of).collect()
}

async fn dry_create(ctx: &Context, name: &str, object: Value) -> Result<Value> {
    match ctx.core.storage.load(&ctx.resource, &namespace_of(ctx, &object), name).await? {
        Some(_) => Err(ApiError::already_exists(ctx.group_resource(), name)),
        None => Ok(object),
    }
}

fn begin(ctx: &Context, object: &mut Value, now: &str) -> Result<()> {
    let kind = ctx.resource.stored;
    let namespace = metadata::text(object, "namespace");
    if kind.is_namespaced() && !namespace.is_empty() && namespace != ctx.info.namespace {
        return Err(ApiError::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    if !metadata::text(object, "resourceVersion").is_empty() {
        return Err(ApiError::bad_request("resourceVersion should not be set on objects to be created"));
    }
    metadata::begin(object, now);
    let fields = metadata::of(object);
    if kind.is_namespaced() {
        fields.insert("namespace".into(), ctx.info.namespace.clone().into());
    } else {
        fields.remove("namespace");
    }
    if kind.has_status()
        && !kind.keeps_new_status
        && let Some(fields) = object.as_object_mut()
    {
        fields.remove("status");
    }
    // What is prepared (a Pod's class of service) is read off the defaulted object.
    ctx.resource.default(object);
    (kind.prepare_create)(object);
    certificates::begin(ctx, object)?;
    ctx.resource.default(object);
    if ctx.resource.counts_generations() {
        metadata::of(object).insert("generation".into(), 1.into());
    }
    stamp_trace(ctx, object);
    Ok(())
}

/// While traces are exported, what is made here can be followed to the started container.
fn stamp_trace(ctx: &Context, object: &mut Value) {
    if !matches!((ctx.resource.stored.group, ctx.resource.stored.kind), ("", "Pod") | ("apps", "Deployment"))
    {
        return;
    }
    let stamped = object["metadata"]["annotations"][tiphys_api::names::TRACEPARENT].is_string();
    let Some(parent) = tiphys_telemetry::trace::inject(&tracing::Span::current()) else { return };
    if !stamped {
        let annotations = metadata::of(object).entry("annotations").or_insert_with(|| serde_json::json!({}));
        annotations[tiphys_api::names::TRACEPARENT] = parent.into();
    }
}

/// Changes the object that the request names, again if another write came first.
/// Gives it as stored.
pub async fn update(
    ctx: &Context,
    part: Part,
    change: &(dyn Fn(&Current) -> Result<Change> + Send + Sync),
) -> Result<Value> {
    let mut current = load(ctx).await?;
    for _ in 0..ATTEMPTS {
        let change = change(&current)?;
        match try_update(ctx, part, &current, change).await? {
            Tried::Stored(object) => return Ok(object),
            Tried::Lost(Some(newer)) => current = newer,
            Tried::Lost(None) => return Err(ctx.not_found()),
        }
    }
    Err(ApiError::modified(ctx.group_resource(), &ctx.info.name))
}

/// The object that the request names.
pub async fn load(ctx: &Context) -> Result<Current> {
    let found = ctx.core.storage.load(&ctx.resource, &ctx.info.namespace, &ctx.info.name).await?;
    found.ok_or_else(|| ctx.not_found())
}

enum Tried {
    Stored(Value),
    Lost(Option<Current>),
}

async fn try_update(ctx: &Context, part: Part, current: &Current, change: Change) -> Result<Tried> {
    let old = &current.object;
    let now = metadata::now();
    let mut new = change.object;
    prepare(ctx, part, &mut new, old)?;
    admit::mutate(ctx, part, &mut new, Some(old)).await?;
    ctx.resource.default(&mut new);
    validate_update(ctx, part, &new, old)?;
    certificates::check(ctx, part, &mut new, old)?;
    admit::validate(ctx, part, &mut new, Some(old)).await?;
    let claim = service::claim(ctx, &mut new, Some(old))?;
    if part != Part::Status {
        ctx.resource.bump_generation(&mut new, old);
    }
    if part == Part::Main {
        type_check(&*ctx.core.registry, ctx.resource.stored, &mut new);
    }
    if !change.tracked {
        track(ctx, part, Some(old), &mut new, &now);
    }
    if metadata::is_released(&new) {
        return remove(ctx, current, new).await;
    }
    if unchanged::is_unchanged(&new, old) && !current.stale {
        return Ok(Tried::Stored(old.clone()));
    }
    match replace_charged(ctx, part, current, &mut new).await? {
        Some(Outcome::Done(revision)) => {
            claim.keep();
            service::released_by(ctx, &new, old);
            set_revision(&mut new, revision);
            Ok(Tried::Stored(new))
        }
        Some(Outcome::Lost(newer)) => Ok(Tried::Lost(newer)),
        Some(Outcome::Outrun) => Err(ApiError::modified(ctx.group_resource(), &ctx.info.name)),
        None => Ok(Tried::Stored(new)),
    }
}

/// Stores the object with its charges, again when only these were outrun. `None` for a dry run.
async fn replace_charged(
    ctx: &Context,
    part: Part,
    current: &Current,
    new: &mut Value,
) -> Result<Option<Outcome>> {
    let (namespace, name) = (&ctx.info.namespace, &ctx.info.name);
    for _ in 0..ATTEMPTS {
        let charges = admit::charge(ctx, part, new, Some(&current.object)).await?;
        if ctx.options.dry_run {
            return Ok(None);
        }
        let along = along(ctx, &charges)?;
        match ctx.core.storage.replace(&ctx.resource, namespace, name, current, new, &along).await? {
            Outcome::Outrun => {}
            done => return Ok(Some(done)),
        }
    }
    Ok(Some(Outcome::Outrun))
}

/// The last finalizer is gone: so is the object.
async fn remove(ctx: &Context, current: &Current, new: Value) -> Result<Tried> {
    if ctx.options.dry_run {
        return Ok(Tried::Stored(new));
    }
    let (namespace, name) = (&ctx.info.namespace, &ctx.info.name);
    match ctx.core.storage.remove(&ctx.resource, namespace, name, current).await? {
        Outcome::Done(_) => {
            service::deleted(ctx, &current.object);
            Ok(Tried::Stored(new))
        }
        Outcome::Lost(newer) => Ok(Tried::Lost(newer)),
        Outcome::Outrun => Err(ApiError::modified(ctx.group_resource(), name)),
    }
}

fn prepare(ctx: &Context, part: Part, new: &mut Value, old: &Value) -> Result<()> {
    let kind = ctx.resource.stored;
    let name = metadata::text(new, "name");
    if !name.is_empty() && name != ctx.info.name {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            ctx.info.name
        )));
    }
    let namespace = metadata::text(new, "namespace");
    if kind.is_namespaced() && !namespace.is_empty() && namespace != ctx.info.namespace {
        return Err(ApiError::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    metadata::check_identity(new, old, ctx.group_resource(), &ctx.info.name)?;
    if part == Part::Status {
        let written = std::mem::replace(new, old.clone());
        replace(new, "status", written.get("status").cloned());
        metadata::with_status(new, &written, kind.status_keeps);
    }
    metadata::carry(new, old);
    ctx.resource.default(new);
    if part == Part::Main {
        if kind.has_status() {
            replace(new, "status", old.get("status").cloned());
        }
        (kind.prepare_update)(new, old);
        service::drop_unneeded(ctx, new, old);
    }
    ctx.resource.default(new);
    Ok(())
}

/// Sets a field of the object, or takes it away.
fn replace(object: &mut Value, key: &str, value: Option<Value>) {
    let Some(fields) = object.as_object_mut() else { return };
    match value {
        Some(value) => fields.insert(key.into(), value),
        None => fields.remove(key),
    };
}

fn validate_update(ctx: &Context, part: Part, new: &Value, old: &Value) -> Result<()> {
    let mut errors = ctx.resource.check_update(part, new, old);
    if part == Part::Main {
        errors.extend(compile_errors(ctx.resource.stored, new, Some(old)));
    }
    invalid_if_any(ctx, &ctx.info.name, &errors)
}

fn invalid_if_any(ctx: &Context, name: &str, errors: &[FieldError]) -> Result<()> {
    match errors {
        [] => Ok(()),
        errors => Err(ApiError::invalid(ctx.resource.kind.group, ctx.resource.kind.kind, name, errors)),
    }
}

/// Records the writer in `managedFields`.
fn track(ctx: &Context, part: Part, old: Option<&Value>, new: &mut Value, now: &str) {
    let manager = ctx.field_manager();
    let api_version = ctx.resource.stored.api_version();
    let writer = writer(ctx, part, &manager, &api_version, now);
    track_update(old, new, &writer, &ctx.resource.stored_schema);
}

/// Who writes which part.
pub fn writer<'a>(
    ctx: &Context,
    part: Part,
    manager: &'a str,
    api_version: &'a str,
    now: &'a str,
) -> Writer<'a> {
    let ignored: &[&str] = match part {
        Part::Status => &["spec"],
        _ if ctx.resource.stored.has_status() => &["status"],
        _ => &[],
    };
    Writer { manager, subresource: part.subresource(), api_version, now, ignored }
}

fn namespace_of(ctx: &Context, object: &Value) -> String {
    if ctx.resource.kind.is_namespaced() {
        metadata::text(object, "namespace").to_owned()
    } else {
        String::new()
    }
}
