//! Live records of all nodes in one stream.
//!
//! ```text
//! the list of collectors, and its changes -> a connection a node, for as long as it is listed; who
//!                                               joins tells first what it has since the follow began
//! the user's rights, asked again each RIGHTS -> what may not be read any more is left out, and
//!                                               when that is all, the stream ends and says so
//! namespaces, where not all may be read,     -> nodes are connected to anew, also for those that may
//!   found out again with the rights             be read now; each tells first what was not shown
//! ```
//!
//! Nothing is buffered here: when the reader is slow the connections fill, and the
//! collectors count what they drop.

mod begin;
mod namespaces;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use futures::{
    FutureExt, Stream, StreamExt,
    future::{BoxFuture, join_all},
    stream::{self, BoxStream, SelectAll},
};
use parking_lot::Mutex;
use tiphys_api::auth::UserInfo;
use tiphys_lifecycle::CancellationToken;
use tokio::time::{Interval, MissedTickBehavior};

use self::{
    begin::Begin,
    namespaces::{Course, Found, course, find},
};
use super::{
    Collector, LogRoot, RootError, allow, fanout,
    node_tail::{NodeTail, Progress},
};
use crate::{
    time,
    wire::{NodeRequest, SearchRequest, TailLine},
};

/// How long the stream's begin waits for the slowest node.
const CONNECT: Duration = Duration::from_secs(3);
/// How long a right that was taken away is still believed in.
pub(super) const RIGHTS: Duration = Duration::from_secs(30);
/// Nodes that left and whose progress is still known, for when they come back.
const LEFT: usize = 1_000;

pub(super) async fn tail(
    root: &LogRoot,
    user: &UserInfo,
    request: &SearchRequest,
) -> Result<impl Stream<Item = TailLine> + Send + use<>, RootError> {
    let mut node_request = fanout::node_request(&request.query, &None, &None)?;
    let begin = Begin::of(request, time::now())?;
    // Before the list, so that no change falls between.
    let changes = root.collectors.changes();
    let collectors = root.collectors.list().await;
    let scope = fanout::scope(root, user, request.namespace.as_deref(), &collectors).await?.scope;
    let is_restricted = scope.restricted;
    node_request.namespaces = scope.namespaces;
    let nodes = collectors.into_iter().map(async |collector| {
        let name = collector.node.clone();
        let progress = progress(begin.of_node(&name), is_restricted);
        let mut node =
            NodeTail::new(root.clone(), collector, node_request.clone(), progress.clone(), begin.is_again);
        // What doesn't connect in time goes on trying while the reader already gets the others.
        match tokio::time::timeout(CONNECT, node.advance()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => node.report(&error),
            Err(_) => node.report(&format!("not connected within {CONNECT:?}")),
        }
        (name, node, progress)
    });
    let nodes = join_all(nodes).await;
    let mut rights = tokio::time::interval(root.rights);
    rights.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first is now.
    rights.tick().await;
    let mut follow = Follow {
        root: root.clone(),
        user: user.clone(),
        namespace: request.namespace.clone().filter(|namespace| !namespace.is_empty()),
        lines: nothing_yet(node_request.namespaces.as_deref()).into_iter().collect(),
        request: node_request,
        watermarks: request.watermarks,
        begin,
        nodes: HashMap::new(),
        progress: HashMap::new(),
        tails: SelectAll::new(),
        changes: Some(changes),
        rights,
        finding: None,
        readable: HashMap::new(),
        withheld: HashSet::new(),
        ended: false,
    };
    for (name, node, progress) in nodes {
        follow.progress.insert(name.clone(), progress);
        follow.add(name, node);
    }
    Ok(stream::unfold(follow, |mut follow| async move {
        let line = follow.next().await?;
        Some((line, follow))
    }))
}

/// How far a node is shown from a time on.
fn progress(began: i64, is_restricted: bool) -> Arc<Mutex<Progress>> {
    if is_restricted { Progress::among(began) } else { Progress::from(began) }
}

/// Said of a follow of no namespace: it may be what its user wants, and it may be a mistake.
fn nothing_yet(namespaces: Option<&[String]>) -> Option<TailLine> {
    let error = "there is none yet whose logs you may read; those of one that you may get pods/log in follow";
    let partial = fanout::node_error("namespaces", error.to_owned());
    namespaces.is_some_and(<[String]>::is_empty).then_some(TailLine::Partial { partial })
}

struct Follow {
    root: LogRoot,
    user: UserInfo,
    /// The one that was asked for.
    namespace: Option<String>,
    request: NodeRequest,
    /// The reader wants to be told how far each node is.
    watermarks: bool,
    /// From where on is shown what nodes have that join.
    begin: Begin,
    /// Those that are followed; a token ends it.
    nodes: HashMap<String, CancellationToken>,
    /// Of these and of those that left.
    progress: HashMap<String, Arc<Mutex<Progress>>>,
    tails: SelectAll<BoxStream<'static, TailLine>>,
    /// `None` when there are no more.
    changes: Option<BoxStream<'static, ()>>,
    rights: Interval,
    /// Which namespaces there are, while it is asked.
    finding: Option<BoxFuture<'static, Option<Found>>>,
    /// What was asked of namespaces since rights were looked at last.
    readable: HashMap<String, bool>,
    /// Namespaces that may not be read any more; the reader was told.
    withheld: HashSet<String>,
    lines: VecDeque<TailLine>,
    ended: bool,
}

impl Drop for Follow {
    fn drop(&mut self) {
        self.nodes.values().for_each(CancellationToken::cancel);
    }
}

