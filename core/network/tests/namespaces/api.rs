//! The lists and watches of an API server, for objects that a case sets: enough
//! for a `kube::Client` that only watches.

use std::{collections::BTreeMap, convert::Infallible, fmt::Debug, sync::Arc};

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use http::{Request, Response};
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use kube::{Resource, runtime::watcher};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tiphys_client::Cache;
use tiphys_lifecycle::Tasks;
use tokio::sync::broadcast;

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Objects by `plural/namespace/name`.
#[derive(Clone)]
pub struct Api {
    objects: Arc<Mutex<BTreeMap<String, Value>>>,
    events: broadcast::Sender<(String, Value)>,
}

impl Api {
    pub fn new() -> Self {
        Self { objects: Arc::default(), events: broadcast::channel(64).0 }
    }

    pub fn client(&self) -> kube::Client {
        let api = self.clone();
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let answer = api.answer(&request);
            async move { Ok::<_, Infallible>(answer) }
        });
        kube::Client::new(service, "default")
    }

    /// A watched copy of a kind.
    pub fn watch_all<K>(&self, tasks: &Tasks) -> Cache<K>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    {
        Cache::start(tasks, kube::Api::all(self.client()), watcher::Config::default())
    }

    /// Creates or changes an object.
    pub fn apply(&self, plural: &str, mut object: Value) {
        object["metadata"]["resourceVersion"] = json!("2");
        let key = key(plural, &object);
        let event =
            if self.objects.lock().insert(key, object.clone()).is_some() { "MODIFIED" } else { "ADDED" };
        let _ = self.events.send((plural.to_owned(), json!({ "type": event, "object": object })));
    }

    pub fn delete(&self, plural: &str, namespace: &str, name: &str) {
        let object = self.objects.lock().remove(&format!("{plural}/{namespace}/{name}")).unwrap();
        let _ = self.events.send((plural.to_owned(), json!({ "type": "DELETED", "object": object })));
    }

    fn answer(&self, request: &Request<kube::client::Body>) -> Response<Body> {
        let plural = request.uri().path().rsplit('/').next().unwrap().to_owned();
        if request.uri().query().is_some_and(|query| query.contains("watch=true")) {
            return Response::new(streamed(self.watch(plural)));
        }
        let objects = self.objects.lock();
        let prefix = format!("{plural}/");
        let items: Vec<&Value> =
            objects.iter().filter(|(key, _)| key.starts_with(&prefix)).map(|(_, o)| o).collect();
        let list = json!({ "metadata": { "resourceVersion": "1" }, "items": items });
        Response::new(streamed(stream::iter([list])))
    }

    /// Every object as if it were new, then what happens: a change between list
    /// and watch is not lost, and a repeated one harms nobody.
    fn watch(&self, plural: String) -> impl Stream<Item = Value> + use<> {
        let receiver = self.events.subscribe();
        let prefix = format!("{plural}/");
        let there: Vec<Value> =
            self.objects.lock().iter().filter(|(key, _)| key.starts_with(&prefix)).map(added).collect();
        let changes =
            stream::unfold(receiver, |mut receiver| async { Some((receiver.recv().await.ok()?, receiver)) });
        let own = changes.filter_map(move |(of, event)| std::future::ready((of == plural).then_some(event)));
        stream::iter(there).chain(own)
    }
}

fn added((_, object): (&String, &Value)) -> Value {
    json!({ "type": "ADDED", "object": object })
}

fn key(plural: &str, object: &Value) -> String {
    let part = |name: &str| object["metadata"][name].as_str().unwrap_or_default().to_owned();
    format!("{plural}/{}/{}", part("namespace"), part("name"))
}

fn streamed(values: impl Stream<Item = Value> + Send + 'static) -> Body {
    let frames = values.map(|value| Ok(http_body::Frame::data(Bytes::from(format!("{value}\n")))));
    StreamBody::new(frames).boxed_unsync()
}
