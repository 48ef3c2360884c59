//! Which files there are: what an event or a scan means for the streams.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    io,
    path::Path,
};

use super::{Key, Tailer};
use crate::{
    record::StreamInfo,
    tail::{
        Place, StreamCheckpoint, SystemLog, Watch,
        again::Refusal,
        dir::{Dir, Entry},
        links::{Followed, Target},
        name,
        stream::StreamTail,
    },
};

/// Of a container's directory, one after the other, until all its files could be opened.
const LISTINGS: usize = 4;

impl Tailer {
    pub(super) fn scan_everything(&mut self, watch: &mut dyn Watch) {
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

    /// Whether the directory is there that the stream's files are in, be it that it can't be opened.
    fn has_place(&self, info: &StreamInfo) -> bool {
        let pod = format!("{}_{}_{}", info.namespace, info.pod, info.uid);
        let is_there = match self.open(&pod, &info.container) {
            Ok(_) => true,
            Err(error) => Refusal::of(&error) != Refusal::Gone,
        };
        is_there || self.system.iter().any(|log| log.stream(&self.node) == *info)
    }

    /// What is pending of streams that get no more.
    pub(super) fn finish(&mut self, ended: HashMap<String, StreamCheckpoint>) {
        for (_, checkpoint) in ended {
            let mut stream = StreamTail::new(checkpoint.info.clone(), Some(checkpoint), &self.room);
            self.left_over.extend(stream.finish());
        }
    }

    pub(super) fn scan_root(&mut self, watch: &mut dyn Watch) {
        watch.watch(&Place::Root);
        let entries = match self.root.entries() {
            Ok(entries) => entries,
            Err(error) => {
                self.again.add(Place::Root, "", &error);
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

    pub(super) fn scan_pod(&mut self, pod: &str, watch: &mut dyn Watch) {
        let known: Vec<Key> = self.containers.keys().filter(|(dir, _)| dir == pod).cloned().collect();
        for (_, container) in &known {
            self.scan_container(pod, container, watch);
        }
        let entries = match self.root.dir(pod).and_then(|directory| directory.entries()) {
            Ok(entries) => entries,
            Err(error) => {
                // It is watched: nothing else would bring its containers back to mind.
                self.refused(Place::Pod(pod.to_owned()), &error);
                return;
            }
        };
        for entry in entries.into_iter().filter(|entry| entry.is_dir) {
            let fresh = watch.watch(&Place::Container(pod.to_owned(), entry.name.clone()));
            if fresh || !known.iter().any(|(_, container)| *container == entry.name) {
                self.scan_container(pod, &entry.name, watch);
            }
        }
    }

    pub(super) fn scan_container(&mut self, pod: &str, container: &str, watch: &mut dyn Watch) {
        let key = (pod.to_owned(), container.to_owned());
        self.make_room();
        let mut is_there = false;
        // What was rotated or compressed between a listing and the opening of its files is in the
        // next listing. Read before that, what comes behind it would be read too early.
        for _ in 0..LISTINGS {
            let Some(listed) = self.list_container(&key, watch) else { return };
            is_there = listed;
            let mut streams = self.containers.get(&key).into_iter().flat_map(BTreeMap::values);
            if !streams.any(StreamTail::has_missed) {
                break;
            }
        }
        self.bound_deleted(&key);
        let Some(streams) = self.containers.get(&key) else { return };
        if streams.values().any(StreamTail::has_more) {
            self.queue(key);
        } else if !is_there && !streams.values().any(StreamTail::is_waiting) {
            self.forget(&key);
        }
    }

    /// Gives whether the directory is there, and nothing if that can't be told.
    fn list_container(&mut self, key: &Key, watch: &mut dyn Watch) -> Option<bool> {
        let (pod, container) = (key.0.as_str(), key.1.as_str());
        let opened = match self.open(pod, container) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => opened.and_then(|directory| Ok(Some((directory.settled_entries()?, directory)))),
        };
        let opened = opened.map_err(|error| self.doubt(key, &error)).ok()?;
        let (entries, directory) = opened.unzip();
        let by_restart = by_restart(entries.unwrap_or_default());
        let look = |found: &Dir| self.links.look(key, found, watch, &mut self.again);
        let mut linked = directory.as_ref().map(look).unwrap_or_default();
        let streams = self.containers.entry(key.clone()).or_default();
        let restarts: BTreeSet<u32> = by_restart.keys().chain(linked.keys()).copied().collect();
        for restart in
            restarts.into_iter().filter(|restart| !streams.contains_key(restart)).collect::<Vec<_>>()
        {
            let info = stream_info(&self.node, pod, container, restart)?;
            let checkpoint = self.resumed.remove(&info.key());
            let stream = StreamTail::new(info, checkpoint, &self.room);
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
                        self.again.add(Place::Container(key.0.clone(), key.1.clone()), &target.file, &error);
                        stream.doubt();
                        false
                    }
                },
                _ => stream.update(directory.as_ref(), entries),
            };
            for (file, error) in stream.take_refused() {
                self.again.add(Place::Container(key.0.clone(), key.1.clone()), &file, &error);
            }
        }
        Some(directory.is_some())
    }

