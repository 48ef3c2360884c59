//! OpenTelemetry's metrics: `ExportMetricsServiceRequest` as protobuf or JSON, over HTTP and gRPC.
//!
//! ```text
//! proto  json   bytes -> resource, scope, one metric at a time
//! translate     metric -> series by Prometheus' names (names, attributes), native histograms (native)
//! origin        resource, else token -> the Pod that they are of
//! sums          deltas -> cumulative values
//! http   grpc   what a sender is told
//! ```
//!
//! Sources: <https://opentelemetry.io/docs/specs/otlp/> and
//! <https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/>.

pub mod attributes;
pub mod http;
pub mod json;
mod names;
mod native;
mod origin;
mod proto;
mod sums;
mod translate;

pub use http::Status;
pub use origin::Sender;
pub use sums::Sums;

use super::{
    Refusal,
    amount::Amount,
    intake::{Outcome, Sent},
};
use crate::series::Meta;

/// Bytes of one metric, and data points of it.
const MAX_METRIC: usize = 4 << 20;
const MOST_POINTS: usize = 50_000;

/// What a request says, in Prometheus' words.
#[derive(Debug, Default)]
pub struct Request {
    pub series: Vec<Sent>,
    pub metadata: Vec<(String, Meta)>,
    /// What can't be told in series.
    pub outcome: Outcome,
    amount: Amount,
    /// It is too much.
    refused: Option<Refusal>,
}

impl Request {
    fn put(&mut self, sent: Sent) {
        if self.refused.is_some() {
            return;
        }
        match self.count(&sent) {
            Ok(()) => self.series.push(sent),
            Err(refusal) => self.refused = Some(refusal),
        }
    }

    fn count(&mut self, sent: &Sent) -> Result<(), Refusal> {
        self.amount.labels(sent.labels.as_bytes().len())?;
        self.amount.samples(sent.exemplars.len())?;
        sent.samples.iter().try_for_each(|(_, value)| self.amount.sample(value))
    }

    /// # Errors
    /// It is too much so far.
    fn check(&mut self) -> Result<(), Refusal> {
        self.refused.take().map_or(Ok(()), Err)
    }
}

/// Which form a request has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Protobuf,
    Json,
}

/// Understands a request.
///
/// # Errors
/// It is no such message, or too large.
pub fn decode(form: Form, bytes: &[u8], sums: &Sums, sender: &Sender) -> Result<Request, Refusal> {
    let mut request = Request::default();
    match form {
        Form::Protobuf => proto::walk(bytes, sums, sender, &mut request)?,
        Form::Json => json::walk(bytes, sums, sender, &mut request)?,
    }
    Ok(request)
}
