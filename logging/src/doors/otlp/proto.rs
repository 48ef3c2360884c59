//! An export request in protobuf. Pure.

use opentelemetry_proto::tonic::{
    common::v1::InstrumentationScope, logs::v1::LogRecord, resource::v1::Resource,
};
use prost::Message;

use super::{MAX_RECORD, record, too_large};
use crate::doors::{
    Kind, Refusal,
    deliver::{check_count, check_groups},
    draft::{Draft, Group, MAX_VALUES, Rejected},
    walk::{self, NoMessage, Walk},
};

/// Field numbers of opentelemetry/proto/logs/v1/logs.proto.
const RESOURCE_LOGS: u32 = 1;
const RESOURCE: u32 = 1;
const SCOPE_LOGS: u32 = 2;
const SCOPE: u32 = 1;
const LOG_RECORDS: u32 = 2;

/// All records of a request.
pub fn decode(request: &[u8]) -> Result<Draft, Refusal> {
    let mut decoder = Decoder::default();
    decoder.request(request).map_err(|wrong| match wrong {
        Wrong::Message => Refusal::malformed("the request is no ExportLogsServiceRequest in protobuf"),
        Wrong::Refused(refusal) => refusal,
    })?;
    Ok(decoder.draft)
}

enum Wrong {
    Message,
    Refused(Refusal),
}

impl From<NoMessage> for Wrong {
    fn from(_: NoMessage) -> Self {
        Wrong::Message
    }
}

#[derive(Default)]
struct Decoder {
    draft: Draft,
    records: u32,
}

impl Decoder {
    fn request(&mut self, request: &[u8]) -> Result<(), Wrong> {
        each(request, RESOURCE_LOGS, |resource_logs| {
            let mut group = Group::default();
            // The resource may stand behind its records.
            each(resource_logs, RESOURCE, |resource| {
                let resource: Resource = small(resource, Kinds::Resource)?;
                record::describe(&mut group, &resource.attributes);
                Ok(())
            })?;
            each(resource_logs, SCOPE_LOGS, |scope_logs| self.scope(scope_logs, &mut group))?;
            if !group.lines.is_empty() {
                self.draft.groups.push(group);
                check_groups(self.draft.groups.len()).map_err(Wrong::Refused)?;
            }
            Ok(())
        })
    }

    fn scope(&mut self, scope_logs: &[u8], group: &mut Group) -> Result<(), Wrong> {
        let mut scope = InstrumentationScope::default();
        each(scope_logs, SCOPE, |bytes| {
            scope = small(bytes, Kinds::Resource)?;
            Ok(())
        })?;
        each(scope_logs, LOG_RECORDS, |bytes| {
            let item = self.records;
            self.records += 1;
            check_count(self.records as usize).map_err(Wrong::Refused)?;
            if bytes.len() > MAX_RECORD || too_many(bytes, Kinds::Record) {
                self.reject(item, Kind::TooLarge, too_large("a record"));
                return Ok(());
            }
            match LogRecord::decode(bytes) {
                Ok(record) => group.lines.push(record::line(record, &scope, item, &mut group.capped)),
                Err(error) => self.reject(item, Kind::Malformed, format!("a record can't be read: {error}")),
            }
            Ok(())
        })
    }

    fn reject(&mut self, item: u32, kind: Kind, message: String) {
        self.draft.rejected.push(Rejected { items: vec![item], why: Refusal::new(kind, message) });
    }
}

/// The messages that hold values.
#[derive(Debug, Clone, Copy)]
enum Kinds {
    Record,
    /// A resource, or a scope: attributes.
    Resource,
    Pair,
    Value,
    Values,
    Pairs,
}

/// Whether a message of a few bytes a value would be too much in memory.
fn too_many(message: &[u8], kind: Kinds) -> bool {
    let inner = |kind, number| match (kind, number) {
        (Kinds::Record, 5) | (Kinds::Pair, 2) | (Kinds::Values, 1) => Some(Kinds::Value),
        (Kinds::Record, 6) | (Kinds::Resource, 1 | 3) | (Kinds::Pairs, 1) => Some(Kinds::Pair),
        (Kinds::Value, 5) => Some(Kinds::Values),
        (Kinds::Value, 6) => Some(Kinds::Pairs),
        _ => None,
    };
    walk::is_more(message, kind, &inner, MAX_VALUES)
}

/// Of what should be a few names: not much memory, whatever it is.
fn small<M: Message + Default>(bytes: &[u8], kind: Kinds) -> Result<M, Wrong> {
    if bytes.len() > MAX_RECORD || too_many(bytes, kind) {
        return Err(Wrong::Refused(Refusal::too_large(too_large("a resource or scope"))));
    }
    M::decode(bytes).map_err(|_| Wrong::Message)
}

fn each(message: &[u8], number: u32, mut found: impl FnMut(&[u8]) -> Result<(), Wrong>) -> Result<(), Wrong> {
    for field in Walk::over(message) {
        let (tag, bytes) = field?;
        if tag == number {
            found(bytes)?;
        }
    }
    Ok(())
}
