//! The indexes of all nodes, as the archive has them.
//!
//! Only one server writes ([`Catalog::change`]), and what it wrote it knows. Others
//! look again, at most each [`FRESH`], when they are asked.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures::{StreamExt, TryStreamExt, stream};
use parking_lot::RwLock;
use tokio::sync::{Mutex, Notify};

use super::{
    ArchiveError, NodeIndex, Objects,
    keeps::{self, Kept},
    orders::{self, Order},
    sealed,
};

const INDEX: &str = "index";
/// For so long what was read counts as what is there.
const FRESH: Duration = Duration::from_secs(5);
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

pub struct Catalog {
    objects: Objects,
    known: RwLock<Arc<Known>>,
    looked: Mutex<Option<Instant>>,
    /// This process is the one that writes.
    writes: AtomicBool,
    /// One change of a node's index at a time.
    locks: parking_lot::Mutex<HashMap<String, Arc<Mutex<()>>>>,
    one_order: Mutex<()>,
    changed: Notify,
}

impl Catalog {
    pub fn new(objects: Objects) -> Self {
        Self {
            objects,
            known: RwLock::default(),
            looked: Mutex::default(),
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

    /// What there is now.
    pub async fn look(&self) -> Result<Arc<Known>, ArchiveError> {
        let mut looked = self.looked.lock().await;
        match *looked {
            Some(then) if then.elapsed() < FRESH => return Ok(self.known()),
            // Indexes nobody else changes; orders any server gives.
            Some(_) if self.writes.load(Ordering::Relaxed) => self.read_orders().await?,
            _ => self.read_all().await?,
        }
        *looked = Some(Instant::now());
        Ok(self.known())
    }

    /// From here on nobody else writes, until what is given is dropped.
    pub async fn begin_writing(self: &Arc<Self>) -> Result<Writing, ArchiveError> {
        let mut looked = self.looked.lock().await;
        self.read_all().await?;
        *looked = Some(Instant::now());
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
