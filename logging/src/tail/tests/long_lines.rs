//! Lines that are longer than a record: no byte is lost or doubled, and memory is bounded.

use super::*;
use crate::parse::{self, MAX_BODY};

/// Bytes that were written or read, in their order.
#[derive(Default)]
struct Text {
    sum: crc32fast::Hasher,
    length: usize,
}

impl Text {
    fn add(&mut self, bytes: &[u8]) {
        self.sum.update(bytes);
        self.length += bytes.len();
    }

    fn end(self) -> (usize, u32) {
        (self.length, self.sum.finalize())
    }
}

/// What the container wrote of a record's line.
fn bytes(body: &str) -> &[u8] {
    parse::part(body.as_bytes()).unwrap_or(body.as_bytes())
}

#[test]
fn abuse_34_all_of_a_line_without_end_is_read_once_in_order_and_over_restarts() {
    let mut node = Node::new();
    let path = node.dir().join("0.log");
    let mut written = Text::default();
    append(&path, b"2026-01-31T12:00:00.000000001Z stdout F ");
    for number in 0..100 {
        // Characters of two bytes at odd places: there is one to tear wherever the line is parted.
        let piece = format!("{number:07}{} ", "é".repeat((1 << 19) - 4));
        written.add(piece.as_bytes());
        append(&path, piece.as_bytes());
    }
    append(&path, b"\n");
    append(&path, line(2, 'F', "next").as_bytes());

    let (mut tailer, mut read, mut n_records) = (node.tailer(vec![]), Text::default(), 0);
    let mut last: Option<String> = None;
    for at in 1.. {
        if at % 40 == 0 {
            // What is read after the commit is read again after the crash.
            let saved = serde_json::to_vec(&tailer.checkpoints()).expect("JSON");
            for _ in 0..3 {
                turn(&mut tailer, &mut Vec::new());
            }
            tailer = node.tailer(serde_json::from_slice(&saved).expect("checkpoints"));
        }
        let mut bodies = Vec::new();
        if !turn(&mut tailer, &mut bodies) {
            break;
        }
        assert!(tailer.checkpoints().iter().all(|stream| stream.joiner.pending_bytes() <= MAX_BODY));
        assert!(bodies.len() <= 4, "one chunk is in memory");
        for body in bodies {
            assert_eq!(last, None, "nothing comes behind the last line");
            if body == "next" {
                last = Some(body);
                continue;
            }
            n_records += 1;
            read.add(bytes(&body));
        }
    }
    assert_eq!((read.end(), last.as_deref()), (written.end(), Some("next")));
    assert_eq!(n_records, (100 << 20) / MAX_BODY + 1, "each is as long as it may be");
}

#[test]
fn a_long_line_in_a_runtimes_pieces_is_whole_over_a_rotation_and_a_restart() {
    let text = "0123456789abcdef".repeat(1 << 10);
    for is_docker in [false, true] {
        let piece = |number: usize| {
            let is_last = number == 39;
            if !is_docker {
                return line(number, if is_last { 'F' } else { 'P' }, &text);
            }
            let log = format!("{text}{}", if is_last { "\n" } else { "" });
            let time = format!("2026-01-31T12:00:00.{number:09}Z");
            serde_json::json!({ "log": log, "stream": "stdout", "time": time }).to_string() + "\n"
        };
        let mut node = Node::new();
        let path = node.dir().join("0.log");
        (0..24).for_each(|number| append(&path, piece(number).as_bytes()));
        let mut tailer = node.tailer(vec![]);
        let mut bodies = drain(&mut tailer);
        fs::rename(&path, node.dir().join("0.log.20260131-120000")).expect("renamed");
        (24..40).for_each(|number| append(&path, piece(number).as_bytes()));
        let mut tailer = node.tailer(tailer.checkpoints());
        bodies.extend(drain(&mut tailer));
        assert_eq!(bodies.len(), 3, "{is_docker}");
        let read: Vec<&[u8]> = bodies.iter().map(|body| bytes(body)).collect();
        assert!(read.concat() == text.repeat(40).as_bytes(), "{is_docker}");
    }
}
