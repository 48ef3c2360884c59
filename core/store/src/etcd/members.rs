//! The members of an etcd cluster, one connection each: one of them is asked, the
//! next one when it fails.
//!
//! A read may be sent again. A write is sent again only if it surely was not
//! carried out; otherwise its caller learns that its fate is unknown.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use etcd_client::{
    Client, ConnectOptions, KvClient, LeaseClient, MaintenanceClient, TlsOptions, WatchClient,
};
use tiphys_lifecycle::{Backoff, CancellationToken};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tonic::transport::{Certificate, Identity};

use super::{EtcdOptions, EtcdTls, failure::Failure};
use crate::StoreError;

/// For one try; etcd itself gives up after about five seconds.
const ATTEMPT: Duration = Duration::from_secs(8);
/// For all tries of one call.
const PATIENCE: Duration = Duration::from_secs(10);
const CONNECT: Duration = Duration::from_secs(2);
/// etcd cuts off who pings more often than every five seconds.
const PING: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(5));

/// One member's connection, made when it is first used.
pub struct Member {
    pub endpoint: String,
    pub kv: KvClient,
    pub lease: LeaseClient,
    pub watch: WatchClient,
    pub maintenance: MaintenanceClient,
}

pub struct Members {
    all: Vec<Arc<Member>>,
    current: AtomicUsize,
    closed: CancellationToken,
}

/// Whether a call may be sent again when its fate is unknown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Read,
    Write,
}

impl Members {
    /// Prepares the connections; nothing is sent yet.
    pub async fn new(options: &EtcdOptions, closed: CancellationToken) -> Result<Self, StoreError> {
        let mut all = Vec::new();
        for endpoint in &options.endpoints {
            let unfit = |why: String| StoreError::Unfit { endpoint: endpoint.clone(), why };
            let connect = connect_options(endpoint, options.tls.as_ref()).map_err(unfit)?;
            let client = Client::connect([endpoint.as_str()], Some(connect)).await;
            let client = client.map_err(|error| unfit(error.to_string()))?;
            all.push(Arc::new(Member {
                endpoint: endpoint.clone(),
                kv: client.kv_client().max_decoding_message_size(usize::MAX),
                lease: client.lease_client(),
                watch: client.watch_client().max_decoding_message_size(usize::MAX),
                maintenance: client.maintenance_client(),
            }));
        }
        if all.is_empty() {
            return Err(StoreError::Unfit { endpoint: String::new(), why: "no address is given".into() });
        }
        Ok(Self { all, current: AtomicUsize::new(0), closed })
    }

    /// Cancelled when the store shuts down.
    pub fn closed(&self) -> &CancellationToken {
        &self.closed
    }

    /// The member that is asked at present, and its number for [`Members::leave`].
    pub fn current(&self) -> (usize, &Arc<Member>) {
        let at = self.current.load(Ordering::Relaxed) % self.all.len();
        (at, &self.all[at])
    }

    /// Turns to the next member, unless somebody has done so already.
    pub fn leave(&self, at: usize) {
        let next = (at + 1) % self.all.len();
        let left = self.current.compare_exchange(at, next, Ordering::Relaxed, Ordering::Relaxed);
        if left.is_ok() && next != at {
            tracing::info!(from = self.all[at].endpoint, to = self.all[next].endpoint, "etcd member changed");
        }
    }

