//! A request's body: read within bounds, unpacked within bounds.
//!
//! ```text
//! frames, MAX_PACKED, READ_TIME -> gzip, deflate, zstd or as it is, MAX_PLAIN -> bytes
//! ```
//!
//! All of it counts against the budget before it is in memory.

use std::{
    io::{self, Read},
    time::Duration,
};

use axum::body::Body;
use http::{HeaderMap, header};
use http_body_util::BodyExt;

use super::{Hold, Refusal, refusal::Kind};

/// Bytes of a request as they are sent.
pub const MAX_PACKED: usize = 16 << 20;
/// Bytes of a request when unpacked.
pub const MAX_PLAIN: usize = 16 << 20;
/// Bytes of a refused request that are read to no end.
const MAX_PASSED: usize = 4 * MAX_PACKED;
/// A sender has so long for its request.
const READ_TIME: Duration = Duration::from_secs(30);
/// Bytes that are unpacked between looks at the budget.
const STEP: usize = 256 << 10;

/// How a body is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    Plain,
    Gzip,
    Deflate,
    Zstd,
    /// Snappy's block format, as Loki's senders use it.
    Snappy,
}

impl Packing {
    /// What `Content-Encoding` says.
    pub fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let named = headers.get(header::CONTENT_ENCODING).map(|value| value.to_str().unwrap_or_default());
        Self::named(named.unwrap_or_default())
    }

    pub fn named(name: &str) -> Result<Self, Refusal> {
        Ok(match name.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Packing::Plain,
            "gzip" | "x-gzip" => Packing::Gzip,
            "deflate" => Packing::Deflate,
            "zstd" => Packing::Zstd,
            "snappy" => Packing::Snappy,
            other => {
                let other: String = other.chars().take(40).collect();
                let message =
                    format!("encoding `{}` is not known: gzip, deflate, zstd or none", other.escape_debug());
                return Err(Refusal::new(Kind::Unsupported, message));
            }
        })
    }
}

/// All bytes of the body, still packed.
pub async fn read(headers: &HeaderMap, mut body: Body, hold: &mut Hold) -> Result<Vec<u8>, Refusal> {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let too_long = length.is_some_and(|length: usize| length > MAX_PACKED);
    let reading = async {
        let read = if too_long { Err(too_large()) } else { frames(&mut body, hold).await };
        if read.is_err() {
            pass_over(&mut body).await;
        }
        read
    };
    let slow = || Refusal::new(Kind::Slow, format!("the request was not complete within {READ_TIME:?}"));
    tokio::time::timeout(READ_TIME, reading).await.map_err(|_| slow())?
}

async fn frames(body: &mut Body, hold: &mut Hold) -> Result<Vec<u8>, Refusal> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Refusal::malformed(format!("the request broke off: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > MAX_PACKED {
            return Err(too_large());
        }
        hold.grow_to(bytes.len() + data.len()).await?;
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

/// The rest of a body that is refused: a sender that is cut off while it writes doesn't read why.
async fn pass_over(body: &mut Body) {
    let mut passed = 0;
    while let Some(Ok(frame)) = body.frame().await
        && passed < MAX_PASSED
    {
        passed += frame.data_ref().map_or(0, |data| data.len());
    }
}

/// Unpacks. What is longer than [`MAX_PLAIN`] is refused before it is in memory.
pub fn unpack(bytes: Vec<u8>, packing: Packing, hold: &mut Hold) -> Result<Vec<u8>, Refusal> {
    let reader: Box<dyn Read> = match packing {
        Packing::Plain if bytes.len() > MAX_PLAIN => return Err(too_large()),
        Packing::Plain => return Ok(bytes),
        Packing::Gzip => Box::new(flate2::read::MultiGzDecoder::new(bytes.as_slice())),
        Packing::Deflate => Box::new(flate2::read::ZlibDecoder::new(bytes.as_slice())),
        Packing::Snappy => return snappy(&bytes, hold),
        Packing::Zstd => Box::new(window(zstd::Decoder::new(bytes.as_slice())).map_err(broken)?),
    };
    let mut reader = reader.take(MAX_PLAIN as u64 + 1);
    let mut plain = Vec::new();
    loop {
        hold.grow_to_blocking(bytes.len() + plain.len() + STEP)?;
        let before = plain.len();
        reader.by_ref().take(STEP as u64).read_to_end(&mut plain).map_err(broken)?;
        if plain.len() > MAX_PLAIN {
            return Err(too_large());
        }
        if plain.len() == before {
            return Ok(plain);
        }
    }
}

fn snappy(packed: &[u8], hold: &mut Hold) -> Result<Vec<u8>, Refusal> {
    let broken = |error: snap::Error| broken(io::Error::other(error));
    let length = snap::raw::decompress_len(packed).map_err(broken)?;
    if length > MAX_PLAIN {
        return Err(too_large());
    }
    hold.grow_to_blocking(packed.len() + length)?;
    snap::raw::Decoder::new().decompress_vec(packed).map_err(broken)
}

/// A frame may not ask for more memory than a whole body may have.
fn window<'a>(
    decoder: io::Result<zstd::Decoder<'a, io::BufReader<&'a [u8]>>>,
) -> io::Result<zstd::Decoder<'a, io::BufReader<&'a [u8]>>> {
    let mut decoder = decoder?;
    decoder.window_log_max(MAX_PLAIN.ilog2())?;
    Ok(decoder)
}

