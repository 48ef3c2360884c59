//! Objects to begin with: good ones of many kinds, written out, and ones made up along a
//! schema. What is made up is seldom valid, but reaches every field.

use serde_json::{Map, Value, json};
use tiphys_api::{
    kind::Kind,
    kinds,
    schema::{self, Format, Schema, Type},
};

use super::dice::Dice;

/// Kinds whose objects would turn other requests away, or send them out of the process: they
/// are only written as a dry run.
const MUTING: &[&str] = &[
    "mutatingwebhookconfigurations",
    "validatingwebhookconfigurations",
    "mutatingadmissionpolicybindings",
    "validatingadmissionpolicybindings",
    "apiservices",
    "flowschemas",
    "prioritylevelconfigurations",
    "resourcequotas",
    "limitranges",
];

pub fn is_muting(kind: &Kind) -> bool {
    MUTING.contains(&kind.plural)
}

/// `GROUP/VERSION plural name body`.
const GOOD: &str = include_str!("good.txt");

/// A good object of the kind, or one with a name alone.
pub fn good(kind: &Kind, name: &str) -> Value {
    let of_kind = |line: &&str| {
        let mut words = line.splitn(3, ' ');
        words.next() == Some(&*kind.api_version()) && words.next() == Some(kind.plural)
    };
    let line = GOOD.lines().find(of_kind);
    let body = line.and_then(|line| line.splitn(3, ' ').nth(2)).unwrap_or("{}");
    let mut object: Value = serde_json::from_str(body).expect("JSON in good.txt");
    object["apiVersion"] = kind.api_version().into();
    object["kind"] = kind.kind.into();
    if object["metadata"]["name"].is_null() {
        object["metadata"]["name"] = name.into();
    }
    object
}

/// An object that follows the kind's schema, with words by chance.
pub fn by_schema(dice: &mut Dice, kind: &Kind, name: &str) -> Value {
    let schema = schema_of(kind);
    let mut object = value(dice, &schema, 4);
    if !object.is_object() {
        object = json!({});
    }
    object["apiVersion"] = kind.api_version().into();
    object["kind"] = kind.kind.into();
    let metadata = if dice.one_in(4) { value(dice, &schema.properties["metadata"], 2) } else { json!({}) };
    object["metadata"] = if metadata.is_object() { metadata } else { json!({}) };
    object["metadata"]["name"] = name.into();
    for word in ["namespace", "generateName", "deletionTimestamp", "resourceVersion", "uid"] {
        if !dice.one_in(10) {
            object["metadata"].as_object_mut().expect("an object").remove(word);
        }
    }
    object
}

pub fn schema_of(kind: &Kind) -> std::sync::Arc<Schema> {
    schema::of(kind.definition).expect("every kind has a schema")
}

/// A value as the schema has it.
pub fn value(dice: &mut Dice, schema: &Schema, depth: usize) -> Value {
    if let Some(definition) = &schema.recursive
        && depth > 0
        && let Some(again) = schema::of(definition)
    {
        return value(dice, &again, depth - 1);
    }
    match schema.ty {
        Type::Object => object(dice, schema, depth),
        Type::Array => {
            let Some(items) = schema.items.as_deref().filter(|_| depth > 0) else { return json!([]) };
            (0..dice.below(4)).map(|_| value(dice, items, depth - 1)).collect()
        }
        Type::String => text(dice, schema).into(),
        Type::Integer => match dice.below(3) {
            0 => dice.number().into(),
            _ => (dice.below(12) as i64 - 1).into(),
        },
        Type::Number => json!([0.0, 1.5, -1e300, 1e-300, 7.0][dice.below(5)]),
        Type::Boolean => dice.one_in(2).into(),
        Type::IntOrString | Type::Quantity if dice.one_in(2) => dice.number().into(),
        Type::IntOrString | Type::Quantity => dice.word().into(),
        Type::Any => anything(dice, depth),
    }
}

fn text(dice: &mut Dice, schema: &Schema) -> String {
    match schema.format {
        Format::DateTime if !dice.one_in(5) => "2026-01-01T00:00:00Z".into(),
        Format::MicroTime if !dice.one_in(5) => "2026-01-01T00:00:00.000001Z".into(),
        Format::Byte if !dice.one_in(5) => "YQ==".into(),
        _ => dice.word(),
    }
}

fn object(dice: &mut Dice, schema: &Schema, depth: usize) -> Value {
    let mut map = Map::new();
    if depth == 0 {
        return map.into();
    }
    // Of a wide structure only some fields: else nothing of it would be small or valid.
    let share = 1 + schema.properties.len() / 4;
    for (name, field) in
        schema.properties.iter().filter(|(name, _)| !matches!(name.as_str(), "apiVersion" | "kind"))
    {
        if dice.one_in(share) || (share == 1 && dice.one_in(2)) {
            map.insert(name.clone(), value(dice, field, depth - 1));
        }
    }
    if let Some(additional) = &schema.additional {
        for _ in 0..dice.below(3) {
            map.insert(dice.word(), value(dice, additional, depth - 1));
        }
    }
    map.into()
}

/// JSON of any form.
pub fn anything(dice: &mut Dice, depth: usize) -> Value {
    match dice.below(if depth == 0 { 5 } else { 7 }) {
        0 => Value::Null,
        1 => dice.one_in(2).into(),
        2 => dice.number().into(),
        3 => dice.word().into(),
        4 => json!(1.5e300),
        5 => (0..dice.below(4)).map(|_| anything(dice, depth - 1)).collect(),
        _ => Value::Object((0..dice.below(4)).map(|_| (dice.word(), anything(dice, depth - 1))).collect()),
    }
}

/// A kind by chance; the most used ones more often.
pub fn kind(dice: &mut Dice) -> &'static Kind {
    const USED: &[&str] =
        &["pods", "deployments", "services", "configmaps", "customresourcedefinitions", "jobs", "nodes"];
    if dice.one_in(3) {
        let plural = dice.pick(USED);
        return kinds::all().iter().find(|kind| kind.plural == plural).expect("a kind");
    }
    kinds::all()[dice.below(kinds::all().len())]
}
