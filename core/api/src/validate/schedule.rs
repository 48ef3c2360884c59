//! Schedules as crontabs have them: `*/5 0-6 * jan,feb mon`, `@daily`, `@every 1h30m`; and names of time zones.
//!
//! Only whether a text is one, and if not, why; when its moments are is the business of who starts the Jobs.

struct Field {
    least: u32,
    most: u32,
    names: &'static [&'static str],
}

const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const FIELDS: [Field; 5] = [
    Field { least: 0, most: 59, names: &[] },
    Field { least: 0, most: 23, names: &[] },
    Field { least: 1, most: 31, names: &[] },
    Field { least: 1, most: 12, names: MONTHS },
    Field { least: 0, most: 6, names: DAYS },
];
const WORDS: [&str; 7] = ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];

/// # Errors
/// Why the text is no schedule.
pub fn cron(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("empty spec string".into());
    }
    let text = without_zone(text)?;
    if text.starts_with('@') {
        return word(text);
    }
    let fields: Vec<&str> = text.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        let shown = fields.join(" ");
        return Err(format!("expected exactly 5 fields, found {}: [{shown}]", fields.len()));
    }
    fields
        .iter()
        .zip(&FIELDS)
        .try_for_each(|(text, field)| text.split(',').try_for_each(|part| range(part, field)))
}

/// A zone at the front is refused by who asks; here it is only passed over.
fn without_zone(text: &str) -> Result<&str, String> {
    if !text.starts_with("TZ=") && !text.starts_with("CRON_TZ=") {
        return Ok(text);
    }
    let (_, rest) = text.split_once(' ').ok_or("provided bad location")?;
    Ok(rest.trim())
}

fn word(text: &str) -> Result<(), String> {
    if let Some(span) = text.strip_prefix("@every ") {
        let known = is_span(span);
        return if known {
            Ok(())
        } else {
            Err(format!("failed to parse duration {text}: time: invalid duration \"{span}\""))
        };
    }
    if WORDS.contains(&text) { Ok(()) } else { Err(format!("unrecognized descriptor: {text}")) }
}

/// `1h30m`, `1.5s`: numbers with units.
fn is_span(text: &str) -> bool {
    let mut rest = text.trim_start_matches(['+', '-']);
    if rest == "0" {
        return true;
    }
    let mut any = false;
    while !rest.is_empty() {
        let digits = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let number = &rest[..rest.len() - digits.len()];
        let unit =
            ["ns", "us", "µs", "ms", "s", "m", "h"].into_iter().filter(|unit| digits.starts_with(unit));
        let Some(unit) = unit.max_by_key(|unit| unit.len()) else { return false };
        if number.parse::<f64>().is_err() {
            return false;
        }
        rest = &digits[unit.len()..];
        any = true;
    }
    any
}

/// `*`, `5`, `1-5`, each with `/2` behind it or without.
fn range(text: &str, field: &Field) -> Result<(), String> {
    let (span, step) = text.split_once('/').map_or((text, None), |(span, step)| (span, Some(step)));
    if step.is_some_and(|step| step.contains('/')) {
        return Err(format!("too many slashes: {text}"));
    }
    let bounds: Vec<&str> = span.split('-').collect();
    let (start, end) = match bounds.as_slice() {
        ["*" | "?"] => (field.least, field.most),
        ["*" | "?", ..] => return Err(format!("too many hyphens: {text}")),
        [one] => {
            let start = number(one, field.names)?;
            // From there on, by steps.
            (start, if step.is_some() { field.most } else { start })
        }
        [first, last] => (number(first, field.names)?, number(last, field.names)?),
        _ => return Err(format!("too many hyphens: {text}")),
    };
    let step = step.map_or(Ok(1), |step| number(step, &[]))?;
    if start < field.least {
        return Err(format!("beginning of range ({start}) below minimum ({}): {text}", field.least));
    }
    if end > field.most {
        return Err(format!("end of range ({end}) above maximum ({}): {text}", field.most));
    }
    if start > end {
        return Err(format!("beginning of range ({start}) beyond end of range ({end}): {text}"));
    }
    if step == 0 {
        return Err(format!("step of range should be a positive number: {text}"));
    }
    Ok(())
}

fn number(text: &str, names: &[&str]) -> Result<u32, String> {
    if let Some(at) = names.iter().position(|name| *name == text.to_lowercase()) {
        let first = u32::from(names.len() == MONTHS.len());
        return Ok(u32::try_from(at).unwrap_or_default() + first);
    }
    match text.parse::<i64>() {
        Ok(number) if number < 0 => Err(format!("negative number ({number}) not allowed: {text}")),
        Ok(number) => u32::try_from(number).map_err(|_| format!("number out of range: {text}")),
        Err(_) => {
            Err(format!("failed to parse int from {text}: strconv.Atoi: parsing \"{text}\": invalid syntax"))
        }
    }
}

/// What is wrong with the name of a time zone.
pub fn time_zone(name: &str) -> Option<String> {
    let unknown = || Some(format!("unknown time zone {name}"));
    if name.is_empty() {
        return Some("timeZone must be nil or non-empty string".into());
    }
    let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+');
    let odd = |part: &str| {
        part.is_empty() || part == "." || part == ".." || part.starts_with('-') || !part.chars().all(letter)
    };
    if name.split('/').any(odd) {
        return unknown();
    }
    if name.eq_ignore_ascii_case("local") {
        let detail = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
        return Some(detail.into());
    }
    if jiff::tz::TimeZone::get(name).is_err() { unknown() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_rows::rows;

    const SCHEDULES: &str = "
* * * * * => none
*/5 0-6 1,15 jan-MAR mon => none
0 22 ? * 1-5/2 => none
@hourly => none
@every 1h30m => none
TZ=Europe/Berlin 0 0 * * * => none
* * * * => expected exactly 5 fields, found 4: [* * * *]
60 * * * * => end of range (60) above maximum (59): 60
* * 0 * * => beginning of range (0) below minimum (1): 0
5-1 * * * * => beginning of range (5) beyond end of range (1): 5-1
*/0 * * * * => step of range should be a positive number: */0
1-2-3 * * * * => too many hyphens: 1-2-3
1/2/3 * * * * => too many slashes: 1/2/3
a * * * * => failed to parse int from a: strconv.Atoi: parsing \"a\": invalid syntax
* * * * 7 => end of range (7) above maximum (6): 7
@often => unrecognized descriptor: @often
@every day => failed to parse duration @every day: time: invalid duration \"day\"";

    #[test]
    fn schedules_are_read() {
        for (text, expected) in rows(SCHEDULES) {
            assert_eq!(cron(text).err().unwrap_or_else(|| "none".into()), expected, "{text}");
        }
    }

    #[test]
    fn zones_have_names() {
        for name in ["Etc/UTC", "America/New_York"] {
            assert_eq!(time_zone(name), None, "{name}");
        }
        for name in ["", "local", "../etc", "Mars/Olympus", "a//b"] {
            assert!(time_zone(name).is_some(), "{name}");
        }
    }
}
