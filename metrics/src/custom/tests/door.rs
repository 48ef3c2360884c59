//! The doors as anybody's autoscaler and `kubectl get --raw` use them.

use http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::*;
use crate::{
    custom::{
        api::{CUSTOM, EXTERNAL, custom, external},
        listing::{Listing, Of},
    },
    memory::SILENT,
};

struct Door {
    world: World,
    routes: Router,
}

impl Door {
    async fn new() -> Self {
        Self::of(World::new().await)
    }

    fn of(world: World) -> Self {
        let routes = CUSTOM
            .map(|prefix| custom(prefix, world.metrics.clone(), world.pods.clone()))
            .into_iter()
            .fold(external(world.metrics.clone(), world.pods.clone()), Router::merge);
        Self { world, routes }
    }

    /// What the path is answered with below a version of custom metrics.
    async fn raw(&self, version: &str, path: &str) -> (StatusCode, serde_json::Value) {
        let prefix = if version == EXTERNAL {
            EXTERNAL.to_owned()
        } else {
            format!("/apis/custom.metrics.k8s.io/{version}")
        };
        let request = Request::get(format!("{prefix}{path}")).body(Body::empty()).expect("a request");
        let answer = self.routes.clone().oneshot(request).await.expect("an answer");
        let (head, body) = answer.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        (head.status, serde_json::from_slice(&body).expect("JSON"))
    }

    async fn get(&self, path: &str) -> (StatusCode, serde_json::Value) {
        self.raw("v1beta2", path).await
    }

