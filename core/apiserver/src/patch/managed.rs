//! `metadata.managedFields`: who owns what, read and written.

use serde_json::{Map, Value, json};

use super::{apply::Writer, fields, fields::Set};

/// With more entries of plain updates than this, the oldest are put together.
const UPDATERS_LIMIT: usize = 10;

/// Who the put-together entries belong to.
const ANCIENT: &str = "ancient-changes";

/// Never owned: they name the object, or are the server's.
const UNOWNED: [&str; 2] = ["apiVersion", "kind"];
const UNOWNED_METADATA: [&str; 9] = [
    "clusterName",
    "creationTimestamp",
    "generation",
    "managedFields",
    "name",
    "namespace",
    "resourceVersion",
    "selfLink",
    "uid",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    Apply,
    Update,
}

impl Operation {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

/// One manager's entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub manager: String,
    pub operation: Operation,
    pub api_version: String,
    pub subresource: String,
    pub time: String,
    pub set: Set,
}

impl Entry {
    pub fn new(writer: &Writer<'_>, operation: Operation, set: Set) -> Self {
        Self {
            manager: writer.manager.to_owned(),
            operation,
            api_version: writer.api_version.to_owned(),
            subresource: writer.subresource.to_owned(),
            time: writer.now.to_owned(),
            set,
        }
    }

    /// Whether the entry is the writer's. An applier is the same in all versions.
    pub fn is_of(&self, writer: &Writer<'_>, operation: Operation) -> bool {
        self.manager == writer.manager
            && self.operation == operation
            && self.subresource == writer.subresource
            && (operation == Operation::Apply || self.api_version == writer.api_version)
    }

    fn decode(value: &Value) -> Option<Self> {
        let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let operation = match text("operation").as_str() {
            "Apply" => Operation::Apply,
            "Update" => Operation::Update,
            _ => return None,
        };
        Some(Self {
            manager: text("manager"),
            operation,
            api_version: text("apiVersion"),
            subresource: text("subresource"),
            time: text("time"),
            set: Set::decode(value.get("fieldsV1").unwrap_or(&Value::Null)),
        })
    }

    fn encode(&self) -> Value {
        let mut entry = Map::new();
        let mut put = |key: &str, value: Value| entry.insert(key.to_owned(), value);
        put("manager", self.manager.as_str().into());
        put("operation", self.operation.as_str().into());
        put("apiVersion", self.api_version.as_str().into());
        if !self.time.is_empty() {
            put("time", self.time.as_str().into());
        }
        put("fieldsType", "FieldsV1".into());
        put("fieldsV1", self.set.encode());
        if !self.subresource.is_empty() {
            put("subresource", self.subresource.as_str().into());
        }
        Value::Object(entry)
    }
}

/// The entries of an object; none when there are none.
pub fn read(object: &Value) -> Vec<Entry> {
    let entries = object.pointer("/metadata/managedFields").and_then(Value::as_array);
    entries.into_iter().flatten().filter_map(Entry::decode).collect()
}

/// Writes the entries in their order: appliers first, then by time and name.
pub fn write(object: &mut Value, mut entries: Vec<Entry>) {
    entries.retain(|entry| !entry.set.is_empty());
    sort(&mut entries);
    bound(&mut entries);
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    if entries.is_empty() {
        metadata.remove("managedFields");
    } else {
        metadata.insert("managedFields".into(), entries.iter().map(Entry::encode).collect());
    }
}

fn sort(entries: &mut [Entry]) {
    entries.sort_by(|a, b| {
        let key = |e: &Entry| {
            (e.operation, e.time.clone(), e.manager.clone(), e.api_version.clone(), e.subresource.clone())
        };
        key(a).cmp(&key(b))
    });
}

fn bound(entries: &mut Vec<Entry>) {
    let n_updaters = entries.iter().filter(|e| e.operation == Operation::Update).count();
    let Some(excess) = n_updaters.checked_sub(UPDATERS_LIMIT).filter(|n| *n > 0) else { return };
    let first = entries.len() - n_updaters;
    let mut oldest: Vec<Entry> = entries.drain(first..=first + excess).collect();
    let mut ancient = oldest.swap_remove(0);
    ancient.manager = ANCIENT.into();
    ancient.subresource = String::new();
    for entry in oldest {
        ancient.set.union(&entry.set);
        ancient.time = ancient.time.max(entry.time);
    }
    entries.insert(first, ancient);
    sort(entries);
}

/// The set without what nobody owns, and without the top-level fields this request can't write.
pub fn ownable(mut set: Set, ignored: &[&str]) -> Set {
    for name in UNOWNED.iter().chain(ignored) {
        set.children.remove(&fields::field(name));
    }
    let metadata = fields::field("metadata");
    if let Some(below) = set.children.get_mut(&metadata) {
        below.owned = false;
        UNOWNED_METADATA.iter().for_each(|name| drop(below.children.remove(&fields::field(name))));
        if below.is_empty() {
            set.children.remove(&metadata);
        }
    }
    set
}

/// Whether the client asks to forget all managers: a list of one empty entry.
pub fn is_reset(object: &Value) -> bool {
    object.pointer("/metadata/managedFields") == Some(&json!([{}]))
}
