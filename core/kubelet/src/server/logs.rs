//! `GET /containerLogs/{namespace}/{pod}/{container}`.

use std::{collections::HashMap, path::PathBuf, sync::Arc};

use axum::{
    body::Body,
    extract::{Path, Query, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::stream;
use jiff::Timestamp;
use tiphys_lifecycle::OnError;
use tokio::sync::watch;

use super::Shared;
use crate::{
    logs::{Options, Request, stream},
    pod::{runtime::Container, spec},
    workers::{Context, PodView},
};

pub(super) async fn container_logs(
    State(shared): State<Shared>,
    Path((namespace, name, container)): Path<(String, String, String)>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let options = match Options::read(&query, Timestamp::now()) {
        Ok(options) => options,
        Err(error) => return (StatusCode::BAD_REQUEST, error).into_response(),
    };
    let Some(view) = shared.context.registry.find(&namespace, &name) else {
        return (StatusCode::NOT_FOUND, format!("pod {namespace}/{name} is not on this node"))
            .into_response();
    };
    let now = view.borrow().clone();
    let found = match select(&now, &container, options.previous) {
        Ok(found) => found.clone(),
        Err((code, message)) => return (code, message).into_response(),
    };
    let ended = ends(&shared.context, view, &found);
    let root = shared.context.config.log_root.clone();
    let request = Request { root, path: PathBuf::from(&found.log_path), options, ended };
    let pieces = stream(request, &shared.context.tasks);
    let body = stream::unfold(pieces, async |mut pieces| pieces.recv().await.map(|piece| (piece, pieces)));
    ([(header::CONTENT_TYPE, "text/plain")], Body::from_stream(body)).into_response()
}

/// The instance whose log is asked for; else why there is none, as upstream says it.
fn select<'a>(view: &'a PodView, name: &str, previous: bool) -> Result<&'a Container, (StatusCode, String)> {
    let pod = spec::name(&view.pod);
    if spec::container(&view.pod, name).is_none() {
        return Err((StatusCode::NOT_FOUND, format!("container {name:?} in pod {pod:?} is not available")));
    }
    if previous {
        let message = || format!("previous terminated container {name:?} in pod {pod:?} not found");
        return view.runtime.previous(name).ok_or_else(|| (StatusCode::BAD_REQUEST, message()));
    }
    view.runtime.latest(name).ok_or_else(|| {
        let message =
            format!("container {name:?} in pod {pod:?} is waiting to start: {}", waiting(view, name));
        (StatusCode::BAD_REQUEST, message)
    })
}

fn waiting(view: &PodView, name: &str) -> String {
    let status = view.pod.status.as_ref();
    let statuses = status.into_iter().flat_map(|status| {
        let init = status.init_container_statuses.iter().flatten();
        let later = status.ephemeral_container_statuses.iter().flatten();
        status.container_statuses.iter().flatten().chain(init).chain(later)
    });
    let mut states = statuses.filter(|status| status.name == name).filter_map(|status| status.state.as_ref());
    let reason = states.find_map(|state| state.waiting.as_ref()?.reason.clone());
    reason.unwrap_or_else(|| "ContainerCreating".to_owned())
}

/// Becomes true when this instance no longer runs.
fn ends(
    context: &Context,
    mut view: watch::Receiver<Arc<PodView>>,
    container: &Container,
) -> watch::Receiver<bool> {
    let id = container.id.clone();
    let runs = move |view: &PodView| view.runtime.running().any(|one| one.id == id);
    let (sender, receiver) = watch::channel(!runs(&view.borrow()));
    context.tasks.spawn("kubelet log end", OnError::Log, async move {
        tokio::select! {
            // An error: the Pod's worker is gone, and the container with it.
            _ = view.wait_for(|view| !runs(view)) => {
                sender.send_replace(true);
            }
            // Nobody reads the log any more.
            () = sender.closed() => {}
        }
        Ok::<(), std::convert::Infallible>(())
    });
    receiver
}
