//! Reading what the runtime has of a Pod.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use tiphys_runtime::{
    Result,
    cri::{Cri, v1},
};

use crate::pod::{
    names,
    runtime::{Container, RuntimeState, Sandbox},
};

/// After containerd said that a process ended, its CRI plug-in needs a moment to
/// take note. This long the look is repeated.
const SETTLE_PAUSE: Duration = Duration::from_millis(5);
const SETTLE_TRIES: u32 = 400;

/// What does not change any more, so that it is asked for once.
#[derive(Default)]
pub(super) struct Seen {
    ended: HashMap<String, Container>,
    stopped: HashMap<String, Sandbox>,
}

/// The Pod's sandboxes and containers, newest first. Those in `ended` are shown as
/// ended, which may take a few milliseconds.
pub(super) async fn look(
    cri: &Cri,
    uid: &str,
    ended: &HashSet<String>,
    seen: &mut Seen,
) -> Result<RuntimeState> {
    let mut tries = 0;
    loop {
        let state = look_once(cri, uid, seen).await?;
        let lags = |id: &String| {
            state.containers.iter().any(|container| container.id == *id && container.is_running())
                || state.sandboxes.iter().any(|sandbox| sandbox.id == *id && sandbox.ready)
        };
        if !ended.iter().any(lags) || tries >= SETTLE_TRIES {
            return Ok(state);
        }
        tries += 1;
        tokio::time::sleep(SETTLE_PAUSE).await;
    }
}

async fn look_once(cri: &Cri, uid: &str, seen: &mut Seen) -> Result<RuntimeState> {
    let labels = || HashMap::from([(names::POD_UID.to_owned(), uid.to_owned())]);
    let (sandboxes, containers) =
        tokio::try_join!(cri.list_sandboxes(labels()), cri.list_containers(labels()))?;
    let mut state = RuntimeState::default();
    for listed in sandboxes {
        if let Some(known) = seen.stopped.get(&listed.id) {
            state.sandboxes.push(known.clone());
            continue;
        }
        let Some(status) = cri.sandbox_status(&listed.id).await? else { continue };
        let sandbox = Sandbox::read(status);
        if !sandbox.ready {
            seen.stopped.insert(sandbox.id.clone(), sandbox.clone());
        }
        state.sandboxes.push(sandbox);
    }
    for listed in containers {
        if let Some(known) = seen.ended.get(&listed.id) {
            state.containers.push(known.clone());
            continue;
        }
        let Some(container) = read(cri, listed).await? else { continue };
        if container.exit().is_some() {
            seen.ended.insert(container.id.clone(), container.clone());
        }
        state.containers.push(container);
    }
    let ids: HashSet<&String> = state.containers.iter().map(|container| &container.id).collect();
    seen.ended.retain(|id, _| ids.contains(id));
    state.sandboxes.sort_by_key(|sandbox| std::cmp::Reverse((sandbox.attempt, sandbox.created_at)));
    state.containers.sort_by_key(|container| std::cmp::Reverse((container.attempt, container.created_at)));
    Ok(state)
}

async fn read(cri: &Cri, listed: v1::Container) -> Result<Option<Container>> {
    let status = cri.container_status(&listed.id).await?;
    Ok(status.map(|status| Container::read(status, listed.pod_sandbox_id)))
}
