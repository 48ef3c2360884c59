//! Words and options against a server that lists Pods as its rights allow, and counts records.

use axum::{Json, Router, extract::RawQuery, response::IntoResponse, routing};
use clap::Parser;
use http::{Request, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;
use crate::cli::{Cli, Command};

fn words(text: &[&str]) -> Vec<String> {
    text.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn the_first_word_may_name_something() {
    let workload = |text: &str| First::Workload(Workload::parse(text).expect("a workload"));
    let pod = |name: &str| First::Pod(name.to_owned());
    let table: [(&[&str], First, &[&str]); 10] = [
        (&[], First::Query, &[]),
        (&["deploy/web"], workload("deploy/web"), &[]),
        (&["deploy/web", "error", "-x"], workload("deploy/web"), &["error", "-x"]),
        (&["web-1"], pod("web-1"), &[]),
        (&["web-1", "app"], pod("web-1"), &["app"]),
        (&["error", "status:>=500"], pod("error"), &["status:>=500"]),
        (&["error", "OR", "timeout"], First::Query, &["error", "OR", "timeout"]),
        (&["web-1 error"], First::Query, &["web-1 error"]),
        (&["\"deploy/web\"", "x"], First::Query, &["\"deploy/web\"", "x"]),
        (&["ns:shop", "web-1"], First::Query, &["ns:shop", "web-1"]),
    ];
    for (text, first, rest) in table {
        let given = words(text);
        assert_eq!(read(&given), (first, words(rest).as_slice()), "{text:?}");
    }
}

#[test]
fn the_contexts_namespace_is_first_and_the_living_before_the_gone() {
    let check = |living: &[&str], recorded: &[&str], expected: Option<(&str, bool, &[&str])>| {
        let found = choose("shop", &words(living), &words(recorded));
        let expected = expected.map(|(namespace, lives, others)| Chosen {
            namespace: namespace.to_owned(),
            lives,
            others: words(others),
        });
        assert_eq!(found, expected, "{living:?} {recorded:?}");
    };
    check(&[], &[], None);
    check(&["prod"], &[], Some(("prod", true, &[])));
    check(&["prod", "shop", "dev"], &[], Some(("shop", true, &["dev", "prod"])));
    check(&["prod", "dev"], &[], Some(("dev", true, &["prod"])));
    check(&["prod"], &["shop"], Some(("prod", true, &[])));
    check(&[], &["shop"], Some(("shop", false, &[])));
    check(&[], &["prod", "dev", "prod"], Some(("dev", false, &["prod"])));
    let told = choose("shop", &words(&["prod", "shop"]), &[]).expect("one").told("db-0");
    assert!(told.contains("Pod shop/db-0;") && told.contains("are in prod,"), "{told}");
    assert!(choose("shop", &[], &words(&["shop"])).expect("one").told("db-0").contains("is gone"));
}

#[test]
fn records_are_looked_for_from_a_begin_on_whatever_was_said() {
    let now = time::parse("2026-07-10T12:00:00Z").expect("a time");
    let check = |since: Option<&str>, until: Option<&str>, expected: Option<&str>| {
        let found = begin(since, until, now).ok();
        assert_eq!(found.as_deref(), expected, "{since:?} {until:?}");
    };
    check(Some("30d"), Some("1h"), Some("30d"));
    check(None, None, Some("2026-07-03T12:00:00.000000000Z"));
    check(None, Some("2026-06-10T12:00:00Z"), Some("2026-06-03T12:00:00.000000000Z"));
    check(None, Some("1d"), Some("2026-07-02T12:00:00.000000000Z"));
    check(None, Some("2026-07-10T18:00:00Z"), Some("2026-07-03T12:00:00.000000000Z"));
    check(None, Some("soon"), None);
}

/// The query and its namespace, or why there is none.
type Asked = Result<(String, Option<String>), String>;

/// A server: the Pods that live, those that have records, and whether all may be listed.
struct Server {
    living: Vec<(&'static str, &'static str)>,
    recorded: Vec<(&'static str, &'static str)>,
    /// Absent: all namespaces may be listed.
    only: Option<&'static str>,
}

fn pods(living: &[(&str, &str)], name: &str) -> Value {
    let pod = |(namespace, name): &&(&str, &str)| {
        json!({
            "metadata": {"namespace": namespace, "name": name},
            "spec": {"containers": [{"name": "app"}], "initContainers": [{"name": "setup"}]},
            "status": {"containerStatuses": [
                {"name": "app", "restartCount": 3, "ready": true, "image": "", "imageID": "",
                 "state": {"running": {}}},
            ]},
        })
    };
    let items: Vec<_> = living.iter().filter(|(_, of)| *of == name).map(|found| pod(&found)).collect();
    json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items})
}

