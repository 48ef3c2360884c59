//! The four kinds of patches, made from the object that they go to and damaged.

use http::Method;
use serde_json::{Map, Value, json};

use super::{
    super::harness::Harness,
    dice::Dice,
    mutate,
    objects::{self, schema_of},
    queries,
    requests::{Asked, NAMES, collection, segment, subresource, write_options},
};

pub async fn patch(api: &Harness, dice: &mut Dice) -> Asked {
    let kind = objects::kind(dice);
    let good = objects::good(kind, dice.pick(NAMES));
    let name = good["metadata"]["name"].as_str().expect("a name");
    let mut path = format!("{}/{}", collection(kind), segment(name));
    let mut current = api.get(&path).await;
    if current.code != 200 && !objects::is_muting(kind) {
        api.post(&collection(kind), &good).await;
        current = api.get(&path).await;
    }
    let current = if current.code == 200 { current.json() } else { good };
    if let Some(word) = subresource(dice, kind).filter(|_| dice.one_in(6)) {
        path = format!("{path}/{word}");
    }
    let mut options = write_options(dice, kind);
    let (media, patch) = match dice.below(4) {
        0 => ("application/json-patch+json", operations(dice, &current)),
        1 => ("application/merge-patch+json", changed(dice, &current, kind)),
        2 => {
            let mut patch = changed(dice, &current, kind);
            (0..dice.below(3)).for_each(|_| directive(dice, &mut patch));
            ("application/strategic-merge-patch+json", patch)
        }
        _ => {
            options.push_str(dice.pick(&["&fieldManager=x", "&fieldManager=y&force=true", "&force=true"]));
            ("application/apply-patch+yaml", configuration(dice, &current, kind))
        }
    };
    let mut body = patch.to_string().into_bytes();
    if dice.one_in(5) {
        (0..1 + dice.below(3)).for_each(|_| mutate::bytes(dice, &mut body));
    }
    let uri = format!("{path}{options}");
    Asked { method: Method::PATCH, uri, media, accept: queries::accept(dice), body }
}

/// A part of the object, with changes.
fn changed(dice: &mut Dice, current: &Value, kind: &tiphys_api::kind::Kind) -> Value {
    if dice.one_in(12) {
        return objects::anything(dice, 3);
    }
    let mut patch = current.clone();
    for _ in 0..1 + dice.below(3) {
        mutate::structure(dice, &mut patch, &schema_of(kind));
    }
    if let Some(map) = patch.as_object_mut() {
        map.retain(|name, _| !dice.one_in(3) || name == "metadata");
        if let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut)
            && !dice.one_in(4)
        {
            ["resourceVersion", "managedFields", "uid"].iter().for_each(|name| drop(metadata.remove(*name)));
        }
    }
    patch
}

fn configuration(dice: &mut Dice, current: &Value, kind: &tiphys_api::kind::Kind) -> Value {
    let mut config = changed(dice, current, kind);
    if let Some(map) = config.as_object_mut() {
        map.insert("apiVersion".into(), kind.api_version().into());
        map.insert("kind".into(), kind.kind.into());
        if let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
        }
    }
    config
}

/// A directive of the strategic merge patch, somewhere.
fn directive(dice: &mut Dice, patch: &mut Value) {
    match patch {
        Value::Object(map) if dice.one_in(3) || map.is_empty() => {
            let fields: Vec<&String> = map.keys().collect();
            let field =
                if fields.is_empty() { dice.word() } else { fields[dice.below(fields.len())].clone() };
            let (name, value) = match dice.below(4) {
                0 => ("$patch".to_owned(), dice.pick(&["delete", "replace", "merge", "x"]).into()),
                1 => ("$retainKeys".to_owned(), json!([field, dice.word()])),
                2 => (format!("$setElementOrder/{field}"), list(dice)),
                _ => (format!("$deleteFromPrimitiveList/{field}"), list(dice)),
            };
            map.insert(name, value);
        }
        Value::Object(map) => {
            let at = dice.below(map.len());
            map.values_mut().nth(at).into_iter().for_each(|value| directive(dice, value));
        }
        Value::Array(items) if !items.is_empty() => {
            let at = dice.below(items.len());
            directive(dice, &mut items[at]);
        }
        other => *other = json!({"$patch": dice.pick(&["delete", "replace"])}),
    }
}

fn list(dice: &mut Dice) -> Value {
    match dice.below(4) {
        0 => objects::anything(dice, 1),
        1 => json!([{"name": "main"}, {"name": "side"}]),
        2 => json!([{"containerPort": dice.number(), "protocol": "TCP"}, dice.word()]),
        _ => (0..dice.below(4)).map(|_| dice.word()).collect(),
    }
}

/// A JSON patch: its places are the object's, or near them.
fn operations(dice: &mut Dice, current: &Value) -> Value {
    let mut places = Vec::new();
    pointers(current, "", &mut places);
    let operation = |dice: &mut Dice| {
        let place = |dice: &mut Dice| {
            let mut place = places[dice.below(places.len())].clone();
            match dice.below(12) {
                0 => place.push_str("/-"),
                1 => place.push_str("/0"),
                2 => place.push_str(&format!("/{}", dice.word())),
                3 => place.push_str("/18446744073709551616"),
                4 => drop(place.pop()),
                _ => {}
            }
            place
        };
        let mut operation = Map::new();
        let word = dice.pick(&["add", "add", "remove", "replace", "replace", "move", "copy", "test", "grow"]);
        operation.insert("op".into(), word.into());
        operation.insert("path".into(), place(dice).into());
        if matches!(word, "move" | "copy") != dice.one_in(20) {
            operation.insert("from".into(), place(dice).into());
        }
        if !dice.one_in(10) {
            let same = current.pointer(&place(dice)).cloned();
            operation.insert("value".into(), same.unwrap_or_else(|| objects::anything(dice, 2)));
        }
        Value::Object(operation)
    };
    (0..1 + dice.below(6)).map(|_| operation(dice)).collect()
}

fn pointers(value: &Value, place: &str, all: &mut Vec<String>) {
    all.push(place.to_owned());
    match value {
        Value::Object(map) => map.iter().for_each(|(name, value)| {
            pointers(value, &format!("{place}/{}", name.replace('~', "~0").replace('/', "~1")), all);
        }),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, value)| pointers(value, &format!("{place}/{at}"), all));
        }
        _ => {}
    }
}
