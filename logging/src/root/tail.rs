//! Live records of all nodes in one stream.
//!
//! ```text
//! the list of collectors, and its changes -> a connection a node, for as long as it is listed; who
//!                                               joins tells first what it has since the follow began
//! the user's rights, asked again each RIGHTS -> what may not be read any more is left out, and
//!                                               when that is all, the stream ends and says so
//! ```
//!
//! Nothing is buffered here: when the reader is slow the connections fill, and the
//! collectors count what they drop.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use futures::{
    Stream, StreamExt,
    future::join_all,
    stream::{self, BoxStream, SelectAll},
};
use parking_lot::Mutex;
use tiphys_api::auth::UserInfo;
use tiphys_lifecycle::CancellationToken;
use tokio::time::{Interval, MissedTickBehavior};

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
    let mut node_request = fanout::node_request(&request.query, &request.since, &None)?;
    // A reader that was there before says since when.
    let is_again = request.since.as_deref().is_some_and(|since| !since.is_empty());
    let since = node_request.since.filter(|_| is_again);
    let began = since.unwrap_or_else(time::now);
    // Before the list, so that no change falls between.
    let changes = root.collectors.changes();
    let collectors = root.collectors.list().await;
    let scope = fanout::scope(root, user, request.namespace.as_deref(), &collectors).await?;
    node_request.namespaces = scope.namespaces;
    let nodes = collectors.into_iter().map(async |collector| {
        let (name, progress) = (collector.node.clone(), Progress::from(began));
        let mut node =
            NodeTail::new(root.clone(), collector, node_request.clone(), progress.clone(), since.is_some());
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
        request: node_request,
        began,
        nodes: HashMap::new(),
        progress: HashMap::new(),
        tails: SelectAll::new(),
        changes: Some(changes),
        rights,
        readable: HashMap::new(),
        withheld: HashSet::new(),
        lines: VecDeque::new(),
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

struct Follow {
    root: LogRoot,
    user: UserInfo,
    /// The one that was asked for.
    namespace: Option<String>,
    request: NodeRequest,
    /// What nodes have that join is shown from here on, nanoseconds.
    began: i64,
    /// Those that are followed; a token ends it.
    nodes: HashMap<String, CancellationToken>,
    /// Of these and of those that left.
    progress: HashMap<String, Arc<Mutex<Progress>>>,
    tails: SelectAll<BoxStream<'static, TailLine>>,
    /// `None` when there are no more.
    changes: Option<BoxStream<'static, ()>>,
    rights: Interval,
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
            tokio::select! {
                Some(line) = self.tails.next() => self.take_in(line),
                change = changes => match change {
                    Some(()) => self.list().await,
                    None => self.changes = None,
                },
                _ = self.rights.tick() => self.ask_rights().await,
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
            let (name, began) = (collector.node.clone(), self.began);
            let progress = self.progress.entry(name.clone()).or_insert_with(|| Progress::from(began)).clone();
            self.add(name, NodeTail::new(self.root.clone(), collector, self.request.clone(), progress, true));
        }
        self.forget();
    }

    /// Of too many nodes that left, those that left first are forgotten; if one of them is
    /// back, it is followed from its last sign of life on.
    fn forget(&mut self) {
        while self.progress.len() > self.nodes.len() + LEFT {
            let left = self.progress.iter().filter(|(node, _)| !self.nodes.contains_key(*node));
            let left = left.map(|(node, progress)| (progress.lock().alive(), node.clone()));
            let Some((alive, node)) = left.min() else { return };
            self.progress.remove(&node);
            self.began = self.began.max(alive);
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
        let TailLine::Record(record) = &line else { return self.lines.push_back(line) };
        if self.may_read(&record.namespace) {
            self.withheld.remove(&record.namespace);
            self.lines.push_back(line);
        } else if self.withheld.insert(record.namespace.clone()) {
            let error = "you may not read its logs any more: they are left out from here on".to_owned();
            let partial = fanout::node_error(&format!("namespace {}", record.namespace), error);
            self.lines.push_back(TailLine::Partial { partial });
        }
    }

    /// Ends the stream when nothing may be read any more.
    async fn ask_rights(&mut self) {
        self.readable.clear();
        let may = match (self.namespace.clone(), self.request.namespaces.clone()) {
            (Some(namespace), _) => self.may_read(&namespace),
            (None, Some(list)) => list.iter().any(|namespace| self.may_read(namespace)),
            (None, None) => self.may_read("") || may_read_some(self.root.clone(), self.user.clone()).await,
        };
        if !may {
            let ended = "you may not read these logs any more: ask for the right to get pods/log".to_owned();
            self.lines.push_back(TailLine::Ended { ended });
            self.ended = true;
        }
    }
}

/// Who could read all may still read some.
async fn may_read_some(root: LogRoot, user: UserInfo) -> bool {
    let collectors = root.collectors.list().await;
    let scope = fanout::scope(&root, &user, None, &collectors).await;
    scope.is_ok_and(|scope| scope.namespaces.is_none_or(|namespaces| !namespaces.is_empty()))
}
