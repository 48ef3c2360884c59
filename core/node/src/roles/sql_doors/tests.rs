//! The doors behind the real API server: its tokens, certificates and rights, asked by
//! drivers of PyPI.

use std::{path::Path, process::Output, sync::Arc};

use tiphys_metrics::{Decisions, sql_mounts};
use tokio::process::Command;

use super::*;
use crate::{object_tables::ObjectTables, roles::test_server::TestServer};

struct Served {
    server: TestServer,
    port: u16,
    api_port: u16,
}

impl Served {
    async fn new() -> Self {
        let server = TestServer::start().await;
        let path = server.folder.path().join("decisions");
        let decisions = Decisions::open(path, &server.tasks).expect("opened");
        let objects = Arc::new(ObjectTables::new(server.api.clone()));
        let engine = Engine::new(Arc::default(), decisions, vec![objects]);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        for mount in sql_mounts(engine.clone(), server.api.authorizer()) {
            server.api.mount(mount);
        }
        let served = server.serve().await;
        postgres(&server.api, engine, served.tls, listener, &server.tasks);
        std::fs::write(server.folder.path().join("ca.pem"), server.pki.ca_pem()).expect("written");
        Self { server, port, api_port: served.address.port() }
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
    for binary in [False, True]:
        with c.cursor("pages", binary=binary) as pages:
            pages.itersize = 1000
            pages.execute("select value as n, 'x' as t from generate_series(1, 25000) where value > %s order by n", (5000,))
            assert [column.name for column in pages.description] == ["n", "t"], pages.description
            assert pages.fetchone() == (5001, "x")
            assert sum(row[0] for row in pages) == sum(range(5002, 25001))
    c.rollback()
notices = []
with psycopg.connect(os.environ["DSN"].replace("password=secret", "password=plain")) as c:
    c.add_notice_handler(lambda notice: notices.append(notice.message_primary))
    assert c.execute("select count(*) from objects.secrets where name <> %s", ("x",)).fetchone() == (0,)
assert notices == ["objects.secrets: only namespaces where you may list secrets are in this answer"], notices
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

const FLIGHT: &str = r#"
import base64, os, ssl, urllib.error, urllib.request
import pyarrow.flight
import adbc_driver_flightsql.dbapi as flight
from adbc_driver_flightsql import DatabaseOptions
from adbc_driver_manager import Error
with open(os.environ["CA"]) as file:
    authority = file.read()
place = "127.0.0.1:" + os.environ["PORT"]
def opened(**options):
    options[DatabaseOptions.TLS_ROOT_CERTS.value] = authority
    return flight.connect("grpc+tls://" + place, db_kwargs=options, autocommit=True)
def connect(token):
    return opened(**{DatabaseOptions.AUTHORIZATION_HEADER.value: "Bearer " + token})
def sign_in(password, name="anybody"):
    return opened(username=name, password=password)
with connect("secret") as c, c.cursor() as cursor:
    cursor.execute("select value as n, 'x' as t from generate_series(1, 100000)")
    table = cursor.fetch_arrow_table()
    assert table.num_rows == 100000 and table.column_names == ["n", "t"], table.schema
    cursor.execute("select name from objects.namespaces where name = $1", parameters=("default",))
    assert cursor.fetchall() == [("default",)]
    kinds = c.adbc_get_objects(depth="tables").read_all().to_pylist()
    schemas = {schema["db_schema_name"]: [table["table_name"] for table in schema["db_schema_tables"]] for schema in kinds[0]["catalog_db_schemas"]}
    assert "pod" in schemas["public"] and "pods" in schemas["objects"], schemas.keys()
    assert c.adbc_get_info()["vendor_name"] == "Tiphys"
    assert c.adbc_get_table_types() == ["TABLE"]
    names = c.adbc_get_table_schema("pod").names
    assert "cpu_cores" in names, names
    for statement in ["select nothing from pod", "drop table pod", "select * from 'file:///etc/passwd'"]:
        try:
            cursor.execute(statement)
        except Error as error:
            assert "INVALID_ARGUMENT" in str(error) or "InvalidArgument" in str(error), error
        else:
            raise SystemExit(statement + " was answered")
count = "select count(*) from objects.namespaces where name = 'default'"
for way in [connect, sign_in, lambda password: sign_in(password, "")]:
    for token, seen in [("secret", 1), ("plain", 0)]:
        with way(token) as c, c.cursor() as cursor:
            for _ in range(2):
                cursor.execute(count)
                assert cursor.fetchall() == [(seen,)], (way, token)
refused = 0
for way, token in [(connect, "wrong"), (sign_in, "wrong"), (sign_in, ""), (sign_in, "Bearer secret")]:
    try:
        with way(token) as c, c.cursor() as cursor:
            cursor.execute("select 1")
    except Error:
        refused += 1
assert refused == 4, refused
# The other library pads what it encodes.
client = pyarrow.flight.FlightClient("grpc+tls://" + place, tls_root_certs=authority)
for password in ["secret", "plain", "wrong", "x"]:
    try:
        shown = client.authenticate_basic_token("me", password)
        assert shown == (b"authorization", b"Bearer " + password.encode()), shown
    except pyarrow.flight.FlightUnauthenticatedError:
        assert password in ["wrong", "x"]
    else:
        assert password in ["secret", "plain"]
# A password counts for Flight only.
context = ssl.create_default_context(cadata=authority)
basic = "Basic " + base64.b64encode(b"me:secret").decode()
for path, body in [("/api/v1/namespaces", None), ("/tiphys/v1/sql", b'{"sql":"select 1"}')]:
    for header, expected in [(basic, 403), ("Bearer secret", 200)]:
        headers = {"authorization": header, "content-type": "application/json"}
        request = urllib.request.Request("https://" + place + path, body, headers)
        try:
            status = urllib.request.urlopen(request, context=context).status
        except urllib.error.HTTPError as error:
            status = error.code
        assert status == expected, (path, header, status)
print("done")
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn adbc_asks_by_flight_sql() {
    let served = Served::new().await;
    let python = tokio::task::spawn_blocking(tiphys_tests::clients::drivers).await.expect("asked");
    let mut driver = Command::new(python.expect("a Python with drivers"));
    driver.args(["-c", FLIGHT]).env("PORT", served.api_port.to_string());
    driver.env("CA", served.server.folder.path().join("ca.pem"));
    let output = driver.output().await.expect("Python runs");
    let (done, errors) = said(&output);
    assert_eq!(done, "done", "{errors}");
    served.server.end().await;
}
