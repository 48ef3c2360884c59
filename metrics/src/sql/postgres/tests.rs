//! The door with a real client: psql.

mod around;
mod bounds;

use std::process::{Output, Stdio};

use async_trait::async_trait;
use datafusion::{common::DataFusionError, prelude::SessionContext};
use datafusion_postgres::{arrow_pg::datatypes::into_pg_type, pgwire::api::Type};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tiphys_api::auth::UserInfo;
use tokio::process::Command;

use super::*;
use crate::{
    sql::{
        Asker, Batches, Extension, counted,
        tests::{ByName, World},
    },
    tables::{decision_rows, decisions_schema},
};

/// A token names its user; that is all these tests need of tokens.
struct Named;

#[async_trait]
impl Credentials for Named {
    async fn token(&self, token: &str) -> Result<UserInfo, String> {
        match token.strip_prefix("token-of-") {
            Some(name) => Ok(UserInfo::named(name, &[])),
            None => Err("no token that the cluster knows".to_owned()),
        }
    }

    async fn certificate(&self, _: &CertificateDer<'_>) -> Result<UserInfo, String> {
        Err("no certificate is known".to_owned())
    }
}

/// A table that says only once its rows are read that it lacks some.
struct Late;

impl Extension for Late {
    fn register(&self, session: &SessionContext, asker: &Asker) -> Result<(), DataFusionError> {
        let notes = asker.notes.clone();
        let rows = move |_, _| -> Result<Batches, DataFusionError> {
            let decision = Arc::new(tiphys_api::decisions::Decision::default());
            let rows = decision_rows(&[decision])?;
            let notes = notes.clone();
            let ends = std::iter::from_fn(move || {
                notes.add("the other half is missing".to_owned());
                None
            });
            Ok(Box::new(std::iter::once(Ok(rows)).chain(ends)))
        };
        session.register_table("late", counted(decisions_schema(), rows)).map(drop)
    }
}

/// A door that listens.
pub struct Served {
    world: World,
    port: u16,
}

impl Served {
    async fn new() -> Self {
        Self::within(Bounds::default())
    }

    fn within(bounds: Bounds) -> Self {
        let world = World::new();
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()).into();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("protocol versions")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .expect("a configuration");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("set");
        let listener = TcpListener::from_std(listener).expect("a listener");
        let port = listener.local_addr().expect("an address").port();
        let door = Door {
            engine: world.engine.clone().with(Arc::new(Late)),
            authorizer: Arc::new(ByName),
            credentials: Arc::new(Named),
            tls: Arc::new(tls),
        };
        serve_within(bounds, door, listener, &world.tasks);
        Self { world, port }
    }

    fn psql(&self, user: &str, options: &str) -> Command {
        let mut psql = Command::new("psql");
        psql.arg(format!("host=127.0.0.1 port={} user=me dbname=tiphys {options}", self.port))
            .args(["-X", "-v", "VERBOSITY=verbose"])
            .env("PGPASSWORD", format!("token-of-{user}"))
            .stdin(Stdio::null());
        psql
    }

    async fn ask(&self, user: &str, commands: &[&str]) -> Output {
        let mut psql = self.psql(user, "sslmode=require");
        psql.args(["-A", "-t"]);
        for command in commands {
            psql.args(["-c", command]);
        }
        psql.output().await.expect("psql is there: make setup")
    }

    async fn lines(&self, user: &str, commands: &[&str]) -> Vec<String> {
        let output = self.ask(user, commands).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{commands:?}: {said}");
        String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
    }

    async fn error(&self, user: &str, command: &str) -> String {
        let output = self.ask(user, &[command]).await;
        assert!(!output.status.success(), "{command} was answered");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }
}

#[tokio::test]
async fn psql_asks_and_lists() {
    let served = Served::new().await;
    let rows = served.lines("admin", &["select pod, count(*) from pod group by pod order by pod"]).await;
    assert_eq!(rows, ["bank-1|3", "shop-1|3"]);
    let listed = served.lines("admin", &[r"\dt"]).await.join("\n");
    assert!(listed.contains("public|container|") && listed.contains("public|pod|"), "{listed}");
    let columns = served.lines("admin", &[r"\d pod"]).await.join("\n");
    assert!(columns.contains("cpu_cores|double precision"), "{columns}");
    assert!(columns.contains("memory_working_set_bytes|bigint"), "{columns}");
    let databases = served.lines("admin", &[r"\l"]).await.join("\n");
    assert!(databases.contains("tiphys"), "{databases}");
    let connected = served.lines("admin", &[r"\conninfo"]).await.join("\n");
    assert!(connected.contains("\"tiphys\""), "{connected}");
    served.world.end().await;
}

