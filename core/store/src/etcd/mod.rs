//! The store on etcd: any number of servers beside one cluster of three or five
//! members.
//!
//! ```text
//! get, range, transact, lease ──> members: one is asked, the next one when it fails
//! one watch over everything ──> hub ──> queues of live watchers (bounded as the embedded store's)
//! watch of the past ──> a watch of etcd of its own, until it meets the hub
//! ```
//!
//! Revisions are etcd's own, so they are the same for all servers. A read is
//! answered by a majority (linearizable). A write whose answer was lost is not
//! sent again: the caller is told that its fate is unknown.
//!
//! What it must not do: trust a watch's word about progress (see `version.rs`).

mod convert;
mod failure;
mod feed;
mod hub;
mod keys;
mod members;
mod replay;
mod stream;
mod version;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use etcd_client::{GetOptions, ResponseHeader};
use tiphys_lifecycle::{OnError, Tasks};
use tokio::sync::Notify;

use self::{
    failure::Failure,
    hub::{Hub, WatcherId},
    keys::Keys,
    members::{Kind, Members},
    version::Verdict,
};
use crate::{
    LeaseId, Page, Range, Record, Revision, Store, StoreError, Txn, TxnResult, Watch, queue::Bounds,
};

/// Records asked for in one request: a range of any size stays within bounds on the wire.
const PAGE: usize = 500;

/// Where etcd is, and what may be chosen about the store on it.
#[derive(Debug, Clone)]
pub struct EtcdOptions {
    /// Addresses such as `https://10.0.0.1:2379`, one a member.
    pub endpoints: Vec<String>,
    /// Put before every key, so that several clusters can share one etcd.
    pub prefix: String,
    pub tls: Option<EtcdTls>,
    /// How long to wait at start for a member that answers.
    pub patience: Duration,
    /// How often the past is given up; zero leaves that to somebody else.
    pub compact_every: Duration,
    /// How often quiet watchers are told how far the store is.
    pub progress_every: Duration,
    /// How long an event that is on its way may take until the store, to learn how far it is, writes
    /// a key of its own: that takes a revision.
    pub event_within: Duration,
    /// How far a watcher may be behind.
    pub watch_events: usize,
    /// Likewise, in bytes of values.
    pub watch_bytes: usize,
}

/// Credentials for etcd.
#[derive(Clone)]
pub struct EtcdTls {
    /// The authority that signed the members' certificates.
    pub ca_pem: Vec<u8>,
    /// A client certificate and its key.
    pub identity_pem: Option<(Vec<u8>, Vec<u8>)>,
}

impl std::fmt::Debug for EtcdTls {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("EtcdTls").field("identity", &self.identity_pem.is_some()).finish()
    }
}

impl EtcdOptions {
    /// The usual options for these members.
    pub fn new<E: Into<String>>(endpoints: impl IntoIterator<Item = E>) -> Self {
        Self {
            endpoints: endpoints.into_iter().map(Into::into).collect(),
            prefix: String::new(),
            tls: None,
            patience: Duration::from_secs(10),
            compact_every: Duration::from_secs(300),
            progress_every: Duration::from_secs(10),
            event_within: Duration::from_millis(100),
            watch_events: 8192,
            watch_bytes: 64 << 20,
        }
    }
}

/// The store on etcd. It runs until its task group is shut down.
pub struct Etcd {
    shared: Arc<Shared>,
}

/// What the store's tasks and watches have in common.
struct Shared {
    members: Members,
    keys: Keys,
    hub: Hub,
    /// Somebody asked for progress.
    wanted: Notify,
    /// The feed has to be opened anew.
    stalled: Notify,
    /// The last compaction that this process knows of.
    compacted: AtomicU64,
    /// See [`EtcdOptions::event_within`].
    event_within: Duration,
}

