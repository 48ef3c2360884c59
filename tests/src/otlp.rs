//! A receiver of OTLP's three services by gRPC, for tests of what is exported: it answers all, and
//! hands on what it is sent.

use std::{
    net::{Ipv4Addr, TcpListener},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::Result;
use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::{
            ExportLogsServiceRequest, ExportLogsServiceResponse,
            logs_service_server::{LogsService, LogsServiceServer},
        },
        metrics::v1::{
            ExportMetricsServiceRequest, ExportMetricsServiceResponse,
            metrics_service_server::{MetricsService, MetricsServiceServer},
        },
        trace::v1::{
            ExportTraceServiceRequest, ExportTraceServiceResponse,
            trace_service_server::{TraceService, TraceServiceServer},
        },
    },
    common::v1::any_value::Value,
    logs::v1::ResourceLogs,
    metrics::v1::ResourceMetrics,
    resource::v1::Resource,
    trace::v1::ResourceSpans,
};
use tokio::runtime::Runtime;
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};

/// Keeps what a test wants to know of what was sent.
pub trait Sink: Default + Send + 'static {
    fn spans(&mut self, spans: ResourceSpans);
    fn figures(&mut self, figures: ResourceMetrics);
    fn records(&mut self, records: ResourceLogs);
}

/// Clones share what was received.
#[derive(Default)]
pub struct Receiver<S>(Arc<Mutex<S>>);

impl<S> Clone for Receiver<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: Sink> Receiver<S> {
    /// What was received so far; nothing more is taken as long as it is held.
    pub fn received(&self) -> MutexGuard<'_, S> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers on a free port of this address; gives the URL on loopback.
    ///
    /// # Errors
    /// There is no port.
    pub fn serve(&self, runtime: &Runtime, address: Ipv4Addr) -> Result<String> {
        let listener = TcpListener::bind((address, 0))?;
        listener.set_nonblocking(true)?;
        let url = format!("http://127.0.0.1:{}", listener.local_addr()?.port());
        let server = Server::builder()
            .add_service(TraceServiceServer::new(self.clone()))
            .add_service(MetricsServiceServer::new(self.clone()))
            .add_service(LogsServiceServer::new(self.clone()));
        runtime.spawn(async move {
            let incoming = TcpIncoming::from(tokio::net::TcpListener::from_std(listener)?);
            server.serve_with_incoming(incoming).await?;
            anyhow::Ok(())
        });
        Ok(url)
    }
}

#[tonic::async_trait]
impl<S: Sink> TraceService for Receiver<S> {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut sink = self.received();
        request.into_inner().resource_spans.into_iter().for_each(|spans| sink.spans(spans));
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl<S: Sink> MetricsService for Receiver<S> {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let mut sink = self.received();
        request.into_inner().resource_metrics.into_iter().for_each(|figures| sink.figures(figures));
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl<S: Sink> LogsService for Receiver<S> {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        let mut sink = self.received();
        request.into_inner().resource_logs.into_iter().for_each(|records| sink.records(records));
        Ok(Response::new(ExportLogsServiceResponse::default()))
    }
}

/// A text among a resource's attributes; empty where there is none.
pub fn attribute<'a>(resource: Option<&'a Resource>, key: &str) -> &'a str {
    let mut attributes = resource.into_iter().flat_map(|resource| &resource.attributes);
    let found = attributes.find(|attribute| attribute.key == key);
    match found.and_then(|attribute| attribute.value.as_ref()?.value.as_ref()) {
        Some(Value::StringValue(text)) => text,
        _ => "",
    }
}
