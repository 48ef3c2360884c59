//! One watch of etcd over everything that concerns the store, as batches of whole
//! revisions.
//!
//! etcd puts all events of a revision into one answer, so the last event of an
//! answer is how far it reaches. The revision in an answer's header is not: it may
//! be ahead of events that are still to come.
//!
//! A watch is opened one revision before the one that is wanted: etcd lets one
//! begin at the very revision of a compaction, where deletions are gone already.

use std::time::Duration;

use etcd_client::{WatchOptions, WatchStream};
use tokio::time::timeout;

use super::{Shared, convert, failure::Failure};
use crate::{Event, Revision};

const OPENING: Duration = Duration::from_secs(5);

/// Events of whole revisions, up to one of them.
pub struct Batch {
    pub events: Vec<Event>,
    pub revision: Revision,
}

/// Why a watch of etcd ended.
#[derive(Debug)]
pub enum Ended {
    /// What it should have told is gone, up to this revision.
    Compacted(Revision),
    /// It may be opened again where it was.
    Broken(String),
}

pub struct Reader {
    stream: WatchStream,
    from: Revision,
    /// The member it reads from, for [`super::members::Members::leave`].
    pub member: usize,
}

impl Reader {
    /// Everything from a revision (of at least 2) on, as the member tells it that is
    /// asked at present.
    pub async fn open(shared: &Shared, from: Revision) -> Result<Self, Ended> {
        let (at, member) = shared.members.current();
        let span = shared.keys.all();
        let options = WatchOptions::new()
            .with_range(span.end)
            .with_start_revision(convert::signed(from - 1))
            .with_prev_key();
        let mut watch = member.watch.clone();
        let opening = async {
            let mut stream = watch.watch(span.start, Some(options)).await?;
            let first = stream.message().await?;
            Ok::<_, etcd_client::Error>((stream, first))
        };
        let opened = match timeout(OPENING, opening).await {
            Ok(opened) => {
                opened.map_err(|error| Ended::Broken(Failure::from(error).into_error().to_string()))
            }
            Err(_) => Err(Ended::Broken("no answer in time".to_owned())),
        };
        let (stream, first) = opened.inspect_err(|_| shared.members.leave(at))?;
        match first {
            Some(first) if first.canceled() => Err(cancelled(&first)),
            Some(first) if first.created() => Ok(Self { stream, from, member: at }),
            _ => Err(Ended::Broken("the watch was not opened".to_owned())),
        }
    }

    /// The next batch. May be dropped while it waits without losing one.
    pub async fn next(&mut self, shared: &Shared) -> Result<Batch, Ended> {
        loop {
            let answer = match self.stream.message().await {
                Ok(Some(answer)) => answer,
                Ok(None) => return Err(Ended::Broken("the watch was ended".to_owned())),
                Err(error) => return Err(Ended::Broken(Failure::from(error).into_error().to_string())),
            };
            if answer.canceled() {
                return Err(cancelled(&answer));
            }
            let mut batch = Batch { events: Vec::with_capacity(answer.events().len()), revision: 0 };
            for event in answer.events().iter().filter(|event| self.wants(event)) {
                match convert::event(&shared.keys, event) {
                    convert::Told::Event(event) => {
                        batch.revision = event.revision;
                        batch.events.push(*event);
                    }
                    convert::Told::Passed(revision) => batch.revision = revision,
                    convert::Told::Lost(revision) => return Err(Ended::Compacted(revision)),
                }
            }
            if batch.revision > 0 {
                return Ok(batch);
            }
        }
    }
}

impl Reader {
    fn wants(&self, event: &etcd_client::Event) -> bool {
        event.kv().is_some_and(|kv| convert::revision(kv.mod_revision()) >= self.from)
    }
}

fn cancelled(answer: &etcd_client::WatchResponse) -> Ended {
    match answer.compact_revision() {
        0 => Ended::Broken(format!("the watch was cancelled: {}", answer.cancel_reason())),
        compacted => Ended::Compacted(convert::revision(compacted)),
    }
}
