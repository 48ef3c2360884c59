//! The doors behind the real API server: its tokens, certificates and rights, asked by
//! drivers of PyPI.

use std::{path::Path, process::Output, sync::Arc};

use tiphys_apiserver::pki::server_tls;
use tiphys_metrics::Decisions;
use tokio::process::Command;

use super::*;
use crate::{object_tables::ObjectTables, roles::test_server::TestServer};

struct Served {
    server: TestServer,
    port: u16,
}

impl Served {
    async fn new() -> Self {
        let server = TestServer::start().await;
        let path = server.folder.path().join("decisions");
        let decisions = Decisions::open(path, &server.tasks).expect("opened");
        let objects = Arc::new(ObjectTables::new(server.api.clone()));
        let engine = Engine::new(Arc::default(), decisions, vec![objects]);
        let identity = server.pki.server("kube-apiserver", &["127.0.0.1".into()]).expect("a certificate");
        let tls = server_tls(&identity, Some(server.pki.ca_pem())).expect("a TLS configuration");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        postgres(&server.api, engine, tls, listener, &server.tasks);
        std::fs::write(server.folder.path().join("ca.pem"), server.pki.ca_pem()).expect("written");
        Self { server, port }
    }

    async fn psql(&self, more: &str, password: &str, statement: &str) -> Output {
        let folder = self.server.folder.path().display();
        let target = format!(
            "host=127.0.0.1 port={} user=me dbname=tiphys sslmode=verify-full sslrootcert={folder}/ca.pem {more}",
            self.port
        );
        let mut psql = Command::new("psql");
        psql.arg(target).args(["-X", "-A", "-t", "-c", statement]).env("PGPASSWORD", password);
        psql.output().await.expect("psql is there: make setup")
    }
}

fn said(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    (text(&output.stdout), text(&output.stderr))
}

fn write_private(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).expect("written");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("set");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn abuse_29_users_are_those_of_the_api_server() {
    let served = Served::new().await;
    let count = "select count(*) from objects.namespaces where name = 'default'";
    assert_eq!(said(&served.psql("", "secret", count).await).0, "1");
    assert_eq!(said(&served.psql("", "plain", count).await).0, "0");
    for password in ["wrong", ""] {
        let refused = served.psql("", password, count).await;
        assert!(!refused.status.success(), "{password:?}: {:?}", said(&refused));
    }
    // A certificate needs no password.
    let folder = served.server.folder.path();
    let identity = served.server.pki.client("root", Some("system:masters")).expect("a certificate");
    write_private(&folder.join("client.pem"), &identity.certificate_pem);
    write_private(&folder.join("client.key"), &identity.key_pem);
    let shown = format!("sslcert={0}/client.pem sslkey={0}/client.key", folder.display());
    let answer = said(&served.psql(&shown, "", count).await);
    assert_eq!(answer.0, "1", "{}", answer.1);
    served.server.end().await;
}

const DRIVER: &str = r#"
import datetime, os, psycopg, sqlalchemy
with psycopg.connect(os.environ["DSN"]) as c:
    rows = c.execute("select name, object->'metadata'->>'name' from objects.namespaces where name = %s", ("default",)).fetchall()
    assert rows == [("default", "default")], rows
    since = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1)
    rows = c.execute("select name, created from objects.namespaces where created > %s and name = %s", (since, "default"), prepare=True).fetchall()
    assert len(rows) == 1 and rows[0][1].tzinfo is not None, rows
    cursor = c.cursor(binary=True)
    found = cursor.execute("select value, value / 2.0 as h, 'x' as t, value > 1 as b from generate_series(1, 2)").fetchall()
    assert found == [(1, 0.5, "x", False), (2, 1.0, "x", True)], found
    assert [column.name for column in cursor.description] == ["value", "h", "t", "b"]
    try:
        c.execute("select nothing from objects.pods")
    except psycopg.errors.UndefinedColumn as error:
        assert error.diag.statement_position == "8", error.diag.statement_position
    else:
        raise SystemExit("an unknown column was answered")
    c.rollback()
    assert c.execute("select 1 as n").fetchone() == (1,)
url = sqlalchemy.URL.create("postgresql+psycopg", "me", os.environ["TOKEN"], "127.0.0.1", int(os.environ["PORT"]), "tiphys", {"sslmode": "require"})
with sqlalchemy.create_engine(url).connect() as c:
    asked = sqlalchemy.text("select count(*) from objects.namespaces where name = :name")
    assert c.execute(asked, {"name": "kube-system"}).scalar() == 1
print("done")
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_driver_prepares_and_binds() {
    let served = Served::new().await;
    let python = tokio::task::spawn_blocking(tiphys_tests::clients::drivers).await.expect("asked");
    let mut driver = Command::new(python.expect("a Python with drivers"));
    driver.args(["-c", DRIVER]).env("PORT", served.port.to_string()).env("TOKEN", "secret");
    driver.env(
        "DSN",
        format!("host=127.0.0.1 port={} user=me password=secret dbname=tiphys sslmode=require", served.port),
    );
    let output = driver.output().await.expect("Python runs");
    let (done, errors) = said(&output);
    assert_eq!(done, "done", "{errors}");
    served.server.end().await;
}
