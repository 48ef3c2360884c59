//! The same statements over `logs` and over a plain table of the same records, where
//! nothing is pushed anywhere: the same rows, for conditions by chance.

use std::sync::Arc;

use datafusion::{
    arrow::json::{WriterBuilder, writer::JsonArray},
    datasource::MemTable,
    prelude::{SessionConfig, SessionContext},
};
use proptest::{prelude::*, test_runner::TestRunner};
use serde_json::Value;

use super::{
    super::{columns, matching},
    *,
};

const LEAVES: [&str; 63] = [
    "namespace = 'shop'",
    "namespace <> 'ops'",
    "namespace in ('shop', 'bank')",
    "namespace not in ('shop')",
    "namespace > 'c'",
    "namespace = null",
    "pod like 'web-%'",
    "pod not like '%-0'",
    "pod like 'w_b-1'",
    "pod like 'WEB%'",
    "pod ~ 'b-[01]$'",
    "pod !~ '^web'",
    "starts_with(pod, 'db')",
    "node = 'n1'",
    "node = 'N1'",
    "'app' = container",
    "level = 'error'",
    "level in ('warn', 'error')",
    "level <> 'info'",
    "level like 'e%'",
    "level > 'info'",
    "severity >= 4",
    "3 > severity",
    "severity in (0, 5)",
    "restart = 1",
    "restart <> 1",
    "restart in (0, 10)",
    "restart > 0",
    "2 > restart",
    "restart is null",
    "app = 'shop-front'",
    "app <> 'shop-front'",
    "app is null",
    "app is not null",
    "app in ('db', 'other')",
    "app not in ('db', 'other')",
    "app like '%b%'",
    "stream = 'stderr'",
    "match(body, 'error')",
    "match(body, 'error OR timeout')",
    "match(body, 'status:>=500')",
    "match(body, 'status:500')",
    "match(body, '\"connection reset\"')",
    "match(body, 'time* -out')",
    "match(body, '/id_\\d/ OR @body.pod:web*')",
    "match(body, '')",
    "match(body || ' error', 'error')",
    "body like '%reset%'",
    "body like '%31merror%'",
    "body like '%error_in colours'",
    "body ilike '%RESET%'",
    "body not like '%e%'",
    "body = 'INFO started'",
    "body like 'GET%200'",
    "body ~ 'id_7'",
    "length(body) > 12",
    "labels['app'] = 'other'",
    "time >= timestamp '2026-01-31T12:00:20.000001Z'",
    "time < timestamp '2026-01-31T12:00:40Z'",
    "time between timestamp '2026-01-31T12:00:10Z' and timestamp '2026-01-31T12:00:30Z'",
    "time = timestamp '2026-01-31T12:00:20.000001010Z'",
    "date_trunc('second', time) = timestamp '2026-01-31T12:00:20Z'",
    "true",
];

fn conditions() -> impl Strategy<Value = String> {
    prop::sample::select(LEAVES.to_vec()).prop_map(str::to_owned).prop_recursive(4, 16, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} and {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} or {b})")),
            inner.clone().prop_map(|a| format!("not ({a})")),
            inner.clone().prop_map(|a| format!("(({a}) is not true)")),
            inner.prop_map(|a| format!("(({a}) is false)")),
        ]
    })
}

/// The table without an index.
async fn plain(world: &World) -> SessionContext {
    let request = SearchRequest { limit: Some(10_000), ..SearchRequest::default() };
    let answer = world.root().search(&UserInfo::named("admin", &[]), &request).await.expect("an answer");
    let schema = columns::schema();
    let places: Vec<_> = (0..schema.fields().len()).collect();
    let rows = columns::rows(&schema, &places, &answer.records).expect("rows");
    let mut config = SessionConfig::new();
    config.options_mut().sql_parser.dialect = datafusion::config::Dialect::PostgreSQL;
    let session = SessionContext::new_with_config(config);
    let table = MemTable::try_new(schema, vec![vec![rows]]).expect("a table");
    session.register_table("logs", Arc::new(table)).expect("registered");
    session.register_udf(matching::function());
    session
}

async fn rows_of(session: &SessionContext, statement: &str) -> Value {
    let batches = session.sql(statement).await.expect(statement).collect().await.expect(statement);
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, JsonArray>(Vec::new());
    batches.iter().for_each(|batch| writer.write(batch).expect("written"));
    writer.finish().expect("written");
    let text = writer.into_inner();
    if text.is_empty() { json!([]) } else { serde_json::from_slice(&text).expect("JSON") }
}

/// Questions about the rows for which a condition is true.
const QUESTIONS: [&str; 9] = [
    "select id, body from logs where {} order by id",
    "select id, time from logs where {} order by time desc, id desc limit 7",
    "select count(*) as n from logs where {}",
    "select namespace, level, count(*) as n from logs where {} group by 1, 2 order by 1, 2",
    "select date_bin(interval '7 seconds', time) as t, count(*) as n from logs where {} group by 1 order by 1",
    "select date_trunc('minute', t.time) as m, t.pod, t.severity, count(*) as n from logs t where {} group by 1, 2, 3 order by 1, 2, 3",
    "select app, count(body) as n from logs where {} group by app order by app",
    "select restart, count(*) as n from logs where {} group by 1 order by 1",
    "select container, match(body, 'error') as hit, count(*) as n from logs where {} group by 1, 2 order by 1, 2",
];

#[test]
fn every_condition_is_true_of_the_same_rows_as_without_an_index() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let world = runtime.block_on(World::new());
    let session = runtime.block_on(plain(&world));
    // Each condition meets some of the questions, and each question many conditions.
    let same = |condition: &str, turn: usize| {
        for at in [turn, turn + 3] {
            let statement = QUESTIONS[at % QUESTIONS.len()].replace("{}", condition);
            let (found, expected) = runtime
                .block_on(async { (world.rows(&statement).await, rows_of(&session, &statement).await) });
            assert_eq!(found, expected, "{statement}");
        }
    };
    LEAVES.iter().enumerate().for_each(|(turn, condition)| same(condition, turn));
    let mut runner = TestRunner::new(ProptestConfig::with_cases(32));
    let outcome = runner.run(&(conditions(), 0..QUESTIONS.len()), |(condition, turn)| {
        same(&condition, turn);
        Ok(())
    });
    runtime.block_on(world.end());
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
