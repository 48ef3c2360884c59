//! Where spans are: the newest in memory and in a log, the others in files.
//!
//! The log has what is in memory, a line a span, and begins anew when that becomes a file. What
//! is taken in outlives the process at once, and the machine's end after a second; what a disk
//! could not make durable is tried again. On a disk that is full nothing is taken, and what is in
//! memory stays there and in the log. Files go when they are old, or when all together are too
//! large, the oldest first.

use std::{
    convert::Infallible,
    fmt, fs, io, mem,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use datafusion::arrow::{array::RecordBatch, error::ArrowError};
use jiff::Timestamp;
use parking_lot::{Mutex, RwLock};
use tiphys_lifecycle::{CancellationToken, OnError, Tasks};
use tokio::sync::Notify;

use super::{
    file::{self, Failing, Search, SpanFile},
    former,
    log::{self, Log},
    span::{self, Span},
};
use crate::{append::Unsynced, late::Late};

/// Bytes of spans in memory before they become a file.
const RECENT: usize = 64 << 20;
/// They do at the latest after so long.
const HOUR: i64 = 3_600_000_000;
/// How often it is looked.
const LOOK: Duration = Duration::from_secs(10);
/// How long what was taken in may wait to be made durable.
const SYNC: Duration = Duration::from_secs(1);

#[derive(Debug, Clone)]
pub struct SpansConfig {
    pub folder: PathBuf,
    /// How long files are kept.
    pub keep: Duration,
    /// Bytes of all files.
    pub keep_bytes: u64,
}

#[derive(Debug, thiserror::Error)]
#[error("spans in {folder} can't be opened")]
pub struct SpansError {
    folder: PathBuf,
    source: io::Error,
}

/// Times of which spans are missing: their file is damaged, or can't be read now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    why: Failing,
    /// Of the first and the last span, microseconds.
    first: i64,
    last: i64,
}

impl Gap {
    fn of(file: &SpanFile, why: Failing) -> Self {
        Self { why, first: file.first, last: file.last }
    }

    /// The gap that a file left which was set aside.
    fn left(path: &Path) -> Option<Self> {
        let (times, end) = path.file_name()?.to_str()?.rsplit_once('-')?;
        let (first, last) = times.split_once('-')?;
        let (first, last) = (first.parse().ok()?, last.parse().ok()?);
        let gap = Self { why: Failing::Damaged, first, last };
        end.ends_with(".damaged").then_some(gap)
    }

    /// Whether it is about these times, the end excluded.
    pub fn meets(&self, range: &Range<i64>) -> bool {
        self.first < range.end && self.last >= range.start
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time =
            |micros| Timestamp::from_microsecond(micros).map_or_else(|_| "?".to_owned(), |at| at.to_string());
        let why = match self.why {
            Failing::Damaged => "is damaged",
            Failing::Unread => "can't be read now",
        };
        write!(f, "spans from {} to {} are missing: their file {why}", time(self.first), time(self.last))
    }
}

#[derive(Default)]
struct Recent {
    spans: Vec<Arc<Span>>,
    bytes: usize,
    /// When the first of them came, microseconds.
    since: i64,
}

pub struct Spans {
    config: SpansConfig,
    recent: RwLock<Recent>,
    /// Held while spans go into log and memory.
    log: Mutex<Log>,
    /// Woken when something is in the log that is not durable.
    taken: Notify,
    /// Held while files change.
    files: Mutex<()>,
    /// How late it is for files that are too old.
    late: Mutex<Late>,
}

/// Keeps spans in their bounds, again and again.
async fn keep(spans: Arc<Spans>) -> Result<(), Infallible> {
    let mut look = tokio::time::interval(LOOK);
    loop {
        look.tick().await;
        let spans = spans.clone();
        let looked = tokio::task::spawn_blocking(move || spans.look(now())).await;
        if let Ok(Err(error)) = looked {
            tracing::error!(%error, "spans can't be written to a file, and stay in memory");
        }
    }
}

/// Makes durable what is taken in, until the process stops. What fails is tried again, and told of once.
async fn sync(spans: Arc<Spans>, stop: CancellationToken) -> Result<(), Infallible> {
    let mut is_troubled = false;
    loop {
        let due = async {
            spans.taken.notified().await;
            tokio::time::sleep(SYNC).await;
        };
        let stops = stop.run_until_cancelled(due).await.is_none();
        let syncing = spans.clone();
        let sync = move || syncing.unsynced()?.into_iter().try_for_each(Unsynced::sync);
        match tokio::task::spawn_blocking(sync).await {
            Ok(Ok(())) => is_troubled = false,
            Ok(Err(error)) => {
                spans.taken.notify_one();
                if !mem::replace(&mut is_troubled, true) {
                    let folder = spans.config.folder.display();
                    tracing::error!(%folder, %error, "spans are in the log and not durable; tried each second");
                }
            }
            // One that panicked has said so; the next round goes on.
            Err(_) => spans.taken.notify_one(),
        }
        if stops {
            return Ok(());
        }
    }
}

