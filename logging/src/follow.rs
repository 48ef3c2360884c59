//! Following logs from a client, over a restart of the server: when the stream breaks off
//! it is made again, and what was written meanwhile is searched for.
//!
//! ```text
//! stream -> what the history has not              -> shown, and the stream's number noted
//! broken -> stream again -> search from a bit before the break, oldest first
//!                        -> what has a greater number in its stream than was shown
//! ```
//!
//! Connected first and searched afterwards, so that nothing falls between; numbers in
//! streams tell what is there twice. What has a time of its own that lies more than
//! [`BACK`] before the break is not searched for.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::{Duration, Instant},
};

use futures::{StreamExt, stream::BoxStream};
use tiphys_lifecycle::Backoff;

use crate::{
    client::{self, ClientError},
    record::Position,
    time,
    wire::{LogRecord, MAX_LIMIT, NodeError, SearchRequest, TailLine},
};

/// How far before the last sign of life is searched.
const BACK: i64 = 120 * time::SECOND;
/// A server that is starting refuses for a while; one that goes on is believed.
const STARTING: Duration = Duration::from_secs(90);
/// How long nodes that don't answer are asked again for what was written meanwhile.
const PATIENCE: Duration = Duration::from_secs(30);

/// What happens while following.
#[derive(Debug)]
pub enum Event {
    Record(Box<LogRecord>),
    /// So many records of a node were passed over because this reader was slow.
    Dropped {
        dropped: u64,
        node: String,
    },
    /// A node is missing from here on, or from what was written during a break.
    Partial(NodeError),
    /// The stream broke off, and is made again.
    Broken(String),
    /// The server ended the stream, and why.
    Ended(String),
}

/// Which records were shown.
#[derive(Debug, Default)]
struct Shown {
    /// Of the history, whose order is another.
    history: HashSet<String>,
    /// The last number of each stream.
    last: HashMap<String, u64>,
    /// The last number that a search after a break gave, of streams that the stream may
    /// give once more.
    searched: HashMap<String, u64>,
}

impl Shown {
    /// Whether a record of the stream is new.
    fn of_stream(&mut self, id: &str) -> bool {
        if self.history.remove(id) {
            return false;
        }
        let Ok(at) = id.parse::<Position>() else { return true };
        if self.searched.get(&at.stream).is_some_and(|last| at.seq <= *last) {
            return false;
        }
        self.note(at);
        true
    }

    /// Whether a record that a search gave after a break is new.
    fn of_search(&mut self, id: &str) -> bool {
        if self.history.contains(id) {
            return false;
        }
        let Ok(at) = id.parse::<Position>() else { return true };
        if self.last.get(&at.stream).is_some_and(|last| at.seq <= *last) {
            return false;
        }
        self.searched.insert(at.stream.clone(), at.seq);
        self.note(at);
        true
    }

    fn note(&mut self, at: Position) {
        let last = self.last.entry(at.stream).or_insert(at.seq);
        *last = at.seq.max(*last);
    }
}

/// Records as they are written.
pub struct Follower {
    client: kube::Client,
    request: SearchRequest,
    lines: Option<BoxStream<'static, Result<TailLine, ClientError>>>,
    shown: Shown,
    events: VecDeque<Event>,
    /// What is older was there before.
    began: i64,
    /// The last sign of life of the server.
    alive: i64,
}

impl Follower {
    /// Connects. A search made afterwards and this together miss nothing.
    pub async fn connect(client: &kube::Client, request: &SearchRequest) -> Result<Self, ClientError> {
        let began = time::now();
        let lines = client::tail(client, request).await?.boxed();
        Ok(Self {
            client: client.clone(),
            request: request.clone(),
            lines: Some(lines),
            shown: Shown::default(),
            events: VecDeque::new(),
            began,
            alive: time::now(),
        })
    }

    /// These were shown: what was there before.
    pub fn had(&mut self, ids: impl IntoIterator<Item = String>) {
        self.shown.history.extend(ids);
    }

