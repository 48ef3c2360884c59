//! What senders say of spans is kept, and what can't be taken is told without loss of the rest.

use opentelemetry_proto::tonic::{
    collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse},
    trace::v1::span::Link,
};

use super::*;
use crate::{
    doors::{Form, forward},
    traces::otlp,
};

/// The spans of one scope, which has a version.
fn versioned(spans: Vec<WireSpan>, resource: Vec<KeyValue>) -> Vec<u8> {
    let scope = InstrumentationScope { name: "lib".into(), version: "1.2".into(), ..Default::default() };
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, ..Default::default() }];
    let resource = Some(Resource { attributes: resource, ..Default::default() });
    let resource_spans = vec![ResourceSpans { resource, scope_spans, ..Default::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

fn rich(now: i64) -> WireSpan {
    let link = Link {
        trace_id: vec![9; 16],
        span_id: vec![8; 8],
        trace_state: "a=b".into(),
        attributes: vec![text("why", "batch")],
        dropped_attributes_count: 1,
        ..Default::default()
    };
    WireSpan {
        links: vec![link],
        trace_state: "k=v".into(),
        dropped_attributes_count: 3,
        dropped_events_count: 4,
        dropped_links_count: 5,
        ..span(1, 2, Some(1), "query", now)
    }
}

/// The same in JSON.
fn rich_json(now: i64) -> Vec<u8> {
    let link = json!({"traceId": "09".repeat(16), "spanId": "08".repeat(8), "traceState": "a=b",
        "attributes": [{"key": "why", "value": {"stringValue": "batch"}}], "droppedAttributesCount": 1});
    json!({"resourceSpans": [{"scopeSpans": [{"scope": {"name": "lib", "version": "1.2"}, "spans": [{
        "traceId": "01".repeat(16), "spanId": "02".repeat(8), "parentSpanId": "01".repeat(8), "name": "query",
        "startTimeUnixNano": (now * 1000).to_string(), "endTimeUnixNano": (now * 1000).to_string(),
        "links": [link], "traceState": "k=v",
        "droppedAttributesCount": 3, "droppedEventsCount": 4, "droppedLinksCount": 5}]}]}]})
    .to_string()
    .into_bytes()
}

#[tokio::test]
async fn links_state_and_what_was_left_out_are_rows_and_shown() {
    let now = now();
    let requests = [(PROTOBUF, versioned(vec![rich(now)], Vec::new())), ("application/json", rich_json(now))];
    for (kind, request) in requests {
        let (folder, tasks) = (tempfile::tempdir().expect("a folder"), Tasks::new());
        let bench = bench(folder.path(), &tasks);
        assert_eq!(bench.send("shop", kind, request).await.0, StatusCode::OK);
        let (trace, id) = ("09".repeat(16), "08".repeat(8));
        // In memory and in a file alike.
        for _ in 0..2 {
            let columns =
                "links, trace_state, scope_version, dropped_attributes, dropped_events, dropped_links";
            let rows = bench.sql("shop", &format!("select {columns} from spans")).await;
            let links = json!([{"trace_id": trace, "span_id": id, "trace_state": "a=b",
                "attributes": {"why": "batch"}, "dropped_attributes": 1}]);
            let expected = json!([{"links": links.to_string(), "trace_state": "k=v", "scope_version": "1.2",
                "dropped_attributes": 3, "dropped_events": 4, "dropped_links": 5}]);
            assert_eq!(rows, expected);
            let (_, answer) = bench.jaeger("shop", &format!("/traces/{}", "01".repeat(16))).await;
            let told = &answer["data"][0]["spans"][0];
            let follows = json!({"refType": "FOLLOWS_FROM", "traceID": trace, "spanID": id});
            assert_eq!(
                (&told["references"][0]["refType"], &told["references"][1]),
                (&json!("CHILD_OF"), &follows)
            );
            let left_out =
                ["3 attributes", "4 events", "5 links"].map(|what| format!("{what} were left out"));
            assert_eq!(told["warnings"], json!(left_out));
            let tags = told["tags"].as_array().expect("tags");
            for (key, value) in [("w3c.tracestate", "k=v"), ("otel.scope.version", "1.2")] {
                assert!(tags.contains(&json!({"key": key, "type": "string", "value": value})), "{tags:?}");
            }
            bench.spans.write(now).expect("written");
        }
        tasks.shutdown(Duration::from_secs(120)).await;
    }
}

/// One that can be taken, one without an id, and one that is too large.
fn mixed(now: i64) -> Vec<u8> {
    let nameless = WireSpan { span_id: vec![0; 8], ..span(1, 2, None, "nameless", now) };
    let large = span(1, 3, None, &"x".repeat(2 << 20), now);
    export(vec![nameless, span(1, 1, None, "good", now), large])
}

fn is_partial(partial: Option<ExportTracePartialSuccess>) {
    let partial = partial.expect("the sender is told");
    let why = &partial.error_message;
    assert!(partial.rejected_spans == 2 && why.contains("\"nameless\" has no valid"), "{partial:?}");
}

#[tokio::test]
async fn a_span_that_cant_be_taken_rejects_no_other() {
    let (folder, tasks, now) = (tempfile::tempdir().expect("a folder"), Tasks::new(), now());
    let bench = bench(folder.path(), &tasks);
    let request = Request::post("/otlp/v1/traces").header(header::CONTENT_TYPE, PROTOBUF);
    let (status, body) = bench.ask("shop", request.body(Body::from(mixed(now))).expect("a request")).await;
    assert_eq!(status, StatusCode::OK);
    is_partial(ExportTraceServiceResponse::decode(body.as_slice()).expect("an answer").partial_success);
    let start = (now * 1000).to_string();
    let one = |id: &str| json!({"traceId": "02".repeat(16), "spanId": id, "name": "json", "startTimeUnixNano": start});
    let spans = [one("xy"), one(&"02".repeat(8))];
    let request = json!({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).to_string().into_bytes();
    let (status, said) = bench.send("shop", "application/json", request).await;
    let said: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((status, &said["partialSuccess"]["rejectedSpans"]), (StatusCode::OK, &json!("1")));
    let why = said["partialSuccess"]["errorMessage"].as_str().unwrap_or_default();
    assert!(why.contains("no id in hexadecimal"), "{said}");
    let rows = bench.sql("shop", "select name from spans order by name").await;
    assert_eq!(rows, json!([{"name": "good"}, {"name": "json"}]));
    tasks.shutdown(Duration::from_secs(120)).await;
}

#[tokio::test]
async fn a_node_passes_on_by_grpc_what_was_rejected() {
    let (folder, tasks, now) = (tempfile::tempdir().expect("a folder"), Tasks::new(), now());
    let bench = bench(folder.path(), &tasks);
    let routes = bench.routes.clone().layer(Extension(user("shop")));
    let service = tower::service_fn(move |request: Request<kube::client::Body>| {
        routes.clone().oneshot(request.map(Body::new))
    });
    let message = mixed(now);
    let length = u32::try_from(message.len()).expect("short").to_be_bytes();
    let request = Request::post("/opentelemetry.proto.collector.trace.v1.TraceService/Export")
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::AUTHORIZATION, "Bearer t0ken")
        .body(Body::from([&[0][..], &length, &message].concat()));
    let node = forward(kube::Client::new(service, "default"));
    let answer = node.oneshot(request.expect("a request")).await.expect("an answer");
    let body = answer.into_body().collect().await.expect("a body");
    let status = body.trailers().and_then(|trailers| trailers.get("grpc-status")).cloned();
    assert_eq!(status.expect("a status"), "0");
    let bytes = body.to_bytes();
    is_partial(ExportTraceServiceResponse::decode(&bytes[5..]).expect("an answer").partial_success);
    tasks.shutdown(Duration::from_secs(120)).await;
}

#[test]
fn abuse_34_a_resource_that_is_large_is_not_copied_for_all_spans() {
    let spans = (0..200).map(|_| span(1, 1, None, "small", 1)).collect();
    let request = versioned(spans, vec![text("large", &"x".repeat(900 << 10))]);
    let export = otlp::decode(Form::Protobuf, &request, "shop").expect("a request");
    let bytes: usize = export.spans.iter().map(Span::size).sum();
    assert!(bytes <= 64 << 20, "{bytes} bytes of a request of {}", request.len());
    assert_eq!(export.spans.len() as u64 + export.rejected, 200);
    assert!(export.spans.len() > 50 && export.why.expect("a reason").contains("send less"));
}
