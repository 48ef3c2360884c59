//! Prometheus itself, of Debian's package, scrapes the same targets with the same rules: the series
//! must be the same, label by label and value by value.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use axum::{Router, http::header, routing::get};
use serde_json::{Value as Json, json};
use tiphys_lifecycle::Tasks;

use super::{
    loop_tests::{api, bench, serve},
    relabel::{self, Rule},
    target::{Reach, Taking, target, tests::job},
};
use crate::series::Value;

const PLAIN: &str = r#"# HELP http_requests_total The "total" \\ number\nof requests.
# TYPE http_requests_total counter
http_requests_total{method="post",code="200"} 1027
http_requests_total{method="post",code="400",} 3 1395066363000000
http_requests_total{ method = "get" , code = "200" }   1e3
escaped{path="C:\\DIR\\FILE.TXT",error="Cannot find file:\n\"FILE.TXT\"",odd="\q"} 1.458255915e9
no_labels_at_all 12.47
tabs	5
big 1.7976931348623157e+308
small -4.9e-324
infinite{sign="+"} +Inf
infinite{sign="-"} -Inf
nothing NaN
empty{a="",b="x"} 1
job_says{job="mine",instance="other",exported_job="third"} 1
# TYPE rpc_duration_seconds summary
rpc_duration_seconds{quantile="0.01"} 3102
rpc_duration_seconds_sum 1.7560473e+07
rpc_duration_seconds_count 2693
# TYPE lat histogram
lat_bucket{le="0.1"} 3
lat_bucket{le="+Inf"} 5
lat_sum 1.5
lat_count 5
dropped_by_name 1
kept{up="SHOUT",same="SHOUT",env_zone="a",env_rack="b",secret="s"} 1
kept{up="quiet",same="other",env_zone="a",env_rack="b",secret="s"} 2
"#;

const OPEN: &str = r#"# TYPE orders_seconds counter
# UNIT orders_seconds seconds
# HELP orders_seconds Some "words".
orders_seconds_total{kind="a"} 17 # {trace_id="KOO5S4vxi0o"} 0.67
orders_seconds_created{kind="a"} 1520430000.123
# TYPE temp gauge
temp{room="ü"} -3.5
# TYPE build info
build_info{version="1.2"} 1
# EOF
"#;

fn rules() -> Json {
    json!([
        {"source_labels": ["__name__"], "regex": "dropped.*", "action": "drop"},
        {"source_labels": ["code"], "regex": "(.)00", "target_label": "class", "replacement": "${1}xx"},
        {"source_labels": ["method", "code"], "separator": "/", "target_label": "shard", "modulus": 7, "action": "hashmod"},
        {"regex": "env_(.+)", "action": "labelmap", "replacement": "where_$1"},
        {"regex": "secret|env_.*", "action": "labeldrop"},
        {"source_labels": ["up"], "target_label": "down", "action": "lowercase"},
        {"source_labels": ["up"], "target_label": "same_again", "action": "uppercase"},
        {"source_labels": ["nosuch"], "regex": "", "target_label": "filled", "replacement": "yes"},
        {"source_labels": ["path"], "regex": "C:(.*)FILE.*", "target_label": "dir"}
    ])
}

/// The same rules as a monitor writes them.
fn written() -> Vec<Rule> {
    let mut all = rules();
    for rule in all.as_array_mut().into_iter().flatten().filter_map(Json::as_object_mut) {
        for (from, to) in [("source_labels", "sourceLabels"), ("target_label", "targetLabel")] {
            if let Some(value) = rule.remove(from) {
                rule.insert(to.to_owned(), value);
            }
        }
    }
    let written: Vec<relabel::Written> = serde_json::from_value(all).expect("rules");
    Rule::all(&written).expect("rules")
}

/// Ends the program with the test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Program {
    /// Where it listens, as it says itself: of ports that are free now another test may be given one.
    fn address(&mut self) -> String {
        let mut lines = BufReader::new(self.0.stderr.take().expect("piped")).lines().map_while(Result::ok);
        let listening = lines.find(|line| line.contains("msg=\"Listening on\""));
        let listening = listening.expect("prometheus listens");
        let address = listening.split("address=").nth(1).and_then(|rest| rest.split_whitespace().next());
        // Its pipe must not fill up, and not close.
        std::thread::spawn(move || lines.for_each(drop));
        address.expect("its address").to_owned()
    }
}

