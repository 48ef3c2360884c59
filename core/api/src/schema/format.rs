//! Strings that have one canonical form: times, quantities, base64.

use base64::{
    DecodeError, Engine, alphabet,
    engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD},
};
use jiff::{Timestamp, tz::Offset};

use crate::quantity::Quantity;

/// A quantity as it is stored, or what is wrong with it.
pub fn quantity(text: &str) -> Result<String, String> {
    text.parse::<Quantity>().map(|q| q.to_string()).map_err(|e| e.to_string())
}

/// An RFC 3339 time in UTC with this many digits after the second.
pub fn time(text: &str, digits: u8) -> Result<String, String> {
    let parsed: Timestamp =
        text.parse().map_err(|_| format!("parsing time {text:?}: not a time of RFC 3339"))?;
    let civil = Offset::UTC.to_datetime(parsed);
    let seconds = civil.strftime("%Y-%m-%dT%H:%M:%S");
    Ok(match digits {
        0 => format!("{seconds}Z"),
        _ => format!("{seconds}.{:06}Z", civil.subsec_nanosecond() / 1_000),
    })
}

/// Padded standard base64 without line ends, or which byte is wrong.
pub fn base64(text: &str) -> Result<String, String> {
    // Decoders differ about bits after the last byte and about line ends: what is stored has neither.
    let lenient = GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
    let lenient = GeneralPurpose::new(&alphabet::STANDARD, lenient);
    let joined: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    let bytes = lenient.decode(&joined).map_err(|error| {
        let position = match error {
            DecodeError::InvalidByte(at, _) | DecodeError::InvalidLastSymbol(at, _) => at,
            DecodeError::InvalidLength(_) | DecodeError::InvalidPadding => joined.len(),
        };
        format!("illegal base64 data at input byte {position}")
    })?;
    Ok(STANDARD.encode(bytes))
}
