//! Splits for the archive: the list, their files, and beside every answer whose
//! records the node has. See [`crate::archive::wire`].

use std::time::Duration;

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{Path, Query, State},
    middleware::Next,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderValue, Request, StatusCode};
use tokio_util::io::ReaderStream;

use super::{MAX_REQUEST, Refusal, Service};
use crate::{
    archive::wire::{self, HOLDS_HEADER, STORE_HEADER},
    index::{Holds, IndexError},
};

/// Who waits for a change hears of it after this at the latest, to know that the node lives.
const HEARTBEAT: Duration = Duration::from_secs(50);
/// A question is asked again when records went for good meanwhile.
const TRIES: usize = 5;
/// Bytes of a file that are read at a time.
const PIECE: usize = 256 << 10;

pub(super) fn routes() -> Router<Service> {
    Router::new().route("/v1/splits", get(list)).route("/v1/splits/{id}/{*file}", get(file))
}

#[derive(serde::Deserialize)]
struct After {
    after: Option<u64>,
    /// Splits of that version's list that the archive lacks.
    #[serde(default)]
    lacks: String,
}

/// At once, or when the list is another than that version.
async fn list(
    State(service): State<Service>,
    Query(After { after, lacks }): Query<After>,
) -> Result<Response, Refusal> {
    let Some(lacks) = wire::from_text(&lacks) else {
        let message = format!("lacks={lacks:?} names no splits: 1-3,7");
        return Err(Refusal { status: StatusCode::BAD_REQUEST, message });
    };
    service.store.archive_asks(after, &lacks);
    let mut changes = service.store.changes();
    if after == Some(*changes.borrow_and_update()) {
        // The store lives as long as this does; a time-out is an answer like another. A server that
        // stops waits for those that wait here.
        let change = tokio::time::timeout(HEARTBEAT, changes.changed());
        let _ = service.tasks.token().run_until_cancelled(change).await;
    }
    let store = service.store.clone();
    let listing = blocking(move || store.listing()).await?;
    service.store.archive_told(listing.version, listing.splits.iter().map(|split| split.id).collect());
    Ok(Json(listing).into_response())
}

async fn file(
    State(service): State<Service>,
    Path((id, name)): Path<(u64, String)>,
) -> Result<Response, Refusal> {
    let store = service.store.clone();
    let opened = blocking({
        let name = name.clone();
        move || store.split_file(id, &name)
    });
    let Some(file) = opened.await? else {
        let message = format!("split {id} has no file {name:?}, or is no more");
        return Err(Refusal { status: StatusCode::NOT_FOUND, message });
    };
    let pieces = ReaderStream::with_capacity(tokio::fs::File::from_std(file), PIECE);
    Ok(Body::from_stream(pieces).into_response())
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, IndexError> + Send + 'static,
) -> Result<T, Refusal> {
    let done = tokio::task::spawn_blocking(work).await.map_err(|_| Refusal::stopping())?;
    done.map_err(|error| Refusal { status: StatusCode::INTERNAL_SERVER_ERROR, message: error.to_string() })
}

/// Says beside an answer whose records the node has. The archive is asked for the rest, so this
/// must hold for the very records that the answer is made of: when some went for good while it
/// was made, it is made again.
pub(super) async fn name_holds(
    State(service): State<Service>,
    request: Request<Body>,
    next: Next,
) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, MAX_REQUEST).await else {
        return (StatusCode::PAYLOAD_TOO_LARGE, "the request is too long\n").into_response();
    };
    for _ in 0..TRIES {
        let before = service.store.holds().departures;
        let request = Request::from_parts(head.clone(), Body::from(Bytes::clone(&body)));
        let mut response = next.clone().run(request).await;
        let Holds { store, splits, departures } = service.store.holds();
        if departures == before {
            for (name, text) in [(STORE_HEADER, store), (HOLDS_HEADER, wire::to_text(&splits))] {
                let value = HeaderValue::try_from(text).expect("numbers and letters");
                response.headers_mut().insert(name, value);
            }
            return response;
        }
    }
    (StatusCode::SERVICE_UNAVAILABLE, "records are being deleted: ask again\n").into_response()
}
