//! Semantic versions.

use std::{cmp::Ordering, sync::Arc};

use kube_cel::cel::{Value, objects::Opaque};

use super::{Table, opaque, quantities};
use crate::cel::{evaluate::Outcome, fault::Fault, meter::Meter};

#[derive(Debug, Clone)]
struct Version {
    numbers: [u64; 3],
    before: Vec<Part>,
}

/// Of what stands before a release: numbers come before words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Number(u64),
    Word(String),
}

impl Opaque for Version {
    fn runtime_type_name(&self) -> &str {
        "kubernetes.Semver"
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.order(other) == Ordering::Equal
    }
}

impl Eq for Version {}

impl Version {
    fn order(&self, other: &Self) -> Ordering {
        self.numbers.cmp(&other.numbers).then_with(|| {
            match (self.before.is_empty(), other.before.is_empty()) {
                (true, true) => Ordering::Equal,
                (true, false) => Ordering::Greater,
                (false, true) => Ordering::Less,
                (false, false) => self.before.cmp(&other.before),
            }
        })
    }
}

pub const FUNCTIONS: Table = &[
    ("semver", |args, meter| {
        let version = parse(&text(args, meter)?).map_err(Fault::told)?;
        Ok(Value::Opaque(Arc::new(version)))
    }),
    ("isSemver", |args, meter| Ok(Value::Bool(parse(&text(args, meter)?).is_ok()))),
    ("major", |args, _| number(args, 0)),
    ("minor", |args, _| number(args, 1)),
    ("patch", |args, _| number(args, 2)),
    ("compareTo", |args, _| Ok(Value::Int(order(args)? as i64))),
    ("isLessThan", |args, _| Ok(Value::Bool(order(args)?.is_lt()))),
    ("isGreaterThan", |args, _| Ok(Value::Bool(order(args)?.is_gt()))),
];

/// Of two versions, or of two quantities.
fn order(args: &[Value]) -> Result<Ordering, Fault> {
    let [one, other] = args else { return Err(Fault::overload()) };
    match (opaque::<Version>(one), opaque::<Version>(other)) {
        (Ok(one), Ok(other)) => Ok(one.order(other)),
        _ => quantities::order(one, other),
    }
}

fn number(args: &[Value], place: usize) -> Outcome {
    let [of] = args else { return Err(Fault::overload()) };
    Ok(Value::Int(opaque::<Version>(of)?.numbers[place] as i64))
}

/// The text of a version, made a full one if that is wanted.
fn text(args: &[Value], meter: &mut Meter) -> Result<String, Fault> {
    let (text, normalize) = match args {
        [Value::String(text)] => (text, false),
        [Value::String(text), Value::Bool(normalize)] => (text, *normalize),
        _ => return Err(Fault::overload()),
    };
    meter.bytes(text.len())?;
    Ok(if normalize { normalized(text) } else { text.as_str().to_owned() })
}

/// Without a `v`, without leading zeros, with three numbers.
fn normalized(text: &str) -> String {
    let text = text.strip_prefix('v').unwrap_or(text);
    let end = text.find(['-', '+']).unwrap_or(text.len());
    let (numbers, rest) = text.split_at(end);
    let mut numbers: Vec<&str> = numbers.splitn(3, '.').collect();
    for number in &mut numbers {
        if number.len() > 1 {
            let stripped = number.trim_start_matches('0');
            *number = if stripped.starts_with(|c: char| c.is_ascii_digit()) {
                stripped
            } else {
                &number[number.len() - 1..]
            };
        }
    }
    // A version that says more than its numbers has to say them all.
    if rest.is_empty() && !numbers[0].is_empty() {
        numbers.resize(3, "0");
    }
    format!("{}{rest}", numbers.join("."))
}

fn parse(text: &str) -> Result<Version, String> {
    if text.is_empty() {
        return Err("Version string empty".into());
    }
    let parts: Vec<&str> = text.splitn(3, '.').collect();
    let [major, minor, rest] = parts.as_slice() else {
        return Err("No Major.Minor.Patch elements found".into());
    };
    let (rest, build) = rest.split_once('+').map_or((*rest, None), |(rest, build)| (rest, Some(build)));
    let (patch, before) = rest.split_once('-').map_or((rest, None), |(patch, before)| (patch, Some(before)));
    let numbers = [numeral(major)?, numeral(minor)?, numeral(patch)?];
    let before = before.map_or(Ok(Vec::new()), |before| before.split('.').map(part).collect())?;
    build.map_or(Ok(()), |build| build.split('.').try_for_each(|it| word(it).map(drop)))?;
    Ok(Version { numbers, before })
}

fn numeral(text: &str) -> Result<u64, String> {
    let digits = !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    if digits && text.len() > 1 && text.starts_with('0') {
        return Err(format!("Version number must not contain leading zeroes {text:?}"));
    }
    text.parse()
        .ok()
        .filter(|_| digits)
        .ok_or_else(|| format!("Invalid character(s) found in version number {text:?}"))
}

fn part(text: &str) -> Result<Part, String> {
    let text = word(text)?;
    if text.bytes().all(|digit| digit.is_ascii_digit()) {
        return numeral(text).map(Part::Number);
    }
    Ok(Part::Word(text.to_owned()))
}

fn word(text: &str) -> Result<&str, String> {
    let fits = !text.is_empty() && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
    fits.then_some(text).ok_or_else(|| format!("Invalid character(s) found in prerelease or build {text:?}"))
}
