//! The API's objects in SQL, over a real API server and its rights.

use std::{convert::Infallible, sync::Arc, time::Duration};

use serde_json::{Value, json};
use tiphys_api::{
    auth::{Attributes, UserInfo},
    serve::{Body, Handler, Mount, full},
};
use tiphys_apiserver::{MountedGroup, MountedResource};
use tiphys_client::in_memory;
use tiphys_metrics::{Asker, Decisions, Engine, Format};

use super::ObjectTables;
use crate::roles::test_server::TestServer;

async fn create(client: &kube::Client, path: &str, object: Value) {
    let request = http::Request::post(path)
        .header("content-type", "application/json")
        .body(serde_json::to_vec(&object).expect("JSON"))
        .expect("a request");
    client.request::<Value>(request).await.expect("created");
}

/// Who may list ConfigMaps in `bank`, and nothing else.
fn ada() -> UserInfo {
    UserInfo::named("ada", &[])
}

struct World {
    served: TestServer,
    engine: Engine,
}

impl World {
    async fn new() -> Self {
        let served = TestServer::start().await;
        let client = in_memory(served.api.handler(), UserInfo::master("admin"));
        for namespace in ["shop", "bank"] {
            let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
            create(&client, "/api/v1/namespaces", object).await;
            for name in ["one", "two"] {
                let object = json!({
                    "apiVersion": "v1", "kind": "ConfigMap",
                    "metadata": {"name": name, "labels": {"app": namespace}},
                    "data": {"answer": "42", "nested": "{}"},
                });
                create(&client, &format!("/api/v1/namespaces/{namespace}/configmaps"), object).await;
            }
            let object = json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "key"}, "stringData": {"a": "b"},
            });
            create(&client, &format!("/api/v1/namespaces/{namespace}/secrets"), object).await;
        }
        let role = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "reader"},
            "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}],
        });
        create(&client, "/apis/rbac.authorization.k8s.io/v1/namespaces/bank/roles", role).await;
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "reader"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "ada"}],
        });
        create(&client, "/apis/rbac.authorization.k8s.io/v1/namespaces/bank/rolebindings", binding).await;
        // The authorizer hears of roles by a watch.
        let asked = Attributes::core("list", "configmaps", "bank");
        let allowed = async {
            while served.api.authorizer().authorize(&ada(), &asked).is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(120), allowed).await.expect("a binding that counts");
        let decisions =
            Decisions::open(served.folder.path().join("decisions"), &served.tasks).expect("opened");
        let tables = Arc::new(ObjectTables::new(served.api.clone()));
        let engine = Engine::new(Arc::default(), decisions, vec![tables]);
        Self { served, engine }
    }

    async fn ask(&self, user: UserInfo, statement: &str) -> (String, Vec<String>) {
        let asker = Asker::new(user, self.served.api.authorizer());
        let answer = self.engine.answer(statement, Format::Csv, asker).await.expect("answered");
        (answer.text, answer.notes)
    }

    async fn admin(&self, statement: &str) -> String {
        self.ask(UserInfo::master("admin"), statement).await.0
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_are_rows() {
    let world = World::new().await;
    let statement = "select namespace, name, labels['app'] as app, object->'data'->>'answer' as answer \
        from objects.configmaps where namespace in ('shop', 'bank') and name = 'one' order by 1";
    assert_eq!(
        world.admin(statement).await,
        "namespace,name,app,answer\nbank,one,bank,42\nshop,one,shop,42\n"
    );
    let statement = "select count(*) as n from objects.configmaps where created > now() - interval '1 hour' and namespace = 'shop'";
    assert_eq!(world.admin(statement).await, "n\n2\n");
    let statement = "select kind from (select object->'roleRef'->>'name' as kind from objects.rolebindings where namespace = 'bank')";
    assert_eq!(world.admin(statement).await, "kind\nreader\n");
    let listed =
        world.admin("select table_name from information_schema.tables where table_schema = 'objects'").await;
    for name in ["pods", "deployments", "customresourcedefinitions"] {
        assert!(listed.lines().any(|line| line == name), "{name}: {listed}");
    }
    world.served.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn custom_kinds_are_tables_as_soon_as_they_are_served() {
    let world = World::new().await;
    let client = in_memory(world.served.api.handler(), UserInfo::master("admin"));
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "x-kubernetes-preserve-unknown-fields": true,
            }}}],
        },
    });
    create(&client, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition).await;
    let served = async {
        while !world.served.api.kinds().iter().any(|kind| kind.plural == "widgets") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), served).await.expect("served");
    let widget = json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"size": 7}});
    create(&client, "/apis/example.com/v1/namespaces/shop/widgets", widget).await;
    let statement = "select name, object#>>'{spec,size}' as size from objects.widgets";
    assert_eq!(world.admin(statement).await, "name,size\nw,7\n");
    world.served.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn abuse_29_objects_are_those_that_the_user_may_list() {
    let world = World::new().await;
    let (rows, notes) = world.ask(ada(), "select namespace, name from objects.configmaps order by 2").await;
    assert_eq!(rows, "namespace,name\nbank,one\nbank,two\n");
    assert!(notes.iter().any(|note| note.contains("only namespaces where you may list")), "{notes:?}");
    for statement in [
        "select name from objects.secrets",
        "select name from objects.secrets where namespace = 'bank'",
        "select name from objects.configmaps where namespace = 'shop'",
        "select name from objects.namespaces",
        "select name from objects.configmaps where namespace = '../shop' and name = 'one'",
    ] {
        assert_eq!(world.ask(ada(), statement).await.0, "name\n", "{statement}");
    }
    assert_eq!(world.admin("select count(*) as n from objects.secrets where name = 'key'").await, "n\n2\n");
    world.served.end().await;
}

