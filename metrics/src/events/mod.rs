//! The table `events`: what happened to objects, kept for a week where nobody says otherwise
//! ([`Retention`]). The API itself forgets its Events after an hour.
//!
//! ```text
//! watch of Events ─> segments (a file an hour, a line an occurrence) ─> table: events
//! ```
//!
//! An Event that is counted up is written again: a row is an occurrence, not an object. What the API
//! tells once more is not, also where it counts its versions anew, as after a restore.
//! The oldest hours go first. What a kill loses, or a disk
//! that is full does not take, are occurrences that the API still has an hour later: the watch
//! begins with a list, and begins anew until the disk takes them.

mod recent;
mod segments;
mod table;

use std::{io, path::PathBuf, sync::Arc};

use datafusion::{common::Result, prelude::SessionContext};
use futures::TryStreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use kube::{
    Api, Client,
    runtime::{WatchStreamExt, watcher},
};
use tiphys_lifecycle::{BoxError, Tasks};

use crate::{
    retention::Retention,
    sql::{Asker, Extension},
};
use segments::Segments;
use table::Occurred;

/// What happened, as far as it is kept. Clones share it.
#[derive(Clone)]
pub struct EventLog {
    segments: Arc<Segments>,
}

impl EventLog {
    /// Opens what was kept and follows the API's Events until `tasks` stops.
    ///
    /// # Errors
    /// The folder can't be read.
    pub fn start(folder: PathBuf, retention: Retention, client: Client, tasks: &Tasks) -> io::Result<Self> {
        let log = Self { segments: Arc::new(Segments::open(folder, retention)?) };
        let segments = log.segments.clone();
        tasks.spawn_restarting("keep events", move || follow(client.clone(), segments.clone()));
        Ok(log)
    }
}

impl Extension for EventLog {
    fn register(&self, session: &SessionContext, asker: &Asker) -> Result<()> {
        session.register_table("events", table::events(self.segments.clone(), asker.clone())).map(drop)
    }
}

/// An occurrence that can't be written ends it: none that comes later may be written before it.
async fn follow(client: Client, segments: Arc<Segments>) -> Result<(), BoxError> {
    let events = watcher(Api::<Event>::all(client), watcher::Config::default()).default_backoff();
    let mut events = std::pin::pin!(events);
    // A list is in order of names; it is written in the order in which it happened.
    let mut listed = Vec::new();
    while let Some(event) = events.try_next().await? {
        match event {
            watcher::Event::Init => listed.clear(),
            watcher::Event::InitApply(event) => listed.extend(Occurred::of(event)),
            watcher::Event::InitDone => {
                listed.sort_by_key(|occurred| occurred.version);
                for occurred in listed.drain(..) {
                    segments.add(&occurred, Timestamp::now())?;
                }
                listed.shrink_to_fit();
            }
            watcher::Event::Apply(event) => {
                if let Some(occurred) = Occurred::of(event) {
                    segments.add(&occurred, Timestamp::now())?;
                }
            }
            watcher::Event::Delete(_) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