type Seen = BTreeMap<BTreeMap<String, String>, String>;

/// What is told of time can't be the same.
fn is_timed(labels: &BTreeMap<String, String>) -> bool {
    labels
        .get("__name__")
        .is_some_and(|name| name == "scrape_duration_seconds" || name == "scrape_series_added")
}

fn spelt(value: f64) -> String {
    format!("{:?}", value)
}

async fn theirs(http: &kube::Client) -> Seen {
    let path = "/api/v1/query?query=%7Bjob%3D~%22plain%7Copen%22%7D";
    let request = http::Request::get(path).body(Vec::new()).expect("a request");
    let Ok(text) = http.request_text(request).await else { return Seen::new() };
    let answer: Json = serde_json::from_str(&text).expect("JSON");
    let mut seen = Seen::new();
    for one in answer["data"]["result"].as_array().into_iter().flatten() {
        let labels: BTreeMap<String, String> = serde_json::from_value(one["metric"].clone()).expect("labels");
        let value = one["value"][1].as_str().expect("a value").parse().expect("a number");
        seen.insert(labels, spelt(value));
    }
    seen.retain(|labels, _| !is_timed(labels));
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_sees_the_same_series() {
    let tasks = Tasks::new();
    let open = async || ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0")], OPEN);
    // A time of its own: what both take, whatever the clock says.
    let plain = PLAIN.replace("1395066363000000", &jiff::Timestamp::now().as_millisecond().to_string());
    let router = Router::new().route("/plain", get(async move || plain.clone())).route("/open", get(open));
    let address = serve(router, &tasks).await;
    let folder = tempfile::tempdir().expect("a folder");
    let scrape = |name: &str| {
        json!({"job_name": name, "metrics_path": format!("/{name}"), "metric_relabel_configs": rules(),
            "static_configs": [{"targets": [address.to_string()]}]})
    };
    let config =
        json!({"global": {"scrape_interval": "1s"}, "scrape_configs": [scrape("plain"), scrape("open")]});
    let path = folder.path().join("prometheus.yml");
    std::fs::write(&path, config.to_string()).expect("written");
    let program = Command::new("prometheus")
        .arg(format!("--config.file={}", path.display()))
        .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
        .arg("--web.listen-address=127.0.0.1:0")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("prometheus, of Debian's package of that name");
    let mut program = Program(program);
    let asked = program.address();

    let bench = bench(api(BTreeMap::new()));
    let targets = ["plain", "open"].map(|name| {
        let mut job = job(json!([]));
        job.name = name.to_owned();
        job.interval = Duration::from_millis(500);
        job.taking = Arc::new(Taking { relabelings: written(), ..Taking::default() });
        job.reach = Reach::Network(Box::default());
        let pairs = [("__address__", address.to_string()), ("__metrics_path__", format!("/{name}"))];
        let discovered = pairs.map(|(name, value)| (name.to_owned(), value)).into();
        target(&Arc::new(job), discovered).expect("an address").expect("kept")
    });
    bench.pool.sync(targets.into());
    let ours = async || {
        let mut seen = Seen::new();
        for data in bench.store.all(&[], 0..i64::MAX).await {
            let labels: BTreeMap<_, _> =
                data.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            if let Some((_, Value::Number(value))) = data.samples.last() {
                seen.insert(labels, spelt(*value));
            }
        }
        seen.retain(|labels, _| !is_timed(labels));
        seen
    };
    let config = kube::Config::new(format!("http://{asked}").parse().expect("a URL"));
    let http = kube::Client::try_from(config).expect("a client");
    let ends = std::time::Instant::now() + Duration::from_secs(120);
    loop {
        let (theirs, ours) = (theirs(&http).await, ours().await);
        if theirs.len() > 30 && theirs == ours {
            break;
        }
        if std::time::Instant::now() > ends {
            let only = |a: &Seen, b: &Seen| -> Vec<String> {
                a.iter()
                    .filter(|(key, value)| b.get(*key) != Some(value))
                    .map(|one| format!("{one:?}"))
                    .collect()
            };
            panic!("only theirs: {:#?}\nonly ours: {:#?}", only(&theirs, &ours), only(&ours, &theirs));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    bench.tasks.shutdown(Duration::from_secs(120)).await;
    tasks.shutdown(Duration::from_secs(120)).await;
}
