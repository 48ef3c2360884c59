//! All containers of the node: which directories there are ([`scan`]), which files have
//! more, and whose turn it is.
//!
//! It does no waiting and starts nothing: the caller tells it what changed,
//! then takes turns as long as it wants records.

use std::{
    cell::LazyCell,
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    io,
    path::{Path, PathBuf},
};

mod scan;

use super::{
    Batch, Change, FileCheckpoint, Owner, Place, StreamCheckpoint, SystemLog, Watch,
    again::Again,
    behind::Behind,
    dir::Dir,
    held::{Held, MAX_DELETED},
    links::Links,
    name,
    room::Room,
    stream::StreamTail,
};
use crate::{policy, record::StreamInfo};

/// Idle files that stay open beside the ones that are written to.
const MAX_OPEN: usize = 512;

/// Turns one after the other of one container.
const IN_ROW: usize = 8;

/// Containers whose compressed files are unpacked at the same time, each by some hundred KiB of
/// memory. The others' wait: on a first start every container may have some.
pub const MAX_UNPACKING: usize = 16;

/// What one turn gave.
#[derive(Debug)]
pub enum Turn {
    /// Records of one stream.
    Batch(Batch),
    /// Something was read, but no record is complete.
    Nothing,
    /// No file has more.
    Idle,
}

/// A container's directory: Pod directory and container name. Of a log of the node's own parts
/// the first is empty, and the second the part.
pub(super) type Key = (String, String);

/// Reads all log files of a node.
pub struct Tailer {
    root: Dir,
    node: String,
    system: Vec<SystemLog>,
    links: Links,
    containers: BTreeMap<Key, BTreeMap<u32, StreamTail>>,
    /// Containers that have more, each once.
    ready: VecDeque<Key>,
    queued: HashSet<Key>,
    /// Containers of which a record is held back for the rest of its trace.
    holding: HashSet<Key>,
    /// Checkpoints of streams that were not found yet, by stream key.
    resumed: HashMap<String, StreamCheckpoint>,
    /// Records of streams that ended otherwise than by a line.
    left_over: VecDeque<Batch>,
    held: Held,
    behind: Behind,
    /// Containers of which a compressed file is being unpacked.
    unpacking: HashSet<Key>,
    room: Room,
    /// There is no room, and no file that would give way.
    is_crowded: bool,
    n_turns: u64,
    again: Again,
    /// Unread bytes that were let go.
    lost: u64,
    /// Compressed files that couldn't be read to their end.
    damaged: u64,
    /// Whose turn was the last, and how many it had one after the other.
    last: Option<(Key, usize)>,
    /// Files vanished: what was read of them exists nowhere else on disk.
    vanished: bool,
    buffer: Vec<u8>,
}

impl Tailer {
    /// Follows `pods_dir`, going on where the checkpoints say. Reads nothing yet:
    /// call [`Tailer::apply`] with [`Change::Everything`].
    pub fn new(pods_dir: &Path, node: &str, checkpoints: Vec<StreamCheckpoint>) -> io::Result<Self> {
        Ok(Self {
            root: Dir::open(pods_dir)?,
            node: node.to_owned(),
            system: Vec::new(),
            links: Links::default(),
            containers: BTreeMap::new(),
            ready: VecDeque::new(),
            queued: HashSet::new(),
            holding: HashSet::new(),
            resumed: checkpoints.into_iter().map(|known| (known.info.key(), known)).collect(),
            left_over: VecDeque::new(),
            held: Held::default(),
            behind: Behind::default(),
            unpacking: HashSet::new(),
            room: Room::of_process(),
            is_crowded: false,
            n_turns: 0,
            again: Again::default(),
            lost: 0,
            damaged: 0,
            last: None,
            vanished: false,
            buffer: Vec::new(),
        })
    }

    /// Reads these logs too.
    pub fn with_system(self, system: Vec<SystemLog>) -> Self {
        Self { system, ..self }
    }

