//! `--tail N`: the last N records of each container, as kubectl and stern count them, where `--limit`
//! counts over all.
//!
//! ```text
//! which containers have records that match -> those of Pods that live, if any does -> the last N
//! of each -> one list by time
//! ```
//!
//! Which containers have records is counted over the last days, and before that for those of Pods that live
//! longer and weren't found so: a sidecar may say nothing for weeks.
//!
//! A workload has had Pods that are gone, of each rollout and each run of a Job: kubectl knows none
//! of them, and so they have a tail only where no Pod lives. What is left out is said.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, ResourceExt, api::ListParams};
use tiphys_logging::{
    client,
    query::{Expr, Value},
    time,
    wire::{LogRecord, MAX_GROUPS, StatsAnswer, StatsRequest, StatsSeries},
};

use super::{Logs, NEXT, pages::Pages, whose, workload::is_name};
use crate::{
    failure::{Failure, OrAsked, Outcome},
    output,
};

/// Searches that run at once.
const AT_ONCE: usize = 4;
/// Containers whose records are shown, at most: each is a search of its own.
const MOST: usize = 100;
/// Before every record.
const EVER: &str = "1970-01-01T00:00:00Z";

/// How much of each container is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// All there is: kubectl's -1.
    All,
    /// The last records; of 0 there are none, only those that are followed.
    Last(usize),
}

/// A container as its records name it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Container {
    namespace: String,
    pod: String,
    name: String,
}

impl Container {
    fn of(group: &BTreeMap<String, String>) -> Self {
        let value = |key: &str| group.get(key).cloned().unwrap_or_default();
        Self { namespace: value("namespace"), pod: value("pod"), name: value("container") }
    }

    /// What of a query is about it, to the letter.
    fn query(&self, query: &Expr) -> Expr {
        let is = |name: &str, value: &str| {
            let (name, value) = (name.to_owned(), Value::Is(value.to_owned()));
            Expr::Field { name, value }
        };
        let own = [is("ns", &self.namespace), is("pod", &self.pod), is("container", &self.name)];
        let asked = (*query != Expr::All).then(|| query.clone());
        Expr::and(asked.into_iter().chain(own).collect())
    }
}

/// Pods that live, by namespace and name.
type Living = HashMap<(String, String), Lives>;

/// What is known of a Pod that lives.
#[derive(Debug, Clone, Default)]
struct Lives {
    /// When it was made.
    since: Option<i64>,
    containers: Vec<String>,
}

impl Lives {
    fn of(pod: &Pod) -> Self {
        let created = pod.metadata.creation_timestamp.as_ref();
        let since = created.and_then(|created| i64::try_from(created.0.as_nanosecond()).ok());
        Self { since, containers: whose::containers(pod) }
    }
}

/// The containers whose tails are shown, and what is said of the others.
#[derive(Debug, PartialEq, Eq)]
struct Chosen {
    containers: Vec<Container>,
    told: Vec<String>,
}

/// `living` is `None` where the user may not list Pods: then nobody is known to be gone.
fn choose(answer: &StatsAnswer, living: Option<&Living>) -> Chosen {
    let mut containers: Vec<_> = answer.series.iter().map(|series| Container::of(&series.group)).collect();
    let mut told = Vec::new();
    let lives = |container: &Container| {
        let of = (container.namespace.clone(), container.pod.clone());
        living.is_some_and(|living| living.contains_key(&of))
    };
    if containers.iter().any(lives) {
        let all = containers.len();
        containers.retain(lives);
        if containers.len() < all {
            told.push(format!(
                "--tail shows containers of Pods that live, and {} others have records: --limit in its place \
                 counts over all of them",
                all - containers.len()
            ));
        }
    }
    // The answer has those with the most records first, and may not have all.
    if containers.len() > MOST || answer.other.is_some() {
        containers.truncate(MOST);
        told.push(format!(
            "--tail shows {} containers, those with the most records, and there may be more: narrow the \
             search with -n, -l or --pod, or take --limit, which counts over all",
            containers.len()
        ));
    }
    Chosen { containers, told }
}

/// The containers that an answer has.
fn found(answer: &StatsAnswer) -> HashSet<Container> {
    answer.series.iter().map(|series| Container::of(&series.group)).collect()
}

/// Since when containers may have written that live and aren't found: since the oldest of their Pods was
/// made, if that was before the begin of what was looked through. Pure.
fn quiet_since(found: &HashSet<Container>, living: &Living, begin: i64) -> Option<i64> {
    let is_found = |(namespace, pod): &(String, String), name: &String| {
        let (namespace, pod) = (namespace.clone(), pod.clone());
        found.contains(&Container { namespace, pod, name: name.clone() })
    };
    let quiet = living.iter().filter(|(of, pod)| pod.containers.iter().any(|name| !is_found(of, name)));
    quiet.filter_map(|(_, pod)| pod.since).min().filter(|since| *since < begin)
}

/// Records of several containers, each oldest first, as one list. Of one time each keeps its own order.
fn merged(of_each: Vec<Vec<LogRecord>>) -> Vec<LogRecord> {
    let mut records: Vec<_> = of_each.into_iter().flatten().collect();
    records.sort_by(|a, b| a.time.cmp(&b.time));
    records
}

