//! The one writer: takes what waits, applies it in order, makes it durable with
//! one fsync, acknowledges. What arrives meanwhile is the next group.

use std::sync::Arc;

use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{engine::Engine, mark::Mark};
use crate::{LeaseId, StoreError, Txn, TxnResult};

/// Transactions, and bytes of their values, in one group.
const GROUP_TXNS: usize = 256;
const GROUP_BYTES: usize = 4 << 20;

pub type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// What the writer is asked for.
pub enum Request {
    Transact(Txn, Reply<TxnResult>),
    Grant(std::time::Duration, Reply<LeaseId>),
    KeepAlive(LeaseId, Reply<()>),
    Revoke(LeaseId, Reply<()>),
}

/// Some transactions, or one request of another kind, or a lease that is due.
enum Work {
    Group(Vec<Txn>, Vec<Reply<TxnResult>>),
    Lease(Request),
    Expiry,
}

pub struct Writer {
    pub engine: Arc<Engine>,
    pub requests: mpsc::Receiver<Request>,
    /// Received, but not of the group that was just gathered.
    pub held: Option<Request>,
    pub mark: Arc<Mark>,
}

impl Writer {
    /// Runs until the token is cancelled and everything accepted by then is done.
    pub async fn run(mut self, token: CancellationToken) -> Result<(), StoreError> {
        while let Some(work) = self.next(&token).await {
            let engine = self.engine.clone();
            let done = tokio::task::spawn_blocking(move || engine.perform(work)).await;
            if let Err(error) = done.unwrap_or_else(|error| Err(StoreError::Io(error.to_string()))) {
                self.engine.hub.close();
                return Err(error);
            }
        }
        self.engine.hub.close();
        self.mark.keep(self.engine.revision()).await
    }

    async fn next(&mut self, token: &CancellationToken) -> Option<Work> {
        if let Some(request) = self.held.take() {
            return Some(self.gather(request));
        }
        let due = self.engine.state.read().leases.next_deadline();
        let expiry = async {
            match due {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = token.cancelled() => {}
            request = self.requests.recv() => return request.map(|request| self.gather(request)),
            () = expiry => return Some(Work::Expiry),
        }
        // What was accepted is still done; nothing new is.
        self.requests.close();
        self.requests.recv().await.map(|request| self.gather(request))
    }

    fn gather(&mut self, first: Request) -> Work {
        let (mut txns, mut replies, mut bytes) = (Vec::new(), Vec::new(), 0);
        let mut next = Some(first);
        while let Some(request) = next {
            let Request::Transact(txn, reply) = request else {
                if txns.is_empty() {
                    return Work::Lease(request);
                }
                self.held = Some(request);
                break;
            };
            bytes += txn.bytes();
            txns.push(txn);
            replies.push(reply);
            let full = txns.len() >= GROUP_TXNS || bytes >= GROUP_BYTES;
            next = if full { None } else { self.requests.try_recv().ok() };
        }
        Work::Group(txns, replies)
    }
}

impl Engine {
    /// Does some work and answers it. An error is one of the disk: the store is at its end.
    fn perform(&self, work: Work) -> Result<(), StoreError> {
        match work {
            Work::Group(txns, replies) => match self.transact_all(&txns) {
                Ok(results) => {
                    for (result, reply) in results.into_iter().zip(replies) {
                        answer(reply, result);
                    }
                    Ok(())
                }
                Err(error) => {
                    for reply in replies {
                        answer(reply, Err(error.clone()));
                    }
                    Err(error)
                }
            },
            Work::Lease(Request::Grant(ttl, reply)) => answer_lease(reply, self.grant(ttl)),
            Work::Lease(Request::KeepAlive(lease, reply)) => answer_lease(reply, self.keep_alive(lease)),
            Work::Lease(Request::Revoke(lease, reply)) => answer_lease(reply, self.revoke(lease)),
            Work::Lease(Request::Transact(txn, reply)) => self.perform(Work::Group(vec![txn], vec![reply])),
            Work::Expiry if self.state.read().leases.expired(Instant::now()).is_none() => Ok(()),
            Work::Expiry => self.expire(),
        }
    }
}

fn answer_lease<T>(reply: Reply<T>, result: Result<T, StoreError>) -> Result<(), StoreError> {
    let failure = result.as_ref().err().filter(|error| !matches!(error, StoreError::LeaseNotFound(_)));
    let outcome = failure.cloned().map_or(Ok(()), Err);
    answer(reply, result);
    outcome
}

/// A caller that went away misses its answer, nothing else.
fn answer<T>(reply: Reply<T>, result: Result<T, StoreError>) {
    if reply.send(result).is_err() {
        tracing::trace!("caller of the store went away before its answer");
    }
}
