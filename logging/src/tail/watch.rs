//! inotify over the three levels of the log directory.
//!
//! ```text
//! /var/log/pods                       a Pod's directory came or went
//! /var/log/pods/<pod>                 a container's directory came or went
//! /var/log/pods/<pod>/<container>     a file was written, came, went, was renamed
//! /var/log, ...                       the same, in folders of the node's own logs, and in
//!                                     those where links of containers lead to
//! ```
//!
//! When the kernel's queue overflows, or a directory can't be watched because the
//! node is out of watches, everything is scanned ([`Change::Everything`]); in the
//! latter case once a second, until a watch can be had again.

use std::{
    collections::{HashMap, HashSet},
    io,
    path::PathBuf,
    time::Duration,
};

use futures::{StreamExt, stream::ReadyChunks};
use inotify::{Event, EventMask, EventStream, Inotify, WatchDescriptor, WatchMask, Watches};
use tokio::time::Instant;

use super::again::Told;

/// A directory that is watched.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Place {
    Root,
    Pod(String),
    /// Pod directory, container.
    Container(String, String),
    /// A folder elsewhere, with logs of the node's own parts or of containers.
    Folder(PathBuf),
}

/// What may be different now.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Change {
    /// Anything: look everywhere.
    Everything,
    /// Names in a directory.
    In(Place),
    /// A file has more: Pod directory, container, file.
    Wrote(String, String, String),
    /// A file in a folder elsewhere has more.
    WroteIn(PathBuf, String),
}

/// Can watch a directory.
pub trait Watch {
    /// Watches the place; true when it was not watched before, so that its
    /// content must be listed.
    fn watch(&mut self, place: &Place) -> bool;
}

/// Events taken at once.
const BATCH: usize = 512;
/// Until the next scan when watches have run out.
const WITHOUT_WATCHES: Duration = Duration::from_secs(1);

/// The kernel's watches and what they stand for.
pub struct Watcher {
    root: PathBuf,
    events: ReadyChunks<EventStream<Vec<u8>>>,
    watches: Watches,
    places: HashMap<WatchDescriptor, Place>,
    descriptors: HashMap<Place, WatchDescriptor>,
    /// A place could not be watched: until then everything is looked at.
    incomplete: Option<Instant>,
    /// Why, each second anew.
    told: Told,
}

impl Watcher {
    /// Watches nothing yet.
    pub fn new(root: PathBuf) -> io::Result<Self> {
        let inotify = Inotify::init()?;
        let watches = inotify.watches();
        let events = inotify.into_event_stream(vec![0; 32 << 10])?.ready_chunks(BATCH);
        let (places, descriptors) = (HashMap::new(), HashMap::new());
        Ok(Self { root, events, watches, places, descriptors, incomplete: None, told: Told::default() })
    }

    /// What changed since the last call, each thing once; waits for the first.
    pub async fn changes(&mut self) -> io::Result<Vec<Change>> {
        // The scan comes in time also where others are always told of, or wait for this again and again.
        let due = self.incomplete;
        let scan = async move {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        let events = tokio::select! {
            biased;
            () = scan => {
                self.incomplete = None;
                return Ok(vec![Change::Everything]);
            }
            events = self.events.next() => events,
        };
        let (mut changes, mut seen) = (Vec::new(), HashSet::new());
        for event in events.ok_or(io::ErrorKind::BrokenPipe)? {
            let change = self.change(event?);
            changes.extend(change.filter(|change| seen.insert(change.clone())));
        }
        Ok(changes)
    }

    fn change(&mut self, event: Event<std::ffi::OsString>) -> Option<Change> {
        if event.mask.contains(EventMask::Q_OVERFLOW) {
            tracing::warn!("inotify queue overflowed, everything is scanned");
            return Some(Change::Everything);
        }
        if event.mask.contains(EventMask::IGNORED) {
            // The directory is gone, and the kernel's watch with it.
            let place = self.places.remove(&event.wd)?;
            self.descriptors.remove(&place);
            return match place {
                Place::Container(pod, _) => Some(Change::In(Place::Pod(pod))),
                Place::Pod(_) | Place::Root => Some(Change::In(Place::Root)),
                Place::Folder(_) => Some(Change::In(place)),
            };
        }
        let place = self.places.get(&event.wd)?;
        match (place, event.name) {
            (Place::Container(pod, container), Some(name)) if event.mask.contains(EventMask::MODIFY) => {
                Some(Change::Wrote(pod.clone(), container.clone(), name.into_string().ok()?))
            }
            (Place::Folder(folder), Some(name)) if event.mask.contains(EventMask::MODIFY) => {
                Some(Change::WroteIn(folder.clone(), name.into_string().ok()?))
            }
            (place, _) => Some(Change::In(place.clone())),
        }
    }

    fn path(&self, place: &Place) -> PathBuf {
        match place {
            Place::Root => self.root.clone(),
            Place::Pod(pod) => self.root.join(pod),
            Place::Container(pod, container) => self.root.join(pod).join(container),
            Place::Folder(folder) => folder.clone(),
        }
    }
}

impl Watch for Watcher {
    fn watch(&mut self, place: &Place) -> bool {
        if self.descriptors.contains_key(place) {
            return false;
        }
        let names = WatchMask::CREATE | WatchMask::DELETE | WatchMask::MOVE;
        let mask = match place {
            Place::Root => names | WatchMask::ONLYDIR,
            Place::Pod(_) => names | WatchMask::ONLYDIR | WatchMask::DONT_FOLLOW,
            Place::Folder(_) => names | WatchMask::MODIFY | WatchMask::ONLYDIR,
            Place::Container(..) => names | WatchMask::MODIFY | WatchMask::ONLYDIR | WatchMask::DONT_FOLLOW,
        };
        match self.watches.add(self.path(place), mask) {
            Ok(descriptor) => {
                self.places.insert(descriptor.clone(), place.clone());
                self.descriptors.insert(place.clone(), descriptor);
            }
            // It went as fast as it came.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            Err(error) => {
                if self.told.is_new(&error) {
                    tracing::warn!(?place, %error, "directory can't be watched and is scanned each second instead: if watches ran out, raise fs.inotify.max_user_watches, else look at its permissions");
                }
                self.incomplete.get_or_insert_with(|| Instant::now() + WITHOUT_WATCHES);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_can_not_be_watched_is_looked_at_though_others_are_waited_for_meanwhile() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut watcher = Watcher::new(folder.path().into()).expect("a watcher");
        watcher.incomplete = Some(Instant::now() + WITHOUT_WATCHES);
        let mut looks = 0;
        // Somebody else has something before it is time, each time.
        let changes = loop {
            looks += 1;
            match tokio::time::timeout(WITHOUT_WATCHES / 4, watcher.changes()).await {
                Ok(changes) => break changes.expect("changes"),
                Err(_) => assert!(looks < 10, "it is never looked at"),
            }
        };
        assert_eq!((changes, watcher.incomplete), (vec![Change::Everything], None));
    }
}
