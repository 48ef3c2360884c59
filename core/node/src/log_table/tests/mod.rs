//! `logs` in SQL, over real collectors with their files, through the engine that
//! answers users.

mod reference;

use std::{fmt::Write, fs, path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use serde_json::{Value, json};
use tiphys_api::{
    auth::{Attributes, Authorizer, UserInfo},
    samples::{NodeSamples, PodSample},
};
use tiphys_lifecycle::Tasks;
use tiphys_logging::{
    collector::{self, Running},
    index::PodMeta,
    root::{Access, Collector, Collectors, LogRoot},
    wire::SearchRequest,
};
use tiphys_metrics::{Answer, Asker, Decisions, Engine, Format, Memory, SqlError};

use super::LogTables;

/// Also what a node and a statement are given: on a slow machine nothing is to be missing.
const LIMIT: Duration = Duration::from_secs(120);
const TOKEN: &str = "t0ken";
const BEGIN: &str = "2026-01-31T12:00:";

/// Reads all, but for a user called after the only namespace whose logs may be read.
struct ByName;

impl Authorizer for ByName {
    fn authorize(&self, user: &UserInfo, attributes: &Attributes) -> Result<(), String> {
        let Attributes::Resource { resource, subresource, namespace, .. } = attributes else {
            return Err("no".into());
        };
        let log = resource == "pods" && subresource == "log";
        let own = !namespace.is_empty() && *namespace == user.name;
        if user.name == "admin" || (log && own) { Ok(()) } else { Err("no".into()) }
    }
}

struct Nodes(Vec<Collector>);

#[async_trait]
impl Collectors for Nodes {
    async fn list(&self) -> Vec<Collector> {
        self.0.clone()
    }
}

/// What the containers wrote, over and over.
const BODIES: [&str; 14] = [
    "ERROR connection reset by peer",
    "level=warn msg=\"timeout of id_7\" status=500",
    r#"{"level":"info","status":503,"msg":"a reset","pod":"web-9"}"#,
    r#"{"level":"error","status":"200","msg":"timed out"}"#,
    "debug: nothing here",
    "GET /items/12 200",
    "\u{1b}[31merror\u{1b}[0m in colours",
    "naïve Ünïcode ✓",
    "",
    "errors are not error",
    "'quoted' 100% of_it",
    "time out at 10.0.0.1",
    "INFO started",
    "status=404 level=info",
];

/// Two nodes with five Pods in three namespaces.
struct World {
    _folder: tempfile::TempDir,
    tasks: Tasks,
    _running: Vec<Running>,
    nodes: Vec<Collector>,
    memory: Arc<Memory>,
    decisions: Arc<Decisions>,
    records: usize,
}

/// Pod, its UID, its node, its labels.
type PodOf = (&'static str, &'static str, &'static str, &'static [(&'static str, &'static str)]);

const PODS: [PodOf; 5] = [
    ("shop_web-1", "u1", "n1", &[("app", "shop-front")]),
    ("shop_web-2", "u2", "n2", &[("app", "shop-front"), ("status", "500")]),
    ("ops_db-0", "u3", "n1", &[("app.kubernetes.io/name", "db"), ("app", "other")]),
    ("bank_web-1", "u4", "n2", &[("tier", "front")]),
    ("ops_cron-7", "u5", "n2", &[]),
];

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let tasks = Tasks::new();
        let (mut running, mut nodes, mut records) = (Vec::new(), Vec::new(), 0);
        for node in ["n1", "n2"] {
            let own = folder.path().join(node);
            let mut config = collector::Config::new(node, ([127, 0, 0, 1], 0).into(), TOKEN);
            config.pods_dir = own.join("pods");
            config.data_dir = own.join("data");
            config.commit_after = Duration::from_millis(200);
            records += write_logs(&config.pods_dir, node);
            let collector = collector::run(config, None, &tasks).await.expect("started");
            for (_, uid, _, labels) in PODS.iter().filter(|pod| pod.2 == node && !pod.3.is_empty()) {
                let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
                let labels = Arc::new(labels.collect());
                collector.store.pods().update(uid, PodMeta { labels, ..PodMeta::default() });
            }
            let address = Some(collector.address);
            nodes.push(Collector { node: node.into(), address, access: Access::Token(TOKEN.into()) });
            running.push(collector);
        }
        let decisions = Decisions::open(folder.path().join("decisions"), &tasks).expect("opened");
        let world = Self {
            _folder: folder,
            tasks,
            _running: running,
            nodes,
            memory: Arc::default(),
            decisions,
            records,
        };
        world.wait_for_records().await;
        world
    }

    async fn wait_for_records(&self) {
        let request = SearchRequest { limit: Some(10_000), ..SearchRequest::default() };
        let all = async {
            let admin = UserInfo::named("admin", &[]);
            while self.root().search(&admin, &request).await.expect("an answer").records.len() < self.records
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(LIMIT, all).await.expect("found in time");
    }

    fn root(&self) -> LogRoot {
        LogRoot::new(Arc::new(Nodes(self.nodes.clone())), Arc::new(ByName)).with_deadline(LIMIT)
    }

    fn engine(&self) -> Engine {
        let tables = Arc::new(LogTables::new(self.root()));
        Engine::new(self.memory.clone(), self.decisions.clone(), vec![tables]).with_default_range(None)
    }

    async fn answer(&self, user: &str, statement: &str, format: Format) -> Result<Answer, SqlError> {
        let engine = self.engine().with_deadline(LIMIT);
        let asker = Asker::new(UserInfo::named(user, &[]), Arc::new(ByName));
        engine.answer(statement, format, asker).await
    }

    /// Rows as an administrator sees them.
    async fn rows(&self, statement: &str) -> Value {
        let answer = self.answer("admin", statement, Format::Json).await.expect(statement);
        assert!(answer.notes.is_empty(), "{statement}: {:?}", answer.notes);
        serde_json::from_str(&answer.text).expect("JSON")
    }

    /// What the engine does with a statement.
    async fn plan(&self, statement: &str) -> String {
        let rows = self.rows(&format!("explain {statement}")).await;
        rows.as_array().into_iter().flatten().filter_map(|row| row["plan"].as_str()).collect()
    }

    async fn end(self) {
        self.tasks.shutdown(LIMIT).await;
    }
}

