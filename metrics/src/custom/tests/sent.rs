//! What Pods send by OTLP is there for autoscalers, as what is scraped of them is.

use axum::Extension;
use http::{Request, StatusCode, header};
use tiphys_api::auth::{Attributes, Authorizer};

use super::*;
use crate::{
    doors::{Doors, OTLP_PATH},
    scrape::counts::Counts,
};

struct Everything;

impl Authorizer for Everything {
    fn authorize(&self, _: &UserInfo, _: &Attributes) -> Result<(), String> {
        Ok(())
    }
}

/// A request as an SDK makes it that knows its service only.
fn request(value: i64, now: i64) -> Request<Body> {
    let point = json!({"asInt": value.to_string(), "timeUnixNano": (now * 1_000_000).to_string()});
    let metrics = json!([{"name": "orders.waiting", "gauge": {"dataPoints": [point]}}]);
    let resource = json!({"attributes": [{"key": "service.name", "value": {"stringValue": "cart"}}]});
    let of_resource = json!({"resource": resource, "scopeMetrics": [{"metrics": metrics}]});
    let body = json!({"resourceMetrics": [of_resource]}).to_string();
    let request = Request::post(OTLP_PATH).header(header::CONTENT_TYPE, "application/json");
    request.body(Body::from(body)).expect("a request")
}

#[tokio::test]
async fn replicas_that_send_with_their_own_tokens_are_metrics_of_their_pods() {
    let world = World::new().await;
    let doors = Doors::new(world.store.clone(), Counts::default(), Arc::new(Everything));
    for (pod, value) in [("web-1", 3), ("web-2", 5)] {
        let mut user = UserInfo::named("system:serviceaccount:shop:app", &[]);
        user.extra.insert("authentication.kubernetes.io/pod-name".into(), vec![pod.into()]);
        let routes = doors.routes().layer(Extension(user));
        let answer = routes.oneshot(request(value, world.now)).await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK);
    }
    let both = [("web-1".to_owned(), 3.0), ("web-2".to_owned(), 5.0)];
    assert_eq!(world.pods(&["web-1", "web-2"], "orders_waiting", "").await, both);
    assert_eq!(world.pods(&["web-2"], "orders_waiting", "").await, both[1..]);
}
