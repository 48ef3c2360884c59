//! A receiver of OTLP's three services by gRPC, for tests of what is exported: it answers all, and
//! hands on what it is sent.

use std::{
    io::Write,
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
use tempfile::NamedTempFile;
use tokio::runtime::Runtime;
use tonic::{
    Request, Response, Status,
    transport::{Identity, Server, ServerTlsConfig, server::TcpIncoming},
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
        let port = self.answer(runtime, address, Server::builder())?;
        Ok(format!("http://127.0.0.1:{port}"))
    }

    /// The same with TLS on loopback; gives a file with its certificate, too.
    ///
    /// # Errors
    /// There is no port, or no file.
    pub fn serve_tls(&self, runtime: &Runtime) -> Result<(String, NamedTempFile)> {
        // Another one may be there already.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
        let mut file = NamedTempFile::new()?;
        file.write_all(made.cert.pem().as_bytes())?;
        let identity = Identity::from_pem(made.cert.pem(), made.signing_key.serialize_pem());
        let server = Server::builder().tls_config(ServerTlsConfig::new().identity(identity))?;
        let port = self.answer(runtime, Ipv4Addr::LOCALHOST, server)?;
        Ok((format!("https://127.0.0.1:{port}"), file))
    }

    fn answer(&self, runtime: &Runtime, address: Ipv4Addr, mut server: Server) -> Result<u16> {
        let listener = TcpListener::bind((address, 0))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let server = server
            .add_service(TraceServiceServer::new(self.clone()))
            .add_service(MetricsServiceServer::new(self.clone()))
            .add_service(LogsServiceServer::new(self.clone()));
        runtime.spawn(async move {
            let incoming = TcpIncoming::from(tokio::net::TcpListener::from_std(listener)?);
            server.serve_with_incoming(incoming).await?;
            anyhow::Ok(())
        });
        Ok(port)
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
