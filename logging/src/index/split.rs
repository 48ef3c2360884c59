//! A split: an immutable directory of blocks with what finds them.
//!
//! ```text
//! <id>/blocks   "TPSPLIT1"  block...  id filter...  directory  footer
//! <id>/words/   tantivy index, one document a block
//! directory: zstd of JSON: version, streams, an entry a block, sums of the words' files;
//!            of a later version, too, so that it can be told from damage
//! footer:    place u64, length u32, CRC-32 u32 of the directory, "TPSPEND1"
//! ```
//!
//! The directory is held in memory (some 200 bytes a block), blocks are read when
//! they are needed. Filters lie together and are mapped into memory: an id is looked
//! for in all of them. Each block and filter has a checksum; a filter's is looked at
//! once. In old splits the filters stand behind their blocks. The words are mapped
//! as well: their files are read once, before the first answer from them, and
//! compared with their sums.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, BufWriter, Seek, Write},
    os::unix::fs::FileExt,
    panic,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use memmap2::{Advice, Mmap};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tempfile::SpooledTempFile;

use super::{
    IndexError,
    manifest::FileSum,
    merge::Piece,
    sum::{self, Summed},
    unread,
    words::{self, WordsReader, WordsWriter},
};
use crate::{
    block::{self, BlockHead, IdFilter, Marks, SealedBlock},
    record::{Labels, StreamInfo},
};

const MAGIC: &[u8; 8] = b"TPSPLIT1";
const END: &[u8; 8] = b"TPSPEND1";
const FOOTER: usize = 24;
const VERSION: u32 = 1;
/// Where the words of new blocks are until they are put together with the others.
const FRESH: &str = "fresh";
/// Bytes of a block that are read for its front.
const FRONT: u32 = 16 << 10;
/// Bytes of filters that wait in memory for the end of the blocks; more of them wait in a file
/// without a name.
const FILTERS_IN_MEMORY: usize = 1 << 20;
/// Bytes of a directory when unpacked: a guard, not a target.
const MAX_DIRECTORY: usize = 256 << 20;

#[derive(Debug, Serialize, Deserialize)]
struct Directory {
    version: u32,
    streams: Vec<StreamEntry>,
    blocks: Vec<BlockEntry>,
    /// Absent from splits of versions that didn't sum them up.
    #[serde(default)]
    words: Vec<FileSum>,
}

/// What the directory of any version has, whatever else its form is.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// A stream of the split, with the labels its Pod had when it was written.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StreamEntry {
    pub info: Arc<StreamInfo>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Labels>,
}

/// Where a block is and what it has.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BlockEntry {
    /// Index into the split's streams.
    pub stream: u32,
    at: u64,
    length: u32,
    filter_length: u32,
    filter_crc: u32,
    /// Where the filter is; behind the block in old splits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    filter_at: Option<u64>,
    /// The version of the block, absent in old splits: all else of a block has checksums.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<u8>,
    pub head: BlockHead,
    /// Absent from old splits.
    #[serde(default, skip_serializing_if = "Marks::is_empty", with = "marks")]
    pub marks: Marks,
}

/// As text.
mod marks {
    use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::block::Marks;

    pub fn serialize<S: Serializer>(marks: &Marks, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD_NO_PAD.encode(marks.as_bytes()))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Marks, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
        STANDARD_NO_PAD.decode(text.as_bytes()).map(Marks::from_bytes).map_err(D::Error::custom)
    }
}

impl BlockEntry {
    /// Bytes it takes on disk, without its words.
    pub fn disk_bytes(&self) -> u64 {
        u64::from(self.length) + u64::from(self.filter_length)
    }

    fn filter_from(&self) -> u64 {
        self.filter_at.unwrap_or(self.at + u64::from(self.length))
    }

    /// Whether it has the newest form.
    pub fn is_newest(&self) -> bool {
        self.version == Some(block::VERSION)
    }
}

/// Writes a split into a directory that doesn't count until the manifest names it.
pub struct SplitWriter {
    path: PathBuf,
    blocks: Summed<BufWriter<File>>,
    at: u64,
    /// Of all blocks so far, and their bytes.
    filters: SpooledTempFile,
    filter_bytes: u64,
    directory: Directory,
    by_key: HashMap<String, u32>,
    /// Blocks that were taken over, by the split they are of.
    taken: Vec<(Arc<Split>, Vec<u32>)>,
    /// Of the other blocks.
    words: Option<WordsWriter>,
}

