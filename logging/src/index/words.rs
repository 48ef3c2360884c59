//! The dictionary of a split: a tantivy index with one document a block, whose
//! terms are the block's words. The document's number is the block's.
//!
//! Only words are in it: the names of streams, levels and times stand in the
//! split's directory, which is in memory and answers exactly. Positions,
//! frequencies and norms aren't kept, since every hit is verified on the text.

use std::path::Path;

use tantivy::{
    BitSet, DocSet, Index, IndexSettings, ReloadPolicy, SegmentReader, TERMINATED, TantivyDocument, Term,
    directory::{MmapDirectory, OwnedBytes},
    fastfield::{AliveBitSet, write_alive_bitset},
    indexer::{SingleSegmentIndexWriter, merge_filtered_segments},
    schema::{BytesOptions, Field, IndexRecordOption, Schema},
};

use crate::block;

/// Memory of the writer's tables. Its buffers grow with the words of a split.
const WRITER_MEMORY: usize = 4 << 20;

fn schema() -> (Schema, Field) {
    let mut builder = Schema::builder();
    let word = builder.add_bytes_field("word", BytesOptions::default().set_indexed());
    (builder.build(), word)
}

/// Writes a dictionary.
pub struct WordsWriter {
    writer: SingleSegmentIndexWriter,
    word: Field,
}

impl WordsWriter {
    /// Into an empty directory.
    pub fn create(directory: &Path) -> tantivy::Result<Self> {
        let (schema, word) = schema();
        let builder = Index::builder().schema(schema).settings(IndexSettings::default());
        let writer = builder.single_segment_index_writer(MmapDirectory::open(directory)?, WRITER_MEMORY)?;
        Ok(Self { writer, word })
    }

    /// The words of the next block.
    pub fn add(&mut self, words: &block::Words) -> tantivy::Result<()> {
        let mut document = TantivyDocument::new();
        for word in words.iter() {
            document.add_bytes(self.word, word);
        }
        self.writer.add_document(document)
    }

    pub fn finish(self) -> tantivy::Result<()> {
        self.writer.finalize().map(|_| ())
    }
}

/// Writes a dictionary from others: of each the words of these blocks (ascending), one source
/// after the other.
pub fn join(sources: &[(&Path, &[u32])], into: &Path) -> tantivy::Result<()> {
    let (mut segments, mut chosen) = (Vec::new(), Vec::new());
    for (path, blocks) in sources {
        for segment in Index::open_in_dir(path)?.searchable_segments()? {
            let is_whole = blocks.len() == segment.meta().max_doc() as usize;
            let set = if is_whole { None } else { Some(chosen_of(blocks, segment.meta().max_doc())?) };
            chosen.push(set);
            segments.push(segment);
        }
    }
    merge_filtered_segments(&segments, IndexSettings::default(), chosen, MmapDirectory::open(into)?)?;
    Ok(())
}

fn chosen_of(blocks: &[u32], all: u32) -> tantivy::Result<AliveBitSet> {
    let mut set = BitSet::with_max_value(all);
    for block in blocks {
        set.insert(*block);
    }
    let mut bytes = Vec::new();
    write_alive_bitset(&set, &mut bytes)?;
    Ok(AliveBitSet::open(OwnedBytes::new(bytes)))
}

/// Reads a dictionary, mapped into memory.
pub struct WordsReader {
    /// `None` for a split without a block.
    segment: Option<SegmentReader>,
    word: Field,
}

impl WordsReader {
    pub fn open(directory: &Path) -> tantivy::Result<Self> {
        let index = Index::open_in_dir(directory)?;
        let word = index.schema().get_field("word")?;
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        let segment = reader.searcher().segment_readers().first().cloned();
        Ok(Self { segment, word })
    }

    /// Blocks it was written with.
    pub fn blocks(&self) -> usize {
        self.segment.as_ref().map_or(0, |segment| segment.max_doc() as usize)
    }

    /// The blocks that have the word, ascending.
    pub fn blocks_with(&self, word: &[u8]) -> tantivy::Result<Vec<u32>> {
        let Some(segment) = &self.segment else { return Ok(Vec::new()) };
        let term = Term::from_field_bytes(self.word, word);
        let postings = segment.inverted_index(self.word)?.read_postings(&term, IndexRecordOption::Basic)?;
        let Some(mut postings) = postings else { return Ok(Vec::new()) };
        let mut blocks = Vec::new();
        let mut block = postings.doc();
        while block != TERMINATED {
            blocks.push(block);
            block = postings.advance();
        }
        Ok(blocks)
    }
}
