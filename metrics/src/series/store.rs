//! The store: memory in front, log beside, blocks behind.

mod counts;
mod keeping;
mod replay;
mod scan;
mod select;

use std::{
    collections::HashSet,
    ops::Range,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::{Mutex, RwLock};
use tiphys_api::ways::{Way, Ways};
use tiphys_lifecycle::Tasks;
use tokio::sync::Notify;

use super::{
    Downsampling, Exemplar, Labels, Limits, Matcher, Meta, Missing, Offender, Refused, SelectError, Symbols,
    Wanted,
    archive::{Archive, ArchiveConfig, ArchiveCounts},
    block::BlockError,
    described::Descriptions,
    head::{Appended, Bounds, Head, PART, Sample, SeriesId, Untaken},
    log::{Current, LogError, Passed, Records, Segments},
};
use crate::late::Late;
use counts::StoreCounts;
use keeping::Blocks;
use replay::Replay;
use scan::Begun;

pub use scan::Scan;

/// Where and how long series are kept.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    pub folder: PathBuf,
    pub limits: Limits,
    /// What is older goes.
    pub keep: Duration,
    /// Bytes of blocks; beyond them the oldest go.
    pub keep_bytes: u64,
    /// When days that are over are made coarser; absent: never.
    pub downsampling: Option<Downsampling>,
    /// Where days go when they are over, so that they need not be here.
    pub archive: Option<ArchiveConfig>,
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Block(#[from] BlockError),
}

/// The log, and which segment of it is written now.
struct Log {
    segments: Mutex<Segments>,
    /// Held for reading while samples go into head and log, so that they stand in the segment
    /// that knows their series.
    current: RwLock<Current>,
    /// Woken when something waits to be written.
    dirty: Notify,
    /// Woken when something is written that is not durable yet.
    written: Notify,
    /// Held while something is made durable: what one has taken for it, another doesn't find, and would not
    /// wait for.
    syncing: Mutex<()>,
}

/// All series. Appending and asking may go on at once.
pub struct Store {
    head: Head,
    log: Option<Log>,
    blocks: Option<Arc<Blocks>>,
    archive: Option<Arc<Archive>>,
    descriptions: RwLock<Descriptions>,
    counts: StoreCounts,
    /// Woken when a part of an hour may be ready to be written out.
    due: Notify,
    /// The end of the part that [`Store::due`] was woken for.
    due_at: AtomicI64,
    /// When samples came last, by the clock, milliseconds.
    appended_at: AtomicI64,
    /// How late it is for samples that come.
    coming: Mutex<Late>,
    /// How late it is for what goes for its age.
    going: Mutex<Late>,
    /// Walks that have begun.
    scans: AtomicUsize,
}

/// A part of an hour is written out when so much has passed behind it, milliseconds: until then
/// what comes late is taken.
const GRACE: i64 = 10 * 60_000;

/// How often the series of a sample is resolved again that goes before it has the sample.
const TRIES: usize = 3;

/// How far ahead of the clock a sample may be, milliseconds: clocks differ.
const FUTURE: i64 = 10 * 60_000;

/// A clock that leaps farther ahead, milliseconds, counts for samples when it has stood for [`STANDS`].
const LEAP: i64 = 24 * 3_600_000;
const STANDS: Duration = Duration::from_secs(600);

/// Up to when samples are taken at `now`, where the clock has stood at `late`. In a minute in which it is
/// wrong by years every series would get a sample of then, and take no other until then.
fn up_to(now: i64, late: i64) -> i64 {
    let believed = if now.saturating_sub(late) > LEAP { late } else { now };
    believed.saturating_add(FUTURE)
}

impl Store {
    /// A store that keeps nothing on disk.
    pub fn in_memory(limits: Limits) -> Self {
        Self::new(limits, None, None)
    }

    fn new(limits: Limits, log: Option<Log>, blocks: Option<Arc<Blocks>>) -> Self {
        Self {
            head: Head::new(limits),
            log,
            blocks,
            archive: None,
            descriptions: RwLock::default(),
            counts: StoreCounts::default(),
            due: Notify::new(),
            due_at: AtomicI64::new(i64::MIN),
            appended_at: AtomicI64::new(jiff::Timestamp::now().as_millisecond()),
            coming: Mutex::new(Late::standing(STANDS)),
            going: Mutex::default(),
            scans: AtomicUsize::new(0),
        }
    }

    /// Opens what is there and keeps it until `tasks` stops.
    ///
    /// # Errors
    /// The folder can't be read or written.
    pub fn open(config: StoreConfig, tasks: &Tasks) -> Result<Arc<Self>, StoreError> {
        let store = Arc::new(Self::recover(&config)?);
        keeping::start(&store, config, tasks);
        Ok(store)
    }

    fn recover(config: &StoreConfig) -> Result<Self, StoreError> {
        let counts = StoreCounts::default();
        let blocks = Blocks::open(&config.folder.join("blocks"), counts.clone())?;
        let mut store = Self { counts, ..Self::new(config.limits, None, Some(Arc::new(blocks))) };
        let until = store.until();
        store.head.raise_floor(until);
        if let Some(archive) = &config.archive {
            let own = keeping::own_name(&config.folder)?;
            store.archive = Some(Arc::new(Archive::new(archive.clone(), own)));
        }
        let mut replay = Replay::new(&store.head);
        let (segments, replayed) =
            Segments::open(&config.folder.join("log"), |segment, record| replay.take(segment, record))?;
        let undefined = replay.finish();
        let newest = store.head.newest().max((until > i64::MIN).then_some(until));
        store.going = Mutex::new(Late::since(newest.map(|newest| newest.saturating_mul(1000))));
        for (path, why) in &replayed.damaged {
            tracing::warn!(path = %path.display(), why, "a segment of the log of series ends early; what stood behind is lost");
            store.counts.damaged_segments.inc();
        }
        for (path, Passed { frames, bytes, at }) in &replayed.passed {
            tracing::error!(path = %path.display(), frames, bytes, at, "frames of the log of series are lost, as their checksums are wrong; what stands behind them is there");
            store.counts.damaged_frames.inc_by(*frames);
        }
        if undefined > 0 {
            tracing::error!(
                samples = undefined,
                "samples in the log of series are lost, as the definitions of their series are"
            );
            store.counts.undefined.inc_by(undefined);
        }
        for (path, appends, why) in &replayed.unreadable {
            tracing::error!(path = %path.display(), appends, why, "a segment of the log of series has appends that can't be read; the rest is there");
            store.counts.unreadable.inc_by(*appends);
        }
        let current = RwLock::new(Current::new(segments.number()));
        let (segments, dirty, written) = (Mutex::new(segments), Notify::new(), Notify::new());
        store.log = Some(Log { segments, current, dirty, written, syncing: Mutex::default() });
        store.measure();
        Ok(store)
    }

    /// Brings the figures of its size up to date.
    fn measure(&self) {
        let told = |size: u64| i64::try_from(size).unwrap_or(i64::MAX);
        self.counts.series.set(told(self.series_count() as u64));
        self.counts.block_bytes.set(told(self.disk_size()));
        if let Some(log) = &self.log {
            let size = log.segments.lock().size();
            self.counts.log_bytes.set(told(size));
        }
    }

    /// The series with these labels, made if there is none.
    ///
    /// # Errors
    /// A limit is reached.
    pub fn resolve(&self, labels: &Labels) -> Result<SeriesId, Refused> {
        self.head.resolve(labels, Ways::default())
    }

    /// The same, and says by which way it comes from now on.
    ///
    /// # Errors
    /// As above.
    pub fn resolve_by(&self, labels: &Labels, way: Way) -> Result<SeriesId, Refused> {
        self.head.resolve(labels, way.into())
    }

    /// The same of a series by which a scrape tells of itself: it is taken where others are too many, as far
    /// as [`Limits::reports`] goes.
    ///
    /// # Errors
    /// As above.
    pub fn resolve_report(&self, labels: &Labels) -> Result<SeriesId, Refused> {
        self.head.resolve_report(labels, Way::Scraped.into())
    }

    /// The labels of a series for who keeps them beside it: memory that they share, as long as the series
    /// is there.
    pub fn symbols(&self, series: SeriesId, labels: &Labels) -> Symbols {
        self.head.symbols(series, labels)
    }

    /// Takes samples. Those of one series must stand in order of time.
    pub fn append(&self, samples: &[Sample]) -> Appended {
        self.append_telling(samples, |_, _| {})
    }

    /// Takes samples, and tells which of them were not taken, and why.
    pub fn append_telling(&self, samples: &[Sample], tell: impl FnMut(usize, Untaken)) -> Appended {
        let now = jiff::Timestamp::now().as_millisecond();
        self.appended_at.store(now, Ordering::Relaxed);
        let up_to = up_to(now, self.coming.lock().is(now * 1000).div_euclid(1000));
        let bounds = Bounds { up_to, histogram: self.limits().histogram };
        let appended = match &self.log {
            None => self.head.append(samples, &bounds, &Current::new(0), |_| {}, tell),
            Some(log) => {
                let current = log.current.read();
                self.head.append(samples, &bounds, &current, |records| self.write_down(log, records), tell)
            }
        };
        self.wake();
        appended
    }

    /// Takes samples whose labels are at hand, and tells which of them were not taken, and why. One whose
    /// series was dropped since it was resolved is taken as one of the series that has its labels now, and
    /// comes by this way.
    pub fn append_of<'a>(
        &self,
        samples: &mut [Sample],
        labels: impl Fn(usize) -> &'a Labels,
        way: Way,
        mut tell: impl FnMut(usize, Untaken),
    ) -> Appended {
        let mut gone = Vec::new();
        let mut appended = self.append_telling(samples, |at, why| match why {
            Untaken::Unknown => gone.push(at),
            _ => tell(at, why),
        });
        for at in gone {
            let (mut again, mut why) = (Appended { unknown: 1, ..Appended::default() }, Untaken::Unknown);
            for _ in 0..TRIES {
                let Ok(series) = self.resolve_by(labels(at), way) else { break };
                samples[at].series = series;
                again = self.append_telling(&samples[at..=at], |_, now| why = now);
                if again.unknown == 0 {
                    break;
                }
            }
            appended.unknown -= 1;
            appended.add(&again);
            if again.taken == 0 {
                tell(at, why);
            }
        }
        appended
    }

    fn write_down(&self, log: &Log, records: &Records) {
        if !log.segments.lock().push(records) {
            self.counts.unlogged.inc_by(records.samples());
        }
        log.dirty.notify_one();
    }

    /// How much is taken in.
    pub fn limits(&self) -> &Limits {
        self.head.limits()
    }

    /// Says so when the samples have come so far that a part of an hour is complete.
    fn wake(&self) {
        if self.blocks.is_none() {
            return;
        }
        let Some(newest) = self.head.newest() else { return };
        let complete = (newest - GRACE).div_euclid(PART) * PART;
        if self.due_at.fetch_max(complete, Ordering::Relaxed) < complete {
            self.due.notify_one();
        }
    }

    /// What Tiphys itself says of a metric.
    pub fn describe_own(&self, metric: &str, meta: Meta) {
        self.descriptions.write().set_own(metric, meta);
    }

    /// Keeps what a source says of a metric of which its namespace has series; its newest word counts. An
    /// empty namespace stands for the cluster, which need not have any yet.
    pub fn describe(&self, namespace: &str, metric: &str, meta: Meta) {
        let meta = meta.cut();
        if metric.is_empty()
            || metric.len() > self.limits().label_bytes
            || self.descriptions.read().has(namespace, metric, &meta)
            || !(namespace.is_empty() || self.head.has_metric(namespace, metric))
        {
            return;
        }
        let now = jiff::Timestamp::now().as_millisecond();
        if !self.descriptions.write().set(namespace, metric, meta, now, self.limits()) {
            self.counts.words_refused.inc();
        }
    }

    /// Lets go what was said of metrics that have had no series for as long as they are kept.
    fn forget_descriptions(&self, now: i64, keep: Duration) {
        let before = now.saturating_sub(i64::try_from(keep.as_millis()).unwrap_or(i64::MAX));
        self.descriptions.write().forget(now, before, |namespace| self.head.names(namespace));
    }

    /// Gives a namespace a limit of series of its own, or takes it away; what it has stays.
    pub fn limit_namespace(&self, namespace: &str, most: Option<usize>) {
        self.head.limit_namespace(namespace, most);
    }

    /// Takes away the own limits of all namespaces but these.
    pub fn keep_limits_of(&self, namespaces: &HashSet<String>) {
        self.head.keep_limits_of(namespaces);
    }

    /// Keeps an exemplar; each series has its newest ten. `false`: its labels are too long, or there is no
    /// such series.
    pub fn add_exemplar(&self, series: SeriesId, exemplar: Exemplar) -> bool {
        self.head.add_exemplar(series, exemplar)
    }

    /// Walks over the series that match, in order of their labels, on a thread that may wait.
    ///
    /// # Errors
    /// A file can't be read. What is damaged or can't be reached is told as missing instead.
    pub fn scan(
        &self,
        matchers: &[Matcher],
        range: &Range<i64>,
        missing: &Missing,
    ) -> Result<Scan, SelectError> {
        self.scans.fetch_add(1, Ordering::Relaxed);
        Begun::new(self, matchers, range, Wanted::All, missing).open()
    }

    /// What it tells of itself.
    pub fn counts(&self) -> &StoreCounts {
        &self.counts
    }

    /// What the archive tells of itself, where there is one.
    pub fn archive_counts(&self) -> Option<&ArchiveCounts> {
        self.archive.as_ref().map(|archive| &archive.counts)
    }

    /// A range cut where files begin and end, oldest first: each part is what one file answers,
    /// or what is in memory.
    pub fn parts(&self, range: &Range<i64>) -> Vec<Range<i64>> {
        let blocks = self.blocks.as_ref().map(|blocks| blocks.meeting(range));
        let (blocks, until) = blocks.unwrap_or((Vec::new(), i64::MIN));
        let mut files: Vec<_> = blocks.iter().map(|block| block.range.clone()).collect();
        let mut away = i64::MIN;
        if let Some(archive) = &self.archive {
            let since = self.since();
            // What it lacks is told when it is read; then it has to be asked of this, too.
            let chosen = archive.chosen(&[], range, &files, since, &Missing::default());
            files.extend(chosen.into_iter().map(|entry| entry.range));
            away = since.unwrap_or(i64::MAX);
        }
        let ends = files.iter().flat_map(|file| [file.start, file.end]);
        let mut cuts: Vec<_> = ends.chain([until, away]).filter(|cut| range.contains(cut)).collect();
        cuts.push(range.end);
        cuts.sort_unstable();
        cuts.dedup();
        let mut from = range.start;
        let parts = cuts.into_iter().map(|cut| std::mem::replace(&mut from, cut)..cut);
        let has_some = |part: &Range<i64>| {
            let meets = |file: &Range<i64>| file.start < part.end && file.end > part.start;
            part.start < part.end && (part.end > until || part.start < away || files.iter().any(meets))
        };
        parts.filter(has_some).collect()
    }

    /// Some series that stands in memory, and the time of the newest sample of all.
    pub fn any_series(&self) -> Option<(Labels, i64)> {
        self.head.any().zip(self.head.newest())
    }

    pub fn series_count(&self) -> usize {
        self.head.series_count()
    }

    /// The metrics with the most series, the worst first.
    pub fn offenders(&self, most: usize) -> Vec<Offender> {
        self.head.offenders(most)
    }

    /// Bytes that series and samples in memory take, without the index.
    pub fn head_size(&self) -> usize {
        self.head.size()
    }

    /// Bytes of all blocks.
    pub fn disk_size(&self) -> u64 {
        self.blocks.as_ref().map_or(0, |blocks| blocks.size())
    }

    /// The begin of what is here.
    fn since(&self) -> Option<i64> {
        let first = self.blocks.as_ref().and_then(|blocks| blocks.since());
        first.or_else(|| self.head.oldest_since(i64::MIN))
    }

    /// What is older stands in blocks.
    fn until(&self) -> i64 {
        self.blocks.as_ref().map_or(i64::MIN, |blocks| blocks.until())
    }
}

