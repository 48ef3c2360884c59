//! The deepest queries that are taken: who evaluates them has a thread's stack, and must not leave it.

use super::*;

/// What a thread of the server has.
const STACK: usize = 2 << 20;

#[test]
fn abuse_35_the_deepest_queries_have_room_on_a_threads_stack() {
    let within =
        |begin: &str, end: &str, count: usize| format!("{}up{}", begin.repeat(count), end.repeat(count));
    let (minus, plus, or) = ("-".repeat(200), " + 1".repeat(200), " or up".repeat(200));
    let queries = [
        // The square bracket is the fortieth.
        format!("{minus}{}", within("max_over_time(", "[2m:1m])", 39)),
        format!("{}{plus}", within("max_over_time(", "[2m:1m])", 39)),
        format!("{}{plus}", within("clamp_max(", ", 9)", 40)),
        format!("{}{or}", within("sum(", ")", 40)),
        format!("{}{or}", within("(", ")", 40)),
        format!("{}up", "1 ^ ".repeat(200)),
    ];
    let asking = move || {
        let store = store(60_000, "up{pod=\"a\"} 1+0x200");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        for query in &queries {
            if let Err(error) = runtime.block_on(ask(&store, query, 6000)) {
                panic!("{query}: {error}");
            }
        }
    };
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(asking).expect("a thread");
    thread.join().expect("all are answered");
}
