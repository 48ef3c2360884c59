//! The store of series: everything scraped, sent or derived, under labels.
//!
//! ```text
//!                                                         ┌─> head (packed chunks, index) <─┐
//! scrape, remote write, OTLP, figures ─> Store::append ─┤                                   ├─ Store::stream <─ PromQL, SQL
//!                                                         └─> log     head ─ 15 min ──> blocks (Parquet) ┤
//!                                                                               each day ─> archive ┘
//! ```
//!
//! Days that are old are made coarser ([`downsample`]).
//!
//! A series is its [`Labels`], `__name__` among them; a sample a time in milliseconds and
//! a [`Value`]. Writers resolve labels once and append by [`SeriesId`]; by which way a series came last is
//! remembered while it stands in memory. What it must not do: know who writes or asks, or any query
//! language.

mod archive;
mod block;
mod chunk;
mod columns;
mod decimal;
mod described;
mod downsample;
mod head;
mod index;
mod labels;
mod limits;
mod log;
mod matcher;
mod meta;
mod missing;
mod own;
mod packed;
mod pattern;
mod store;
mod symbols;
mod value;

pub use archive::ArchiveConfig;
pub use columns::SeriesColumns;
pub use described::Described;
pub use downsample::{BadStep, Downsampling};
pub use head::{Appended, Sample, SeriesId, Untaken};
pub use labels::{Labels, LabelsBuilder, NAME};
pub use limits::{Limits, Offender, Refused};
pub use matcher::{MatchOp, Matcher};
pub use meta::{Meta, MetricKind, is_named_counter, is_part_of, parts_of};
pub use missing::Missing;
pub use own::way_of;
pub use packed::Batch;
pub use store::{Scan, Store, StoreConfig, StoreError};
pub use symbols::Symbols;
pub use value::{Buckets, Exemplar, Histogram, STALE, Value, is_stale};

use std::ops::Range;

use futures::stream::BoxStream;
use tiphys_api::ways::Ways;

/// Samples of one series within a range, oldest first, stale markers included.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesData {
    pub labels: Labels,
    /// Milliseconds since the Unix epoch, ascending, and the values.
    pub samples: Vec<(i64, Value)>,
}

/// Why series could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SelectError {
    #[error("the question reads more than {0} samples; narrow it by labels")]
    TooMany(usize),
    #[error("{0}")]
    Unreadable(String),
}

/// Series as they are read, some at a time, in order of their labels.
pub type SeriesStream = BoxStream<'static, Result<Batch, SelectError>>;

/// What of a range who asks will look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    All,
    /// The newest sample; older ones may be left out.
    Newest,
}

/// Who gives series to a query. Ranges are of milliseconds since the Unix epoch, the end
/// excluded; all matchers must hold.
#[async_trait::async_trait]
pub trait Select: Send + Sync {
    /// The series that match, in order of their labels, packed and as they are read: what
    /// nobody waits for is not read. What can't be had of them is told as missing.
    ///
    /// # Errors
    /// A file can't be read; the stream may tell of one, too.
    async fn stream(
        &self,
        matchers: &[Matcher],
        range: Range<i64>,
        wanted: Wanted,
        missing: &Missing,
    ) -> Result<SeriesStream, SelectError>;

    /// The labels of the series that match and have samples in the range, in order. Of what is
    /// old, a series counts that has samples before and after the range.
    ///
    /// # Errors
    /// A file can't be read.
    async fn series(
        &self,
        matchers: &[Matcher],
        range: Range<i64>,
        missing: &Missing,
    ) -> Result<Vec<Labels>, SelectError>;

    /// What is said of metrics, and by whose sources; the cluster's words first.
    fn metadata(&self) -> Vec<Described>;

    /// Exemplars of the series that match.
    fn exemplars(&self, matchers: &[Matcher], range: Range<i64>) -> Vec<(Labels, Vec<Exemplar>)>;

    /// By which ways a series came last; none where that is not known.
    fn ways(&self, _: &Labels) -> Ways {
        Ways::default()
    }
}
