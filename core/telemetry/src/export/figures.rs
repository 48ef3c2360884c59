//! The figures of all components, sent at intervals and at the end.
//!
//! The SDK's meters would need every metric a second time; the registries that `/metrics`
//! prints are read instead. A request carries one component's, under its name as scope.

use std::{
    io,
    sync::mpsc::{self, RecvTimeoutError, SyncSender},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use opentelemetry::Context;
use opentelemetry_proto::tonic::{
    collector::metrics::v1::{
        ExportMetricsServiceRequest, ExportMetricsServiceResponse,
        metrics_service_client::MetricsServiceClient,
    },
    common::v1::InstrumentationScope,
    metrics::v1::{ResourceMetrics, ScopeMetrics},
    resource::v1::Resource,
};
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use tokio::runtime::Handle;
use tonic::{service::interceptor::InterceptedService, transport::Channel};

use super::{
    VERSION,
    endpoint::Headers,
    http::Post,
    openmetrics::{self, Times},
    way::Way,
};
use crate::component::{self, Component};

/// As often as Tiphys scrapes; OpenTelemetry's own variable may say otherwise, in milliseconds.
const EVERY: Duration = Duration::from_secs(15);
const EVERY_VARIABLE: &str = "OTEL_METRIC_EXPORT_INTERVAL";

/// How a sending went: if not well, why.
type Outcome = Result<(), String>;
/// Answers by a channel how the last sending went.
type Ending = SyncSender<Outcome>;

/// The thread that sends. It is one as the SDK has them, and no task: what is last is sent
/// when all tasks have ended, while main waits.
pub struct Figures {
    ending: mpsc::Sender<Ending>,
}

impl Figures {
    /// Starts it on the current runtime.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn start(way: Way, headers: Headers, resource: &opentelemetry_sdk::Resource) -> io::Result<Self> {
        let client = match way {
            Way::Grpc(channel) => {
                Client::Grpc(Box::new(MetricsServiceClient::with_interceptor(channel, headers)))
            }
            Way::Http(post) => Client::Http(post),
        };
        let mut sending = Sending { client, resource: resource.into(), is_failing: false };
        let (ending, asked) = mpsc::channel::<Ending>();
        let (runtime, every) = (Handle::current(), every());
        let run = move || {
            let _untold = Context::enter_telemetry_suppressed_scope();
            loop {
                let last = match asked.recv_timeout(every) {
                    Ok(last) => Some(last),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => return,
                };
                let outcome = runtime.block_on(sending.send());
                let Some(last) = last else {
                    sending.tell(&outcome);
                    continue;
                };
                // Who asked may have given up.
                let _ = last.send(outcome);
                return;
            }
        };
        thread::Builder::new().name("own figures".to_owned()).spawn(run).map(drop)?;
        Ok(Self { ending })
    }

    /// Sends once more and ends.
    ///
    /// # Errors
    /// It was not sent, or not within `limit`.
    pub fn shutdown(self, limit: Duration) -> OTelSdkResult {
        let (last, outcome) = mpsc::sync_channel(1);
        self.ending.send(last).map_err(|_| OTelSdkError::AlreadyShutdown)?;
        let outcome = outcome.recv_timeout(limit).map_err(|_| OTelSdkError::Timeout(limit))?;
        outcome.map_err(OTelSdkError::InternalFailure)
    }
}

fn every() -> Duration {
    let asked = std::env::var(EVERY_VARIABLE).ok().and_then(|text| text.trim().parse().ok());
    asked.filter(|millis| *millis > 0).map_or(EVERY, Duration::from_millis)
}

enum Client {
    Grpc(Box<MetricsServiceClient<InterceptedService<Channel, Headers>>>),
    Http(Post),
}

impl Client {
    /// # Errors
    /// A sentence: it was not taken.
    async fn export(
        &mut self,
        request: ExportMetricsServiceRequest,
    ) -> Result<ExportMetricsServiceResponse, String> {
        match self {
            Self::Grpc(client) => {
                let answer = client.export(request).await;
                answer.map(tonic::Response::into_inner).map_err(|status| status.to_string())
            }
            Self::Http(post) => post.send(&request).await.map_err(|failure| failure.to_string()),
        }
    }
}

struct Sending {
    client: Client,
    resource: Resource,
    is_failing: bool,
}

impl Sending {
    /// Sends the figures of every component that has some.
    ///
    /// # Errors
    /// The endpoint is away or takes none; or it refused some, then all were sent.
    async fn send(&mut self) -> Outcome {
        let mut outcome = Ok(());
        for component in component::living() {
            let Some(request) = self.request(&component) else { continue };
            let answer = self.client.export(request).await?;
            if let Some(partial) = answer.partial_success.filter(|partial| partial.rejected_data_points > 0) {
                let (refused, why) = (partial.rejected_data_points, partial.error_message);
                outcome = Err(format!("{refused} figures were refused: {why}"));
            }
        }
        outcome
    }

    fn request(&self, component: &Component) -> Option<ExportMetricsServiceRequest> {
        let times = Times { since: nanos(component.since()), now: nanos(SystemTime::now()) };
        let metrics = openmetrics::metrics(&component.render(), times);
        let scope = InstrumentationScope {
            name: component.name().to_owned(),
            version: VERSION.to_owned(),
            ..InstrumentationScope::default()
        };
        let of_component = ScopeMetrics { scope: Some(scope), metrics, ..ScopeMetrics::default() };
        (!of_component.metrics.is_empty()).then(|| ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics {
                resource: Some(self.resource.clone()),
                scope_metrics: vec![of_component],
                ..ResourceMetrics::default()
            }],
        })
    }

    /// Says it when it begins to fail, and when it works again: not each time.
    fn tell(&mut self, outcome: &Outcome) {
        match outcome {
            Err(error) if !self.is_failing => {
                tracing::warn!(%error, "own figures can't be exported, it is tried again");
            }
            Ok(()) if self.is_failing => tracing::info!("own figures are exported again"),
            _ => {}
        }
        self.is_failing = outcome.is_err();
    }
}

/// Nanoseconds since 1970.
fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