fn forbidden() -> axum::response::Response {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "not yours", "reason": "Forbidden", "code": 403,
    });
    (StatusCode::FORBIDDEN, Json(status)).into_response()
}

/// The name in `fieldSelector=metadata.name%3Dx`.
fn asked_name(query: Option<String>) -> String {
    let query = query.unwrap_or_default();
    let name = query.split('&').find_map(|pair| pair.strip_prefix("fieldSelector=metadata.name"));
    name.expect("a name").trim_start_matches("%3D").trim_start_matches('=').to_owned()
}

impl Server {
    fn client(self) -> Client {
        let Self { living, recorded, only } = self;
        let everywhere = living.clone();
        let list_all = move |RawQuery(query): RawQuery| async move {
            match only {
                Some(_) => forbidden(),
                None => Json(pods(&everywhere, &asked_name(query))).into_response(),
            }
        };
        let list = move |axum::extract::Path(namespace): axum::extract::Path<String>,
                         RawQuery(query): RawQuery| async move {
            if only.is_some_and(|only| only != namespace) {
                return forbidden();
            }
            let there: Vec<_> = living.into_iter().filter(|(of, _)| *of == namespace).collect();
            Json(pods(&there, &asked_name(query))).into_response()
        };
        let facets = move |Json(request): Json<FacetsRequest>| async move {
            // What is asked of all nodes before the search itself.
            let is_bounded = request.since.is_some() && request.within.as_deref() == Some("2s");
            let may = |namespace: &str| {
                is_bounded
                    && only.is_none_or(|only| only == namespace)
                    && request.namespace.as_deref().is_none_or(|asked| asked == namespace)
            };
            let found = recorded
                .iter()
                .filter(|(of, name)| may(of) && request.query == named("pod", name).to_string());
            let namespaces: Vec<_> = found.map(|(of, _)| json!({"value": of, "count": 1})).collect();
            let containers = json!([{"value": "app", "count": 1}]);
            Json(json!({"facets": {"namespace": namespaces, "container": containers}}))
        };
        let router = Router::new()
            .route("/api/v1/pods", routing::get(list_all))
            .route("/api/v1/namespaces/{namespace}/pods", routing::get(list))
            .route("/tiphys/v1/logs/facets", routing::post(facets));
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let router = router.clone();
            async move { Ok::<_, tower::BoxError>(router.oneshot(request.map(axum::body::Body::new)).await?) }
        });
        Client::new(service, "shop")
    }

    /// What is searched for, and in which namespace.
    async fn query(self, arguments: &[&str]) -> Asked {
        let given = ["tiphys", "logs"].into_iter().chain(arguments.iter().copied());
        let mut logs = match Cli::try_parse_from(given).expect("a command").command {
            Command::Logs(logs) => logs,
            other => panic!("{other:?}"),
        };
        match logs.whose(&self.client()).await {
            Ok(query) => Ok((query.to_string(), logs.namespace)),
            Err(failure) => Err(failure.message()),
        }
    }
}

