//! Sees to it that no line is read before it is known what its Pod and its namespace
//! say of it.
//!
//! ```text
//! a Pod's directory is new -> question -> a round: GET of its namespace, and of it, if the
//!                                         watch hasn't brought it -> tables -> it may be read
//! a door's first records of a namespace -> question -> ...
//! ```
//!
//! The watches of [`super::pods`] keep the tables up to date, but what one of them
//! has seen says nothing of the other, and nothing of what is still to come. A
//! read that begins after the question does ([`decide`]). A Pod that is gone, or an
//! API server that is away, leaves what the kubelet wrote to the directory
//! ([`crate::tail::SAYS`]). One task asks for all files that wait, another one for
//! senders, who wait for seconds only; while the API server doesn't answer, they
//! ask again.

mod decide;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::{Api, Client, ResourceExt};
use parking_lot::Mutex;
use tiphys_lifecycle::{OnError, Tasks};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

use self::decide::{Answer, Facts, may_read};
use super::pods;
use crate::{
    doors::Refusal,
    index::{NamespaceMeta, PodMeta, Store},
    metric_names::Metrics,
    policy,
    tail::{Owner, PodName},
};

/// The API server's time for an answer, and the watch's for its first list.
const ANSWER: Duration = Duration::from_secs(5);
/// The same for what a sender waits for: with it there are two tries in a sender's time.
const ANSWER_TO_SENDERS: Duration = Duration::from_millis(1500);
/// Questions to the API server at once.
const ASKING: usize = 8;
/// Namespaces of doors that are not asked for again.
const REMEMBERED: usize = 10_000;
/// Between rounds, from the first to the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// A sender waits so long before it is told to come again.
const SENDER: Duration = Duration::from_secs(5);

/// Who wants to know something. Clones ask the same.
#[derive(Clone)]
pub struct Known {
    of_files: mpsc::UnboundedSender<Question>,
    of_senders: mpsc::UnboundedSender<Question>,
    rules: Arc<Rules>,
}

struct Question {
    owner: Owner,
    since: Instant,
    told: Told,
}

/// Who asks.
enum Told {
    Tailer(mpsc::UnboundedSender<String>, String),
    Door(oneshot::Sender<()>),
    /// What is in the table is in doubt.
    Nobody,
}

/// Namespaces, as the newest word on each has them: watch and questions bring them in any order.
pub struct Rules {
    store: Arc<Store>,
    /// The version that is in the table.
    versions: Mutex<HashMap<String, u64>>,
    /// Namespaces that the API server was asked for since the start.
    asked: Mutex<HashSet<String>>,
}

impl Known {
    /// Begins to answer. `ready` says when the watch of Pods has its first list.
    pub fn start(
        client: Client,
        store: Arc<Store>,
        ready: watch::Receiver<bool>,
        metrics: Metrics,
        tasks: &Tasks,
    ) -> Self {
        let rules = Arc::new(Rules { store, versions: Mutex::default(), asked: Mutex::default() });
        let spawn = |name: &'static str, answer| {
            let (questions, asked) = mpsc::unbounded_channel();
            let (client, rules, ready) = (client.clone(), rules.clone(), ready.clone());
            let asker = Asker { client, rules, ready, metrics: metrics.clone(), answer, open: 0 };
            tasks.spawn(name, OnError::Log, async move {
                asker.run(asked).await;
                Ok::<(), std::convert::Infallible>(())
            });
            questions
        };
        let of_files = spawn("log rules", ANSWER);
        let of_senders = spawn("log rules for senders", ANSWER_TO_SENDERS);
        Self { of_files, of_senders, rules }
    }

    pub fn rules(&self) -> &Arc<Rules> {
        &self.rules
    }

    /// Sends the directory to `told` when the Pod in it may be read.
    pub fn ask(&self, directory: String, owner: Owner, told: mpsc::UnboundedSender<String>) {
        let question = Question { owner, since: Instant::now(), told: Told::Tailer(told, directory) };
        // The task is gone only when everything stops.
        let _ = self.of_files.send(question);
    }

    /// Asks for a namespace whose newest word is in doubt.
    pub fn ask_again(&self, namespace: String) {
        self.rules.asked.lock().remove(&namespace);
        let owner = Owner { namespace, pod: None };
        let _ = self.of_senders.send(Question { owner, since: Instant::now(), told: Told::Nobody });
    }

    /// Until the namespace's rules are known, for a sender who can come again.
    pub async fn namespace(&self, namespace: &str) -> Result<(), Refusal> {
        if self.rules.asked.lock().contains(namespace) {
            return Ok(());
        }
        let (told, answer) = oneshot::channel();
        let owner = Owner { namespace: namespace.to_owned(), pod: None };
        let _ = self.of_senders.send(Question { owner, since: Instant::now(), told: Told::Door(told) });
        let answered = tokio::time::timeout(SENDER, answer).await;
        answered.ok().and_then(Result::ok).ok_or_else(|| {
            Refusal::unavailable(format!(
                "what namespace `{namespace}` says of its logs can't be learnt from the API server: send again"
            ))
        })
    }
}

