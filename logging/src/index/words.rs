//! The dictionary of a split: a tantivy index with one document a block, whose
//! terms are the block's words. The document's number is the block's.
//!
//! Only words are in it: the names of streams, levels and times stand in the
//! split's directory, which is in memory and answers exactly. Positions,
//! frequencies and norms aren't kept, since every hit is verified on the text.

use std::path::Path;

use tantivy::{
    DocSet, Index, IndexSettings, ReloadPolicy, SegmentReader, TERMINATED, TantivyDocument, Term,
    directory::MmapDirectory,
    indexer::SingleSegmentIndexWriter,
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
