//! What is written is read again: for every message, objects in which each field
//! is filled at random by its shape, with zeros where they count.

use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};
use serde_json::{Map, Value, json};
use tiphys_api::{kinds, schema::tags};

use super::super::{
    catalog::{Field, Instead, Message, Shape, catalog, named},
    decode, encode, message, read, write,
};

/// An object of a message; fields are left out at random, and all are deep down.
fn object(of: &'static Message, depth: u32) -> BoxedStrategy<Value> {
    let fields: Vec<_> = of.fields().iter().map(|field| (field.name.clone(), member(field, depth))).collect();
    let (names, values): (Vec<_>, Vec<_>) = fields.into_iter().unzip();
    values
        .prop_map(move |values| {
            let members = names.iter().cloned().zip(values);
            Value::Object(members.filter_map(|(name, value)| Some((name, value?))).collect())
        })
        .boxed()
}

fn member(field: &'static Field, depth: u32) -> BoxedStrategy<Option<Value>> {
    let presence = match &field.shape {
        shape if depth == 0 && reaches_message(shape) => return Just(None).boxed(),
        _ if depth < 2 => 0.3,
        _ => 0.7,
    };
    let zero_counts = field.zero_counts || matches!(field.shape, Shape::SchemaOr(..));
    let counts = move |value: &Value| zero_counts || !matches!(value, Value::Bool(false));
    let value = value(&field.shape, depth, zero_counts).prop_filter("Go shows no zero here", counts);
    proptest::option::weighted(presence, value).boxed()
}

fn reaches_message(shape: &Shape) -> bool {
    match shape {
        Shape::Message(_) | Shape::SchemaOr(..) => true,
        Shape::List(inner) | Shape::Map(inner) => reaches_message(inner),
        _ => false,
    }
}

fn value(shape: &'static Shape, depth: u32, zero: bool) -> BoxedStrategy<Value> {
    let text = if zero { "\\PC{0,12}" } else { "\\PC{1,12}" };
    let bytes = usize::from(!zero)..9;
    match shape {
        Shape::Text => text.prop_map(Value::from).boxed(),
        Shape::Binary => proptest::collection::vec(any::<u8>(), bytes).prop_map(base64).boxed(),
        Shape::Truth if zero => any::<bool>().prop_map(Value::from).boxed(),
        Shape::Truth => Just(Value::Bool(true)).boxed(),
        Shape::Integer if zero => prop_oneof![Just(0), any::<i64>()].prop_map(Value::from).boxed(),
        Shape::Integer => prop_oneof![1..i64::MAX, i64::MIN..0].prop_map(Value::from).boxed(),
        // What is whole is written so, as Go does.
        Shape::Float => (-1000..1000_i32)
            .prop_map(|n| if n % 8 == 0 { (n / 8).into() } else { (f64::from(n) / 8.0).into() })
            .boxed(),
        Shape::Message(at) => object(catalog().message(*at), depth.saturating_sub(1)),
        Shape::List(item) => {
            proptest::collection::vec(value(item, depth, true), 1..3).prop_map(Value::from).boxed()
        }
        Shape::Map(of) => proptest::collection::btree_map("[a-z./-]{0,8}", value(of, depth, true), 1..3)
            .prop_map(|map| Value::Object(map.into_iter().collect()))
            .boxed(),
        Shape::Quantity => prop_oneof![Just("0"), Just("500m"), Just("1Gi")].prop_map(Value::from).boxed(),
        Shape::IntOrString => prop_oneof![
            Just(json!(0)),
            any::<i32>().prop_map(Value::from),
            "[a-z%]{0,5}".prop_map(Value::from)
        ]
        .boxed(),
        Shape::Time(micro) => time(*micro),
        Shape::SchemaOr(at, instead) => schema_or(*at, *instead, depth),
        Shape::Raw => Just(json!({"f:spec": {"f:a": {}, "k:{\"p\":1}": [1, 2.5, null]}})).boxed(),
    }
}

fn schema_or(at: usize, instead: Instead, depth: u32) -> BoxedStrategy<Value> {
    let schema = object(catalog().message(at), depth.saturating_sub(1));
    let other = match instead {
        Instead::Truth => any::<bool>().prop_map(Value::from).boxed(),
        Instead::Schemas => proptest::collection::vec(schema.clone(), 1..3).prop_map(Value::from).boxed(),
        Instead::Texts => proptest::collection::vec("[a-z]{0,5}", 1..3).prop_map(Value::from).boxed(),
    };
    prop_oneof![schema, other].boxed()
}

