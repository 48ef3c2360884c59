//! A follower while collectors are killed: what it gets is each line once, in order, and that
//! the node was lost and is back.

use tokio::runtime::Runtime;

use super::*;
use crate::time;

/// A test that hangs ends.
const LIMIT: Duration = Duration::from_secs(60);

/// A collector that can be killed, at an address that stays taken.
struct Mortal {
    node: TestNode,
    listener: std::net::TcpListener,
    process: Option<Runtime>,
}

impl Mortal {
    fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a socket");
        let mut mortal = Self { node: TestNode::new("n1".into()), listener, process: None };
        mortal.run();
        mortal
    }

    fn root(&self) -> LogRoot {
        let address = self.listener.local_addr().ok();
        let access = Access::Token(TOKEN.into());
        let collector = Collector { node: "n1".into(), address, access };
        LogRoot::new(Arc::new(Nodes(vec![collector])), Arc::new(ByName))
    }

    /// A new process: nobody follows it yet.
    fn run(&mut self) {
        let process = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let process = process.expect("threads");
        self.node.hub = Arc::default();
        let router = self.node.router(&Tasks::new());
        let listener = self.listener.try_clone().expect("a descriptor");
        process
            .spawn(async move { axum::serve(TcpListener::from_std(listener).expect("bound"), router).await });
        self.process = Some(process);
    }

    /// Its connections break off, and nothing of it answers any more.
    async fn kill(&mut self) {
        let process = self.process.take().expect("it runs");
        let ended = tokio::task::spawn_blocking(move || process.shutdown_timeout(LIMIT));
        ended.await.expect("ended");
    }

    /// Lines of one stream whose numbers are their text.
    fn write(&self, numbers: std::ops::Range<u64>) {
        for number in numbers {
            self.node.write("shop/web-1", time::now(), number, Level::Info, &number.to_string());
        }
    }

    /// What it had not committed before it was killed is read once more.
    fn read_again(&self, numbers: std::ops::Range<u64>) {
        for number in numbers {
            let batch = self.node.batch("shop/web-1", time::now(), number, Level::Info, &number.to_string());
            self.node.hub.publish(&batch);
        }
    }
}

async fn next(lines: &mut (impl futures::Stream<Item = TailLine> + Unpin)) -> TailLine {
    tokio::time::timeout(LIMIT, lines.next()).await.expect("in time").expect("it goes on")
}

/// The next lines have these numbers.
async fn shows(lines: &mut (impl futures::Stream<Item = TailLine> + Unpin), numbers: std::ops::Range<u64>) {
    for number in numbers {
        let line = next(lines).await;
        assert!(matches!(&line, TailLine::Record(record) if record.body == number.to_string()), "{line:?}");
    }
}

/// The next line says this of the node.
async fn says(lines: &mut (impl futures::Stream<Item = TailLine> + Unpin), what: &str) {
    let line = next(lines).await;
    let TailLine::Partial { partial } = &line else { panic!("{line:?}") };
    assert!(partial.node == "n1" && partial.error.contains(what), "{partial:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_killed_under_a_follower_loses_and_doubles_no_line() {
    let mut mortal = Mortal::start();
    let root = mortal.root();
    let mut lines = Box::pin(root.tail(&admin(), &SearchRequest::default()).await.expect("a tail"));
    mortal.write(0..5);
    shows(&mut lines, 0..5).await;
    for round in 1..3 {
        let (first, next) = (round * 10 - 5, round * 10 + 5);
        mortal.kill().await;
        says(&mut lines, "can't be followed").await;
        // Nobody listens.
        mortal.write(first..first + 5);
        mortal.run();
        says(&mut lines, "is back").await;
        // By the connection, before or behind what is searched for.
        mortal.read_again(first - 3..first + 5);
        mortal.write(first + 5..next);
        shows(&mut lines, first..next).await;
    }
    drop(lines);
    mortal.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_comes_again_says_since_when() {
    let mut mortal = Mortal::start();
    mortal.write(0..3);
    let since = Some(time::format(time::now()));
    mortal.write(3..6);
    let request = SearchRequest { since, ..SearchRequest::default() };
    let root = mortal.root();
    let mut lines = Box::pin(root.tail(&admin(), &request).await.expect("a tail"));
    shows(&mut lines, 3..6).await;
    mortal.write(6..8);
    shows(&mut lines, 6..8).await;
    drop(lines);
    mortal.kill().await;
    let request = SearchRequest { since: Some("soon".into()), ..SearchRequest::default() };
    let refused = mortal.root().tail(&admin(), &request).await.err().map(|error| error.to_string());
    assert!(refused.as_ref().is_some_and(|refused| refused.contains("`since`")), "{refused:?}");
}
