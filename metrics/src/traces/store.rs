//! Where spans are: the newest in memory and in a log, the others in files.
//!
//! The log has what is in memory, a line a span, and begins anew when that has become a file;
//! after a death in between, ids tell which lines the file has. Files go when
//! they are old, or when all together are too large, the oldest first.

use std::{
    collections::HashSet,
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, Write},
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use parking_lot::{Mutex, RwLock};
use tiphys_lifecycle::{OnError, Tasks};

use super::{
    file::{self, SpanFile},
    span::{self, Span},
};

/// Bytes of spans in memory before they become a file.
const RECENT: usize = 64 << 20;
/// They do at the latest after so long.
const HOUR: i64 = 3_600_000_000;
/// How often it is looked.
const LOOK: Duration = Duration::from_secs(10);

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
    log: Mutex<File>,
    /// Held while files change.
    files: Mutex<u64>,
}

/// Keeps spans in their bounds, again and again.
async fn keep(spans: Arc<Spans>) -> Result<(), std::convert::Infallible> {
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

fn now() -> i64 {
    Timestamp::now().as_microsecond()
}

/// The spans of the newest file: the log may have them too, if it wasn't begun anew in time.
fn newest_ids(folder: &Path) -> io::Result<HashSet<(String, String)>> {
    let mut ids = HashSet::new();
    let Some(file) = file::list(folder)?.into_iter().max_by_key(|file| file.number) else { return Ok(ids) };
    let rows = file.read().into_iter().flatten();
    // A damaged file is told of when it is asked.
    for spans in rows.filter_map(|rows| span::spans(&rows.ok()?)) {
        ids.extend(spans.into_iter().map(|span| (span.trace_id, span.span_id)));
    }
    Ok(ids)
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
        Ok(spans)
    }

    fn load(config: SpansConfig) -> io::Result<Self> {
        fs::create_dir_all(&config.folder)?;
        let path = config.folder.join("recent.jsonl");
        let mut recent = Recent { since: now(), ..Recent::default() };
        if let Ok(file) = File::open(&path) {
            let (mut seen, mut lost) = (newest_ids(&config.folder)?, 0);
            for line in BufReader::new(file).split(b'\n') {
                match serde_json::from_slice::<Span>(&line?) {
                    Ok(span) => {
                        if seen.insert((span.trace_id.clone(), span.span_id.clone())) {
                            recent.bytes += span.size();
                            recent.spans.push(Arc::new(span));
                        }
                    }
                    Err(_) => lost += 1,
                }
            }
            if lost > 0 {
                tracing::warn!(path = %path.display(), lines = lost, "lines of spans that can't be read were left out");
            }
        }
        let log = OpenOptions::new().create(true).append(true).open(&path)?;
        let number = now().unsigned_abs();
        Ok(Self { config, recent: RwLock::new(recent), log: Mutex::new(log), files: Mutex::new(number) })
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
        let length = log.metadata()?.len();
        if let Err(error) = log.write_all(&lines) {
            // Half a line would spoil the next one.
            log.set_len(length)?;
            return Err(error);
        }
        let mut recent = self.recent.write();
        recent.bytes += spans.iter().map(Span::size).sum::<usize>();
        recent.spans.extend(spans.into_iter().map(Arc::new));
        Ok(())
    }

    /// Whether no more is taken until a file is written.
    pub fn is_full(&self) -> bool {
        self.recent.read().bytes > 2 * RECENT
    }

    /// Makes a file of what is in memory, if it is much or old, and takes away old files.
    pub(super) fn look(&self, now: i64) -> io::Result<()> {
        let due = {
            let recent = self.recent.read();
            !recent.spans.is_empty() && (recent.bytes >= RECENT || now - recent.since >= HOUR)
        };
        if due {
            self.write(now)?;
        }
        self.forget(now)
    }

    /// Makes a file of all that is in memory.
    pub(super) fn write(&self, now: i64) -> io::Result<()> {
        let mut number = self.files.lock();
        let mut spans = self.recent.read().spans.clone();
        let count = spans.len();
        spans.sort_by_key(|span| span.time);
        *number += 1;
        file::write(&self.config.folder, &spans, *number)?;
        let log = self.log.lock();
        let mut recent = self.recent.write();
        let rest = recent.spans.split_off(count);
        recent.bytes = rest.iter().map(|span| span.size()).sum();
        recent.spans = rest;
        recent.since = now;
        // What came meanwhile is written anew.
        log.set_len(0)?;
        let mut lines = Vec::new();
        for span in &recent.spans {
            serde_json::to_writer(&mut lines, &**span)?;
            lines.push(b'\n');
        }
        (&*log).write_all(&lines)
    }

    fn forget(&self, now: i64) -> io::Result<()> {
        let _held = self.files.lock();
        let keep = i64::try_from(self.config.keep.as_micros()).unwrap_or(i64::MAX);
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

    /// Gives all spans of these times to `see`, the newest file first, until it says that it is enough.
    ///
    /// # Errors
    /// The folder can't be read.
    pub fn visit(&self, range: &Range<i64>, mut see: impl FnMut(&Span) -> bool) -> io::Result<()> {
        let (recent, files) = self.within(range)?;
        if !recent.iter().rev().all(|span| see(span.as_ref())) {
            return Ok(());
        }
        for file in files.iter().rev() {
            let reader = match file.read() {
                Ok(reader) => reader,
                // It was too old in the meantime.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    file.set_aside(&error);
                    continue;
                }
            };
            for batch in reader {
                let Some(spans) = batch.ok().as_ref().and_then(span::spans) else {
                    file.set_aside(&"a row group can't be read");
                    break;
                };
                if !spans.iter().filter(|span| range.contains(&span.time)).all(&mut see) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}
