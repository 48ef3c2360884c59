//! Walks over the series that match, one at a time, in order of their labels: what the blocks
//! have of each, then what the head has.
//!
//! The head's chunks are copied packed when the walk begins, so that what is written out
//! meanwhile is neither missed nor seen twice; nothing is unpacked before its series comes.
//! A block that is damaged or can't be reached is left out and told as missing.

use std::{
    iter::{Map, Peekable},
    ops::Range,
    panic::resume_unwind,
    sync::{Arc, OnceLock},
    thread::{self, ScopedJoinHandle},
    vec,
};

use rayon::{ThreadPool, ThreadPoolBuilder, prelude::*};

use super::{Store, keeping::Blocks};
use crate::series::{
    Labels, Matcher, Missing, SelectError, SeriesColumns, Symbols, Wanted,
    archive::{Archive, Entry},
    block::{Block, BlockError, Row, Rows, SharedLabels},
    head::{Kept, Packed},
    packed::{PackedSeries, Unpacker},
};

/// Series of the head that are found and put in order at once.
const SHORT: usize = 4096;

/// Blocks that are begun with side by side, of an archive and here.
const AT_ONCE: usize = 8;
const READERS_HERE: usize = 4;

/// The walk. Blocks the thread while files are read.
pub struct Scan {
    faults: Faults,
    blocks: Vec<(From, Peekable<Rows>)>,
    head: Peekable<Spelt>,
    unpacker: Unpacker,
}

/// What the head has, of which the text of labels is put together when its turn comes.
type Spelt = Map<vec::IntoIter<(Symbols, Packed)>, fn((Symbols, Packed)) -> (Labels, Packed)>;

fn spelt((symbols, packed): (Symbols, Packed)) -> (Labels, Packed) {
    (symbols.labels(), packed)
}

/// Where a block is, and of which time it is.
#[derive(Clone)]
pub enum From {
    Here(Range<i64>),
    Archive(Entry),
}

/// What becomes of blocks that can't be read.
pub struct Faults {
    kept: Option<Arc<Blocks>>,
    archive: Option<Arc<Archive>>,
    missing: Missing,
}

impl Faults {
    /// Tells what is missing, and sees to it that a damaged block is asked no more.
    ///
    /// # Errors
    /// What is neither damage nor far away.
    pub fn take(&self, from: &From, error: BlockError) -> Result<(), SelectError> {
        let range = match from {
            From::Here(range) => range,
            From::Archive(entry) => &entry.range,
        };
        match (&error, from) {
            (BlockError::Unreachable { why, .. }, _) => self.missing.add(why, range),
            (BlockError::Damaged { path, why }, From::Here(_)) => {
                // Where files are is not told to who asks.
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                self.missing.add(&format!("{name} is damaged: {why}"), range);
                if let Some(blocks) = &self.kept {
                    blocks.give_up(path, why);
                }
            }
            (BlockError::Damaged { why, .. }, From::Archive(entry)) => {
                self.missing.add(&error.to_string(), range);
                if let Some(archive) = &self.archive {
                    archive.give_up(entry, why);
                }
            }
            (BlockError::Io { .. }, _) => return Err(SelectError::Unreadable(error.to_string())),
        }
        Ok(())
    }
}

/// A block that a question reads, and the range that it is asked for.
pub type Source = (From, Arc<Block>, Range<i64>);

/// What a question reads beside the head.
pub struct Behind {
    faults: Faults,
    here: Vec<Arc<Block>>,
    /// Blocks have all before.
    until: i64,
    /// Where what is here begins.
    since: Option<i64>,
    matchers: Vec<Matcher>,
    range: Range<i64>,
}

impl Behind {
    /// What blocks answer, and beside it what `take` finds in the series of the head that match,
    /// in the range that it gets.
    pub fn beside<T>(
        store: &Store,
        matchers: &[Matcher],
        range: &Range<i64>,
        missing: &Missing,
        take: impl Fn(&Kept, &Range<i64>) -> Option<T> + Sync,
    ) -> (Self, Vec<T>)
    where
        T: Send,
    {
        loop {
            let behind = Self::new(store, matchers, range, missing);
            let recent = behind.recent();
            let found = match recent.is_empty() {
                true => Vec::new(),
                false => store.head.gather(matchers, |kept| take(kept, &recent)),
            };
            // What became a block meanwhile may have left the head before it was asked.
            if store.until() == behind.until {
                return (behind, found);
            }
        }
    }

