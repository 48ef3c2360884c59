//! Requests by chance to a whole collector, over its sockets: good ones, of which
//! every line must be there, and damaged ones, packed in all ways and wrongly. Syslog, which
//! refuses nothing, stores of damaged bytes what its parser finds in them.

use std::{collections::BTreeSet, io::Write, time::Duration};

use http::{HeaderMap, StatusCode};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpStream, UdpSocket},
};
use tonic::Code;

use super::{Dice, corpus, grammar, mutate};
use crate::doors::{
    fuzzed,
    tests::{Collector, post},
};

/// The door whose bodies are calls of gRPC.
pub const GRPC: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";

const PACKINGS: [&str; 6] = ["", "gzip", "deflate", "zstd", "snappy", "br"];

fn packed(packing: &str, body: &[u8]) -> Vec<u8> {
    match packing {
        "gzip" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(body).expect("packed");
            encoder.finish().expect("packed")
        }
        "deflate" => {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(body).expect("packed");
            encoder.finish().expect("packed")
        }
        "zstd" => zstd::encode_all(body, 1).expect("packed"),
        "snappy" => snap::raw::Encoder::new().compress_vec(body).expect("packed"),
        _ => body.to_vec(),
    }
}

/// A message as the one of a call of gRPC: behind whether it is packed, and its length.
pub(super) fn call(is_packed: bool, message: &[u8]) -> Vec<u8> {
    let mut call = vec![u8::from(is_packed)];
    call.extend_from_slice(&(message.len() as u32).to_be_bytes());
    call.extend_from_slice(message);
    call
}

/// The body as the door has it, and the name of the header that says how it is packed.
fn wrapped(path: &str, packing: &str, body: &[u8]) -> (Vec<u8>, &'static str) {
    let body = packed(packing, body);
    match path {
        GRPC => (call(!packing.is_empty(), &body), "grpc-encoding"),
        _ => (body, "Content-Encoding"),
    }
}

/// What a call of gRPC was refused with; a good one has its status behind its message.
fn code(headers: &HeaderMap) -> Code {
    headers.get("grpc-status").map_or(Code::Ok, |code| Code::from_bytes(code.as_bytes()))
}

struct Fuzzed {
    collector: Collector,
    /// Lines that were taken, of good requests.
    lines: BTreeSet<String>,
    next: usize,
}

