//! `POST /prometheus/api/v1/write`: what a sender is told.
//!
//! What can be taken is taken; if something can't, the answer is 400 with a sentence, and
//! a sender doesn't send it again.

use axum::{
    Extension,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tiphys_api::{auth::UserInfo, ways::Way};

use super::{Version, decode};
use crate::doors::{
    Door, Doors, Refusal, body,
    gate::{self, Into},
    intake::Outcome,
};

impl Version {
    /// By the header Content-Type.
    fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let given =
            headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let mut parts = given.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default();
        let proto = parts.find_map(|part| part.strip_prefix("proto="));
        match (kind, proto) {
            ("application/x-protobuf", None | Some("prometheus.WriteRequest")) => Ok(Self::One),
            ("application/x-protobuf", Some("io.prometheus.write.v2.Request")) => Ok(Self::Two),
            _ => Err(Refusal::unsupported(
                "the header Content-Type must be application/x-protobuf, with \
                 proto=prometheus.WriteRequest or proto=io.prometheus.write.v2.Request",
            )),
        }
    }
}

/// Takes a request and answers it.
pub async fn take(
    State(doors): State<Doors>,
    user: Option<Extension<UserInfo>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match taken(doors.clone(), user.as_deref(), &headers, body).await {
        Ok(outcome) => {
            let (status, text) = match &outcome.why {
                None => (StatusCode::NO_CONTENT, String::new()),
                Some(why) => {
                    let rejected = outcome.rejected;
                    (StatusCode::BAD_REQUEST, format!("{why} ({rejected} samples were not taken)\n"))
                }
            };
            with_counts((status, text).into_response(), &outcome)
        }
        Err(refusal) => {
            doors.count_refused(Door::RemoteWrite, &refusal);
            let response = (refusal.status, format!("{refusal}\n")).into_response();
            with_counts(refusal.tell_when(response), &Outcome::default())
        }
    }
}

fn with_counts(mut response: Response, outcome: &Outcome) -> Response {
    let counts = [
        ("x-prometheus-remote-write-samples-written", outcome.numbers),
        ("x-prometheus-remote-write-histograms-written", outcome.histograms),
        ("x-prometheus-remote-write-exemplars-written", outcome.exemplars),
    ];
    for (name, count) in counts {
        response.headers_mut().insert(name, HeaderValue::from(count));
    }
    response
}

async fn taken(
    doors: Doors,
    user: Option<&UserInfo>,
    headers: &HeaderMap,
    body: Body,
) -> Result<Outcome, Refusal> {
    let into = gate::admit(user, headers, Door::RemoteWrite, &*doors.authorizer)?;
    let version = Version::of(headers)?;
    let packing = body::packing(headers);
    if packing != "snappy" {
        return Err(Refusal::unsupported("the header Content-Encoding must be snappy"));
    }
    let (bytes, taken) = doors.room.read(into.owner(), body).await?;
    let understood = doors.understood(move |doors| {
        let _taken = taken;
        bring(doors, version, bytes, &into)
    });
    understood.await
}

fn bring(doors: &Doors, version: Version, bytes: Vec<u8>, into: &Into) -> Result<Outcome, Refusal> {
    let request = decode(version, &body::unpack(bytes, "snappy")?)?;
    let mut outcome = Outcome::default();
    let now = jiff::Timestamp::now().as_millisecond();
    doors.bring(request.series, Way::RemoteWrite, into, now, &mut outcome);
    doors.describe(request.metadata, into);
    Ok(outcome)
}