    /// A place that couldn't be looked at is looked at again, unless it is gone.
    fn refused(&mut self, place: Place, error: &io::Error) {
        if Refusal::of(error) == Refusal::Gone {
            tracing::debug!(?place, %error, "log directory can't be opened");
        } else {
            self.again.add(place, "", error);
        }
    }

    /// The same of the directory of streams, of which nothing is known now.
    fn doubt(&mut self, key: &Key, error: &io::Error) {
        let streams = self.containers.get_mut(key).into_iter().flat_map(BTreeMap::values_mut);
        streams.for_each(StreamTail::doubt);
        let place = self.place(key);
        self.refused(place, error);
    }

    pub(super) fn scan_folder(&mut self, folder: &Path, watch: &mut dyn Watch) {
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
        let key = (String::new(), log.name.clone());
        self.make_room();
        // As in a container's directory.
        for _ in 0..LISTINGS {
            if let Err(error) = self.list_system(&key, log) {
                return self.doubt(&key, &error);
            }
            let mut streams = self.containers.get(&key).into_iter().flat_map(BTreeMap::values);
            if !streams.any(StreamTail::has_missed) {
                break;
            }
        }
        let Some(streams) = self.containers.get(&key) else { return };
        if streams.values().any(StreamTail::is_holding) {
            self.holding.insert(key.clone());
        }
        if streams.values().any(StreamTail::has_more) {
            self.queue(key);
        }
    }

    fn list_system(&mut self, key: &Key, log: &SystemLog) -> io::Result<()> {
        let folder = self.open("", &log.name)?;
        let mut entries = folder.settled_entries()?;
        entries.retain(|entry| !entry.is_dir && log.is_file(&entry.name));
        let place = self.place(key);
        let streams = self.containers.entry(key.clone()).or_default();
        let stream = streams.entry(0).or_insert_with(|| {
            let info = log.stream(&self.node);
            let checkpoint = self.resumed.remove(&info.key());
            let stream = StreamTail::new(info, checkpoint, &self.room);
            stream.of_system(log.file().unwrap_or_default().to_owned())
        });
        self.vanished |= stream.update(Some(&folder), &entries);
        for (file, error) in stream.take_refused() {
            self.again.add(place.clone(), &file, &error);
        }
        Ok(())
    }

    pub(super) fn wrote_in(&mut self, folder: &Path, file: &str, watch: &mut dyn Watch) {
        for key in self.links.at(folder) {
            let streams = self.containers.get_mut(&key).into_iter().flat_map(BTreeMap::values_mut);
            let is_it = |target: &Target| target.folder == folder && target.is_text(file);
            let mut streams = streams.filter(|stream| stream.linked().is_some_and(is_it));
            let Some(stream) = streams.next() else { continue };
            match stream.files.iter_mut().find(|known| known.name == file && !known.gone) {
                Some(known) if !known.is_copy() => {
                    known.dirty = true;
                    self.queue(key);
                }
                _ => self.scan_container(&key.0, &key.1, watch),
            }
        }
        self.wrote_system(folder, file);
    }

    fn wrote_system(&mut self, folder: &Path, file: &str) {
        let is_it = |log: &&SystemLog| log.path.parent() == Some(folder) && log.is_text(file);
        let Some(log) = self.system.iter().find(is_it).cloned() else { return };
        let key = (String::new(), log.name.clone());
        let streams = self.containers.get_mut(&key);
        let mut files =
            streams.into_iter().flat_map(BTreeMap::values_mut).flat_map(|stream| &mut stream.files);
        match files.find(|known| known.name == file && !known.gone) {
            Some(known) if !known.is_copy() => {
                known.dirty = true;
                self.queue(key);
            }
            _ => self.scan_system(&log),
        }
    }

    pub(super) fn wrote(&mut self, pod: &str, container: &str, file: &str, watch: &mut dyn Watch) {
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
