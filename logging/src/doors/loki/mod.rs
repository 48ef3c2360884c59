//! Loki's push API: `POST /loki/api/v1/push`, protobuf packed by snappy, or JSON.
//!
//! ```text
//! proto  json   bytes -> streams: labels, one entry at a time -> group: names, labels, lines
//! ```
//!
//! Taken: 204. Refused: a line of text, as Loki's senders log it. Of a request of
//! which a part may not be written, the rest is taken, and the text says so: a
//! sender drops what was answered by 4xx, so nothing comes twice.
//! <https://grafana.com/docs/loki/latest/reference/loki-http-api/#ingest-logs>

mod json;
mod labels;
mod proto;
mod stream;

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, header};

use super::{Door, Doors, Outcome, Refusal, body::Packing, listen::with_retry_after};

/// Takes a push and answers it.
pub async fn push(doors: Doors, headers: HeaderMap, body: Body) -> Response {
    match take(&doors, &headers, body).await {
        Ok(outcome) => match outcome.first() {
            None => StatusCode::NO_CONTENT.into_response(),
            Some(why) if outcome.taken == 0 => refuse(why),
            Some(why) => {
                let (taken, rejected) = (outcome.taken, outcome.rejected_records());
                let message = format!("{rejected} records were refused, {taken} were taken: {why}");
                refuse(&Refusal::new(why.kind, message))
            }
        },
        Err(refusal) => {
            doors.refused(Door::Loki, refusal.kind);
            refuse(&refusal)
        }
    }
}

async fn take(doors: &Doors, headers: &HeaderMap, body: Body) -> Result<Outcome, Refusal> {
    let visitor = doors.enter(Door::Loki, headers).await?;
    let packing = Packing::of(headers)?;
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_json =
        kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"));
    // Protobuf is packed always, and no header says so.
    let packing = if is_json { packing } else { Packing::Snappy };
    let (bytes, hold) = doors.read(headers, body).await?;
    let decode = if is_json { json::decode } else { proto::decode };
    let (draft, hold) = doors.decode(bytes, packing, hold, decode).await?;
    doors.deliver(&visitor, draft, hold).await
}

fn refuse(refusal: &Refusal) -> Response {
    with_retry_after((refusal.kind.status(), format!("{refusal}\n")).into_response(), refusal.kind)
}

#[cfg(test)]
pub use {json::decode as decode_json, proto::decode as decode_proto};

#[cfg(test)]
mod tests;
