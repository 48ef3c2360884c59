//! Taking bursts of changes as one.

use std::{pin::pin, time::Duration};

use futures::{Stream, StreamExt};

/// Waits for the first change, then goes on taking until `window` has passed, so
/// that a rollout's hundred changes cost a few transactions. `false` when the
/// stream has ended.
pub(crate) async fn next_burst<T>(
    changes: &mut (impl Stream<Item = T> + Unpin),
    window: Duration,
    mut take: impl FnMut(T),
) -> bool {
    let Some(first) = changes.next().await else { return false };
    take(first);
    let mut over = pin!(tokio::time::sleep(window));
    loop {
        tokio::select! {
            () = &mut over => return true,
            change = changes.next() => match change {
                Some(change) => take(change),
                None => return false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_stream::wrappers::UnboundedReceiverStream;

    #[tokio::test(start_paused = true)]
    async fn a_burst_ends_with_its_window() {
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        let mut changes = UnboundedReceiverStream::new(receiver);
        for change in 0..3 {
            sender.send(change).unwrap();
        }
        let mut burst = Vec::new();
        assert!(next_burst(&mut changes, Duration::from_millis(20), |change| burst.push(change)).await);
        assert_eq!(burst, [0, 1, 2]);
        drop(sender);
        assert!(!next_burst(&mut changes, Duration::from_millis(20), |_| ()).await);
    }
}
