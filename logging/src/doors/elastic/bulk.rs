//! The lines of a bulk: an action, and for most its document. Pure.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use super::document;
use crate::doors::{
    Kind, Refusal,
    deliver::{check_count, check_groups},
    draft::{Draft, Group, Line, Rejected, cut},
};

/// Bytes of one document.
const MAX_DOCUMENT: usize = 1 << 20;
/// Bytes of an action.
const MAX_ACTION: usize = 16 << 10;
/// Bytes of an index's name or a document's id.
const MAX_NAME: usize = 512;

/// What is answered for.
#[derive(Debug, PartialEq, Eq)]
pub struct Item {
    pub action: String,
    pub index: String,
    pub id: Option<String>,
}

#[derive(Debug, Default)]
pub struct Bulk {
    pub items: Vec<Item>,
    pub draft: Draft,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Target {
    #[serde(rename = "_index")]
    index: Option<String>,
    #[serde(rename = "_id")]
    id: Option<Value>,
}

/// All documents of a bulk; those of actions without an index go to `index`.
pub fn decode(bytes: &[u8], index: Option<&str>) -> Result<Bulk, Refusal> {
    let mut bulk = Bulk::default();
    let mut groups: HashMap<document::Place, usize> = HashMap::new();
    let lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let mut lines = lines.filter(|line| !line.is_empty());
    while let Some(line) = lines.next() {
        let (action, target) = action(line, bulk.items.len())?;
        let number = bulk.items.len() as u32;
        check_count(bulk.items.len() + 1)?;
        let document = match action.as_str() {
            "delete" => None,
            _ => Some(lines.next().ok_or_else(|| {
                Refusal::malformed(format!("the document of action {} is missing at the end", number + 1))
            })?),
        };
        let name = target.index.as_deref().or(index).unwrap_or("logs");
        let name = cut(name, MAX_NAME).to_owned();
        let id = target.id.map(|id| match id {
            Value::String(id) => cut(&id, MAX_NAME).to_owned(),
            other => cut(&other.to_string(), MAX_NAME).to_owned(),
        });
        let taken = match document {
            Some(document) if action == "create" || action == "index" => read(document, &name),
            _ => Err(Refusal::malformed(format!("action `{action}` is not for logs: create or index"))),
        };
        bulk.items.push(Item { action, index: name, id });
        match taken {
            Ok((place, line)) => put(&mut bulk.draft, &mut groups, place, Line { item: number, ..line })?,
            Err(why) => bulk.draft.rejected.push(Rejected { items: vec![number], why }),
        }
    }
    Ok(bulk)
}

/// The one member of an action's object.
fn action(line: &[u8], number: usize) -> Result<(String, Target), Refusal> {
    let wrong =
        |why: &str| Refusal::malformed(format!("action {} of the bulk is malformed: {why}", number + 1));
    if line.len() > MAX_ACTION {
        return Err(wrong("it is too long"));
    }
    let action: HashMap<String, Option<Target>> =
        serde_json::from_slice(line).map_err(|error| wrong(&error.to_string()))?;
    let mut members = action.into_iter();
    match (members.next(), members.next()) {
        (Some((action, target)), None)
            if ["create", "index", "update", "delete"].contains(&action.as_str()) =>
        {
            Ok((action, target.unwrap_or_default()))
        }
        _ => Err(wrong("it must have one member: create or index")),
    }
}

fn read(document: &[u8], index: &str) -> Result<(document::Place, Line), Refusal> {
    if document.len() > MAX_DOCUMENT {
        return Err(Refusal::new(
            Kind::TooLarge,
            format!("a document is larger than {} KiB", MAX_DOCUMENT >> 10),
        ));
    }
    let object: Value = serde_json::from_slice(document)
        .map_err(|error| Refusal::malformed(format!("a document can't be read: {error}")))?;
    if !object.is_object() {
        return Err(Refusal::malformed("a document is no object"));
    }
    let (time, level) = (document::time(&object), document::level(&object, document));
    let line = Line { time, level, body: document.to_vec(), ..Line::default() };
    Ok((document::place(&object, index), line))
}

fn put(
    draft: &mut Draft,
    groups: &mut HashMap<document::Place, usize>,
    place: document::Place,
    line: Line,
) -> Result<(), Refusal> {
    let at = match groups.get(&place) {
        Some(at) => *at,
        None => {
            check_groups(draft.groups.len() + 1)?;
            let mut group = Group { namespace: place.namespace.clone(), ..Group::default() };
            group.origin = place.origin.clone();
            place.labels.iter().for_each(|(name, value)| group.label(name, value));
            draft.groups.push(group);
            groups.insert(place, draft.groups.len() - 1);
            draft.groups.len() - 1
        }
    };
    draft.groups[at].lines.push(line);
    Ok(())
}
