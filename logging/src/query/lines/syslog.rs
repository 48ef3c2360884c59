//! Syslog's head before a message: RFC 5424, and RFC 3164 with a priority or, as in
//! files, without one. The latter's time may be one of RFC 3339, as rsyslog writes it; of another
//! such time a line without a priority must tell its process, as other programs begin lines so.
//!
//! ```text
//! <165>1 2026-01-31T12:00:00Z web-1 nginx 12 ID47 - up
//! <30>Jan 31 12:00:00 web-1 nginx[12]: up
//! Jan 31 12:00:00 web-1 su: failed
//! 2026-01-31T12:00:00.123456+01:00 web-1 su: failed
//! <30>nginx[12]: up
//! ```
//!
//! The names are the RFC's, as the door for syslog has them. Parameters of structured data
//! are logfmt's.

use super::{Found, Run, Tell, VARIABLE, cut, show};
use crate::record::Level;

pub(super) const NAMES: [&str; 4] = ["hostname", "appname", "procid", "msgid"];

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

pub(super) fn may_be(text: &[u8]) -> bool {
    match text {
        [b'<', next, ..] => next.is_ascii_digit() || *next == VARIABLE,
        // A time, a host, a tag.
        [first, ..] if first.is_ascii_digit() || *first == VARIABLE => {
            let tag = text.split(|byte| *byte == b' ').nth(2).unwrap_or_default();
            let end = tag.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(tag.len());
            tag[..end].ends_with(b":")
        }
        [_, _, _, b' ', ..] => MONTHS.iter().any(|month| text.starts_with(month.as_bytes())),
        _ => false,
    }
}

pub(super) fn read<'a>(line: &'a str, tell: &mut dyn Tell, found: &mut Found<'_, 'a>) -> Option<()> {
    let Some(head) = line.strip_prefix('<') else {
        let rest = match after_former_time(line, tell) {
            Some(rest) => rest,
            // Other programs begin their lines with such a time, too.
            None => {
                let (rest, is_rsyslogs) = after_time(line, tell)?;
                let is_told = has_host_and_tag(rest) && (is_rsyslogs || has_process(rest, tell));
                is_told.then_some(rest)?
            }
        };
        return message(rest, true, tell, found);
    };
    let (priority, rest) = head.split_once('>')?;
    if !tell.run(priority, Run::Priority) {
        return None;
    }
    if let Some([host, app, process, id]) = newer(rest, tell) {
        show(found, "hostname", host);
        show_app(found, (app, process));
        show(found, "msgid", id);
        return Some(());
    }
    let timed = after_former_time(rest, tell).or_else(|| after_time(rest, tell).map(|(rest, _)| rest));
    if let Some(rest) = timed {
        return message(rest, false, tell, found);
    }
    // Without a time a word before a colon may be part of the text.
    let tag = tag(rest, tell).filter(|(_, process)| !process.is_empty())?;
    show_app(found, tag);
    Some(())
}

/// Host, app, process and message id of RFC 5424.
fn newer<'a>(rest: &'a str, tell: &mut dyn Tell) -> Option<[&'a str; 4]> {
    let (version, rest) = rest.split_once(' ')?;
    let mut words = rest.splitn(6, ' ');
    let mut word = || words.next().filter(|word| !word.is_empty());
    let [_, host, app, process, id, data] = [word()?, word()?, word()?, word()?, word()?, word()?];
    let is_newer = data.starts_with(['-', '[']) && tell.run(version, Run::Version);
    is_newer.then_some([host, app, process, id])
}

/// What stands behind `2026-01-31T12:00:00.123456+01:00 `, and whether the time is just so: rsyslog
/// writes microseconds and an offset. The zone is never left out.
fn after_time<'a>(text: &'a str, tell: &mut dyn Tell) -> Option<(&'a str, bool)> {
    let (word, rest) = text.split_once(' ')?;
    let (stamp, has_offset) = match word.strip_suffix('Z') {
        Some(stamp) => (stamp, false),
        None => {
            let (stamp, offset) = word.rsplit_once(['+', '-'])?;
            let (hours, minutes) = offset.split_once(':')?;
            let is_offset = [hours, minutes].into_iter().all(|part| tell.run(part, Run::Digits));
            (is_offset.then_some(stamp)?, true)
        }
    };
    let n_digits = tell.stamp(stamp)?;
    Some((rest, has_offset && n_digits == 6))
}

/// Whether two words follow that may be a host and a tag, and say no level instead.
fn has_host_and_tag(rest: &str) -> bool {
    let (host, text) = cut(rest);
    let tag = cut(text).0;
    let app = tag.split(['[', ':']).next().unwrap_or_default();
    let is_level = |word: &str| Level::from_word(word).is_some();
    !host.is_empty() && !host.contains('[') && !host.ends_with(':') && !is_level(host) && !is_level(app)
}

/// Whether the second word is a tag with a process: a word before a colon may be part of the text.
fn has_process(rest: &str, tell: &mut dyn Tell) -> bool {
    tag(cut(rest).1, tell).is_some_and(|(_, process)| !process.is_empty())
}

/// What stands behind `Jan 31 12:00:00 `.
fn after_former_time<'a>(text: &'a str, tell: &mut dyn Tell) -> Option<&'a str> {
    let (_, rest) = text.split_once(' ').filter(|(month, _)| MONTHS.contains(month))?;
    let (day, rest) = rest.trim_start_matches(' ').split_once(' ')?;
    let (clock, rest) = rest.split_once(' ')?;
    let (hour, clock) = clock.split_once(':')?;
    let (minute, second) = clock.split_once(':')?;
    let numbers = [day, hour, minute, second];
    numbers.into_iter().all(|part| tell.run(part, Run::Digits)).then_some(rest)
}

/// A host and who wrote the text; without a priority before it, it is a message only with the latter.
fn message<'a>(rest: &'a str, bare: bool, tell: &mut dyn Tell, found: &mut Found<'_, 'a>) -> Option<()> {
    let (word, after) = cut(rest);
    let is_host = !word.is_empty() && !word.ends_with(':') && !word.contains('[') && !after.is_empty();
    let (host, text) = if is_host { (word, after) } else { ("", rest) };
    let tag = tag(text, tell);
    if tag.is_none() && (bare || host.is_empty()) {
        return None;
    }
    show(found, "hostname", host);
    if let Some(tag) = tag {
        show_app(found, tag);
    }
    Some(())
}

/// `app[123]:` or `app:`; the process is empty where it isn't told.
fn tag<'a>(text: &'a str, tell: &mut dyn Tell) -> Option<(&'a str, &'a str)> {
    let name = cut(text).0.strip_suffix(':')?;
    let (app, process) = match name.split_once('[') {
        Some((app, process)) => (app, process.strip_suffix(']')?),
        None => (name, ""),
    };
    tell.name(app).then_some((app, process))
}

fn show_app<'a>(found: &mut Found<'_, 'a>, (app, process): (&'a str, &'a str)) {
    show(found, "appname", app);
    show(found, "procid", process);
}
