//! The API's objects in SQL, over a real API server and its rights.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use tiphys_api::auth::{Attributes, UserInfo};
use tiphys_client::in_memory;
use tiphys_metrics::{Asker, Decisions, Engine, Format};

use super::ObjectTables;
use crate::roles::test_server::TestServer;

async fn create(client: &kube::Client, path: &str, object: serde_json::Value) {
    let request = http::Request::post(path)
        .header("content-type", "application/json")
        .body(serde_json::to_vec(&object).expect("JSON"))
        .expect("a request");
    client.request::<serde_json::Value>(request).await.expect("created");
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
        tokio::time::timeout(Duration::from_secs(60), allowed).await.expect("a binding that counts");
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
    tokio::time::timeout(Duration::from_secs(60), served).await.expect("served");
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
