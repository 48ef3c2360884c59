//! API groups that extension servers answer, each version of a group by its APIService.
//!
//! ```text
//! request ──> authorize ──> Table: who answers for GROUP/VERSION?
//!                             ├ this server ──> mounts, verbs
//!                             └ a Service ──> identity (X-Remote-*) ──> transport (TLS, client certificate) ──> it
//! APIService ── follow ──> Table; register: the local ones; remote: is it there, what does it serve
//! ```
//!
//! - Pure: [`table`], `priorities`, `desired`, `register` (what to do), `condition`, `identity`,
//!   `documents`, `swagger`, `trust` (the ConfigMap by which extension servers know this server).
//! - Edges: `follow`, `remote` (one APIService), `proxy`, `transport`.
//!
//! The core group and `apiregistration.k8s.io` are always answered here: a mistake in an
//! APIService can then be mended.
//!
//! What it must not do: authorize. That is done before a request comes here.

mod authentication;
mod condition;
mod desired;
mod documents;
mod fetch;
mod follow;
mod identity;
mod priorities;
mod proxy;
mod register;
mod remote;
pub(crate) mod swagger;
mod table;
mod transport;
mod trust;

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use arc_swap::ArcSwap;
use tiphys_lifecycle::Tasks;
use tokio::sync::Notify;

pub use authentication::start as publish;
pub use documents::Seen;
pub use follow::start;
pub use proxy::proxy;
pub use table::{Service, Table};

use crate::{authz::Objects, pki::FrontProxy, request::info::Target, streaming};
use transport::Transport;

/// As whom this server goes to extension servers, and what it tells them of itself.
pub struct Config {
    pub front_proxy: FrontProxy,
    /// Whom client certificates are verified by.
    pub client_ca_pem: String,
    /// Which addresses extension servers may have.
    pub(crate) reachable: fn(IpAddr) -> bool,
}

impl Config {
    pub fn new(front_proxy: FrontProxy, client_ca_pem: impl Into<String>) -> Self {
        Self { front_proxy, client_ca_pem: client_ca_pem.into(), reachable: streaming::may_be_dialled }
    }
}

/// Who answers for which group and version, and the way there.
pub struct Aggregation {
    table: ArcSwap<Table>,
    /// What extension servers said of themselves, by the names of their APIServices.
    seen: ArcSwap<BTreeMap<String, Arc<Seen>>>,
    /// Another group is mounted.
    announced: Notify,
    transport: Transport,
    trust: trust::Trust,
}

impl Aggregation {
    pub fn new(config: Config, objects: Arc<dyn Objects>, tasks: Tasks) -> Self {
        let trust = trust::Trust::of(&config.client_ca_pem, &config.front_proxy.ca_pem);
        let transport = Transport::new(objects, config.front_proxy.identity, config.reachable, tasks);
        Self {
            table: ArcSwap::default(),
            seen: ArcSwap::default(),
            announced: Notify::new(),
            transport,
            trust,
        }
    }

    pub fn table(&self) -> Arc<Table> {
        self.table.load_full()
    }

    /// The extension server that a request is for, if it is for one.
    pub fn serving(&self, target: &Target, path: &str) -> Option<Arc<Service>> {
        let table = self.table.load();
        if table.remote.is_empty() {
            return None;
        }
        match target {
            Target::Resource(info) => table.remote(&info.group, &info.version),
            Target::Path => {
                let (group, version) = table::group_version(path)?;
                table.remote(group, version)
            }
        }
    }

    /// What is known of an extension server's group and version.
    pub fn seen(&self, service: &Service) -> Option<Arc<Seen>> {
        self.seen.load().get(&service.name()).cloned()
    }

    /// All extension servers with what is known of them.
    pub fn all_seen(&self) -> Vec<(Arc<Service>, Arc<Seen>)> {
        let (table, seen) = (self.table.load(), self.seen.load());
        let known = |service: &Arc<Service>| Some((service.clone(), seen.get(&service.name())?.clone()));
        table.remote.iter().filter_map(known).collect()
    }

    fn see(&self, name: &str, seen: Seen) {
        let seen = Arc::new(seen);
        self.seen.rcu(|all| {
            let mut all = (**all).clone();
            all.insert(name.to_owned(), seen.clone());
            all
        });
    }

    fn forget(&self, name: &str) {
        self.seen.rcu(|all| {
            let mut all = (**all).clone();
            all.remove(name);
            all
        });
    }

    /// A group was mounted: it gets an APIService.
    pub fn announced(&self) {
        self.announced.notify_one();
    }
}
