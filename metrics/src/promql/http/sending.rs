//! Answers that are being sent, and what becomes of those that nobody reads.
//!
//! A large answer is written while it is sent, so its values stay in memory as long as its reader
//! likes. When a query begins, those whose readers have taken nothing for a while are cut off.

use std::{
    sync::{Arc, Weak},
    task::Poll,
    time::Duration,
};

use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures::{StreamExt, stream};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::super::Share;

/// Whoever takes nothing for so long is cut off.
const PATIENCE: Duration = Duration::from_secs(60);

/// The answers. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Sending(Arc<Mutex<Vec<Weak<Mutex<Part>>>>>);

#[derive(Debug)]
struct Part {
    /// What is left, and what it holds; absent when it was cut off.
    rest: Option<(BodyDataStream, Share)>,
    /// When its reader took something.
    moved: Instant,
}

/// Why an answer has no end.
#[derive(Debug, thiserror::Error)]
#[error("nothing of the answer was read for {PATIENCE:?}")]
struct CutOff;

impl Sending {
    /// A body that can be cut off.
    pub fn of(&self, body: Body, share: Share) -> Body {
        let part = Part { rest: Some((body.into_data_stream(), share)), moved: Instant::now() };
        let part = Arc::new(Mutex::new(part));
        self.0.lock().push(Arc::downgrade(&part));
        Body::from_stream(stream::poll_fn(move |cx| {
            let mut part = part.lock();
            part.moved = Instant::now();
            let Some((rest, _)) = part.rest.as_mut() else {
                return Poll::Ready(Some(Err::<Bytes, axum::BoxError>(CutOff.into())));
            };
            rest.poll_next_unpin(cx).map_err(axum::BoxError::from)
        }))
    }

    /// Ends the answers that nobody reads, and gives back what they hold.
    pub fn cut_off_slow(&self) {
        self.0.lock().retain(|part| {
            let Some(part) = part.upgrade() else { return false };
            let mut part = part.lock();
            if part.moved.elapsed() > PATIENCE {
                part.rest = None;
            }
            part.rest.is_some()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::Budget;

    #[tokio::test(start_paused = true)]
    async fn abuse_33_an_answer_that_nobody_reads_is_cut_off_and_gives_back_what_it_holds() {
        let (sending, budget) = (Sending::default(), Budget::new(100, 100));
        let answer = || {
            let share = budget.share("a");
            share.take(10).expect("there is so much");
            let piece = |piece: &'static [u8; 2]| Ok::<_, axum::BoxError>(Bytes::from_static(piece));
            let pieces = stream::iter([b"1,"; 3]).map(piece);
            sending.of(Body::from_stream(pieces), share).into_data_stream()
        };
        let (mut unread, mut read) = (answer(), answer());
        assert_eq!(unread.next().await.expect("a piece").expect("sound"), "1,");
        tokio::time::advance(PATIENCE).await;
        assert_eq!(read.next().await.expect("a piece").expect("sound"), "1,");
        sending.cut_off_slow();
        assert_eq!(budget.held(), 20, "not so soon");
        tokio::time::advance(Duration::from_secs(1)).await;
        sending.cut_off_slow();
        assert_eq!(budget.held(), 10);
        let why = unread.next().await.expect("not an end").expect_err("it is not whole");
        assert!(why.to_string().contains("60s"), "{why}");
        assert_eq!(read.by_ref().count().await, 2);
        drop(read);
        sending.cut_off_slow();
        assert_eq!((budget.held(), sending.0.lock().len()), (0, 0));
    }
}
