//! WATCH: a stream of events, JSON lines or frames of protobuf; most of the lines and all messages
//! in the frames are shared by all watchers.
//!
//! ```text
//! initial events (or all after a resourceVersion) -> changes -> bookmarks ... until timeoutSeconds or the client goes
//! ```
//!
//! The start is checked before the response begins, so that the first byte of
//! the stream is an event. What goes wrong later, and history that is gone, is
//! an ERROR event with a Status: clients list again then.

use std::{pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use http::{HeaderValue, Response, header};
use http_body_util::StreamBody;
use hyper::body::Frame;
use rand::Rng;
use serde_json::{Value, json};
use tiphys_api::serve::{Body, BoxError, boxed};
use tiphys_store::Revision;

use super::list;
use crate::{
    cache::{CacheError, CacheWatch, EventKind, Items, WatchEvent, WatchQuery, WatchStart},
    context::Context,
    metrics::InFlight,
    protobuf,
    registry::Resource,
    request::{
        accept::{Format, PROTOBUF_STREAM, STREAM_TYPES, Shape},
        options::Options,
    },
    respond::{self, object, protobuf::enveloped, shape, table},
    status::{ApiError, Result},
};

/// A watch without a limit of its own ends after half an hour to an hour: at different times for different clients.
const SHORTEST: u64 = 1800;

pub async fn watch(ctx: &Context) -> Result<Response<Body>> {
    let format = ctx.accept.format;
    let content_type = match format {
        Format::Json => "application/json",
        Format::Protobuf => PROTOBUF_STREAM,
        Format::Yaml => return Err(ApiError::not_acceptable(STREAM_TYPES)),
    };
    let query = WatchQuery {
        start: start(&ctx.options, ctx.resource.cache()?.revision())?,
        namespace: ctx.resource.within(&ctx.info.namespace).map(String::from),
        selector: list::selector(ctx)?,
        bookmarks: ctx.options.allow_bookmarks,
    };
    let seconds = ctx.options.timeout_seconds.filter(|seconds| *seconds > 0);
    let seconds = seconds.unwrap_or_else(|| rand::rng().random_range(SHORTEST..2 * SHORTEST));
    let until = tokio::time::Instant::now() + Duration::from_secs(seconds);
    let lines: Lines = match ctx.resource.cache()?.watch(query).await {
        Ok(events) => Box::pin(lines(Encoder::new(ctx), events, until, ctx.core.stopping())),
        Err(error @ CacheError::Expired { .. }) => {
            let line = error_line(format, &error.into());
            Box::pin(futures::stream::once(async { line }))
        }
        Err(error) => return Err(error.into()),
    };
    let frames = lines.map(|line| Ok::<_, BoxError>(Frame::data(line)));
    let mut response = Response::new(boxed(StreamBody::new(frames)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    Ok(response)
}

type Lines = Pin<Box<dyn Stream<Item = Bytes> + Send>>;

fn start(options: &Options, newest: Revision) -> Result<WatchStart> {
    if options.send_initial_events == Some(true) {
        let freshness = list::freshness(options)?;
        return Ok(WatchStart::InitialEvents { bookmark: options.allow_bookmarks, freshness });
    }
    Ok(match options.resource_version.as_str() {
        "" | "0" if options.send_initial_events == Some(false) => WatchStart::FromRevision(newest),
        "" => WatchStart::Now,
        "0" => WatchStart::Any,
        version => WatchStart::FromRevision(list::revision(version)?),
    })
}

fn lines(
    encoder: Encoder,
    events: CacheWatch,
    until: tokio::time::Instant,
    stopping: tokio_util::sync::CancellationToken,
) -> impl Stream<Item = Bytes> + Send {
    let end = async move {
        tokio::select! {
            () = tokio::time::sleep_until(until) => {}
            () = stopping.cancelled_owned() => {}
        }
    };
    // When nothing more comes the stream ends: the client watches again from its last resourceVersion.
    let lines = futures::stream::unfold((encoder, events), |(mut encoder, mut events)| async move {
        let line = match events.next().await? {
            Ok(event) => encoder.line(&event).await,
            Err(CacheError::SlowWatcher | CacheError::Closed) => return None,
            Err(error) => error_line(encoder.format, &error.into()),
        };
        Some((line, (encoder, events)))
    });
    lines.take_until(Box::pin(end))
}

fn error_line(format: Format, error: &ApiError) -> Bytes {
    let status = error.to_value();
    line(format, "ERROR", &status).unwrap_or_else(|_| json_line("ERROR", &status))
}

fn line(format: Format, kind: &str, object: &Value) -> Result<Bytes> {
    if format == Format::Protobuf {
        return Ok(protobuf::frame(kind, &protobuf::encode(object)?));
    }
    Ok(json_line(kind, object))
}

fn json_line(kind: &str, object: &Value) -> Bytes {
    cut(kind, Items::Whole, &object::text(object))
}

/// The line of an event with its object as `items` has it.
fn cut(kind: &str, items: Items, json: &[u8]) -> Bytes {
    let mut line = Vec::with_capacity(json.len().min(4096) + 128);
    line.extend_from_slice(br#"{"type":""#);
    line.extend_from_slice(kind.as_bytes());
    line.extend_from_slice(br#"","object":"#);
    items.write(&mut line, json);
    line.extend_from_slice(b"}\n");
    line.into()
}

/// Events as lines or frames of the asked shape.
struct Encoder {
    resource: Arc<Resource>,
    format: Format,
    shape: Shape,
    /// How lines are cut out of the cached bytes, where they are.
    held: Option<Items>,
    include_object: String,
    /// A Table's columns go with its first event only.
    columns_sent: bool,
    /// The watch is counted as long as it is read.
    _open: InFlight,
}

impl Encoder {
    fn new(ctx: &Context) -> Self {
        Self {
            resource: ctx.resource.clone(),
            format: ctx.accept.format,
            shape: ctx.accept.shape,
            held: respond::list::as_held(&ctx.resource, ctx.accept),
            include_object: ctx.options.include_object.clone(),
            columns_sent: false,
            _open: ctx.core.metrics.watch(),
        }
    }

    /// The event's line; an error in its place when the object can't be given in the asked version.
    async fn line(&mut self, event: &WatchEvent) -> Bytes {
        match self.written(event).await {
            Ok(line) => line,
            Err(error) => error_line(self.format, &error),
        }
    }

    async fn written(&mut self, event: &WatchEvent) -> Result<Bytes> {
        let kind = match event.kind {
            EventKind::Added => "ADDED",
            EventKind::Modified => "MODIFIED",
            EventKind::Deleted => "DELETED",
            EventKind::Bookmark { initial_events_end } => {
                return self.bookmark(event.revision, initial_events_end);
            }
        };
        let Some(object) = &event.object else { return Err(ApiError::internal("an event without object")) };
        if self.shape == Shape::Object {
            if self.format == Format::Protobuf {
                return Ok(protobuf::frame(kind, &enveloped(&self.resource, object)?));
            }
            if let Some(line) = event.line().filter(|_| self.held.is_some()) {
                return Ok(line);
            }
        }
        if let Some(items) = self.held {
            return Ok(cut(kind, items, &object.json));
        }
        let object = self.resource.served(&object.json).await?;
        line(self.format, kind, &self.shaped(object))
    }

    fn shaped(&mut self, object: Value) -> Value {
        let Shape::Table(version) = self.shape else {
            return shape::one(&self.resource, object, self.shape, &self.include_object);
        };
        let meta = json!({ "resourceVersion": object["metadata"]["resourceVersion"] });
        let first = !std::mem::replace(&mut self.columns_sent, true);
        table::of(&self.resource, version, meta, vec![object], &self.include_object, first)
    }

    fn bookmark(&mut self, revision: u64, initial_events_end: bool) -> Result<Bytes> {
        let kind = self.resource.kind;
        let mut object = json!({
            "kind": kind.kind,
            "apiVersion": kind.api_version(),
            "metadata": { "resourceVersion": revision.to_string(), "creationTimestamp": null },
        });
        if initial_events_end {
            object["metadata"]["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
        }
        if let Shape::Table(version) = self.shape {
            let meta = json!({ "resourceVersion": revision.to_string() });
            let first = !std::mem::replace(&mut self.columns_sent, true);
            // The row carries the annotation, as clients look for it there.
            object = table::of(&self.resource, version, meta, vec![object], "Metadata", first);
            return line(self.format, "BOOKMARK", &object);
        }
        line(self.format, "BOOKMARK", &shape::one(&self.resource, object, self.shape, ""))
    }
}
