//! What is said of objects that are a little wrong: the rows of `*.txt`.
//!
//! `NAME base => OBJECT` is a good object; `NAME new PATCH => errors` creates it with a merge patch over
//! it; `NAME update PATCH` changes it so, `NAME update PATCH -> PATCH` from one state to another;
//! `NAME status PATCH` writes its status; `NAME defaults PATCH => OBJECT` shows what is filled in.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    field::FieldError,
    kind::Kind,
    kinds::by_kind,
    test_rows::{json_of, rows, said},
};

#[test]
fn workloads() {
    check(include_str!("workloads.txt"));
}

#[test]
fn what_is_left() {
    check(include_str!("more.txt"));
}

#[test]
fn network() {
    check(include_str!("network.txt"));
}

#[test]
fn volumes() {
    check(include_str!("volumes.txt"));
}

fn check(table: &'static str) {
    let mut bases = BTreeMap::new();
    let mut wrong = Vec::new();
    for (what, expected) in rows(table) {
        let (name, rest) = what.split_once(' ').expect("a name");
        if rest == "base" {
            let mut object = json_of(expected);
            let kind = kind_of(&object);
            (kind.default)(&mut object);
            let errors = said(&fresh(kind, &object));
            assert_eq!(errors, "nothing", "{name} base");
            bases.insert(name, object);
            continue;
        }
        let (verb, patches) = rest.split_once(' ').expect("a verb and a patch");
        let base = bases.get(name).unwrap_or_else(|| panic!("no base: {what}"));
        let told = tell(base, verb, patches);
        if told != expected {
            wrong.push(format!("{what} => {told}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn kind_of(object: &Value) -> &'static Kind {
    let text = |key: &str| object[key].as_str().unwrap_or_default();
    by_kind(text("apiVersion"), text("kind")).expect("a kind")
}

fn fresh(kind: &Kind, object: &Value) -> Vec<FieldError> {
    [(kind.validate)(object), (kind.validate_create)(object)].concat()
}

fn tell(base: &Value, verb: &str, patches: &str) -> String {
    let kind = kind_of(base);
    let (from, to) = patches.split_once(" -> ").unwrap_or(("{}", patches));
    let changed = |patch: &str| {
        let mut object = base.clone();
        merge(&mut object, &json_of(patch));
        (kind.default)(&mut object);
        object
    };
    let (old, mut new) = (changed(from), changed(to));
    match verb {
        "new" => said(&fresh(kind, &new)),
        "status" => said(&(kind.validate_status)(&new, &old)),
        "update" => {
            (kind.prepare_update)(&mut new, &old);
            said(&[(kind.validate)(&new), (kind.validate_update)(&new, &old)].concat())
        }
        "defaults" => new["spec"].to_string(),
        _ => panic!("no such verb: {verb}"),
    }
}

/// A JSON merge patch.
fn merge(target: &mut Value, patch: &Value) {
    let Some(fields) = patch.as_object() else {
        target.clone_from(patch);
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    for (key, value) in fields {
        match value {
            Value::Null => drop(target.as_object_mut().and_then(|object| object.remove(key))),
            value => merge(&mut target[key.as_str()], value),
        }
    }
}