impl Rules {
    /// A namespace, as a watch has it; whether it is the newest word.
    pub fn saw(&self, namespace: &Namespace, gone: bool) -> bool {
        let mut versions = self.versions.lock();
        let is_newest = version(namespace).is_none_or(|version| {
            versions.get(&namespace.name_any()).is_none_or(|newest| version >= *newest)
        });
        if is_newest {
            self.take(&mut versions, namespace, gone);
        }
        is_newest
    }

    /// These are all, from a list that may be older than what was learnt meanwhile. Whose word it
    /// has is older: an answer to a question that is asked now decides.
    pub fn saw_all(&self, namespaces: &[Arc<Namespace>]) -> Vec<String> {
        let in_doubt = namespaces.iter().filter(|namespace| !self.saw(namespace, false));
        let in_doubt = in_doubt.map(|namespace| namespace.name_any()).collect();
        let live = namespaces.iter().map(|namespace| namespace.name_any()).collect();
        self.store.namespace_table().mark_gone_except(&live);
        in_doubt
    }

    /// The answer to a question that was asked when this version was known. An older one is of an
    /// API server whose versions began anew.
    fn answered(&self, before: Option<u64>, namespace: &Namespace) {
        let went_back = version(namespace).zip(before).is_some_and(|(version, before)| version < before);
        let mut versions = self.versions.lock();
        if went_back && versions.get(&namespace.name_any()).copied() == before {
            self.take(&mut versions, namespace, false);
        } else {
            drop(versions);
            self.saw(namespace, false);
        }
    }

    fn take(&self, versions: &mut HashMap<String, u64>, namespace: &Namespace, gone: bool) {
        let name = namespace.name_any();
        versions.extend(version(namespace).map(|version| (name.clone(), version)));
        let meta = NamespaceMeta { annotations: policy::own(namespace.annotations()), gone };
        self.store.namespace_table().update(&name, meta);
    }
}

fn version(namespace: &Namespace) -> Option<u64> {
    namespace.resource_version()?.parse().ok()
}

/// The task that asks the API server.
struct Asker {
    client: Client,
    rules: Arc<Rules>,
    ready: watch::Receiver<bool>,
    metrics: Metrics,
    /// The API server's time for an answer.
    answer: Duration,
    /// Questions that are told in the metrics.
    open: i64,
}