impl Follow {
    fn add(&mut self, name: String, node: NodeTail) {
        // Who loses this stream before the node says how far it is asks from here on.
        self.tell_reached(name.clone());
        let gone = CancellationToken::new();
        self.tails.push(node.lines().take_until(gone.clone().cancelled_owned()).boxed());
        self.nodes.insert(name, gone);
    }

    async fn next(&mut self) -> Option<TailLine> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Some(line);
            }
            if self.ended {
                return None;
            }
            let changes = async {
                match &mut self.changes {
                    Some(changes) => changes.next().await,
                    None => std::future::pending().await,
                }
            };
            let finding = async {
                match &mut self.finding {
                    Some(finding) => finding.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(line) = self.tails.next() => self.take_in(line),
                change = changes => match change {
                    Some(()) => self.list().await,
                    None => self.changes = None,
                },
                _ = self.rights.tick() => self.ask_rights(),
                found = finding => {
                    self.finding = None;
                    if let Some(found) = found {
                        self.take_found(&found).await;
                    }
                }
            }
        }
    }

    /// Follows nodes that are new, and no longer those that are gone.
    async fn list(&mut self) {
        let listed = self.root.collectors.list().await;
        let names: HashSet<&str> = listed.iter().map(|collector| collector.node.as_str()).collect();
        self.nodes.retain(|node, gone| {
            let stays = names.contains(node.as_str());
            if !stays {
                gone.cancel();
            }
            stays
        });
        let new: Vec<Collector> =
            listed.into_iter().filter(|collector| !self.nodes.contains_key(&collector.node)).collect();
        for collector in new {
            let (name, is_restricted) = (collector.node.clone(), self.is_restricted());
            let fresh = || progress(self.begin.of_node(&name), is_restricted);
            let progress = self.progress.entry(name.clone()).or_insert_with(fresh).clone();
            self.add(name, NodeTail::new(self.root.clone(), collector, self.request.clone(), progress, true));
        }
        self.forget();
    }

    /// Of too many nodes that left, those that left first are forgotten; if one of them is
    /// back, it is followed from where it was.
    fn forget(&mut self) {
        while self.progress.len() > self.nodes.len() + LEFT {
            let left = self.progress.iter().filter(|(node, _)| !self.nodes.contains_key(*node));
            let left = left.map(|(node, progress)| (progress.lock().whole(), node.clone()));
            let Some((whole, node)) = left.min() else { return };
            self.progress.remove(&node);
            self.begin.forget(&node, whole);
        }
    }

    fn may_read(&mut self, namespace: &str) -> bool {
        if let Some(known) = self.readable.get(namespace) {
            return *known;
        }
        let may = allow::may_read(&*self.root.authorizer, &self.user, namespace).is_ok();
        self.readable.insert(namespace.to_owned(), may);
        may
    }

    fn take_in(&mut self, line: TailLine) {
        let record = match &line {
            TailLine::Record(record) => record,
            TailLine::Watermark { node, .. } => {
                let node = node.clone();
                return self.tell_reached(node);
            }
            _ => return self.lines.push_back(line),
        };
        if self.may_read(&record.namespace) {
            self.withheld.remove(&record.namespace);
            self.lines.push_back(line);
        } else if self.withheld.insert(record.namespace.clone()) {
            let error = "you may not read its logs any more: they are left out from here on".to_owned();
            let partial = fanout::node_error(&format!("namespace {}", record.namespace), error);
            self.lines.push_back(TailLine::Partial { partial });
        }
    }

    /// A node has come further.
    fn tell_reached(&mut self, node: String) {
        if let Some(progress) = self.progress.get(&node).filter(|_| self.watermarks) {
            let watermark = time::format(progress.lock().whole());
            self.lines.push_back(TailLine::Watermark { watermark, node });
        }
    }

    /// The user has named no namespace, and may not read all.
    fn is_restricted(&self) -> bool {
        self.namespace.is_none() && self.request.namespaces.is_some()
    }

    /// Which namespaces there are is only asked where that makes a difference.
    fn ask_rights(&mut self) {
        self.readable.clear();
        match self.namespace.clone() {
            Some(namespace) if self.may_read(&namespace) => {}
            Some(_) => self.end(),
            None if self.finding.is_some() || (!self.is_restricted() && self.may_read("")) => {}
            None => {
                self.progress.values().for_each(|progress| progress.lock().asks());
                self.finding = Some(find(self.root.clone(), self.user.clone()).boxed());
            }
        }
    }

    /// Follows what may be read now too; ends the stream when nothing may be read any more.
    async fn take_found(&mut self, found: &Found) {
        let followed = self.request.namespaces.clone();
        match course(followed.as_deref(), found, |namespace| self.may_read(namespace)) {
            Course::AsBefore => {}
            Course::End => return self.end(),
            Course::With(namespaces) => {
                self.request.namespaces = namespaces;
                self.readable.clear();
                self.nodes.drain().for_each(|(_, gone)| gone.cancel());
                self.list().await;
            }
        }
        if self.is_restricted() {
            let said = found.nodes.iter().filter_map(|node| self.progress.get(node));
            said.for_each(|progress| progress.lock().says(found.at));
        } else {
            self.progress.values().for_each(|progress| progress.lock().says(i64::MAX));
        }
    }

    fn end(&mut self) {
        let ended = "you may not read these logs any more: ask for the right to get pods/log".to_owned();
        self.lines.push_back(TailLine::Ended { ended });
        self.ended = true;
    }
}