impl SplitWriter {
    /// Into `path`, which is emptied first: an attempt before may have left something.
    pub fn create(path: &Path) -> Result<Self, IndexError> {
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(IndexError::io("can't clear", path)(error));
            }
            _ => {}
        }
        let words = path.join("words");
        fs::create_dir_all(&words).map_err(IndexError::io("can't create", &words))?;
        let file = path.join("blocks");
        let blocks = BufWriter::new(File::create(&file).map_err(IndexError::io("can't create", &file))?);
        let mut blocks = Summed::new(blocks);
        blocks.write_all(MAGIC).map_err(IndexError::io("can't write", &file))?;
        Ok(Self {
            path: path.to_owned(),
            blocks,
            at: MAGIC.len() as u64,
            filters: tempfile::spooled_tempfile_in(FILTERS_IN_MEMORY, path),
            filter_bytes: 0,
            directory: Directory {
                version: VERSION,
                streams: Vec::new(),
                blocks: Vec::new(),
                words: Vec::new(),
            },
            by_key: HashMap::new(),
            taken: Vec::new(),
            words: None,
        })
    }

    /// The next block; gives what it has. Those that are taken over from `sources` come first.
    pub(super) fn put(
        &mut self,
        piece: Piece,
        sources: &[Arc<Split>],
        labels: impl Fn(&StreamInfo) -> Option<Labels>,
    ) -> Result<BlockHead, IndexError> {
        match piece {
            Piece::Fresh(block) => {
                self.add(&block, labels(&block.info).as_ref())?;
                Ok(block.head.clone())
            }
            Piece::Whole(split, at) => {
                let split = &sources[split];
                let entry = &split.blocks()[at];
                let info = &split.streams()[entry.stream as usize].info;
                self.take_over(split, at, labels(info).as_ref())?;
                Ok(entry.head.clone())
            }
        }
    }

    pub fn add(&mut self, block: &SealedBlock, labels: Option<&Labels>) -> Result<(), IndexError> {
        self.write(&block.info, labels, &block.head, &block.marks, &block.data, block.ids.as_bytes())?;
        if self.words.is_none() {
            // Those of blocks that were taken over come before them, in the end.
            let folder = self.path.join(if self.taken.is_empty() { "words" } else { FRESH });
            fs::create_dir_all(&folder).map_err(IndexError::io("can't create", &folder))?;
            self.words = Some(WordsWriter::create(&folder)?);
        }
        self.words.as_mut().map_or(Ok(()), |words| words.add(&block.words))?;
        Ok(())
    }

    /// Takes a block of another split over as it is. All of these come before the first that is
    /// added, and those of a split in their order.
    fn take_over(
        &mut self,
        split: &Arc<Split>,
        at: usize,
        labels: Option<&Labels>,
    ) -> Result<(), IndexError> {
        debug_assert!(self.words.is_none(), "blocks that are taken over come first");
        let entry = &split.blocks()[at];
        let data = split.read_block(at)?;
        block::check(&data).map_err(|error| split.damaged(error))?;
        let stream = &split.streams()[entry.stream as usize];
        let labels = labels.or(stream.labels.as_ref());
        self.write(&stream.info, labels, &entry.head, &entry.marks, &data, &split.read_filter(at)?)?;
        match self.taken.last_mut() {
            Some((last, blocks)) if last.id == split.id => blocks.push(at as u32),
            _ => self.taken.push((split.clone(), vec![at as u32])),
        }
        Ok(())
    }

    fn write(
        &mut self,
        info: &Arc<StreamInfo>,
        labels: Option<&Labels>,
        head: &BlockHead,
        marks: &Marks,
        data: &[u8],
        filter: &[u8],
    ) -> Result<(), IndexError> {
        let streams = &mut self.directory.streams;
        let stream = *self.by_key.entry(info.key()).or_insert_with(|| {
            streams.push(StreamEntry { info: info.clone(), labels: labels.cloned() });
            streams.len() as u32 - 1
        });
        let written = self.blocks.write_all(data).and_then(|()| self.filters.write_all(filter));
        written.map_err(IndexError::io("can't write", &self.path))?;
        self.directory.blocks.push(BlockEntry {
            stream,
            at: self.at,
            length: data.len() as u32,
            filter_length: filter.len() as u32,
            filter_crc: crc32fast::hash(filter),
            // From the first filter on; where that is, is known at the end.
            filter_at: Some(self.filter_bytes),
            version: block::version(data),
            head: head.clone(),
            marks: marks.clone(),
        });
        self.filter_bytes += filter.len() as u64;
        self.at += data.len() as u64;
        Ok(())
    }

    /// Puts the words of all blocks into one dictionary.
    fn finish_words(&mut self) -> Result<(), IndexError> {
        let (words, fresh) = (self.path.join("words"), self.path.join(FRESH));
        let is_fresh = match self.words.take() {
            Some(writer) => writer.finish().map(|()| true)?,
            None => false,
        };
        if self.taken.is_empty() {
            return if is_fresh { Ok(()) } else { Ok(WordsWriter::create(&words)?.finish()?) };
        }
        // A merge believes what it reads.
        self.taken.iter().try_for_each(|(split, _)| split.check_words())?;
        let n_fresh =
            self.directory.blocks.len() - self.taken.iter().map(|(_, blocks)| blocks.len()).sum::<usize>();
        let added: Vec<u32> = (0..n_fresh as u32).collect();
        let paths: Vec<PathBuf> = self.taken.iter().map(|(split, _)| split.path.join("words")).collect();
        let taken =
            paths.iter().map(PathBuf::as_path).zip(self.taken.iter().map(|(_, blocks)| blocks.as_slice()));
        let sources: Vec<_> = taken.chain(is_fresh.then_some((fresh.as_path(), added.as_slice()))).collect();
        words::join(&sources, &words)?;
        if is_fresh {
            fs::remove_dir_all(&fresh).map_err(IndexError::io("can't delete", &fresh))?;
        }
        Ok(())
    }

    /// Ends the files and makes them durable; gives all of them.
    pub fn finish(mut self) -> Result<Vec<FileSum>, IndexError> {
        self.finish_words()?;
        let words = self.path.join("words");
        let mut files = sum::below(&words, "words/").map_err(IndexError::io("can't read", &words))?;
        self.directory.words.clone_from(&files);
        for block in &mut self.directory.blocks {
            block.filter_at = block.filter_at.map(|at| self.at + at);
        }
        let directory_at = self.at + self.filter_bytes;
        let directory = serde_json::to_vec(&self.directory).map_err(IndexError::Manifest)?;
        let (blocks, filters, path) = (&mut self.blocks, &mut self.filters, &self.path);
        let mut write = || -> io::Result<()> {
            let packed = zstd::bulk::compress(&directory, 3)?;
            let mut end = Vec::with_capacity(FOOTER);
            end.extend_from_slice(&directory_at.to_le_bytes());
            end.extend_from_slice(&(packed.len() as u32).to_le_bytes());
            end.extend_from_slice(&crc32fast::hash(&packed).to_le_bytes());
            end.extend_from_slice(END);
            filters.rewind()?;
            io::copy(filters, blocks)?;
            blocks.write_all(&packed)?;
            blocks.write_all(&end)?;
            blocks.flush()?;
            blocks.inner.get_ref().sync_all()?;
            sync_below(path)
        };
        write().map_err(IndexError::io("can't write", &self.path))?;
        let (size, crc) = (self.blocks.size, self.blocks.crc.finalize());
        files.push(FileSum { name: "blocks".into(), size, crc });
        Ok(files)
    }
}

