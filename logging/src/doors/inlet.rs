//! The way from a door to the write-ahead log: bounded, and with a receipt.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::{Hold, Refusal};
use crate::wal::Pushed;

/// Parcels that wait to be written.
const WAITING: usize = 64;
/// How long a parcel waits to be taken before its sender is told to come again.
const WAIT: Duration = Duration::from_secs(5);

/// The records of one request.
pub struct Parcel {
    pub streams: Vec<Pushed>,
    pub receipt: oneshot::Sender<Result<(), Refusal>>,
    pub hold: Hold,
}

/// Takes parcels in. Clones share it.
#[derive(Debug, Clone)]
pub struct Inlet(mpsc::Sender<Parcel>);

impl Inlet {
    /// And where the parcels come out.
    pub fn new() -> (Self, mpsc::Receiver<Parcel>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self(sender), receiver)
    }

    /// The records are on disk and can be found when this gives `Ok`.
    pub async fn submit(&self, streams: Vec<Pushed>, hold: Hold) -> Result<(), Refusal> {
        let stopping = || Refusal::unavailable("the collector is stopping: send again");
        let place = match tokio::time::timeout(WAIT, self.0.reserve()).await {
            Ok(place) => place.map_err(|_| stopping())?,
            Err(_) => {
                return Err(Refusal::busy(
                    "the collector can't keep up, or its disk is full: send again later",
                ));
            }
        };
        let (receipt, told) = oneshot::channel();
        place.send(Parcel { streams, receipt, hold });
        told.await.map_err(|_| stopping())?
    }
}
