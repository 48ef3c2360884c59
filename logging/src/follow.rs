//! Following logs from a client, over a restart of the server: when the stream breaks off
//! it is made again, and begins with what was written meanwhile.
//!
//! ```text
//! stream -> what was not shown yet -> shown
//! broken -> stream again, from a bit before where the last node stood
//! ```
//!
//! How far each node's records have come stands between them ([`Watermarks`]). The server gives what each
//! has since then, also of one that comes back later; numbers in streams tell what is there twice. What
//! has a time of its own that lies more than [`BACK`] before that is not searched for.

mod gap;
mod shown;
mod watermarks;

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use futures::{StreamExt, stream::BoxStream};
use tiphys_lifecycle::Backoff;

#[cfg(test)]
pub(crate) use gap::HELD;
pub(crate) use gap::{After, BACK, Gap, MOST};
pub(crate) use shown::Shown;
use watermarks::Watermarks;

use crate::{
    client::{self, ClientError},
    record::Position,
    time,
    wire::{LogRecord, NodeError, SearchRequest, TailLine},
};

type Lines = BoxStream<'static, Result<TailLine, ClientError>>;

/// A server that is starting refuses for a while; one that goes on is believed.
const STARTING: Duration = Duration::from_secs(90);

/// What happens while following.
#[derive(Debug)]
pub enum Event {
    Record(Box<LogRecord>),
    /// So many records of a node were passed over because this reader was slow, or because there
    /// were too many when the node came back.
    Dropped {
        dropped: u64,
        node: String,
    },
    /// Something to say of a node: it can't be followed, or it is back. A whole sentence whose
    /// subject is the node.
    Partial(NodeError),
    /// The stream broke off, and is made again.
    Broken(String),
    /// The server ended the stream, and why.
    Ended(String),
}

/// Records as they are written.
pub struct Follower {
    client: kube::Client,
    request: SearchRequest,
    lines: Option<Lines>,
    shown: Shown,
    events: VecDeque<Event>,
    watermarks: Watermarks,
    /// A node or the server was lost: what is older than the begin may be told now, which it was not then.
    disturbed: bool,
}

impl Follower {
    /// Connects. A search made afterwards and this together miss nothing; times of the request don't count.
    pub async fn connect(client: &kube::Client, request: &SearchRequest) -> Result<Self, ClientError> {
        let mut watermarks = Watermarks::new(time::now());
        let request = SearchRequest { since: None, until: None, watermarks: true, ..request.clone() };
        let (lines, by_nodes) = tail(client, request.clone(), None).await?;
        watermarks.told(by_nodes, watermarks.began());
        Ok(Self {
            client: client.clone(),
            request,
            lines: Some(lines),
            shown: Shown::default(),
            events: VecDeque::new(),
            watermarks,
            disturbed: false,
        })
    }

    /// These were shown: what was there before.
    pub fn had(&mut self, ids: impl IntoIterator<Item = String>) {
        for id in ids {
            self.shown.is_new(&id);
        }
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
                Some(Ok(line)) => self.take_in(line),
                Some(Err(error)) => self.broke(&crate::archive::chain(&error)),
                None => self.broke("the server ended the stream"),
            }
        }
    }

    fn take_in(&mut self, line: TailLine) {
        self.watermarks.heard(time::now());
        let event = match line {
            TailLine::Record(record) => match self.is_new(&record) {
                true => Event::Record(record),
                false => return,
            },
            TailLine::Dropped { dropped, node, .. } => Event::Dropped { dropped, node },
            TailLine::Partial { partial } => {
                self.disturbed = true;
                Event::Partial(partial)
            }
            TailLine::Watermark { watermark, node } => {
                if let Some(time) = time::parse(&watermark) {
                    self.watermarks.reach(&node, time);
                    self.shown.forget(self.watermarks.horizon());
                }
                return;
            }
            TailLine::Ended { ended } => Event::Ended(ended),
        };
        self.events.push_back(event);
    }

    /// Whether a record is to be shown. A collector that was killed reads again what it had not
    /// committed, also from before this began.
    fn is_new(&mut self, record: &LogRecord) -> bool {
        if !self.shown.is_new(&record.id) {
            return false;
        }
        let Ok(at) = record.id.parse::<Position>() else { return true };
        let began = self.watermarks.began();
        let before = began.saturating_sub(BACK)..began;
        !(self.disturbed && before.contains(&at.time))
    }

    fn broke(&mut self, cause: &str) {
        self.lines = None;
        self.disturbed = true;
        self.events.push_back(Event::Broken(cause.to_owned()));
    }

    async fn connect_again(&mut self) -> Result<(), ClientError> {
        let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(5));
        let began = Instant::now();
        let again = self.watermarks.again();
        let least = again.least();
        for (node, reached) in again.given_up {
            let reached = time::format(reached.max(self.watermarks.began()));
            let error = format!("lines since {reached} may be missing: search for that time");
            self.events.push_back(Event::Partial(NodeError { node, error }));
        }
        let of = again.of.iter().map(|(node, since)| format!("{node}={}", time::format(*since)));
        let since_of = Some(of.collect::<Vec<_>>().join(",")).filter(|of| !of.is_empty());
        let since = Some(time::format(again.since));
        let request = SearchRequest { since, since_of, ..self.request.clone() };
        let (lines, by_nodes) = loop {
            match tail(&self.client, request.clone(), Some(time::format(least))).await {
                Ok(connected) => break connected,
                Err(error @ ClientError::Refused(_)) if began.elapsed() > STARTING => return Err(error),
                Err(_) => tokio::time::sleep(backoff.next_pause()).await,
            }
        };
        self.watermarks.told(by_nodes, least);
        self.lines = Some(lines);
        Ok(())
    }
}