fn base64(bytes: Vec<u8>) -> Value {
    use ::base64::{Engine, prelude::BASE64_STANDARD};
    BASE64_STANDARD.encode(bytes).into()
}

fn time(micro: bool) -> BoxedStrategy<Value> {
    let seconds = -60_000_000_000_i64..250_000_000_000;
    (seconds, 0..1_000_000_i32)
        .prop_map(move |(seconds, micros)| {
            let (nanos, format) =
                if micro { (micros * 1000, "%Y-%m-%dT%H:%M:%S%.6fZ") } else { (0, "%Y-%m-%dT%H:%M:%SZ") };
            let time = jiff::Timestamp::from_second(seconds).expect("in range")
                + jiff::SignedDuration::new(0, nanos);
            time.strftime(format).to_string().into()
        })
        .boxed()
}

/// The strategies are large: each is made once, not for every case as `proptest!` would.
fn samples(strategy: &BoxedStrategy<Value>, cases: usize) -> Vec<Value> {
    let mut runner = TestRunner::new(Config::default());
    (0..cases).map(|_| strategy.new_tree(&mut runner).expect("a value").current()).collect()
}

#[test]
fn every_message_comes_back_as_it_was() {
    for line in tags::lines() {
        let message = catalog().find(&format!("io.k8s.{}", line.definition)).expect(line.definition);
        for object in samples(&object(message, 2), 6) {
            let text = object.to_string();
            let from_text = write::from_json(message, text.as_bytes()).expect(&text);
            let from_value = write::from_value(message, &object).expect(&text);
            assert_eq!(from_text, from_value, "{text}");
            assert_eq!(read::read(message, &from_text).expect(&text), object, "{}", line.definition);
        }
    }
}

#[test]
fn every_kind_comes_back_in_its_envelope() {
    for kind in kinds::all() {
        let api_version = kind.api_version();
        let message_of = named(&api_version, kind.kind).expect(kind.kind);
        for mut object in samples(&object(message_of, 4), 3) {
            object["apiVersion"] = api_version.clone().into();
            object["kind"] = kind.kind.into();
            let bytes = encode(&object).expect(kind.kind);
            assert_eq!(decode(&bytes).expect(kind.kind), object);
            let list = json!({
                "apiVersion": api_version, "kind": format!("{}List", kind.kind),
                "metadata": {"resourceVersion": "7", "remainingItemCount": 3}, "items": [bare(&object), {}],
            });
            assert_eq!(decode(&encode(&list).expect("a list")).expect("a list"), list);
            let raw = message(kind, object.to_string().as_bytes()).expect(kind.kind);
            assert_eq!(read::read(message_of, &raw).expect(kind.kind), bare(&object));
        }
    }
}

/// Items don't say again what they are.
fn bare(object: &Value) -> Value {
    let keep = |name: &String| {
        // A Binding's and a Subject's `kind` is one of their own; no kind's root has one.
        !matches!(name.as_str(), "apiVersion" | "kind")
    };
    let members = object.as_object().into_iter().flatten();
    Value::Object(
        members.filter(|(name, _)| keep(name)).map(|(k, v)| (k.clone(), v.clone())).collect::<Map<_, _>>(),
    )
}

#[test]
fn what_json_has_more_than_the_message_is_passed_over() {
    let text = r#"{"apiVersion":"v1","unknown":[{"a":1}],"metadata":{"name":"a","labels":null,"x":{}},"data":{"k":null}}"#;
    let kind = kinds::by_kind("v1", "ConfigMap").expect("a kind");
    let of = named("v1", "ConfigMap").expect("a message");
    let back = read::read(of, &message(kind, text.as_bytes()).expect("writes")).expect("reads");
    assert_eq!(back, json!({"metadata": {"name": "a"}, "data": {"k": ""}}));
}

#[test]
fn a_value_of_another_type_is_an_error_and_not_another_value() {
    let kind = kinds::by_kind("v1", "Pod").expect("a kind");
    for text in [
        r#"{"metadata":{"name":7}}"#,
        r#"{"metadata":[]}"#,
        r#"{"spec":{"hostNetwork":"yes"}}"#,
        r#"{"spec":{"priority":1.5}}"#,
        r#"{"metadata":{"creationTimestamp":"yesterday"}}"#,
        r#"{"metadata":{"labels":["a"]}}"#,
        r#"{"spec":"#,
    ] {
        assert_eq!(message(kind, text.as_bytes()).expect_err(text).code.as_u16(), 500, "{text}");
    }
    let secret = kinds::by_kind("v1", "Secret").expect("a kind");
    assert!(message(secret, br#"{"data":{"k":"no base64!"}}"#).is_err());
}
