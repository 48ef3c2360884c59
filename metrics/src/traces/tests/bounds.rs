//! What reading traces may take, and what an answer says that it lacks.

use std::{future::Future, pin::Pin, sync::mpsc};

use futures::FutureExt;
use parking_lot::Mutex;

use super::*;
use crate::{
    places::Places,
    scope::Scope,
    traces::jaeger::{
        reading::{Asking, Bounds, Reader, Unread},
        routes_within,
    },
};

/// Shows everybody the spans of all namespaces, and `greedy` only when the gate opens.
struct Gate(Mutex<mpsc::Receiver<()>>);

impl Authorizer for Gate {
    fn authorize(&self, user: &UserInfo, attributes: &Attributes) -> Result<(), String> {
        let Attributes::Resource { namespace, .. } = attributes else { return Err("no".into()) };
        if namespace.is_empty() {
            return Err("each namespace is asked for".into());
        }
        if user.name == "greedy" {
            // It opens by going away.
            let _ = self.0.lock().recv();
        }
        Ok(())
    }
}

type Answer = Pin<Box<dyn Future<Output = (StatusCode, Value)>>>;

/// Jaeger's door within bounds, and what opens its gate.
struct Gated {
    routes: Router,
    places: Places,
    open: mpsc::Sender<()>,
}

impl Gated {
    fn new(folder: &Path, bounds: Bounds) -> Self {
        let spans = Arc::new(Spans::load(config(folder)).expect("loaded"));
        spans.take(numbered(0..3)).expect("taken");
        let (open, gate) = mpsc::channel();
        let places = bounds.places.clone();
        Self { routes: routes_within(bounds, spans, Arc::new(Gate(Mutex::new(gate)))), places, open }
    }

    fn services(&self, name: &str) -> Answer {
        let routes = self.routes.clone().layer(Extension(UserInfo::named(name, &[])));
        let request = Request::get("/jaeger/api/services").body(Body::empty()).expect("a request");
        Box::pin(async move {
            let (head, body) = routes.oneshot(request).await.expect("an answer").into_parts();
            let body = body.collect().await.expect("a body").to_bytes();
            (head.status, serde_json::from_slice(&body).expect("JSON"))
        })
    }

    /// Opens the gate, and waits until nobody reads.
    async fn end(self) {
        drop(self.open);
        let idle = async {
            while self.places.taken() > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(120), idle).await.expect("reading ends");
    }
}

#[tokio::test]
async fn abuse_35_one_users_questions_leave_places_for_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let wait = Duration::from_millis(100);
    let gated = Gated::new(folder.path(), Bounds { places: Places::new(2, 1), wait, ..Bounds::default() });
    let mut greedy = gated.services("greedy");
    assert_eq!(greedy.as_mut().now_or_never(), None, "it was to wait at the gate");
    let (status, said) = gated.services("greedy").await;
    let why = said["errors"][0]["msg"].as_str().unwrap_or_default();
    assert!(status == StatusCode::SERVICE_UNAVAILABLE && why.contains("too many questions"), "{said}");
    let (status, found) = gated.services("other").await;
    assert_eq!((status, &found["total"]), (StatusCode::OK, &json!(1)));
    drop(greedy);
    assert_eq!(gated.places.taken(), 1, "what reads keeps its place until it has ended");
    gated.end().await;
}

#[tokio::test]
async fn abuse_35_a_question_ends_at_its_deadline() {
    let folder = tempfile::tempdir().expect("a folder");
    let deadline = Duration::from_millis(100);
    let gated = Gated::new(folder.path(), Bounds { deadline, ..Bounds::default() });
    let (status, said) = gated.services("greedy").await;
    let why = said["errors"][0]["msg"].as_str().unwrap_or_default();
    assert!(status == StatusCode::GATEWAY_TIMEOUT && why.contains("100ms"), "{said}");
    gated.end().await;
}

#[tokio::test]
async fn abuse_33_reading_ends_when_nobody_waits() {
    let folder = tempfile::tempdir().expect("a folder");
    let spans = Arc::new(Spans::load(config(folder.path())).expect("loaded"));
    spans.take(numbered(0..2000)).expect("taken");
    let (open, gate) = mpsc::channel::<()>();
    let (tell, told) = mpsc::channel();
    let asking = Asking { user: "a".into(), scope: Scope::of(user("shop"), Arc::new(Own)) };
    let reader = Reader::new(spans, Bounds::default());
    let mut waiting = Box::pin(reader.read(asking, move |reading| {
        let mut seen = 0;
        let ended = reading.visit(&(i64::MIN..i64::MAX), |_| {
            if seen == 0 {
                // It opens by going away.
                let _ = gate.recv();
            }
            seen += 1;
            true
        });
        // Nobody may be there to hear it.
        let _ = tell.send((seen, ended));
        Ok(())
    }));
    assert!(waiting.as_mut().now_or_never().is_none(), "it was to wait at the gate");
    drop(waiting);
    drop(open);
    let (seen, ended) = told.recv_timeout(Duration::from_secs(120)).expect("it ends");
    assert_eq!(ended, Err(Unread::Gone), "{seen} spans were seen");
    assert!(seen < 2000);
}

#[tokio::test]
async fn an_answer_warns_of_what_it_lacks() {
    let (folder, tasks, now) = (tempfile::tempdir().expect("a folder"), Tasks::new(), now());
    let mut bench = bench(folder.path(), &tasks);
    let spans = (1..=3).map(|id| span(1, id, None, "part", now + i64::from(id))).collect();
    assert_eq!(bench.send("shop", PROTOBUF, export(spans)).await.0, StatusCode::OK);
    let path = format!("/traces/{}", "01".repeat(16));
    let told = async |bench: &Bench| {
        let (_, answer) = bench.jaeger("shop", &path).await;
        let count = answer["data"][0]["spans"].as_array().map(Vec::len);
        let warnings = answer["data"][0]["warnings"].as_array().cloned().unwrap_or_default();
        (count, warnings.iter().map(|one| one.as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>())
    };
    assert_eq!(told(&bench).await, (Some(3), Vec::new()));
    let damaged = |at: i64| folder.path().join(format!("{at}-{at}-7.parquet"));
    std::fs::write(damaged(now), b"no parquet").expect("written");
    // Of another day, which says nothing of this trace.
    std::fs::write(damaged(now - 48 * 3_600_000_000), b"no parquet").expect("written");
    // When it is found, and when it was set aside.
    for _ in 0..2 {
        let (count, warnings) = told(&bench).await;
        assert!(count == Some(3) && warnings.len() == 1 && warnings[0].contains("damaged"), "{warnings:?}");
    }
    let (status, said) = bench.jaeger("shop", "/traces/77").await;
    let why = said["errors"][0]["msg"].as_str().unwrap_or_default();
    assert!(status == StatusCode::NOT_FOUND && why.contains("are missing"), "{said}");
    bench.routes =
        routes_within(Bounds { spans: 2, ..Bounds::default() }, bench.spans.clone(), Arc::new(Own));
    let (count, warnings) = told(&bench).await;
    assert!(count == Some(2) && warnings[0].contains("2 spans") && warnings.len() == 2, "{warnings:?}");
    tasks.shutdown(Duration::from_secs(120)).await;
}
