//! The tasks that keep the hub as far as etcd: the feed itself, the answers to
//! requests for progress, and the compaction of the past.
//!
//! Progress without etcd's own progress requests (they are not to be trusted on
//! every version, see `version.rs`): when somebody wants to know that nothing more
//! is to come up to now, etcd is asked for its revision. The feed has seen it, or
//! sees it in a moment, unless the revision was given to a key of somebody else;
//! then the store writes a key of its own, and that write comes through the feed.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use etcd_client::{Compare, CompareOp, Txn, TxnOp, TxnOpResponse};
use tiphys_lifecycle::Backoff;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::{
    Shared, convert,
    members::Kind,
    stream::{Ended, Reader},
};
use crate::{Revision, StoreError};

/// Requests for progress within this time are answered together.
const TOGETHER: Duration = Duration::from_millis(5);
/// After this long without a write that is known to be there, the feed is opened anew.
const STALLED: Duration = Duration::from_secs(5);

/// Follows etcd until the task is dropped; begins again where it was when a member fails.
pub async fn follow(shared: Arc<Shared>) -> Result<(), StoreError> {
    let mut pauses = Backoff::new(Duration::from_millis(20), Duration::from_secs(1));
    loop {
        let ended = match Reader::open(&shared, shared.hub.seen() + 1).await {
            Ok(reader) => {
                let (ended, told) = read(&shared, reader).await;
                if told {
                    pauses.reset();
                }
                ended
            }
            Err(ended) => ended,
        };
        match ended {
            Ended::Broken(why) => {
                tracing::info!(%why, revision = shared.hub.seen(), "watch of etcd is opened again");
                sleep(pauses.next_pause()).await;
            }
            Ended::Compacted(revision) => {
                let seen = shared.hub.seen();
                tracing::warn!(revision, seen, "etcd gave up what was not read yet");
                shared.compacted.fetch_max(revision, Ordering::Relaxed);
                shared.hub.skip(revision);
            }
        }
    }
}

/// Reads until the watch ends; whether it told anything.
async fn read(shared: &Shared, mut reader: Reader) -> (Ended, bool) {
    let mut told = false;
    loop {
        let batch = tokio::select! {
            batch = reader.next(shared) => batch,
            () = shared.stalled.notified() => Err(Ended::Broken("the watch stalled".to_owned())),
        };
        match batch {
            Ok(batch) => shared.hub.deliver(batch),
            Err(ended) => {
                shared.members.leave(reader.member);
                return (ended, told);
            }
        }
        told = true;
    }
}

/// Answers requests for progress.
pub async fn progress(shared: Arc<Shared>) -> Result<(), StoreError> {
    loop {
        shared.wanted.notified().await;
        sleep(TOGETHER).await;
        let request = shared.hub.requests();
        match advance(&shared).await {
            Ok(()) => shared.hub.satisfy(request),
            Err(StoreError::Closed) => return Ok(()),
            Err(error) => {
                tracing::warn!(%error, "progress of watches can't be told");
                shared.wanted.notify_one();
            }
        }
    }
}

/// Makes sure that the feed has seen everything up to etcd's present revision.
async fn advance(shared: &Shared) -> Result<(), StoreError> {
    let target = shared.revision().await?;
    if timeout(shared.event_within, shared.hub.reached(target)).await.is_ok() {
        return Ok(());
    }
    let touched = shared.touch().await?;
    while timeout(STALLED, shared.hub.reached(touched)).await.is_err() {
        tracing::warn!(revision = touched, seen = shared.hub.seen(), "watch of etcd lags behind");
        shared.stalled.notify_one();
    }
    Ok(())
}

/// Tells quiet watchers from time to time how far the store is.
pub async fn tell(shared: Arc<Shared>, every: Duration) -> Result<(), StoreError> {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        shared.hub.progress_all();
    }
}

/// Gives up the past from time to time: what was the present one period ago. Of
/// several servers on one etcd the first one does it: each says in a key which
/// round it begins, and of those who saw the same round one succeeds.
pub async fn compact(shared: Arc<Shared>, every: Duration) -> Result<(), StoreError> {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut round, mut past) = (0, None);
    loop {
        ticks.tick().await;
        let (won, now, present) = match begin_round(&shared, round).await {
            Ok(outcome) => outcome,
            Err(StoreError::Closed) => return Ok(()),
            Err(error) => {
                tracing::warn!(%error, "etcd is not compacted this time");
                continue;
            }
        };
        round = now;
        if let Some(past) = past.replace(present).filter(|_| won) {
            match shared.compact(past).await {
                Ok(()) => tracing::debug!(revision = past, "etcd compacted"),
                Err(StoreError::Closed) => return Ok(()),
                Err(StoreError::Compacted { .. }) => {}
                Err(error) => tracing::warn!(%error, "etcd is not compacted this time"),
            }
        }
    }
}

/// Whether this server has the next round, which one that is, and the present revision.
async fn begin_round(shared: &Shared, round: i64) -> Result<(bool, i64, Revision), StoreError> {
    let key = shared.keys.own("compaction");
    let call = shared.members.call(Kind::Write, |member| {
        let txn = Txn::new()
            .when([Compare::version(key.clone(), CompareOp::Equal, round)])
            .and_then([TxnOp::put(key.clone(), "", None)])
            .or_else([TxnOp::get(key.clone(), None)]);
        async move { member.kv.clone().txn(txn).await }
    });
    let answer = call.await.map_err(super::failure::Failure::into_error)?;
    let present = convert::revision(answer.header().map_or(0, etcd_client::ResponseHeader::revision));
    if answer.succeeded() {
        return Ok((true, round + 1, present));
    }
    let theirs = answer.op_responses().into_iter().find_map(|answer| match answer {
        TxnOpResponse::Get(found) => found.kvs().first().map(etcd_client::KeyValue::version),
        _ => None,
    });
    Ok((false, theirs.unwrap_or(0), present))
}
