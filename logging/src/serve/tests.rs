//! The place of a follower: who takes nothing loses it, who is only slow keeps it.

use futures::stream;
use tokio::time::{Instant, timeout};

use super::*;

/// A test that hangs ends; time passes at once where all wait.
const LIMIT: Duration = Duration::from_secs(100 * STALLED.as_secs());

fn line(number: u64) -> TailLine {
    TailLine::Dropped { dropped: number, node: "n1".into() }
}

#[tokio::test(start_paused = true)]
async fn abuse_33_a_follower_that_takes_nothing_is_cut_off() {
    let (sender, mut receiver) = mpsc::channel(1);
    let began = Instant::now();
    // There are always more lines.
    let handed = timeout(LIMIT, hand_over(stream::iter((0..).map(line)), sender)).await;
    assert!(handed.is_ok(), "it still waits after {:?}", began.elapsed());
    assert!((STALLED..2 * STALLED).contains(&began.elapsed()), "after {:?}", began.elapsed());
    // What it had room for, and the end.
    assert_eq!((receiver.recv().await, receiver.recv().await), (Some(line(0)), None));
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
    assert_eq!((handed, taken), (Ok(()), (0..5).map(line).collect::<Vec<_>>()));
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_leaves_gives_its_place_back_though_nothing_is_written() {
    let (sender, receiver) = mpsc::channel(1);
    drop(receiver);
    assert_eq!(timeout(LIMIT, hand_over(stream::pending(), sender)).await, Ok(Ok(())));
}