    fn new(store: &Store, matchers: &[Matcher], range: &Range<i64>, missing: &Missing) -> Self {
        let (kept, archive) = (store.blocks.clone(), store.archive.clone());
        let since = archive.as_ref().and_then(|_| store.since());
        let (here, until) = kept.as_ref().map_or((Vec::new(), i64::MIN), |blocks| blocks.meeting(range));
        Self {
            faults: Faults { kept, archive, missing: missing.clone() },
            here,
            until,
            since,
            matchers: matchers.to_vec(),
            range: range.clone(),
        }
    }

    /// Whether there is nothing to be read beside the head.
    fn is_nothing(&self) -> bool {
        self.here.is_empty() && self.faults.archive.is_none()
    }

    /// The part of the range that the head answers.
    fn recent(&self) -> Range<i64> {
        self.range.start.max(self.until)..self.range.end
    }

    /// Opens the blocks, and where that is said, those of the archive. Blocks the thread.
    ///
    /// # Errors
    /// A file can't be read.
    pub fn open(self) -> Result<(Faults, Vec<Source>), SelectError> {
        let Self { faults, here, until, since, matchers, range } = self;
        let mut found = Vec::new();
        if let Some(archive) = &faults.archive {
            let ranges: Vec<_> = here.iter().map(|block| block.range.clone()).collect();
            let chosen = archive.chosen(&matchers, &range, &ranges, since, &faults.missing);
            archive.prepare(&chosen);
            for entry in chosen {
                match archive.open(&entry) {
                    Ok(block) => found.push((From::Archive(entry), block, range.clone())),
                    Err(error) => faults.take(&From::Archive(entry), error)?,
                }
            }
        }
        let older = range.start..range.end.min(until);
        let of_here = |block: Arc<Block>| (From::Here(block.range.clone()), block, older.clone());
        found.extend(here.into_iter().map(of_here));
        found.sort_by_key(|(_, block, _)| block.range.start);
        Ok((faults, found))
    }
}

/// A walk before files are opened.
pub struct Begun {
    behind: Behind,
    head: Vec<(Symbols, Packed)>,
}

impl Begun {
    pub fn new(
        store: &Store,
        matchers: &[Matcher],
        range: &Range<i64>,
        wanted: Wanted,
        missing: &Missing,
    ) -> Self {
        let (behind, head) = Behind::beside(store, matchers, range, missing, |kept, recent| {
            let packed = match wanted {
                Wanted::All => kept.packed(recent),
                Wanted::Newest => kept.newest(recent),
            };
            (!packed.is_empty()).then(|| (kept.symbols().clone(), packed))
        });
        Self { behind, head }
    }

    /// Whether it is over few series of the head, so that nobody waits for it.
    pub fn is_short(&self) -> bool {
        self.behind.is_nothing() && self.head.len() <= SHORT
    }

    /// Opens the files. Blocks the thread.
    ///
    /// # Errors
    /// One can't be read.
    pub fn open(self) -> Result<Scan, SelectError> {
        let Self { behind, mut head } = self;
        let (matchers, range) = (behind.matchers.clone(), behind.range.clone());
        let is_short = head.len() <= SHORT;
        let mut sort = || head.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let begin = || behind.open().map(|(faults, found)| (faults, walks(found, &matchers)));
        let begun = match is_short {
            true => {
                sort();
                begin()
            }
            false => thread::scope(|scope| {
                let sorting = scope.spawn(sort);
                let begun = begin();
                sorting.join().unwrap_or_else(|why| resume_unwind(why));
                begun
            }),
        };
        let (faults, walks) = begun?;
        let mut blocks = Vec::new();
        for (from, walk) in walks {
            match walk {
                Ok(rows) => blocks.push((from, rows)),
                Err(error) => faults.take(&from, error)?,
            }
        }
        let mixed = blocks.iter().any(|(from, _)| matches!(from, From::Archive(_)));
        let unpacker = Unpacker::new(range, mixed);
        let spelt: fn((Symbols, Packed)) -> (Labels, Packed) = spelt;
        Ok(Scan { faults, blocks, head: head.into_iter().map(spelt).peekable(), unpacker })
    }
}

/// Rows of one block, the first of them read.
type Walk = Result<Peekable<Rows>, BlockError>;

