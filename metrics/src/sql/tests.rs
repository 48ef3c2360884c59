//! Statements against known samples: answers, refusals, what a user sees.

use tiphys_api::{
    auth::{Attributes, Authorizer, UserInfo},
    decisions::Decision,
    samples::{ContainerSample, NodeSamples, PodSample, Usage},
};
use tiphys_lifecycle::Tasks;

use super::*;
use crate::tables::{decision_rows, decisions_schema};

mod bounded;
mod described;
mod export;
mod functions;
mod limits;
mod naive;
mod native;
mod samples;

/// Lets everybody see everything, but for a user called after their only namespace.
pub struct ByName;

impl Authorizer for ByName {
    fn authorize(&self, user: &UserInfo, attributes: &Attributes) -> Result<(), String> {
        let Attributes::Resource { namespace, .. } = attributes else { return Err("no".into()) };
        if user.name == "admin" || (!namespace.is_empty() && *namespace == user.name) {
            Ok(())
        } else {
            Err("no".into())
        }
    }
}

fn samples(second: i64) -> NodeSamples {
    let usage = Usage {
        cpu_usage_nanos_total: u64::try_from(second).expect("positive") * 500_000_000,
        disk_write_bytes_total: 4096,
        ..Usage::default()
    };
    let pods = ["shop", "bank"]
        .iter()
        .map(|namespace| PodSample {
            namespace: (*namespace).into(),
            pod: format!("{namespace}-1"),
            uid: (*namespace).into(),
            usage,
            containers: vec![ContainerSample {
                container: "main".into(),
                container_id: (*namespace).into(),
                usage,
                ..ContainerSample::default()
            }],
            ..PodSample::default()
        })
        .collect();
    NodeSamples { time: second * 1_000_000, node: "node-1".into(), usage, pods, ..NodeSamples::default() }
}

/// An engine over known samples.
pub struct World {
    pub engine: Engine,
    pub tasks: Tasks,
    _folder: tempfile::TempDir,
}

impl World {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let tasks = Tasks::new();
        let decisions = Decisions::open(folder.path().join("decisions"), &tasks).expect("opened");
        decisions.record(Decision {
            namespace: "shop".into(),
            autoscaler: "web".into(),
            scaled: true,
            ..Decision::default()
        });
        // The samples are of the first seconds of 1970. A busy machine has its time to answer.
        let engine = Engine::new(Arc::default(), decisions, Vec::new()).with_default_range(None);
        let engine = engine.with_deadline(Duration::from_secs(300));
        (1..4).for_each(|second| engine.memory.ingest(&samples(second)));
        Self { engine, tasks, _folder: folder }
    }

    /// The decisions' file is written behind the scenes: into the folder while it is there.
    pub async fn end(self) {
        self.tasks.shutdown(Duration::from_secs(120)).await;
    }
}

async fn ask_as(user: &str, statement: &str, format: Format) -> Result<String, SqlError> {
    let world = World::new();
    let asker = Asker::new(UserInfo::named(user, &[]), Arc::new(ByName));
    let answer = world.engine.answer(statement, format, asker).await.map(|answer| answer.text);
    world.end().await;
    answer
}

async fn ask(statement: &str) -> String {
    ask_as("admin", statement, Format::Json).await.expect("answered").trim().to_owned()
}