impl Asker {
    async fn run(mut self, mut questions: mpsc::UnboundedReceiver<Question>) {
        let mut open = Vec::new();
        let mut pause = PAUSES.0;
        loop {
            if open.is_empty() {
                let Some(question) = questions.recv().await else { return };
                open.push(question);
                pause = PAUSES.0;
            }
            while let Ok(question) = questions.try_recv() {
                open.push(question);
            }
            open = self.round(open).await;
            let before = std::mem::replace(&mut self.open, open.len() as i64);
            self.metrics.unanswered.inc_by(self.open - before);
            if !open.is_empty() {
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    Some(question) = questions.recv() => open.push(question),
                }
                pause = (2 * pause).min(PAUSES.1);
            }
        }
    }

    /// Asks all that has to be asked, tells what is known, gives what isn't.
    async fn round(&mut self, mut open: Vec<Question>) -> Vec<Question> {
        // A door's sender who has gone asks no more.
        open.retain(|question| !matches!(&question.told, Told::Door(told) if told.is_closed()));
        let owners: HashSet<Owner> = open.iter().map(|question| question.owner.clone()).collect();
        let is_listed = if owners.iter().any(|owner| owner.pod.is_some()) {
            let listed = tokio::time::timeout(ANSWER, self.ready.wait_for(|ready| *ready)).await;
            listed.is_ok_and(|listed| listed.is_ok())
        } else {
            false
        };
        let namespaces: HashSet<String> = owners.iter().map(|owner| owner.namespace.clone()).collect();
        let this = &*self;
        // Those whose turn comes too late are asked for in the next round.
        let until = Instant::now() + self.answer;
        let asked =
            namespaces.into_iter().map(|name| async move { (this.namespace(&name, until).await, name) });
        let asked = stream::iter(asked.collect::<Vec<_>>()).buffer_unordered(ASKING);
        let namespaces: HashMap<String, Answer> = asked.map(|(answer, name)| (name, answer)).collect().await;
        let asked = owners.into_iter().map(|owner| async move { (this.pod(&owner, is_listed).await, owner) });
        let asked = stream::iter(asked.collect::<Vec<_>>()).buffer_unordered(ASKING);
        let pods: HashMap<Owner, Option<Answer>> =
            asked.map(|(answer, owner)| (owner, answer)).collect().await;
        let is_known: Vec<bool> = open
            .iter()
            .map(|question| {
                let Owner { namespace, pod } = &question.owner;
                let table = self.rules.store.pods();
                may_read(Facts {
                    pod: pods[&question.owner],
                    namespace: namespaces[namespace],
                    known_before: self.rules.store.namespace_table().get(namespace).is_some()
                        && pod.as_ref().is_none_or(|pod| table.get(&pod.uid).is_some()),
                    // The UIDs of others have dashes.
                    is_of_file: pod.as_ref().is_some_and(|pod| !pod.uid.contains('-')),
                    waited: question.since.elapsed(),
                })
            })
            .collect();
        let mut still_open = Vec::new();
        for (question, is_known) in open.into_iter().zip(is_known) {
            if is_known { question.answer() } else { still_open.push(question) }
        }
        still_open
    }

    async fn namespace(&self, name: &str, until: Instant) -> Answer {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let before = self.rules.versions.lock().get(name).copied();
        let answer = match tokio::time::timeout_at(until, api.get_opt(name)).await {
            Ok(Ok(Some(namespace))) => {
                self.rules.answered(before, &namespace);
                Answer::Found
            }
            Ok(Ok(None)) => Answer::Absent,
            Ok(Err(error)) => silent("namespace", name, &error),
            Err(late) => silent("namespace", name, &late),
        };
        if answer != Answer::Silent {
            let mut asked = self.rules.asked.lock();
            if asked.len() >= REMEMBERED {
                asked.clear();
            }
            asked.insert(name.to_owned());
        }
        answer
    }

    /// The watch has it, or the API server is asked.
    async fn pod(&self, owner: &Owner, is_listed: bool) -> Option<Answer> {
        let PodName { name, uid, says } = owner.pod.as_ref()?;
        let table = self.rules.store.pods();
        if is_listed && table.get(uid).is_some() {
            return Some(Answer::Found);
        }
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &owner.namespace);
        let answer = match tokio::time::timeout(ANSWER, api.get_opt(name)).await {
            Ok(Ok(Some(pod))) if pods::uid(&pod) == Some(uid) => {
                // What the watch brought meanwhile is no older.
                if !is_listed || table.get(uid).is_none() {
                    table.update(uid, pods::meta(&pod));
                }
                Answer::Found
            }
            // Another one has its name.
            Ok(Ok(_)) if table.get(uid).is_some() => Answer::Found,
            Ok(Ok(_)) => Answer::Absent,
            Ok(Err(error)) => silent("pod", name, &error),
            Err(late) => silent("pod", name, &late),
        };
        let Some(says) = says.as_ref().filter(|_| answer != Answer::Found) else { return Some(answer) };
        if table.get(uid).is_none() {
            // The kubelet knew it. Should it still be there, the watch brings the rest.
            let (namespace, name, annotations) = (owner.namespace.clone(), name.clone(), says.clone());
            table.update(uid, PodMeta { namespace, name, annotations, gone: true, ..PodMeta::default() });
        }
        Some(Answer::Found)
    }
}

impl Question {
    fn answer(self) {
        // Whoever asked may have gone.
        match self.told {
            Told::Tailer(told, directory) => drop(told.send(directory)),
            Told::Door(told) => drop(told.send(())),
            Told::Nobody => {}
        }
    }
}

fn silent(kind: &str, name: &str, error: &dyn std::error::Error) -> Answer {
    tracing::info!(kind, name, %error, "it isn't known what is to become of log lines, they wait in their files");
    Answer::Silent
}
