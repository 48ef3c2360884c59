//! Whole collectors on real files: found at once, nothing lost or doubled by
//! kill -9, and the HTTP door with the server's root before it.

use std::{
    collections::HashMap,
    fs::{self, OpenOptions},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use futures::StreamExt;
use tiphys_api::auth::{Attributes, Authorizer, UserInfo};
use tiphys_lifecycle::Tasks;

use super::*;
use crate::{
    root::{Access, Collector, Collectors, LogRoot, RootError},
    search::{self, Request},
    wire::{FacetsRequest, HistogramRequest, NodeRequest, SearchRequest, TailLine},
};

mod compressed;
mod descriptors;
mod docker;
mod edges;
mod flood;

const TOKEN: &str = "t0ken";

fn config(folder: &Path, node: &str) -> Config {
    let mut config = Config::new(node, ([127, 0, 0, 1], 0).into(), TOKEN);
    config.pods_dir = folder.join("pods");
    config.data_dir = folder.join("data");
    config.container_logs = Some(folder.join("docker"));
    config.commit_after = Duration::from_millis(100);
    config
}

fn log_file(folder: &Path, pod: &str) -> PathBuf {
    let dir = folder.join("pods").join(format!("{pod}_uid-{}", pod.replace('_', "-"))).join("app");
    fs::create_dir_all(&dir).expect("a folder");
    dir.join("0.log")
}

fn write(path: &Path, lines: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).expect("a file");
    file.write_all(lines.as_bytes()).expect("written");
}

fn line(number: usize, body: &str) -> String {
    format!("2026-01-31T12:00:{:02}.{:09}Z stdout F {body}\n", number / 1000 % 60, number % 1000)
}

fn find(store: &crate::index::Store, query: &str) -> Vec<String> {
    let request = NodeRequest { query: query.into(), ..NodeRequest::default() };
    let request = Request::new(&request, Duration::from_secs(60)).expect("a query");
    let answer = search::search(store, &request, 1_000_000, "n1");
    assert!(answer.partial.is_empty(), "{:?}", answer.partial);
    answer.records.into_iter().map(|record| record.body).collect()
}

/// Waits until so many records are found.
async fn until_found(running: &Running, query: &str, count: usize) {
    let found = async {
        while find(&running.store, query).len() < count {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), found).await.expect("found in time");
}