#[tokio::test]
async fn rows_are_counted_and_rates_computed() {
    assert_eq!(
        ask("select node, count(*) as n from pod group by node").await,
        r#"[{"node":"node-1","n":6}]"#
    );
    let latest = "select pod, cpu_cores, disk_write_bytes_total from container where pod = 'shop-1' order by time desc limit 1";
    assert_eq!(ask(latest).await, r#"[{"pod":"shop-1","cpu_cores":0.5,"disk_write_bytes_total":4096}]"#);
    assert_eq!(
        ask("select autoscaler, scaled from decisions").await,
        r#"[{"autoscaler":"web","scaled":true}]"#
    );
    assert_eq!(ask("select 1 as one where 1 = 2").await, "[]");
}

#[tokio::test]
async fn formats_keep_their_shape() {
    let of = async |format| {
        ask_as("admin", "select pod from pod where pod = 'none'", format).await.expect("answered")
    };
    assert_eq!(of(Format::Csv).await, "pod\n");
    assert_eq!(of(Format::Jsonl).await, "");
    assert!(of(Format::Table).await.contains("| pod |"));
    let columns = ask_as("admin", "select 1 as a, null as b", Format::Columns).await.expect("answered");
    let columns: serde_json::Value = serde_json::from_str(&columns).expect("JSON");
    assert_eq!(columns["rows"], serde_json::json!([[1, null]]));
}

#[tokio::test]
async fn abuse_29_only_queries_and_only_ones_own_rows() {
    for statement in [
        "drop table pod",
        "create external table x stored as csv location '/etc/passwd'",
        "copy pod to '/tmp/x.csv'",
        "insert into pod select * from pod",
        "set datafusion.execution.batch_size = 1",
        "select * from 'file:///etc/passwd'",
        "select * from 's3://bucket/key'",
        "select * from '/etc/passwd'",
        "select * from read_csv('/etc/passwd')",
        "with x as (insert into pod select * from pod) select * from x",
    ] {
        let refused = ask_as("admin", statement, Format::Json).await;
        assert!(matches!(refused, Err(SqlError::Invalid(_))), "{statement}: {refused:?}");
    }
    let seen =
        ask_as("bank", "select distinct namespace from container", Format::Json).await.expect("answered");
    assert_eq!(seen.trim(), r#"[{"namespace":"bank"}]"#);
    for table in ["node", "decisions"] {
        let seen = ask_as("bank", &format!("select count(*) as n from {table}"), Format::Json)
            .await
            .expect("answered");
        assert_eq!(seen.trim(), r#"[{"n":0}]"#, "{table}");
    }
}

#[tokio::test]
async fn abuse_35_a_query_of_death_dies_within_its_limits() {
    for statement in [
        "with recursive t(n) as (select 1 union all select n + 1 from t) select count(*) from t",
        "with recursive t(n) as (select 1 union all select n + 1 from t where n < 3000) \
         select count(*) from t a cross join t b cross join t c where a.n + b.n + c.n = 7",
    ] {
        let world = World::new();
        let engine = world.engine.clone().with_deadline(Duration::from_millis(500));
        let asker = Asker::new(UserInfo::named("admin", &[]), Arc::new(ByName));
        let asked = engine.answer(statement, Format::Json, asker);
        let outcome = tokio::time::timeout(Duration::from_secs(120), asked).await.expect("ended by itself");
        world.end().await;
        let died = match &outcome {
            Err(SqlError::TooSlow(_)) => true,
            Err(SqlError::Invalid(wrong)) => wrong.code == "53200",
            _ => false,
        };
        assert!(died, "{statement}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_wrong_statement_says_what_is_wrong_and_where() {
    let table = [
        ("select nothing from pod", "there is no column nothing at line 1, column 8: the columns are"),
        (
            "select namespace,\n  cpu_core from pod",
            "there is no column cpu_core at line 2, column 3: did you mean cpu_cores?",
        ),
        (
            "select * from nod",
            "there is no table nod at line 1, column 15: did you mean node? the tables are",
        ),
        (
            "select suum(cpu_cores) from pod",
            "there is no function suum at line 1, column 8: did you mean sum? the table functions",
        ),
        (
            "select zebra_quagga(cpu_cores) from pod",
            "there is no function zebra_quagga at line 1, column 8: the table functions has them all",
        ),
        (
            "select * from generate_serie(1, 2)",
            "there is no table function generate_serie: did you mean generate_series? those are",
        ),
        (
            "select rate(cpu_cores) from pod",
            "rate takes a number, or a histogram as samples has them, and its time: rate(value, time)",
        ),
        ("select from where", "at line 1, column"),
        ("drop table pod", "one question at a time"),
        ("select time from pod a, node b", "more than one table has a column time"),
    ];
    for (statement, expected) in table {
        let error = ask_as("admin", statement, Format::Json).await.expect_err("refused").to_string();
        assert!(error.contains(expected), "{statement}: {error}");
    }
}

/// Rows that are called events, of now and of 1970.
struct Happened;

impl Extension for Happened {
    fn register(&self, session: &SessionContext, _: &Asker) -> datafusion::common::Result<()> {
        let rows = |_, _| -> datafusion::common::Result<Batches> {
            let now = jiff::Timestamp::now().as_microsecond();
            let happened =
                [now, 0].map(|time| Arc::new(Decision { time, reason: "x".into(), ..Decision::default() }));
            Ok(Box::new(std::iter::once(decision_rows(&happened))))
        };
        session.register_table("events", counted(decisions_schema(), rows)).map(drop)
    }
}

async fn ask_of(engine: &Engine, statement: &str) -> (String, Vec<String>) {
    let asker = Asker::new(UserInfo::named("admin", &[]), Arc::new(ByName));
    let answer = engine.answer(statement, Format::Json, asker).await.expect("answered");
    (answer.text.trim().to_owned(), answer.notes)
}

#[tokio::test]
async fn a_statement_without_a_time_is_about_the_last_hour_and_says_so() {
    let world = World::new();
    let engine = world.engine.clone().with_default_range(Some(Duration::from_secs(1800)));
    let engine = engine.with(Arc::new(Happened));
    let now = jiff::Timestamp::now().as_second();
    [now - 3000, now].iter().for_each(|second| engine.memory.ingest(&samples(*second)));
    // How long memory keeps the samples of 1970 is not what this is about.
    let all = ask_of(&world.engine, "select count(*) as n from pod").await.0;
    let all: usize = all.trim_matches(|letter: char| !letter.is_ascii_digit()).parse().expect("a number");
    assert!(all >= 4, "{all}");
    let table = [
        ("select count(*) as n from pod", 2, true),
        ("select count(*) as n from pod p join node n on p.node = n.node", 2, true),
        ("select count(*) as n from pod where pod = 'shop-1' or namespace = 'shop'", 1, true),
        ("select count(*) as n from (select distinct pod, namespace from pod limit 10)", 2, true),
        ("select count(*) as n from pod where time < now() + interval '1 day'", all, false),
        (
            "select count(*) as n from (select time as t from pod) where t < now() + interval '1 day'",
            all,
            false,
        ),
        // Decided in 1970.
        ("select count(*) as n from decisions", 0, true),
        ("select count(*) as n from (select * from decisions order by time desc limit 5)", 0, true),
        ("select count(*) as n from decisions where time < now()", 1, false),
        ("select count(*) as n from events", 1, true),
        ("select count(*) as n from events where reason <> '' or namespace = 'x'", 1, true),
        ("select count(*) as n from events where time < now() + interval '1 hour'", 2, false),
    ];
    for (statement, rows, noted) in table {
        let (text, notes) = ask_of(&engine, statement).await;
        assert_eq!(text, format!("[{{\"n\":{rows}}}]"), "{statement}");
        assert_eq!(!notes.is_empty(), noted, "{statement}: {notes:?}");
    }
    world.end().await;
}

#[tokio::test]
async fn predicates_and_columns_are_read_from_memory_only() {
    let table = [
        (
            "select count(*) as n from pod where time > '1970-01-01T00:00:01Z' and pod = 'bank-1'",
            "[{\"n\":2}]",
        ),
        (
            "select max(cpu_cores) as c from container where namespace in ('shop') and time = '1970-01-01T00:00:03Z'",
            "[{\"c\":0.5}]",
        ),
        (
            "select pod from pod where '1970-01-01T00:00:02Z' > time and pod <> 'bank-1'",
            "[{\"pod\":\"shop-1\"}]",
        ),
    ];
    for (statement, expected) in table {
        assert_eq!(ask(statement).await, expected, "{statement}");
    }
    let plan = ask("explain format indent select pod from pod where pod = 'shop-1'").await;
    assert!(plan.contains("partial_filters=[pod.pod = Utf8(\\\"shop-1\\\")]"), "{plan}");
}