impl Fuzzed {
    /// How many records the doors say they have taken.
    fn taken(&self) -> u64 {
        let text = self.collector.running.metrics.component.render();
        let lines = text.lines().filter(|line| line.starts_with("tiphys_logs_door_records_total{"));
        lines.map(|line| line.rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0u64)).sum()
    }

    /// Each of these lines is there, once and as it was sent.
    fn found(&mut self, namespace: &str, lines: Vec<String>, name: &str) {
        for line in lines {
            let number = line.split('x').next().expect("its begin");
            let found = self.collector.bodies(&format!("ns:{namespace} {number}x"));
            let text: String = found.concat();
            // A document is its own body.
            let document = serde_json::from_str::<serde_json::Value>(&text).ok();
            let message = document.and_then(|document| Some(document.get("message")?.as_str()?.to_owned()));
            assert_eq!((found.len(), message.unwrap_or(text)), (1, line.clone()), "{name}");
            self.lines.insert(line);
        }
    }

    async fn good(&mut self, dice: &mut Dice, name: &str) {
        let good = grammar::good(dice, self.next);
        self.next += good.lines.len();
        let packing = PACKINGS[dice.below(4)];
        let (body, says) = wrapped(good.path, packing, &good.body);
        let mut request = post("shop").header("Content-Type", good.kind);
        if !packing.is_empty() {
            request = request.header(says, packing);
        }
        let before = self.taken();
        let (headers, status, answer) = self.collector.sockets.send(request, good.path, body).await;
        let is_taken = status.is_success() && code(&headers) == Code::Ok;
        assert!(is_taken, "{name}: {status} {headers:?} {answer:?} to {:?}", good.lines);
        assert_eq!(self.taken() - before, good.lines.len() as u64, "{name}: {answer:?}");
        self.found("shop", good.lines, name);
    }

    async fn damaged(&mut self, dice: &mut Dice, name: &str) {
        let doors: [(&str, &str, Vec<Vec<u8>>); 6] = [
            ("/v1/logs", "application/x-protobuf", corpus::otlp_protobuf()),
            ("/v1/logs", "application/json", corpus::otlp_json()),
            ("/loki/api/v1/push", "application/x-protobuf", corpus::loki_protobuf()),
            ("/loki/api/v1/push", "application/json", corpus::loki_json()),
            ("/_bulk", "application/x-ndjson", corpus::bulk()),
            (GRPC, "application/grpc", corpus::otlp_protobuf()),
        ];
        let (path, kind, inputs) = dice.pick(&doors);
        let input = dice.pick(inputs).clone();
        let packing = dice.pick(&PACKINGS);
        let (mut body, says) = wrapped(path, packing, &mutate::bytes(dice, &input, inputs));
        if dice.below(3) == 0 {
            body = mutate::bytes(dice, &body, inputs);
        }
        let mut request = post("shop").header("Content-Type", *kind);
        if dice.below(4) > 0 {
            request = request.header(says, *packing);
        }
        let before = self.taken();
        let (headers, status, answer) = self.collector.sockets.send(request, path, body).await;
        let code = code(&headers);
        let is_fine = status.is_success() || status.is_client_error();
        let is_fine = is_fine && ![Code::Unknown, Code::Internal, Code::Unavailable].contains(&code);
        assert!(is_fine, "{name}: {path} answers {status} {code:?} {answer:?}");
        let more = self.taken() - before;
        // Loki's door says in its refusal how many it took all the same.
        let says_some = String::from_utf8_lossy(&answer).contains("were taken");
        let is_taken = status.is_success() && code == Code::Ok;
        assert!(is_taken || says_some || more == 0, "{name}: {status} {code:?}, and {more} taken");
    }

    /// Waits until so many more records were taken.
    async fn took(&self, before: u64, count: usize, name: &str) {
        let all = async {
            while self.taken() - before < count as u64 {
                tokio::task::yield_now().await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(120), all).await.is_ok();
        assert!(in_time, "{name}: {} of {count} messages were taken", self.taken() - before);
        assert_eq!(self.taken() - before, count as u64, "{name}");
    }

    /// A connection that brings these bytes in pieces and ends.
    async fn connection(&self, dice: &mut Dice, bytes: &[u8]) {
        let address = self.collector.running.doors.syslog_tcp.expect("an open door");
        let mut stream = TcpStream::connect(address).await.expect("connected");
        for piece in bytes.chunks(1 + dice.below(600)) {
            stream.write_all(piece).await.expect("written");
        }
        stream.shutdown().await.expect("ended");
    }

    async fn good_syslog(&mut self, dice: &mut Dice, name: &str) {
        let lines = grammar::lines(dice, self.next);
        self.next += lines.len();
        let before = self.taken();
        self.connection(dice, grammar::syslog(&lines).as_bytes()).await;
        self.took(before, lines.len(), name).await;
        self.found("edge", lines, name);
    }

    async fn damaged_syslog(&mut self, dice: &mut Dice, name: &str) {
        let inputs = corpus::syslog();
        let input = dice.pick(&inputs).clone();
        let bytes = mutate::bytes(dice, &input, &inputs);
        let before = self.taken();
        if dice.below(2) == 0 {
            self.connection(dice, &bytes).await;
            return self.took(before, fuzzed::syslog([bytes.as_slice()]).len(), name).await;
        }
        // A datagram is a message, whatever it is.
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let address = self.collector.running.doors.syslog_udp.expect("an open door");
        socket.send_to(&bytes, address).await.expect("sent");
        self.took(before, 1, name).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_request_is_taken_as_a_whole_or_refused() {
    let soak = std::env::var_os("TIPHYS_SOAK").is_some();
    let given = std::env::var("TIPHYS_FUZZ_SEED").ok().map(|seed| seed.parse().expect("a number"));
    let seed: u64 = given.unwrap_or(if soak { crate::time::now().cast_unsigned() } else { 1 });
    let mut fuzzed = Fuzzed { collector: Collector::new().await, lines: BTreeSet::new(), next: 0 };
    for n in 0..if soak { 40_000 } else { 400 } {
        let mut dice = Dice::new(seed.wrapping_add(n * 0x9e37_79b9));
        let name = format!("seed {seed}, request {n}");
        match n % 8 {
            0 | 4 => fuzzed.good(&mut dice, &name).await,
            1 => fuzzed.good_syslog(&mut dice, &name).await,
            2 => fuzzed.damaged_syslog(&mut dice, &name).await,
            _ => fuzzed.damaged(&mut dice, &name).await,
        }
    }
    assert!(fuzzed.lines.len() > 100);
    let found = fuzzed.collector.find("*").len() as u64;
    assert_eq!(found.min(100_000), fuzzed.taken().min(100_000), "what is stored is what was taken");
    // Nothing of the memory for requests is lost: one that takes most of it fits.
    let large = serde_json::json!({"resourceLogs": [{"scopeLogs": [{"logRecords":
        [{"body": {"stringValue": "y".repeat(900 << 10)}}, {"body": {"stringValue": "z"}}]}]}], "pad": " ".repeat(14 << 20)});
    let request = post("shop").header("Content-Type", "application/json");
    let (_, status, answer) = fuzzed.collector.sockets.send(request, "/v1/logs", large.to_string()).await;
    assert_eq!(status, StatusCode::OK, "{answer:?}");
    // And bombs are refused, by every packing.
    let bomb = vec![b' '; 17 << 20];
    for packing in &PACKINGS[1..5] {
        let request =
            post("shop").header("Content-Type", "application/json").header("Content-Encoding", *packing);
        let status = fuzzed.collector.sockets.send(request, "/v1/logs", packed(packing, &bomb)).await.1;
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{packing}");
    }
    fuzzed.collector.stop().await;
}