/// Makes a directory and all files in it durable.
fn sync_below(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_below(&entry.path())?
        } else {
            File::open(entry.path())?.sync_all()?
        }
    }
    File::open(path)?.sync_all()
}

/// An open split.
pub struct Split {
    pub id: u64,
    path: PathBuf,
    file: File,
    map: Mmap,
    /// Filters were asked for.
    wanted: AtomicBool,
    /// Filters whose checksums were found right.
    sound: Vec<AtomicBool>,
    directory: Directory,
    words: WordsReader,
    /// Whether the files of the words are sound, or what is wrong with them, once somebody looked.
    looked: Mutex<Option<Result<(), String>>>,
}

impl Split {
    pub fn open(id: u64, path: &Path) -> Result<Self, IndexError> {
        let (blocks, place) = (path.join("blocks"), path.join("words"));
        let fault = |error: io::Error| unread::file(id, &blocks, &error);
        let file = File::open(&blocks).map_err(fault)?;
        let directory = read_directory(id, &file).map_err(fault)??;
        let damaged = |what: &str| IndexError::Damaged { split: id, what: what.into() };
        let words = panic::catch_unwind(|| WordsReader::open(&place))
            .map_err(|_| damaged("its words can't be opened"))?
            .map_err(|error| unread::words(id, &place, &error))?;
        if words.blocks() != directory.blocks.len() {
            return Err(damaged("its words are of other blocks"));
        }
        // SAFETY: nobody writes to a split's files once they are whole.
        let map = unsafe { Mmap::map(&file) }.map_err(fault)?;
        let sound = directory.blocks.iter().map(|_| AtomicBool::new(false)).collect();
        let (wanted, looked) = (AtomicBool::new(false), Mutex::default());
        Ok(Self { id, path: path.to_owned(), file, map, wanted, sound, directory, words, looked })
    }

