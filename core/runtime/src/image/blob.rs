//! Bytes with a digest, wherever they lie.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::PathBuf,
    sync::Arc,
};

use bytes::Bytes;
use sha2::{Digest, Sha256};

/// A piece of content: its digest (`sha256:` and hexadecimal digits), its size
/// in bytes, its media type, and where its bytes are.
#[derive(Debug, Clone)]
pub struct Blob {
    pub media_type: String,
    pub digest: String,
    pub size: u64,
    parts: Vec<Part>,
}

/// Where a run of bytes lies.
#[derive(Debug, Clone)]
pub(super) enum Part {
    Bytes(Bytes),
    File {
        path: PathBuf,
        offset: u64,
        len: u64,
        /// Keeps a temporary file until the last piece of it is gone.
        _keep: Option<Arc<tempfile::TempPath>>,
    },
}

impl Part {
    fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { len, .. } => *len,
        }
    }

    fn reader(&self) -> io::Result<Box<dyn Read + Send>> {
        match self {
            Self::Bytes(bytes) => Ok(Box::new(io::Cursor::new(bytes.clone()))),
            Self::File { path, offset, len, .. } => {
                let mut file = File::open(path)?;
                file.seek(SeekFrom::Start(*offset))?;
                Ok(Box::new(file.take(*len)))
            }
        }
    }
}

impl Blob {
    pub(super) fn from_bytes(media_type: &str, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let digest = format!("sha256:{}", hex(&Sha256::digest(&bytes)));
        let size = bytes.len() as u64;
        Self { media_type: media_type.into(), digest, size, parts: vec![Part::Bytes(bytes)] }
    }

    /// Reads the parts once for their digest.
    pub(super) fn from_parts(media_type: &str, parts: Vec<Part>) -> io::Result<Self> {
        let size = parts.iter().map(Part::len).sum();
        let mut blob = Self { media_type: media_type.into(), digest: String::new(), size, parts };
        blob.digest = blob.actual_digest()?;
        Ok(blob)
    }

    /// Bytes that are said to have this digest; whoever stores them checks it.
    pub(super) fn claimed(media_type: String, digest: String, part: Part) -> Self {
        let size = part.len();
        Self { media_type, digest, size, parts: vec![part] }
    }

    pub fn reader(&self) -> io::Result<impl Read + Send + use<>> {
        let readers = self.parts.iter().map(Part::reader).collect::<io::Result<Vec<_>>>()?;
        Ok(Chain { readers, at: 0 })
    }

    pub(super) fn actual_digest(&self) -> io::Result<String> {
        let mut hasher = Sha256::new();
        let mut reader = self.reader()?;
        let mut buffer = vec![0; 1 << 20];
        loop {
            match reader.read(&mut buffer)? {
                0 => return Ok(format!("sha256:{}", hex(&hasher.finalize()))),
                n => hasher.update(&buffer[..n]),
            }
        }
    }
}

/// One reader after the other.
struct Chain {
    readers: Vec<Box<dyn Read + Send>>,
    at: usize,
}

impl Read for Chain {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(reader) = self.readers.get_mut(self.at) {
            match reader.read(buffer)? {
                0 => self.at += 1,
                n => return Ok(n),
            }
        }
        Ok(0)
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