fn now() -> i64 {
    Timestamp::now().as_microsecond()
}

/// What the log has.
fn replay(files: Vec<(u64, PathBuf)>) -> io::Result<Recent> {
    let mut recent = Recent { since: now(), ..Recent::default() };
    for (_, path) in files {
        for span in log::read(&path)? {
            recent.bytes += span.size();
            recent.spans.push(Arc::new(span));
        }
    }
    Ok(recent)
}

impl Spans {
    /// Opens the folder, which is made if there is none, and keeps it in its bounds until `tasks` stops.
    ///
    /// # Errors
    /// The folder can't be made or read.
    pub fn open(config: SpansConfig, tasks: &Tasks) -> Result<Arc<Self>, SpansError> {
        let folder = config.folder.clone();
        let spans = Arc::new(Self::load(config).map_err(|source| SpansError { folder, source })?);
        tasks.spawn("keep spans", OnError::Log, keep(spans.clone()));
        let syncing = spans.clone();
        tasks.spawn_draining("sync spans", OnError::Log, move |stop| sync(syncing, stop));
        Ok(spans)
    }

    /// Reads what is there.
    ///
    /// # Errors
    /// The folder can't be made or read.
    pub(super) fn load(config: SpansConfig) -> io::Result<Self> {
        fs::create_dir_all(&config.folder)?;
        file::clear(&config.folder)?;
        let files = file::list(&config.folder)?;
        let written = files.iter().map(|file| file.number).max().unwrap_or(0);
        let late = Mutex::new(Late::since(files.iter().map(|file| file.last).max()));
        log::forget(&config.folder, written)?;
        let next = log::last(&config.folder)?.max(written) + 1;
        if let Err(error) = former::take_over(&config.folder, next) {
            tracing::error!(%error, "the log of spans of a former version can't be read; the next start tries it again");
        }
        let newest = log::last(&config.folder)?;
        // Half a line at its end is cut off before it is read.
        let log = Log::open(&config.folder, newest.max(written + 1))?;
        let recent = RwLock::new(replay(log::list(&config.folder)?)?);
        let (log, taken, files) = (Mutex::new(log), Notify::new(), Mutex::default());
        Ok(Self { config, recent, log, taken, files, late })
    }

    /// Takes spans in. They outlive the process when this returns.
    ///
    /// # Errors
    /// The log can't be written; then none was taken.
    pub fn take(&self, spans: Vec<Span>) -> io::Result<()> {
        let mut lines = Vec::new();
        for span in &spans {
            serde_json::to_writer(&mut lines, span)?;
            lines.push(b'\n');
        }
        let mut log = self.log.lock();
        log.append(&lines)?;
        let mut recent = self.recent.write();
        recent.bytes += spans.iter().map(Span::size).sum::<usize>();
        recent.spans.extend(spans.into_iter().map(Arc::new));
        self.taken.notify_one();
        Ok(())
    }

    /// What is not durable yet. It is made so without a lock: takes go on meanwhile.
    ///
    /// # Errors
    /// There are too many open files.
    pub(super) fn unsynced(&self) -> io::Result<Vec<Unsynced>> {
        self.log.lock().unsynced()
    }

    /// Whether no more is taken until a file is written.
    pub fn is_full(&self) -> bool {
        self.recent.read().bytes > 2 * RECENT
    }

    /// Makes a file of what is in memory, if it is much or old, and takes away old files.
    pub(super) fn look(&self, now: i64) -> io::Result<()> {
        let due = {
            let recent = self.recent.read();
            // It came at a time that is yet to come: the clock was set back.
            let is_old = now - recent.since >= HOUR || now < recent.since;
            !recent.spans.is_empty() && (recent.bytes >= RECENT || is_old)
        };
        if due {
            self.write(now)?;
        }
        let late = self.late.lock().is(now);
        self.forget(late)
    }

    /// Makes a file of all that is in memory.
    pub(super) fn write(&self, now: i64) -> io::Result<()> {
        let _held = self.files.lock();
        let (number, mut spans) = {
            let mut log = self.log.lock();
            (log.begin_next()?, self.recent.read().spans.clone())
        };
        let count = spans.len();
        spans.sort_by_key(|span| span.time);
        file::write(&self.config.folder, &spans, number)?;
        let mut recent = self.recent.write();
        recent.spans.drain(..count);
        recent.bytes = recent.spans.iter().map(|span| span.size()).sum();
        recent.since = now;
        drop(recent);
        self.log.lock().let_go(number);
        log::forget(&self.config.folder, number)
    }

