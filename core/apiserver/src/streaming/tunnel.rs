//! The raw tunnel: bytes from one upgraded connection to the other, both ways.

use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tiphys_lifecycle::BoxError;

/// Until both sides have closed.
pub async fn run(client: OnUpgrade, mut kubelet: TokioIo<Upgraded>) -> Result<(), BoxError> {
    let mut client = TokioIo::new(client.await?);
    tokio::io::copy_bidirectional(&mut client, &mut kubelet).await?;
    Ok(())
}
