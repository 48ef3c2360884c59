//! The wire format: fields with a number and a payload. Reading borrows the
//! bytes and never goes further than they reach; writing appends to a buffer.

use super::Malformed;

/// What stands in a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
}

impl<'a> Payload<'a> {
    pub fn bytes(self) -> Result<&'a [u8], Malformed> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(Malformed("a number stands where a message or text is expected")),
        }
    }

    pub fn text(self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed("a text is not valid UTF-8"))
    }

    /// An integer of either size; negative ones are sign-extended to 64 bits.
    pub fn integer(self) -> Result<i64, Malformed> {
        match self {
            Self::Varint(number) | Self::Fixed64(number) => Ok(number.cast_signed()),
            Self::Fixed32(number) => Ok(number.cast_signed().into()),
            Self::Bytes(_) => Err(Malformed("a message or text stands where a number is expected")),
        }
    }

    pub fn float(self) -> Result<f64, Malformed> {
        match self {
            Self::Fixed64(bits) => Ok(f64::from_bits(bits)),
            Self::Fixed32(bits) => Ok(f32::from_bits(bits).into()),
            _ => Err(Malformed("no floating-point number stands where one is expected")),
        }
    }
}

/// The fields of a message in their order.
pub fn fields(bytes: &[u8]) -> impl Iterator<Item = Result<(u32, Payload<'_>), Malformed>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let field = field(&mut rest);
        if field.is_err() {
            rest = &[];
        }
        Some(field)
    })
}

/// The numbers of a packed field.
pub fn packed(bytes: &[u8]) -> impl Iterator<Item = Result<i64, Malformed>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let number = varint(&mut rest);
        if number.is_err() {
            rest = &[];
        }
        Some(number.map(u64::cast_signed))
    })
}

fn field<'a>(rest: &mut &'a [u8]) -> Result<(u32, Payload<'a>), Malformed> {
    let key = varint(rest)?;
    let number = u32::try_from(key >> 3).map_err(|_| Malformed("a field number is too large"))?;
    let payload = match key & 7 {
        0 => Payload::Varint(varint(rest)?),
        1 => Payload::Fixed64(u64::from_le_bytes(array(rest)?)),
        2 => {
            let length = usize::try_from(varint(rest)?).map_err(|_| TRUNCATED)?;
            Payload::Bytes(take(rest, length)?)
        }
        5 => Payload::Fixed32(u32::from_le_bytes(array(rest)?)),
        _ => return Err(Malformed("a field has an unknown wire type")),
    };
    Ok((number, payload))
}

const TRUNCATED: Malformed = Malformed("the message is cut off");

fn varint(rest: &mut &[u8]) -> Result<u64, Malformed> {
    let mut number = 0u64;
    for (n, byte) in rest.iter().enumerate().take(10) {
        number |= u64::from(byte & 0x7f).checked_shl(7 * n as u32).unwrap_or(0);
        if byte & 0x80 == 0 {
            *rest = &rest[n + 1..];
            return Ok(number);
        }
    }
    Err(TRUNCATED)
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], Malformed> {
    let (taken, left) = rest.split_at_checked(length).ok_or(TRUNCATED)?;
    *rest = left;
    Ok(taken)
}

fn array<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Malformed> {
    let taken = take(rest, N)?;
    taken.try_into().map_err(|_| TRUNCATED)
}

/// The head of a field.
pub fn put_head(out: &mut Vec<u8>, number: u32, wire_type: u8) {
    put_varint(out, u64::from(number) << 3 | u64::from(wire_type));
}

pub fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// How many bytes a number takes.
pub fn varint_len(number: usize) -> usize {
    (usize::BITS - (number | 1).leading_zeros()).div_ceil(7) as usize
}

pub fn put_integer(out: &mut Vec<u8>, number: u32, value: i64) {
    put_head(out, number, 0);
    put_varint(out, value.cast_unsigned());
}

pub fn put_bytes(out: &mut Vec<u8>, number: u32, content: &[u8]) {
    put_head(out, number, 2);
    put_varint(out, content.len() as u64);
    out.extend_from_slice(content);
}

/// Begins a message in a field; [`close`] takes what this returns.
pub fn open(out: &mut Vec<u8>, number: u32) -> usize {
    put_head(out, number, 2);
    out.push(0);
    out.len()
}

/// Ends a message: its length goes before it. Few are longer than 127 bytes, and
/// those are moved to make room.
pub fn close(out: &mut Vec<u8>, begin: usize) {
    let length = out.len() - begin;
    let mut prefix = Vec::with_capacity(varint_len(length));
    put_varint(&mut prefix, length as u64);
    match prefix.as_slice() {
        [one] => out[begin - 1] = *one,
        _ => drop(out.splice(begin - 1..begin, prefix)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_with_their_payloads() {
        let bytes = [0x08, 0x96, 0x01, 0x12, 0x02, b'h', b'i'];
        let read: Vec<_> = fields(&bytes).collect();
        assert_eq!(read, [Ok((1, Payload::Varint(150))), Ok((2, Payload::Bytes(b"hi")))]);
        let minus_one = [0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        let read: Vec<_> = fields(&minus_one).map(|field| field.expect("a field").1.integer()).collect();
        assert_eq!(read, [Ok(-1)]);
    }

    #[test]
    fn nothing_is_read_past_the_end() {
        for bytes in [
            &[0x12, 0x05, b'h'][..],
            &[0x08][..],
            &[0x09, 1, 2][..],
            &[0x12, 0xff, 0xff, 0xff, 0xff, 0x7f][..],
        ] {
            assert!(fields(bytes).last().expect("an item").is_err(), "{bytes:?}");
        }
        assert!(fields(&[0xff; 20]).last().expect("an item").is_err());
    }

    #[test]
    fn what_is_written_is_read() {
        for length in [0, 1, 127, 128, 16_383, 16_384, 70_000] {
            let mut out = vec![0x08, 0x01];
            let begin = open(&mut out, 300);
            out.resize(out.len() + length, 7);
            close(&mut out, begin);
            put_integer(&mut out, 2, -5);
            let read: Vec<_> = fields(&out).collect::<Result<_, _>>().expect("fields");
            assert_eq!(read[1], (300, Payload::Bytes(&vec![7; length])));
            assert_eq!(read[2].1.integer(), Ok(-5));
            let mut number = Vec::new();
            put_varint(&mut number, length as u64);
            assert_eq!(number.len(), varint_len(length));
        }
        assert_eq!(varint_len(usize::MAX), 10);
    }
}
