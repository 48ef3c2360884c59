//! What of a request's body nobody has read.
//!
//! Who is refused (401, 403, 405, 413, 429) mostly sends on: the answer is there before the body has
//! come. HTTP/2 resets a stream that is answered before its request has ended, and some clients then
//! drop the answer for an error of the stream. So the body is lent to whoever answers; what comes back
//! unread is read to its end, within bounds, before the answer goes out.
//!
//! Of HTTP/1.1 nothing is lent: there an answer stands for itself, hyper reads on or closes, and who
//! sent `Expect: 100-continue` must not be asked for a body that nobody wants.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Version};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use parking_lot::Mutex;

/// Bytes of a body that are read though nobody wants them.
const UNWANTED: usize = 1 << 20;
/// A sender has so long for them.
const READ_TIME: Duration = Duration::from_secs(1);

/// Where a body is put back.
type Home<B> = Arc<Mutex<Option<B>>>;

/// A body that goes back when it is dropped.
pub struct Lent<B> {
    /// Always there until the drop.
    body: Option<B>,
    home: Option<Home<B>>,
}

/// The lender's side.
pub struct Unread<B>(Option<Home<B>>);

/// Lends the request's body.
pub fn lend<B: Body>(request: Request<B>) -> (Request<Lent<B>>, Unread<B>) {
    let may_wait = request.version() == Version::HTTP_2 && !request.body().is_end_stream();
    let home: Option<Home<B>> = may_wait.then(Arc::default);
    let unread = Unread(home.clone());
    (request.map(|body| Lent { body: Some(body), home }), unread)
}

impl<B> Unread<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    /// Reads what was given back until its end. What is longer than [`UNWANTED`], slower or broken is
    /// left; so is a body that somebody still holds, who streams it on.
    pub async fn pass_over(self) {
        let Some(mut body) = self.0.and_then(|home| home.lock().take()) else { return };
        let passing = async {
            let mut rest = UNWANTED;
            while let Some(Ok(frame)) = body.frame().await {
                let length = frame.data_ref().map_or(0, Bytes::len);
                let Some(left) = rest.checked_sub(length) else { return };
                rest = left;
            }
        };
        // However it ends, the answer is the same.
        let _ = tokio::time::timeout(READ_TIME, passing).await;
    }
}

impl<B> Drop for Lent<B> {
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            *home.lock() = self.body.take();
        }
    }
}

impl<B: Body + Unpin> Body for Lent<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use futures::stream::{self, BoxStream, StreamExt};
    use http_body_util::StreamBody;
    use tokio::time::Instant;

    use super::*;

    type Chunks = StreamBody<BoxStream<'static, Result<Frame<Bytes>, Infallible>>>;

    /// So many chunks of so many bytes, and how often one was asked for, the end among them.
    fn counted(chunks: usize, bytes: usize) -> (Chunks, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let next = move |sent: usize| {
            count.fetch_add(1, Ordering::Relaxed);
            let frame = || Ok(Frame::data(Bytes::from(vec![b' '; bytes])));
            std::future::ready((sent < chunks).then(|| (frame(), sent + 1)))
        };
        (StreamBody::new(stream::unfold(0, next).boxed()), asked)
    }

    fn lent(version: Version, body: Chunks) -> (Request<Lent<Chunks>>, Unread<Chunks>) {
        lend(Request::builder().version(version).body(body).expect("a request"))
    }

    #[tokio::test]
    async fn what_is_not_read_is_read_to_its_end_within_bounds() {
        for (version, chunks, bytes, expected, what) in [
            (Version::HTTP_2, 3, 2, 4, "three chunks and the end"),
            (Version::HTTP_2, 16, 64 << 10, 17, "1 MiB and the end"),
            (Version::HTTP_2, 100, 64 << 10, 17, "one chunk more than 1 MiB"),
            (Version::HTTP_11, 3, 2, 0, "left alone"),
        ] {
            let (body, asked) = counted(chunks, bytes);
            let (request, unread) = lent(version, body);
            drop(request);
            assert_eq!(asked.load(Ordering::Relaxed), 0, "not before it is asked for: {what}");
            unread.pass_over().await;
            assert_eq!(asked.load(Ordering::Relaxed), expected, "{what}");
        }
    }

    #[tokio::test]
    async fn a_refusal_half_way_leaves_the_rest() {
        let (body, asked) = counted(5, 2);
        let (request, unread) = lent(Version::HTTP_2, body);
        let mut body = request.into_body();
        body.frame().await.expect("a chunk").expect("it is there");
        drop(body);
        unread.pass_over().await;
        assert_eq!(asked.load(Ordering::Relaxed), 6, "five chunks and the end, each once");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_a_body_that_stands_still_or_is_streamed_on() {
        let still: Chunks = StreamBody::new(stream::pending().boxed());
        let (request, unread) = lent(Version::HTTP_2, still);
        drop(request);
        let since = Instant::now();
        unread.pass_over().await;
        assert_eq!(since.elapsed().as_secs(), READ_TIME.as_secs(), "of a clock that the test drives");
        let (body, asked) = counted(3, 2);
        let (request, unread) = lent(Version::HTTP_2, body);
        unread.pass_over().await;
        assert_eq!((asked.load(Ordering::Relaxed), since.elapsed().as_secs()), (0, READ_TIME.as_secs()));
        let read = request.into_body().collect().await.expect("it is whole").to_bytes();
        assert_eq!(read.len(), 6);
    }
}
