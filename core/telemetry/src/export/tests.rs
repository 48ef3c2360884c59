//! Against the receiver of all three services, with TLS and without, and against one that never answers.

use std::{
    net::{Ipv4Addr, TcpListener},
    path::Path,
};

use opentelemetry_proto::tonic::{
    common::v1::any_value::Value,
    logs::v1::ResourceLogs,
    metrics::v1::{ResourceMetrics, ScopeMetrics, metric::Data, number_data_point},
    resource::v1::Resource,
    trace::v1::ResourceSpans,
};
use opentelemetry_sdk::error::OTelSdkError;
use prometheus_client::metrics::counter::Counter;
use tiphys_tests::otlp::{Receiver, Sink, attribute};
use tokio::runtime::Runtime;

use super::*;
use crate::{Component, TelemetryConfig, init};

#[derive(Debug, Default)]
struct Received {
    spans: Vec<ResourceSpans>,
    figures: Vec<ResourceMetrics>,
    records: Vec<ResourceLogs>,
}

impl Sink for Received {
    fn spans(&mut self, spans: ResourceSpans) {
        self.spans.push(spans);
    }

    fn figures(&mut self, figures: ResourceMetrics) {
        self.figures.push(figures);
    }

    fn records(&mut self, records: ResourceLogs) {
        self.records.push(records);
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
    let receiver = Receiver::<Received>::default();
    let url = receiver.serve(&runtime, Ipv4Addr::LOCALHOST).expect("a port");
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
    export.shutdown(Duration::from_secs(120));

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
fn over_tls_it_is_sent_to_whom_the_certificate_names() {
    let runtime = Runtime::new().expect("a runtime");
    let (receiver, other) = (Receiver::<Received>::default(), Receiver::<Received>::default());
    let (url, certificate) = receiver.serve_tls(&runtime).expect("a port");
    let (_, of_other) = other.serve_tls(&runtime).expect("a port");
    let _entered = runtime.enter();
    let (component, counter) = (Component::new("sealed"), Counter::<u64>::default());
    component.registry(|registry| registry.register("sealed", "Sent over TLS", counter.clone()));
    let limit = Duration::from_secs(120);
    let send = |trusted: &Path| {
        let variables =
            |name: &str| (name == tls::CERTIFICATE).then(|| trusted.to_string_lossy().into_owned());
        let export = Export::start_with("tiphys-test", "node-1", &url, &variables).expect("started");
        export.figures.shutdown(limit)
    };
    let refused = send(of_other.path());
    assert!(matches!(refused, Err(OTelSdkError::InternalFailure(_))), "{refused:?}");
    assert!(receiver.received().figures.is_empty(), "nothing is told to a stranger");
    assert!(send(certificate.path()).is_ok());
    let received = receiver.received();
    let scopes = received.figures.iter().flat_map(|resource| &resource.scope_metrics);
    let names: Vec<_> = scopes.flat_map(|scope| &scope.scope).map(|scope| scope.name.as_str()).collect();
    assert!(names.contains(&"sealed"), "{names:?}");
}

#[test]
fn another_url_is_refused_with_what_is_wanted() {
    let Err(error) = Export::start("tiphys-test", "node-1", "otel.example:4317") else {
        panic!("it was taken");
    };
    let said = error.to_string();
    let wanted = ["\"otel.example:4317\"", "http://127.0.0.1:4317", "https://otel.example:4317"];
    assert!(wanted.iter().all(|words| said.contains(words)), "{said}");
}
