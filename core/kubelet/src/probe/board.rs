//! What probes found, by container instance, shared between their tasks and the
//! Pod's worker.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;

use crate::pod::plan::Probed;

/// Clones share it. A change calls back, so that the worker looks.
#[derive(Clone)]
pub(crate) struct Board {
    probed: Arc<Mutex<BTreeMap<String, Probed>>>,
    changed: Arc<dyn Fn() + Send + Sync>,
}

impl Board {
    pub(crate) fn new(changed: impl Fn() + Send + Sync + 'static) -> Self {
        Self { probed: Arc::default(), changed: Arc::new(changed) }
    }

    pub(crate) fn all(&self) -> BTreeMap<String, Probed> {
        self.probed.lock().clone()
    }

    pub(crate) fn has(&self, id: &str) -> bool {
        self.probed.lock().contains_key(id)
    }

    pub(crate) fn put(&self, id: &str, probed: Probed) {
        self.probed.lock().insert(id.to_owned(), probed);
    }

    /// Changes an entry; nothing happens for an instance that is gone.
    pub(crate) fn update(&self, id: &str, change: impl FnOnce(&mut Probed)) {
        {
            let mut probed = self.probed.lock();
            let Some(entry) = probed.get_mut(id) else { return };
            let before = entry.clone();
            change(entry);
            if *entry == before {
                return;
            }
        }
        (self.changed)();
    }

    /// Forgets instances that do not run any more.
    pub(crate) fn retain(&self, keep: impl Fn(&str) -> bool) {
        self.probed.lock().retain(|id, _| keep(id));
    }
}
