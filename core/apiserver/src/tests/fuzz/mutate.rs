//! Small damage: to an object along its schema, and to bytes whatever they are.

use serde_json::{Map, Value};
use tiphys_api::schema::Schema;

use super::{dice::Dice, objects};

/// Changes a value somewhere.
pub fn structure(dice: &mut Dice, value: &mut Value, schema: &Schema) {
    let nested = !dice.one_in(4);
    match value {
        Value::Object(map) if nested && !map.is_empty() => {
            let names: Vec<&String> = map.keys().collect();
            let name = names[dice.below(names.len())].clone();
            let below = schema.field(&name).unwrap_or_else(|| Schema::any()).clone();
            structure(dice, &mut map[&name], &below);
        }
        Value::Array(items) if nested && !items.is_empty() => {
            let at = dice.below(items.len());
            let below = schema.items.clone().unwrap_or_else(|| Schema::any().clone());
            structure(dice, &mut items[at], &below);
        }
        Value::Object(map) => members(dice, map, schema),
        Value::Array(items) => elements(dice, items, schema),
        other => *other = replacement(dice, schema),
    }
}

fn replacement(dice: &mut Dice, schema: &Schema) -> Value {
    if dice.one_in(4) { objects::anything(dice, 2) } else { objects::value(dice, schema, 3) }
}

fn members(dice: &mut Dice, map: &mut Map<String, Value>, schema: &Schema) {
    let names: Vec<String> = map.keys().cloned().collect();
    let known: Vec<&String> = schema.properties.keys().collect();
    match dice.below(5) {
        0 if !names.is_empty() => drop(map.remove(&names[dice.below(names.len())])),
        1 if !names.is_empty() => {
            let moved = map.remove(&names[dice.below(names.len())]).expect("it is there");
            map.insert(dice.word(), moved);
        }
        2 if !names.is_empty() => {
            let name = &names[dice.below(names.len())];
            map[name] = objects::anything(dice, 2);
        }
        3 => drop(map.insert(dice.word(), objects::anything(dice, 2))),
        _ if !known.is_empty() => {
            let name = known[dice.below(known.len())].clone();
            let value = replacement(dice, &schema.properties[&name]);
            map.insert(name, value);
        }
        _ => {
            let value = schema.additional.as_ref().map(|schema| replacement(dice, schema));
            map.insert(dice.word(), value.unwrap_or_default());
        }
    }
}

fn elements(dice: &mut Dice, items: &mut Vec<Value>, schema: &Schema) {
    let at = dice.below(items.len());
    match dice.below(5) {
        0 if !items.is_empty() => drop(items.remove(at)),
        1 if !items.is_empty() => items.push(items[at].clone()),
        2 if !items.is_empty() => items.swap(0, at),
        3 if !items.is_empty() => {
            let many = items[at].clone();
            items.extend(std::iter::repeat_n(many, 1 + dice.below(300)));
        }
        _ => {
            let item = schema.items.as_ref().map(|schema| replacement(dice, schema));
            items.push(item.unwrap_or_default());
        }
    }
}

/// Changes bytes somewhere.
pub fn bytes(dice: &mut Dice, bytes: &mut Vec<u8>) {
    const HURTING: &[&[u8]] = &[
        b"\"",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"\\u0000",
        b"\\ud800",
        b"\0",
        b"\xff",
        b"\xed\xa0\x80",
        b"1e999",
        b"-0",
        b"00",
        b"null",
        b"&a *a",
        b"<<: *a",
        b"!!binary ",
        b"---\n",
        b"\t",
        b"- ",
        b"? ",
        b"|\n",
        b"%YAML 9.9\n",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"k8s\0",
        b"\xef\xbb\xbf",
    ];
    let (at, length) = (dice.below(bytes.len()), dice.below(40));
    let end = (at + length).min(bytes.len());
    match dice.below(6) {
        0 if !bytes.is_empty() => bytes[at] ^= 1 << dice.below(8),
        1 if !bytes.is_empty() => bytes[at] = dice.byte(),
        2 => bytes.truncate(at),
        3 => drop(bytes.drain(at..end)),
        4 => {
            let copy = bytes[at..end].to_vec();
            bytes.splice(at..at, copy);
        }
        _ => drop(bytes.splice(at..at, dice.pick(HURTING).iter().copied())),
    }
}
