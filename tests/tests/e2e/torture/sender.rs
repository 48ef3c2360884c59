//! Who sends records by OTLP while parts are killed, and sends again what was not acknowledged:
//! each record that was acknowledged is found. One that was not may be there too, or twice.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, anyhow, ensure};
use opentelemetry_proto::tonic::{
    collector::logs::v1::{ExportLogsServiceRequest, logs_service_client::LogsServiceClient},
    common::v1::{AnyValue, any_value::Value},
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
};
use tiphys_tests::{
    Cluster,
    doors::{Right, SENDER, account},
    eventually,
};
use tonic::{
    Request,
    transport::{Channel, Endpoint},
};

use super::number;

/// The namespace that it sends into.
const NAMESPACE: &str = "sender";
/// An answer that takes longer is none.
const LIMIT: Duration = Duration::from_secs(30);
/// Before the next try.
const PAUSE: Duration = Duration::from_millis(100);
/// After a record that was taken: what is sent in all has a bound, however fast the machine is.
const BREATH: Duration = Duration::from_millis(5);

/// What became of the records.
#[derive(Debug, Default)]
struct Sent {
    /// All numbers up to this.
    acknowledged: usize,
    tries: usize,
    /// Why the last try that failed did.
    refused: String,
}

/// A sender at the door of the only collector.
pub struct Sender {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Sent>>,
}

impl Sender {
    pub fn start(cluster: &Cluster) -> Result<Self> {
        let right = Right { group: "logs.tiphys.io", resources: &["otlp"] };
        cluster.apply(&account(NAMESPACE, right))?;
        let token = cluster.kubectl(&["create", "token", SENDER, "-n", NAMESPACE])?;
        let address = || -> Result<String> {
            let pods = cluster.get(&["pods", "-n", "tiphys-system", "-l", "app=tiphys-collector"])?;
            let address = pods["items"][0]["status"]["podIP"].as_str().context("the collector's address")?;
            Ok(address.to_owned())
        };
        let (address, _) = eventually(Duration::from_secs(120), address)?;
        let door = Endpoint::from_shared(format!("http://{address}:4317"))?;
        let door = door.connect_timeout(LIMIT).timeout(LIMIT);
        let authorization = format!("Bearer {}", token.trim());
        let stop = Arc::new(AtomicBool::new(false));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || runtime.block_on(send(door, &authorization, &stopped)));
        Ok(Self { stop, thread })
    }

    /// Sends no more; gives how to look for what was acknowledged.
    pub fn stop(self) -> Result<Acknowledged> {
        self.stop.store(true, Ordering::Relaxed);
        let sent = self.thread.join().map_err(|_| anyhow!("the sender panicked"))??;
        ensure!(sent.acknowledged > 0, "nothing was acknowledged: {}", sent.refused);
        Ok(Acknowledged(sent))
    }
}

/// Until it is stopped, one record after the other.
async fn send(door: Endpoint, authorization: &str, stopped: &AtomicBool) -> Result<Sent> {
    let mut sent = Sent::default();
    let mut client = None;
    while !stopped.load(Ordering::Relaxed) {
        sent.tries += 1;
        match one(&door, &mut client, authorization, sent.acknowledged + 1).await {
            Ok(()) => {
                sent.acknowledged += 1;
                tokio::time::sleep(BREATH).await;
            }
            Err(error) => {
                sent.refused = format!("{error:#}");
                client = None;
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    Ok(sent)
}

/// Succeeds when the record is acknowledged.
async fn one(
    door: &Endpoint,
    client: &mut Option<LogsServiceClient<Channel>>,
    authorization: &str,
    number: usize,
) -> Result<()> {
    if client.is_none() {
        *client = Some(LogsServiceClient::new(door.connect().await?));
    }
    let client = client.as_mut().context("it is connected")?;
    let body = AnyValue { value: Some(Value::StringValue(format!("{number} of a sender"))) };
    let time = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
    let record = LogRecord { time_unix_nano: u64::try_from(time)?, body: Some(body), ..LogRecord::default() };
    let scope = ScopeLogs { log_records: vec![record], ..ScopeLogs::default() };
    let resource = ResourceLogs { scope_logs: vec![scope], ..ResourceLogs::default() };
    let mut request = Request::new(ExportLogsServiceRequest { resource_logs: vec![resource] });
    request.metadata_mut().insert("authorization", authorization.parse()?);
    let answer = client.export(request).await?.into_inner();
    let rejected = answer.partial_success.filter(|partial| partial.rejected_log_records > 0);
    ensure!(rejected.is_none(), "{rejected:?}");
    Ok(())
}

/// Records that must be found.
pub struct Acknowledged(Sent);

impl Acknowledged {
    /// How many there are, and how often one was sent.
    pub fn told(&self) -> String {
        format!("{} records acknowledged in {} tries", self.0.acknowledged, self.0.tries)
    }

    /// # Errors
    /// One is missing, or there are more records than were sent.
    pub fn counted(&self, cluster: &Cluster) -> Result<()> {
        let records = cluster.logs(&[&format!("ns:{NAMESPACE}"), "--limit", "0"])?;
        let numbers = records.iter().map(number).collect::<Result<BTreeSet<_>>>()?;
        let missing = (1..=self.0.acknowledged).find(|number| !numbers.contains(number));
        ensure!(missing.is_none(), "record {missing:?} was acknowledged and is lost: {}", self.told());
        ensure!(records.len() <= self.0.tries, "{} records, but {}", records.len(), self.told());
        Ok(())
    }
}