    /// Follows links of containers into this folder.
    pub fn with_container_logs(self, folder: Option<PathBuf>) -> Self {
        Self { links: Links::into(folder), ..self }
    }

    /// Reads nothing of a Pod before [`Tailer::release`] says so.
    pub fn holding_unknown(mut self) -> Self {
        self.held.turn_on();
        self
    }

    /// Pods that are not read since the last call, by directory.
    pub fn take_asked(&mut self) -> Vec<(String, Owner)> {
        let asked = self.held.take_asked().into_iter().map(|directory| {
            let owner = Owner::of(&directory, self.says(&directory));
            (directory, owner)
        });
        asked.collect()
    }

    /// It is known what is to become of this Pod's lines.
    pub fn release(&mut self, pod: &str) {
        for key in self.held.release(pod) {
            self.queue(key);
        }
    }

    /// How many Pods wait to be released, and unread bytes of their files.
    pub fn waiting(&self) -> (usize, u64) {
        let unread = |key: &Key| self.unread(key).0;
        (self.held.n_pods(), self.held.keys().map(unread).sum())
    }

    /// Bytes that waited and were let go since the last call.
    pub fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    /// Compressed files that couldn't be read to their end, since the last call.
    pub fn take_damaged(&mut self) -> u64 {
        std::mem::take(&mut self.damaged)
    }

    /// Tries to open something that failed, since the last call.
    pub fn take_refusals(&mut self) -> u64 {
        self.again.take_failures()
    }

    /// Whether something is there that couldn't be opened, so that [`Tailer::try_again`] is to be
    /// called in a while.
    pub fn has_refused(&self) -> bool {
        self.again.is_wanted()
    }

    /// Looks at the places again where something couldn't be opened.
    pub fn try_again(&mut self, watch: &mut dyn Watch) {
        for place in self.again.take() {
            self.apply(&Change::In(place), watch);
        }
    }

    /// Looks at what changed.
    pub fn apply(&mut self, change: &Change, watch: &mut dyn Watch) {
        match change {
            Change::Everything => self.scan_everything(watch),
            Change::In(Place::Root) => self.scan_root(watch),
            Change::In(Place::Pod(pod)) => self.scan_pod(pod, watch),
            Change::In(Place::Container(pod, container)) => self.scan_container(pod, container, watch),
            Change::In(Place::Folder(folder)) => self.scan_folder(folder, watch),
            Change::Wrote(pod, container, file) => self.wrote(pod, container, file, watch),
            Change::WroteIn(folder, file) => self.wrote_in(folder, file, watch),
        }
    }

    /// Reads one chunk of one file.
    pub fn turn(&mut self) -> Turn {
        if let Some(batch) = self.left_over.pop_front() {
            return Turn::Batch(batch);
        }
        let Some(key) = self.next_key() else { return Turn::Idle };
        let in_row = self.last.take().filter(|(last, _)| *last == key).map_or(0, |(_, turns)| turns);
        self.last = Some((key.clone(), in_row + 1));
        self.n_turns += 1;
        let mut streams = self.containers.get(&key).into_iter().flat_map(BTreeMap::values);
        if streams.find(|stream| stream.has_more()).is_some_and(StreamTail::is_to_open) {
            self.make_room();
        }
        let directory = self.open(&key.0, &key.1);
        let Some(streams) = self.containers.get_mut(&key) else { return Turn::Nothing };
        let next = streams.values_mut().find(|stream| stream.has_more());
        let mut refused = Vec::new();
        let batch = next.and_then(|stream| {
            let linked = stream.linked().map(|target| self.links.open(target));
            let directory = linked.as_ref().map_or(directory.as_ref(), |folder| folder.as_ref());
            let batch = stream.read(directory, &mut self.buffer, self.n_turns);
            self.damaged += stream.take_damaged();
            refused = stream.take_refused();
            batch
        });
        if streams.values().any(StreamTail::is_unpacking) {
            self.unpacking.insert(key.clone());
        } else {
            self.unpacking.remove(&key);
        }
        if streams.values().any(StreamTail::is_holding) {
            self.holding.insert(key.clone());
        }
        let has_more = streams.values().any(StreamTail::has_more);
        let is_waiting = streams.values().any(StreamTail::is_waiting);
        for (file, error) in refused {
            let place = self.place(&key);
            self.again.add(place, &file, &error);
        }
        let is_gone = matches!(&directory, Err(error) if error.kind() == io::ErrorKind::NotFound);
        self.is_crowded &= has_more;
        if has_more {
            self.queue(key);
        } else if is_gone && !is_waiting {
            self.forget(&key);
        }
        batch.map_or(Turn::Nothing, Turn::Batch)
    }

