//! klog and glog: where a line was written.
//!
//! ```text
//! I0131 12:00:00.123456       7 leader.go:116] "won" lease="kube-system/a"
//! ```
//!
//! The pairs at its end are logfmt's.

use super::{Found, Run, Tell, VARIABLE, show};

pub(super) const NAMES: [&str; 3] = ["file", "line", "thread"];

/// Levels, before the date.
pub(super) const LETTERS: &[u8] = b"IWEF";

pub(super) fn may_be(text: &[u8]) -> bool {
    match text {
        [VARIABLE, ..] => memchr::memchr(b']', text).is_some(),
        [letter, next, ..] => LETTERS.contains(letter) && next.is_ascii_digit(),
        _ => false,
    }
}

pub(super) fn read<'a>(line: &'a str, tell: &mut dyn Tell, found: &mut Found<'_, 'a>) -> Option<()> {
    let (stamp, rest) = line.split_once(' ')?;
    let (clock, rest) = rest.trim_start_matches(' ').split_once(' ')?;
    let (hour, _) = clock.split_once(':')?;
    let (thread, rest) = rest.trim_start_matches(' ').split_once(' ')?;
    let (place, _) = rest.split_once(']')?;
    let (file, number) = place.rsplit_once(':')?;
    let (_, ending) = file.rsplit_once('.')?;
    // Letters only: a time, which has a `:` too, ends in digits.
    let is_file = !ending.is_empty() && ending.bytes().all(|byte| byte.is_ascii_alphabetic());
    let numbers = [hour, thread, number];
    let is_klog = is_file
        && !place.contains(' ')
        && tell.run(stamp, Run::Stamp)
        && numbers.into_iter().all(|part| tell.run(part, Run::Digits));
    if !is_klog {
        return None;
    }
    show(found, "file", file);
    show(found, "line", number);
    show(found, "thread", thread);
    Some(())
}
