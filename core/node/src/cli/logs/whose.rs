//! Whose logs the words of a command mean, as kubectl and people who come from it write them.
//!
//! ```text
//! deploy/web error        a workload, and a query
//! web-7f9c8-x2x4p app     a Pod and its container, if it has one of that name
//! web-7f9c8-x2x4p error   a Pod, and a query
//! error timeout           a query
//! ```
//!
//! Only the cluster can tell a Pod's name from a word. A Pod is looked for where one lives: in the
//! context's namespace before others; then among the records, which know those that are gone. What
//! is neither is a word. Which Pod was taken is said.

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, ResourceExt, api::ListParams};
use tiphys_logging::{client, query::Expr, render, time, wire::FacetsRequest};

use super::{
    Logs, NEXT, previous,
    scope::named,
    workload::{Workload, is_name},
};
use crate::{
    failure::{Failure, OrAsked, Outcome},
    output,
};

/// How far back Pods that are gone are looked for where no begin was said: as long as a node keeps
/// its logs by itself, so that a mere word brings nothing back from the archive.
const BACK: i64 = 7 * 86_400 * time::SECOND;
/// How long each node may look for them: a word that is nobody's name keeps no search waiting.
const WITHIN: &str = "2s";
/// The most values that are asked for.
const MOST: usize = 1000;

/// What the first word may name.
#[derive(Debug, PartialEq, Eq)]
enum First {
    Workload(Workload),
    /// A Pod, if there is or was one.
    Pod(String),
    Query,
}

/// What the first word may name, and the words that are not it.
fn read(words: &[String]) -> (First, &[String]) {
    let Some((first, rest)) = words.split_first() else { return (First::Query, words) };
    // A word that is combined with the next is searched for.
    if rest.first().is_some_and(|next| ["AND", "OR", "&&", "||"].contains(&next.as_str())) {
        return (First::Query, words);
    }
    match Workload::parse(first) {
        Some(workload) => (First::Workload(workload), rest),
        None if is_name(first) => (First::Pod(first.clone()), rest),
        None => (First::Query, words),
    }
}

/// The Pod that is taken.
#[derive(Debug, PartialEq, Eq)]
struct Chosen {
    namespace: String,
    /// It is there; else its records are.
    lives: bool,
    /// Namespaces with one of the same name.
    others: Vec<String>,
}

/// The Pod of a name, by the namespaces in which one lives, and those whose records have it.
fn choose(home: &str, living: &[String], recorded: &[String]) -> Option<Chosen> {
    let (found, lives) = if living.is_empty() { (recorded, false) } else { (living, true) };
    let mut found = found.to_vec();
    found.sort_unstable();
    found.dedup();
    let at = found.iter().position(|namespace| namespace == home).unwrap_or(0);
    let namespace = (!found.is_empty()).then(|| found.remove(at))?;
    Some(Chosen { namespace, lives, others: found })
}

impl Chosen {
    /// What the user is told of the choice.
    fn told(&self, pod: &str) -> String {
        // Senders choose names of namespaces, too.
        let namespace = render::escaped(&self.namespace);
        let mut told = match self.lives {
            true => format!("these are the logs of the Pod {namespace}/{pod}"),
            false => format!("the Pod {namespace}/{pod} is gone: these are the records of it"),
        };
        if !self.others.is_empty() {
            let others = render::escaped(&self.others.join(", "));
            told.push_str(&format!("; others of this name are in {others}, which -n chooses"));
        }
        told + &format!("; to search for the word: '\"{pod}\"'")
    }
}

/// From when on Pods are looked for among the records: as asked, else [`BACK`] before the end.
///
/// # Errors
/// An end that is no time.
pub fn begin(since: Option<&str>, until: Option<&str>, now: i64) -> Outcome<String> {
    if let Some(since) = since {
        return Ok(since.to_owned());
    }
    let end = until.map_or(Ok(now), |until| time::resolve(until, now, "until"));
    let end = end.map_err(|error| Failure::usage(error, NEXT))?;
    Ok(time::format(end.min(now).saturating_sub(BACK)))
}

/// A Pod, and what is known of it if it lives.
struct Found {
    chosen: Chosen,
    pod: Option<Pod>,
}

/// The Pods of a name, in one namespace or in all.
struct Search<'a> {
    client: &'a Client,
    home: &'a str,
    only: Option<&'a str>,
    since: Option<String>,
    until: Option<String>,
}

impl Search<'_> {
    async fn find(&self, name: &str) -> Outcome<Option<Found>> {
        let mut living = self.living(name).await?;
        let places: Vec<_> = living.iter().filter_map(ResourceExt::namespace).collect();
        let recorded = match places.is_empty() {
            true => self.recorded("namespace", name, self.only).await?,
            false => Vec::new(),
        };
        let Some(chosen) = choose(self.only.unwrap_or(self.home), &places, &recorded) else {
            return Ok(None);
        };
        living.retain(|pod| chosen.lives && pod.namespace().as_ref() == Some(&chosen.namespace));
        Ok(Some(Found { chosen, pod: living.pop() }))
    }

    /// Those that are there, of all namespaces if the user may list them all.
    async fn living(&self, name: &str) -> Outcome<Vec<Pod>> {
        let called = ListParams::default().fields(&format!("metadata.name={name}"));
        if self.only.is_none()
            && let Some(everywhere) = listed(&Api::all(self.client.clone()), &called).await?
        {
            return Ok(everywhere);
        }
        let api = Api::namespaced(self.client.clone(), self.only.unwrap_or(self.home));
        Ok(listed(&api, &called).await?.unwrap_or_default())
    }

    /// The values of a field in the records of the Pods of this name that the user may read.
    async fn recorded(&self, field: &str, name: &str, namespace: Option<&str>) -> Outcome<Vec<String>> {
        let since = begin(self.since.as_deref(), self.until.as_deref(), time::now())?;
        let request = FacetsRequest {
            query: named("pod", name).to_string(),
            since: Some(since),
            until: self.until.clone(),
            within: Some(WITHIN.to_owned()),
            namespace: namespace.map(str::to_owned),
            limit: Some(MOST),
            ..FacetsRequest::default()
        };
        let mut answer = client::facets(self.client, &request).await.or_asked(NEXT)?;
        let values = answer.facets.remove(field).unwrap_or_default();
        Ok(values.into_iter().filter(|value| value.count > 0).map(|value| value.value).collect())
    }

    /// Whether the Pod has, or had, a container of this name.
    async fn has_container(&self, name: &str, found: &Found, container: &str) -> Outcome<bool> {
        if !is_name(container) {
            return Ok(false);
        }
        let names = match &found.pod {
            Some(pod) => containers(pod),
            None => self.recorded("container", name, Some(&found.chosen.namespace)).await?,
        };
        Ok(names.iter().any(|name| name == container))
    }
}