fn broken(error: io::Error) -> Refusal {
    Refusal::malformed(format!("the request can't be unpacked: {error}"))
}

fn too_large() -> Refusal {
    Refusal::too_large(format!(
        "the request is larger than {} MiB, unpacked or as it is: send fewer records at once",
        MAX_PLAIN >> 20
    ))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::doors::Budget;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).expect("packed");
        encoder.finish().expect("packed")
    }

    async fn unpacked(bytes: Vec<u8>, packing: &str, budget: usize) -> Result<Vec<u8>, Kind> {
        let mut hold = Budget::new(budget).hold();
        let packing = Packing::named(packing).map_err(|refusal| refusal.kind)?;
        let work = tokio::task::spawn_blocking(move || unpack(bytes, packing, &mut hold));
        work.await.expect("no panic").map_err(|refusal| refusal.kind)
    }

    #[tokio::test]
    async fn what_senders_pack_is_unpacked() {
        let text = b"a line".repeat(100_000);
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        zlib.write_all(&text).expect("packed");
        let packed = [
            ("", text.clone()),
            ("identity", text.clone()),
            ("GZIP", gzip(&text)),
            ("deflate", zlib.finish().expect("packed")),
            ("zstd", zstd::encode_all(text.as_slice(), 3).expect("packed")),
            ("snappy", snap::raw::Encoder::new().compress_vec(&text).expect("packed")),
        ];
        for (name, bytes) in packed {
            assert!(unpacked(bytes, name, 64 << 20).await == Ok(text.clone()), "{name}");
        }
        assert_eq!(unpacked(text, "br", 1 << 20).await, Err(Kind::Unsupported));
        assert_eq!(unpacked(b"no gzip".to_vec(), "gzip", 1 << 20).await, Err(Kind::Malformed));
    }

    #[tokio::test]
    async fn abuse_34_a_bomb_is_refused_before_it_is_in_memory() {
        let bomb = vec![0; 40 << 20];
        assert_eq!(unpacked(gzip(&bomb), "gzip", 64 << 20).await, Err(Kind::TooLarge));
        let packed = zstd::encode_all(bomb.as_slice(), 3).expect("packed");
        assert_eq!(unpacked(packed, "zstd", 64 << 20).await, Err(Kind::TooLarge));
        let packed = snap::raw::Encoder::new().compress_vec(&bomb).expect("packed");
        assert_eq!(unpacked(packed, "snappy", 64 << 20).await, Err(Kind::TooLarge));
        // One that fits a request, and not what is left of the budget.
        assert_eq!(unpacked(gzip(&[0; 8 << 20]), "gzip", 1 << 20).await, Err(Kind::Busy));
    }
}
