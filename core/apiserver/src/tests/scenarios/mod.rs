//! Scenarios in YAML: what is asked of the API, and what must come back.
//!
//! The files stand in `core/apiserver/scenarios`, one a subject. Each scenario has a
//! namespace of its own, `${ns}`, on one server; what it keeps of an answer
//! (`keep: {rv: /metadata/resourceVersion}`) it may name later as `${rv}`.
//! [`step::Step`] lists the words. They run on the embedded store, and, by
//! [`on_etcd`](super::on_etcd), on etcd.

mod matching;
mod run;
mod step;

use std::fs;

use serde::Deserialize;
use serde_json::json;

use super::harness::Harness;
use run::Run;
use step::Step;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    name: String,
    steps: Vec<Step>,
}

fn files() -> Vec<(String, Vec<Scenario>)> {
    let folder = tiphys_tests::package_folder().join("scenarios");
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("the scenarios' folder")
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let text = fs::read_to_string(&path).expect("a readable file");
            let all = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            (name, all)
        })
        .collect();
    files.sort_by(|a, b| a.0.cmp(&b.0));
    files
}

#[tokio::test]
async fn what_is_asked_is_answered() {
    let api = Harness::start().await;
    let (mut passed, mut failures) = (0, Vec::new());
    for (file, scenarios) in files() {
        for (index, scenario) in scenarios.iter().enumerate() {
            let namespace = format!("{file}-{index}");
            api.post("/api/v1/namespaces", &json!({"metadata": {"name": namespace}})).await.expect(201);
            let account = json!({"metadata": {"name": "default"}});
            let accounts = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
            api.post(&accounts, &account).await.expect(201);
            match Run::new(&api, &namespace).all(&scenario.steps).await {
                Ok(()) => passed += 1,
                Err(why) => failures.push(format!("{file}: {}: {why}", scenario.name)),
            }
        }
    }
    assert!(failures.is_empty(), "{passed} scenarios passed, these did not:\n\n{}", failures.join("\n\n"));
}