/// `None` if the user may not list them, or nobody here knows of Pods.
pub async fn listed(api: &Api<Pod>, called: &ListParams) -> Outcome<Option<Vec<Pod>>> {
    match api.list(called).await {
        Ok(list) => Ok(Some(list.items)),
        Err(kube::Error::Api(status)) if [403, 404].contains(&status.code) => Ok(None),
        Err(error) => Err::<Option<Vec<Pod>>, _>(error).or_asked(NEXT),
    }
}

/// The names of all containers that a Pod may run.
pub fn containers(pod: &Pod) -> Vec<String> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    let main = spec.containers.iter().map(|container| &container.name);
    let init = spec.init_containers.iter().flatten().map(|container| &container.name);
    let ephemeral = spec.ephemeral_containers.iter().flatten().map(|container| &container.name);
    main.chain(init).chain(ephemeral).cloned().collect()
}

impl Logs {
    /// The query with whose logs it is about: a workload, a Pod by its name, options.
    pub(super) async fn whose(&mut self, client: &Client) -> Outcome<Expr> {
        let words = self.words.clone();
        let (first, rest) = match &self.of {
            None => read(&words),
            Some(of) => {
                let workload = Workload::parse(of).ok_or_else(|| {
                    Failure::usage(
                        format!("`{of}` names no workload"),
                        "write it as deploy/web, sts/db, ds/agent, job/x, svc/web or pod/x",
                    )
                })?;
                (First::Workload(workload), words.as_slice())
            }
        };
        let home = client.default_namespace().to_owned();
        // A workload is in one namespace, and so is the Pod that a mere name may be.
        let several = !self.scope.namespaces().is_empty();
        match first {
            First::Workload(_) if several => Err(Failure::usage(
                "a workload, or a Pod as pod/NAME, is in one namespace, and -n names several",
                "name one with -n, or look for Pods by --pod 'web-*' or -l app=web",
            )),
            First::Workload(workload) => {
                let namespace = self.namespace.get_or_insert(home).clone();
                if let Some(pod) = workload.pod() {
                    let search = self.search(client, &namespace, Some(&namespace));
                    let gone = Chosen { namespace: namespace.clone(), lives: false, others: Vec::new() };
                    let found = search.find(pod).await?.unwrap_or(Found { chosen: gone, pod: None });
                    return self.of_pod(&search, pod, &found, rest).await;
                }
                self.needs_no_pod()?;
                let pods = workload.query(client, &namespace).await?;
                self.scope.query(&rest.join(" "), Some(pods))
            }
            First::Pod(pod) if !self.scope.has_pods() && !several => {
                let only = self.namespace.clone();
                let search = self.search(client, &home, only.as_deref());
                let Some(found) = search.find(&pod).await? else {
                    self.needs_no_pod()?;
                    return self.scope.query(&words.join(" "), None);
                };
                output::line(&found.chosen.told(&pod));
                let query = self.of_pod(&search, &pod, &found, rest).await?;
                self.namespace = Some(found.chosen.namespace);
                Ok(query)
            }
            First::Pod(_) | First::Query => {
                self.needs_no_pod()?;
                self.scope.query(&words.join(" "), None)
            }
        }
    }

    fn search<'a>(&self, client: &'a Client, home: &'a str, only: Option<&'a str>) -> Search<'a> {
        Search { client, home, only, since: self.since.clone(), until: self.until.clone() }
    }

    /// A Pod's records, of the container or with the query that the other words are.
    async fn of_pod(&self, search: &Search<'_>, pod: &str, found: &Found, rest: &[String]) -> Outcome<Expr> {
        let mut parts = vec![named("ns", &found.chosen.namespace), named("pod", pod)];
        let mut query = rest.join(" ");
        if let [word] = rest
            && !self.scope.has_containers()
            && search.has_container(pod, found, word).await?
        {
            parts.push(named("container", word));
            query.clear();
        }
        if self.as_kubectl.previous {
            parts.push(previous::instances(&found.chosen.namespace, pod, found.pod.as_ref())?);
        }
        self.scope.query(&query, Some(Expr::and(parts)))
    }

    /// `--previous` is about one Pod.
    fn needs_no_pod(&self) -> Outcome<()> {
        match self.as_kubectl.previous {
            false => Ok(()),
            true => Err(Failure::usage(
                "--previous is the instance before the one that runs, of one Pod, and none is named",
                "tiphys logs POD --previous, or restart:0 in the query for the first instance of each",
            )),
        }
    }
}

#[cfg(test)]
mod tests;
