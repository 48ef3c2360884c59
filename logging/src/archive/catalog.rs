//! The indexes of all nodes, as the archive has them.
//!
//! Only one server writes ([`Catalog::change`]), and what it wrote it knows. Others
//! look again, at most each [`FRESH`], when they are asked.
//!
//! ```text
//! asked -> known a moment ago                     what is known
//!          else a look begins, or is under way -> waited for, up to PATIENCE -> what is known then
//!          it is late, or failed not long ago     what was known last, and why: nobody waits
//! ```
//!
//! A look goes on when who asked has left, so that a slow store is read all the same. What this must
//! not do: keep a question from the nodes because the archive is away.

use std::{
    collections::{BTreeMap, HashMap},
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt, TryStreamExt, stream};
use parking_lot::RwLock;
use tiphys_lifecycle::{CancellationToken, OnError, Tasks};
use tokio::{
    sync::{Mutex, Notify},
    time::Instant,
};

use super::{
    ArchiveError, NodeIndex, Objects, chain,
    keeps::{self, Kept},
    orders::{self, Order},
    sealed,
};
use crate::time;

const INDEX: &str = "index";
/// For so long what was read counts as what is there.
pub(super) const FRESH: Duration = Duration::from_secs(5);
/// How long a look is waited for; nodes are asked after that.
const PATIENCE: Duration = Duration::from_secs(3);
/// For so long after a look that failed there is no other.
pub(super) const LEFT_ALONE: Duration = Duration::from_secs(10);
/// Indexes that are read at a time.
const READS: usize = 8;

/// All nodes of the archive.
#[derive(Clone, Default)]
pub struct Known {
    pub nodes: BTreeMap<String, Arc<NodeIndex>>,
    /// Nodes whose index can't be read, and why.
    pub faults: BTreeMap<String, String>,
    pub orders: Vec<Order>,
    /// What namespaces said last of how much they keep.
    pub keeps: Kept,
}

/// Why what is known is not what there is now.
#[derive(Debug, Clone)]
pub struct Fault {
    pub why: String,
    /// When it was read, nanoseconds; `None`: never.
    read: Option<i64>,
}

impl Fault {
    /// A sentence for an answer.
    pub fn lacks(&self) -> String {
        let why = &self.why;
        match self.read {
            Some(read) => format!("{why}; the answer goes by what was there at {}", time::format(read)),
            None => format!("{why}; the answer has nothing of it: ask again"),
        }
    }
}

/// What looks came to.
#[derive(Default)]
struct Looks {
    /// When what is known was read, by two clocks.
    read: Option<(Instant, i64)>,
    /// Cancelled when the look that is under way is over.
    under_way: Option<CancellationToken>,
    /// Since when there is no use in waiting, and why.
    down: Option<(Instant, String)>,
}

impl Looks {
    fn is_fresh(&self) -> bool {
        self.read.is_some_and(|(then, _)| then.elapsed() < FRESH)
    }

    fn under_way(&self) -> Option<&CancellationToken> {
        // One that the server's end cut off is over, too.
        self.under_way.as_ref().filter(|over| !over.is_cancelled())
    }

    /// It failed not long ago, or goes on for longer than anybody waits.
    fn is_down(&self) -> bool {
        let is_recent = |(since, _): &(Instant, String)| since.elapsed() < LEFT_ALONE;
        self.down.as_ref().is_some_and(|down| is_recent(down) || self.under_way().is_some())
    }

    fn was_read(&mut self) {
        self.read = Some((Instant::now(), time::now()));
        self.down = None;
    }

    fn set_down(&mut self, why: String) {
        if self.down.is_none() {
            tracing::warn!(%why, "the log archive can't be looked at; answers go by what was known of it");
        }
        self.down = Some((Instant::now(), why));
    }

    fn fault(&self) -> Option<Fault> {
        let (_, why) = self.down.as_ref()?;
        Some(Fault { why: why.clone(), read: self.read.map(|(_, at)| at) })
    }
}