fn write_logs(pods_dir: &Path, node: &str) -> usize {
    let mut count = 0;
    for (at, (pod, uid, _, _)) in PODS.iter().enumerate().filter(|(_, pod)| pod.2 == node) {
        for (number, container) in ["app", "side"].into_iter().enumerate() {
            let folder = pods_dir.join(format!("{pod}_{uid}")).join(container);
            fs::create_dir_all(&folder).expect("a folder");
            let mut lines = String::new();
            if (*pod, container) == ("ops_cron-7", "app") {
                // Beyond every time that there is; it must be counted all the same.
                lines.push_str("9999-12-31T23:59:59Z stdout F a clock gone wrong\n");
                count += 1;
            }
            for line in 0..28 {
                let body = BODIES[(line + at * 3 + number * 5) % BODIES.len()];
                let stream = if line % 3 == 0 { "stderr" } else { "stdout" };
                let (second, nanos) = (line * 2 + number, at * 1_000 + line);
                writeln!(lines, "{BEGIN}{second:02}.{nanos:09}Z {stream} F {body}").expect("written");
                count += 1;
            }
            // The side's first instance is long gone.
            fs::write(folder.join(format!("{number}.log")), lines).expect("written");
        }
    }
    count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_reads_what_it_needs_and_no_more() {
    let world = World::new().await;
    let newest = "select pod, body from logs where match(body, 'error -colours') and namespace = 'shop' \
                  and time >= now() - interval '100 years' order by time desc limit 2";
    assert_eq!(world.rows(newest).await.as_array().map(Vec::len), Some(2));
    let plan = world.plan(newest).await;
    for needle in [
        "query=[namespace:/^shop$/ AND error AND NOT colours]",
        "since=1",
        "fetch=2",
        "columns=[time, pod, body]",
    ] {
        assert!(plan.contains(needle), "{needle}: {plan}");
    }
    assert!(!plan.contains("SortExec") && !plan.contains("FilterExec"), "{plan}");
    let names = world.plan("select distinct pod from logs where pod like 'web-%' and body like '%a%'").await;
    assert!(names.contains("pod:/(?s)^web-.*$/") && names.contains("FilterExec"), "{names}");
    let nothing = world.rows("select * from logs where namespace = 'shop' and namespace = 'ops'").await;
    assert_eq!(nothing, json!([]));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_are_answered_without_records() {
    let world = World::new().await;
    let in_the_index = async |statement: &str, needle: &str| {
        let plan = world.plan(statement).await;
        assert!(plan.contains(needle) && !plan.contains("LogScan"), "{statement}: {plan}");
    };
    in_the_index("select count(*) from logs", "LogCounts: query=[*], by=[]").await;
    in_the_index(
        "select l.pod, count(1) as n from logs as l where match(l.body, 'error') and l.namespace = 'shop' \
         and l.time >= timestamp '2026-01-31T12:00:00Z' group by l.pod having count(*) > 1 order by n desc limit 3",
        "query=[namespace:/^shop$/ AND error], since=2026-01-31T12:00:00.000000000Z, by=[pod]",
    )
    .await;
    in_the_index(
        "select date_trunc('minute', time) as t, level, count(body) from logs group by 1, 2",
        "by=[level], every=60000000000ns",
    )
    .await;
    in_the_index(
        "select time_bucket(interval '5 minutes', time), count(*) from logs group by 1",
        "every=300000000000ns",
    )
    .await;
    in_the_index("select distinct namespace, pod from logs", "by=[namespace, pod]").await;
    in_the_index("select severity, count(distinct pod) from logs group by 1", "by=[level, pod]").await;
    in_the_index(
        "select restart, count(*) from logs where restart < 2 group by 1",
        "query=[restart:<2], by=[restart]",
    )
    .await;
    assert_eq!(
        world.rows("select restart, count(*) as n from logs where restart >= 1 group by 1").await,
        json!([{"restart": 1, "n": 140}])
    );
    for statement in [
        "select count(*) from logs where body like '%a%'",
        "select count(app) from logs",
        "select app, count(*) from logs group by app",
        "select count(*) filter (where pod = 'a') from logs",
        "select date_trunc('month', time), count(*) from logs group by 1",
        "select count(*) from (select * from logs limit 5)",
        "select max(time) from logs",
    ] {
        let plan = world.plan(statement).await;
        assert!(plan.contains("LogScan") && !plan.contains("LogCounts"), "{statement}: {plan}");
    }
    let minutes = "select date_trunc('minute', time) as t, count(*) as n from logs where pod = 'cron-7' group by 1 order by 1";
    assert_eq!(
        world.rows(minutes).await,
        json!([{"t": "2026-01-31T12:00:00Z", "n": 56}, {"t": "2262-04-11T23:47:00Z", "n": 1}])
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn columns_have_values_and_descriptions() {
    let world = World::new().await;
    let row = "select time, namespace, pod, container, node, restart, stream, level, severity, body, labels, app \
               from logs where pod = 'db-0' and container = 'app' and match(body, 'peer') order by time limit 1";
    assert_eq!(
        world.rows(row).await,
        json!([{
            "time": "2026-01-31T12:00:16.000002008Z", "namespace": "ops", "pod": "db-0", "container": "app",
            "node": "n1", "restart": 0, "stream": "stdout", "level": "error", "severity": 5,
            "body": "ERROR connection reset by peer",
            "labels": {"app": "other", "app.kubernetes.io/name": "db"}, "app": "db",
        }])
    );
    let instances = "select distinct container, restart from logs where pod = 'db-0' order by restart desc";
    assert_eq!(
        world.rows(instances).await,
        json!([{"container": "side", "restart": 1}, {"container": "app", "restart": 0}])
    );
    let by_label = "select distinct pod from logs where labels['tier'] = 'front'";
    assert_eq!(world.rows(by_label).await, json!([{"pod": "web-1"}]));
    let csv = world.answer("admin", "select labels from logs where pod = 'db-0' limit 1", Format::Csv).await;
    let text = csv.expect("CSV").text;
    assert_eq!(text, "labels\n\"{\"\"app\"\":\"\"other\"\",\"\"app.kubernetes.io/name\"\":\"\"db\"\"}\"\n");
    for column in super::columns::schema().fields() {
        assert!(column.metadata().contains_key("description"), "{column:?}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn abuse_29_rows_of_other_namespaces_are_not_to_be_had() {
    let world = World::new().await;
    for statement in [
        "select distinct namespace from logs",
        "select namespace, count(*) as n from logs group by namespace",
        "select namespace from logs where namespace in ('bank', 'shop') or not match(body, 'x') order by time limit 1",
        "select l.namespace from logs l join logs r on l.id = r.id where l.namespace <> '' limit 1",
        "select min(namespace) as namespace from logs",
        "select max(namespace) as namespace from logs where true or namespace = 'shop'",
    ] {
        let answer = world.answer("bank", statement, Format::Json).await.expect(statement);
        let rows: Value = serde_json::from_str(&answer.text).expect("JSON");
        assert_eq!(
            (rows.as_array().map(Vec::len), &rows[0]["namespace"]),
            (Some(1), &json!("bank")),
            "{statement}"
        );
        assert!(answer.notes.iter().any(|note| note.contains("pods/log")), "{:?}", answer.notes);
    }
    let count = "select count(*) as n from logs where namespace = 'shop'";
    for (user, text) in [("bank", "[{\"n\":0}]"), ("nobody", "[{\"n\":0}]"), ("shop", "[{\"n\":112}]")] {
        assert_eq!(
            world.answer(user, count, Format::Json).await.expect("answered").text.trim(),
            text,
            "{user}"
        );
    }
    for statement in ["copy logs to '/tmp/x.csv'", "delete from logs", "insert into logs select * from logs"]
    {
        let refused = world.answer("admin", statement, Format::Json).await;
        assert!(matches!(refused, Err(SqlError::Invalid(_))), "{statement}: {refused:?}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_missing_is_told() {
    let mut world = World::new().await;
    world.nodes.push(Collector { node: "n3".into(), address: None, access: Access::Token(TOKEN.into()) });
    for statement in [
        "select pod from logs limit 1",
        "select count(*) from logs",
        "select level, count(*) from logs group by 1",
    ] {
        let answer = world.answer("admin", statement, Format::Columns).await.expect("answered");
        assert_eq!(answer.notes.len(), 1, "{statement}: {:?}", answer.notes);
        assert!(answer.notes[0].contains("n3 is missing"), "{:?}", answer.notes);
        let columns: Value = serde_json::from_str(&answer.text).expect("JSON");
        assert_eq!(columns["notes"], json!(answer.notes), "{statement}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_query_says_where() {
    let world = World::new().await;
    let wrong = async |query: &str| {
        let statement = format!("select count(*) from logs where match(body, {query})");
        world.answer("admin", &statement, Format::Json).await.expect_err(query).to_string()
    };
    assert_eq!(
        wrong("'a AND (b'").await,
        "this bracket is not closed\n  a AND (b\n        ^\nclose it with `)`"
    );
    assert!(wrong("'pod:web'").await.contains("compare the column: pod = '...'"));
    assert!(wrong("pod").await.contains("a query in quotes"));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_meet_the_metrics_of_their_second() {
    let world = World::new().await;
    let time = "2026-01-31T12:00:03Z".parse::<jiff::Timestamp>().expect("a time").as_microsecond();
    for second in 0..2 {
        let pod = PodSample {
            namespace: "ops".into(),
            pod: "db-0".into(),
            uid: "u3".into(),
            ..PodSample::default()
        };
        let time = time + second * 1_000_000;
        world.memory.ingest(&NodeSamples {
            time,
            node: "n1".into(),
            pods: vec![pod],
            ..NodeSamples::default()
        });
    }
    let joined = "select l.body, p.node from logs l join pod p on p.namespace = l.namespace and p.pod = l.pod \
                  and date_trunc('second', p.time) = date_trunc('second', l.time) \
                  where l.container = 'side' and p.time < timestamp '2026-01-31T12:00:04Z'";
    let rows = world.rows(joined).await;
    assert_eq!(rows, json!([{"body": "INFO started", "node": "n1"}]), "{rows}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn abuse_35_a_cross_join_of_records_dies_within_its_limits() {
    let world = World::new().await;
    let statement = "select count(*) from logs a cross join logs b cross join logs c cross join logs d \
                     where a.body || b.body || c.body || d.body = 'x'";
    let engine = world.engine();
    let asker = Asker::new(UserInfo::named("admin", &[]), Arc::new(ByName));
    let asked = engine.answer(statement, Format::Json, asker);
    let outcome = tokio::time::timeout(LIMIT, asked).await.expect("ended by itself");
    assert!(outcome.is_err(), "{outcome:?}");
    // The others go on.
    assert_eq!(world.rows("select count(*) as n from logs where pod = 'db-0'").await, json!([{"n": 56}]));
    world.end().await;
}