    /// The files were written and summed up just now.
    pub(super) fn trust_words(&self) {
        *self.looked.lock() = Some(Ok(()));
    }

    /// Reads the files of the words and compares them with their sums, once. A dictionary
    /// reader may take anything from bytes that are not what was written.
    pub fn check_words(&self) -> Result<(), IndexError> {
        let mut looked = self.looked.lock();
        if looked.is_none() {
            // What can't be read now is looked at again.
            *looked = Some(self.look_at_words()?);
        }
        match &*looked {
            Some(Err(fault)) => Err(self.damaged(fault)),
            _ => Ok(()),
        }
    }

    fn look_at_words(&self) -> Result<Result<(), String>, IndexError> {
        for file in &self.directory.words {
            let path = self.path.join(&file.name);
            match sum::file(&path) {
                Ok(found) if found == (file.size, file.crc) => {}
                Ok(_) => return Ok(Err(format!("the checksum of {} is wrong", file.name))),
                // Merged away while somebody still searches it: what is mapped stays.
                Err(_) if matches!(self.path.join("blocks").try_exists(), Ok(false)) => {}
                Err(error) => match unread::file(self.id, &path, &error) {
                    IndexError::Damaged { what, .. } => return Ok(Err(what)),
                    passing => return Err(passing),
                },
            }
        }
        Ok(Ok(()))
    }

    pub fn streams(&self) -> &[StreamEntry] {
        &self.directory.streams
    }

    pub fn blocks(&self) -> &[BlockEntry] {
        &self.directory.blocks
    }

    /// The compressed block, to be read by [`crate::block::records`].
    pub fn read_block(&self, at: usize) -> Result<Vec<u8>, IndexError> {
        let entry = &self.directory.blocks[at];
        let block = self.read(entry.at, entry.length)?;
        if entry.version.is_some() && entry.version != block::version(&block) {
            return Err(self.damaged("a block's version is another"));
        }
        Ok(block)
    }

    /// The first bytes of a block, mostly those of its columns and templates.
    pub fn read_front(&self, at: usize) -> Result<Vec<u8>, IndexError> {
        let entry = &self.directory.blocks[at];
        self.read(entry.at, entry.length.min(FRONT))
    }

    /// Has the kernel read the filters, in one go and without waiting for them: each is looked at
    /// where an id is asked for.
    pub fn want_filters(&self) {
        let places =
            self.directory.blocks.iter().filter_map(|block| Some((block.filter_at?, block.filter_length)));
        let from = places.clone().map(|(at, _)| at).min();
        let end = places.map(|(at, length)| at + u64::from(length)).max();
        if let (Some(from), Some(end), false) = (from, end, self.wanted.swap(true, Ordering::Relaxed)) {
            // It is a hint: what it doesn't do, the first look does.
            let _ = self.map.advise_range(Advice::WillNeed, from as usize, (end - from) as usize);
        }
    }

    /// Whether the block may have the id; a no is certain.
    pub fn may_have_id(&self, at: usize, id: &[u8]) -> Result<bool, IndexError> {
        Ok(block::ids_may_have(self.filter(at)?, id))
    }

    /// The block's filter, checked.
    fn filter(&self, at: usize) -> Result<&[u8], IndexError> {
        let entry = &self.directory.blocks[at];
        let from = entry.filter_from() as usize;
        let end = from.checked_add(entry.filter_length as usize);
        let filter = end.and_then(|end| self.map.get(from..end));
        let filter = filter.ok_or_else(|| self.damaged("a filter is missing"))?;
        if !self.sound[at].load(Ordering::Relaxed) {
            self.check_filter(entry, filter)?;
            self.sound[at].store(true, Ordering::Relaxed);
        }
        Ok(filter)
    }

    /// The same, a copy of it: who goes over all of them once has none of them mapped.
    fn read_filter(&self, at: usize) -> Result<Vec<u8>, IndexError> {
        let entry = &self.directory.blocks[at];
        let filter = self.read(entry.filter_from(), entry.filter_length)?;
        self.check_filter(entry, &filter).map(|()| filter)
    }

