//! `POST /v1/logs`: the answer has the request's own form, protobuf or JSON.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsPartialSuccess, ExportLogsServiceResponse};
use prost::Message;
use serde_json::json;

use super::{grpc, json, proto};
use crate::doors::{Door, Doors, Kind, Outcome, Refusal, body::Packing, listen::with_retry_after};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Protobuf,
    Json,
}

impl Form {
    fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let given =
            headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        match given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
            "application/x-protobuf" | "application/protobuf" => Ok(Form::Protobuf),
            "application/json" => Ok(Form::Json),
            _ => Err(Refusal::new(
                Kind::Unsupported,
                "the header Content-Type must be application/x-protobuf or application/json",
            )),
        }
    }

    fn answer(self, status: StatusCode, protobuf: Vec<u8>, json: serde_json::Value) -> Response {
        let (kind, body) = match self {
            Form::Protobuf => ("application/x-protobuf", protobuf),
            Form::Json => ("application/json", json.to_string().into_bytes()),
        };
        (status, [(header::CONTENT_TYPE, HeaderValue::from_static(kind))], body).into_response()
    }
}

/// Takes an export request and answers it.
pub async fn export(doors: Doors, headers: HeaderMap, body: Body) -> Response {
    let form = Form::of(&headers);
    let taken = match form {
        Ok(form) => take(&doors, &headers, body, form).await,
        Err(refusal) => Err(refusal),
    };
    let form = Form::of(&headers).unwrap_or(Form::Json);
    match taken {
        Ok(outcome) => match outcome.refusal() {
            Some(refusal) => refuse(form, refusal),
            None => accept(form, &outcome),
        },
        Err(refusal) => {
            doors.refused(Door::Otlp, refusal.kind);
            refuse(form, &refusal)
        }
    }
}

async fn take(doors: &Doors, headers: &HeaderMap, body: Body, form: Form) -> Result<Outcome, Refusal> {
    let visitor = doors.enter(Door::Otlp, headers).await?;
    let packing = Packing::of(headers)?;
    let (bytes, hold) = doors.read(headers, body).await?;
    let decode = if form == Form::Json { json::decode } else { proto::decode };
    let (draft, hold) = doors.decode(bytes, packing, hold, decode).await?;
    doors.deliver(&visitor, draft, hold).await
}

fn accept(form: Form, outcome: &Outcome) -> Response {
    let (count, message) = rejected(outcome);
    let mut json = json!({});
    if count > 0 {
        json["partialSuccess"] = json!({"rejectedLogRecords": count.to_string(), "errorMessage": message});
    }
    form.answer(StatusCode::OK, response(outcome).encode_to_vec(), json)
}

/// What is said of records that were not taken while others were.
fn rejected(outcome: &Outcome) -> (u64, String) {
    (outcome.rejected_records(), outcome.first().map(ToString::to_string).unwrap_or_default())
}

/// The answer to a request of which something was taken.
pub fn response(outcome: &Outcome) -> ExportLogsServiceResponse {
    let (count, error_message) = rejected(outcome);
    let partial = ExportLogsPartialSuccess {
        rejected_log_records: i64::try_from(count).unwrap_or(i64::MAX),
        error_message,
    };
    ExportLogsServiceResponse { partial_success: (count > 0).then_some(partial) }
}

fn refuse(form: Form, refusal: &Refusal) -> Response {
    let code = refusal.kind.code() as i32;
    let json = json!({"code": code, "message": refusal.message});
    let response = form.answer(refusal.kind.status(), grpc::status(refusal), json);
    with_retry_after(response, refusal.kind)
}
