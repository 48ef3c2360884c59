//! Syslog's priority before the record: RFC 5424 (`<165>1 2026-01-31T...`), RFC 3164
//! (`<34>Jan 31 12:00:00 host su: ...`), and systemd's `<3>message`.

use crate::record::Level;

/// Facility 23, severity 7.
const MAX_PRIORITY: u8 = 191;

pub(super) fn level(text: &[u8]) -> Option<Level> {
    let rest = text.strip_prefix(b"<")?;
    let digits = rest.iter().take(4).take_while(|byte| byte.is_ascii_digit()).count();
    let priority: u8 = std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()?;
    let zeros = digits > 1 && rest[0] == b'0';
    let ended = rest.get(digits) == Some(&b'>');
    (ended && !zeros && priority <= MAX_PRIORITY).then(|| severity(priority % 8))
}

/// From 0, emergency, to 7, debug.
pub fn severity(number: u8) -> Level {
    match number {
        0..=2 => Level::Fatal,
        3 => Level::Error,
        4 => Level::Warn,
        5 | 6 => Level::Info,
        _ => Level::Debug,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities() {
        let check = |text: &str, expected| assert_eq!(level(text.as_bytes()), expected, "{text}");
        check("<34>Oct 11 22:14:15 mymachine su: 'su root' failed", Some(Level::Fatal));
        check("<165>1 2026-01-31T22:14:15.003Z host app - ID47 - an event", Some(Level::Info));
        check("<11>1 2026-01-31T22:14:15.003Z host app - - - an error", Some(Level::Error));
        check("<4>careful", Some(Level::Warn));
        check("<0>over", Some(Level::Fatal));
        check("<191>x", Some(Level::Debug));
        check("<192>x", None);
        check("<999>x", None);
        check("<03>x", None);
        check("<>x", None);
        check("<12", None);
        check("<html>", None);
    }
}