    /// Asks until there is an answer, a write of unknown fate, or no patience left.
    pub async fn call<T, F>(&self, kind: Kind, attempt: impl Fn(Arc<Member>) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        let deadline = Instant::now() + PATIENCE;
        let mut pauses = Backoff::new(Duration::from_millis(20), Duration::from_secs(1));
        let mut tried = 0;
        loop {
            let (at, member) = self.current();
            let until = deadline.min(Instant::now() + ATTEMPT);
            let answer = tokio::select! {
                () = self.closed.cancelled() => return Err(Failure::Closed),
                answer = timeout_at(until, attempt(member.clone())) => answer,
            };
            let failure = match answer {
                Ok(Ok(result)) => return Ok(result),
                Ok(Err(error)) => error.into(),
                Err(_) => Failure::Unknown("no answer in time".to_owned()),
            };
            match &failure {
                Failure::Unsent(_) => self.leave(at),
                Failure::Unknown(_) => {
                    self.leave(at);
                    if kind == Kind::Write {
                        return Err(failure);
                    }
                }
                _ => return Err(failure),
            }
            tried += 1;
            // The others are asked at once; a pause is taken before the round begins anew.
            let pause = if tried % self.all.len() == 0 { pauses.next_pause() } else { Duration::ZERO };
            if Instant::now() + pause >= deadline {
                return Err(failure);
            }
            sleep(pause).await;
        }
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether a member answers, belongs to a cluster that has a leader, and raises no alarm.
    pub async fn probe(&self, at: usize) -> Result<(), Failure> {
        let member = self.all.get(at).ok_or_else(|| Failure::Invalid(format!("there is no member {at}")))?;
        let mut maintenance = member.maintenance.clone();
        let status = tokio::select! {
            () = self.closed.cancelled() => return Err(Failure::Closed),
            status = timeout(CONNECT, maintenance.status()) => status,
        };
        let status = status.map_err(|_| Failure::Unsent("no answer in time".to_owned()))??;
        if status.leader() == 0 {
            return Err(Failure::Unsent("the cluster has no leader".to_owned()));
        }
        match status.errors() {
            [] => Ok(()),
            errors => Err(Failure::Refused(errors.join(", "))),
        }
    }

    /// The versions of all members that answer within the limit, or why none did.
    pub async fn versions(&self, limit: Duration) -> Result<Vec<(String, String)>, StoreError> {
        let deadline = Instant::now() + limit;
        let mut pauses = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
        loop {
            let asked = self.all.iter().map(|member| async move {
                let mut maintenance = member.maintenance.clone();
                let status = timeout(CONNECT, maintenance.status()).await;
                let status = status.map_err(|_| Failure::Unsent("no answer in time".to_owned()))?;
                Ok((member.endpoint.clone(), status.map_err(Failure::from)?.version().to_owned()))
            });
            let answers: Vec<Result<_, Failure>> = futures::future::join_all(asked).await;
            let why = answers.iter().find_map(|answer| answer.as_ref().err().cloned());
            let versions: Vec<_> = answers.into_iter().flatten().collect();
            if !versions.is_empty() {
                return Ok(versions);
            }
            let pause = pauses.next_pause();
            if Instant::now() + pause >= deadline {
                let endpoints: Vec<_> = self.all.iter().map(|member| member.endpoint.as_str()).collect();
                let why = why.map_or_else(String::new, |why| why.into_error().to_string());
                return Err(StoreError::Unreachable { endpoints: endpoints.join(", "), why });
            }
            tokio::select! {
                () = self.closed.cancelled() => return Err(StoreError::Closed),
                () = sleep(pause) => {}
            }
        }
    }
}

fn connect_options(endpoint: &str, tls: Option<&EtcdTls>) -> Result<ConnectOptions, String> {
    let options = ConnectOptions::new()
        .with_connect_timeout(CONNECT)
        .with_keep_alive(PING.0, PING.1)
        .with_keep_alive_while_idle(true)
        .with_require_leader(true);
    match tls {
        None if endpoint.starts_with("https://") => Err("https needs --etcd-cafile".to_owned()),
        None => Ok(options),
        Some(_) if !endpoint.starts_with("https://") => {
            Err("--etcd-cafile and --etcd-certfile need an address that begins with https://".to_owned())
        }
        Some(tls) => {
            let mut config = TlsOptions::new().ca_certificate(Certificate::from_pem(&tls.ca_pem));
            if let Some((certificate, key)) = &tls.identity_pem {
                config = config.identity(Identity::from_pem(certificate, key));
            }
            Ok(options.with_tls(config))
        }
    }
}