    /// Name and value of each item.
    async fn values(&self, path: &str) -> Vec<(String, String)> {
        let (code, list) = self.get(path).await;
        assert_eq!(code, StatusCode::OK, "{path}: {list}");
        let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
        let items = list["items"].as_array().expect("items").iter();
        items.map(|item| (text(&item["describedObject"]["name"]), text(&item["value"]))).collect()
    }
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[tokio::test]
async fn an_object_is_described_as_the_api_knows_it() {
    let door = Door::new().await;
    for (label, name, value) in
        [("service", "web", 3.0), ("ingress", "front", 4.0), ("widget", "w", 5.0), ("deployment", "web", 6.0)]
    {
        door.world.gauge("orders", &[&[SHOP, (label, name)]], value);
    }
    for (resource, name, api_version, kind, value) in [
        ("services", "web", "v1", "Service", "3"),
        ("ingresses.networking.k8s.io", "front", "networking.k8s.io/v1", "Ingress", "4"),
        ("widgets.example.com", "w", "example.com/v1", "Widget", "5"),
        ("deployments.apps", "web", "apps/v1", "Deployment", "6"),
    ] {
        let (code, list) = door.get(&format!("/namespaces/shop/{resource}/{name}/orders")).await;
        assert_eq!((code, &list["kind"]), (StatusCode::OK, &json!("MetricValueList")), "{list}");
        let item = &list["items"][0];
        let described = json!({"apiVersion": api_version, "kind": kind, "namespace": "shop", "name": name});
        assert_eq!((&item["describedObject"], &item["value"]), (&described, &json!(value)), "{kind}");
        assert_eq!(item["metric"]["name"], "orders");
    }
    let (_, old) = door.raw("v1beta1", "/namespaces/shop/services/web/orders").await;
    assert_eq!(
        (&old["apiVersion"], &old["items"][0]["metricName"]),
        (&json!("custom.metrics.k8s.io/v1beta1"), &json!("orders"))
    );
    let (code, refused) = door.get("/namespaces/shop/services/db/orders").await;
    assert_eq!((code, &refused["reason"]), (StatusCode::NOT_FOUND, &json!("NotFound")));
    let message = refused["message"].as_str().expect("a message");
    assert!(message.starts_with("the server could not find the metric orders for Service db: "), "{message}");
    let (code, refused) = door.get("/namespaces/shop/moons.example.com/m/orders").await;
    assert_eq!(
        (code, &refused["message"]),
        (StatusCode::NOT_FOUND, &json!("the server has no resource moons.example.com"))
    );
}

#[tokio::test]
async fn all_of_a_kind_are_grouped_by_its_label_and_chosen_by_their_own() {
    let door = Door::new().await;
    for (service, lane, value) in [("web", "a", 1.0), ("web", "b", 2.0), ("db", "a", 4.0)] {
        door.world.gauge("orders", &[&[SHOP, ("service", service), ("lane", lane), ("pod", "web-1")]], value);
    }
    door.world.gauge("orders", &[&[BANK, ("service", "web")]], 50.0);
    door.world.gauge("orders", &[&[SHOP, ("pod", "db-1")]], 8.0);
    let both = [pair("db", "4"), pair("web", "3")];
    assert_eq!(door.values("/namespaces/shop/services/*/orders").await, both);
    for (query, expected) in [
        ("labelSelector=app%3Dweb", vec![pair("web", "3")]),
        ("labelSelector=app%21%3Dweb", vec![pair("db", "4")]),
        ("labelSelector=app%3Dnone", vec![]),
        ("metricLabelSelector=lane%3Da", vec![pair("db", "4"), pair("web", "1")]),
        ("labelSelector=app%3Dweb&metricLabelSelector=lane%3Db", vec![pair("web", "2")]),
    ] {
        let found = door.values(&format!("/namespaces/shop/services/*/orders?{query}")).await;
        assert_eq!(found, expected, "{query}");
    }
    let pods = door.values("/namespaces/shop/pods/*/orders?labelSelector=app%3Ddb-1").await;
    assert_eq!(pods, [pair("db-1", "8")]);
    let (code, _) = door.get("/namespaces/shop/services/*/moon").await;
    assert_eq!(code, StatusCode::NOT_FOUND);
    let (code, wrong) = door.get("/namespaces/shop/services/*/orders?labelSelector=a+b").await;
    assert_eq!((code, &wrong["reason"]), (StatusCode::BAD_REQUEST, &json!("BadRequest")));
}

#[tokio::test]
async fn nodes_and_namespaces_are_asked_for_outside_of_any() {
    let door = Door::new().await;
    door.world.node("n1", 2);
    door.world.node("n2", 1);
    door.world.gauge("orders", &[&[SHOP]], 3.0);
    door.world.gauge("orders", &[&[BANK]], 4.0);
    assert_eq!(door.values("/nodes/*/cpu").await, [pair("n1", "2"), pair("n2", "1")]);
    assert_eq!(door.values("/nodes/n1/cpu").await, [pair("n1", "2")]);
    door.world.memory.hush("n2", SILENT);
    assert_eq!(door.values("/nodes/*/cpu").await, [pair("n1", "2")], "n2 says nothing any more");
    assert_eq!(door.values("/namespaces/shop/metrics/orders").await, [pair("shop", "3")]);
    assert_eq!(door.values("/namespaces/*/metrics/orders").await, [pair("bank", "4"), pair("shop", "3")]);
    let (_, list) = door.get("/nodes/n1/cpu").await;
    let described = json!({"apiVersion": "v1", "kind": "Node", "name": "n1"});
    assert_eq!(list["items"][0]["describedObject"], described);
}

/// The right to a path in a namespace is one of that namespace.
#[tokio::test]
async fn abuse_29_a_path_in_a_namespace_shows_nothing_beside_it() {
    let door = Door::new().await;
    door.world.node("n1", 2);
    door.world.gauge("orders", &[&[BANK, ("service", "teller")]], 4.0);
    for path in [
        "/namespaces/shop/namespaces/bank/orders",
        "/namespaces/shop/nodes/n1/cpu",
        "/namespaces/shop/nodes/*/cpu",
        "/namespaces/bank/orders",
        "/namespaces/shop/services/teller/orders",
        "/namespaces/shop/services/*/orders",
        "/services/teller/orders",
    ] {
        let (code, answer) = door.get(path).await;
        assert_eq!(code, StatusCode::NOT_FOUND, "{path}: {answer}");
    }
}

#[tokio::test]
async fn discovery_tells_the_metrics_of_each_kind_that_has_some() {
    let door = Door::new().await;
    door.world.gauge("orders", &[&[SHOP, ("service", "web"), ("widget", "w")]], 1.0);
    door.world.counter("hits_total", &[&[SHOP, ("ingress", "front"), ("pod", "web-1")]], 1.0);
    let (code, told) = door.get("").await;
    assert_eq!((code, &told["kind"]), (StatusCode::OK, &json!("APIResourceList")));
    let entries = told["resources"].as_array().expect("resources");
    let namespaced = |name: &str| {
        let found = entries.iter().find(|entry| entry["name"] == name);
        found.map(|entry| entry["namespaced"].as_bool().expect("a scope"))
    };
    for (name, expected) in [
        ("services/orders", Some(true)),
        ("widgets.example.com/orders", Some(true)),
        ("namespaces/orders", Some(false)),
        ("ingresses.networking.k8s.io/hits_per_second", Some(true)),
        ("pods/hits_per_second", Some(true)),
        ("pods/cpu", Some(true)),
        ("nodes/cpu", Some(false)),
        ("pods/orders", None),
        ("services/hits_per_second", None),
        ("services/cpu", None),
    ] {
        assert_eq!(namespaced(name), expected, "{name}");
    }
    // A while is to pass before it looks again.
    door.world.gauge("later", &[&[SHOP, ("service", "web")]], 1.0);
    assert_eq!(door.get("").await.1, told);
}

#[tokio::test]
async fn discovery_tells_what_can_be_asked_for_from_outside() {
    let door = Door::new().await;
    door.world.gauge("backlog", &[&[SHOP]], 1.0);
    door.world.counter("hits_total", &[&[BANK]], 1.0);
    // Of no namespace, and of one that ended long ago.
    door.world.gauge("machines", &[&[("node", "n1")]], 1.0);
    door.world.append("former", &[&[SHOP]], &[(door.world.now - 3_600_000, 1.0)]);
    let (code, told) = door.raw(EXTERNAL, "").await;
    assert_eq!((code, &told["groupVersion"]), (StatusCode::OK, &json!("external.metrics.k8s.io/v1beta1")));
    let entry = |name: &str| {
        json!({"name": name, "singularName": "", "namespaced": true, "kind": "ExternalMetricValueList",
            "verbs": ["get"]})
    };
    assert_eq!(told["resources"], json!([entry("backlog"), entry("hits_per_second")]));
    let (code, list) = door.raw(EXTERNAL, "/namespaces/bank/hits_per_second").await;
    assert_eq!((code, &list["items"][0]["value"]), (StatusCode::OK, &json!("1")), "as it is called there");
}

#[tokio::test]
async fn abuse_34_a_list_of_metrics_has_an_end() {
    let door = Door::new().await;
    for n in 0..5 {
        door.world.gauge(&format!("flood_{n}"), &[&[SHOP, ("service", "web")]], 1.0);
    }
    let count = async |of: Of, most: usize| {
        let entries = Listing::of_at_most(of, most).entries(&door.world.metrics).await.expect("a list");
        entries.len()
    };
    assert_eq!((count(Of::Outside, 10).await, count(Of::Outside, 3).await), (5, 3));
    // What is sampled is there whatever is sent: of nodes and of Pods.
    let (all, sampled) = (count(Of::Objects, 10_000).await, count(Of::Objects, 0).await);
    assert_eq!(all, sampled + 10, "of services and of the namespace");
    assert_eq!(count(Of::Objects, sampled + 4).await, sampled + 4);
}

#[tokio::test]
async fn what_comes_from_outside_is_one_item_a_series() {
    let door = Door::new().await;
    for (lane, value) in [("a", 1.0), ("b", 2.0)] {
        door.world.gauge("backlog", &[&[SHOP, ("lane", lane)]], value);
    }
    let (code, list) = door.raw(EXTERNAL, "/namespaces/shop/backlog?labelSelector=lane%3Db").await;
    assert_eq!((code, &list["kind"]), (StatusCode::OK, &json!("ExternalMetricValueList")));
    let items = list["items"].as_array().expect("items");
    assert_eq!(items.len(), 1, "{list}");
    assert_eq!((&items[0]["value"], &items[0]["metricLabels"]["lane"]), (&json!("2"), &json!("b")));
    assert_eq!(door.raw(EXTERNAL, "/namespaces/bank/backlog").await.0, StatusCode::NOT_FOUND);
}

/// A TiphysMetric of `shop` that another server asks: 3, in one row.
fn depth() -> Router {
    let metric = json!({
        "apiVersion": "metrics.tiphys.io/v1", "kind": "TiphysMetric",
        "metadata": {"name": "depth", "namespace": "shop", "resourceVersion": "1"},
        "spec": {"query": "SELECT 3", "refresh": "15s"},
        "status": {"value": "3", "rows": 1, "time": Time(Timestamp::now())},
    });
    let listed = json!({
        "apiVersion": "metrics.tiphys.io/v1", "kind": "TiphysMetricList",
        "metadata": {"resourceVersion": "1"}, "items": [metric],
    });
    let answer = move |Query(query): Asked| async move {
        if query.contains_key("watch") {
            // Nothing changes.
            std::future::pending::<()>().await;
        }
        Json(listed)
    };
    Router::new().route("/apis/metrics.tiphys.io/v1/tiphysmetrics", get(answer))
}

#[tokio::test]
async fn what_only_another_server_can_tell_is_not_absent() {
    let door = Door::of(World::with(depth()).await);
    while door.world.metrics.queries.all_names().is_empty() {
        tokio::task::yield_now().await;
    }
    let path = "/namespaces/shop/depth";
    let (code, list) = door.raw(EXTERNAL, path).await;
    assert_eq!((code, &list["items"][0]["value"]), (StatusCode::OK, &json!("3")));
    let request = Request::get(format!("{EXTERNAL}{path}?labelSelector=lane%3Db")).body(Body::empty());
    let answer = door.routes.clone().oneshot(request.expect("a request")).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers().contains_key(header::RETRY_AFTER));
    let body = answer.into_body().collect().await.expect("a body").to_bytes();
    let told: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    let message = told["message"].as_str().expect("a message");
    assert!(message.starts_with("TiphysMetric depth: it is not asked on this server yet"), "{message}");
    assert_eq!(told["reason"], "ServiceUnavailable");
}
