//! Live lines on their way to a reader: who takes nothing for [`STALLED`] is cut off.
//!
//! ```text
//! lines -> a task -> a queue -> the body of an answer
//! ```
//!
//! A connection that is full doesn't ask its body for more, so a body never learns that it waits.
//! The task does. It lets go of what the lines come from, and the body ends behind what is in the queue.

use std::{convert::Infallible, future::ready, time::Duration};

use futures::{Stream, StreamExt, stream};
use tiphys_lifecycle::{OnError, Tasks};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;

use crate::wire::TailLine;

/// A reader that takes nothing for so long is cut off.
pub const STALLED: Duration = Duration::from_secs(60);
/// Lines that wait at a node for the connection of a server.
const OF_NODE: usize = 64;
/// Lines that wait at a server for the connection of a client: more wait at the nodes.
const OF_SERVER: usize = 8;

/// What a node has for a server, which connects again when it is cut off.
pub fn to_server<S>(lines: S, tasks: &Tasks) -> impl Stream<Item = TailLine> + Send + use<S>
where
    S: Stream<Item = TailLine> + Send + 'static,
{
    queue(lines, OF_NODE, tasks).0
}

/// What a server has for a client, whose last line says that it is cut off.
pub fn to_client<S>(lines: S, tasks: &Tasks) -> impl Stream<Item = TailLine> + Send + use<S>
where
    S: Stream<Item = TailLine> + Send + 'static,
{
    let (lines, stalled) = queue(lines, OF_SERVER, tasks);
    // Where it wasn't cut off, nobody says so, and nothing follows.
    lines.chain(stream::once(stalled).filter_map(|said| ready(said.ok().map(|()| cut_off()))))
}

fn cut_off() -> TailLine {
    let ended = format!("no line was taken for {} s: ask again, and read on", STALLED.as_secs());
    TailLine::Ended { ended }
}

/// The queue, and who tells that its reader was cut off.
fn queue<S>(lines: S, waiting: usize, tasks: &Tasks) -> (ReceiverStream<TailLine>, oneshot::Receiver<()>)
where
    S: Stream<Item = TailLine> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(waiting);
    let (tell, stalled) = oneshot::channel();
    tasks.spawn("log tail", OnError::Log, async move {
        if hand_over(lines, sender).await == End::Stalled {
            // An error: it has left meanwhile.
            let _ = tell.send(());
        }
        Ok::<(), Infallible>(())
    });
    (ReceiverStream::new(receiver), stalled)
}

/// Why no more lines are handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// There are none.
    Lines,
    /// The reader left.
    Left,
    /// The reader let a line wait for too long.
    Stalled,
}

async fn hand_over(lines: impl Stream<Item = TailLine>, sender: mpsc::Sender<TailLine>) -> End {
    let mut lines = std::pin::pin!(lines);
    loop {
        let line = tokio::select! {
            line = lines.next() => line,
            () = sender.closed() => return End::Left,
        };
        let Some(line) = line else { return End::Lines };
        match tokio::time::timeout(STALLED, sender.send(line)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return End::Left,
            Err(_) => return End::Stalled,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::time::{Instant, timeout};

    use super::*;

    /// A test that hangs ends; time passes at once where all wait.
    const LIMIT: Duration = Duration::from_secs(100 * STALLED.as_secs());

    fn line(number: u64) -> TailLine {
        TailLine::Dropped { dropped: number, node: "n1".into(), since: None }
    }

    #[tokio::test(start_paused = true)]
    async fn abuse_33_a_follower_that_takes_nothing_is_cut_off() {
        let (sender, mut receiver) = mpsc::channel(1);
        let began = Instant::now();
        // There are always more lines.
        let handed = timeout(LIMIT, hand_over(stream::iter((0..).map(line)), sender)).await;
        assert_eq!(handed, Ok(End::Stalled), "after {:?}", began.elapsed());
        assert!((STALLED..2 * STALLED).contains(&began.elapsed()), "after {:?}", began.elapsed());
        // What it had room for, and the end.
        assert_eq!((receiver.recv().await, receiver.recv().await), (Some(line(0)), None));
    }

    #[tokio::test(start_paused = true)]
    async fn abuse_33_a_client_that_takes_nothing_is_told_and_nothing_is_held_for_it() {
        let (tasks, held) = (Tasks::new(), Arc::new(()));
        let source = Arc::downgrade(&held);
        let endless = stream::iter((0..).map(move |number| {
            let _held = &held;
            line(number)
        }));
        let mut lines = std::pin::pin!(to_client(endless, &tasks));
        assert_eq!(lines.next().await, Some(line(0)));
        // The pace is what is tested.
        tokio::time::sleep(2 * STALLED).await;
        assert!(source.upgrade().is_none(), "there is still a place for it");
        let rest: Vec<_> = timeout(LIMIT, lines.collect()).await.expect("it ends");
        let waiting = (1..=OF_SERVER as u64).map(line);
        assert_eq!(rest, waiting.chain([cut_off()]).collect::<Vec<_>>());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_gets_all_lines_is_told_no_more() {
        let lines = to_client(stream::iter((0..3).map(line)), &Tasks::new());
        let all: Vec<_> = timeout(LIMIT, lines.collect()).await.expect("it ends");
        assert_eq!(all, (0..3).map(line).collect::<Vec<_>>());
    }

    #[tokio::test(start_paused = true)]
    async fn a_follower_that_takes_a_line_now_and_then_gets_all() {
        let (sender, mut receiver) = mpsc::channel(1);
        let take = async {
            let mut taken = Vec::new();
            loop {
                // The pace is what is tested.
                tokio::time::sleep(STALLED - Duration::from_secs(1)).await;
                match receiver.recv().await {
                    Some(line) => taken.push(line),
                    None => return taken,
                }
            }
        };
        let both = async { tokio::join!(hand_over(stream::iter((0..5).map(line)), sender), take) };
        let (handed, taken) = timeout(LIMIT, both).await.expect("it ends");
        assert_eq!((handed, taken), (End::Lines, (0..5).map(line).collect::<Vec<_>>()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_follower_that_leaves_gives_its_place_back_though_nothing_is_written() {
        let (sender, receiver) = mpsc::channel(1);
        drop(receiver);
        assert_eq!(timeout(LIMIT, hand_over(stream::pending(), sender)).await, Ok(End::Left));
    }
}
