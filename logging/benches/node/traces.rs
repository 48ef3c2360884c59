//! Stack traces of the Java service as deep as those of a real one: below its own frames stand
//! those of a framework, then a cause.
//!
//! In a file each of their lines is one of its own, as a container runtime writes them, and the
//! collector joins them to a record. Which lines go on is known here, too, and must agree with
//! its rules: else it has more records than the bench waits for.

use std::fmt::Write;

use rand::{Rng, SeedableRng, rngs::StdRng};

/// Frames below those of the service, the topmost first.
const FRAMEWORK: [&str; 16] = [
    "com.example.web.Handler.invoke(Handler.java:205)",
    "com.example.web.Router.dispatch(Router.java:151)",
    "com.example.web.Security.guard(Security.java:88)",
    "com.example.web.Filters.next(Filters.java:74)",
    "com.example.web.Encoding.filter(Encoding.java:41)",
    "com.example.web.Filters.next(Filters.java:74)",
    "com.example.web.Metrics.filter(Metrics.java:59)",
    "com.example.web.Filters.next(Filters.java:74)",
    "com.example.web.Context.enter(Context.java:482)",
    "com.example.http.Pipeline.handle(Pipeline.java:93)",
    "com.example.http.Host.handle(Host.java:115)",
    "com.example.http.Connector.process(Connector.java:344)",
    "com.example.http.Protocol.read(Protocol.java:391)",
    "com.example.http.Poller.run(Poller.java:1744)",
    "java.base/java.util.concurrent.ThreadPoolExecutor.runWorker(ThreadPoolExecutor.java:1136)",
    "java.base/java.lang.Thread.run(Thread.java:840)",
];

/// Frames of a cause, the topmost first.
const STORE: [&str; 6] = [
    "com.example.store.Socket.read(Socket.java:97)",
    "com.example.store.Protocol.row(Protocol.java:212)",
    "com.example.store.Statement.run(Statement.java:166)",
    "com.example.store.Pool.with(Pool.java:71)",
    "com.example.shop.Repository.stock(Repository.java:53)",
    "com.example.shop.OrderService.reserve(OrderService.java:131)",
];

/// Where the service fails.
const PLACES: usize = 12;

/// Whether a line belongs to the record of the line before it. No other line of the bench begins so.
pub fn goes_on(line: &str) -> bool {
    line.starts_with('\t') || line.starts_with("Caused by: ")
}

/// Gives a record that has a trace eight to 25 frames in all; others stay as they are.
pub fn deepen(body: &mut String, seed: u64) {
    if body.contains("\n\tat ") {
        let mut dice = StdRng::seed_from_u64(seed);
        // Writing to a String can't fail.
        extend(body, &mut dice).expect("a String takes all");
    }
}

/// The record has three frames so far. A service fails at a few places, each with its own stack.
fn extend(body: &mut String, dice: &mut StdRng) -> std::fmt::Result {
    let place = dice.random_range(0..PLACES);
    let (depth, of_cause) = (FRAMEWORK.len() - place, 1 + place % STORE.len());
    for frame in &FRAMEWORK[..depth] {
        write!(body, "\n\tat {frame}")?;
    }
    if place % 2 == 0 {
        let (row, session) = (dice.random_range(0..5000), dice.random::<u32>());
        write!(
            body,
            "\nCaused by: com.example.store.LockedException: row {row} is held by session {session:08x}"
        )?;
    } else {
        let (host, millis) = (dice.random_range(2..250), dice.random_range(1000..5000));
        write!(
            body,
            "\nCaused by: java.net.SocketTimeoutException: no answer of 10.96.7.{host}:5432 in {millis} ms"
        )?;
    }
    for frame in &STORE[..of_cause] {
        write!(body, "\n\tat {frame}")?;
    }
    write!(body, "\n\t... {} more", depth + 2)
}
