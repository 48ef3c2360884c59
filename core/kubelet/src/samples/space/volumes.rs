//! Volumes of Pods, each measured by a thread of its own: of a file system that hangs, such as
//! one of a server that is gone, no call comes back, and nothing ends it.
//!
//! ```text
//! Volumes ─ a Pod ─ Watched ──> thread: its file system each second; its files as often as
//!              │                        their cost allows, one volume after the other
//!              └──< the last answer, or nothing when it is silent for too long
//! ```
//!
//! Files that hang lose their turn to the others, which go on as if there were no such files ([`Turn`]).
//!
//! A thread that hangs is left to hang; it is asked nothing more until it answers, its volume is
//! missing meanwhile, and the log says so once.

use std::{
    collections::HashMap,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::{Pod, Volume};
use parking_lot::Mutex;
use tiphys_api::samples::VolumeSample;
use tiphys_runtime::stats::{Filesystem, filesystem};

use super::{OLD, Taken, pause, pulse::Pulse, turn::Turn};
use crate::{pod::spec, volumes};

/// What is silent for so long is told as missing.
const SILENT: Duration = Duration::from_secs(5);
/// How long a turn to look at files is waited for: longer than one that hangs keeps it.
const PATIENCE: Duration = Duration::from_secs(6);
/// Volumes of one Pod that are measured: each has a thread.
const OF_A_POD: usize = 64;
const STACK: usize = 256 << 10;

/// The volumes of all Pods.
pub(super) struct Volumes {
    root: PathBuf,
    files: Arc<Files>,
    /// By the Pod's UID.
    pods: HashMap<String, OfPod>,
}

struct OfPod {
    watched: Vec<Watched>,
    told: Vec<VolumeSample>,
}

/// What all who look at files share: one does so at a time.
struct Files {
    turn: Turn,
    /// How long a turn is waited for.
    patience: Duration,
    /// Volumes whose files are looked at.
    looks: AtomicUsize,
}

impl Files {
    fn new(patience: Duration) -> Self {
        Self { turn: Turn::new(SILENT), patience, looks: AtomicUsize::new(0) }
    }
}

impl Volumes {
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), files: Arc::new(Files::new(PATIENCE)), pods: HashMap::new() }
    }

    /// What is told of these Pods, by UID: all volumes of those where one has changed, and of each
    /// when `all` are to be told. Other Pods are forgotten.
    pub fn next(
        &mut self,
        pods: &[&Arc<Pod>],
        now: Instant,
        all: bool,
    ) -> HashMap<String, Vec<VolumeSample>> {
        let mut told = HashMap::new();
        for pod in pods {
            let uid = spec::uid(pod).to_owned();
            let start = || OfPod::start(&self.root, pod, &self.files);
            let of = self.pods.entry(uid.clone()).or_insert_with(start);
            let found: Vec<_> = of.watched.iter_mut().filter_map(|one| one.current(now)).collect();
            if !found.is_empty() && (all || found != of.told) {
                told.insert(uid, found.clone());
            }
            of.told = found;
        }
        if self.pods.len() > pods.len() {
            self.pods.retain(|uid, _| pods.iter().any(|pod| spec::uid(pod) == uid));
        }
        told
    }
}

impl OfPod {
    fn start(root: &Path, pod: &Pod, files: &Arc<Files>) -> Self {
        let volumes = spec::of(pod).volumes.as_deref().unwrap_or_default();
        let mut places: Vec<_> = volumes.iter().filter_map(|volume| Place::of(root, pod, volume)).collect();
        if places.len() > OF_A_POD {
            let (namespace, pod) = (spec::namespace(pod), spec::name(pod));
            let (volumes, measured) = (places.len(), OF_A_POD);
            tracing::warn!(namespace, pod, volumes, measured, "a Pod has more volumes than are measured");
            places.truncate(OF_A_POD);
        }
        let watched = places.into_iter().map(|place| {
            let mut looked = Looked::new(files.clone());
            Watched::start(place.folder.join(&place.volume), move |pulse| place.measure(&mut looked, pulse))
        });
        Self { watched: watched.collect(), told: Vec::new() }
    }
}

/// What a thread measures until this goes.
struct Watched {
    /// For the log.
    path: PathBuf,
    pulse: Arc<Pulse>,
    found: Arc<Mutex<Option<VolumeSample>>>,
    is_silent: bool,
    /// The thread ends when this end goes.
    _stop: Sender<std::convert::Infallible>,
}

impl Watched {
    fn start(
        path: PathBuf,
        mut measure: impl FnMut(&Arc<Pulse>) -> Option<VolumeSample> + Send + 'static,
    ) -> Self {
        let (stop, stopped) = channel();
        let (pulse, found) = (Arc::new(Pulse::new()), Arc::default());
        let (beat, answer): (Arc<Pulse>, Arc<Mutex<Option<VolumeSample>>>) =
            (pulse.clone(), Arc::clone(&found));
        let keep_measuring = move || {
            while goes_on(&stopped) {
                beat.sign();
                let measured = measure(&beat);
                *answer.lock() = measured;
                beat.rest();
            }
        };
        let thread = std::thread::Builder::new().name("volume".to_owned()).stack_size(STACK);
        if let Err(error) = thread.spawn(keep_measuring) {
            tracing::warn!(%error, path = %path.display(), "there is no thread that measures a volume");
        }
        Self { path, pulse, found, is_silent: false, _stop: stop }
    }