    /// Lets files go that were read to their end, those first that were read the longest ago, if the
    /// next couldn't be held open.
    fn make_room(&mut self) {
        if !self.room.is_full() || self.is_crowded {
            return;
        }
        let streams = self.containers.values_mut().flat_map(BTreeMap::values_mut);
        let mut idle: Vec<&mut StreamTail> = streams.filter(|stream| stream.is_idle()).collect();
        idle.sort_unstable_by_key(|stream| stream.last_read());
        for stream in idle {
            stream.close_idle();
            if self.room.has_reserve() {
                break;
            }
        }
        self.is_crowded = self.room.is_full();
    }

    /// Whose turn it is.
    fn next_key(&mut self) -> Option<Key> {
        for _ in 0..self.ready.len() {
            let key = self.ready.pop_front()?;
            if !self.held.may_read(&key) {
                self.queued.remove(&key);
            } else if self.must_wait(&key) {
                self.ready.push_back(key);
            } else {
                self.queued.remove(&key);
                return Some(key);
            }
        }
        // All wait for places, and nobody who has one has more: the places are free.
        self.unpacking.clear();
        let key = self.ready.pop_front()?;
        self.queued.remove(&key);
        Some(key)
    }

    /// Whether it comes to a compressed file, and too many others are at one.
    fn must_wait(&self, key: &Key) -> bool {
        let is_full = self.unpacking.len() >= MAX_UNPACKING && !self.unpacking.contains(key);
        let mut streams = self.containers.get(key).into_iter().flat_map(BTreeMap::values);
        is_full && streams.find(|stream| stream.has_more()).is_some_and(StreamTail::is_to_unpack)
    }

    /// Gives the next turn to whom the last one was, if there is more: a block that is filled at
    /// once needs not wait for its rest in memory. Others wait for so many turns at most.
    pub fn stay(&mut self) {
        if let Some((last, turns)) = &self.last
            && *turns < IN_ROW
            && self.ready.back() == Some(last)
        {
            self.ready.rotate_right(1);
        }
    }

    /// Whether [`Tailer::turn`] would read something.
    pub fn has_more(&self) -> bool {
        !self.ready.is_empty() || !self.left_over.is_empty()
    }

    /// Up to when all that was written has been read, if what changed until `now` was told; nanoseconds.
    /// `None`: it can't be said yet. What may not be looked at holds it up for a while only: it may stay so.
    pub fn reached(&mut self, now: i64) -> Option<i64> {
        if self.again.is_exhausted() {
            return None;
        }
        let tried = self.queued.iter().map(|key| place_of(&self.system, key));
        self.behind.hold(now, self.again.places(), tried);
        let have_more = self.queued.iter().chain(self.held.keys()).filter_map(|key| {
            let mut streams = self.containers.get(key)?.values().map(|stream| stream.reached(now));
            Some((key, streams.try_fold(now, |least, reached| Some(least.min(reached?)))))
        });
        let reached = self.behind.reached(now, have_more)?;
        let left_over = self.left_over.iter().flat_map(|batch| &batch.records).map(|record| record.time);
        let streams = self.containers.values().flat_map(BTreeMap::values);
        let waiting = streams.filter_map(|stream| stream.waits_since(now));
        left_over.chain(waiting).chain([reached]).min()
    }