impl Etcd {
    /// Connects, and refuses an etcd that can't be worked with.
    pub async fn connect(options: EtcdOptions, tasks: &Tasks) -> Result<Arc<Self>, StoreError> {
        let members = Members::new(&options, tasks.token()).await?;
        for (endpoint, version) in members.versions(options.patience).await? {
            match version::judge(&version) {
                Verdict::Fine => {}
                Verdict::Doubtful(why) => tracing::warn!(endpoint, version, why, "etcd should be updated"),
                Verdict::Refused(why) => return Err(StoreError::Unfit { endpoint, why }),
            }
        }
        let bounds = Bounds { events: options.watch_events, bytes: options.watch_bytes };
        let shared = Arc::new(Shared {
            members,
            keys: Keys::new(options.prefix),
            hub: Hub::new(bounds),
            wanted: Notify::new(),
            stalled: Notify::new(),
            compacted: AtomicU64::new(0),
            event_within: options.event_within,
        });
        shared.hub.begin(shared.revision().await?);
        tasks.spawn("etcd feed", OnError::Stop, feed::follow(shared.clone()));
        tasks.spawn("etcd progress", OnError::Stop, feed::progress(shared.clone()));
        tasks.spawn("etcd quiet watchers", OnError::Log, feed::tell(shared.clone(), options.progress_every));
        if !options.compact_every.is_zero() {
            let every = options.compact_every;
            tasks.spawn("etcd compaction", OnError::Log, feed::compact(shared.clone(), every));
        }
        let closing = shared.clone();
        tasks.spawn_draining("etcd store", OnError::Log, |token| async move {
            token.cancelled().await;
            closing.hub.close();
            Ok::<(), StoreError>(())
        });
        Ok(Arc::new(Self { shared }))
    }
}

impl Shared {
    /// The present revision, as a majority knows it.
    async fn revision(&self) -> Result<Revision, StoreError> {
        let key = self.keys.own("progress");
        let call = self.members.call(Kind::Read, |member| {
            let (key, options) = (key.clone(), GetOptions::new().with_count_only());
            async move { member.kv.clone().get(key, Some(options)).await }
        });
        Ok(at(call.await.map_err(Failure::into_error)?.header()))
    }

    /// Writes a key of the store's own: its revision comes through the feed.
    async fn touch(&self) -> Result<Revision, StoreError> {
        let key = self.keys.own("progress");
        // Written twice it does the same.
        let call = self.members.call(Kind::Read, |member| {
            let key = key.clone();
            async move { member.kv.clone().put(key, "", None).await }
        });
        Ok(at(call.await.map_err(Failure::into_error)?.header()))
    }

    async fn compact(&self, revision: Revision) -> Result<(), StoreError> {
        let call = self.members.call(Kind::Read, |member| async move {
            member.kv.clone().compact(convert::signed(revision), None).await
        });
        match call.await {
            Ok(_) => {
                self.compacted.fetch_max(revision, Ordering::Relaxed);
                Ok(())
            }
            Err(failure) => Err(self.explain(failure, Some(revision)).await),
        }
    }

    /// Refuses a watch whose first revision this process knows to be gone.
    fn check_known(&self, from: Revision) -> Result<(), StoreError> {
        let compacted = self.compacted.load(Ordering::Relaxed);
        if from <= compacted { Err(StoreError::Compacted { oldest: compacted + 1 }) } else { Ok(()) }
    }

    /// Refuses a watch whose first revision is gone.
    async fn check_kept(&self, from: Revision) -> Result<(), StoreError> {
        let key = self.keys.own("progress");
        let call = self.members.call(Kind::Read, |member| {
            let options = GetOptions::new().with_revision(convert::signed(from - 1)).with_count_only();
            let key = key.clone();
            async move { member.kv.clone().get(key, Some(options)).await }
        });
        match call.await {
            Ok(_) => Ok(()),
            Err(Failure::Compacted) => Err(self.gone(from)),
            Err(failure) => Err(failure.into_error()),
        }
    }