    fn check_filter(&self, entry: &BlockEntry, filter: &[u8]) -> Result<(), IndexError> {
        if IdFilter::is_sound(filter) && crc32fast::hash(filter) == entry.filter_crc {
            Ok(())
        } else {
            Err(self.damaged("a filter's checksum is wrong"))
        }
    }

    /// The blocks that have the word, ascending.
    pub fn blocks_with(&self, word: &[u8]) -> Result<Vec<u32>, IndexError> {
        self.check_words()?;
        self.words.blocks_with(word).map_err(|error| unread::words(self.id, &self.path, &error))
    }

    pub fn damaged(&self, what: impl ToString) -> IndexError {
        IndexError::Damaged { split: self.id, what: what.to_string() }
    }

    fn read(&self, at: u64, length: u32) -> Result<Vec<u8>, IndexError> {
        let mut bytes = vec![0; length as usize];
        let read = self.file.read_exact_at(&mut bytes, at);
        read.map(|()| bytes).map_err(|error| unread::file(self.id, &self.path, &error))
    }
}

fn read_directory(id: u64, file: &File) -> io::Result<Result<Directory, IndexError>> {
    let damaged = |what: &str| Ok(Err(IndexError::Damaged { split: id, what: what.into() }));
    let size = file.metadata()?.len();
    let Some(footer_at) = size.checked_sub(FOOTER as u64) else { return damaged("it ends early") };
    let mut footer = [0; FOOTER];
    file.read_exact_at(&mut footer, footer_at)?;
    let at = u64::from_le_bytes([0, 1, 2, 3, 4, 5, 6, 7].map(|byte: usize| footer[byte]));
    let length = u32::from_le_bytes([8, 9, 10, 11].map(|byte: usize| footer[byte]));
    let crc = u32::from_le_bytes([12, 13, 14, 15].map(|byte: usize| footer[byte]));
    if &footer[16..] != END || at.checked_add(u64::from(length)) != Some(footer_at) {
        return damaged("its end is missing");
    }
    let mut packed = vec![0; length as usize];
    file.read_exact_at(&mut packed, at)?;
    if crc32fast::hash(&packed) != crc {
        return damaged("its directory's checksum is wrong");
    }
    let Ok(bytes) = zstd::bulk::decompress(&packed, unpacked_size(&packed)) else {
        return damaged("its directory can't be unpacked");
    };
    let newer = |what: String| Ok(Err(IndexError::Newer { split: id, what }));
    let directory: Directory = match serde_json::from_slice(&bytes) {
        Ok(directory) => directory,
        Err(error) => {
            return match serde_json::from_slice::<Versioned>(&bytes) {
                Ok(Versioned { version }) if version > VERSION => newer(format!("version {version}")),
                _ => damaged(&format!("its directory can't be read: {error}")),
            };
        }
    };
    let of_blocks = directory.blocks.iter().filter_map(|block| block.version).max();
    match (directory.version, of_blocks) {
        (version, _) if version > VERSION => newer(format!("version {version}")),
        (VERSION, Some(version)) if version > block::VERSION => newer(format!("blocks of version {version}")),
        (VERSION, _) => Ok(Ok(directory)),
        (version, _) => damaged(&format!("its version {version} is not known")),
    }
}

fn unpacked_size(packed: &[u8]) -> usize {
    let size = zstd::zstd_safe::get_frame_content_size(packed).ok().flatten();
    usize::try_from(size.unwrap_or(0)).unwrap_or(MAX_DIRECTORY).min(MAX_DIRECTORY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::tests::batch;

    #[test]
    fn a_block_that_ends_early_is_damage_and_one_that_the_system_withholds_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let batch = batch("web", 0, 5);
        let block = SealedBlock::seal(batch.info, &batch.records).expect("sealed");
        let mut writer = SplitWriter::create(folder.path()).expect("a split");
        writer.add(&block, None).expect("written");
        writer.finish().expect("written");
        let mut split = Split::open(3, folder.path()).expect("a split");
        let blocks = folder.path().join("blocks");
        split.file = File::options().write(true).open(&blocks).expect("opened, but not to be read");
        assert!(matches!(split.read_block(0), Err(IndexError::Unread { split: 3, .. })));
        let short = folder.path().join("short");
        fs::write(&short, MAGIC).expect("written");
        split.file = File::open(&short).expect("opened");
        assert!(matches!(split.read_block(0), Err(IndexError::Damaged { split: 3, .. })));
        split.file = File::open(&blocks).expect("opened");
        assert!(split.read_block(0).is_ok());
    }
}
