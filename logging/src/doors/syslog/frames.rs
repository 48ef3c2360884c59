//! Messages out of a stream of bytes: with their length before them, or a line
//! each (RFC 6587). Which it is, the first byte of each message tells. Pure.
//!
//! A message is held until its end has come, however many records it becomes: its parts stand
//! together, and rules see over the cuts between them. One that is longer than [`MAX_MESSAGE`]
//! ends there and says so; who holds many may let one end before, by [`Frames::cut`].

/// A longer message is cut, and its rest is passed over. Other doors take no longer ones either.
pub const MAX_MESSAGE: usize = 1 << 20;
/// Memory that stays with a connection whose messages are shorter.
const KEPT: usize = 256 << 10;
/// Digits of a length.
const MAX_DIGITS: usize = 9;

/// A message, or the begin of one that was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    pub bytes: &'a [u8],
    /// How many bytes behind these are left out, 0 where nobody knows; `None`: it is whole.
    pub left_out: Option<u64>,
}

/// What has come and is no whole message yet.
#[derive(Debug, Default)]
pub struct Frames {
    rest: Vec<u8>,
    /// In so many bytes of the rest is no end of a line.
    looked: usize,
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
    pub fn push(&mut self, mut bytes: &[u8], mut found: impl FnMut(Frame<'_>)) {
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

    /// Bytes that wait for the end of their message.
    pub fn waiting(&self) -> usize {
        self.rest.len()
    }

    /// The message that waits ends here; what of it comes later is passed over.
    pub fn cut(&mut self, mut found: impl FnMut(Frame<'_>)) {
        if self.rest.is_empty() || may_be_counted(&self.rest) {
            return;
        }
        let rest = std::mem::take(&mut self.rest);
        self.looked = 0;
        let (begin, skip) = match counted(&rest) {
            Some((length, begin)) => (begin, Skip::Bytes((begin + length).saturating_sub(rest.len()))),
            None => (0, Skip::Line),
        };
        self.skip = skip;
        give(&rest[begin..], skip, &mut found);
    }

    /// What stands at the end of a connection is a message too.
    pub fn finish(self, mut found: impl FnMut(Frame<'_>)) {
        let begin = counted(&self.rest).map_or(0, |(_, begin)| begin);
        give(&self.rest[begin..], Skip::Nothing, &mut found);
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

    fn take(&mut self, found: &mut impl FnMut(Frame<'_>)) {
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
            } else if let Some(end) = line_end(rest, &mut self.looked) {
                (0, end, end + 1, Skip::Nothing)
            } else if rest.len() >= MAX_MESSAGE {
                (0, MAX_MESSAGE, rest.len(), Skip::Line)
            } else {
                break;
            };
            give(&rest[begin..begin + length], skip, found);
            at += next;
            self.looked = 0;
            if skip != Skip::Nothing {
                let rest = self.rest.split_off(at);
                self.rest.clear();
                self.skip = skip;
                self.rest = self.pass_over(&rest).to_vec();
                at = 0;
            }
        }
        self.rest.drain(..at);
        if self.rest.len() <= KEPT {
            self.rest.shrink_to(KEPT);
        }
    }
}

/// Where the line ends. What was looked at once is not looked at again when more has come.
fn line_end(rest: &[u8], looked: &mut usize) -> Option<usize> {
    let from = (*looked).min(rest.len());
    *looked = rest.len();
    rest[from..].iter().position(|byte| *byte == b'\n').map(|end| from + end)
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

/// `skip`: what of the message still comes, and is left out.
fn give(message: &[u8], skip: Skip, found: &mut impl FnMut(Frame<'_>)) {
    if skip == Skip::Nothing {
        let end =
            message.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r' | 0)).map_or(0, |last| last + 1);
        if end > 0 {
            found(Frame { bytes: &message[..end], left_out: None });
        }
        return;
    }
    // Don't tear a character.
    let torn = message.utf8_chunks().last().map_or(0, |chunk| chunk.invalid().len());
    let left_out = match skip {
        Skip::Bytes(left) => (left + torn) as u64,
        Skip::Nothing | Skip::Line => 0,
    };
    found(Frame { bytes: &message[..message.len() - torn], left_out: Some(left_out) });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_of_a_long_message_goes_with_it() {
        let mut frames = Frames::default();
        frames.push(&vec![b'x'; MAX_MESSAGE - 1], |_| panic!("it has no end"));
        assert!(frames.waiting() == MAX_MESSAGE - 1 && frames.rest.capacity() >= MAX_MESSAGE - 1);
        let mut found = 0;
        frames.push(b"\n<1>sho", |_| found += 1);
        frames.push(b"rt\n", |_| found += 1);
        assert!(found == 2 && frames.rest.capacity() <= 2 * KEPT, "{}", frames.rest.capacity());
    }
}