    /// Records of streams that ended. They must be in the store before a checkpoint is
    /// taken that doesn't have these streams any more.
    pub fn take_left_over(&mut self) -> Option<Batch> {
        self.left_over.pop_front()
    }

    /// Whether records are held back, so that [`Tailer::tick`] must be called at a steady pace.
    pub fn is_holding(&self) -> bool {
        !self.holding.is_empty()
    }

    /// Lets go what has been held back long enough.
    pub fn tick(&mut self) -> Vec<Batch> {
        let mut batches = Vec::new();
        for key in std::mem::take(&mut self.holding) {
            let Some(streams) = self.containers.get_mut(&key) else { continue };
            batches.extend(streams.values_mut().filter_map(StreamTail::tick));
            if streams.values().any(StreamTail::is_holding) {
                self.holding.insert(key);
            }
        }
        batches
    }

    /// Whether a file was deleted since the last call: its records should be committed soon.
    pub fn take_vanished(&mut self) -> bool {
        std::mem::take(&mut self.vanished)
    }

    /// Streams that may have more.
    pub fn streams(&self) -> impl Iterator<Item = &StreamInfo> {
        self.containers.values().flat_map(BTreeMap::values).map(|stream| &*stream.info)
    }

    /// Where reading stands in every stream. Goes with all records given so far.
    pub fn checkpoints(&self) -> Vec<StreamCheckpoint> {
        let streams = self.containers.values().flat_map(BTreeMap::values);
        streams.map(StreamTail::checkpoint).chain(self.resumed.values().cloned()).collect()
    }

    /// After a commit: tells the kubelet how far each file is indexed, and gives
    /// descriptors back.
    pub fn committed(&mut self, checkpoints: &[StreamCheckpoint]) {
        let durable: HashMap<(String, u64), &FileCheckpoint> = checkpoints
            .iter()
            .flat_map(|stream| {
                let key = stream.info.key();
                stream.files.iter().map(move |file| ((key.clone(), file.inode), file))
            })
            .collect();
        let close_idle = self.room.n_open() > MAX_OPEN;
        for ((pod, container), streams) in &mut self.containers {
            // Of thousands of streams few have something new: of the others nothing is opened.
            let directory = LazyCell::new(|| open_dir(&self.root, &self.system, pod, container));
            let newest = streams.keys().next_back().copied();
            for (restart, stream) in streams {
                let key = stream.info.key();
                // Docker waits for nobody, and its folder is none of ours to write to.
                let is_asked = stream.linked().is_none();
                for file in stream.files.iter_mut().filter(|file| is_asked && file.may_be_acknowledged()) {
                    let Some(committed) = durable.get(&(key.clone(), file.inode)) else { continue };
                    if file.is_acknowledged(committed) {
                        continue;
                    }
                    let Ok(directory) = &*directory else { break };
                    if let Err(error) = file.acknowledge(directory, &self.room, committed) {
                        tracing::debug!(file = %file.name, %error, "log file can't be acknowledged");
                    }
                }
                stream.release(close_idle || Some(*restart) != newest);
            }
        }
        self.is_crowded = false;
    }

    /// The same with this room for open files.
    #[cfg(test)]
    pub fn with_room(self, room: Room) -> Self {
        Self { room, ..self }
    }

    /// Containers of which a file is open.
    #[cfg(test)]
    pub fn open_containers(&self) -> Vec<&str> {
        let is_open = |streams: &BTreeMap<u32, StreamTail>| {
            streams.values().flat_map(|stream| &stream.files).any(|file| file.is_open())
        };
        let open = self.containers.iter().filter(|(_, streams)| is_open(streams));
        open.map(|((_, container), _)| container.as_str()).collect()
    }