/// A store that tests keep by hand.
#[cfg(test)]
impl Store {
    pub fn at(folder: &std::path::Path) -> Self {
        Self::recover(&by_hand(folder)).expect("opened")
    }

    /// What is over becomes blocks, and memory is freed.
    pub fn write_out(&self, now: i64) {
        self.keep(&by_hand(&PathBuf::new()), now, true).expect("written out");
    }

    /// Lets go what is older.
    pub fn drop_before(&self, time: i64) {
        self.head.drop_before(time);
    }

    /// What waits for the log is in it.
    pub fn end(&self) {
        self.flush_log().expect("written");
    }

    /// How blocks were read so far.
    pub fn readings(&self) -> super::block::Readings {
        self.blocks.as_ref().map(|blocks| blocks.readings()).unwrap_or_default()
    }

    /// Walks that have begun.
    pub fn scans(&self) -> usize {
        self.scans.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
fn by_hand(folder: &std::path::Path) -> StoreConfig {
    let keep = Duration::from_secs(1000 * 365 * 24 * 3600);
    StoreConfig {
        folder: folder.to_owned(),
        limits: Limits::default(),
        keep,
        keep_bytes: u64::MAX,
        downsampling: None,
        archive: None,
    }
}

#[cfg(test)]
mod tests;
