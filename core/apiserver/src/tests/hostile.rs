//! Requests that are made to hurt: each gets a clean refusal, and the server goes on.

use http::Method;
use serde_json::{Value, json};

use super::harness::{Harness, MAPS};

#[tokio::test]
async fn abuse_16_bombs_and_deep_nesting_are_bad_requests() {
    let api = Harness::start().await;
    let deep =
        format!("{{\"metadata\":{{\"name\":\"a\"}},\"data\":{}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let mut bomb = String::from("a0: &a0 [x, x]\n");
    for level in 1..40 {
        let before = level - 1;
        bomb.push_str(&format!("a{level}: &a{level} [*a{before}, *a{before}]\n"));
    }
    let flow = format!("data: {}", "{a: ".repeat(10_000));
    for (media, body) in [
        ("application/json", &deep),
        ("application/yaml", &deep),
        ("application/yaml", &bomb),
        ("application/yaml", &flow),
        ("application/vnd.kubernetes.protobuf", &deep),
    ] {
        api.call(Method::POST, MAPS, media, "", body.clone()).await.refused(400, "BadRequest");
    }
    api.config_map("a", json!({}), json!({})).await;
    for media in [
        "application/merge-patch+json",
        "application/strategic-merge-patch+json",
        "application/json-patch+json",
        "application/apply-patch+yaml",
    ] {
        let answer =
            api.call(Method::PATCH, &format!("{MAPS}/a?fieldManager=m"), media, "", deep.clone()).await;
        assert!(matches!(answer.code, 400 | 422), "{media}: {}", answer.text);
    }
}

#[tokio::test]
async fn abuse_17_a_patch_that_copies_its_way_up_is_too_large() {
    let api = Harness::start().await;
    api.config_map("a", json!({}), json!({"k": "x".repeat(1000)})).await;
    let copies: Vec<Value> = (0..40)
        .map(|number| json!({"op": "copy", "from": "/data", "path": format!("/data/d{number}")}))
        .collect();
    let path = format!("{MAPS}/a");
    api.patch(&path, "json", &copies.into()).await.refused(413, "RequestEntityTooLarge");
    // Each of them holds: only their number is too large.
    api.config_map("b", json!({}), json!({"k": "v"})).await;
    let many: Vec<Value> =
        (0..20_000).map(|_| json!({"op": "test", "path": "/data/k", "value": "v"})).collect();
    let many = api.patch(&format!("{MAPS}/b"), "json", &many.into()).await;
    many.refused(413, "RequestEntityTooLarge");
    assert_eq!(api.get(&path).await.expect(200)["data"].as_object().expect("data").len(), 1);
}

#[tokio::test]
async fn bodies_beyond_three_mebibytes_are_refused_in_upstream_s_words() {
    let api = Harness::start().await;
    api.config_map("a", json!({}), json!({})).await;
    let object = |size: usize| format!("{{\"data\":{{\"k\":\"{}\"}}}}", "x".repeat(size));
    let path = format!("{MAPS}/a");
    let patches = ["json", "merge", "strategic-merge"].map(|kind| format!("application/{kind}-patch+json"));
    let mut requests = vec![
        (Method::POST, MAPS, "application/json"),
        (Method::POST, MAPS, "application/yaml"),
        (Method::POST, MAPS, "application/vnd.kubernetes.protobuf"),
        (Method::PUT, &path, "application/json"),
        (Method::DELETE, &path, "application/json"),
        (Method::PATCH, &path, "application/apply-patch+yaml"),
    ];
    requests.extend(patches.iter().map(|media| (Method::PATCH, path.as_str(), media.as_str())));
    for (method, path, media) in requests {
        for size in [3 << 20, 20 << 20] {
            let path = format!("{path}?fieldManager=m");
            let refused = api.call(method.clone(), &path, media, "", object(size)).await;
            let told = refused.refused(413, "RequestEntityTooLarge");
            assert_eq!(told, "Request entity too large: limit is 3145728", "{method} {media}");
        }
    }
    // What just fits is read, and refused for what it is.
    let most = object((3 << 20) - object(0).len());
    let told = api.call(Method::PUT, &path, "application/json", "", most).await.refused(422, "Invalid");
    assert!(told.contains("Too long"), "{told}");
    assert_eq!(api.get(&path).await.expect(200)["data"], Value::Null);
}

#[tokio::test]
async fn long_selectors_and_tokens_are_refused() {
    let api = Harness::start().await;
    for selector in ["labelSelector", "fieldSelector"] {
        // As long as a line of a request may be, and no selector at all.
        let path = format!("{MAPS}?{selector}={}", "(".repeat(60_000));
        api.get(&path).await.refused(400, "BadRequest");
    }
    api.get(&format!("{MAPS}?continue={}", "A".repeat(60_000))).await.refused(400, "BadRequest");
    api.config_map("a", json!({}), json!({})).await;
}
