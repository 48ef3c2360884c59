//! The Lease of an election: read, taken, renewed, given back. Each write names the
//! version that it changes, so of two contenders one succeeds.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{Api, Client, api::PostParams};

use super::decide::Holder;

const NAMESPACE: &str = "kube-system";

/// How long a Lease lives after it was last renewed.
pub const DURATION: Duration = Duration::from_secs(15);

pub struct Leases {
    pub api: Api<Lease>,
    name: &'static str,
    identity: String,
}

impl Leases {
    pub fn new(client: Client, name: &'static str, identity: String) -> Self {
        Self { api: Api::namespaced(client, NAMESPACE), name, identity }
    }

    pub fn identity(&self) -> &str {
        &self.identity
    }

    pub async fn get(&self) -> Result<Option<Lease>, kube::Error> {
        self.api.get_opt(self.name).await
    }

    pub async fn create(&self) -> Result<Lease, kube::Error> {
        let metadata = ObjectMeta { name: Some(self.name.to_owned()), ..ObjectMeta::default() };
        let lease = Lease { metadata, spec: Some(self.spec(0)) };
        self.api.create(&PostParams::default(), &lease).await
    }

    pub async fn take(&self, lease: &Lease, transitions: i32) -> Result<Lease, kube::Error> {
        let lease = Lease { spec: Some(self.spec(transitions)), ..lease.clone() };
        self.api.replace(self.name, &PostParams::default(), &lease).await
    }

    pub async fn renew(&self, lease: &Lease) -> Result<Lease, kube::Error> {
        let mut lease = lease.clone();
        lease.spec.get_or_insert_default().renew_time = Some(MicroTime(Timestamp::now()));
        self.api.replace(self.name, &PostParams::default(), &lease).await
    }

    /// Lets the next one take it at once.
    pub async fn give_back(&self, lease: &Lease) -> Result<(), kube::Error> {
        let mut lease = lease.clone();
        let spec = lease.spec.get_or_insert_default();
        spec.holder_identity = Some(String::new());
        spec.lease_duration_seconds = Some(1);
        self.api.replace(self.name, &PostParams::default(), &lease).await.map(drop)
    }

    fn spec(&self, transitions: i32) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            acquire_time: Some(now.clone()),
            renew_time: Some(now),
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        }
    }
}

/// Who holds it.
pub fn holder(lease: &Lease) -> Holder {
    let spec = lease.spec.clone().unwrap_or_default();
    let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    Holder {
        identity: spec.holder_identity.unwrap_or_default(),
        duration: seconds.map_or(DURATION, Duration::from_secs),
        transitions: spec.lease_transitions.unwrap_or(0),
        renewed: spec.renew_time.map(|time| time.0.to_string()).unwrap_or_default(),
    }
}