    /// Files that are being unpacked.
    #[cfg(test)]
    pub fn n_unpacking(&self) -> usize {
        let streams = self.containers.values().flat_map(BTreeMap::values);
        streams.flat_map(|stream| &stream.files).filter(|file| file.is_unpacking()).count()
    }

    fn says(&self, pod: &str) -> Option<policy::Annotations> {
        let text = self.root.dir(pod).ok()?.attribute(super::SAYS)?;
        let annotations: BTreeMap<String, String> = serde_json::from_slice(&text).ok()?;
        Some(policy::own(&annotations))
    }

    fn unread(&self, key: &Key) -> (u64, u64) {
        let streams = self.containers.get(key).into_iter().flat_map(BTreeMap::values).map(StreamTail::unread);
        streams.fold((0, 0), |sum, next| (sum.0 + next.0, sum.1 + next.1))
    }

    /// Lets the oldest deleted files of a container that waits go, when there are too many of all.
    fn bound_deleted(&mut self, key: &Key) {
        let deleted: u64 = self.held.keys().map(|key| self.unread(key).1).sum();
        if deleted <= MAX_DELETED || !self.held.keys().any(|held| held == key) {
            return;
        }
        let mut excess = deleted - MAX_DELETED;
        for stream in self.containers.get_mut(key).into_iter().flat_map(BTreeMap::values_mut) {
            let dropped = stream.drop_deleted(excess);
            excess = excess.saturating_sub(dropped);
            self.lost += dropped;
        }
        tracing::error!(
            pod = key.0,
            container = key.1,
            lost = self.lost,
            "deleted log files are let go unread: what the Pod says of its logs couldn't be learnt"
        );
    }

    /// Directories of Pods that are known, once a container.
    fn pods(&self) -> impl Iterator<Item = &String> {
        self.containers.keys().map(|(pod, _)| pod).filter(|pod| !pod.is_empty())
    }

    /// Where a container's directory is, or the folder of a log.
    fn place(&self, key: &Key) -> Place {
        place_of(&self.system, key)
    }

    fn queue(&mut self, key: Key) {
        if self.queued.insert(key.clone()) {
            self.ready.push_back(key);
        }
    }

    /// The directory is gone and all was read: what is pending ends here.
    fn forget(&mut self, key: &Key) {
        self.links.forget(key);
        self.unpacking.remove(key);
        for (_, mut stream) in self.containers.remove(key).unwrap_or_default() {
            self.left_over.extend(stream.finish());
        }
        if !self.containers.keys().any(|(directory, _)| *directory == key.0) {
            self.held.forget(&key.0);
        }
        let is_of = |info: &StreamInfo| {
            info.container == key.1 && name::pod_dir(&key.0).is_some_and(|(_, _, uid)| uid == info.uid)
        };
        let (ended, stay) =
            std::mem::take(&mut self.resumed).into_iter().partition(|(_, known)| is_of(&known.info));
        self.resumed = stay;
        self.finish(ended);
    }

    fn open(&self, pod: &str, container: &str) -> io::Result<Dir> {
        open_dir(&self.root, &self.system, pod, container)
    }
}

fn place_of(system: &[SystemLog], key: &Key) -> Place {
    let log = system.iter().find(|log| key.0.is_empty() && log.name == key.1);
    match log.and_then(|log| log.path.parent()) {
        Some(folder) => Place::Folder(folder.to_owned()),
        None => Place::Container(key.0.clone(), key.1.clone()),
    }
}

fn open_dir(root: &Dir, system: &[SystemLog], pod: &str, container: &str) -> io::Result<Dir> {
    if !pod.is_empty() {
        return root.dir(pod)?.dir(container);
    }
    let log = system.iter().find(|log| log.name == container);
    Dir::open(log.and_then(|log| log.path.parent()).ok_or(io::ErrorKind::NotFound)?)
}
