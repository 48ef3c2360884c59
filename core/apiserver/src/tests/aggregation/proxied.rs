//! What goes through to an extension server, as whom, and what comes back.

use http::{Request, Response};
use serde_json::json;
use tiphys_api::{
    auth::UserInfo,
    serve::{Body, empty, full},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    aggregated,
    extension::{Extension, GROUP_VERSION, NAME, SERVICES, WARES},
    group_names, reaching,
};
use crate::{
    pki::{client_tls, server_tls},
    tests::harness::{Answer, Harness, LIMIT, MAPS, read},
};

fn jane() -> UserInfo {
    let extra = [("acme.com/team".to_owned(), vec!["a".to_owned(), "b".to_owned()])].into();
    UserInfo { uid: "7".into(), extra, ..UserInfo::named("jane", &["dev"]) }
}

/// Jane may do everything with wares, and nothing else.
async fn let_jane_in(api: &Harness) {
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let role = json!({ "metadata": { "name": "wares" }, "rules": [
        { "apiGroups": ["wares.example"], "resources": ["*"], "verbs": ["*"] }] });
    api.post(&format!("{rbac}/clusterroles"), &role).await.expect(201);
    let binding = json!({ "metadata": { "name": "wares" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "wares" },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane" }] });
    api.post(&format!("{rbac}/clusterrolebindings"), &binding).await.expect(201);
    // The table of rights follows its watch.
    api.eventually(|| async { as_jane(api, Request::get(format!("{WARES}/x"))).await.code != 403 }).await;
}

async fn as_jane(api: &Harness, request: http::request::Builder) -> Answer {
    read(api.send_as(jane(), request.body(empty()).expect("a request")).await).await
}

#[tokio::test]
async fn requests_go_through_with_the_users_identity() {
    let api = reaching().await;
    let server = Extension::start(&api).await;
    server.register(&api).await;
    as_jane(&api, Request::get(WARES)).await.refused(403, "Forbidden");
    assert!(server.asked().is_empty(), "who may not is not passed on");
    let_jane_in(&api).await;

    let list = as_jane(&api, Request::get(format!("{WARES}?limit=5&labelSelector=a%3Db"))).await.expect(200);
    assert_eq!(list["kind"], "WareList");
    let asked = server.asked().pop().expect("a request");
    assert_eq!(
        (asked.method.as_str(), asked.uri.as_str()),
        ("GET", &*format!("{WARES}?limit=5&labelSelector=a%3Db"))
    );
    assert_eq!(asked.certified.as_deref(), Some("front-proxy-client"));
    assert_eq!(asked.all("x-remote-user"), ["jane"]);
    assert_eq!(asked.all("x-remote-uid"), ["7"]);
    assert_eq!(asked.all("x-remote-group"), ["dev", "system:authenticated"]);
    assert_eq!(asked.all("x-remote-extra-acme.com%2fteam"), ["a", "b"]);
    assert_eq!(asked.all("host"), ["wares.default.svc"]);

    let request = Request::post(WARES).header("content-type", "application/json");
    let request = request.body(full("{\"kind\":\"Ware\"}")).expect("a request");
    let made = read(api.send_as(jane(), request).await).await.expect(201);
    assert_eq!(made, json!({ "kind": "Ware" }));
    assert_eq!(server.asked().pop().expect("a request").body, "{\"kind\":\"Ware\"}");
    let message = as_jane(&api, Request::get(format!("{WARES}/b"))).await.refused(404, "NotFound");
    assert_eq!(message, "no such ware", "its own words come back");

    let mut events = api.watch(&format!("{WARES}?watch=true")).await;
    assert_eq!(events.event().await, ("ADDED".to_owned(), "a".to_owned()));
}

#[tokio::test]
async fn an_extension_server_is_seen_in_discovery() {
    let api = reaching().await;
    let server = Extension::start(&api).await;
    server.register(&api).await;
    let looked = server.looked_at().remove(0);
    assert_eq!(
        (looked.all("x-remote-user"), looked.all("x-remote-group")),
        (vec!["system:kube-aggregator"], vec!["system:masters"])
    );
    let groups = group_names(&api).await;
    assert_eq!(groups.last().map(String::as_str), Some("wares.example"), "{groups:?}");
    let group = api.get("/apis/wares.example").await.expect(200);
    assert_eq!(group["preferredVersion"]["groupVersion"], "wares.example/v1");
    let plain = api.get(GROUP_VERSION).await.expect(200);
    assert_eq!(plain["resources"][0]["shortNames"], json!(["wa"]));
    let version = aggregated(&api, "wares.example").await.expect("a version");
    assert_eq!(version["freshness"], "Current");
    assert_eq!(
        version["resources"],
        json!([{ "resource": "wares", "singularResource": "ware", "scope": "Namespaced", "shortNames": ["wa"],
            "responseKind": { "group": "wares.example", "version": "v1", "kind": "Ware" },
            "verbs": ["create", "get", "list", "watch"] }])
    );

    let index = async || api.get("/openapi/v3").await.expect(200)["paths"]["apis/wares.example/v1"].clone();
    api.eventually(|| async { !index().await.is_null() }).await;
    let url = index().await["serverRelativeURL"].as_str().expect("a URL").to_owned();
    assert_eq!(url, "/openapi/v3/apis/wares.example/v1?hash=W1");
    assert_eq!(api.get(&url).await.expect(200)["mark"], "wares");
    let has_wares = async || api.get("/openapi/v2").await.expect(200)["paths"][WARES].is_object();
    api.eventually(has_wares).await;
    let merged = api.get("/openapi/v2").await.expect(200);
    assert!(
        merged["definitions"]["example.Ware"].is_object() && merged["definitions"]["example.Other"].is_null()
    );
    assert!(merged["paths"]["/api/v1/namespaces/{namespace}/pods"].is_object());

    api.delete(&format!("{SERVICES}/{NAME}")).await.expect(200);
    api.gone("/apis/wares.example").await;
    api.gone(GROUP_VERSION).await;
    api.gone(WARES).await;
    api.eventually(|| async { !has_wares().await && index().await.is_null() }).await;
}

/// Enters as a client from outside does.
async fn enter(api: &Harness, path: &str, headers: &[(&str, &str)]) -> Response<Body> {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    api.server.enter(None, request.body(empty()).expect("a request")).await
}

#[tokio::test]
async fn abuse_05_what_clients_say_of_themselves_is_not_passed_on() {
    let api = reaching().await;
    let server = Extension::start(&api).await;
    server.register(&api).await;
    let headers = [
        ("authorization", "Bearer secret"),
        ("cookie", "session=1"),
        ("x-remote-user", "root"),
        ("x-remote-uid", "0"),
        ("x-remote-group", "forged"),
        ("x_remote_group", "forged"),
        ("x-remote-extra-forged", "forged"),
        ("connection", "x-remote-user, x-remote-group"),
    ];
    assert_eq!(enter(&api, WARES, &headers).await.status(), 200);
    let asked = server.asked().pop().expect("a request");
    assert_eq!(asked.all("x-remote-user"), ["admin"]);
    assert_eq!(asked.all("x-remote-group"), ["system:masters", "system:authenticated"]);
    for gone in
        ["authorization", "cookie", "x-remote-uid", "x_remote_group", "x-remote-extra-forged", "connection"]
    {
        assert!(asked.all(gone).is_empty(), "{gone}: {asked:?}");
    }
    // Who acts as another is passed on as that one, and never by the headers that ask for it.
    let headers = [
        ("authorization", "Bearer secret"),
        ("impersonate-user", "jane"),
        ("impersonate-group", "system:masters"),
    ];
    assert_eq!(enter(&api, WARES, &headers).await.status(), 200);
    let asked = server.asked().pop().expect("a request");
    assert_eq!(asked.all("x-remote-user"), ["jane"]);
    assert!(asked.headers.keys().all(|name| !name.as_str().starts_with("impersonate")), "{asked:?}");
    let before = server.asked().len();
    assert_eq!(enter(&api, WARES, &[("x-remote-user", "admin")]).await.status(), 403);
    assert_eq!(server.asked().len(), before);
    // The certificate that extension servers believe is worth nothing here.
    assert_eq!(
        enter(&api, MAPS, &[("x-remote-user", "admin"), ("x-remote-group", "system:masters")]).await.status(),
        403
    );
}

#[tokio::test]
async fn abuse_11_a_redirect_is_neither_followed_nor_told() {
    let api = reaching().await;
    let server = Extension::start(&api).await;
    server.register(&api).await;
    let answer = api.get(&format!("{WARES}/elsewhere")).await;
    assert!(!answer.text.contains("secret") && !answer.headers.contains_key("location"), "{answer:?}");
    answer.refused(502, "BadGateway");
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn upgrades_go_through_to_both_ends() {
    let api = reaching().await;
    let server = Extension::start(&api).await;
    server.register(&api).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let identity = api.pki.server("kube-apiserver", &["127.0.0.1".into()]).expect("a certificate");
    api.server.serve(listener, server_tls(&identity, Some(api.pki.ca_pem())).expect("a configuration"));
    let connector =
        tokio_rustls::TlsConnector::from(client_tls(api.pki.ca_pem(), None).expect("a configuration"));
    let open = async |path: &str| {
        let stream = tokio::net::TcpStream::connect(address).await.expect("a connection");
        let mut stream = connector.connect(address.ip().into(), stream).await.expect("a session");
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: shell/1\r\nAuthorization: Bearer secret\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("a head"));
        }
        (String::from_utf8(head).expect("text").to_ascii_lowercase(), stream)
    };
    let work = async {
        let (head, mut stream) = open(&format!("{WARES}/a/shell")).await;
        assert!(head.starts_with("http/1.1 101") && head.contains("upgrade: shell/1"), "{head}");
        stream.write_all(b"hello").await.expect("sent");
        let mut echo = [0; 5];
        stream.read_exact(&mut echo).await.expect("an echo");
        assert_eq!(&echo, b"HELLO");
        let asked = server.asked().pop().expect("a request");
        assert_eq!((asked.all("x-remote-user"), asked.all("upgrade")), (vec!["admin"], vec!["shell/1"]));
        assert!(asked.all("authorization").is_empty());
        // A refused one is an answer like any other, and the end of the connection.
        let (head, _) = open(&format!("{WARES}/a")).await;
        assert!(head.starts_with("http/1.1 404") && head.contains("connection: close"), "{head}");
    };
    tokio::time::timeout(LIMIT, work).await.expect("answers in time");
}
