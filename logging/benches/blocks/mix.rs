//! Lines as a Kubernetes cluster writes them, from a seed: the same seed, the same bytes.
//!
//! Four programs: nginx's access log, block reports with 64-bit ids, JSON with
//! 128-bit trace ids, and a Java service with a stack trace now and then. A record
//! is stamped some microseconds after the program wrote its own time.

use std::fmt::Write;

use bytes::Bytes;
use tiphys_logging::{
    parse,
    record::{Record, Source},
};

/// 2026-01-02 00:00:00 UTC.
const START: i64 = 1_767_312_000_000_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    Nginx,
    Blocks,
    Json,
    Java,
}

impl Program {
    pub const ALL: [Program; 4] = [Program::Nginx, Program::Blocks, Program::Json, Program::Java];
}

/// xorshift64*.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len() as u64) as usize]
    }
}

/// The records of one stream, `apart` nanoseconds from one another on average.
pub fn stream(program: Program, seed: u64, count: usize, apart: u64) -> Vec<Record> {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut written = START;
    let record = |seq: usize| {
        written += dice.below(2 * apart) as i64;
        let body = line(program, written, &mut dice);
        let time = written + 20_000 + dice.below(400_000) as i64;
        let level = parse::level(body.as_bytes());
        Record { time, seq: seq as u64, level, source: Source::Stdout, body: Bytes::from(body) }
    };
    (0..count).map(record).collect()
}

fn line(program: Program, time: i64, dice: &mut Dice) -> String {
    let mut line = String::with_capacity(300);
    match program {
        Program::Nginx => nginx(&mut line, time, dice),
        Program::Blocks => blocks(&mut line, time, dice),
        Program::Json => json(&mut line, time, dice),
        Program::Java => java(&mut line, time, dice),
    }
    // Writing to a String can't fail.
    .expect("a String takes all");
    line
}

/// Hours, minutes, seconds and milliseconds; all records are of one day.
fn clock(time: i64) -> (i64, i64, i64, i64) {
    let millis = (time - START) / 1_000_000 % 86_400_000;
    (millis / 3_600_000, millis / 60_000 % 60, millis / 1000 % 60, millis % 1000)
}

fn nginx(line: &mut String, time: i64, dice: &mut Dice) -> std::fmt::Result {
    let (hour, minute, second, _) = clock(time);
    let (client, path) =
        (dice.below(4096), dice.one(&["/api/v1/items/", "/api/v1/carts/", "/static/img/", "/users/"]));
    let status = dice.one(&["200", "200", "200", "200", "200", "304", "404", "500"]);
    let agent = dice.one(&["Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36", "curl/8.5.0", "Go-http-client/2.0", "kube-probe/1.31"]);
    write!(
        line,
        "10.244.{}.{} - - [02/Jan/2026:{hour:02}:{minute:02}:{second:02} +0000] \"{} {path}{}?page={} HTTP/1.1\" {status} {} \"-\" \"{agent}\" {} 0.{:03}",
        client / 256,
        client % 256,
        dice.one(&["GET", "GET", "GET", "POST", "PUT"]),
        dice.below(100_000),
        dice.below(20),
        dice.below(60_000),
        dice.below(2000),
        dice.below(900),
    )
}

fn blocks(line: &mut String, time: i64, dice: &mut Dice) -> std::fmt::Result {
    let (hour, minute, second, _) = clock(time);
    let block = dice.next() as i64;
    let (node, port) = (dice.below(40) + 10, dice.below(20_000) + 40_000);
    write!(line, "260102 {hour:02}{minute:02}{second:02} {} INFO ", dice.below(40) + 1)?;
    match dice.below(4) {
        0 => write!(
            line,
            "dfs.DataNode$PacketResponder: PacketResponder {} for block blk_{block} terminating",
            dice.below(3)
        ),
        1 => write!(
            line,
            "dfs.DataNode$DataXceiver: Receiving block blk_{block} src: /10.250.19.{node}:{port} dest: /10.250.19.{node}:50010"
        ),
        2 => write!(
            line,
            "dfs.FSNamesystem: BLOCK* NameSystem.addStoredBlock: blockMap updated: 10.250.19.{node}:50010 is added to blk_{block} size {}",
            67_108_864 - dice.below(100) * dice.below(2)
        ),
        _ => write!(
            line,
            "dfs.DataNode$PacketResponder: Received block blk_{block} of size {} from /10.250.19.{node}",
            dice.below(67_108_864)
        ),
    }
}

fn json(line: &mut String, time: i64, dice: &mut Dice) -> std::fmt::Result {
    let (hour, minute, second, milli) = clock(time);
    let (trace, span) = (u128::from(dice.next()) << 64 | u128::from(dice.next()), dice.next());
    let (level, message) = match dice.below(20) {
        0 => ("error", dice.one(&["upstream timed out", "connection reset by peer"])),
        1..=2 => ("warn", "slow request"),
        _ => ("info", dice.one(&["request handled", "cart updated", "payment accepted", "cache miss"])),
    };
    write!(
        line,
        r#"{{"ts":"2026-01-02T{hour:02}:{minute:02}:{second:02}.{milli:03}Z","level":"{level}","msg":"{message}","trace_id":"{trace:032x}","span_id":"{span:016x}","user":"user-{}","duration_ms":{},"status":{}}}"#,
        dice.below(5000),
        dice.below(30) * dice.below(30),
        dice.one(&["200", "200", "200", "201", "404", "503"]),
    )
}

fn java(line: &mut String, time: i64, dice: &mut Dice) -> std::fmt::Result {
    let (hour, minute, second, milli) = clock(time);
    write!(line, "2026-01-02 {hour:02}:{minute:02}:{second:02},{milli:03} ")?;
    let thread = dice.below(16) + 1;
    if dice.below(33) == 0 {
        write!(
            line,
            "ERROR [http-nio-8080-exec-{thread}] c.e.shop.OrderService - Order {} failed: java.lang.IllegalStateException: stock of item {} is {}",
            dice.below(1_000_000),
            dice.below(5000),
            dice.below(3)
        )?;
        for (class, at) in
            [("OrderService.place", 118), ("OrderController.post", 64), ("Dispatcher.handle", 907)]
        {
            write!(
                line,
                "\n\tat com.example.shop.{class}({}.java:{at})",
                class.split('.').next().unwrap_or_default()
            )?;
        }
        return Ok(());
    }
    match dice.below(3) {
        0 => write!(
            line,
            "INFO  [http-nio-8080-exec-{thread}] c.e.shop.CartService - Added item {} to cart {} in {} ms",
            dice.below(5000),
            dice.below(1_000_000),
            dice.below(40)
        ),
        1 => write!(
            line,
            "DEBUG [http-nio-8080-exec-{thread}] c.e.shop.Repository - select took {}ms, {} rows, session {:08x}",
            dice.below(90),
            dice.below(200),
            dice.next() as u32
        ),
        _ => write!(
            line,
            "WARN  [scheduler-{}] c.e.shop.Sweeper - {} carts expired, next run at 2026-01-02T{:02}:00:00Z",
            dice.below(4),
            dice.below(500),
            (hour + 1) % 24
        ),
    }
}
