//! What is asked of the API about Secrets, and what is told of their types.

use std::{
    collections::{BTreeSet, HashMap},
    convert::Infallible,
};

use axum::response::IntoResponse;
use http::{Request, header};
use parking_lot::Mutex;

use super::*;
use crate::series::Labels;

/// Selectors of lists, and the forms that were asked for.
type Asked = Arc<Mutex<BTreeSet<(String, String)>>>;

/// An API with one Secret, whose type is `kubernetes.io/tls`. It answers lists.
fn api(asked: Asked) -> Client {
    let service = tower::service_fn(move |request: Request<kube::client::Body>| {
        let asked = asked.clone();
        async move {
            let query = request.uri().query().unwrap_or_default();
            let query: HashMap<_, _> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
            if query.contains_key("watch") {
                std::future::pending::<()>().await;
            }
            let selector = query.get("fieldSelector").cloned().unwrap_or_default();
            let form = request.headers().get(header::ACCEPT).and_then(|form| form.to_str().ok());
            let has_it = ["", "type=kubernetes.io/tls"].contains(&selector.as_str());
            asked.lock().insert((selector, form.unwrap_or_default().to_owned()));
            let secret = json!({"metadata": {"name": "s", "namespace": "shop"}});
            let items = if has_it { vec![secret] } else { Vec::new() };
            let list = json!({
                "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList",
                "metadata": {"resourceVersion": "1"}, "items": items,
            });
            Ok::<_, Infallible>(list.to_string().into_response())
        }
    });
    Client::new(service, "default")
}

#[tokio::test]
async fn abuse_29_secrets_are_chosen_by_their_type_and_no_content_is_asked_for() {
    let (store, counts) = (Arc::new(Store::in_memory(Limits::default())), Counts::default());
    let (asked, tasks) = (Asked::default(), Tasks::new());
    let client = api(asked.clone());
    let kind = KINDS.iter().find(|kind| kind.subject.resource == "secrets").expect("a kind");
    let watch =
        Watch { client: &client, tasks: &tasks, store: &store, counts: &counts, words: Arc::default() };
    let told = (kind.start)(&watch);
    assert_eq!(told.len(), 1 + secret::TYPES.len());
    let of_type = [Matcher::equal(NAME, "kube_secret_type")];
    let are_all_asked = || asked.lock().len() == told.len();
    let begun = async {
        while !are_all_asked() || store.all(&of_type, 0..i64::MAX).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), begun).await.expect("all are listed");
    let job = ("job", "kube-state-metrics");
    let expected = Labels::new([
        (NAME, "kube_secret_type"),
        job,
        ("namespace", "shop"),
        ("secret", "s"),
        ("type", "kubernetes.io/tls"),
    ]);
    let found = store.all(&of_type, 0..i64::MAX).await;
    assert_eq!(found.iter().map(|one| &one.labels).collect::<Vec<_>>(), [&expected]);
    let form = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    let types = secret::TYPES.iter().map(|kind| format!("type={kind}"));
    let wanted: BTreeSet<_> =
        types.chain([String::new()]).map(|selector| (selector, form.to_owned())).collect();
    assert_eq!(*asked.lock(), wanted);
}
