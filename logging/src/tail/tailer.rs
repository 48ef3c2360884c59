//! All containers of the node: which directories there are, which files have
//! more, and whose turn it is.
//!
//! It does no waiting and starts nothing: the caller tells it what changed,
//! then takes turns as long as it wants records.

use std::{
    cell::LazyCell,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    io,
    path::{Path, PathBuf},
};

use super::{
    Batch, Change, FileCheckpoint, Owner, Place, StreamCheckpoint, SystemLog, Watch,
    dir::{Dir, Entry},
    held::{Held, MAX_DELETED},
    links::{Followed, Links, Target},
    name,
    stream::StreamTail,
};
use crate::{policy, record::StreamInfo};

/// Idle files that stay open beside the ones that are written to.
const MAX_OPEN: usize = 512;

/// Turns one after the other of one container.
const IN_ROW: usize = 8;

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
type Key = (String, String);

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
    /// Unread bytes that were let go.
    lost: u64,
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
            lost: 0,
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
        let key = loop {
            let Some(key) = self.ready.pop_front() else { return Turn::Idle };
            self.queued.remove(&key);
            if self.held.may_read(&key) {
                break key;
            }
        };
        let in_row = self.last.take().filter(|(last, _)| *last == key).map_or(0, |(_, turns)| turns);
        self.last = Some((key.clone(), in_row + 1));
        let directory = self.open(&key.0, &key.1);
        let Some(streams) = self.containers.get_mut(&key) else { return Turn::Nothing };
        let next = streams.values_mut().find(|stream| stream.has_more());
        let batch = next.and_then(|stream| {
            let linked = stream.linked().map(|target| self.links.open(target).ok());
            let directory = linked.as_ref().map_or(directory.as_ref().ok(), Option::as_ref);
            stream.read(directory, &mut self.buffer)
        });
        if streams.values().any(StreamTail::is_holding) {
            self.holding.insert(key.clone());
        }
        if streams.values().any(StreamTail::has_more) {
            self.queue(key);
        } else if matches!(&directory, Err(error) if error.kind() == io::ErrorKind::NotFound) {
            self.forget(&key);
        }
        batch.map_or(Turn::Nothing, Turn::Batch)
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
        let open = |stream: &StreamTail| stream.files.iter().filter(|file| file.is_open()).count();
        let n_open: usize = self.containers.values().flat_map(BTreeMap::values).map(open).sum();
        for ((pod, container), streams) in &mut self.containers {
            // Of thousands of streams few have something new: of the others nothing is opened.
            let directory = LazyCell::new(|| open_dir(&self.root, &self.system, pod, container));
            let newest = streams.keys().next_back().copied();
            for (restart, stream) in streams {
                let key = stream.info.key();
                // Docker waits for nobody, and its folder is none of ours to write to.
                let is_asked = stream.linked().is_none();
                for file in stream.files.iter_mut().filter(|file| is_asked && !file.gone && file.missing == 0)
                {
                    let Some(committed) = durable.get(&(key.clone(), file.inode)) else { continue };
                    if file.is_acknowledged(committed) {
                        continue;
                    }
                    let Ok(directory) = &*directory else { break };
                    if let Err(error) = file.acknowledge(directory, committed) {
                        tracing::debug!(file = %file.name, %error, "log file can't be acknowledged");
                    }
                }
                stream.release(n_open > MAX_OPEN || Some(*restart) != newest);
            }
        }
    }

    fn scan_everything(&mut self, watch: &mut dyn Watch) {
        self.scan_root(watch);
        let pods: HashSet<String> = self.pods().cloned().collect();
        for pod in pods {
            self.scan_pod(&pod, watch);
        }
        let folders = self.system.iter().filter_map(|log| log.path.parent());
        for folder in folders.map(Path::to_owned).collect::<HashSet<_>>() {
            self.scan_folder(&folder, watch);
        }
        // What a stream left pending becomes a record now, unless a file may still go on with it.
        let (stay, gone) =
            std::mem::take(&mut self.resumed).into_iter().partition(|(_, known)| self.has_place(&known.info));
        self.resumed = stay;
        self.finish(gone);
    }

    /// Whether the directory is there that the stream's files are in.
    fn has_place(&self, info: &StreamInfo) -> bool {
        let pod = format!("{}_{}_{}", info.namespace, info.pod, info.uid);
        self.open(&pod, &info.container).is_ok()
            || self.system.iter().any(|log| log.stream(&self.node) == *info)
    }

    /// What is pending of streams that get no more.
    fn finish(&mut self, ended: HashMap<String, StreamCheckpoint>) {
        for (_, checkpoint) in ended {
            let mut stream = StreamTail::new(checkpoint.info.clone(), Some(checkpoint));
            self.left_over.extend(stream.finish());
        }
    }

    fn scan_root(&mut self, watch: &mut dyn Watch) {
        watch.watch(&Place::Root);
        let entries = match self.root.entries() {
            Ok(entries) => entries,
            Err(error) => {
                tracing::warn!(%error, "the log directory can't be listed");
                return;
            }
        };
        let listed: HashSet<String> = entries.into_iter().filter(|e| e.is_dir).map(|e| e.name).collect();
        let lost: HashSet<String> = self.pods().filter(|pod| !listed.contains(*pod)).cloned().collect();
        for pod in lost {
            self.scan_pod(&pod, watch);
        }
        for pod in listed {
            if name::pod_dir(&pod).is_some() && watch.watch(&Place::Pod(pod.clone())) {
                self.scan_pod(&pod, watch);
            }
        }
    }

    fn scan_pod(&mut self, pod: &str, watch: &mut dyn Watch) {
        let known: Vec<Key> = self.containers.keys().filter(|(dir, _)| dir == pod).cloned().collect();
        for (_, container) in &known {
            self.scan_container(pod, container, watch);
        }
        let Ok(entries) = self.root.dir(pod).and_then(|directory| directory.entries()) else { return };
        for entry in entries.into_iter().filter(|entry| entry.is_dir) {
            let fresh = watch.watch(&Place::Container(pod.to_owned(), entry.name.clone()));
            if fresh || !known.iter().any(|(_, container)| *container == entry.name) {
                self.scan_container(pod, &entry.name, watch);
            }
        }
    }

    fn scan_container(&mut self, pod: &str, container: &str, watch: &mut dyn Watch) {
        let key = (pod.to_owned(), container.to_owned());
        let directory = self.open(pod, container);
        if let Err(error) = &directory
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::debug!(pod, container, %error, "log directory can't be opened");
            return;
        }
        let directory = directory.ok();
        let entries = directory.as_ref().map(Dir::settled_entries).transpose();
        let Ok(entries) = entries else { return };
        let by_restart = by_restart(entries.unwrap_or_default());
        let mut linked =
            directory.as_ref().map(|found| self.links.look(&key, found, watch)).unwrap_or_default();
        let streams = self.containers.entry(key.clone()).or_default();
        let restarts: BTreeSet<u32> = by_restart.keys().chain(linked.keys()).copied().collect();
        for restart in
            restarts.into_iter().filter(|restart| !streams.contains_key(restart)).collect::<Vec<_>>()
        {
            let Some(info) = stream_info(&self.node, pod, container, restart) else { return };
            let checkpoint = self.resumed.remove(&info.key());
            let stream = StreamTail::new(info, checkpoint);
            if stream.is_holding() {
                self.holding.insert(key.clone());
            }
            streams.insert(restart, stream);
        }
        for (restart, stream) in streams.iter_mut() {
            let entries = by_restart.get(restart).map(Vec::as_slice).unwrap_or_default();
            self.vanished |= match (&directory, linked.remove(restart)) {
                (Some(_), Some(Followed { target, folder, entries })) => {
                    stream.link(target);
                    stream.update(Some(&folder), &entries)
                }
                (Some(_), None) if let Some(target) = stream.linked() => match self.links.list(target) {
                    Ok((folder, entries)) => stream.update(Some(&folder), &entries),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => stream.update(None, &[]),
                    Err(error) => {
                        tracing::warn!(pod, container, %error, "docker's folder can't be listed");
                        false
                    }
                },
                _ => stream.update(directory.as_ref(), entries),
            };
        }
        self.bound_deleted(&key);
        let Some(streams) = self.containers.get(&key) else { return };
        if streams.values().any(StreamTail::has_more) {
            self.queue(key);
        } else if directory.is_none() {
            self.forget(&key);
        }
    }

    fn scan_folder(&mut self, folder: &Path, watch: &mut dyn Watch) {
        watch.watch(&Place::Folder(folder.to_owned()));
        let here = self.system.iter().filter(|log| log.path.parent() == Some(folder));
        for log in here.cloned().collect::<Vec<_>>() {
            self.scan_system(&log);
        }
        for (pod, container) in self.links.at(folder) {
            self.scan_container(&pod, &container, watch);
        }
    }

    fn scan_system(&mut self, log: &SystemLog) {
        let entries = self.open("", &log.name).and_then(|folder| Ok((folder.settled_entries()?, folder)));
        let (mut entries, folder) = match entries {
            Ok(entries) => entries,
            Err(error) => {
                tracing::debug!(log = log.name, %error, "folder of a log can't be listed");
                return;
            }
        };
        entries.retain(|entry| !entry.is_dir && log.is_file(&entry.name));
        let key = (String::new(), log.name.clone());
        let streams = self.containers.entry(key.clone()).or_default();
        let stream = streams.entry(0).or_insert_with(|| {
            let info = log.stream(&self.node);
            let checkpoint = self.resumed.remove(&info.key());
            StreamTail::new(info, checkpoint).of_system(log.file().unwrap_or_default().to_owned())
        });
        self.vanished |= stream.update(Some(&folder), &entries);
        if stream.is_holding() {
            self.holding.insert(key.clone());
        }
        if stream.has_more() {
            self.queue(key);
        }
    }

    fn wrote_in(&mut self, folder: &Path, file: &str, watch: &mut dyn Watch) {
        for key in self.links.at(folder) {
            let streams = self.containers.get_mut(&key).into_iter().flat_map(BTreeMap::values_mut);
            let is_it = |target: &Target| target.folder == folder && target.is_file(file);
            let mut streams = streams.filter(|stream| stream.linked().is_some_and(is_it));
            let Some(stream) = streams.next() else { continue };
            match stream.files.iter_mut().find(|known| known.name == file && !known.gone) {
                Some(known) => {
                    known.dirty = true;
                    self.queue(key);
                }
                None => self.scan_container(&key.0, &key.1, watch),
            }
        }
        self.wrote_system(folder, file);
    }

    fn wrote_system(&mut self, folder: &Path, file: &str) {
        let is_it = |log: &&SystemLog| log.path.parent() == Some(folder) && log.is_file(file);
        let Some(log) = self.system.iter().find(is_it).cloned() else { return };
        let key = (String::new(), log.name.clone());
        let streams = self.containers.get_mut(&key);
        let mut files =
            streams.into_iter().flat_map(BTreeMap::values_mut).flat_map(|stream| &mut stream.files);
        match files.find(|known| known.name == file && !known.gone) {
            Some(known) => {
                known.dirty = true;
                self.queue(key);
            }
            None => self.scan_system(&log),
        }
    }

    fn wrote(&mut self, pod: &str, container: &str, file: &str, watch: &mut dyn Watch) {
        if name::log_file(file).is_none() {
            return;
        }
        let key = (pod.to_owned(), container.to_owned());
        let Some(streams) = self.containers.get_mut(&key) else {
            return self.scan_container(pod, container, watch);
        };
        let mut files = streams.values_mut().flat_map(|stream| &mut stream.files);
        match files.find(|known| known.name == file && !known.gone) {
            Some(known) => {
                known.dirty = true;
                self.queue(key);
            }
            None => self.scan_container(pod, container, watch),
        }
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

    fn queue(&mut self, key: Key) {
        if self.queued.insert(key.clone()) {
            self.ready.push_back(key);
        }
    }

    /// The directory is gone and all was read: what is pending ends here.
    fn forget(&mut self, key: &Key) {
        self.links.forget(key);
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

fn open_dir(root: &Dir, system: &[SystemLog], pod: &str, container: &str) -> io::Result<Dir> {
    if !pod.is_empty() {
        return root.dir(pod)?.dir(container);
    }
    let log = system.iter().find(|log| log.name == container);
    Dir::open(log.and_then(|log| log.path.parent()).ok_or(io::ErrorKind::NotFound)?)
}

fn by_restart(entries: Vec<Entry>) -> BTreeMap<u32, Vec<Entry>> {
    let mut by_restart: BTreeMap<u32, Vec<Entry>> = BTreeMap::new();
    for entry in entries.into_iter().filter(|entry| !entry.is_dir) {
        if let Some((restart, _)) = name::log_file(&entry.name) {
            by_restart.entry(restart).or_default().push(entry);
        }
    }
    by_restart
}

fn stream_info(node: &str, pod_dir: &str, container: &str, restart: u32) -> Option<StreamInfo> {
    let (namespace, pod, uid) = name::pod_dir(pod_dir)?;
    Some(StreamInfo {
        namespace: namespace.to_owned(),
        pod: pod.to_owned(),
        uid: uid.to_owned(),
        container: container.to_owned(),
        restart,
        node: node.to_owned(),
    })
}