#[tokio::test]
async fn a_name_is_the_pod_that_the_user_may_mean() {
    let cluster = || Server {
        living: vec![("prod", "db-0"), ("shop", "db-0"), ("prod", "only-prod")],
        recorded: vec![("shop", "crashed"), ("prod", "crashed-there")],
        only: None,
    };
    let restricted = || Server { only: Some("shop"), ..cluster() };
    let pod = |namespace: &str, name: &str| -> Asked {
        Ok((format!("ns:{namespace} AND pod:{name}"), Some(namespace.to_owned())))
    };
    let word = |text: &str| -> Asked { Ok((text.to_owned(), None)) };
    // Of two equal names the context's, unless another is asked for.
    assert_eq!(cluster().query(&["db-0"]).await, pod("shop", "db-0"));
    assert_eq!(cluster().query(&["db-0", "-n", "prod"]).await, pod("prod", "db-0"));
    assert_eq!(cluster().query(&["only-prod"]).await, pod("prod", "only-prod"));
    // Who may read one namespace finds what is there, and no more.
    assert_eq!(restricted().query(&["db-0"]).await, pod("shop", "db-0"));
    assert_eq!(restricted().query(&["only-prod"]).await, word("only-prod"));
    // The last words of a Pod that crashed, and a word that is nobody's name.
    assert_eq!(cluster().query(&["crashed"]).await, pod("shop", "crashed"));
    assert_eq!(restricted().query(&["crashed"]).await, pod("shop", "crashed"));
    assert_eq!(cluster().query(&["crashed", "--until", "1h"]).await, pod("shop", "crashed"));
    assert_eq!(cluster().query(&["crashed-there"]).await, pod("prod", "crashed-there"));
    assert_eq!(restricted().query(&["crashed-there"]).await, word("crashed-there"));
    assert_eq!(cluster().query(&["error", "timeout"]).await, word("error AND timeout"));
    // Where options say which Pods, no word does.
    let labelled = word("db-0 AND @label.app:/^(?:web)$/");
    assert_eq!(cluster().query(&["db-0", "-l", "app=web"]).await, labelled);
}

fn one_of_each() -> Server {
    Server { living: vec![("shop", "db-0")], recorded: vec![("shop", "crashed")], only: None }
}

async fn check(arguments: &[&str], expected: &str) {
    let found = one_of_each().query(arguments).await.map(|(query, _)| query);
    assert_eq!(found, Ok(expected.to_owned()), "{arguments:?}");
}

#[tokio::test]
async fn what_stands_behind_a_pod_is_its_container_or_a_query() {
    check(&["db-0", "app"], "ns:shop AND pod:db-0 AND container:app").await;
    check(&["db-0", "setup"], "ns:shop AND pod:db-0 AND container:setup").await;
    check(&["pod/db-0", "app"], "ns:shop AND pod:db-0 AND container:app").await;
    check(&["crashed", "app"], "ns:shop AND pod:crashed AND container:app").await;
    check(&["db-0", "error"], "error AND ns:shop AND pod:db-0").await;
    check(&["db-0", "app", "error"], "app AND error AND ns:shop AND pod:db-0").await;
    check(&["db-0", "app", "-c", "app"], "app AND ns:shop AND pod:db-0 AND container:app").await;
    check(&["--for", "pod/gone", "x"], "x AND ns:shop AND pod:gone").await;
    check(&["db-0", "-p"], "ns:shop AND pod:db-0 AND container:app AND restart:2").await;
    for (arguments, why) in [(&["crashed", "-p"][..], "is gone"), (&["error", "-p"], "none is named")] {
        let refused = one_of_each().query(arguments).await.expect_err("refused");
        assert!(refused.contains(why), "{arguments:?}: {refused}");
    }
}

#[tokio::test]
async fn of_several_namespaces_a_name_is_a_word_and_a_workload_is_refused() {
    let asked = async |arguments: &[&str]| {
        let client = Server { living: vec![("shop", "db-0")], recorded: Vec::new(), only: None }.client();
        let mut logs = crate::cli::logs::tests::parsed(arguments);
        logs.scope.take_namespaces(&mut logs.namespace).expect("a list");
        logs.whose(&client).await
    };
    let query = asked(&["db-0", "-n", "shop,prod"]).await.expect("a query");
    assert_eq!(query.to_string(), "db-0 AND (ns:shop OR ns:prod)");
    let refused = asked(&["deploy/web", "-n", "shop,prod"]).await.expect_err("refused");
    assert!(refused.exit_code() == 2 && refused.next().contains("one with -n"), "{}", refused.next());
}
