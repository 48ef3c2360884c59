//! Answers in which others' words stand are data: no browser may take them for a
//! page, whatever is in them.

use axum::response::Response;
use http::{HeaderValue, header};

/// The type of the answer is the one it says.
pub async fn inert(mut response: Response) -> Response {
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use axum::{Extension, Router, body::Body};
    use http::{Request, StatusCode};
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use crate::{
        doors::tests::{Collector, post},
        record::Level,
        root::tests::{TestCluster, admin},
        time::SECOND,
    };

    const SCRIPT: &str = "<script>alert(1)</script><img src=x onerror=alert(1)>";

    /// Status and text of an answer that no browser takes for a page.
    async fn asked(router: Router, request: Request<Body>) -> (StatusCode, String) {
        let path = request.uri().path().to_owned();
        let response = router.layer(Extension(admin())).oneshot(request).await.expect("an answer");
        let header = |name| response.headers().get(name).map(|value| value.as_bytes().to_vec());
        assert_eq!(header("x-content-type-options").as_deref(), Some(b"nosniff".as_slice()), "{path}");
        let kind = String::from_utf8(header("content-type").unwrap_or_default()).expect("a type");
        let is_data = ["application/json", "application/x-ndjson", "text/plain"];
        assert!(is_data.iter().any(|data| kind.starts_with(data)), "{path} answers {kind:?}");
        let status = response.status();
        let mut body = response.into_body();
        let mut text = Vec::new();
        // A tail doesn't end by itself: its first lines do.
        while let Some(Ok(frame)) = body.frame().await {
            text.extend_from_slice(frame.data_ref().expect("data"));
            if path.ends_with("/tail") {
                break;
            }
        }
        (status, String::from_utf8(text).expect("text"))
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn abuse_25_what_a_line_or_a_query_says_is_never_markup() {
        let cluster = TestCluster::start(1, 0).await;
        cluster.nodes[0].write("shop/web", crate::time::now() - SECOND, 0, Level::Info, SCRIPT);
        let root = || cluster.root.router();
        let ask = |path: &str, body: serde_json::Value| {
            let request = Request::post(format!("/tiphys/v1/logs/{path}"));
            let request = request.header("Content-Type", "application/json");
            asked(root(), request.body(Body::from(body.to_string())).expect("a request"))
        };
        let (status, text) = ask("search", serde_json::json!({})).await;
        let answer: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!((status, &answer["records"][0]["body"]), (StatusCode::OK, &SCRIPT.into()));
        for path in ["search", "histogram", "facets", "stats", "context"] {
            let (status, text) = ask(path, serde_json::json!({"query": format!("({SCRIPT}")})).await;
            assert!(status.is_client_error(), "{path}: {status} {text}");
            assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{path}: {text}");
        }
        let get = |uri: &str| Request::get(uri).body(Body::empty()).expect("a request");
        assert_eq!(asked(root(), get("/tiphys/v1/logs/tail")).await.0, StatusCode::OK);
        let loki = "/tiphys/loki/loki/api/v1";
        for query in ["%7Bpod%3D%22web%22%7D", "%3Cscript%3Ealert(1)%3C%2Fscript%3E"] {
            for path in ["query_range", "labels", "series", "label/%3Cscript%3E/values", "no%3Cscript%3E"] {
                asked(
                    crate::loki::router(cluster.root.clone()),
                    get(&format!("{loki}/{path}?query={query}")),
                )
                .await;
            }
        }
        cluster.stop().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn abuse_25_what_a_sender_is_told_of_its_words_is_never_markup() {
        let collector = Collector::new().await;
        let request =
            || post("shop").header("X-Tiphys-Namespace", SCRIPT).header("Content-Type", "application/json");
        for path in ["/v1/logs", "/loki/api/v1/push", "/_bulk", "/%3Cscript%3E/_bulk", "/%3Cscript%3E", "/"] {
            let body = format!(r#"{{"streams":[{{"stream":{{}},"values":[["1","{SCRIPT}"]]}}]}}"#);
            let (headers, status, answer) = collector.sockets.send(request(), path, body).await;
            let kind = headers.get("content-type").map_or("", |kind| kind.to_str().expect("text"));
            assert!(
                !status.is_success() || !answer.is_empty() || status == StatusCode::OK,
                "{path}: {status}"
            );
            assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
            assert!(!kind.contains("html") && (answer.is_empty() || !kind.is_empty()), "{path}: {kind}");
        }
        collector.stop().await;
    }
}
