//! A push in protobuf. Pure.
//!
//! ```text
//! PushRequest  1 streams: 1 labels (text), 2 entries: 1 timestamp, 2 line, 3 structured metadata: 1 name, 2 value
//! ```

use prost::Message;

use super::{labels, stream};
use crate::doors::{
    Kind, Refusal,
    deliver::{check_count, check_groups},
    draft::{Draft, Group, MAX_VALUES, Rejected},
    walk::{self, NoMessage, Walk},
};

/// Bytes of one entry, or of a stream's labels.
const MAX_ENTRY: usize = 1 << 20;

#[derive(Clone, PartialEq, Message)]
pub struct Entry {
    #[prost(message, optional, tag = "1")]
    pub timestamp: Option<Timestamp>,
    #[prost(string, tag = "2")]
    pub line: String,
    #[prost(message, repeated, tag = "3")]
    pub metadata: Vec<Pair>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub struct Timestamp {
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

#[derive(Clone, PartialEq, Message)]
pub struct Pair {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub value: String,
}

/// All records of a push.
pub fn decode(push: &[u8]) -> Result<Draft, Refusal> {
    let mut draft = Draft::default();
    let mut records = 0;
    for field in Walk::over(push) {
        let (1, bytes) = field.map_err(no_push)? else { continue };
        let mut group = describe(bytes)?;
        for field in Walk::over(bytes) {
            let (2, bytes) = field.map_err(no_push)? else { continue };
            take(bytes, records, &mut group, &mut draft);
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

fn describe(message: &[u8]) -> Result<Group, Refusal> {
    let mut text = "{}";
    for field in Walk::over(message) {
        if let (1, bytes) = field.map_err(no_push)? {
            text = std::str::from_utf8(bytes).map_err(|_| no_push(NoMessage))?;
        }
    }
    if text.len() > MAX_ENTRY {
        return Err(Refusal::too_large(format!(
            "labels of a stream are larger than {} KiB",
            MAX_ENTRY >> 10
        )));
    }
    let mut pairs = Vec::new();
    if !labels::each(text, |name, value| pairs.push((name.to_owned(), value.to_owned()))) {
        let shown: String = text.chars().take(100).collect();
        return Err(Refusal::malformed(format!("`{}` are no labels of a stream", shown.escape_debug())));
    }
    Ok(stream::group(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))))
}

fn take(bytes: &[u8], item: u32, group: &mut Group, draft: &mut Draft) {
    let mut reject = |kind, message| {
        draft.rejected.push(Rejected { items: vec![item], why: Refusal::new(kind, message) });
    };
    let inner = |top: bool, number| (top && number == 3).then_some(false);
    if bytes.len() > MAX_ENTRY || walk::is_more(bytes, true, &inner, MAX_VALUES) {
        let message =
            format!("an entry is larger than {} KiB or has more than {MAX_VALUES} values", MAX_ENTRY >> 10);
        return reject(Kind::TooLarge, message);
    }
    let entry = match Entry::decode(bytes) {
        Ok(entry) => entry,
        Err(error) => return reject(Kind::Malformed, format!("an entry can't be read: {error}")),
    };
    let Timestamp { seconds, nanos } = entry.timestamp.unwrap_or_default();
    let time = seconds.saturating_mul(crate::time::SECOND).saturating_add(nanos.into());
    let metadata = entry.metadata.iter().map(|pair| (pair.name.as_str(), pair.value.as_str()));
    stream::add(group, item, time, &entry.line, metadata);
}

fn no_push(_: NoMessage) -> Refusal {
    Refusal::malformed(
        "the request is no push of Loki in protobuf (for JSON, the Content-Type is application/json)",
    )
}
