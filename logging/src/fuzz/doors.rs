//! Requests by chance to a whole collector, over its sockets: good ones, of which
//! every line must be there, and damaged ones, packed in all ways and wrongly.

use std::{collections::BTreeSet, io::Write};

use http::StatusCode;

use super::{Dice, corpus, grammar, mutate};
use crate::doors::tests::{Collector, post};

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

    async fn good(&mut self, dice: &mut Dice, name: &str) {
        let good = grammar::good(dice, self.next);
        self.next += good.lines.len();
        let packing = PACKINGS[dice.below(4)];
        let mut request = post("shop").header("Content-Type", good.kind);
        if !packing.is_empty() {
            request = request.header("Content-Encoding", packing);
        }
        let before = self.taken();
        let (_, status, answer) =
            self.collector.sockets.send(request, good.path, packed(packing, &good.body)).await;
        assert!(status.is_success(), "{name}: {status} {answer:?} to {:?}", good.lines);
        assert_eq!(self.taken() - before, good.lines.len() as u64, "{name}: {answer:?}");
        for line in good.lines {
            let number = line.split('x').next().expect("its begin");
            let found = self.collector.bodies(&format!("ns:shop {number}x"));
            let text: String = found.concat();
            // A document is its own body.
            let document = serde_json::from_str::<serde_json::Value>(&text).ok();
            let message = document.and_then(|document| Some(document.get("message")?.as_str()?.to_owned()));
            assert_eq!((found.len(), message.unwrap_or(text)), (1, line.clone()), "{name}");
            self.lines.insert(line);
        }
    }

    async fn damaged(&mut self, dice: &mut Dice, name: &str) {
        let doors: [(&str, &str, Vec<Vec<u8>>); 6] = [
            ("/v1/logs", "application/x-protobuf", corpus::otlp_protobuf()),
            ("/v1/logs", "application/json", corpus::otlp_json()),
            ("/loki/api/v1/push", "application/x-protobuf", corpus::loki_protobuf()),
            ("/loki/api/v1/push", "application/json", corpus::loki_json()),
            ("/_bulk", "application/x-ndjson", corpus::bulk()),
            ("/v1/logs", "application/grpc", corpus::otlp_protobuf()),
        ];
        let (path, kind, inputs) = dice.pick(&doors);
        let input = dice.pick(inputs).clone();
        let packing = dice.pick(&PACKINGS);
        let mut body = packed(packing, &mutate::bytes(dice, &input, inputs));
        if dice.below(3) == 0 {
            body = mutate::bytes(dice, &body, inputs);
        }
        let mut request = post("shop").header("Content-Type", *kind);
        if dice.below(4) > 0 {
            request = request.header("Content-Encoding", *packing);
        }
        let before = self.taken();
        let (_, status, answer) = self.collector.sockets.send(request, path, body).await;
        let is_fine = status.is_success() || status.is_client_error();
        assert!(is_fine, "{name}: {path} answers {status} {answer:?}");
        let more = self.taken() - before;
        // Loki's door says in its refusal how many it took all the same.
        let says_some = String::from_utf8_lossy(&answer).contains("were taken");
        assert!(status.is_success() || says_some || more == 0, "{name}: {status}, and {more} taken");
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
        if n % 4 == 0 {
            fuzzed.good(&mut dice, &name).await;
        } else {
            fuzzed.damaged(&mut dice, &name).await;
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
