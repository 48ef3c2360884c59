//! Every column of every table that a server has, and every function, says what it is.

use std::convert::Infallible;

use ::http::{Request, Response};
use tiphys_api::serve::{Body, Handler};
use tiphys_client::Shared;
use tiphys_telemetry::Component;

use super::*;
use crate::{Config, EventLog, FollowConfig, Metrics, Retention};

/// A client of an API server that never answers: tables are described without a row.
fn silent() -> kube::Client {
    let service =
        tower::service_fn(|_: Request<Body>| std::future::pending::<Result<Response<Body>, Infallible>>());
    tiphys_client::in_memory(Handler::new(service), UserInfo::master("test"))
}

/// The engine of a metrics server, with all that it brings into SQL.
fn engine(folder: &std::path::Path, tasks: &Tasks) -> Engine {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let config = Config {
        data_dir: folder.to_owned(),
        follow: FollowConfig { tls: Arc::new(tls) },
        keep: std::time::Duration::from_secs(3600),
        keep_bytes: 1 << 30,
        limits: Default::default(),
        downsampling: None,
        archive: None,
        decisions: Retention::DECISIONS,
        spans: Retention::SPANS,
        words: Default::default(),
        client: silent(),
    };
    let shared = Shared::start(&silent(), tasks);
    let metrics = Metrics::start(config, &shared, tasks, &Component::new("metrics")).expect("started");
    let events = EventLog::start(folder.join("events"), Retention::EVENTS, silent(), tasks);
    let events = events.expect("started");
    metrics.engine(vec![Arc::new(events)])
}

#[tokio::test]
async fn every_column_and_every_function_says_what_it_is() {
    let (folder, tasks) = (tempfile::tempdir().expect("a folder"), Tasks::new());
    let engine = engine(folder.path(), &tasks);
    let ask = async |statement: &str| {
        let asker = Asker::new(UserInfo::named("admin", &[]), Arc::new(ByName));
        engine.answer(statement, Format::Csv, asker).await.expect("answered").text
    };
    let tables = ask("select distinct table_name from columns order by 1").await;
    let expected = "advise columns container decisions events functions node pod samples spans volume";
    for table in expected.split(' ') {
        assert!(tables.lines().any(|name| name == table), "{table} is not among {tables}");
    }
    let undescribed = "select table_name, column_name from columns where length(trim(description)) < 3";
    assert_eq!(ask(undescribed).await, "table_name,column_name\n");
    let undescribed = "select function_name, kind from functions \
        where length(trim(description)) < 3 or length(trim(arguments)) < 3";
    assert_eq!(ask(undescribed).await, "function_name,kind\n");
    let ours = "select distinct function_name from functions where function_name in ('first', 'histogram_quantile', \
        'increase', 'json_get', 'json_get_text', 'last', 'rate', 'time_bucket')";
    assert_eq!(ask(ours).await.lines().count(), 9);
    tasks.shutdown(Duration::from_secs(120)).await;
}