/// Has a group answered by another part: with objects, or not at all.
fn announce(served: &TestServer, group: &'static str, plural: &'static str, items: Option<Value>) {
    let handler = Handler::new(tower::service_fn(move |_: http::Request<Body>| {
        let (code, body) = match &items {
            Some(items) => (200_u16, json!({"kind": "List", "items": items})),
            None => (503, json!({"kind": "Status", "message": "nobody is there"})),
        };
        let response = http::Response::builder().status(code).body(full(body.to_string()));
        async move { Ok::<_, Infallible>(response.expect("a response")) }
    }));
    served.api.mount(Mount { prefix: format!("/apis/{group}/v1beta1"), handler });
    let resource = MountedResource {
        name: plural,
        singular: "",
        kind: "Other",
        namespaced: true,
        verbs: &["get", "list"],
        short_names: &[],
    };
    served.api.announce(MountedGroup { group, version: "v1beta1", resources: vec![resource] });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_answer_has_tables_and_fails_only_where_it_is_asked_for() {
    let world = World::new().await;
    let of = |name: &str, cpu: &str| json!({"metadata": {"name": name, "namespace": "shop"}, "usage": {"cpu": cpu}});
    announce(&world.served, "metrics.k8s.io", "pods", Some(json!([of("web", "3m"), of("db", "5m")])));
    announce(&world.served, "flunders.example", "flunders", Some(Value::Null));
    announce(&world.served, "away.example", "ships", None);
    let metrics = r#"objects."pods.metrics.k8s.io""#;
    let statement = format!("select name, object->'usage'->>'cpu' as cpu from {metrics} order by 1");
    assert_eq!(world.admin(&statement).await, "name,cpu\ndb,5m\nweb,3m\n");
    // Whoever answers need not know how to choose.
    assert_eq!(world.admin(&format!("select name from {metrics} where name = 'web'")).await, "name\nweb\n");
    assert_eq!(world.admin("select name from objects.flunders").await, "name\n");
    assert_eq!(world.admin("select count(*) as n from objects.pods").await, "n\n0\n");
    let asker = Asker::new(UserInfo::master("admin"), world.served.api.authorizer());
    let away = world.engine.answer("select name from objects.ships", Format::Csv, asker).await;
    assert_eq!(away.expect_err("nobody answers").to_string(), "nobody is there");
    let statement = "select count(*) as n from objects.configmaps where name = 'one'";
    assert_eq!(world.admin(statement).await, "n\n2\n");
    let statement = "select table_name from information_schema.tables where table_schema = 'objects' \
        and table_name in ('pods', 'pods.metrics.k8s.io', 'ships', 'flunders') order by 1";
    assert_eq!(world.admin(statement).await, "table_name\nflunders\npods\npods.metrics.k8s.io\nships\n");
    world.served.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn abuse_29_what_others_answer_is_for_those_who_may_list_it() {
    let world = World::new().await;
    let item = json!({"metadata": {"name": "web", "namespace": "bank"}});
    announce(&world.served, "metrics.k8s.io", "pods", Some(json!([item])));
    for statement in [
        r#"select name from objects."pods.metrics.k8s.io""#,
        r#"select name from objects."pods.metrics.k8s.io" where namespace = 'bank'"#,
    ] {
        let (rows, notes) = world.ask(ada(), statement).await;
        assert_eq!(rows, "name\n", "{statement}");
        assert!(notes.iter().any(|note| note.contains("only namespaces where you may list")), "{notes:?}");
    }
    world.served.end().await;
}
