//! Small files of the archive: a line that says the version and the checksum, and JSON.
//!
//! ```text
//! tiphys-archive 1 <CRC-32 of the rest, hex>
//! <JSON>
//! ```

use serde::{Serialize, de::DeserializeOwned};

const HEAD: &str = "tiphys-archive 1 ";

/// The file can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadFile {
    #[error("it is of a version that is not known: use a newer tiphys")]
    Version,
    #[error("it is damaged: its checksum is wrong")]
    Damaged,
}

pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, BadFile> {
    let text = std::str::from_utf8(bytes).map_err(|_| BadFile::Damaged)?;
    let (head, body) = text.split_once('\n').ok_or(BadFile::Damaged)?;
    let crc = head.strip_prefix(HEAD).ok_or(match head.starts_with("tiphys-archive ") {
        true => BadFile::Version,
        false => BadFile::Damaged,
    })?;
    if u32::from_str_radix(crc, 16) != Ok(crc32fast::hash(body.as_bytes())) {
        return Err(BadFile::Damaged);
    }
    serde_json::from_str(body).map_err(|_| BadFile::Damaged)
}

pub fn write(content: &impl Serialize) -> Vec<u8> {
    let body = serde_json::to_string(content).expect("strings and numbers have a JSON form");
    format!("{HEAD}{:08x}\n{body}", crc32fast::hash(body.as_bytes())).into_bytes()
}
