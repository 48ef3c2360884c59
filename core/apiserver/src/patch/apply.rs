//! Server-side apply: who owns which field, and what an applied configuration changes.
//!
//! [`apply`] merges a configuration into the live object, removes what the same
//! applier applied before and no longer does, and refuses to change what others own,
//! unless forced. [`track_update`] does the bookkeeping for every other write: what it
//! changed is the writer's from then on. The rules:
//! <https://kubernetes.io/docs/reference/using-api/server-side-apply/>.

use serde_json::Value;
use tiphys_api::schema::Schema;

use super::{
    PatchError,
    fields::{Set, compare, merge, of, prune},
    managed::{self, Entry, Operation},
};

/// Who writes, as an entry of `managedFields` names it.
#[derive(Debug, Clone, Copy)]
pub struct Writer<'a> {
    /// `fieldManager`, or the User-Agent up to its first `/`.
    pub manager: &'a str,
    /// Empty for the main resource.
    pub subresource: &'a str,
    /// The stored version's `apiVersion` of the objects given.
    pub api_version: &'a str,
    /// RFC 3339 in seconds: `2026-01-02T03:04:05Z`.
    pub now: &'a str,
    /// Top-level fields that this request can't write, and so doesn't own: `status` on the
    /// main resource of a kind with a status subresource, `spec` on its status.
    pub ignored: &'a [&'a str],
}

/// A field that another manager owns with another value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    pub manager: String,
    /// `Apply` or `Update`.
    pub operation: String,
    pub api_version: String,
    pub subresource: String,
    /// When the manager last wrote.
    pub time: String,
    /// `.spec.template.spec.containers[name="web"].image`
    pub field: String,
}

impl Conflict {
    /// `"kubectl-client-side-apply" using apps/v1`; of an applier the name alone.
    pub fn owner(&self) -> String {
        let mut owner = format!("{:?}", self.manager);
        if !self.subresource.is_empty() {
            owner.push_str(&format!(" with subresource {:?}", self.subresource));
        }
        if self.operation == Operation::Update.as_str() {
            owner.push_str(&format!(" using {}", self.api_version));
        }
        owner
    }
}

/// `Apply failed with 1 conflict: conflict with "kubectl-client-side-apply" using apps/v1: .spec.replicas`
pub fn conflict_message(conflicts: &[Conflict]) -> String {
    if let [one] = conflicts {
        return format!("Apply failed with 1 conflict: conflict with {}: {}", one.owner(), one.field);
    }
    let mut owners: Vec<String> = conflicts.iter().map(Conflict::owner).collect();
    owners.sort();
    owners.dedup();
    let mut lines = Vec::new();
    for owner in owners {
        lines.push(format!("conflicts with {owner}:"));
        lines.extend(conflicts.iter().filter(|c| c.owner() == owner).map(|c| format!("- {}", c.field)));
    }
    format!("Apply failed with {} conflicts: {}", conflicts.len(), lines.join("\n"))
}

/// The object after `config` was applied to `live` (none: it is created), with
/// its `managedFields`. Not defaulted: the caller does that afterwards. When nothing but
/// times would change, the result equals `live`.
pub fn apply(
    live: Option<&Value>,
    config: &Value,
    writer: &Writer<'_>,
    force: bool,
    schema: &Schema,
) -> Result<Value, PatchError> {
    let config = without_ignored(config, writer)?;
    merge::check_keys(&config, schema, "").map_err(PatchError::Malformed)?;
    let nothing = Value::Object(serde_json::Map::new());
    let base = live.unwrap_or(&nothing);
    let mut others = live.map(managed::read).unwrap_or_default();
    let own =
        others.iter().position(|entry| entry.is_of(writer, Operation::Apply)).map(|at| others.remove(at));

    let wanted = of::applied(&config, schema);
    let mut merged = if live.is_some() { merge::merge(base, &config, schema) } else { config };
    if let Some(own) = &own {
        let mut claimed = wanted.clone();
        others.iter().for_each(|entry| claimed.union(&entry.set));
        prune::prune(&mut merged, &own.set, &claimed, schema);
    }
    let change = compare::change(base, &merged, schema);
    let conflicts: Vec<Conflict> =
        others.iter().flat_map(|entry| conflicts_with(entry, &change.changed)).collect();
    if !force && !conflicts.is_empty() {
        return Err(PatchError::Conflicts(conflicts));
    }
    disown(&mut others, &change);
    let mut entry = Entry::new(writer, Operation::Apply, managed::ownable(wanted, writer.ignored));
    if let Some(before) = own.filter(|own| own.set == entry.set && own.api_version == entry.api_version) {
        entry.time = before.time;
    }
    others.push(entry);
    managed::write(&mut merged, others);
    Ok(merged)
}

fn without_ignored(config: &Value, writer: &Writer<'_>) -> Result<Value, PatchError> {
    let given = config.pointer("/metadata/managedFields").and_then(Value::as_array);
    if given.is_some_and(|entries| !entries.is_empty()) {
        return Err(PatchError::Malformed("metadata.managedFields must be nil".into()));
    }
    let mut config = config.clone();
    if let Some(map) = config.as_object_mut() {
        writer.ignored.iter().for_each(|name| drop(map.remove(*name)));
    }
    Ok(config)
}

fn conflicts_with(entry: &Entry, changed: &Set) -> Vec<Conflict> {
    let fields = entry.set.intersection(changed).paths();
    let conflict = |field| Conflict {
        manager: entry.manager.clone(),
        operation: entry.operation.as_str().to_owned(),
        api_version: entry.api_version.clone(),
        subresource: entry.subresource.clone(),
        time: entry.time.clone(),
        field,
    };
    fields.into_iter().map(conflict).collect()
}

/// What changed or went is no longer theirs.
fn disown(others: &mut [Entry], change: &compare::Change) {
    for entry in others {
        entry.set.subtract(&change.changed);
        entry.set.subtract_trees(&change.removed);
    }
}

/// Sets `new`'s `managedFields` after a create (`old` is none), update or any other patch by
/// `writer`. `new` is defaulted already; fields that `writer` changed become its own.
///
/// Entries that the client sent count, so that a client may rewrite them; none or an empty list keeps
/// the stored ones, a list of one empty entry forgets all.
pub fn track_update(old: Option<&Value>, new: &mut Value, writer: &Writer<'_>, schema: &Schema) {
    let stored = old.map(managed::read).unwrap_or_default();
    let mut entries = match (old, managed::read(new)) {
        (None, _) => Vec::new(),
        _ if managed::is_reset(new) => Vec::new(),
        (Some(_), given) if given.is_empty() || !writer.subresource.is_empty() => stored,
        (Some(_), given) => given,
    };
    let nothing = Value::Object(serde_json::Map::new());
    let mut change = compare::change(old.unwrap_or(&nothing), new, schema);
    change.changed = managed::ownable(change.changed, writer.ignored);
    change.removed = managed::ownable(change.removed, writer.ignored);

    let own =
        entries.iter().position(|entry| entry.is_of(writer, Operation::Update)).map(|at| entries.remove(at));
    disown(&mut entries, &change);
    let mut entry = own.unwrap_or_else(|| Entry::new(writer, Operation::Update, Set::default()));
    entry.set.subtract_trees(&change.removed);
    if !change.changed.is_empty() {
        entry.set.union(&change.changed);
        entry.time = writer.now.to_owned();
    }
    entries.push(entry);
    managed::write(new, entries);
}