    /// How long files are kept, microseconds.
    fn keep(&self) -> i64 {
        i64::try_from(self.config.keep.as_micros()).unwrap_or(i64::MAX)
    }

    /// Takes files away that are too old, or too much.
    pub(super) fn forget(&self, now: i64) -> io::Result<()> {
        let _held = self.files.lock();
        let keep = self.keep();
        let mut files = file::list(&self.config.folder)?;
        let size = |file: &SpanFile| fs::metadata(&file.path).map_or(0, |metadata| metadata.len());
        let mut total: u64 = files.iter().map(size).sum();
        files.sort_by_key(|file| file.last);
        for file in files {
            if file.last >= now.saturating_sub(keep) && total <= self.config.keep_bytes {
                break;
            }
            total -= size(&file);
            fs::remove_file(&file.path)?;
        }
        Ok(())
    }

    /// What is in memory, and the files, that may have spans of these times. One moment's: no span is in both.
    pub fn within(&self, range: &Range<i64>) -> io::Result<(Vec<Arc<Span>>, Vec<SpanFile>)> {
        let _held = self.files.lock();
        let recent = self.recent.read();
        let spans = recent.spans.iter().filter(|span| range.contains(&span.time)).cloned().collect();
        let mut files = file::list(&self.config.folder)?;
        files.retain(|file| file.meets(range));
        Ok((spans, files))
    }

    /// What is missing of these times, in order: files that were set aside and would still be kept.
    fn gaps(&self, range: &Range<i64>) -> io::Result<Vec<Gap>> {
        let oldest = now().saturating_sub(self.keep());
        let mut gaps = Vec::new();
        for entry in fs::read_dir(&self.config.folder)? {
            let left = Gap::left(&entry?.path());
            gaps.extend(left.filter(|gap| gap.meets(range) && gap.last >= oldest));
        }
        gaps.sort_unstable_by_key(|gap| (gap.first, gap.last));
        Ok(gaps)
    }

    /// Gives all spans of these times to `see`, the newest file first, until it says that it is
    /// enough; and before each batch of a file nothing, so that it can say so there, too. Gives
    /// what is missing.
    ///
    /// # Errors
    /// The folder can't be read.
    pub fn visit(&self, range: &Range<i64>, see: impl FnMut(Option<&Span>) -> bool) -> io::Result<Vec<Gap>> {
        let (recent, files) = self.within(range)?;
        let sees = |span: &Span| range.contains(&span.time);
        let found = walk(&recent, &files, SpanFile::read, sees, see);
        self.lacks(range, found)
    }

    /// The same of what a search finds: what a file surely has not is not read.
    ///
    /// # Errors
    /// The folder can't be read.
    pub fn search(&self, search: &Search, see: impl FnMut(Option<&Span>) -> bool) -> io::Result<Vec<Gap>> {
        let range = search.micros();
        let (mut recent, files) = self.within(&range)?;
        search.keep_found(&mut recent);
        let found = walk(&recent, &files, |file| file.search(search), |_| true, see);
        self.lacks(&range, found)
    }

    /// All that is missing of these times, with what was found to be.
    fn lacks(&self, range: &Range<i64>, mut found: Vec<Gap>) -> io::Result<Vec<Gap>> {
        let mut gaps = self.gaps(range)?;
        // One that could not be renamed.
        found.retain(|gap| !gaps.contains(gap));
        gaps.extend(found);
        Ok(gaps)
    }
}

/// Gives spans to `see` as [`Spans::visit`] does it, those in memory first. Gives the gaps that
/// files leave that can't be read.
fn walk<R: Iterator<Item = Result<RecordBatch, ArrowError>>>(
    recent: &[Arc<Span>],
    files: &[SpanFile],
    open: impl Fn(&SpanFile) -> io::Result<R>,
    takes: impl Fn(&Span) -> bool,
    mut see: impl FnMut(Option<&Span>) -> bool,
) -> Vec<Gap> {
    let mut gaps = Vec::new();
    if !recent.iter().rev().all(|span| see(Some(span.as_ref()))) {
        return gaps;
    }
    for file in files.iter().rev() {
        let batches = match open(file) {
            Ok(batches) => batches,
            // It was too old in the meantime.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => {
                gaps.push(Gap::of(file, file.failed(&error)));
                continue;
            }
        };
        for batch in batches {
            let no_spans = || ArrowError::SchemaError("its columns are not those of spans".to_owned());
            let spans = match batch.and_then(|batch| span::spans(&batch).ok_or_else(no_spans)) {
                Ok(spans) => spans,
                Err(error) => {
                    gaps.push(Gap::of(file, file.failed(&error)));
                    break;
                }
            };
            if !see(None) || !spans.iter().filter(|&span| takes(span)).all(|span| see(Some(span))) {
                return gaps;
            }
        }
    }
    gaps
}
