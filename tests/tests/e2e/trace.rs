//! An apply can be followed as one trace: API server, scheduler, kubelet. What the processes
//! measure and log goes the same way.
//!
//! A cluster of its own exports to a receiver of this test, which listens on
//! every address because nodes reach the machine by its bridge.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    time::Duration,
};

use anyhow::{Result, ensure};
use opentelemetry_proto::tonic::{
    logs::v1::ResourceLogs, metrics::v1::ResourceMetrics, trace::v1::ResourceSpans,
};
use tiphys_tests::{
    Cluster, eventually,
    otlp::{Receiver, Sink, attribute},
};

use crate::Shared;

/// The attribute of what is sent that says by whom.
const SERVICE: &str = "service.name";

#[derive(Default)]
struct Told {
    /// Span names by trace, each with the service that made it.
    traces: BTreeMap<Vec<u8>, BTreeSet<(String, String)>>,
    /// Names of metrics, each with its service and its component.
    figures: BTreeSet<(String, String, String)>,
    /// Which services sent log records, and how many.
    records: BTreeMap<String, usize>,
}

impl Sink for Told {
    fn spans(&mut self, spans: ResourceSpans) {
        let service = attribute(spans.resource.as_ref(), SERVICE);
        for span in spans.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            self.traces.entry(span.trace_id).or_default().insert((service.to_owned(), span.name));
        }
    }

    fn figures(&mut self, figures: ResourceMetrics) {
        let service = attribute(figures.resource.as_ref(), SERVICE);
        for scope in figures.scope_metrics {
            let component = scope.scope.map(|scope| scope.name).unwrap_or_default();
            let names = scope.metrics.into_iter().map(|metric| metric.name);
            self.figures.extend(names.map(|name| (service.to_owned(), component.clone(), name)));
        }
    }

    fn records(&mut self, records: ResourceLogs) {
        let service = attribute(records.resource.as_ref(), SERVICE);
        let all = records.scope_logs.iter().flat_map(|scope| &scope.log_records);
        *self.records.entry(service.to_owned()).or_default() +=
            all.filter(|record| record.body.is_some()).count();
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
    let receiver = Receiver::<Told>::default();
    let endpoint = receiver.serve(&runtime, Ipv4Addr::UNSPECIFIED)?;
    // Metrics go out each second, not each quarter of a minute.
    let variables = vec![("OTEL_METRIC_EXPORT_INTERVAL".to_owned(), "1000".to_owned())];
    let cluster = Cluster::up_with("trace", 1, &["--otlp-endpoint", &endpoint], variables)?;
    cluster.apply(POD)?;
    cluster.kubectl(&["wait", "pod/traced", "--for=condition=Ready", "--timeout=120s"])?;
    let (spans, _) = eventually(Duration::from_secs(120), || {
        let Told { traces, .. } = &*receiver.received();
        let whole = traces.values().find(|spans| {
            let services: BTreeSet<_> = spans.iter().map(|(service, _)| service.as_str()).collect();
            let scheduled = spans.iter().any(|(_, name)| name.contains("schedule"));
            scheduled && services.contains("tiphys-server") && services.contains("tiphys-agent")
        });
        ensure!(whole.is_some(), "no trace goes from the API server to the kubelet: {traces:?}");
        Ok(whole.cloned().unwrap_or_default())
    })?;
    eprintln!("one trace: {spans:?}");
    eventually(Duration::from_secs(120), || measured_and_logged(&receiver.received()))?;
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
