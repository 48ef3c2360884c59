//! An apply can be followed as one trace: API server, scheduler, kubelet.
//!
//! A cluster of its own exports to a receiver of this test, which listens on
//! every address because nodes reach the machine by its bridge.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Result, ensure};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::any_value::Value,
    resource::v1::Resource,
};
use tiphys_tests::{Cluster, eventually};

use crate::Shared;

/// Span names by trace, each with the service that made it.
type Traces = Arc<Mutex<BTreeMap<Vec<u8>, BTreeSet<(String, String)>>>>;

struct Receiver(Traces);

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        let mut traces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for spans in request.into_inner().resource_spans {
            let service = service(spans.resource.as_ref());
            for span in spans.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                traces.entry(span.trace_id).or_default().insert((service.clone(), span.name));
            }
        }
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
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
    let traces = Traces::default();
    let listener = std::net::TcpListener::bind("0.0.0.0:0")?;
    listener.set_nonblocking(true)?;
    let endpoint = format!("http://127.0.0.1:{}", listener.local_addr()?.port());
    let receiver = TraceServiceServer::new(Receiver(traces.clone()));
    runtime.spawn(async move {
        let incoming =
            tonic::transport::server::TcpIncoming::from(tokio::net::TcpListener::from_std(listener)?);
        tonic::transport::Server::builder().add_service(receiver).serve_with_incoming(incoming).await?;
        anyhow::Ok(())
    });
    let cluster = Cluster::up("trace", 1, &["--otlp-endpoint", &endpoint])?;
    cluster.apply(POD)?;
    cluster.kubectl(&["wait", "pod/traced", "--for=condition=Ready", "--timeout=60s"])?;
    let (spans, _) = eventually(Duration::from_secs(30), || {
        let traces = traces.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = traces.values().find(|spans| {
            let services: BTreeSet<_> = spans.iter().map(|(service, _)| service.as_str()).collect();
            let scheduled = spans.iter().any(|(_, name)| name.contains("schedule"));
            scheduled && services.contains("tiphys-server") && services.contains("tiphys-agent")
        });
        ensure!(whole.is_some(), "no trace goes from the API server to the kubelet: {traces:?}");
        Ok(whole.cloned().unwrap_or_default())
    })?;
    eprintln!("one trace: {spans:?}");
    Ok(())
}
