//! Messages out of a stream of bytes: with their length before them, or a line
//! each (RFC 6587). Which it is, the first byte of each message tells. Pure.

/// A longer message is cut; its rest is passed over.
pub const MAX_MESSAGE: usize = 256 << 10;
/// Digits of a length.
const MAX_DIGITS: usize = 9;

/// What has come and is no whole message yet.
#[derive(Debug, Default)]
pub struct Frames {
    rest: Vec<u8>,
    skip: Skip,
}

/// What of a message that was too long still comes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Skip {
    #[default]
    Nothing,
    Bytes(usize),
    Line,
}

impl Frames {
    /// Takes bytes in and calls `found` with each message they complete.
    pub fn push(&mut self, mut bytes: &[u8], mut found: impl FnMut(&[u8])) {
        while !bytes.is_empty() {
            bytes = self.pass_over(bytes);
            // Never more than one message, its length and what comes in one read is held.
            let room = (MAX_MESSAGE + MAX_DIGITS + 1).saturating_sub(self.rest.len()).max(1);
            let (now, later) = bytes.split_at(bytes.len().min(room));
            self.rest.extend_from_slice(now);
            bytes = later;
            self.take(&mut found);
        }
    }

    /// What stands at the end of a connection is a message too.
    pub fn finish(self, mut found: impl FnMut(&[u8])) {
        let begin = counted(&self.rest).map_or(0, |(_, begin)| begin);
        give(&self.rest[begin..], &mut found);
    }

    fn pass_over<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        match self.skip {
            Skip::Nothing => bytes,
            Skip::Bytes(left) => {
                let now = left.min(bytes.len());
                self.skip = if now < left { Skip::Bytes(left - now) } else { Skip::Nothing };
                &bytes[now..]
            }
            Skip::Line => match bytes.iter().position(|byte| *byte == b'\n') {
                Some(end) => {
                    self.skip = Skip::Nothing;
                    &bytes[end + 1..]
                }
                None => &[],
            },
        }
    }

    fn take(&mut self, found: &mut impl FnMut(&[u8])) {
        let mut at = 0;
        loop {
            let rest = &self.rest[at..];
            let (begin, length, next, skip) = if let Some((length, begin)) = counted(rest) {
                let kept = length.min(MAX_MESSAGE);
                if rest.len() < begin + kept {
                    break;
                }
                let skip = if kept < length { Skip::Bytes(length - kept) } else { Skip::Nothing };
                (begin, kept, begin + kept, skip)
            } else if may_be_counted(rest) {
                break;
            } else if let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                (0, end, end + 1, Skip::Nothing)
            } else if rest.len() >= MAX_MESSAGE {
                (0, MAX_MESSAGE, rest.len(), Skip::Line)
            } else {
                break;
            };
            give(&rest[begin..begin + length], found);
            at += next;
            if skip != Skip::Nothing {
                let rest = self.rest.split_off(at);
                self.rest.clear();
                self.skip = skip;
                self.rest = self.pass_over(&rest).to_vec();
                at = 0;
            }
        }
        self.rest.drain(..at);
    }
}

/// The length that stands before a message, and where the message begins.
fn counted(bytes: &[u8]) -> Option<(usize, usize)> {
    let digits = bytes.iter().take(MAX_DIGITS + 1).take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 || digits > MAX_DIGITS || bytes[0] == b'0' || bytes.get(digits) != Some(&b' ') {
        return None;
    }
    // A line that begins with a number is no frame: after its length a message begins with its priority.
    if bytes.get(digits + 1).is_some_and(|byte| *byte != b'<') {
        return None;
    }
    let length = std::str::from_utf8(&bytes[..digits]).ok()?.parse().ok()?;
    (bytes.len() > digits + 1).then_some((length, digits + 1))
}

/// Whether more bytes are needed to tell.
fn may_be_counted(bytes: &[u8]) -> bool {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let only = digits == bytes.len() || (digits + 1 == bytes.len() && bytes[digits] == b' ');
    only && (1..=MAX_DIGITS).contains(&digits) && bytes[0] != b'0'
}

fn give(message: &[u8], found: &mut impl FnMut(&[u8])) {
    let end = message.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r' | 0)).map_or(0, |last| last + 1);
    if end > 0 {
        found(&message[..end]);
    }
}
