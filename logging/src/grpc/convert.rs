//! Between the messages and the JSON API, whose fields have the same names.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tonic::Status;

use super::proto::{self, tail_line::Line};
use crate::wire::TailLine;

/// A message as the root takes it.
pub fn to_wire<T: DeserializeOwned>(message: impl Serialize) -> Result<T, Status> {
    convert(message).map_err(|error| Status::invalid_argument(format!("the request can't be read: {error}")))
}

/// An answer of the root as a message.
pub fn from_wire<T: DeserializeOwned>(answer: impl Serialize) -> Result<T, Status> {
    convert(answer).map_err(|error| Status::internal(format!("the answer can't be written: {error}")))
}

fn convert<T: DeserializeOwned>(from: impl Serialize) -> Result<T, serde_json::Error> {
    let mut value = serde_json::to_value(from)?;
    without_nulls(&mut value);
    serde_json::from_value(value)
}

/// What is absent in a message is absent in JSON, not null.
fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(without_nulls);
        }
        Value::Array(values) => values.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

/// A line of the live tail.
pub fn line(line: TailLine) -> Result<proto::TailLine, Status> {
    let line = match line {
        TailLine::Record(record) => Line::Record(from_wire(record)?),
        TailLine::Dropped { dropped, node, .. } => Line::Dropped(proto::Dropped { dropped, node }),
        TailLine::Partial { partial } => Line::Partial(from_wire(partial)?),
        TailLine::Watermark { watermark, node } => Line::Watermark(proto::Watermark { watermark, node }),
        TailLine::Ended { ended } => Line::Ended(ended),
    };
    Ok(proto::TailLine { line: Some(line) })
}