#[tokio::test]
async fn figures_are_signed_numbers_to_psql_and_what_there_is_not_is_null() {
    let served = Served::new().await;
    let from = "from container where pod = 'shop-1' order by time limit 1";
    let more = format!("select memory_request_bytes - disk_write_bytes_total as less, pod {from}");
    assert_eq!(served.lines("admin", &[&more]).await, ["-4096|shop-1"]);
    let none = format!(
        "select memory_limit_asked_bytes is null, disk_write_bytes_total / cpu_limit_millicores {from}"
    );
    assert_eq!(served.lines("admin", &[&none]).await, ["t|"]);
    // It says so before a row comes, too.
    let asker = Asker::new(UserInfo::named("admin", &[]), Arc::new(ByName));
    let planned = served.world.engine.described(&more, &asker).await.expect("planned");
    assert_eq!(into_pg_type(planned.schema.field(0).data_type()).expect("a type"), Type::INT8);
    served.world.end().await;
}

#[tokio::test]
async fn psql_shows_what_columns_and_tables_say() {
    let served = Served::new().await;
    let columns = served.lines("admin", &[r"\d+ pod"]).await;
    let cpu = columns.iter().find(|line| line.starts_with("cpu_cores|")).expect("a column");
    let schema = crate::tables::usage::usage_schema(crate::memory::Level::Pod);
    let about = schema.field_with_name("cpu_cores").expect("a column").metadata()["description"].clone();
    assert!(about.len() > 8 && cpu.contains(&about), "{cpu}");
    let said = "select obj_description(oid, 'pg_class') from pg_class where relname = 'pod'";
    assert_eq!(served.lines("admin", &[said]).await, ["a Pod at a moment"]);
    let rows = "select d.description from pg_description d join pg_attribute a \
         on a.attrelid = d.objoid and a.attnum = d.objsubid \
         join pg_class c on c.oid = a.attrelid where c.relname = 'pod' and a.attname = 'cpu_cores'";
    // Twice in a connection: they are made anew for each.
    assert_eq!(served.lines("admin", &[rows, rows]).await, [about.as_str(), &about]);
    served.world.end().await;
}

#[tokio::test]
async fn psql_reads_a_large_answer_in_pieces() {
    let served = Served::new().await;
    let mut psql = served.psql("admin", "sslmode=require");
    psql.args(["-A", "-t", "-v", "FETCH_COUNT=700", "-c", "select value from generate_series(1, 20001)"]);
    let output = psql.output().await.expect("psql");
    let rows = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(rows.lines().map(|line| line.parse::<i32>().expect("a number")).eq(1..=20_001));
    let statements = [
        "begin",
        "declare \"C\" no scroll cursor for select value from generate_series(1, 5)",
        "declare kept cursor with hold for select 'kept'",
        "fetch 2 from \"C\"",
        "fetch next from \"C\"",
        "fetch forward all in \"C\"",
        "fetch 1 from \"C\"",
        "close \"C\"",
        "commit",
        "fetch all from KEPT",
        "close all",
    ];
    let said = served.lines("admin", &statements).await;
    let expected = [
        "BEGIN",
        "DECLARE CURSOR",
        "DECLARE CURSOR",
        "1",
        "2",
        "3",
        "4",
        "5",
        "CLOSE CURSOR",
        "COMMIT",
        "kept",
        "CLOSE CURSOR",
    ];
    assert_eq!(said, expected);
    served.world.end().await;
}

#[tokio::test]
async fn abuse_35_cursors_are_few_read_only_and_end_with_their_transaction() {
    let served = Served::new().await;
    let long = "cursor for select value from generate_series(1, 1000000000)";
    let mut statements = vec!["begin".to_owned()];
    for name in ["a", "b", "c", "d"] {
        statements.push(format!("declare {name} {long}"));
        statements.push(format!("fetch 3 from {name}"));
    }
    statements.push(format!("declare e {long}"));
    let statements: Vec<_> = statements.iter().map(String::as_str).collect();
    let refused = served.ask("admin", &statements).await;
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("53400"), "{said}");
    for (wrong, code) in [
        (&["fetch 1 from nothing"][..], "34000"),
        (&["declare a scroll cursor for select 1"], "0A000"),
        (&["declare a cursor for insert into pod select * from pod"], "0A000"),
        (&["begin", "declare a cursor for select 1", "declare a cursor for select 2"], "42P03"),
        (&["begin", "declare a cursor for select 1", "fetch backward 1 from a"], "55000"),
        (&["begin", "declare a cursor for select 1", "commit", "fetch 1 from a"], "34000"),
        (&["declare a cursor with hold for select 1", "discard all", "fetch 1 from a"], "34000"),
    ] {
        let refused = served.ask("admin", wrong).await;
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && said.contains(code), "{wrong:?}: {said}");
    }
    // Nobody who left leaves a statement behind.
    let ended = async {
        while served.world.engine.runner.running() > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), ended).await.expect("they end");
    served.world.end().await;
}

