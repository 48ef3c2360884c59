//! OpenTelemetry's metrics: `ExportMetricsServiceRequest` as protobuf or JSON, over HTTP and gRPC.
//!
//! ```text
//! proto  json   bytes -> resource, scope, one metric at a time
//! translate     metric -> series by Prometheus' names (names, attributes), native histograms (native)
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
mod proto;
mod sums;
mod translate;

pub use http::Status;
pub use sums::Sums;

use opentelemetry_proto::tonic::{
    common::v1::InstrumentationScope, metrics::v1::Metric, resource::v1::Resource,
};

use super::{
    Refusal,
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
/// It is no such message.
pub fn decode(form: Form, bytes: &[u8], sums: &Sums, namespace: &str) -> Result<Request, Refusal> {
    let mut request = Request::default();
    let mut each = |resource: &Resource, scoped: Vec<(InstrumentationScope, Metric)>| {
        let mut translator = translate::Translator::new(resource, sums, namespace, &mut request);
        for (scope, metric) in scoped {
            translator.metric(&scope, metric);
        }
        translator.finish();
    };
    match form {
        Form::Protobuf => proto::walk(bytes, &mut each)?,
        Form::Json => json::walk(bytes, &mut each)?,
    }
    Ok(request)
}

/// Takes a resource with its metrics.
type Each<'a> = &'a mut dyn FnMut(&Resource, Vec<(InstrumentationScope, Metric)>);
