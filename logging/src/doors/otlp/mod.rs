//! OpenTelemetry's logs: `ExportLogsServiceRequest` as protobuf or JSON, over HTTP and gRPC.
//!
//! ```text
//! proto  json   bytes -> resources, one record at a time -> record: a resource's labels, a record's line
//! http   grpc   what a sender is told
//! ```
//!
//! A message is walked, not decoded as a whole: two bytes of protobuf are a
//! record of hundreds in memory, so a small request could take all of it.
//! <https://opentelemetry.io/docs/specs/otlp/>

mod grpc;
mod http;
mod json;
mod proto;
mod record;

use super::draft::MAX_VALUES;

pub use grpc::export as grpc;
pub use http::export as http;
#[cfg(test)]
pub use {json::decode as decode_json, proto::decode as decode_proto};

/// Bytes of one record.
const MAX_RECORD: usize = 1 << 20;

fn too_large(what: &str) -> String {
    format!("{what} is larger than {} KiB or has more than {MAX_VALUES} values", MAX_RECORD >> 10)
}

#[cfg(test)]
mod tests;