#[tokio::test]
async fn a_wrong_statement_has_a_code_a_place_and_a_hint() {
    let served = Served::new().await;
    let error = served.error("admin", "select node,\n cpu_core from pod").await;
    assert!(error.contains("42703") && error.contains("LINE 2:  cpu_core from pod"), "{error}");
    assert!(error.contains("did you mean cpu_cores?"), "{error}");
    let error = served.error("admin", "select * from contaner").await;
    assert!(error.contains("42P01") && error.contains("did you mean container?"), "{error}");
    let error = served.error("admin", "select frm from").await;
    assert!(error.contains("42601"), "{error}");
    served.world.end().await;
}

#[tokio::test]
async fn abuse_29_a_connection_is_its_users_and_read_only() {
    let served = Served::new().await;
    assert_eq!(served.lines("bank", &["select distinct namespace from container"]).await, ["bank"]);
    assert_eq!(served.lines("bank", &["select count(*) from node"]).await, ["0"]);
    for statement in [
        "create table x as select 1",
        "drop table pod",
        "copy pod to '/tmp/x.csv'",
        "insert into pod select * from pod",
        "create external table x stored as csv location '/etc/passwd'",
        "select * from 'file:///etc/passwd'",
        "set datafusion.runtime.memory_limit = '100G'",
    ] {
        served.error("admin", statement).await;
    }
    let mut intruder = served.psql("admin", "sslmode=require");
    let refused =
        intruder.env("PGPASSWORD", "guessed").args(["-c", "select 1"]).output().await.expect("psql");
    assert!(!refused.status.success());
    // Without TLS no password is asked for.
    let refused =
        served.psql("admin", "sslmode=disable").args(["-c", "select 1"]).output().await.expect("psql");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("TLS is required"), "{said}");
    served.world.end().await;
}

#[tokio::test]
async fn who_asks_is_whose_token_it_is_whatever_name_the_client_sends() {
    let served = Served::new().await;
    for user in ["bank", "system:serviceaccount:shop:default"] {
        let statements = [
            "select current_user",
            "select CURRENT_USER as me",
            "select session_user",
            "select user",
            // Among words of the catalog, which are put into others.
            "select current_user from pg_catalog.pg_class where relname = 'pod'",
            // Whose a table is, as psql lists it: a column's number, then one that is written.
            "select pg_catalog.pg_get_userbyid(relowner) from pg_catalog.pg_class where relname = 'pod'",
            "select pg_get_userbyid(10)",
        ];
        assert_eq!(served.lines(user, &statements).await, [user; 7]);
        assert_eq!(served.lines(user, &["select pg_get_userbyid(null) is null"]).await, ["t"]);
        let rows = served.lines(user, &["select 'rows' where current_user = session_user"]).await;
        assert_eq!(rows, ["rows"]);
    }
    assert_eq!(served.lines("bank", &["select current_catalog"]).await, ["tiphys"]);
    let mut psql = served.psql("bank", "sslmode=require");
    let output = psql.args(["-A", "-c", "select current_user"]).output().await.expect("psql");
    assert!(output.stdout.starts_with(b"current_user\nbank\n"), "{output:?}");
    served.world.end().await;
}

#[tokio::test]
async fn what_is_found_missing_while_rows_are_read_is_a_notice_behind_them() {
    let served = Served::new().await;
    let output = served.ask("admin", &["select count(*) from late", "select 1"]).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1\n1\n", "{said}");
    assert_eq!(said.matches("NOTICE:  01000: the other half is missing").count(), 1, "{said}");
    served.world.end().await;
}

/// Runs until it is ended.
const ENDLESS: &str =
    "with recursive t(n) as (select 1 union all select n + 1 from t) select count(*) from t";

#[tokio::test]
async fn abuse_35_a_timeout_and_a_cancel_end_a_statement() {
    let served = Served::new().await;
    let late = served.ask("admin", &["set statement_timeout = '300ms'", ENDLESS]).await;
    let said = String::from_utf8_lossy(&late.stderr);
    assert!(!late.status.success() && said.contains("57014"), "{said}");
    let is_running = async |wanted: bool| {
        let until = async {
            while (served.world.engine.runner.running() > 0) != wanted {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(120), until).await.is_ok()
    };
    // Else the next one would seem to run before psql has asked for it, and psql cancels nothing.
    assert!(is_running(false).await, "the late statement ends");
    let mut psql = served
        .psql("admin", "sslmode=require")
        .args(["-c", ENDLESS])
        .stderr(Stdio::piped())
        .spawn()
        .expect("psql");
    assert!(is_running(true).await, "it runs");
    let pid = psql.id().expect("it runs").to_string();
    Command::new("kill").args(["-INT", &pid]).status().await.expect("kill");
    let ended = tokio::time::timeout(Duration::from_secs(120), psql.wait()).await.expect("psql ends");
    assert!(!ended.expect("a status").success());
    assert!(is_running(false).await, "the statement ends too");
    served.world.end().await;
}
