//! Named formats: what is wrong with a text that should have one.

use std::sync::Arc;

use kube_cel::cel::{Value, objects::Opaque};

use super::{Table, opaque, urls};
use crate::{
    cel::{
        evaluate::{Outcome, optional},
        fault::Fault,
        meter::{Meter, tenth},
    },
    custom::formats,
    validate::names,
};

/// The place of the format in [`ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Format(usize);

impl Opaque for Format {
    fn runtime_type_name(&self) -> &str {
        "kubernetes.NamedFormat"
    }
}

type Check = fn(&str) -> Vec<String>;

/// By name; a search costs as one with a pattern of this length.
const ALL: [(&str, Check, u64); 13] = [
    ("dns1123Label", names::dns_label, 30),
    ("dns1123Subdomain", names::dns_subdomain, 60),
    ("dns1035Label", names::dns_1035_label, 30),
    ("qualifiedName", names::qualified, 60),
    ("dns1123LabelPrefix", |text| names::dns_label(&whole(text)), 30),
    ("dns1123SubdomainPrefix", |text| names::dns_subdomain(&whole(text)), 60),
    ("dns1035LabelPrefix", |text| names::dns_1035_label(&whole(text)), 30),
    ("labelValue", names::label_value, 40),
    (
        "uri",
        |text| urls::parse(text).err().map(|why| format!("parse {text:?}: {why}")).into_iter().collect(),
        1121,
    ),
    ("uuid", |text| unless(formats::holds("uuid", text), "does not match the UUID format"), 64),
    ("byte", |text| unless(formats::holds("byte", text), "invalid base64"), 84),
    ("date", |text| unless(formats::holds("date", text), "invalid date"), 94),
    ("datetime", |text| unless(formats::holds("datetime", text), "invalid datetime"), 94),
];

pub const FUNCTIONS: Table = &[
    ("format.named", |args, meter| {
        let [Value::String(name)] = args else { return Err(Fault::overload()) };
        meter.charge(1)?;
        Ok(optional(ALL.iter().position(|(known, ..)| known == name.as_ref()).map(value)))
    }),
    ("validate", validate),
    ("format.dns1123Label", |args, _| constant(args, 0)),
    ("format.dns1123Subdomain", |args, _| constant(args, 1)),
    ("format.dns1035Label", |args, _| constant(args, 2)),
    ("format.qualifiedName", |args, _| constant(args, 3)),
    ("format.dns1123LabelPrefix", |args, _| constant(args, 4)),
    ("format.dns1123SubdomainPrefix", |args, _| constant(args, 5)),
    ("format.dns1035LabelPrefix", |args, _| constant(args, 6)),
    ("format.labelValue", |args, _| constant(args, 7)),
    ("format.uri", |args, _| constant(args, 8)),
    ("format.uuid", |args, _| constant(args, 9)),
    ("format.byte", |args, _| constant(args, 10)),
    ("format.date", |args, _| constant(args, 11)),
    ("format.datetime", |args, _| constant(args, 12)),
];

fn value(place: usize) -> Value {
    Value::Opaque(Arc::new(Format(place)))
}

fn constant(args: &[Value], place: usize) -> Outcome {
    if args.is_empty() { Ok(value(place)) } else { Err(Fault::overload()) }
}

fn validate(args: &[Value], meter: &mut Meter) -> Outcome {
    let [format, Value::String(text)] = args else { return Err(Fault::overload()) };
    let (_, check, length) = ALL[opaque::<Format>(format)?.0];
    meter.charge(tenth(text.len() + 1).saturating_mul(length.div_ceil(4)))?;
    let wrong: Vec<Value> = check(text).into_iter().map(|why| Value::String(Arc::new(why))).collect();
    Ok(optional(Some(wrong).filter(|wrong| !wrong.is_empty()).map(|wrong| Value::List(Arc::new(wrong)))))
}

fn unless(holds: bool, why: &str) -> Vec<String> {
    if holds { Vec::new() } else { vec![why.to_owned()] }
}

/// A prefix of a name as if it were one: a dash at its end is no fault.
fn whole(text: &str) -> String {
    match text.strip_suffix('-') {
        Some(rest) if !rest.is_empty() => format!("{rest}a"),
        _ => text.to_owned(),
    }
}
