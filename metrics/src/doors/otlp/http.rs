//! `POST /otlp/v1/metrics`: the answer has the request's own form, protobuf or JSON.

use axum::{
    Extension,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceResponse,
};
use prost::Message;
use serde_json::json;
use tiphys_api::{auth::UserInfo, ways::Way};

use super::{Form, Sender, decode};
use crate::doors::{
    Door, Doors, Refusal, body,
    gate::{self, Into},
    intake::Outcome,
};

impl Form {
    pub fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let given =
            headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        match given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
            "application/x-protobuf" | "application/protobuf" => Ok(Self::Protobuf),
            "application/json" => Ok(Self::Json),
            _ => Err(Refusal::unsupported(
                "the header Content-Type must be application/x-protobuf or application/json",
            )),
        }
    }

    pub fn answer(self, status: StatusCode, protobuf: Vec<u8>, json: &serde_json::Value) -> Response {
        let (kind, body) = match self {
            Self::Protobuf => ("application/x-protobuf", protobuf),
            Self::Json => ("application/json", json.to_string().into_bytes()),
        };
        (status, [(header::CONTENT_TYPE, HeaderValue::from_static(kind))], body).into_response()
    }

    /// The answer to a request of which nothing was taken.
    pub fn refuse(self, refusal: &Refusal) -> Response {
        let status = Status { code: refusal.code(), message: refusal.message.clone() };
        let json = json!({"code": status.code, "message": status.message});
        refusal.tell_when(self.answer(refusal.status, status.encode_to_vec(), &json))
    }
}

/// `google.rpc.Status`, the body of OTLP's errors.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Status {
    #[prost(int32, tag = "1")]
    pub code: i32,
    #[prost(string, tag = "2")]
    pub message: String,
}

/// Takes an export request and answers it.
pub async fn take(
    State(doors): State<Doors>,
    user: Option<Extension<UserInfo>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let form = Form::of(&headers);
    let answered = match &form {
        Ok(form) => taken(doors.clone(), user.as_deref(), &headers, body, *form).await,
        Err(refusal) => Err(refusal.clone()),
    };
    let form = form.unwrap_or(Form::Json);
    match answered {
        Ok(outcome) => accept(form, &outcome),
        Err(refusal) => {
            doors.count_refused(Door::Otlp, &refusal);
            form.refuse(&refusal)
        }
    }
}

async fn taken(
    doors: Doors,
    user: Option<&UserInfo>,
    headers: &HeaderMap,
    body: Body,
    form: Form,
) -> Result<Outcome, Refusal> {
    let into = gate::admit(user, headers, Door::Otlp, &*doors.authorizer)?;
    let sender = Sender::new(user, &into);
    let packing = body::packing(headers);
    let (bytes, taken) = doors.room.read(into.owner(), body).await?;
    let understood = doors.understood(move |doors| {
        let _taken = taken;
        bring(doors, form, bytes, &packing, &into, &sender)
    });
    understood.await
}

fn bring(
    doors: &Doors,
    form: Form,
    bytes: Vec<u8>,
    packing: &str,
    into: &Into,
    sender: &Sender,
) -> Result<Outcome, Refusal> {
    let bytes = body::unpack(bytes, packing)?;
    let mut request = decode(form, &bytes, &doors.sums, sender)?;
    let now = jiff::Timestamp::now().as_millisecond();
    doors.bring(request.series, Way::Otlp, into, now, &mut request.outcome);
    doors.describe(request.metadata, into);
    Ok(request.outcome)
}

fn accept(form: Form, outcome: &Outcome) -> Response {
    let nothing = outcome.numbers + outcome.histograms == 0;
    if let Some(why) = outcome.why.as_ref().filter(|_| nothing) {
        // It was understood, and each of its samples was looked at: how many those are is known.
        return form.refuse(&Refusal::malformed(why.clone()));
    }
    let error_message = outcome.why.clone().unwrap_or_default();
    let rejected = i64::try_from(outcome.rejected).unwrap_or(i64::MAX);
    let mut json = json!({});
    if rejected > 0 {
        let told = json!({"rejectedDataPoints": rejected.to_string(), "errorMessage": error_message});
        json["partialSuccess"] = told;
    }
    let partial = ExportMetricsPartialSuccess { rejected_data_points: rejected, error_message };
    let response = ExportMetricsServiceResponse { partial_success: (rejected > 0).then_some(partial) };
    form.answer(StatusCode::OK, response.encode_to_vec(), &json)
}
