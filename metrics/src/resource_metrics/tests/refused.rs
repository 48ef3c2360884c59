//! What resource metrics refuse: a real metrics-server's codes, words and details.

use http::{Method, Request};

use super::*;

fn failure(code: u16, reason: &str, message: &str, details: Value) -> (u16, Value) {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "details": details, "code": code,
    });
    (code, status)
}

#[tokio::test]
async fn what_is_not_there_is_told_from_what_has_no_figures() {
    let group = "metrics.k8s.io";
    for (path, message, about) in [
        ("/namespaces/bank/pods/web", "pods \"web\" not found", json!({"name": "web", "kind": "pods"})),
        ("/nodes/nosuch", "node \"nosuch\" not found", json!({"name": "nosuch", "kind": "node"})),
        (
            "/namespaces/shop/pods/young",
            "pods.metrics.k8s.io \"shop/young\" not found",
            json!({"name": "shop/young", "group": group, "kind": "pods"}),
        ),
        (
            "/nodes/n2",
            "nodes.metrics.k8s.io \"n2\" not found",
            json!({"name": "n2", "group": group, "kind": "nodes"}),
        ),
    ] {
        assert_eq!(json_of(path).await, failure(404, "NotFound", message, about), "{path}");
    }
}

#[tokio::test]
async fn a_watch_is_refused_and_not_answered_by_a_list() {
    for (path, resource) in [
        ("/nodes?watch=true&timeoutSeconds=2", "nodes"),
        ("/nodes?watch", "nodes"),
        ("/pods?watch=1", "pods"),
        ("/namespaces/shop/pods?watch=1&timeoutSeconds=2", "pods"),
    ] {
        let message = format!("watch is not supported on resources of kind \"{resource}.metrics.k8s.io\"");
        let about = json!({"group": "metrics.k8s.io", "kind": resource});
        assert_eq!(json_of(path).await, failure(405, "MethodNotAllowed", &message, about), "{path}");
    }
    for path in ["/nodes?watch=false", "/nodes?watch=0"] {
        assert_eq!(names(path).await, ["/n1"], "{path}");
    }
}

#[tokio::test]
async fn figures_are_read_only() {
    let message = "the server does not allow this method on the requested resource";
    for method in [Method::DELETE, Method::POST, Method::PUT, Method::PATCH] {
        for path in ["/nodes", "/nodes/n1", "/namespaces/shop/pods/web"] {
            let uri = format!("{PREFIX}{path}");
            let request = Request::builder().method(&method).uri(uri).body(Body::from("{}"));
            let (code, body) = send(request.expect("a request")).await;
            let found = (code, serde_json::from_slice::<Value>(&body).expect("JSON"));
            assert_eq!(found, failure(405, "MethodNotAllowed", message, json!({})), "{method} {path}");
        }
    }
}
