//! The wire format: fields with a number and a payload. Reads borrowed bytes,
//! and never further than they reach.

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
}
