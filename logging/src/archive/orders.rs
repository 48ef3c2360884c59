//! Orders to delete a namespace's records, until they are carried out everywhere.
//!
//! ```text
//! <place>/<cluster>/orders/<when>-<namespace>     replaced as a whole; see [`Order`]
//! ```
//!
//! Any server gives one; the one that keeps the archive carries it out: in the archive,
//! and on nodes that could not be told, when they come back.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{ArchiveError, Objects, sealed};
use crate::index::Deletion;

/// An order, and who has not carried it out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    #[serde(flatten)]
    pub deletion: Deletion,
    /// Nodes whose collectors are to be told.
    pub waiting: BTreeSet<String>,
}

impl Order {
    pub fn name(&self) -> String {
        format!("{:020}-{}", self.deletion.ordered, self.deletion.namespace)
    }

    /// Makes it known to all servers.
    pub async fn store(&self, orders: &Objects) -> Result<(), ArchiveError> {
        orders.replace(&self.name(), sealed::write(self)).await
    }
}

/// All orders, oldest first.
pub async fn read_all(orders: &Objects) -> Result<Vec<Order>, ArchiveError> {
    let mut found = Vec::new();
    for name in orders.names().await? {
        if let Some(bytes) = orders.read(&name).await? {
            match sealed::read(&bytes) {
                Ok(order) => found.push(order),
                Err(error) => tracing::error!(name, %error, "an order to delete logs can't be read"),
            }
        }
    }
    found.sort_by_key(|order: &Order| order.deletion.ordered);
    Ok(found)
}
