//! The few words of DER (X.690) that a certificate is written in. Pure.
//!
//! A certificate is assembled here, and not by a library that builds names from
//! parts, because the subject has to stand in it exactly as it was asked for:
//! every organization of it is a group of the user.

/// One element: tag, length, content.
pub fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    let length = content.len();
    if length < 0x80 {
        bytes.push(length as u8);
    } else {
        let all = length.to_be_bytes();
        let significant = &all[all.iter().take_while(|byte| **byte == 0).count()..];
        bytes.push(0x80 | significant.len() as u8);
        bytes.extend_from_slice(significant);
    }
    bytes.extend_from_slice(content);
    bytes
}

pub fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    element(0x30, &parts.concat())
}

/// An explicit context tag around one element.
pub fn tagged(number: u8, inner: &[u8]) -> Vec<u8> {
    element(0xa0 | number, inner)
}

/// A positive integer of these bytes.
pub fn integer(bytes: &[u8]) -> Vec<u8> {
    let mut content = bytes.to_vec();
    if content.first().is_none_or(|first| first & 0x80 != 0) {
        content.insert(0, 0);
    }
    element(0x02, &content)
}

pub fn boolean(value: bool) -> Vec<u8> {
    element(0x01, &[if value { 0xff } else { 0 }])
}

/// An object identifier, given as its content.
pub fn identifier(content: &[u8]) -> Vec<u8> {
    element(0x06, content)
}

pub fn octets(content: &[u8]) -> Vec<u8> {
    element(0x04, content)
}

/// A bit string of whole bytes.
pub fn bits(content: &[u8]) -> Vec<u8> {
    element(0x03, &[&[0], content].concat())
}

/// A bit string of flags, the first one being bit 0: without the zeros at its end, as DER has them.
pub fn flags(set: u16) -> Vec<u8> {
    if set == 0 {
        return element(0x03, &[0]);
    }
    let unused = (set.trailing_zeros() % 8) as u8;
    let bytes = set.to_be_bytes();
    let content = if set & 0x00ff == 0 { &bytes[..1] } else { &bytes[..] };
    element(0x03, &[&[unused], content].concat())
}

/// A time as a certificate has it: two digits of a year until 2049, four after.
pub fn time(at: jiff::Timestamp) -> Vec<u8> {
    let utc = at.to_zoned(jiff::tz::TimeZone::UTC);
    match utc.year() {
        1950..=2049 => element(0x17, utc.strftime("%y%m%d%H%M%SZ").to_string().as_bytes()),
        _ => element(0x18, utc.strftime("%Y%m%d%H%M%SZ").to_string().as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_as_few_bytes_as_they_need() {
        assert_eq!(element(4, &[7; 3]), [4, 3, 7, 7, 7]);
        assert_eq!(element(4, &[0; 200])[..3], [4, 0x81, 200]);
        assert_eq!(element(4, &[0; 300])[..4], [4, 0x82, 1, 44]);
    }

    #[test]
    fn numbers_flags_and_times_are_canonical() {
        assert_eq!(integer(&[0x80]), [2, 2, 0, 0x80]);
        assert_eq!(integer(&[0x7f]), [2, 1, 0x7f]);
        // digitalSignature and keyEncipherment, as every TLS certificate has them.
        assert_eq!(flags(0xa000), [3, 2, 5, 0xa0]);
        assert_eq!(flags(0x0080), [3, 3, 7, 0, 0x80]);
        let at = |text: &str| time(text.parse().unwrap());
        assert_eq!(at("2026-01-02T03:04:05Z"), [&[0x17, 13][..], b"260102030405Z"].concat());
        assert_eq!(at("2050-01-02T03:04:05Z"), [&[0x18, 15][..], b"20500102030405Z"].concat());
    }
}
