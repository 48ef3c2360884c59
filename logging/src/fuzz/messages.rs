//! Calls by chance of the reading API of gRPC over real nodes, sound in part and partly damaged:
//! each is answered or refused with a code that says why, and nothing foreign is shown. Its live
//! tail is in [`super::live`].

use axum::body::Body;
use http::{Request, StatusCode, Version};
use http_body_util::BodyExt;
use prost::Message;
use tonic::{Code, Status};

use super::{
    Dice, corpus, doors, grammar, mutate,
    questions::{self, FIELDS, NAMESPACES, PLACES, ROUNDS, SPANS, TIMES},
    seeds,
};
use crate::grpc::{self, proto};

/// What a message that is none is refused with, as the tables of gRPC have it.
const NO_MESSAGE: &str = "failed to decode Protobuf message";

fn maybe(dice: &mut Dice, of: &[&str]) -> Option<String> {
    (dice.below(3) == 0).then(|| (*dice.pick(of)).to_owned())
}

fn number(dice: &mut Dice) -> Option<u64> {
    (dice.below(3) == 0).then(|| *dice.pick(&[0, 1, 10, 5000, u64::MAX]))
}

fn fields(dice: &mut Dice) -> Vec<String> {
    (0..dice.below(4)).map(|_| (*dice.pick(&FIELDS)).to_owned()).collect()
}

/// A search, which is also what a tail follows.
pub(super) fn search(dice: &mut Dice) -> proto::SearchRequest {
    proto::SearchRequest {
        query: grammar::query(dice, 2),
        since: maybe(dice, &TIMES),
        until: maybe(dice, &TIMES),
        limit: number(dice),
        cursor: maybe(dice, &PLACES),
        namespace: maybe(dice, &NAMESPACES),
        without_body: dice.below(4) == 0,
        oldest_first: dice.below(2) == 0,
        within: maybe(dice, &SPANS),
        watermarks: dice.below(2) == 0,
        since_of: maybe(dice, &["n1=2026-01-31T12:00:00Z", "n1=2026-01-31T12:00:00Z,n2=", "n1", ",", ""]),
    }
}

/// A call: the method and its message.
fn call(dice: &mut Dice) -> (&'static str, Vec<u8>) {
    let query = grammar::query(dice, 2);
    let (since, until) = (maybe(dice, &TIMES), maybe(dice, &TIMES));
    let (namespace, within) = (maybe(dice, &NAMESPACES), maybe(dice, &SPANS));
    match dice.below(5) {
        0 => ("Search", search(dice).encode_to_vec()),
        1 => {
            let (buckets, by, top) = (number(dice), maybe(dice, &FIELDS), number(dice));
            let request =
                proto::HistogramRequest { query, since, until, namespace, buckets, by, top, within };
            ("Histogram", request.encode_to_vec())
        }
        2 => {
            let request = proto::FacetsRequest {
                query,
                since,
                until,
                namespace,
                limit: number(dice),
                patterns: dice.below(2) == 0,
                compare: maybe(dice, &SPANS),
                fields: fields(dice),
                names: dice.below(2) == 0,
                within,
            };
            ("Facets", request.encode_to_vec())
        }
        3 => {
            let quantiles: [&[f64]; 4] = [&[], &[0.5, 0.99], &[f64::NAN], &[-1.0, f64::INFINITY]];
            let request = proto::StatsRequest {
                query,
                since,
                until,
                namespace,
                field: maybe(dice, &FIELDS),
                by: fields(dice),
                quantiles: dice.pick(&quantiles).to_vec(),
                step: maybe(dice, &SPANS),
                limit: number(dice),
                within,
            };
            ("Stats", request.encode_to_vec())
        }
        _ => {
            let id = (*dice.pick(&PLACES)).to_owned();
            let (before, after) = (number(dice), number(dice));
            let scope = maybe(dice, &["stream", "pod", "node", "moon"]);
            ("Context", proto::ContextRequest { id, before, after, scope, within }.encode_to_vec())
        }
    }
}

/// The request of a call.
pub(super) fn request(method: &str, message: &[u8]) -> Request<Body> {
    Request::post(format!("{}/{method}", grpc::PREFIX))
        .version(Version::HTTP_2)
        .header("Content-Type", "application/grpc")
        .header("TE", "trailers")
        .body(Body::from(doors::call(false, message)))
        .expect("a request")
}

/// Whether the call was answered; a refusal must be one of the caller's.
pub(super) fn is_answered(status: &Status, name: &str) -> bool {
    let message = status.message();
    questions::look(message, name);
    match status.code() {
        Code::Ok => true,
        Code::InvalidArgument | Code::PermissionDenied | Code::NotFound => {
            assert!(!message.is_empty() && message.len() < 64 << 10, "{name}: {status:?}");
            false
        }
        Code::Internal if message.starts_with(NO_MESSAGE) => false,
        _ => panic!("{name}: {status:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn abuse_35_any_call_of_grpc_is_answered_or_refused() {
    let cluster = questions::cluster().await;
    let (api, mut answered) = (grpc::router(cluster.root.clone()), 0);
    for (mut dice, name) in seeds(ROUNDS) {
        let (method, mut message) = call(&mut dice);
        let name = format!("{name}: {method} {:?}", String::from_utf8_lossy(&message));
        if dice.below(4) == 0 {
            let others = [corpus::queries(), corpus::otlp_protobuf()].concat();
            message = mutate::bytes(&mut dice, &message, &others);
        }
        let response = questions::asked(&api, request(method, &message)).await;
        assert_eq!(response.status(), StatusCode::OK, "{name}");
        let (head, body) = response.into_parts();
        let body = body.collect().await.expect("a body");
        // A refusal has its status in the head, an answer behind its message.
        let status = body.trailers().and_then(Status::from_header_map);
        let status = status.or_else(|| Status::from_header_map(&head.headers)).expect(&name);
        questions::look(&String::from_utf8_lossy(&body.to_bytes()), &name);
        answered += u64::from(is_answered(&status, &name));
    }
    assert!(answered > ROUNDS / 15, "hardly anything is answered: {answered}");
    cluster.stop().await;
}