/// Pods of these namespaces that are there; `None` if the user may not list them, or nobody here
/// knows of Pods.
async fn living(client: &Client, namespaces: &BTreeSet<&str>) -> Outcome<Option<Living>> {
    let mut living = Living::new();
    // One after the other: whoever may read these may not be allowed to list the Pods of all.
    for namespace in namespaces {
        let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
        let Some(pods) = whose::listed(&api, &ListParams::default()).await? else { return Ok(None) };
        let named = |pod: &Pod| (pod.namespace().unwrap_or_default(), pod.name_any());
        living.extend(pods.iter().map(|pod| (named(pod), Lives::of(pod))));
    }
    Ok(Some(living))
}

impl Logs {
    /// The records that are there already, in the amount that was asked for: `limit` counts over all
    /// of them, where `--tail` doesn't count for each container.
    pub(super) async fn pages<'a>(
        &'a self,
        client: &'a Client,
        query: &Expr,
        limit: Option<usize>,
    ) -> Outcome<Pages<'a>> {
        let each = match self.tail {
            None => return Ok(Pages::new(client, self.request(query), limit, &self.missing)),
            Some(Tail::All) => return Ok(Pages::new(client, self.request(query), None, &self.missing)),
            Some(Tail::Last(each)) => each,
        };
        let records = match each {
            0 => Vec::new(),
            each => Box::pin(self.last_of_each(client, query, each)).await?,
        };
        Ok(Pages::of(client, records, &self.missing))
    }

    async fn last_of_each(&self, client: &Client, query: &Expr, each: usize) -> Outcome<Vec<LogRecord>> {
        let (answer, living) = self.containers(client, query).await?;
        let chosen = choose(&answer, living.as_ref());
        chosen.told.iter().for_each(|told| output::warning(told));
        let last = |container: &Container| {
            let request = self.request(&container.query(query));
            async move {
                let mut pages = Pages::new(client, request, Some(each), &self.missing);
                Ok::<_, Failure>(pages.next(NEXT).await?.unwrap_or_default())
            }
        };
        let asked: Vec<_> = chosen.containers.iter().map(last).collect();
        Ok(merged(stream::iter(asked).buffered(AT_ONCE).try_collect().await?))
    }

    /// The containers that have records, those with the most first, and the Pods that live. Where no begin is
    /// named, of the days that a node keeps by itself; of all time if those have none, and for containers
    /// that live and have none in them.
    async fn containers(&self, client: &Client, query: &Expr) -> Outcome<(StatsAnswer, Option<Living>)> {
        let near = whose::begin(self.since.as_deref(), self.until.as_deref(), time::now())?;
        let mut answer = self.count(client, query, near.clone(), self.until.clone()).await?;
        let mut may_be_quiet = self.since.is_none();
        if may_be_quiet && answer.series.is_empty() {
            answer = self.count(client, query, EVER.to_owned(), self.until.clone()).await?;
            may_be_quiet = false;
        }
        let living = match answer.series.len() {
            0 => None,
            // Of a single one there is nothing to choose.
            1 if !may_be_quiet => None,
            _ => {
                let namespaces = answer.series.iter().filter_map(|series| series.group.get("namespace"));
                // Senders choose names of namespaces, too.
                let namespaces = namespaces.map(String::as_str).filter(|name| is_name(name)).collect();
                living(client, &namespaces).await?
            }
        };
        if let Some(living) = living.as_ref().filter(|_| may_be_quiet) {
            self.add_quiet(client, query, &near, living, &mut answer).await?;
        }
        Ok((answer, living))
    }

    /// Adds containers that live and have records only before the begin of what was looked through.
    async fn add_quiet(
        &self,
        client: &Client,
        query: &Expr,
        begin: &str,
        living: &Living,
        answer: &mut StatsAnswer,
    ) -> Outcome<()> {
        let found = found(answer);
        let Some(since) = time::parse(begin).and_then(|begin| quiet_since(&found, living, begin)) else {
            return Ok(());
        };
        let before = self.count(client, query, time::format(since), Some(begin.to_owned())).await?;
        let is_quiet = |series: &StatsSeries| {
            let container = Container::of(&series.group);
            !found.contains(&container) && living.contains_key(&(container.namespace, container.pod))
        };
        answer.series.extend(before.series.into_iter().filter(is_quiet));
        answer.other = answer.other.take().or(before.other);
        Ok(())
    }

    async fn count(
        &self,
        client: &Client,
        query: &Expr,
        since: String,
        until: Option<String>,
    ) -> Outcome<StatsAnswer> {
        let request = StatsRequest {
            query: query.to_string(),
            since: Some(since),
            until,
            namespace: self.namespace.clone(),
            by: ["namespace", "pod", "container"].map(str::to_owned).into(),
            limit: Some(MAX_GROUPS),
            within: self.within.clone(),
            ..StatsRequest::default()
        };
        let answer = client::stats(client, &request).await.or_asked(NEXT)?;
        self.missing.tell(&answer.partial);
        Ok(answer)
    }
}

#[cfg(test)]
mod tests;
