//! All schemas and levels, ready to be asked.

use std::{collections::HashMap, sync::Arc};

use http::{HeaderValue, Method};
use serde_json::Value;
use tiphys_api::{
    access::{int, text},
    auth::UserInfo,
};

use super::{
    bootstrap,
    classify::{About, Schema},
    header,
    level::{Level, Shape},
    shard,
};
use crate::request::info::Target;

#[derive(Default)]
pub struct Table {
    /// By precedence, then by name.
    entries: Vec<Entry>,
    levels: HashMap<String, Arc<Level>>,
}

struct Entry {
    name: String,
    schema: Schema,
    schema_uid: Option<HeaderValue>,
    level_uid: Option<HeaderValue>,
    level: Arc<Level>,
}

/// Where a request belongs.
pub struct Found<'a> {
    pub level: &'a Arc<Level>,
    pub flow: u64,
    pub schema_uid: &'a Option<HeaderValue>,
    pub level_uid: &'a Option<HeaderValue>,
}

impl Table {
    /// From the objects there are. Levels that were there before keep who is in
    /// them. The mandatory ones are there even when their objects are not.
    pub fn build(schemas: &[Arc<Value>], levels: &[Arc<Value>], seats: usize, before: &Self) -> Self {
        let with_mandatory = |objects: &[Arc<Value>], kind: &str| -> Vec<Arc<Value>> {
            let missing = bootstrap::mandatory().into_iter().filter(|wanted| {
                let is_it = |object: &Arc<Value>| object["metadata"]["name"] == wanted["metadata"]["name"];
                wanted["kind"] == kind && !objects.iter().any(is_it)
            });
            objects.iter().cloned().chain(missing.map(Arc::new)).collect()
        };
        let levels = with_mandatory(levels, "PriorityLevelConfiguration");
        let all_shares: i64 = levels.iter().map(|level| shares(level)).sum();
        let mut uids = HashMap::new();
        let mut kept = HashMap::new();
        for object in &levels {
            let name = text(object, "/metadata/name");
            let shape = shape(object, seats, all_shares);
            let level = match before.levels.get(name) {
                Some(level) => {
                    level.reshape(shape);
                    level.clone()
                }
                None => Level::new(shape),
            };
            kept.insert(name.to_owned(), level);
            uids.insert(name, header(text(object, "/metadata/uid")));
        }
        let mut entries: Vec<Entry> = with_mandatory(schemas, "FlowSchema")
            .iter()
            .filter_map(|object| {
                let schema = Schema::of(object)?;
                let level_name = schema.priority_level_configuration.name.clone();
                Some(Entry {
                    name: text(object, "/metadata/name").to_owned(),
                    schema_uid: header(text(object, "/metadata/uid")),
                    level_uid: uids.get(level_name.as_str()).cloned().flatten(),
                    level: kept.get(&level_name)?.clone(),
                    schema,
                })
            })
            .collect();
        entries.sort_by(|a, b| {
            (a.schema.matching_precedence, &a.name).cmp(&(b.schema.matching_precedence, &b.name))
        });
        Self { entries, levels: kept }
    }

    pub fn classify(
        &self,
        user: &UserInfo,
        target: Option<&Target>,
        method: &Method,
        path: &str,
    ) -> Option<Found<'_>> {
        let verb = method.as_str().to_ascii_lowercase();
        let about = match target {
            Some(Target::Resource(info)) => About::Resource(info),
            _ => About::Path { verb: &verb, path },
        };
        let entry = self.entries.iter().find(|entry| entry.schema.fits(user, &about))?;
        Some(Found {
            level: &entry.level,
            flow: shard::flow(&entry.name, entry.schema.distinguisher(user, &about)),
            schema_uid: &entry.schema_uid,
            level_uid: &entry.level_uid,
        })
    }

    #[cfg(test)]
    pub fn name_of(&self, user: &UserInfo, target: Option<&Target>, path: &str) -> &str {
        let about = match target {
            Some(Target::Resource(info)) => About::Resource(info),
            _ => About::Path { verb: "get", path },
        };
        self.entries.iter().find(|entry| entry.schema.fits(user, &about)).map_or("", |entry| &entry.name)
    }
}

fn shares(level: &Value) -> i64 {
    int(level, "/spec/limited/nominalConcurrencyShares").unwrap_or_default().max(0)
}

/// A level's part of all seats, rounded up.
fn shape(level: &Value, seats: usize, all_shares: i64) -> Shape {
    if level["spec"]["type"] == "Exempt" {
        return Shape::Exempt;
    }
    let seats = (seats as i64 * shares(level) + all_shares.max(1) - 1) / all_shares.max(1);
    let figure = |key: &str| {
        int(level, &format!("/spec/limited/limitResponse/queuing/{key}")).unwrap_or_default().max(0) as usize
    };
    // A level of a million queues would take memory for each: no more than flows that wait are of use.
    let queues = figure("queues").min(4096);
    Shape::Limited {
        seats: seats as usize,
        queues,
        hand: figure("handSize").min(queues),
        queue_limit: figure("queueLengthLimit"),
    }
}