pub struct Catalog {
    objects: Objects,
    tasks: Tasks,
    known: RwLock<Arc<Known>>,
    looks: parking_lot::Mutex<Looks>,
    /// One reads all at a time.
    reading: Mutex<()>,
    /// This process is the one that writes.
    writes: AtomicBool,
    /// One change of a node's index at a time.
    locks: parking_lot::Mutex<HashMap<String, Arc<Mutex<()>>>>,
    one_order: Mutex<()>,
    changed: Notify,
}

impl Catalog {
    pub fn new(objects: Objects, tasks: &Tasks) -> Self {
        Self {
            objects,
            tasks: tasks.clone(),
            known: RwLock::default(),
            looks: parking_lot::Mutex::default(),
            reading: Mutex::default(),
            writes: AtomicBool::new(false),
            locks: parking_lot::Mutex::default(),
            one_order: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// Where the nodes' folders are.
    pub fn nodes(&self) -> Objects {
        self.objects.below("nodes")
    }

    /// Where orders to delete are.
    pub fn orders(&self) -> Objects {
        self.objects.below("orders")
    }

    /// What there is, without a look.
    pub fn known(&self) -> Arc<Known> {
        self.known.read().clone()
    }

    /// What there is now; or what was known last, and why it is that.
    pub async fn look(self: &Arc<Self>) -> (Arc<Known>, Option<Fault>) {
        if let Some(over) = self.begin_look()
            && tokio::time::timeout(PATIENCE, over.cancelled()).await.is_err()
        {
            self.late();
        }
        // In this order: what is read meanwhile is newer than what is said of it.
        let fault = self.looks.lock().fault();
        (self.known(), fault)
    }

    /// What is to be waited for, which is cancelled when it is over: a look that begins where one
    /// is due, or the one that is under way.
    fn begin_look(self: &Arc<Self>) -> Option<CancellationToken> {
        let mut looks = self.looks.lock();
        if looks.is_fresh() || looks.is_down() {
            return None;
        }
        if let Some(over) = looks.under_way() {
            return Some(over.clone());
        }
        let over = CancellationToken::new();
        looks.under_way = Some(over.clone());
        let (catalog, ends) = (self.clone(), over.clone().drop_guard());
        self.tasks.spawn("look at the log archive", OnError::Log, async move {
            let _ends = ends;
            let read = catalog.read().await;
            catalog.looked(read);
            Ok::<(), Infallible>(())
        });
        Some(over)
    }

    async fn read(&self) -> Result<(), ArchiveError> {
        let _one = self.reading.lock().await;
        let (is_fresh, is_known) = {
            let looks = self.looks.lock();
            (looks.is_fresh(), looks.read.is_some())
        };
        match self.writes.load(Ordering::Relaxed) {
            // By who began to write meanwhile.
            _ if is_fresh => Ok(()),
            // Indexes nobody else changes; orders any server gives.
            true if is_known => self.read_orders().await,
            _ => self.read_all().await,
        }
    }

    fn looked(&self, read: Result<(), ArchiveError>) {
        let mut looks = self.looks.lock();
        looks.under_way = None;
        match read {
            Ok(()) => looks.was_read(),
            Err(error) => looks.set_down(chain(&error)),
        }
    }

    /// Somebody has waited for as long as anybody does.
    fn late(&self) {
        let mut looks = self.looks.lock();
        if looks.under_way().is_some() {
            looks.set_down(format!("no answer within {PATIENCE:?}"));
        }
    }

    /// From here on nobody else writes, until what is given is dropped.
    pub async fn begin_writing(self: &Arc<Self>) -> Result<Writing, ArchiveError> {
        let _one = self.reading.lock().await;
        self.read_all().await?;
        self.looks.lock().was_read();
        self.writes.store(true, Ordering::Relaxed);
        Ok(Writing(self.clone()))
    }

    async fn read_all(&self) -> Result<(), ArchiveError> {
        let objects = self.nodes();
        let names = objects.folders().await?;
        let read = stream::iter(names).map(|node| async {
            let found = objects.below(&node).read(INDEX).await?;
            Ok::<_, ArchiveError>((node, found))
        });
        let read: Vec<_> = read.buffer_unordered(READS).try_collect().await?;
        let keeps = keeps::read(&self.objects).await?;
        // An order that is given meanwhile is not lost.
        let _one = self.one_order.lock().await;
        let orders = orders::read_all(&self.orders()).await?;
        let mut fresh = Known { orders, keeps, ..Known::default() };
        for (node, bytes) in read {
            // A folder without an index: of an upload that broke off, or no node's.
            let Some(bytes) = bytes else { continue };
            match sealed::read::<NodeIndex>(&bytes) {
                Ok(index) => drop(fresh.nodes.insert(node, Arc::new(index))),
                Err(error) => drop(fresh.faults.insert(node, format!("the index: {error}"))),
            }
        }
        *self.known.write() = Arc::new(fresh);
        Ok(())
    }

    /// Replaces the index of a node, when `change` says so. An index that can't be read
    /// is left alone.
    pub async fn change<T>(
        &self,
        node: &str,
        change: impl FnOnce(&mut NodeIndex) -> T,
    ) -> Result<T, ArchiveError> {
        let lock = self.locks.lock().entry(node.to_owned()).or_default().clone();
        let _one = lock.lock().await;
        let known = self.known();
        if let Some(fault) = known.faults.get(node) {
            return Err(ArchiveError::Index { node: node.to_owned(), fault: fault.clone() });
        }
        let before = known.nodes.get(node).cloned().unwrap_or_default();
        let mut after = (*before).clone();
        let result = change(&mut after);
        if after != *before {
            self.nodes().below(node).replace(INDEX, sealed::write(&after)).await?;
            self.publish(|known| drop(known.nodes.insert(node.to_owned(), Arc::new(after))));
            self.changed.notify_one();
        }
        Ok(result)
    }

    /// Until an index or an order is another. One waits at a time.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Gives an order, which is an object of its own.
    pub async fn put_order(&self, order: Order) -> Result<(), ArchiveError> {
        let _one = self.one_order.lock().await;
        order.store(&self.orders()).await?;
        self.publish(|known| known.orders.push(order));
        self.changed.notify_one();
        Ok(())
    }

    /// The node was told.
    pub async fn told(&self, order: &Order, node: &str) -> Result<(), ArchiveError> {
        let _one = self.one_order.lock().await;
        match order.store_told(&self.orders(), node).await {
            // By another server.
            Err(ArchiveError::Store(object_store::Error::AlreadyExists { .. })) => {}
            stored => stored?,
        }
        self.publish(|known| {
            for known in known.orders.iter_mut().filter(|other| other.name() == order.name()) {
                known.waiting.remove(node);
            }
        });
        Ok(())
    }

    /// Another server may have given orders.
    pub async fn read_orders(&self) -> Result<(), ArchiveError> {
        let _one = self.one_order.lock().await;
        let orders = orders::read_all(&self.orders()).await?;
        if orders != self.known().orders {
            self.publish(|known| known.orders = orders);
            self.changed.notify_one();
        }
        Ok(())
    }

    /// Writes down what namespaces keep.
    pub async fn put_keeps(&self, kept: Kept) -> Result<(), ArchiveError> {
        keeps::write(&self.objects, &kept).await?;
        self.publish(|known| known.keeps = kept);
        Ok(())
    }

    pub async fn remove_order(&self, order: &Order) -> Result<(), ArchiveError> {
        let _one = self.one_order.lock().await;
        order.remove(&self.orders()).await?;
        self.publish(|known| known.orders.retain(|other| other.name() != order.name()));
        Ok(())
    }

    fn publish(&self, change: impl FnOnce(&mut Known)) {
        let mut known = self.known.write();
        let mut next = Known::clone(&known);
        change(&mut next);
        *known = Arc::new(next);
    }
}

/// While it lives this process writes.
pub struct Writing(Arc<Catalog>);

impl Drop for Writing {
    fn drop(&mut self) {
        self.0.writes.store(false, Ordering::Relaxed);
    }
}
