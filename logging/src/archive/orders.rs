//! Orders to delete a namespace's records, until they are carried out everywhere.
//!
//! ```text
//! <place>/<cluster>/orders/<when>-<namespace>-<id>              see [`Order`]
//!                          <when>-<namespace>-<id>.told.<node>  the node was told; empty
//! ```
//!
//! Any server gives one; the one that keeps the archive carries it out: in the archive,
//! and on nodes that could not be told, when they come back. Each object is made once and
//! never replaced, so that servers need not agree on who writes, whatever the store can do.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{ArchiveError, Objects, sealed};
use crate::index::Deletion;

/// Between an order's name, which has no dot, and the node's that was told.
const TOLD: &str = ".told.";

/// An order, and who has not carried it out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    #[serde(flatten)]
    pub deletion: Deletion,
    /// Nodes whose collectors are to be told.
    pub waiting: BTreeSet<String>,
    /// Tells it from another of the same moment. Old ones have none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
}

impl Order {
    pub fn new(deletion: Deletion, waiting: BTreeSet<String>) -> Self {
        Self { deletion, waiting, id: format!("{:016x}", rand::random::<u64>()) }
    }

    pub fn name(&self) -> String {
        let (when, namespace) = (self.deletion.ordered, &self.deletion.namespace);
        match self.id.as_str() {
            "" => format!("{when:020}-{namespace}"),
            id => format!("{when:020}-{namespace}-{id}"),
        }
    }

    /// Makes it known to all servers.
    pub async fn store(&self, orders: &Objects) -> Result<(), ArchiveError> {
        Ok(orders.create(&self.name(), sealed::write(self)).await?)
    }

    /// Makes known that the node was told.
    pub async fn store_told(&self, orders: &Objects, node: &str) -> Result<(), ArchiveError> {
        Ok(orders.create(&format!("{}{TOLD}{node}", self.name()), Vec::new()).await?)
    }

    /// Takes it away, and then who was told of it.
    pub async fn remove(&self, orders: &Objects) -> Result<(), ArchiveError> {
        orders.delete_one(&self.name()).await?;
        let told = format!("{}{TOLD}", self.name());
        for name in orders.names().await?.iter().filter(|name| name.starts_with(&told)) {
            orders.delete_one(name).await?;
        }
        Ok(())
    }
}

/// All orders, oldest first.
pub async fn read_all(orders: &Objects) -> Result<Vec<Order>, ArchiveError> {
    let names = orders.names().await?;
    let mut told: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (order, node) in names.iter().filter_map(|name| name.split_once(TOLD)) {
        told.entry(order).or_default().insert(node);
    }
    let mut found = Vec::new();
    for name in names.iter().filter(|name| !name.contains(TOLD)) {
        let Some(bytes) = orders.read(name).await? else { continue };
        match sealed::read::<Order>(&bytes) {
            Ok(mut order) => {
                let told = told.get(name.as_str());
                order.waiting.retain(|node| told.is_none_or(|told| !told.contains(node.as_str())));
                found.push(order);
            }
            Err(error) => tracing::error!(name, %error, "an order to delete logs can't be read"),
        }
    }
    found.sort_by(|a, b| (a.deletion.ordered, &a.id).cmp(&(b.deletion.ordered, &b.id)));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::memory::InMemory;

    use super::*;

    fn order(namespace: &str, ordered: i64, waiting: &[&str]) -> Order {
        let deletion = Deletion { namespace: namespace.into(), before: 5, ordered };
        Order::new(deletion, waiting.iter().map(|node| (*node).to_owned()).collect())
    }

    async fn check(orders: Objects) {
        // Two servers in the same moment, and one of another.
        let (a, b) = (order("shop", 7, &["n1", "n2.example"]), order("shop", 7, &["n1"]));
        let early = Order { id: String::new(), ..order("bank", 3, &["n1"]) };
        for order in [&a, &b, &early] {
            order.store(&orders).await.expect("stored");
            assert!(order.store(&orders).await.is_err(), "no order is replaced");
        }
        // Both tell nodes, neither takes back what the other did; once more changes nothing.
        a.store_told(&orders, "n2.example").await.expect("stored");
        a.store_told(&orders, "n1").await.expect("stored");
        early.store_told(&orders, "n1").await.expect("stored");
        let read = read_all(&orders).await.expect("read");
        let shown: Vec<_> = read.iter().map(|order| (order.id.as_str(), order.waiting.len())).collect();
        let mut both = [(a.id.as_str(), 0), (b.id.as_str(), 1)];
        both.sort_unstable();
        assert_eq!(shown, [("", 0), both[0], both[1]]);
        for order in [&a, &early] {
            order.remove(&orders).await.expect("removed");
        }
        assert_eq!(read_all(&orders).await.expect("read"), std::slice::from_ref(&b));
        assert_eq!(orders.names().await.expect("listed"), [b.name()]);
    }

    #[tokio::test]
    async fn orders_of_several_servers_stand_beside_each_other() {
        check(Objects::new(Arc::new(InMemory::new()))).await;
        let folder = tempfile::tempdir().expect("a folder");
        check(Objects::in_folder(folder.path().to_owned()).expect("a folder").below("orders")).await;
    }
}