/// Connects, also to a server of before there were watermarks: it refuses a request with fields that it
/// doesn't know, and is asked again without them, for all nodes since `least`. Gives whether nodes will say
/// how far they are.
async fn tail(
    client: &kube::Client,
    mut request: SearchRequest,
    least: Option<String>,
) -> Result<(Lines, bool), ClientError> {
    loop {
        let connected = client::tail(client, &request).await;
        match connected {
            Err(ClientError::Refused(why)) if request.since_of.is_some() && is_unknown("since_of", &why) => {
                (request.since, request.since_of) = (least.clone(), None);
            }
            Err(ClientError::Refused(why)) if request.watermarks && is_unknown("watermarks", &why) => {
                request.watermarks = false;
            }
            connected => return Ok((connected?.boxed(), request.watermarks)),
        }
    }
}

/// Whether a server refuses a request for the sake of a field that it doesn't know.
fn is_unknown(field: &str, why: &str) -> bool {
    why.contains(&format!("unknown field `{field}`"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::{
        Extension, Router,
        extract::{Query, State, rejection::QueryRejection},
        response::{IntoResponse, Response},
        routing::get,
    };
    use parking_lot::Mutex;
    use serde::Deserialize;
    use tiphys_lifecycle::{OnError, Tasks};
    use tokio::net::TcpListener;

    use super::*;
    use crate::{
        record::Level,
        root::{
            self, PREFIX,
            tests::{TestCluster, admin},
        },
    };

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

    /// The address, a server there, and who asks it.
    fn served(cluster: &TestCluster) -> (std::net::TcpListener, tokio::runtime::Runtime, kube::Client) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("bound");
        let client = client_of(address);
        let server = serve(cluster, &listener);
        (listener, server, client)
    }

    /// Who asks the server there.
    fn client_of(address: std::net::SocketAddr) -> kube::Client {
        let config = kube::Config::new(format!("http://{address}").parse().expect("an address"));
        kube::Client::try_from(config).expect("a client")
    }

    /// What a server of before there were watermarks can be asked.
    #[derive(Debug, Clone, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Former {
        #[serde(rename = "query")]
        _query: String,
        since: Option<String>,
    }

    /// What it was asked and has not refused.
    type FormerAsked = Arc<Mutex<Vec<Former>>>;

    /// It answers with one line, which is the number of the request, and ends.
    async fn former_tail(
        State(asked): State<FormerAsked>,
        request: Result<Query<Former>, QueryRejection>,
    ) -> Response {
        let Query(request) = match request {
            Ok(request) => request,
            Err(error) => return (error.status(), error.body_text()).into_response(),
        };
        let mut asked = asked.lock();
        let seq = asked.len() as u64;
        asked.push(request);
        let id = Position { time: time::now(), stream: "s".into(), seq }.to_string();
        let record = LogRecord { id, body: seq.to_string(), ..LogRecord::default() };
        root::ndjson_alive(futures::stream::iter([TailLine::Record(Box::new(record))]))
    }

    #[tokio::test]
    async fn a_server_of_before_watermarks_is_asked_and_followed_without_them() {
        let asked = FormerAsked::default();
        let router =
            Router::new().route(&format!("{PREFIX}/tail"), get(former_tail)).with_state(asked.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let client = client_of(listener.local_addr().expect("bound"));
        let tasks = Tasks::new();
        tasks.spawn("former server", OnError::Log, async move { axum::serve(listener, router).await });
        let began = time::now();
        let mut follower = Follower::connect(&client, &SearchRequest::default()).await.expect("connected");
        let followed = async {
            let mut bodies = Vec::new();
            while bodies.len() < 2 {
                if let Event::Record(record) = follower.next().await.expect("it goes on") {
                    bodies.push(record.body);
                }
            }
            bodies
        };
        let bodies = tokio::time::timeout(Duration::from_secs(120), followed).await.expect("in time");
        assert_eq!(bodies, ["0", "1"]);
        let since: Vec<_> = asked.lock().iter().map(|request| request.since.clone()).collect();
        let again = since[1].as_deref().and_then(time::parse).expect("a time");
        assert!(since[0].is_none() && (began..=time::now()).contains(&again), "{since:?}");
        // Of nodes that were behind others the least counts for all.
        let [early, late] = ["2026-01-31T12:00:00Z", "2026-01-31T13:00:00Z"].map(str::to_owned);
        let since_of = Some(format!("n1={early}"));
        let request =
            SearchRequest { since: Some(late), since_of, watermarks: true, ..SearchRequest::default() };
        let connected = tail(&client, request, Some(early.clone())).await;
        assert!(connected.is_ok_and(|(_, by_nodes)| !by_nodes));
        assert_eq!(asked.lock().last().and_then(|request| request.since.clone()), Some(early));
        drop(follower);
        tasks.shutdown(Duration::from_secs(10)).await;
    }

    /// Ends it as a process ends: its connections break off, and nothing of it answers anymore.
    async fn end(server: tokio::runtime::Runtime) {
        let ended = tokio::task::spawn_blocking(move || server.shutdown_timeout(Duration::from_secs(60)));
        ended.await.expect("ended");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_line_is_lost_or_doubled_over_a_restart_of_the_server() {
        let cluster = TestCluster::start(2, 0).await;
        let (listener, server, client) = served(&cluster);
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

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_stream_that_breaks_off_begins_again_where_its_last_node_stood() {
        let cluster = TestCluster::start(2, 0).await;
        let (listener, server, client) = served(&cluster);
        let mut follower = Follower::connect(&client, &SearchRequest::default()).await.expect("connected");
        // It began long ago, and lost its stream since.
        let began = time::now() - 20 * BACK;
        follower.watermarks = Watermarks::new(began);
        follower.connect_again().await.expect("connected");
        let [quick, slow] = &*cluster.nodes else { panic!("two nodes") };
        let write = |node: &crate::root::tests::TestNode, time: i64, seq: u64, text: &str| {
            node.write("shop/web-1", time, seq, Level::Info, text);
        };
        write(quick, time::now(), 0, "quick");
        write(slow, began + 8 * BACK, 1, "of its backlog");
        let told = async {
            loop {
                quick.hub.reached(time::now());
                slow.hub.reached(began + 8 * BACK);
                // As collectors do at their pace.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let mut bodies = Vec::new();
        let (mut server, mut again) = (Some(server), None);
        let all = async {
            loop {
                match follower.next().await.expect("it goes on") {
                    Event::Record(record) if record.body == "last" => return,
                    Event::Record(record) => bodies.push(record.body),
                    Event::Broken(_) => {
                        // More of its backlog, of which nobody was told.
                        write(slow, began + 10 * BACK, 2, "more of it");
                        write(slow, began + 2 * BACK, 3, "long before");
                        write(quick, began + 10 * BACK, 5, "long before what it said");
                        again = Some(serve(&cluster, &listener));
                    }
                    other => panic!("{other:?}"),
                }
                if bodies.len() == 2
                    && let Some(server) = server.take()
                {
                    // Both have said how far they are.
                    while follower.watermarks.again().of != [("n2".to_owned(), began + 7 * BACK)] {
                        let line = follower.lines.as_mut().expect("connected").next().await;
                        follower.take_in(line.expect("it goes on").expect("sound"));
                    }
                    end(server).await;
                }
                if bodies.len() == 3 {
                    write(slow, time::now(), 4, "last");
                }
            }
        };
        let all = async {
            tokio::select! {
                () = all => {}
                () = told => {}
            }
        };
        tokio::time::timeout(Duration::from_secs(120), all).await.expect("in time");
        bodies.sort_unstable();
        assert_eq!(bodies, ["more of it", "of its backlog", "quick"]);
        end(again.expect("it was started again")).await;
    }
}
