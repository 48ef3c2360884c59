//! Against a receiver of all three services, and against one that never answers.

use std::{
    net::TcpListener,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

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
    metrics::v1::{ResourceMetrics, ScopeMetrics, metric::Data, number_data_point},
    resource::v1::Resource,
    trace::v1::ResourceSpans,
};
use opentelemetry_sdk::error::OTelSdkError;
use prometheus_client::metrics::counter::Counter;
use tokio::runtime::Runtime;
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};

use super::*;
use crate::{Component, TelemetryConfig, init};

#[derive(Debug, Default)]
struct Received {
    spans: Vec<ResourceSpans>,
    figures: Vec<ResourceMetrics>,
    records: Vec<ResourceLogs>,
}

#[derive(Clone, Default)]
struct Receiver(Arc<Mutex<Received>>);

impl Receiver {
    fn received(&self) -> MutexGuard<'_, Received> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers on a port of loopback, at this URL.
    fn serve(&self, runtime: &Runtime) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("set");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let server = Server::builder()
            .add_service(TraceServiceServer::new(self.clone()))
            .add_service(MetricsServiceServer::new(self.clone()))
            .add_service(LogsServiceServer::new(self.clone()));
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            server.serve_with_incoming(TcpIncoming::from(listener)).await.expect("served");
        });
        url
    }
}

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.received().spans.extend(request.into_inner().resource_spans);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Receiver {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.received().figures.extend(request.into_inner().resource_metrics);
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl LogsService for Receiver {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        self.received().records.extend(request.into_inner().resource_logs);
        Ok(Response::new(ExportLogsServiceResponse::default()))
    }
}

fn attribute<'a>(resource: Option<&'a Resource>, key: &str) -> &'a str {
    let mut attributes = resource.into_iter().flat_map(|resource| &resource.attributes);
    let found = attributes.find(|attribute| attribute.key == key);
    match found.and_then(|attribute| attribute.value.as_ref()?.value.as_ref()) {
        Some(Value::StringValue(text)) => text,
        _ => "",
    }
}

fn is_ours(resource: Option<&Resource>) -> bool {
    attribute(resource, "service.name") == "tiphys-test"
        && attribute(resource, "service.instance.id") == "node-1"
        && attribute(resource, "service.version") == VERSION
}

#[test]
fn what_is_left_is_sent_at_the_end() {
    let runtime = Runtime::new().expect("a runtime");
    let receiver = Receiver::default();
    let url = receiver.serve(&runtime);
    let _entered = runtime.enter();
    let (component, counter) = (Component::new("farewell"), Counter::<u64>::default());
    component.registry(|registry| registry.register("farewells", "Farewells", counter.clone()));
    counter.inc();
    let export = Export::start("tiphys-test", "node-1", &url).expect("started");
    let config = TelemetryConfig { filter: "info".to_owned(), ..TelemetryConfig::default() };
    let subscriber = init::subscriber(&config, Some(&export)).expect("a subscriber");
    tracing::subscriber::with_default(subscriber, || {
        tracing::info_span!("parting").in_scope(|| tracing::info!(answer = 42, "a last record"));
        tracing::info!(target: "tonic::transport", "of the sending itself");
        tracing::debug!("less than is asked for");
    });
    export.shutdown(Duration::from_secs(60));

    let received = receiver.received();
    assert!(received.spans.iter().all(|spans| is_ours(spans.resource.as_ref())));
    let mut spans =
        received.spans.iter().flat_map(|resource| &resource.scope_spans).flat_map(|scope| &scope.spans);
    let span = spans.find(|span| span.name == "parting").expect("the span");

    assert!(received.records.iter().all(|records| is_ours(records.resource.as_ref())));
    let scopes = received.records.iter().flat_map(|resource| &resource.scope_logs);
    let records: Vec<_> = scopes.flat_map(|scope| &scope.log_records).collect();
    let [record] = &records[..] else { panic!("one record was expected: {records:?}") };
    let body = record.body.as_ref().and_then(|body| body.value.as_ref());
    assert_eq!(body, Some(&Value::StringValue("a last record".to_owned())));
    assert_eq!((&record.trace_id, &record.span_id), (&span.trace_id, &span.span_id));
    assert_eq!(record.severity_text, "INFO");
    assert!(record.attributes.iter().any(|attribute| attribute.key == "answer"));

    assert!(received.figures.iter().all(|figures| is_ours(figures.resource.as_ref())));
    let mut scopes = received.figures.iter().flat_map(|resource| &resource.scope_metrics);
    let is_it = |scope: &&ScopeMetrics| scope.scope.as_ref().is_some_and(|scope| scope.name == "farewell");
    let figures = scopes.find(is_it).expect("the component");
    let Some(Data::Sum(sum)) = &figures.metrics[0].data else { panic!("{figures:?}") };
    assert_eq!(figures.metrics[0].name, "farewells");
    assert_eq!(sum.data_points[0].value, Some(number_data_point::Value::AsInt(1)));
    assert!(sum.data_points[0].start_time_unix_nano <= sum.data_points[0].time_unix_nano);
}

#[test]
fn an_endpoint_that_never_answers_is_given_up() {
    let runtime = Runtime::new().expect("a runtime");
    let _entered = runtime.enter();
    // It is connected to, and nobody accepts.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let component = Component::new("unheard");
    let counter = Counter::<u64>::default();
    component.registry(|registry| registry.register("unheard", "Nobody hears of it", counter.clone()));
    let export = Export::start("tiphys-test", "node-1", &url).expect("started");
    let limit = Duration::from_millis(50);
    let outcome = export.figures.shutdown(limit);
    assert!(matches!(outcome, Err(OTelSdkError::Timeout(asked)) if asked == limit), "{outcome:?}");
}

#[test]
fn another_url_is_refused_with_what_is_wanted() {
    let Err(error) = Export::start("tiphys-test", "node-1", "https://otel.example:4317") else {
        panic!("it was taken");
    };
    let said = error.to_string();
    assert!(said.contains("https://otel.example:4317") && said.contains("http://127.0.0.1:4317"), "{said}");
}
