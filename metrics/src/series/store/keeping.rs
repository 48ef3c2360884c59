//! What goes on behind the store: the log is flushed, parts of an hour are written out, hours
//! are made of parts and days of hours, what is old is made coarser and at last goes.

mod coarser;
mod log;

use std::{
    convert::Infallible,
    fs, io,
    iter::Peekable,
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use parking_lot::RwLock;
use tiphys_lifecycle::{OnError, Tasks};

pub use coarser::make_archived_coarser;

use super::{GRACE, Store, StoreConfig, StoreError, counts::StoreCounts};
use crate::series::{
    archive::{Archive, ArchiveError},
    block::{Block, BlockError, Room, Row, Rows, SharedLabels, Writer},
    downsample::{thin_histograms, thin_numbers},
    head::{HOUR, PART, SharedHistogram},
};

const DAY: i64 = 24 * HOUR;
/// What blocks are put together to, shorter ones first.
const LEVELS: [i64; 2] = [HOUR, DAY];
/// How often is looked whether a part of an hour is over where no samples say so.
const LOOK: Duration = Duration::from_secs(30);
/// How many times until is looked which metrics have no series any more.
const LOOKS_TO_FORGET: u32 = 120;
/// How often the archive is asked where nothing is to be copied: what is too old, what others did.
const ARCHIVE_ROUND: Duration = Duration::from_secs(600);

/// Bytes that are kept of questions of many series, as long as they are asked again and again.
const KEPT: usize = 16 << 20;

/// The blocks that are there.
pub struct Blocks {
    folder: PathBuf,
    inner: RwLock<Inner>,
    room: Arc<Room>,
    counts: StoreCounts,
}

#[derive(Default)]
struct Inner {
    /// In order of time.
    list: Vec<Arc<Block>>,
    until: i64,
}

impl Blocks {
    /// Opens what there is. A damaged block is set aside, named and counted.
    pub fn open(folder: &Path, counts: StoreCounts) -> Result<Self, BlockError> {
        let io = |doing| move |source| BlockError::Io { path: folder.to_owned(), doing, source };
        fs::create_dir_all(folder).map_err(io("made"))?;
        let (mut list, room) = (Vec::new(), Room::new(KEPT));
        for entry in fs::read_dir(folder).map_err(io("listed"))? {
            let path = entry.map_err(io("listed"))?.path();
            match path.extension().and_then(|extension| extension.to_str()) {
                // A block that was not finished; what it is made of is still there.
                Some("new") => fs::remove_file(&path).map_err(io("cleared"))?,
                Some("parquet") => match Block::open(&path) {
                    Ok(block) => list.push(Arc::new(block.within(&room))),
                    Err(BlockError::Damaged { path, why }) => {
                        set_aside(&path, &why, &counts).map_err(io("cleared"))?
                    }
                    Err(error) => return Err(error),
                },
                _ => {}
            }
        }
        list.sort_by_key(|block| (block.range.start, -block.range.end));
        let mut inner = Inner { list: Vec::new(), until: i64::MIN };
        for block in list {
            inner.until = inner.until.max(block.range.end);
            // Those of which a longer one was made before they could be removed.
            match inner.list.last() {
                Some(longer) if longer.range.end >= block.range.end => {
                    fs::remove_file(block.path()).map_err(io("cleared"))?;
                }
                _ => inner.list.push(block),
            }
        }
        Ok(Self { folder: folder.to_owned(), inner: RwLock::new(inner), room, counts })
    }

    pub fn until(&self) -> i64 {
        self.inner.read().until
    }

    /// The blocks that meet a range, and up to where blocks answer.
    pub fn meeting(&self, range: &Range<i64>) -> (Vec<Arc<Block>>, i64) {
        let inner = self.inner.read();
        let meets = |block: &&Arc<Block>| block.range.start < range.end && block.range.end > range.start;
        (inner.list.iter().filter(meets).cloned().collect(), inner.until)
    }

    /// Lets go what they keep of many series and nobody asked for lately.
    pub fn forget_idle(&self) {
        let now = Instant::now();
        self.inner.read().list.iter().for_each(|block| block.forget_idle(now));
    }

    /// Where they begin.
    pub fn since(&self) -> Option<i64> {
        self.inner.read().list.first().map(|block| block.range.start)
    }

    /// Blocks that become part of no other: the only one of a day that is over.
    pub fn sealed(&self) -> Vec<Arc<Block>> {
        let inner = self.inner.read();
        let day = |block: &Block| block.range.start.div_euclid(DAY);
        let alone = |block: &&Arc<Block>| inner.list.iter().filter(|one| day(one) == day(block)).count() == 1;
        let over = |block: &&Arc<Block>| inner.until >= (day(block) + 1) * DAY;
        inner.list.iter().filter(over).filter(alone).cloned().collect()
    }

    /// Removes what is archived, but for the newest block: up to where hours are written out, the
    /// next start of the server tells by it.
    fn remove_ranges(&self, ranges: &[Range<i64>]) {
        let inner = self.inner.read();
        let is_gone = |block: &&Arc<Block>| ranges.contains(&block.range) && block.range.end < inner.until;
        let gone: Vec<_> = inner.list.iter().filter(is_gone).cloned().collect();
        drop(inner);
        self.remove(&gone);
    }

    #[cfg(test)]
    pub fn readings(&self) -> crate::series::block::Readings {
        let all = self.inner.read();
        all.list.iter().map(|block| block.readings()).reduce(|a, b| a.plus(b)).unwrap_or_default()
    }

    /// Sizes of all files, bytes.
    pub fn size(&self) -> u64 {
        self.inner.read().list.iter().map(|block| block.size).sum()
    }

    /// A block that answers wrongly answers no more.
    pub fn give_up(&self, path: &Path, why: &str) {
        self.inner.write().list.retain(|block| block.path() != path);
        if let Err(error) = set_aside(path, why, &self.counts) {
            tracing::warn!(path = %path.display(), %error, "a damaged block can't be set aside");
        }
    }

    /// The same of the block that an error tells of.
    fn give_up_damaged(&self, error: &BlockError) {
        if let BlockError::Damaged { path, why } = error {
            self.give_up(path, why);
        }
    }

    fn publish(&self, block: Block, replaced: &[Arc<Block>]) {
        let mut inner = self.inner.write();
        inner.list.retain(|old| !replaced.iter().any(|gone| gone.path() == old.path()));
        inner.until = inner.until.max(block.range.end);
        inner.list.push(Arc::new(block.within(&self.room)));
        inner.list.sort_by_key(|block| block.range.start);
    }

    fn remove(&self, gone: &[Arc<Block>]) {
        self.inner.write().list.retain(|old| !gone.iter().any(|gone| gone.path() == old.path()));
        for block in gone {
            if let Err(error) = fs::remove_file(block.path()) {
                tracing::warn!(path = %block.path().display(), %error, "an old block can't be removed");
            }
        }
    }

    /// The blocks of an hour or a day that is over, where there are several.
    fn to_merge(&self) -> Option<(Range<i64>, Vec<Arc<Block>>)> {
        let inner = self.inner.read();
        let mut levels =
            LEVELS.iter().flat_map(|length| inner.list.iter().map(move |block| (*length, block)));
        levels.find_map(|(length, block)| {
            let start = block.range.start.div_euclid(length) * length;
            let whole = start..start + length;
            let is_within =
                |one: &&Arc<Block>| whole.contains(&one.range.start) && one.range.end <= whole.end;
            let within: Vec<_> = inner.list.iter().filter(is_within).cloned().collect();
            (within.len() > 1 && inner.until >= whole.end).then_some((whole, within))
        })
    }

    /// What is too old, and the oldest beyond the bytes that may be kept.
    fn to_forget(&self, before: i64, most_bytes: u64) -> Vec<Arc<Block>> {
        let inner = self.inner.read();
        let mut kept = 0;
        let newest_first = inner.list.iter().rev();
        newest_first
            .filter(|block| {
                kept += block.size;
                block.range.end <= before || kept > most_bytes
            })
            .cloned()
            .collect()
    }
}

fn set_aside(path: &Path, why: &str, counts: &StoreCounts) -> io::Result<()> {
    let aside = path.with_extension("damaged");
    tracing::error!(path = %aside.display(), why, "a block of series is damaged and set aside; its time is missing");
    fs::rename(path, aside)?;
    counts.damaged_blocks.inc();
    Ok(())
}

/// Starts what keeps the store.
pub fn start(store: &Arc<Store>, config: StoreConfig, tasks: &Tasks) {
    if let (Some(archive), Some(blocks)) = (store.archive.clone(), store.blocks.clone()) {
        let (store, config, stop) = (store.clone(), config.clone(), tasks.token());
        tasks.spawn("series archive", OnError::Log, async move {
            // What is cut off here is done again at the next start.
            stop.run_until_cancelled(keep_archive(&store, &archive, &blocks, &config)).await;
            Ok::<(), Infallible>(())
        });
    }
    let logging = store.clone();
    tasks.spawn_draining("series log", OnError::Log, move |stop| log::run(logging, stop));
    let (keeping, stop) = (store.clone(), tasks.token());
    tasks.spawn("series blocks", OnError::Log, async move {
        let mut looks = 0u32;
        loop {
            looks = looks.wrapping_add(1);
            let woken = async {
                let _ = tokio::time::timeout(LOOK, keeping.due.notified()).await;
            };
            if stop.run_until_cancelled(woken).await.is_none() {
                return Ok::<(), Infallible>(());
            }
            let (store, config) = (keeping.clone(), config.clone());
            let kept = tokio::task::spawn_blocking(move || {
                let now = now();
                // While samples come, they say how late it is: somebody may send an old day.
                let silent = now - store.appended_at.load(Ordering::Relaxed) >= GRACE;
                let late = store.going(now);
                store.blocks.iter().for_each(|blocks| blocks.forget_idle());
                if let Err(error) = store.keep(&config, late, silent) {
                    tracing::error!(error = %chain(&error), "a part of an hour of series could not be written out; it stays in memory and log");
                }
                if let Err(error) = store.make_coarser(&config, late) {
                    tracing::error!(error = %chain(&error), "an old day of series could not be made coarser");
                }
                if looks.is_multiple_of(LOOKS_TO_FORGET) {
                    store.forget_descriptions(late, config.keep);
                }
                store.measure();
            });
            // One that panicked has said so; the next round goes on.
            let _ = kept.await;
        }
    });
}

/// Copies days into the archive as they are over, makes them coarser there when they are old, one in a
/// round, and asks it now and then what others did.
async fn keep_archive(store: &Store, archive: &Arc<Archive>, blocks: &Arc<Blocks>, config: &StoreConfig) {
    let mut next = Instant::now();
    let mut complained = false;
    loop {
        let late = store.late(now());
        if Instant::now() >= next || archive.is_due(&blocks.sealed(), late) {
            match archive_round(archive, blocks, late).await {
                Ok(()) => {
                    complained = false;
                    let coarser = make_archived_coarser(archive, blocks, config, late).await;
                    let has_more = coarser.unwrap_or_else(|error| {
                        tracing::error!(error = %chain(&error), "an archived day of series could not be made coarser");
                        false
                    });
                    next = Instant::now() + if has_more { Duration::ZERO } else { ARCHIVE_ROUND };
                }
                Err(error) if !std::mem::replace(&mut complained, true) => {
                    tracing::error!(error = %chain(&error), "series are not archived; they stay here");
                }
                Err(_) => {}
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// One round of the archive; what is archived and old is here no more after it.
pub async fn archive_round(archive: &Archive, blocks: &Blocks, now: i64) -> Result<(), ArchiveError> {
    let done = archive.round(&blocks.sealed(), now).await;
    if let Err(ArchiveError::Block(BlockError::Damaged { path, why })) = &done {
        blocks.give_up(path, why);
    }
    blocks.remove_ranges(&done?);
    Ok(())
}

/// The name of a store, which tells it from those of other servers. It is made once.
pub fn own_name(folder: &Path) -> Result<String, BlockError> {
    let path = folder.join("name");
    let io = |doing| {
        let path = path.clone();
        move |source| BlockError::Io { path, doing, source }
    };
    match fs::read_to_string(&path) {
        Ok(name) if !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric()) => return Ok(name),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(io("read")(error)),
    }
    let mut random = [0; 8];
    fs::File::open("/dev/urandom")
        .and_then(|mut source| io::Read::read_exact(&mut source, &mut random))
        .map_err(io("made"))?;
    let name = format!("{:016x}", u64::from_le_bytes(random));
    let aside = path.with_extension("new");
    fs::write(&aside, &name).map_err(io("written"))?;
    fs::File::open(&aside).and_then(|file| file.sync_all()).map_err(io("made durable"))?;
    fs::rename(&aside, &path).map_err(io("renamed"))?;
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(io("made durable"))?;
    Ok(name)
}

fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

impl Store {
    /// One round: what is over becomes blocks, and those longer ones; what is old goes, whatever becomes of
    /// the others: a disk that is full takes nothing until it does.
    /// Which parts are over tell the samples, and where none come (`silent`) the clock.
    pub(super) fn keep(&self, config: &StoreConfig, now: i64, silent: bool) -> Result<(), StoreError> {
        let Some(blocks) = &self.blocks else { return Ok(()) };
        let written = self.write_what_is_over(blocks, silent.then_some(now));
        let keep = i64::try_from(config.keep.as_millis()).unwrap_or(i64::MAX);
        blocks.remove(&blocks.to_forget(now.saturating_sub(keep), config.keep_bytes));
        written
    }

    fn write_what_is_over(&self, blocks: &Blocks, now: Option<i64>) -> Result<(), StoreError> {
        while let Some(part) = self.part_to_write(now) {
            self.write_part(blocks, &part)?;
        }
        while let Some((whole, parts)) = blocks.to_merge() {
            let path = blocks
                .merge(&blocks.folder, &whole, &parts, None)
                .inspect_err(|error| blocks.give_up_damaged(error))?;
            blocks.publish(Block::open(&path)?, &parts);
            blocks.remove(&parts);
        }
        Ok(())
    }

    /// How late it is, as far as the clock is believed: one that runs ahead deletes nothing for its age.
    pub(super) fn going(&self, now: i64) -> i64 {
        self.going.lock().is(now.saturating_mul(1000)).div_euclid(1000)
    }

    /// The same for days that are archived: no later than the samples say.
    fn late(&self, now: i64) -> i64 {
        self.head.newest().unwrap_or(i64::MIN).max(self.until()).min(self.going(now))
    }

    fn part_to_write(&self, now: Option<i64>) -> Option<Range<i64>> {
        let oldest = self.head.oldest_since(self.until())?;
        let start = oldest.div_euclid(PART) * PART;
        let reached = self.head.newest().max(now)?;
        (reached - GRACE >= start + PART).then_some(start..start + PART)
    }

    fn write_part(&self, blocks: &Blocks, part: &Range<i64>) -> Result<(), StoreError> {
        self.head.raise_floor(part.end);
        if let Some(log) = &self.log {
            // Appends that began before the floor rose are done when this is had.
            log.begin_segment()?;
        }
        let mut writer = Writer::begin(&blocks.folder, part)?;
        let (mut numbers, mut histograms) = (Vec::new(), Vec::<(i64, SharedHistogram)>::new());
        for (labels, slot) in self.head.having(part) {
            numbers.clear();
            histograms.clear();
            self.head.with(slot, |kept| {
                kept.numbers(part, |time, value| numbers.push((time, value)));
                histograms.extend(kept.histograms(part).cloned());
            });
            writer.add(&labels, &numbers, &histograms)?;
        }
        let path = writer.finish()?;
        blocks.publish(Block::open(&path)?, &[]);
        // Who looked for it in blocks before it was one, looks again: see `Behind::beside`.
        self.head.drop_before(part.end);
        if let Some(log) = &self.log {
            log.segments.lock().forget_before(part.end)?;
        }
        Ok(())
    }
}

impl Blocks {
    /// One block out of several that follow one another; `step`: made so much coarser, milliseconds.
    fn merge(
        &self,
        folder: &Path,
        range: &Range<i64>,
        blocks: &[Arc<Block>],
        step: Option<i64>,
    ) -> Result<PathBuf, BlockError> {
        // What is coarser beside what isn't is made so once more.
        let finest = blocks.iter().map(|block| block.resolution).min().unwrap_or_default();
        let mut writer = Writer::begin(folder, range)?.coarse(step.unwrap_or(finest));
        let (mut sources, labels) = (Vec::new(), SharedLabels::default());
        for block in blocks {
            sources.push(block.clone().rows()?.sharing(&labels).peekable());
        }
        let (mut numbers, mut histograms) = (Vec::new(), Vec::new());
        while let Some(labels) = least(&mut sources) {
            numbers.clear();
            histograms.clear();
            for (source, block) in sources.iter_mut().zip(blocks) {
                let same = |row: &Result<Row, BlockError>| row.as_ref().is_ok_and(|row| row.labels == labels);
                while let Some(row) = source.next_if(same) {
                    let row = row?;
                    let read = if row.has_histograms() {
                        row.histograms(|time, histogram| histograms.push((time, histogram)))
                    } else {
                        row.numbers(|time, value| numbers.push((time, value)))
                    };
                    if let Err(why) = read {
                        self.leave_out(block, &row, why);
                    }
                }
            }
            if let Some(step) = step {
                thin_numbers(labels.name(), &mut numbers, step);
                thin_histograms(&mut histograms, step);
            }
            writer.add(&labels, &numbers, &histograms)?;
        }
        for source in &mut sources {
            if let Some(Err(error)) = source.next() {
                return Err(error);
            }
        }
        writer.finish()
    }

    /// A row can't be read though its checksum is right: it was written so, and its file is not to blame.
    fn leave_out(&self, block: &Block, row: &Row, why: &str) {
        let (path, series) = (block.path().display(), &row.labels);
        tracing::error!(%path, %series, why, "a row of a block of series can't be read and is left out");
        self.counts.unreadable.inc();
    }
}

/// The least labels that come next. Absent: all are at their end, or one has failed.
fn least(sources: &mut [Peekable<Rows>]) -> Option<crate::series::Labels> {
    let mut least = None;
    for source in sources {
        match source.peek() {
            Some(Ok(row)) if least.as_ref().is_none_or(|least| row.labels < *least) => {
                least = Some(row.labels.clone());
            }
            Some(Err(_)) => return None,
            _ => {}
        }
    }
    least
}
