//! Spans and records by HTTP, as the SDK's batches hand them over.

use opentelemetry_proto::{
    tonic::collector::{
        logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse},
        trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
    },
    transform::{
        common::tonic::ResourceAttributesWithSchema, logs::tonic::group_logs_by_resource_and_scope,
        trace::tonic::group_spans_by_resource_and_scope,
    },
};
use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    logs::{LogBatch, LogExporter},
    trace::{SpanData, SpanExporter},
};

use super::{Failure, Post};

#[derive(Debug)]
pub struct Spans {
    post: Post,
    resource: ResourceAttributesWithSchema,
}

impl Spans {
    pub fn new(post: Post) -> Self {
        Self { post, resource: ResourceAttributesWithSchema::default() }
    }
}

impl SpanExporter for Spans {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let resource_spans = group_spans_by_resource_and_scope(batch, &self.resource);
        let request = ExportTraceServiceRequest { resource_spans };
        let answer: ExportTraceServiceResponse = self.post.send(&request).await.map_err(failed)?;
        let partial = answer.partial_success.unwrap_or_default();
        whole("spans", partial.rejected_spans, &partial.error_message)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.resource = resource.into();
    }
}

#[derive(Debug)]
pub struct Records {
    post: Post,
    resource: ResourceAttributesWithSchema,
}

impl Records {
    pub fn new(post: Post) -> Self {
        Self { post, resource: ResourceAttributesWithSchema::default() }
    }
}

impl LogExporter for Records {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        let resource_logs = group_logs_by_resource_and_scope(&batch, &self.resource);
        let request = ExportLogsServiceRequest { resource_logs };
        let answer: ExportLogsServiceResponse = self.post.send(&request).await.map_err(failed)?;
        let partial = answer.partial_success.unwrap_or_default();
        whole("records", partial.rejected_log_records, &partial.error_message)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.resource = resource.into();
    }
}

fn failed(failure: Failure) -> OTelSdkError {
    OTelSdkError::InternalFailure(failure.to_string())
}

/// # Errors
/// Some were refused. They are not sent again.
fn whole(what: &str, refused: i64, why: &str) -> OTelSdkResult {
    match refused > 0 {
        true => Err(OTelSdkError::InternalFailure(format!("{refused} {what} were refused: {why}"))),
        false => Ok(()),
    }
}
