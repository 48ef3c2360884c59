//! What is wrong with specs: rows of `rules.txt`, a fragment of a good Pod and what is said of it.
//!
//! The fragment goes over the container (`c`) or the spec (`s`), or is one more init container (`i`) or
//! volume (`v`).

use serde_json::{Value, json};

use crate::{
    pod::validate,
    test_rows::{json_of, rows, said},
};

fn over(object: &mut Value, fragment: Value) {
    for (key, value) in fragment.as_object().expect("an object") {
        object[key] = value.clone();
    }
}

#[test]
fn every_rule_has_upstreams_field_and_words() {
    let mut wrong = Vec::new();
    for (what, expected) in rows(include_str!("rules.txt")) {
        let (place, fragment) = what.split_once(' ').expect("a place and a fragment");
        let fragment = json_of(fragment);
        let mut spec = json!({
            "restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "terminationGracePeriodSeconds": 30,
            "containers": [{"name": "a", "image": "x", "imagePullPolicy": "Always", "terminationMessagePolicy": "File"}],
            "volumes": [{"name": "v", "emptyDir": {}}],
        });
        match place {
            "c" => over(&mut spec["containers"][0], fragment),
            "s" => over(&mut spec, fragment),
            "v" => spec["volumes"].as_array_mut().expect("a list").push(fragment),
            _ => {
                let mut container = json!({"imagePullPolicy": "Always", "terminationMessagePolicy": "File"});
                over(&mut container, fragment);
                spec["initContainers"] = json!([container]);
            }
        }
        let mut errors = Vec::new();
        validate::spec(&spec, "spec", &mut errors);
        let said = said(&errors);
        if said != expected {
            wrong.push(format!("{what} => {said}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
