//! Several threads work on one query: each takes some series, unpacks them and computes what
//! is wanted of each; what they find comes back in the order of the series.
//!
//! Who stops waiting ends the query: what was begun is a few thousand samples.

use std::{
    num::NonZero,
    sync::{Arc, LazyLock},
    thread::available_parallelism,
};

use futures::{Stream, StreamExt};

use super::error::QueryError;
use crate::series::Batch;

/// Samples that are not worth another thread.
const FEW: usize = 4096;
/// Threads of one query at most.
const MOST: usize = 8;
/// As many as there are cores; asked once, as it is read from files.
static THREADS: LazyLock<usize> = LazyLock::new(|| available_parallelism().map_or(1, NonZero::get).min(MOST));

/// A piece of what a query works on.
pub trait Piece: Send + 'static {
    /// Samples of it, at most.
    fn samples(&self) -> usize;
}

impl Piece for Batch {
    fn samples(&self) -> usize {
        self.samples()
    }
}

/// What `work` makes of each piece, in their order.
pub fn each<P: Piece, T: Send + 'static>(
    pieces: impl Stream<Item = Result<P, QueryError>>,
    work: impl Fn(P) -> Result<T, QueryError> + Send + Sync + 'static,
) -> impl Stream<Item = Result<T, QueryError>> {
    let work = Arc::new(work);
    let begin = move |piece: Result<P, QueryError>| {
        let work = work.clone();
        async move {
            let piece = piece?;
            if piece.samples() < FEW {
                return work(piece);
            }
            let done = tokio::task::spawn_blocking(move || work(piece)).await;
            done.unwrap_or_else(|why| Err(QueryError::Unreadable(why.to_string())))
        }
    };
    pieces.map(begin).buffered(*THREADS)
}
