//! One extension server, watched: whether it can be reached, and what it serves.
//!
//! Its Service and EndpointSlices are watched. Whether it answers has no watch: it is asked
//! again after a while, sooner when it did not. The one document that every extension server
//! has, `/apis/GROUP/VERSION`, answers both questions.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt, Stream, StreamExt, stream};
use http::StatusCode;
use serde_json::Value;
use tiphys_api::auth::UserInfo;
use tiphys_lifecycle::{Backoff, BoxError};

use super::{
    condition::{self, Verdict},
    documents::{self, Seen},
    fetch::{Fetched, Wanted},
    table::{Remote, Service},
};
use crate::{
    authz::find,
    bootstrap::changes,
    cache::{CacheError, Selector, WatchEvent},
    state::Core,
};

/// Between two looks at a server that answers.
const RECHECK: Duration = Duration::from_secs(30);
/// Endpoints are taken at random: one that hangs is no verdict about all.
const ATTEMPTS: usize = 3;
const DISCOVERY_MOST: usize = 4 << 20;
const OPENAPI_MOST: usize = 32 << 20;

/// Never ends well: with an error it starts again.
pub async fn follow(core: Arc<Core>, service: Arc<Service>, remote: Remote) -> Result<(), BoxError> {
    let mut changes = changes(&core, &remote).await?;
    let mut backoff = Backoff::new(Duration::from_millis(500), RECHECK);
    loop {
        while let Some(change) = changes.next().now_or_never() {
            change.ok_or("the watch of its endpoints ended")??;
        }
        let verdict = check(&core, &service, &remote).await;
        condition::write(&core, &service, &verdict).await?;
        let pause = if verdict.available {
            openapi(&core, &service, &remote).await;
            backoff.reset();
            RECHECK
        } else {
            backoff.next_pause()
        };
        tokio::select! {
            change = changes.next() => {
                change.ok_or("the watch of its endpoints ended")??;
                backoff.reset();
            }
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Changes of the Service and its EndpointSlices.
async fn changes(
    core: &Core,
    remote: &Remote,
) -> Result<impl Stream<Item = Result<WatchEvent, CacheError>> + Unpin + use<>, BoxError> {
    let Remote { namespace, name, .. } = remote;
    let by_name = Selector::parse(None, Some(&format!("metadata.name={name}")))?;
    let by_label = Selector::parse(Some(&format!("kubernetes.io/service-name={name}")), None)?;
    let service = changes::of(core, &[("", "services")], Some(namespace), &by_name).await?;
    let slices = [("discovery.k8s.io", "endpointslices")];
    let slices = changes::of(core, &slices, Some(namespace), &by_label).await?;
    Ok(stream::select(service, slices))
}

/// Looks at it, and keeps what it says of its resources.
async fn check(core: &Core, service: &Service, remote: &Remote) -> Verdict {
    let aggregation = &core.aggregation;
    let name = service.name();
    let before = aggregation.seen(service).map(|seen| (*seen).clone()).unwrap_or_default();
    let obstacle = match obstacle(core, remote).await {
        Some(obstacle) => obstacle,
        None => match discovery(core, service, remote).await {
            Ok(list) => {
                let resources =
                    list.as_ref().map(|list| documents::resources(list, &service.group, &service.version));
                let fresh = resources.is_some();
                let resources = resources.unwrap_or_else(|| before.resources.clone());
                aggregation.see(&name, Seen { resources, fresh, ..before });
                return Verdict::passed();
            }
            Err(why) => Verdict::failed("FailedDiscoveryCheck", why),
        },
    };
    aggregation.see(&name, Seen { fresh: false, ..before });
    obstacle
}

async fn obstacle(core: &Core, remote: &Remote) -> Option<Verdict> {
    let objects = core.aggregation.transport.objects();
    let Remote { namespace, name, .. } = remote;
    let service = find(objects, "", "services", namespace, name).await;
    let slices = objects.list("discovery.k8s.io", "endpointslices", namespace, &[]);
    let own = |slice: &Arc<Value>| slice["metadata"]["labels"]["kubernetes.io/service-name"] == **name;
    let slices: Vec<Arc<Value>> = slices.into_iter().filter(own).collect();
    condition::obstacle(remote, service.as_deref(), &slices)
}

/// Its list of resources; None when what it says is no such list.
async fn discovery(core: &Core, service: &Service, remote: &Remote) -> Result<Option<Value>, String> {
    let user = UserInfo { groups: vec!["system:masters".into()], ..aggregator("system:kube-aggregator") };
    let path = service.path();
    let wanted = Wanted { path: &path, user: &user, known: None, most: DISCOVERY_MOST };
    let url = remote.url(&path);
    let mut last = String::new();
    for _ in 0..ATTEMPTS {
        match core.aggregation.fetch(remote, &wanted).await {
            Ok(answer) if answer.status.is_success() => {
                let list: Option<Value> = serde_json::from_slice(&answer.body).ok();
                return Ok(list.filter(|list| list["resources"].is_array()));
            }
            Ok(answer) => {
                last = format!(
                    "failing or missing response from {url}: bad status from {url}: {}",
                    answer.status.as_u16()
                );
            }
            Err(why) => last = format!("failing or missing response from {url}: {why}"),
        }
    }
    Err(last)
}

/// Keeps what it says in OpenAPI. A server may have none: nothing depends on it.
async fn openapi(core: &Core, service: &Service, remote: &Remote) {
    let aggregation = &core.aggregation;
    let Some(before) = aggregation.seen(service) else { return };
    let (user, path) = (aggregator("system:aggregator"), service.path());
    let mut now = (*before).clone();
    let index = Wanted { path: "/openapi/v3", user: &user, known: None, most: OPENAPI_MOST };
    match told(aggregation.fetch(remote, &index).await) {
        Told::Nothing => {}
        Told::New(index, _) => now.openapi_v3 = documents::openapi_v3(&index, path.trim_start_matches('/')),
    }
    let known = before.openapi_v2_tag.as_deref();
    let v2 = Wanted { path: "/openapi/v2", user: &user, known, most: OPENAPI_MOST };
    match told(aggregation.fetch(remote, &v2).await) {
        Told::Nothing => {}
        Told::New(document, tag) => {
            let own = documents::openapi_v2(&document, &path);
            // One that is as it was stays the same one: what is merged from it is made only once.
            if now.openapi_v2.as_deref() != own.as_ref() {
                now.openapi_v2 = own.map(Arc::new);
            }
            now.openapi_v2_tag = tag;
        }
    }
    aggregation.see(&service.name(), now);
}

enum Told {
    /// It isn't heard, or has nothing new.
    Nothing,
    /// A document (null: there is none), and by what it is known again.
    New(Value, Option<String>),
}

fn told(answer: Result<Fetched, String>) -> Told {
    match answer {
        Ok(answer) if answer.status == StatusCode::OK => {
            Told::New(serde_json::from_slice(&answer.body).unwrap_or_default(), answer.tag)
        }
        Ok(answer) if answer.status == StatusCode::NOT_FOUND => Told::New(Value::Null, None),
        Ok(answer) => {
            tracing::debug!(status = %answer.status, "extension server keeps a document to itself");
            Told::Nothing
        }
        Err(error) => {
            tracing::debug!(error, "document of an extension server can't be read");
            Told::Nothing
        }
    }
}

fn aggregator(name: &str) -> UserInfo {
    UserInfo { name: name.into(), ..UserInfo::default() }
}
