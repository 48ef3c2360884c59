//! Who sees which series about objects of the API: in the table `samples` and by PromQL.

use std::sync::Arc;

use tiphys_lifecycle::Tasks;

use super::*;
use crate::{
    Decisions,
    custom::viewer,
    promql::{self, Outcome, Scoped},
    series::{Limits, NAME, Sample, Store, Value},
    sql::{Engine, Format, SamplesTable},
};

const START: i64 = 1_700_000_000_000;
/// What upstream's role `view` has of the kinds that are told; `admin` has Secrets beside.
const VIEW: &[&str] = &["pods", "services", "deployments", "namespaces"];

/// The user's name says the role: of the namespace `shop` where it is not of the `cluster`.
struct Roles;

impl Authorizer for Roles {
    fn authorize(&self, user: &UserInfo, asked: &Attributes) -> Result<(), String> {
        let Attributes::Resource { verb, resource, namespace, .. } = asked else { return Err("no".into()) };
        let (role, place) = user.name.split_once(' ').unwrap_or((user.name.as_str(), "shop"));
        let has = match role {
            "root" => true,
            "admin" => VIEW.contains(&resource.as_str()) || resource == "secrets",
            "view" => VIEW.contains(&resource.as_str()),
            "pods" => resource == "pods",
            // Secrets in one namespace, Pods in both.
            "mixed" => resource == "pods" || (resource == "secrets" && namespace == "shop"),
            _ => false,
        };
        let there = place == "cluster" || namespace == place || (role == "mixed" && namespace == "bank");
        if has && there && verb == "list" { Ok(()) } else { Err("no".into()) }
    }
}

fn store() -> Arc<Store> {
    let store = Store::in_memory(Limits::default());
    for (name, label) in [
        ("kube_secret_info", "secret"),
        ("kube_pod_info", "pod"),
        ("kube_service_info", "service"),
        ("requests_total", "pod"),
    ] {
        for namespace in ["shop", "bank"] {
            let series = store.resolve(&Labels::new([(NAME, name), (NAMESPACE, namespace), (label, "x")]));
            let series = series.expect("taken");
            store.append(&[Sample { series, time: START, value: Value::Number(1.0) }]);
        }
    }
    for (name, label) in [("kube_node_info", "node"), ("node_load", "node")] {
        let series = store.resolve(&Labels::new([(NAME, name), (label, "x")])).expect("taken");
        store.append(&[Sample { series, time: START, value: Value::Number(1.0) }]);
    }
    Arc::new(store)
}

async fn by_sql(user: UserInfo, authorizer: Arc<dyn Authorizer>) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let decisions = Decisions::open(folder.path().join("decisions"), &Tasks::new()).expect("opened");
    let engine = Engine::new(Arc::default(), decisions, vec![Arc::new(SamplesTable::new(store()))])
        .with_default_range(None);
    let statement = "select name || ' ' || coalesce(namespace, '') from samples";
    let answer = engine.answer(statement, Format::Csv, Asker::new(user, authorizer)).await;
    let mut rows: Vec<_> =
        answer.expect("an answer").text.lines().skip(1).map(|row| row.trim().to_owned()).collect();
    rows.sort_unstable();
    rows
}

async fn by_promql(user: UserInfo, authorizer: Arc<dyn Authorizer>) -> Vec<String> {
    let scoped = Scoped::new(store(), Scope::of(user, authorizer));
    let found = promql::instant(&scoped, r#"{__name__=~".+"}"#, START, &promql::Limits::default()).await;
    let Outcome::Vector(_, columns) = found.expect("an answer").outcome else { panic!("no vector") };
    let shown = |labels: &Labels| format!("{} {}", labels.name(), labels.get(NAMESPACE).unwrap_or_default());
    let mut rows: Vec<_> = columns.iter().map(|column| shown(&column.labels).trim().to_owned()).collect();
    rows.sort_unstable();
    rows
}

/// What of all series a user sees, by both doors.
async fn check(user: UserInfo, authorizer: Arc<dyn Authorizer>, expected: &[&str]) {
    let name = user.name.clone();
    assert_eq!(by_sql(user.clone(), authorizer.clone()).await, expected, "{name} by SQL");
    assert_eq!(by_promql(user, authorizer).await, expected, "{name} by PromQL");
}

#[tokio::test]
async fn abuse_29_names_of_secrets_are_shown_to_who_may_list_secrets() {
    let of_role = |name: &str| (UserInfo::named(name, &[]), Arc::new(Roles) as Arc<dyn Authorizer>);
    for (user, expected) in [
        ("view", &["kube_pod_info shop", "kube_service_info shop", "requests_total shop"][..]),
        (
            "admin",
            &["kube_pod_info shop", "kube_secret_info shop", "kube_service_info shop", "requests_total shop"]
                [..],
        ),
        ("pods", &["kube_pod_info shop", "requests_total shop"][..]),
        ("nobody", &[][..]),
        (
            "view cluster",
            &[
                "kube_pod_info bank",
                "kube_pod_info shop",
                "kube_service_info bank",
                "kube_service_info shop",
                "node_load",
                "requests_total bank",
                "requests_total shop",
            ][..],
        ),
        (
            "mixed",
            &[
                "kube_pod_info bank",
                "kube_pod_info shop",
                "kube_secret_info shop",
                "requests_total bank",
                "requests_total shop",
            ][..],
        ),
    ] {
        let (user, authorizer) = of_role(user);
        check(user, authorizer, expected).await;
    }
    let (user, authorizer) = of_role("root cluster");
    assert_eq!(by_promql(user.clone(), authorizer.clone()).await.len(), 10);
    assert_eq!(by_sql(user, authorizer).await.len(), 10);
}

#[tokio::test]
async fn abuse_29_a_tiphysmetric_sees_no_secret_and_no_node() {
    let (user, authorizer) = viewer::of("shop");
    let expected = ["kube_pod_info shop", "kube_service_info shop", "requests_total shop"];
    check(user, authorizer, &expected).await;
}