/// Begins to read blocks. Several are read side by side: each waits for its file by itself.
fn walks(found: Vec<Source>, matchers: &[Matcher]) -> Vec<(From, Walk)> {
    let labels = SharedLabels::default();
    let walk = |block: Arc<Block>, asked: &Range<i64>| {
        let mut rows = block.matching(matchers, asked)?.sharing(&labels).peekable();
        rows.peek();
        Ok(rows)
    };
    let unread = found.iter().filter(|(_, block, asked)| !block.knows(matchers, asked)).count();
    let is_here = found.iter().all(|(from, ..)| matches!(from, From::Here(_)));
    match (unread < 2, readers().filter(|_| is_here)) {
        (true, _) => found.into_iter().map(|(from, block, asked)| (from, walk(block, &asked))).collect(),
        (false, Some(readers)) => walks_here(found, readers, walk),
        (false, None) => walks_away(found, walk),
    }
}

/// Threads that read files here: one made for each block would begin with a heap of its own, and be
/// done before it has paid for it. Who waits for an archive doesn't hold them.
fn readers() -> Option<&'static ThreadPool> {
    static READERS: OnceLock<Option<ThreadPool>> = OnceLock::new();
    let made = || ThreadPoolBuilder::new().num_threads(READERS_HERE).thread_name(|_| "blocks".into()).build();
    READERS.get_or_init(|| made().ok()).as_ref()
}

fn walks_here(
    found: Vec<Source>,
    readers: &ThreadPool,
    walk: impl Fn(Arc<Block>, &Range<i64>) -> Walk + Sync,
) -> Vec<(From, Walk)> {
    let begin = |(from, block, asked): Source| (from, walk(block, &asked));
    readers.install(|| found.into_par_iter().with_max_len(1).map(begin).collect())
}

fn walks_away(
    found: Vec<Source>,
    walk: impl Fn(Arc<Block>, &Range<i64>) -> Walk + Sync,
) -> Vec<(From, Walk)> {
    let (mut begun, mut found) = (Vec::with_capacity(found.len()), found.into_iter());
    loop {
        let some: Vec<_> = found.by_ref().take(AT_ONCE).collect();
        if some.is_empty() {
            return begun;
        }
        thread::scope(|scope| {
            let walk = &walk;
            let begin = |(from, block, asked): Source| (from, scope.spawn(move || walk(block, &asked)));
            let running: Vec<_> = some.into_iter().map(begin).collect();
            let ended =
                |walk: ScopedJoinHandle<'_, Walk>| walk.join().unwrap_or_else(|why| resume_unwind(why));
            begun.extend(running.into_iter().map(|(from, walk)| (from, ended(walk))));
        });
    }
}

impl Scan {
    /// The labels that come next.
    fn least(&mut self) -> Result<Option<Labels>, SelectError> {
        let mut least = self.head.peek().map(|(labels, _)| labels.clone());
        let mut at = 0;
        while let Some((from, rows)) = self.blocks.get_mut(at) {
            match rows.peek() {
                Some(Ok(row)) if least.as_ref().is_none_or(|least| row.labels < *least) => {
                    least = Some(row.labels.clone());
                }
                Some(Err(_)) => {
                    if let Some(Err(error)) = rows.next() {
                        self.faults.take(from, error)?;
                    }
                    // The others go on.
                    drop(self.blocks.remove(at));
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
        Ok(least)
    }

    fn take(&mut self, labels: Labels) -> PackedSeries {
        let mut found = Vec::with_capacity(self.blocks.len());
        for (_, rows) in &mut self.blocks {
            let same = |row: &Result<Row, BlockError>| row.as_ref().is_ok_and(|row| row.labels == labels);
            while let Some(Ok(row)) = rows.next_if(same) {
                found.push(row);
            }
        }
        let head = self.head.next_if(|(next, _)| *next == labels).map(|(_, packed)| packed);
        PackedSeries::new(labels, found, head)
    }

    /// The next series as it lies; those that [`Scan::unpacker`] finds nothing in are among them.
    ///
    /// # Errors
    /// A file can't be read.
    pub fn next_packed(&mut self) -> Result<Option<PackedSeries>, SelectError> {
        Ok(self.least()?.map(|labels| self.take(labels)))
    }

    /// What unpacks its series.
    pub fn unpacker(&self) -> Unpacker {
        self.unpacker.again()
    }
}

impl Iterator for Scan {
    type Item = Result<SeriesColumns, SelectError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let packed = self.next_packed().transpose()?;
            match packed.and_then(|series| self.unpacker.unpack(series)) {
                Ok(None) => {}
                found => return found.transpose(),
            }
        }
    }
}
