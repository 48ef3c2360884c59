//! A request's body: read within bounds, of one and of all together, and unpacked within bounds.

use std::{io::Read, sync::Arc, time::Duration};

use axum::body::Body;
use http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Refusal;

/// Bytes of a request as it is sent, and unpacked.
pub const MAX_PACKED: usize = 16 << 20;
pub const MAX_PLAIN: usize = 32 << 20;
/// A sender has so long for its request.
const READ_TIME: Duration = Duration::from_secs(30);

/// Bytes that bodies may have together until they are understood or passed on. Clones share it.
#[derive(Debug, Clone)]
pub struct Room {
    bytes: Arc<Semaphore>,
    /// So long a body waits where it is full.
    wait: Duration,
}

/// What a body takes of it, until this is dropped.
#[derive(Debug, Default)]
pub struct Taken(Option<OwnedSemaphorePermit>);

impl Room {
    pub fn new(bytes: usize, wait: Duration) -> Self {
        Self { bytes: Arc::new(Semaphore::new(bytes)), wait }
    }

    /// All bytes of the body, still packed. What has come counts, not what was announced: who sends
    /// slowly takes little.
    ///
    /// # Errors
    /// Too many, too slow, or it broke off; and there is no room for it.
    pub async fn read(&self, body: Body) -> Result<(Vec<u8>, Taken), Refusal> {
        let slow = || {
            let message = format!("the request was not complete within {READ_TIME:?}");
            Refusal::new(StatusCode::REQUEST_TIMEOUT, message)
        };
        tokio::time::timeout(READ_TIME, self.frames(body)).await.map_err(|_| slow())?
    }

    async fn frames(&self, mut body: Body) -> Result<(Vec<u8>, Taken), Refusal> {
        let (mut bytes, mut taken) = (Vec::new(), Taken::default());
        while let Some(frame) = body.frame().await {
            let frame =
                frame.map_err(|error| Refusal::malformed(format!("the request broke off: {error}")))?;
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len() + data.len() > MAX_PACKED {
                return Err(too_large());
            }
            self.take(data.len(), &mut taken).await?;
            bytes.extend_from_slice(&data);
        }
        Ok((bytes, taken))
    }

    /// Not 429: a Prometheus that isn't told to takes that for a reason to drop what it sends.
    async fn take(&self, count: usize, taken: &mut Taken) -> Result<(), Refusal> {
        let full = || {
            let message = "too much is being sent at once: send again";
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, message)
        };
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let taking = self.bytes.clone().acquire_many_owned(count);
        let more = tokio::time::timeout(self.wait, taking).await.map_err(|_| full())?;
        let more = more.map_err(|_| full())?;
        match &mut taken.0 {
            Some(before) => before.merge(more),
            none => *none = Some(more),
        }
        Ok(())
    }
}

/// What `Content-Encoding` says.
pub fn packing(headers: &HeaderMap) -> String {
    let named = headers.get(header::CONTENT_ENCODING).and_then(|value| value.to_str().ok());
    named.unwrap_or_default().trim().to_ascii_lowercase()
}

/// Unpacks. What is longer than [`MAX_PLAIN`] is refused before it is in memory.
///
/// # Errors
/// Broken, too large, or packed in a way that isn't known.
pub fn unpack(bytes: Vec<u8>, packing: &str) -> Result<Vec<u8>, Refusal> {
    let broken =
        |error: &dyn std::fmt::Display| Refusal::malformed(format!("the request can't be unpacked: {error}"));
    let reader: Box<dyn Read> = match packing {
        "" | "identity" => return Ok(bytes),
        "gzip" | "x-gzip" => Box::new(flate2::read::MultiGzDecoder::new(bytes.as_slice())),
        "zstd" => {
            let mut decoder = zstd::Decoder::new(bytes.as_slice()).map_err(|error| broken(&error))?;
            // A frame may not ask for more memory than a whole body may have.
            decoder.window_log_max(MAX_PLAIN.ilog2()).map_err(|error| broken(&error))?;
            Box::new(decoder)
        }
        "snappy" => {
            let length = snap::raw::decompress_len(&bytes).map_err(|error| broken(&error))?;
            if length > MAX_PLAIN {
                return Err(too_large());
            }
            return snap::raw::Decoder::new().decompress_vec(&bytes).map_err(|error| broken(&error));
        }
        other => {
            let shown: String = other.chars().take(40).collect();
            let message = format!("encoding `{}` is not known", shown.escape_debug());
            return Err(Refusal::unsupported(message));
        }
    };
    let mut plain = Vec::new();
    reader.take(MAX_PLAIN as u64 + 1).read_to_end(&mut plain).map_err(|error| broken(&error))?;
    match plain.len() > MAX_PLAIN {
        true => Err(too_large()),
        false => Ok(plain),
    }
}

fn too_large() -> Refusal {
    let (packed, plain) = (MAX_PACKED >> 20, MAX_PLAIN >> 20);
    Refusal::too_large(format!(
        "the request is larger than {packed} MiB as it is or {plain} MiB unpacked: send less at once"
    ))
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, StreamExt, stream};

    use super::*;

    #[tokio::test]
    async fn abuse_33_bodies_have_so_many_bytes_together_and_slow_ones_few() {
        let room = Room::new(10, Duration::ZERO);
        let begun = |bytes: &'static [u8]| {
            let some = stream::iter([Ok::<_, axum::Error>(bytes)]);
            Body::from_stream(some.chain(stream::pending()))
        };
        let mut slow = Box::pin(room.read(begun(b"12345678")));
        assert!(slow.as_mut().now_or_never().is_none(), "it is not complete");
        let refused = room.read(Body::from("123")).await.expect_err("there is no room");
        assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
        let (bytes, taken) = room.read(Body::from("12")).await.expect("there is room");
        assert_eq!(bytes, b"12");
        assert!(room.read(Body::from("1")).await.is_err(), "what is being passed on counts");
        drop((slow, taken));
        assert!(room.read(Body::from("1234567890")).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn where_it_is_full_a_body_waits_for_a_while() {
        let room = Room::new(10, Duration::from_secs(5));
        let (_, taken) = room.read(Body::from("12345678")).await.expect("there is room");
        let begun = tokio::time::Instant::now();
        let refused = room.read(Body::from("123")).await.expect_err("there is no room");
        assert_eq!((refused.status, begun.elapsed().as_secs()), (StatusCode::SERVICE_UNAVAILABLE, 5));
        let mut waiting = Box::pin(room.read(Body::from("123")));
        assert!(waiting.as_mut().now_or_never().is_none(), "there is no room yet");
        drop(taken);
        assert_eq!(waiting.await.expect("there is room now").0, b"123");
    }
}
