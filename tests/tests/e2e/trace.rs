//! An apply can be followed as one trace: API server, scheduler, kubelet. What the processes
//! measure and log goes the same way.
//!
//! A cluster of its own exports to a receiver of this test, which listens on
//! every address because nodes reach the machine by its bridge.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Result, ensure};
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
    resource::v1::Resource,
};
use tiphys_tests::{Cluster, eventually};
use tonic::{Request, Response, Status};

use crate::Shared;

#[derive(Default)]
struct Told {
    /// Span names by trace, each with the service that made it.
    traces: BTreeMap<Vec<u8>, BTreeSet<(String, String)>>,
    /// Names of metrics, each with its service and its component.
    figures: BTreeSet<(String, String, String)>,
    /// Which services sent log records, and how many.
    records: BTreeMap<String, usize>,
}

#[derive(Clone, Default)]
struct Receiver(Arc<Mutex<Told>>);

impl Receiver {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers on a free port of every address; gives the URL on loopback.
    fn serve(&self, runtime: &tokio::runtime::Runtime) -> Result<String> {
        let listener = std::net::TcpListener::bind("0.0.0.0:0")?;
        listener.set_nonblocking(true)?;
        let endpoint = format!("http://127.0.0.1:{}", listener.local_addr()?.port());
        let server = tonic::transport::Server::builder()
            .add_service(TraceServiceServer::new(self.clone()))
            .add_service(MetricsServiceServer::new(self.clone()))
            .add_service(LogsServiceServer::new(self.clone()));
        runtime.spawn(async move {
            let incoming =
                tonic::transport::server::TcpIncoming::from(tokio::net::TcpListener::from_std(listener)?);
            server.serve_with_incoming(incoming).await?;
            anyhow::Ok(())
        });
        Ok(endpoint)
    }
}

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut told = self.told();
        for spans in request.into_inner().resource_spans {
            let service = service(spans.resource.as_ref());
            for span in spans.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                told.traces.entry(span.trace_id).or_default().insert((service.clone(), span.name));
            }
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Receiver {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let mut told = self.told();
        for metrics in request.into_inner().resource_metrics {
            let service = service(metrics.resource.as_ref());
            for scope in metrics.scope_metrics {
                let component = scope.scope.map(|scope| scope.name).unwrap_or_default();
                let names = scope.metrics.into_iter().map(|metric| metric.name);
                told.figures.extend(names.map(|name| (service.clone(), component.clone(), name)));
            }
        }
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl LogsService for Receiver {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        let mut told = self.told();
        for logs in request.into_inner().resource_logs {
            let service = service(logs.resource.as_ref());
            let records = logs.scope_logs.iter().flat_map(|scope| &scope.log_records);
            *told.records.entry(service).or_default() +=
                records.filter(|record| record.body.is_some()).count();
        }
        Ok(Response::new(ExportLogsServiceResponse::default()))
    }
}

fn service(resource: Option<&Resource>) -> String {
    let attributes = resource.into_iter().flat_map(|resource| &resource.attributes);
    let mut names = attributes.filter(|attribute| attribute.key == "service.name");
    match names.next().and_then(|attribute| attribute.value.as_ref()?.value.as_ref()) {
        Some(Value::StringValue(name)) => name.clone(),
        _ => String::new(),
    }
}

const POD: &str = "
apiVersion: v1
kind: Pod
metadata: {name: traced}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: main, image: 'tiphys.io/tiphys:current', command: [/tiphys, demo]}]
";

pub fn apply(_: &Shared) -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let receiver = Receiver::default();
    let endpoint = receiver.serve(&runtime)?;
    // Metrics go out each second, not each quarter of a minute.
    let variables = vec![("OTEL_METRIC_EXPORT_INTERVAL".to_owned(), "1000".to_owned())];
    let cluster = Cluster::up_with("trace", 1, &["--otlp-endpoint", &endpoint], variables)?;
    cluster.apply(POD)?;
    cluster.kubectl(&["wait", "pod/traced", "--for=condition=Ready", "--timeout=60s"])?;
    let (spans, _) = eventually(Duration::from_secs(30), || {
        let Told { traces, .. } = &*receiver.told();
        let whole = traces.values().find(|spans| {
            let services: BTreeSet<_> = spans.iter().map(|(service, _)| service.as_str()).collect();
            let scheduled = spans.iter().any(|(_, name)| name.contains("schedule"));
            scheduled && services.contains("tiphys-server") && services.contains("tiphys-agent")
        });
        ensure!(whole.is_some(), "no trace goes from the API server to the kubelet: {traces:?}");
        Ok(whole.cloned().unwrap_or_default())
    })?;
    eprintln!("one trace: {spans:?}");
    eventually(Duration::from_secs(30), || measured_and_logged(&receiver.told()))?;
    Ok(())
}

/// Server and agent sent the figures of their components, and log records.
fn measured_and_logged(told: &Told) -> Result<()> {
    let Told { figures, records, .. } = told;
    for (service, component, begin) in [
        ("tiphys-server", "apiserver", "apiserver_request"),
        ("tiphys-server", "scheduler", "scheduler_"),
        ("tiphys-server", "metrics", "tiphys_metrics_"),
        ("tiphys-agent", "kubelet", "tiphys_kubelet_"),
        ("tiphys-agent", "proxy", "proxy_"),
    ] {
        let is_it = |(by, of, name): &(String, String, String)| {
            by == service && of == component && name.starts_with(begin)
        };
        ensure!(figures.iter().any(is_it), "no {begin}* of {component} in {service}: {figures:?}");
    }
    for service in ["tiphys-server", "tiphys-agent"] {
        ensure!(records.get(service).is_some_and(|count| *count > 0), "no record of {service}: {records:?}");
    }
    Ok(())
}