    /// The error of a call about a revision.
    async fn explain(&self, failure: Failure, revision: Option<Revision>) -> StoreError {
        match (failure, revision) {
            (Failure::Compacted, Some(revision)) => self.gone(revision),
            (Failure::FutureRevision, Some(requested)) => match self.revision().await {
                Ok(current) => StoreError::FutureRevision { requested, current },
                Err(error) => error,
            },
            (failure, _) => failure.into_error(),
        }
    }

    /// etcd doesn't say where its history begins: later than this.
    fn gone(&self, revision: Revision) -> StoreError {
        let known = self.compacted.load(Ordering::Relaxed);
        StoreError::Compacted { oldest: known.max(revision + 1) }
    }

    fn request_progress(&self, id: WatcherId) {
        self.hub.want(id);
        self.wanted.notify_one();
    }

    /// One page, as etcd gives it.
    async fn page(&self, range: &Range, limit: usize) -> Result<Page, StoreError> {
        let span = self.keys.span(&range.prefix, range.start_after.as_deref());
        let call = self.members.call(Kind::Read, |member| {
            let mut options = GetOptions::new().with_range(span.end.clone());
            options = options.with_limit(convert::signed(limit as u64));
            if let Some(revision) = range.revision {
                options = options.with_revision(convert::signed(revision));
            }
            let start = span.start.clone();
            async move { member.kv.clone().get(start, Some(options)).await }
        });
        let answer = match call.await {
            Ok(answer) => answer,
            Err(failure) => return Err(self.explain(failure, range.revision).await),
        };
        let records = answer.kvs().iter().map(|kv| convert::record(&self.keys, kv));
        let records = records.collect::<Option<Vec<_>>>();
        let records = records.ok_or_else(|| StoreError::Io("a key in etcd is not text".to_owned()))?;
        Ok(Page {
            records,
            revision: range.revision.unwrap_or_else(|| at(answer.header())),
            more: answer.more(),
        })
    }
}

fn at(header: Option<&ResponseHeader>) -> Revision {
    convert::revision(header.map_or(0, ResponseHeader::revision))
}

#[async_trait]
impl Store for Etcd {
    async fn get(&self, key: &str, revision: Option<Revision>) -> Result<Option<Record>, StoreError> {
        let shared = &self.shared;
        let outer = shared.keys.outer(key);
        let call = shared.members.call(Kind::Read, |member| {
            let options = revision.map(|revision| GetOptions::new().with_revision(convert::signed(revision)));
            let key = outer.clone();
            async move { member.kv.clone().get(key, options).await }
        });
        match call.await {
            Ok(answer) => Ok(answer.kvs().first().and_then(|kv| convert::record(&shared.keys, kv))),
            Err(failure) => Err(shared.explain(failure, revision).await),
        }
    }

    async fn range(&self, range: Range) -> Result<Page, StoreError> {
        let wanted = range.limit.unwrap_or(usize::MAX);
        let mut range = range;
        let mut whole = Page::default();
        loop {
            // For etcd a limit of 0 is none.
            let limit = PAGE.min(wanted - whole.records.len()).max(1);
            let mut page = self.shared.page(&range, limit).await?;
            whole.records.append(&mut page.records);
            whole.more = page.more || whole.records.len() > wanted;
            whole.records.truncate(wanted);
            whole.revision = page.revision;
            if !page.more || whole.records.len() >= wanted {
                return Ok(whole);
            }
            range.revision = Some(page.revision);
            range.start_after = whole.records.last().map(|record| record.key.clone());
        }
    }