    /// The last answer; none when it is silent for too long.
    fn current(&mut self, now: Instant) -> Option<VolumeSample> {
        let is_silent = self.pulse.silent(now) > SILENT;
        if is_silent != self.is_silent {
            let path = self.path.display();
            match is_silent {
                true => tracing::warn!(%path, "the volume's file system doesn't answer: it is not measured"),
                false => tracing::info!(%path, "the volume's file system answers again"),
            }
            self.is_silent = is_silent;
        }
        if is_silent { None } else { self.found.lock().clone() }
    }
}

/// Waits for the next second; whether there is one.
fn goes_on(stopped: &Receiver<std::convert::Infallible>) -> bool {
    matches!(stopped.recv_timeout(super::SHORTEST), Err(RecvTimeoutError::Timeout))
}

/// Where a volume that a Pod writes to is.
struct Place {
    /// The folder of the Pod's volumes.
    folder: PathBuf,
    volume: String,
    claim: String,
}

impl Place {
    fn of(root: &Path, pod: &Pod, volume: &Volume) -> Option<Self> {
        let of_claim = volume.persistent_volume_claim.as_ref().map(|claim| claim.claim_name.clone());
        let ephemeral = || volume.ephemeral.as_ref().map(|_| format!("{}-{}", spec::name(pod), volume.name));
        let claim = of_claim.or_else(ephemeral);
        (volume.empty_dir.is_some() || claim.is_some()).then(|| Self {
            folder: volumes::folder_of(root, pod),
            volume: volume.name.clone(),
            claim: claim.unwrap_or_default(),
        })
    }

    /// None: it is not there, or its file system says nothing.
    fn measure(&self, looked: &mut Looked, pulse: &Arc<Pulse>) -> Option<VolumeSample> {
        let path = placed(&self.folder, &self.volume)?;
        let space = filesystem(&path);
        if space == Filesystem::default() {
            return None;
        }
        pulse.sign();
        let device = |path: &Path| fs::metadata(path).map(|found| found.dev()).ok();
        // A file system of its own says what is in it; of another's folder each file is asked.
        let is_mount = path.parent().and_then(device) != device(&path);
        let taken = match is_mount {
            true => Taken { bytes: space.used_bytes, inodes: space.inodes.saturating_sub(space.inodes_free) },
            false => looked.at(&path, pulse, Instant::now())?,
        };
        Some(VolumeSample {
            volume: self.volume.clone(),
            claim: self.claim.clone(),
            capacity_bytes: space.capacity_bytes,
            available_bytes: space.available_bytes,
            used_bytes: taken.bytes,
            inodes: space.inodes,
            inodes_free: space.inodes_free,
            inodes_used: taken.inodes,
        })
    }
}

/// Below the folder of its kind, whichever that is.
fn placed(volumes: &Path, name: &str) -> Option<PathBuf> {
    let kinds = fs::read_dir(volumes).ok()?.filter_map(Result::ok);
    kinds.map(|kind| kind.path().join(name)).find(|path| path.is_dir())
}

/// What a volume's files took when they were looked at last.
struct Looked {
    files: Arc<Files>,
    last: Option<Taken>,
    /// When that was.
    looked: Option<Instant>,
    /// When they are looked at again.
    due: Option<Instant>,
}

impl Looked {
    fn new(files: Arc<Files>) -> Self {
        Self { files, last: None, looked: None, due: None }
    }

    /// As it is now, or as it was when the cost and others' turns allowed to look; none when that
    /// was too long ago.
    fn at(&mut self, path: &Path, pulse: &Arc<Pulse>, now: Instant) -> Option<Taken> {
        self.by(|pulse| taken(path, pulse), pulse, now)
    }

    /// The same, by who walks over the files.
    fn by(
        &mut self,
        walk: impl FnOnce(&Pulse) -> io::Result<Taken>,
        pulse: &Arc<Pulse>,
        now: Instant,
    ) -> Option<Taken> {
        if self.due.is_some_and(|due| now < due) {
            return self.current(now);
        }
        let asked = Instant::now();
        // Others are waited for, and no file system.
        pulse.rest();
        let files = self.files.clone();
        let Some(turn) = files.turn.take(pulse, files.patience) else {
            return self.current(now + asked.elapsed());
        };
        if self.due.is_none() {
            files.looks.fetch_add(1, Ordering::Relaxed);
        }
        let begun = Instant::now();
        self.last = walk(pulse).ok();
        drop(turn);
        let (took, ended) = (begun.elapsed(), now + asked.elapsed());
        self.looked = Some(ended);
        self.due = Some(ended + pause(took, files.looks.load(Ordering::Relaxed)));
        self.last
    }

    fn current(&self, now: Instant) -> Option<Taken> {
        let is_new = self.looked.is_some_and(|looked| now.saturating_duration_since(looked) < OLD);
        self.last.filter(|_| is_new)
    }
}

impl Drop for Looked {
    fn drop(&mut self) {
        if self.due.is_some() {
            self.files.looks.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// What the files of a tree take, links not followed. What goes away meanwhile counts no more.
/// Its depth is a Pod's choice, so folders wait in a list.
fn taken(folder: &Path, pulse: &Pulse) -> io::Result<Taken> {
    pulse.sign();
    let own = fs::symlink_metadata(folder)?;
    let mut sum = Taken { bytes: own.blocks() * 512, inodes: 1 };
    let mut waiting = vec![folder.to_owned()];
    while let Some(folder) = waiting.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.filter_map(Result::ok) {
            pulse.sign();
            let Ok(found) = entry.metadata() else { continue };
            if found.dev() != own.dev() {
                continue;
            }
            sum = Taken { bytes: sum.bytes + found.blocks() * 512, inodes: sum.inodes + 1 };
            if found.is_dir() {
                waiting.push(entry.path());
            }
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests;
