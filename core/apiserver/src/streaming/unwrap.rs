//! Port-forward over a WebSocket: its messages are the bytes of a SPDY connection
//! between kubectl and the kubelet. They are unwrapped, never looked into.

use futures::{SinkExt, StreamExt};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tiphys_lifecycle::BoxError;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Message;

use super::websocket;

/// Read from the kubelet and sent as one message.
const CHUNK: usize = 32 << 10;

/// Until either side has closed.
pub async fn run(client: OnUpgrade, kubelet: TokioIo<Upgraded>) -> Result<(), BoxError> {
    let (mut sink, mut source) = websocket::open(client).await?.split();
    let (mut from_kubelet, mut to_kubelet) = tokio::io::split(kubelet);
    let outward = async {
        let mut buffer = vec![0; CHUNK];
        loop {
            match from_kubelet.read(&mut buffer).await? {
                0 => return Ok::<(), BoxError>(()),
                n => sink.send(Message::binary(buffer[..n].to_vec())).await?,
            }
        }
    };
    let inward = async {
        while let Some(message) = source.next().await {
            match message? {
                Message::Binary(bytes) => {
                    to_kubelet.write_all(&bytes).await?;
                    to_kubelet.flush().await?;
                }
                Message::Close(_) => break,
                _ => {}
            }
        }
        Ok::<(), BoxError>(())
    };
    tokio::select! {
        ended = outward => ended?,
        ended = inward => return ended,
    }
    websocket::finish(sink, source).await
}