    async fn transact(&self, txn: Txn) -> Result<TxnResult, StoreError> {
        convert::check(&txn)?;
        let shared = &self.shared;
        let call = shared.members.call(Kind::Write, |member| {
            let request = convert::request(&shared.keys, &txn);
            async move { member.kv.clone().txn(request).await }
        });
        let answer = match call.await {
            Ok(answer) => answer,
            Err(Failure::LeaseNotFound) => return Err(StoreError::LeaseNotFound(lease_of(&txn))),
            Err(failure) => return Err(failure.into_error()),
        };
        let succeeded = answer.succeeded();
        let applied = if succeeded { &txn.success } else { &txn.failure };
        let results = convert::results(&shared.keys, applied, answer.op_responses())?;
        Ok(TxnResult { succeeded, revision: at(answer.header()), results })
    }

    async fn watch(&self, prefix: &str, from: Revision) -> Result<Watch, StoreError> {
        replay::watch(&self.shared, prefix, from).await
    }

    async fn compact(&self, revision: Revision) -> Result<(), StoreError> {
        self.shared.compact(revision).await
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        self.shared.revision().await
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        // etcd counts whole seconds, and raises what is too short for its elections.
        let seconds = ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0);
        // A lease that was granted without an answer expires unused.
        let call = self.shared.members.call(Kind::Read, |member| async move {
            member.lease.clone().grant(convert::signed(seconds.max(1)), None).await
        });
        let answer = call.await.map_err(Failure::into_error)?;
        Ok(u64::try_from(answer.id()).unwrap_or(0))
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), StoreError> {
        let call = self.shared.members.call(Kind::Read, |member| async move {
            member.lease.clone().keep_alive(convert::signed(lease)).await
        });
        about_lease(call.await.map(drop), lease)
    }

    async fn time_to_live(&self, lease: LeaseId) -> Result<Duration, StoreError> {
        let call = self.shared.members.call(Kind::Read, |member| async move {
            member.lease.clone().time_to_live(convert::signed(lease), None).await
        });
        let left = call.await.map_err(Failure::into_error)?.ttl();
        // Of a lease that isn't there etcd says -1.
        u64::try_from(left).map(Duration::from_secs).map_err(|_| StoreError::LeaseNotFound(lease))
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        let call = self.shared.members.call(Kind::Write, |member| async move {
            member.lease.clone().revoke(convert::signed(lease)).await
        });
        about_lease(call.await.map(drop), lease)
    }

    async fn count(&self, prefix: &str) -> Result<u64, StoreError> {
        let span = self.shared.keys.span(prefix, None);
        let call = self.shared.members.call(Kind::Read, |member| {
            let options = GetOptions::new().with_range(span.end.clone()).with_count_only();
            let start = span.start.clone();
            async move { member.kv.clone().get(start, Some(options)).await }
        });
        let count = call.await.map_err(Failure::into_error)?.count();
        Ok(u64::try_from(count).unwrap_or(0))
    }

    async fn size(&self) -> Result<Option<u64>, StoreError> {
        let call = self
            .shared
            .members
            .call(Kind::Read, |member| async move { member.maintenance.clone().status().await });
        let size = call.await.map_err(Failure::into_error)?.db_size();
        Ok(u64::try_from(size).ok())
    }

    fn parts(&self) -> Vec<String> {
        (0..self.shared.members.len()).map(|at| format!("etcd-{at}")).collect()
    }

    async fn probe(&self, part: usize) -> Result<(), StoreError> {
        self.shared.members.probe(part).await.map_err(Failure::into_error)
    }
}

fn about_lease(outcome: Result<(), Failure>, lease: LeaseId) -> Result<(), StoreError> {
    outcome.map_err(|failure| match failure {
        Failure::LeaseNotFound => StoreError::LeaseNotFound(lease),
        other => other.into_error(),
    })
}

/// The lease that a transaction puts keys under.
fn lease_of(txn: &Txn) -> LeaseId {
    let operations = txn.success.iter().chain(&txn.failure);
    let lease = operations.filter_map(|operation| match operation {
        crate::Op::Put { lease, .. } => *lease,
        _ => None,
    });
    lease.last().unwrap_or(0)
}
