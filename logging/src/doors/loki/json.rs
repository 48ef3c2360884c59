//! A push in JSON: `{"streams": [{"stream": {...}, "values": [["<ns>", "<line>", {...}]]}]}`. Pure.

use std::{borrow::Cow, collections::BTreeMap};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::stream;
use crate::doors::{
    Kind, Refusal,
    deliver::{check_count, check_groups},
    draft::{Draft, Group, Rejected},
    sequence::Bounded,
};

/// Bytes of one entry, or of a stream's labels.
const MAX_ENTRY: usize = 1 << 20;

#[derive(Deserialize)]
struct Push<'a> {
    #[serde(borrow)]
    streams: Bounded<&'a RawValue>,
}

#[derive(Deserialize)]
struct Stream<'a> {
    #[serde(borrow)]
    stream: &'a RawValue,
    #[serde(borrow, default)]
    values: Bounded<&'a RawValue>,
}

type Texts<'a> = BTreeMap<Cow<'a, str>, Cow<'a, str>>;

/// Two or three elements.
struct Entry<'a> {
    time: Cow<'a, str>,
    line: Cow<'a, str>,
    metadata: Texts<'a>,
}

/// All records of a push.
pub fn decode(push: &[u8]) -> Result<Draft, Refusal> {
    let push: Push<'_> = parse(push)?;
    let mut draft = Draft::default();
    let mut records = 0;
    for raw in push.streams.0 {
        let raw: Stream<'_> = parse(raw.get().as_bytes())?;
        if raw.stream.get().len() > MAX_ENTRY {
            return Err(Refusal::too_large(format!(
                "labels of a stream are larger than {} KiB",
                MAX_ENTRY >> 10
            )));
        }
        let labels: Texts<'_> = parse(raw.stream.get().as_bytes())?;
        let mut group = stream::group(labels.iter().map(|(name, value)| (&**name, &**value)));
        for entry in raw.values.0 {
            take(entry.get(), records, &mut group, &mut draft);
            records += 1;
            check_count(records as usize)?;
        }
        if !group.lines.is_empty() {
            draft.groups.push(group);
            check_groups(draft.groups.len())?;
        }
    }
    Ok(draft)
}

fn take(raw: &str, item: u32, group: &mut Group, draft: &mut Draft) {
    let mut reject = |kind, message| {
        draft.rejected.push(Rejected { items: vec![item], why: Refusal::new(kind, message) });
    };
    if raw.len() > MAX_ENTRY {
        return reject(Kind::TooLarge, format!("an entry is larger than {} KiB", MAX_ENTRY >> 10));
    }
    let entry = match entry(raw) {
        Ok(entry) => entry,
        Err(error) => return reject(Kind::Malformed, format!("an entry can't be read: {error}")),
    };
    // Beyond 64 bits it is at the edge, as any time is.
    let time = match entry.time.parse::<i128>() {
        Ok(time) => time.clamp(i64::MIN.into(), i64::MAX.into()) as i64,
        Err(_) => {
            let shown: String = entry.time.chars().take(40).collect();
            return reject(Kind::Malformed, format!("`{}` is no time in nanoseconds", shown.escape_debug()));
        }
    };
    stream::add(
        group,
        item,
        time,
        &entry.line,
        entry.metadata.iter().map(|(name, value)| (&**name, &**value)),
    );
}

fn entry(raw: &str) -> Result<Entry<'_>, serde_json::Error> {
    let parts: Vec<&RawValue> = serde_json::from_str(raw)?;
    let (time, line, metadata) = match parts.as_slice() {
        [time, line] => (time, line, None),
        [time, line, metadata] => (time, line, Some(metadata)),
        _ => return Err(serde::de::Error::custom("it has two or three elements")),
    };
    let metadata = metadata.map(|metadata| serde_json::from_str(metadata.get())).transpose()?;
    Ok(Entry {
        time: serde_json::from_str(time.get())?,
        line: serde_json::from_str(line.get())?,
        metadata: metadata.unwrap_or_default(),
    })
}

fn parse<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, Refusal> {
    serde_json::from_slice(json)
        .map_err(|error| Refusal::malformed(format!("the request is no push of Loki in JSON: {error}")))
}