    /// What happens next. An error is the last.
    pub async fn next(&mut self) -> Result<Event, ClientError> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            let Some(lines) = &mut self.lines else {
                self.connect_again().await?;
                continue;
            };
            match lines.next().await {
                Some(Ok(line)) => {
                    self.alive = time::now();
                    self.take_in(line);
                }
                Some(Err(error)) => self.broke(&crate::archive::chain(&error)),
                None => self.broke("the server ended the stream"),
            }
        }
    }

    fn take_in(&mut self, line: TailLine) {
        self.events.push_back(match line {
            TailLine::Record(record) => match self.shown.of_stream(&record.id) {
                true => Event::Record(record),
                false => return,
            },
            TailLine::Dropped { dropped, node } => Event::Dropped { dropped, node },
            TailLine::Partial { partial } => Event::Partial(partial),
            TailLine::Ended { ended } => Event::Ended(ended),
        });
    }

    fn broke(&mut self, cause: &str) {
        self.lines = None;
        self.events.push_back(Event::Broken(cause.to_owned()));
    }

    async fn connect_again(&mut self) -> Result<(), ClientError> {
        let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(5));
        let since = Instant::now();
        let lines = loop {
            match client::tail(&self.client, &self.request).await {
                Ok(lines) => break lines.boxed(),
                Err(error @ ClientError::Refused(_)) if since.elapsed() > STARTING => return Err(error),
                Err(_) => tokio::time::sleep(backoff.next_pause()).await,
            }
        };
        self.lines = Some(lines);
        self.catch_up().await;
        self.alive = time::now();
        Ok(())
    }

    /// Searches for what was written during the break; nodes that the server has not found yet
    /// are waited for.
    async fn catch_up(&mut self) {
        self.shown.searched.clear();
        let since = Instant::now();
        let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(5));
        let from = self.began.max(self.alive.saturating_sub(BACK));
        loop {
            let missing = match self.search(from).await {
                Ok(missing) => missing,
                Err(error) => {
                    let error = crate::archive::chain(&error);
                    vec![NodeError { node: "what was written during the break".into(), error }]
                }
            };
            if missing.is_empty() {
                return;
            }
            if since.elapsed() > PATIENCE {
                self.events.extend(missing.into_iter().map(Event::Partial));
                return;
            }
            tokio::time::sleep(backoff.next_pause()).await;
        }
    }

    /// All pages from a time on; gives what is missing from them.
    async fn search(&mut self, from: i64) -> Result<Vec<NodeError>, ClientError> {
        let mut request = SearchRequest {
            since: Some(time::format(from)),
            until: None,
            limit: Some(MAX_LIMIT),
            oldest_first: true,
            cursor: None,
            ..self.request.clone()
        };
        let mut missing: Vec<NodeError> = Vec::new();
        loop {
            let page = client::search(&self.client, &request).await?;
            for record in page.records {
                if self.shown.of_search(&record.id) {
                    self.events.push_back(Event::Record(Box::new(record)));
                }
            }
            let new = page.partial.into_iter().filter(|error| !missing.contains(error)).collect::<Vec<_>>();
            missing.extend(new);
            request.cursor = page.cursor;
            if request.cursor.is_none() {
                return Ok(missing);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::Extension;
    use tokio::net::TcpListener;

    use super::*;
    use crate::{
        record::Level,
        root::tests::{TestCluster, admin},
    };

    fn id(stream: &str, seq: u64) -> String {
        Position { time: 5, stream: stream.into(), seq }.to_string()
    }

    #[test]
    fn what_is_there_twice_is_shown_once() {
        let mut shown = Shown::default();
        shown.history.extend([id("a", 9), id("b", 3)]);
        // A line before one of the history is none of it.
        assert!(
            shown.of_stream(&id("a", 8)) && !shown.of_stream(&id("a", 9)) && shown.of_stream(&id("a", 10))
        );
        // After a break: what was shown, the history, what is new, another stream.
        let found: Vec<bool> = [id("a", 10), id("b", 3), id("a", 11), id("b", 4), id("c", 0)]
            .iter()
            .map(|id| shown.of_search(id))
            .collect();
        assert_eq!(found, [false, false, true, true, true]);
        // The stream gives some of it once more.
        let found: Vec<bool> = [id("a", 11), id("b", 4), id("c", 0), id("c", 1), id("a", 12)]
            .iter()
            .map(|id| shown.of_stream(id))
            .collect();
        assert_eq!(found, [false, false, false, true, true]);
        // A search once more, for nodes that had not answered.
        assert!(!shown.of_search(&id("c", 1)) && shown.of_search(&id("d", 7)));
    }

    /// A server over the nodes, at an address that stays taken while none runs.
    fn serve(cluster: &TestCluster, listener: &std::net::TcpListener) -> tokio::runtime::Runtime {
        let process = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let process = process.expect("threads");
        let router = cluster.another_root().router().layer(Extension(admin()));
        let listener = listener.try_clone().expect("a descriptor");
        process
            .spawn(async move { axum::serve(TcpListener::from_std(listener).expect("bound"), router).await });
        process
    }

    /// Ends it as a process ends: its connections break off, and nothing of it answers anymore.
    async fn end(server: tokio::runtime::Runtime) {
        let ended = tokio::task::spawn_blocking(move || server.shutdown_timeout(Duration::from_secs(60)));
        ended.await.expect("ended");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_line_is_lost_or_doubled_over_a_restart_of_the_server() {
        let cluster = Arc::new(TestCluster::start(2, 0).await);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("bound");
        let server = serve(&cluster, &listener);
        let config = kube::Config::new(format!("http://{address}").parse().expect("an address"));
        let client = kube::Client::try_from(config).expect("a client");
        let mut seq = 0;
        let mut write = |text: &str| {
            let pod = format!("shop/web-{}", seq % 3);
            cluster.nodes[seq % 2].write(&pod, time::now(), seq as u64, Level::Info, text);
            seq += 1;
        };
        write("before");
        let request = SearchRequest { query: "line OR before".into(), ..SearchRequest::default() };
        let mut follower = Follower::connect(&client, &request).await.expect("connected");
        let history = client::search(&client, &request).await.expect("an answer").records;
        follower.had(history.into_iter().map(|record| record.id));
        let mut expected: Vec<String> = (0..20).map(|number| format!("line {number}")).collect();
        expected.iter().for_each(|line| write(line));
        let mut found = Vec::new();
        let mut server = Some(server);
        let mut again = None;
        let all = async {
            let mut breaks = 0;
            while found.len() < 60 {
                match follower.next().await.expect("goes on") {
                    Event::Record(record) => found.push(record.body),
                    Event::Broken(_) => {
                        breaks += 1;
                        // Nobody is told of these.
                        (20..40).for_each(|number| write(&format!("line {number}")));
                        again = Some(serve(&cluster, &listener));
                    }
                    other => panic!("{other:?}"),
                }
                match (found.len(), server.take_if(|_| found.len() == 20)) {
                    (20, Some(server)) => end(server).await,
                    (40, _) => (40..60).for_each(|number| write(&format!("line {number}"))),
                    _ => {}
                }
            }
            assert_eq!(breaks, 1);
        };
        tokio::time::timeout(Duration::from_secs(120), all).await.expect("in time");
        expected.extend((20..60).map(|number| format!("line {number}")));
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected);
        end(again.expect("it was started again")).await;
    }
}