/// Starts once the last task of the collector before let go of the index.
async fn again(folder: &Path, tasks: &Tasks) -> Running {
    let started = async {
        loop {
            match run(config(folder, "n1"), None, tasks).await {
                Err(CollectorError::Index(IndexError::InUse(_))) => tokio::task::yield_now().await,
                other => return other.expect("started"),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(120), started).await.expect("started in time")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_is_found_when_it_is_written_also_of_a_pod_that_is_gone() {
    let folder = tempfile::tempdir().expect("a folder");
    let tasks = Tasks::new();
    // Only the kernel tells of the line: nothing looks for it again by itself, with commits neither.
    let config = Config { commit_after: Duration::from_secs(3600), ..config(folder.path(), "n1") };
    let running = run(config, None, &tasks).await.expect("started");
    let path = log_file(folder.path(), "shop_web-1");
    write(&path, &line(1, "hello there"));
    until_found(&running, "ns:shop hello", 1).await;
    write(&path, &line(2, "last words"));
    fs::remove_dir_all(path.parent().and_then(Path::parent).expect("a Pod's folder")).expect("deleted");
    until_found(&running, "pod:web-1 \"last words\"", 1).await;
    assert_eq!(tasks.shutdown(Duration::from_secs(120)).await, Vec::<String>::new());
    drop(running);

    let tasks = Tasks::new();
    let running = again(folder.path(), &tasks).await;
    assert_eq!(find(&running.store, "pod:web-1"), ["last words", "hello there"]);
    tasks.shutdown(Duration::from_secs(120)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_annotations_ask_for_holds_after_a_restart_and_loses_no_other_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let tasks = Tasks::new();
    let running = run(config(folder.path(), "n1"), None, &tasks).await.expect("started");
    let annotations = [("redact".to_owned(), "email".to_owned())].into();
    let meta = crate::index::NamespaceMeta { annotations, gone: false };
    running.store.namespace_table().update("shop", meta);
    let path = log_file(folder.path(), "shop_web-1");
    write(&path, &(line(1, "mail from ada@example.org") + &line(2, "hello")));
    until_found(&running, "ns:shop", 2).await;
    assert_eq!(tasks.shutdown(Duration::from_secs(120)).await, Vec::<String>::new());
    drop(running);

    write(&path, &line(3, "mail from bob@example.org"));
    let tasks = Tasks::new();
    let running = again(folder.path(), &tasks).await;
    until_found(&running, "ns:shop", 3).await;
    let expected = ["mail from [redacted]", "hello", "mail from [redacted]"];
    assert_eq!(find(&running.store, "ns:shop"), expected);
    assert!(find(&running.store, "ada OR bob OR example").is_empty());
    tasks.shutdown(Duration::from_secs(120)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn formats_colours_and_traces_of_real_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let tasks = Tasks::new();
    let path = log_file(folder.path(), "shop_web-1");
    let lines = [
        "2026-01-31 12:00:00 ERROR [main] c.e.App - gone",
        "java.lang.IllegalStateException: boom",
        "\tat c.e.App.run(App.java:12)",
        "Caused by: java.sql.SQLException: no",
        "\t... 12 more",
        "\x1b[33mWARN\x1b[0m \x1b[1mslow\x1b[0m answer",
        "E0131 12:00:00.1 1 main.go:1] klogged",
        r#"{"level":"\u001b[32minfo\u001b[39m","msg":"\u001b[1mjsoned\u001b[0m"}"#,
        r#"10.0.0.1 - - [31/Jan/2026:12:00:00 +0000] "GET /a HTTP/1.1" 502 157 "-" "curl/8""#,
    ];
    let (before, after) = lines.split_at(3);
    let text = |lines: &[&str], from: usize| -> String {
        lines.iter().enumerate().map(|(at, body)| line(from + at, body)).collect()
    };
    // The trace goes on in the next file.
    fs::write(path.with_file_name("0.log.20260131-120000"), text(before, 0)).expect("written");
    write(&path, &text(after, before.len()));
    let docker = log_file(folder.path(), "shop_docker-1");
    let json = r#"{"log":"level=error msg=\"by docker\"\n","stream":"stderr","time":"2026-01-31T12:00:00Z"}"#;
    write(&docker, &format!("{json}\n"));

    let running = run(config(folder.path(), "n1"), None, &tasks).await.expect("started");
    until_found(&running, "*", 6).await;
    assert_eq!(find(&running.store, "IllegalStateException level:error"), [lines[..5].join("\n")]);
    assert_eq!(find(&running.store, "level:warn slow"), [lines[5]]);
    assert_eq!(find(&running.store, "klogged level:error"), [lines[6]]);
    assert_eq!(find(&running.store, "jsoned msg:jsoned level:info"), [lines[7]]);
    assert_eq!(find(&running.store, "curl level:error"), [lines[8]]);
    assert_eq!(
        find(&running.store, "stream:stderr msg:docker level:error"),
        ["level=error msg=\"by docker\""]
    );
    // Also of blocks on disk, whose words come from the index.
    assert_eq!(tasks.shutdown(Duration::from_secs(120)).await, Vec::<String>::new());
    drop(running);
    let tasks = Tasks::new();
    let running = again(folder.path(), &tasks).await;
    assert_eq!(find(&running.store, "slow"), [lines[5]]);
    assert_eq!(find(&running.store, "jsoned"), [lines[7]]);
    assert_eq!(find(&running.store, "*").len(), 6);
    tasks.shutdown(Duration::from_secs(120)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_whose_pod_is_gone_or_silent_is_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let tasks = Tasks::new();
    let running = run(config(folder.path(), "n1"), None, &tasks).await.expect("started");
    let (silent, gone) = (log_file(folder.path(), "shop_silent"), log_file(folder.path(), "shop_gone"));
    write(&gone, &line(0, "INFO up"));
    until_found(&running, "up", 1).await;
    write(&silent, &line(1, "panic: silent"));
    write(&gone, &line(1, "panic: gone"));
    fs::remove_dir_all(gone.parent().and_then(Path::parent).expect("a Pod's folder")).expect("deleted");
    until_found(&running, "panic level:fatal", 2).await;
    tasks.shutdown(Duration::from_secs(120)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_nothing_is_written_on_keeps_nothing_beyond_its_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let tasks = Tasks::new();
    let mut config = config(folder.path(), "n1");
    config.retention.age = Duration::from_secs(2);
    config.upkeep_each = Duration::from_millis(100);
    let running = run(config, None, &tasks).await.expect("started");
    let changes = running.store.changes();
    let before = *changes.borrow();
    write(&log_file(folder.path(), "shop_web-1"), &line(1, "hello"));
    // Its split comes and goes, which a search on a busy machine may be too late to see.
    let gone = async {
        while *changes.borrow() < before + 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), gone).await.expect("it goes without another commit");
    assert_eq!((running.metrics.records.get(), find(&running.store, "hello").len()), (1, 0));
    tasks.shutdown(Duration::from_secs(120)).await;
}

/// Not a test of its own: the process that `kill_9_loses_and_doubles_nothing` kills.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_process() {
    let Some(folder) = std::env::var_os("TIPHYS_TEST_COLLECTOR") else { return };
    let tasks = Tasks::new();
    let _running = run(config(Path::new(&folder), "n1"), None, &tasks).await.expect("started");
    eprintln!("collecting");
    tasks.failed().await;
}

/// A collector of its own process, killed when dropped.
struct Killed(Child);

impl Killed {
    fn start(folder: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "collector::tests::child_process", "--nocapture"])
            .env("TIPHYS_TEST_COLLECTOR", folder)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a process");
        let output = child.stderr.take().expect("piped");
        let started =
            BufReader::new(output).lines().map_while(Result::ok).any(|line| line.contains("collecting"));
        assert!(started, "the child did not start");
        Self(child)
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Writes numbered lines of several Pods, some in pieces, with a rotation every
/// few lines; deletes rotated files once they are acknowledged.
struct Writer {
    folder: PathBuf,
    written: Vec<String>,
    rotations: usize,
}

impl Writer {
    fn round(&mut self, round: usize) {
        for pod in 0..3 {
            let path = log_file(&self.folder, &format!("shop_web-{pod}"));
            for n in 0..20 {
                let number = self.written.len();
                let body = format!("line n{number}x of pod {pod} round {round}");
                let (head, rest) = body.split_at(8);
                let time = format!("2026-01-31T12:{:02}:{:02}.000000000Z", number / 60 % 60, number % 60);
                if n % 5 == 0 {
                    write(&path, &format!("{time} stdout P {head}\n"));
                    self.rotate(&path, n % 10 == 0);
                    write(&path, &format!("{time} stdout F {rest}\n"));
                } else {
                    write(&path, &format!("{time} stdout F {body}\n"));
                }
                self.written.push(body);
            }
            for frame in ["a.BException:", "\tat", "Caused by:", "\tat"] {
                let body = format!("{frame} line n{}x", self.written.len());
                write(&path, &line(round, &body));
                self.written.push(body);
            }
            self.rotate(&path, true);
            delete_acknowledged(path.parent().expect("a folder"));
        }
        // A Pod that lives for a moment; its folder stays until it is acknowledged, as the kubelet keeps it.
        let body = format!("line n{}x of a short life", self.written.len());
        write(&log_file(&self.folder, &format!("shop_job-{round}")), &line(round, &body));
        self.written.push(body);
    }

    fn rotate(&mut self, path: &Path, now: bool) {
        if now && path.exists() {
            self.rotations += 1;
            let rotated = path.with_file_name(format!("0.log.{:08}", self.rotations));
            fs::rename(path, rotated).expect("renamed");
        }
    }
}

fn delete_acknowledged(dir: &Path) {
    for entry in fs::read_dir(dir).expect("listed").filter_map(Result::ok) {
        let size = entry.metadata().expect("there").len().to_string().into_bytes();
        let rotated = entry.file_name() != "0.log";
        if rotated && xattr::get(entry.path(), crate::tail::ACKED).ok().flatten() == Some(size) {
            fs::remove_file(entry.path()).expect("deleted");
        }
    }
}

/// All lines, those of traces one by one.
fn lines(store: &crate::index::Store) -> Vec<String> {
    let bodies = find(store, "*");
    bodies.iter().flat_map(|body| body.split('\n')).map(str::to_owned).collect()
}

/// Kills a collector again and again while files are written, and `damage`s its index between two
/// lives. Everything is there once in the end.
async fn nothing_is_lost_or_doubled(kills: usize, damage: impl Fn(usize, &Path)) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut writer = Writer { folder: folder.path().into(), written: Vec::new(), rotations: 0 };
    for kill in 0..kills {
        let child = Killed::start(folder.path());
        // Of different lengths, so that kills come before, in and after commits.
        for round in 0..4 + 7 * (kill % 3) {
            writer.round(kill * 100 + round);
        }
        drop(child);
        damage(kill, &folder.path().join("data"));
    }
    let tasks = Tasks::new();
    let running = run(config(folder.path(), "n1"), None, &tasks).await.expect("started");
    // Everything on disk is read once the last line is found and nothing is left to commit.
    let quiet = async {
        while running.store.has_uncommitted() || lines(&running.store).len() < writer.written.len() {
            tokio::task::yield_now().await;
        }
    };
    let all_there = tokio::time::timeout(Duration::from_secs(120), quiet).await;
    tasks.shutdown(Duration::from_secs(120)).await;
    let mut counts: HashMap<String, usize> = HashMap::new();
    for body in lines(&running.store) {
        *counts.entry(body).or_default() += 1;
    }
    let lost: Vec<_> = writer.written.iter().filter(|body| !counts.contains_key(*body)).collect();
    let doubled: Vec<_> = counts.iter().filter(|(_, count)| **count != 1).collect();
    assert!(lost.is_empty() && doubled.is_empty(), "lost {lost:?} doubled {doubled:?} {all_there:?}");
    assert_eq!(counts.len(), writer.written.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_loses_and_doubles_nothing() {
    nothing_is_lost_or_doubled(8, |_, _| {}).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_and_a_damaged_manifest_lose_and_double_nothing() {
    let damaged = |kill, index: &Path| {
        let names: &[&str] =
            [&["MANIFEST", "MANIFEST.copy"][..], &["MANIFEST"][..], &["MANIFEST.copy"][..]][kill % 3];
        for path in names.iter().map(|name| index.join(name)) {
            let bytes = fs::read(&path).expect("read");
            fs::write(&path, &bytes[..bytes.len() - 1 - kill]).expect("written");
        }
    };
    nothing_is_lost_or_doubled(6, damaged).await;
}

struct Nodes(Vec<Collector>);

#[async_trait]
impl Collectors for Nodes {
    async fn list(&self) -> Vec<Collector> {
        self.0.clone()
    }
}

/// The master reads everything, others the namespace of their name.
struct ByName;

impl Authorizer for ByName {
    fn authorize(&self, user: &UserInfo, attributes: &Attributes) -> Result<(), String> {
        let Attributes::Resource { namespace, subresource, .. } = attributes else { return Err("no".into()) };
        let may = user.groups.iter().any(|group| group == "system:masters") || user.name == *namespace;
        if may && subresource == "log" { Ok(()) } else { Err("no rule allows it".into()) }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_does_not_answer_makes_the_answer_partial() {
    // Takes the connection and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    // Nobody listens there, and nobody else gets the port meanwhile.
    let closed = tokio::net::TcpSocket::new_v4().expect("a socket");
    closed.bind(([127, 0, 0, 1], 0).into()).expect("a port");
    let addresses = [silent.local_addr(), closed.local_addr()];
    let [at_silent, at_closed] = addresses.map(|address| address.expect("an address"));
    let collector = |node: &str, address| Collector {
        node: node.into(),
        address: Some(address),
        access: Access::Token(TOKEN.into()),
    };
    let missing = async |nodes: Vec<Collector>, deadline| {
        let root = LogRoot::new(Arc::new(Nodes(nodes)), Arc::new(ByName)).with_deadline(deadline);
        let answer = root.search(&UserInfo::master("admin"), &SearchRequest::default()).await;
        let partial = answer.expect("an answer").partial.into_iter();
        partial.map(|partial| (partial.node, partial.error)).collect::<Vec<_>>()
    };
    let found = missing(vec![collector("closed", at_closed)], Duration::from_secs(120)).await;
    assert!(found.len() == 1 && found[0].1.contains("can't be reached"), "{found:?}");
    // On a busy machine there may be no time to find out about the other one.
    let nodes = vec![collector("silent", at_silent), collector("closed", at_closed)];
    let found = missing(nodes, Duration::from_millis(200)).await;
    assert_eq!((found.len(), found[0].0.as_str()), (2, "closed"), "{found:?}");
    assert_eq!(found[1], ("silent".to_owned(), "no answer within 200ms".to_owned()));
}

struct Cluster {
    folders: Vec<tempfile::TempDir>,
    tasks: Tasks,
    running: Vec<Running>,
    root: LogRoot,
}

/// Two nodes, one of which has a line of two namespaces, and one that is dead.
async fn cluster() -> Cluster {
    let tasks = Tasks::new();
    let (mut folders, mut running, mut nodes) = (Vec::new(), Vec::new(), Vec::new());
    for node in ["n1", "n2"] {
        let folder = tempfile::tempdir().expect("a folder");
        let collector = run(config(folder.path(), node), None, &tasks).await.expect("started");
        nodes.push(Collector {
            node: node.into(),
            address: Some(collector.address),
            access: Access::Token(TOKEN.into()),
        });
        for (number, namespace) in ["shop", "ops"].into_iter().enumerate() {
            let path = log_file(folder.path(), &format!("{namespace}_web-{node}"));
            write(&path, &line(number, &format!("error of {namespace} on {node}")));
        }
        until_found(&collector, "*", 2).await;
        folders.push(folder);
        running.push(collector);
    }
    nodes.push(Collector { node: "n3".into(), address: None, access: Access::Token(TOKEN.into()) });
    let root = LogRoot::new(Arc::new(Nodes(nodes)), Arc::new(ByName)).with_deadline(Duration::from_secs(120));
    Cluster { folders, tasks, running, root }
}

fn bodies(records: &[crate::wire::LogRecord]) -> Vec<&str> {
    records.iter().map(|record| record.body.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_root_merges_all_nodes_and_names_the_missing_one() {
    let cluster = cluster().await;
    let master = UserInfo::master("admin");
    let request = SearchRequest { query: "error".into(), limit: Some(3), ..SearchRequest::default() };
    let page = cluster.root.search(&master, &request).await.expect("an answer");
    assert_eq!(bodies(&page.records), ["error of ops on n2", "error of ops on n1", "error of shop on n2"]);
    assert_eq!(page.partial.len(), 1);
    assert_eq!(page.partial[0].node, "n3");
    let rest = SearchRequest { cursor: page.cursor, ..request };
    let rest = cluster.root.search(&master, &rest).await.expect("an answer");
    assert_eq!((bodies(&rest.records), rest.cursor), (vec!["error of shop on n1"], None));

    let histogram = HistogramRequest {
        since: Some("2026-01-31T11:00:00Z".into()),
        until: Some("2026-01-31T13:00:00Z".into()),
        buckets: Some(2),
        ..HistogramRequest::default()
    };
    let histogram = cluster.root.histogram(&master, &histogram).await.expect("an answer");
    assert_eq!(histogram.buckets.iter().map(|bucket| bucket.count).collect::<Vec<_>>(), [0, 4]);
    let facets = cluster.root.facets(&master, &FacetsRequest::default()).await.expect("an answer");
    assert_eq!(facets.facets["node"].iter().map(|value| value.count).collect::<Vec<_>>(), [2, 2]);
    assert!(!facets.facets.contains_key("pattern"));
    let with_patterns = FacetsRequest { patterns: true, limit: Some(1), ..FacetsRequest::default() };
    let facets = cluster.root.facets(&master, &with_patterns).await.expect("an answer");
    let patterns: Vec<_> = facets.facets["pattern"].iter().map(|p| (p.value.as_str(), p.count)).collect();
    assert_eq!(patterns, [("error of ops on <*>", 2)]);
    let wrong = SearchRequest { query: "level:loud".into(), ..SearchRequest::default() };
    let Err(RootError::Invalid(message)) = cluster.root.search(&master, &wrong).await else {
        panic!("no error")
    };
    assert!(message.contains("^^^^"), "{message}");
    cluster.tasks.shutdown(Duration::from_secs(120)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn abuse_30_a_user_sees_the_namespaces_of_his_rights_only() {
    let cluster = cluster().await;
    let user = UserInfo::named("shop", &[]);
    let all = cluster.root.search(&user, &SearchRequest::default()).await.expect("an answer");
    assert_eq!(bodies(&all.records), ["error of shop on n2", "error of shop on n1"]);
    assert!(all.restricted && all.scanned == 2);
    let facets = cluster.root.facets(&user, &FacetsRequest::default()).await.expect("an answer");
    assert!(facets.count == 2 && !format!("{facets:?}").contains("ops"));
    let asked = SearchRequest { namespace: Some("ops".into()), ..SearchRequest::default() };
    assert!(matches!(cluster.root.search(&user, &asked).await, Err(RootError::Forbidden(_))));
    let nobody = UserInfo::named("nobody", &[]);
    let nothing = cluster.root.search(&nobody, &SearchRequest::default()).await.expect("an answer");
    assert!(nothing.records.is_empty() && nothing.restricted);
    let mut tail = Box::pin(cluster.root.tail(&user, &SearchRequest::default()).await.expect("a stream"));
    let (hidden, seen) = (
        log_file(cluster.folders[0].path(), "ops_web-n1"),
        log_file(cluster.folders[0].path(), "shop_web-n1"),
    );
    write(&hidden, &line(5, "hidden"));
    until_found(&cluster.running[0], "hidden", 1).await;
    write(&seen, &line(6, "seen"));
    let next = async {
        loop {
            match tail.next().await.expect("a line") {
                TailLine::Record(record) => return record.body,
                TailLine::Partial { partial } => assert_eq!(partial.node, "n3"),
                other => panic!("{other:?}"),
            }
        }
    };
    assert_eq!(tokio::time::timeout(Duration::from_secs(120), next).await.expect("in time"), "seen");
    cluster.tasks.shutdown(Duration::from_secs(120)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_lines_client_searches_and_follows_over_the_api() {
    let cluster = cluster().await;
    let client = tiphys_client::in_memory(cluster.root.handler(), UserInfo::master("admin"));
    let request = SearchRequest { query: "node:n1 error".into(), ..SearchRequest::default() };
    let followed = SearchRequest { watermarks: true, ..request.clone() };
    let mut tail = Box::pin(crate::client::tail(&client, &followed).await.expect("a stream"));
    let page = crate::client::search(&client, &request).await.expect("an answer");
    assert_eq!(bodies(&page.records), ["error of ops on n1", "error of shop on n1"]);
    write(&log_file(cluster.folders[0].path(), "shop_web-n1"), &line(7, "error again"));
    let next = async {
        loop {
            if let TailLine::Record(record) = tail.next().await.expect("a line").expect("sound") {
                return record.body;
            }
        }
    };
    assert_eq!(tokio::time::timeout(Duration::from_secs(120), next).await.expect("in time"), "error again");
    // Also without a line a node says how far it is.
    let now = crate::time::now();
    let reached = async {
        loop {
            if let TailLine::Watermark { watermark, node } =
                tail.next().await.expect("a line").expect("sound")
                && node == "n1"
                && crate::time::parse(&watermark).expect("a time") >= now
            {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(120), reached).await.expect("in time");
    let wrong = SearchRequest { query: "(".into(), ..SearchRequest::default() };
    let refused = crate::client::search(&client, &wrong).await.expect_err("refused").to_string();
    assert!(refused.contains('^'), "{refused}");
    cluster.tasks.shutdown(Duration::from_secs(120)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn abuse_20_the_collector_answers_nobody_without_its_token() {
    let folder = tempfile::tempdir().expect("a folder");
    let tasks = Tasks::new();
    let running = run(config(folder.path(), "n1"), None, &tasks).await.expect("started");
    let nodes = |token: &str| {
        let collector = Collector {
            node: "n1".into(),
            address: Some(running.address),
            access: Access::Token(token.into()),
        };
        let nodes = Arc::new(Nodes(vec![collector]));
        LogRoot::new(nodes, Arc::new(ByName)).with_deadline(Duration::from_secs(120))
    };
    let master = UserInfo::master("admin");
    for (token, errors) in [("", 1), ("t0kem", 1), (TOKEN, 0)] {
        let answer = nodes(token).search(&master, &SearchRequest::default()).await.expect("an answer");
        assert_eq!(answer.partial.len(), errors, "{token}: {:?}", answer.partial);
    }
    tasks.shutdown(Duration::from_secs(120)).await;
    let mut without = config(folder.path(), "n1");
    without.token.clear();
    assert!(matches!(run(without, None, &tasks).await, Err(CollectorError::NoToken)));
}
