//! Objects in the form in which they are used, made once a revision.
//!
//! Webhook configurations and policies are looked at for every write: decoding and
//! compiling them each time would cost more than the write. What is kept is thrown away
//! with its object.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use serde_json::Value;

use crate::authz::Objects;

pub const GROUP: &str = "admissionregistration.k8s.io";

pub struct Compiled<T> {
    resource: &'static str,
    make: fn(&Value) -> T,
    known: Mutex<HashMap<String, (u64, Arc<T>)>>,
}

impl<T> Compiled<T> {
    pub fn new(resource: &'static str, make: fn(&Value) -> T) -> Self {
        Self { resource, make, known: Mutex::default() }
    }

    /// All of them, by name.
    pub fn all(&self, objects: &dyn Objects) -> Vec<Arc<T>> {
        let mut stored = objects.raw(GROUP, self.resource);
        if stored.is_empty() {
            self.known.lock().clear();
            return Vec::new();
        }
        stored.sort_by(|a, b| a.name.cmp(&b.name));
        let mut known = self.known.lock();
        known.retain(|name, _| stored.binary_search_by(|raw| raw.name.as_str().cmp(name)).is_ok());
        let mut all = Vec::with_capacity(stored.len());
        for raw in stored {
            let fresh = known.get(&raw.name).filter(|(revision, _)| *revision == raw.revision);
            if let Some((_, made)) = fresh {
                all.push(made.clone());
                continue;
            }
            let Ok(object) = serde_json::from_slice::<Value>(&raw.json) else { continue };
            let made = Arc::new((self.make)(&object));
            known.insert(raw.name, (raw.revision, made.clone()));
            all.push(made);
        }
        all
    }
}
