//! The form of small files that are replaced as a whole: a line that says what the file is, its
//! version and its checksum, and JSON.
//!
//! ```text
//! <kind> <version> <CRC-32 of the rest, hex>
//! <JSON>
//! ```

use serde::{Serialize, de::DeserializeOwned};

/// What the first line says.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    /// Without blanks.
    pub kind: &'static str,
    pub version: u32,
}

/// The file can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadFile {
    #[error("it is of version {0}, which is not known: use a newer tiphys")]
    Version(u32),
    #[error("it is damaged: its checksum is wrong")]
    Damaged,
}

impl Form {
    /// What [`Form::write`] was given.
    pub fn read<T: DeserializeOwned>(self, bytes: &[u8]) -> Result<T, BadFile> {
        let end = bytes.iter().position(|byte| *byte == b'\n').ok_or(BadFile::Damaged)?;
        let (head, body) = (&bytes[..end], &bytes[end + 1..]);
        let head = std::str::from_utf8(head).map_err(|_| BadFile::Damaged)?;
        // What else another version may have there is the third.
        let mut words = head.splitn(3, ' ');
        let (Some(kind), Some(version), Some(crc)) = (words.next(), words.next(), words.next()) else {
            return Err(BadFile::Damaged);
        };
        match version.parse::<u32>() {
            _ if kind != self.kind => return Err(BadFile::Damaged),
            Ok(version) if version == self.version => {}
            Ok(version) => return Err(BadFile::Version(version)),
            Err(_) => return Err(BadFile::Damaged),
        }
        // The text, not the number: another spelling of it was not written.
        if crc != sum(body) {
            return Err(BadFile::Damaged);
        }
        serde_json::from_slice(body).map_err(|_| BadFile::Damaged)
    }

    /// Whether two files differ in nothing but their versions, as when that of one is damaged: it is
    /// no part of what the checksum is of.
    pub fn is_same_content(a: &[u8], b: &[u8]) -> bool {
        content(a).is_some() && content(a) == content(b)
    }

    /// The bytes of a file.
    pub fn write(self, content: &impl Serialize) -> serde_json::Result<Vec<u8>> {
        let body = serde_json::to_vec(content)?;
        let mut bytes = format!("{} {} {}\n", self.kind, self.version, sum(&body)).into_bytes();
        bytes.extend_from_slice(&body);
        Ok(bytes)
    }
}

/// What stands behind the version.
fn content(bytes: &[u8]) -> Option<&[u8]> {
    bytes.splitn(3, |byte| *byte == b' ').nth(2)
}

fn sum(body: &[u8]) -> String {
    format!("{:08x}", crc32fast::hash(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: Form = Form { kind: "tiphys-test", version: 2 };

    #[test]
    fn any_flipped_bit_is_found() {
        let written = FORM.write(&["a", "b"]).expect("JSON");
        assert_eq!(FORM.read(&written), Ok(["a".to_owned(), "b".to_owned()]));
        for at in 0..written.len() {
            for bit in 0..8 {
                let mut changed = written.clone();
                changed[at] ^= 1 << bit;
                assert!(FORM.read::<[String; 2]>(&changed).is_err(), "byte {at}, bit {bit}");
            }
            assert_eq!(FORM.read::<[String; 2]>(&written[..at]), Err(BadFile::Damaged), "cut at {at}");
        }
    }

    #[test]
    fn another_version_is_told_from_another_kind() {
        let of = |kind, version| Form { kind, version }.write(&5).expect("JSON");
        assert_eq!(FORM.read::<u32>(&of("tiphys-test", 3)), Err(BadFile::Version(3)));
        assert_eq!(FORM.read::<u32>(&of("tiphys-tests", 2)), Err(BadFile::Damaged));
        assert_eq!(FORM.read::<u32>(b"tiphys-test 4 of another form\n..."), Err(BadFile::Version(4)));
        assert_eq!(FORM.read::<u32>(b"tiphys-test 2 of another form\n5"), Err(BadFile::Damaged));
        assert!(Form::is_same_content(&of("tiphys-test", 3), &of("tiphys-test", 2)));
        let other = FORM.write(&6).expect("JSON");
        assert!(!Form::is_same_content(&of("tiphys-test", 3), &other) && !Form::is_same_content(b"x", b"x"));
    }
}
