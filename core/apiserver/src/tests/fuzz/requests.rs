//! Requests by chance: the bodies of writes, patches, and what stands in a URL.

use std::fmt;

use http::Method;
use serde_json::{Value, json};
use tiphys_api::{
    kind::{Kind, Subresource},
    kinds,
};

use super::{
    super::harness::Harness,
    dice::Dice,
    mutate,
    objects::{self, schema_of},
    patches, queries,
};
use crate::{protobuf, request::yaml};

pub struct Asked {
    pub method: Method,
    pub uri: String,
    pub media: &'static str,
    pub accept: String,
    pub body: Vec<u8>,
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (body, media) = (String::from_utf8_lossy(&self.body), self.media);
        write!(f, "{} {} as {media:?}, accepting {:?}: {body:?}", self.method, self.uri, self.accept)
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub enum Family {
    Bodies,
    Patches,
    Queries,
}

impl Family {
    pub async fn next(self, api: &Harness, dice: &mut Dice) -> Asked {
        match self {
            Self::Bodies => body(dice),
            Self::Patches => patches::patch(api, dice).await,
            Self::Queries => queries::query(api, dice).await,
        }
    }
}

pub const NAMES: &[&str] = &["a", "b", "web"];

/// `/api/v1/namespaces/default/pods`
pub fn collection(kind: &Kind) -> String {
    let group = if kind.group.is_empty() { "/api".into() } else { format!("/apis/{}", kind.group) };
    let namespace = if kind.is_namespaced() { "/namespaces/default" } else { "" };
    format!("{group}/{}{namespace}/{}", kind.version, kind.plural)
}

/// An object of the kind, damaged here and there.
fn object(dice: &mut Dice, kind: &Kind, name: &str) -> Value {
    let mut object =
        if dice.one_in(3) { objects::by_schema(dice, kind, name) } else { objects::good(kind, name) };
    for _ in 0..dice.below(4) {
        mutate::structure(dice, &mut object, &schema_of(kind));
    }
    object
}

/// A body as JSON, YAML or protobuf.
pub fn encoded(dice: &mut Dice, object: &Value) -> (&'static str, Vec<u8>) {
    match dice.below(6) {
        0 => match yaml::write(object) {
            Ok(text) => ("application/yaml", text.into_bytes()),
            Err(_) => ("application/yaml", object.to_string().into_bytes()),
        },
        1 => match protobuf::encode(object) {
            Ok(bytes) => ("application/vnd.kubernetes.protobuf", bytes.to_vec()),
            // Not an object of its kind any more.
            Err(_) => ("application/json", object.to_string().into_bytes()),
        },
        2 => ("", object.to_string().into_bytes()),
        _ => ("application/json", object.to_string().into_bytes()),
    }
}

/// Options that a write has; a dry run where the object would stand in the way of others.
pub fn write_options(dice: &mut Dice, kind: &Kind) -> String {
    let validation =
        dice.pick(&["", "", "fieldValidation=Strict", "fieldValidation=Ignore", "fieldManager=m"]);
    let dry = if objects::is_muting(kind) || dice.one_in(5) { "&dryRun=All" } else { "" };
    format!("?{validation}{dry}")
}

fn body(dice: &mut Dice) -> Asked {
    if dice.one_in(10) {
        return custom(dice);
    }
    let kind = objects::kind(dice);
    let name = dice.pick(NAMES);
    let mut object = object(dice, kind, name);
    let named = object["metadata"]["name"].as_str().unwrap_or(name).to_owned();
    let target = format!("{}/{}", collection(kind), segment(&named));
    let (method, path) = match dice.below(8) {
        0..4 => (Method::POST, collection(kind)),
        4..6 => (Method::PUT, target),
        6 => match subresource(dice, kind) {
            Some(word) => {
                // What a subresource takes is of other kinds: the path says which.
                object["kind"] = json!(null);
                object["apiVersion"] = json!(null);
                (if dice.one_in(2) { Method::POST } else { Method::PUT }, format!("{target}/{word}"))
            }
            None => (Method::POST, collection(kind)),
        },
        // The body of a deletion is its options.
        _ if objects::is_muting(kind) || kind.plural == "namespaces" => (Method::POST, collection(kind)),
        _ => {
            object = deletion(dice);
            (Method::DELETE, target)
        }
    };
    let (media, mut body) = encoded(dice, &object);
    if dice.one_in(3) {
        (0..1 + dice.below(3)).for_each(|_| mutate::bytes(dice, &mut body));
    }
    let uri = format!("{path}{}", write_options(dice, kind));
    Asked { method, uri, media, accept: queries::accept(dice), body }
}

/// Any but those that lead to a kubelet, and statuses that the server itself writes: without them
/// it would write them anew.
pub fn subresource(dice: &mut Dice, kind: &Kind) -> Option<&'static str> {
    let words = kind.subresources.iter().map(|sub| match sub {
        Subresource::Status => "status",
        Subresource::Scale(_) => "scale",
        Subresource::Named(word) => word,
    });
    let streams = ["log", "exec", "attach", "portforward", "proxy"];
    let own = ["customresourcedefinitions", "validatingadmissionpolicies"].contains(&kind.plural);
    let words: Vec<_> = words.filter(|word| !(streams.contains(word) || own && *word == "status")).collect();
    (!words.is_empty()).then(|| words[dice.below(words.len())])
}

/// An object of a kind that good.txt defines.
fn custom(dice: &mut Dice) -> Asked {
    let mut object = json!({
        "apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": dice.pick(NAMES)},
        "spec": {"n": dice.below(12), "names": ["a", "b"]}, "status": {"n": 1, "any": objects::anything(dice, 3)},
    });
    for _ in 0..dice.below(4) {
        mutate::structure(dice, &mut object, tiphys_api::schema::Schema::any());
    }
    let name = object["metadata"]["name"].as_str().unwrap_or("a");
    let path = "/apis/example.com/v1/namespaces/default/widgets";
    let (method, path) = match dice.below(6) {
        0 | 1 => (Method::POST, path.to_owned()),
        2 => (Method::PUT, format!("{path}/{}", segment(name))),
        3 => (Method::PUT, format!("{path}/{}/status", segment(name))),
        4 => (Method::PUT, format!("{path}/{}/scale", segment(name))),
        _ => (Method::PATCH, format!("{path}/{}", segment(name))),
    };
    let (mut media, mut body) = encoded(dice, &object);
    if method == Method::PATCH {
        let kinds = ["application/merge-patch+json", "application/apply-patch+yaml"];
        (media, body) = (kinds[dice.below(2)], object.to_string().into_bytes());
    }
    if dice.one_in(4) {
        mutate::bytes(dice, &mut body);
    }
    Asked { method, uri: format!("{path}?fieldManager=m"), media, accept: queries::accept(dice), body }
}

fn deletion(dice: &mut Dice) -> Value {
    let mut options = json!({
        "apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0, "propagationPolicy": "Background",
        "preconditions": {"uid": "u"},
    });
    let schema = tiphys_api::schema::of("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions");
    let schema = schema.expect("deletions have options");
    for _ in 0..dice.below(4) {
        mutate::structure(dice, &mut options, &schema);
    }
    options
}

/// A name as a path's segment: encoded, so that any name makes a URL.
pub fn segment(name: &str) -> String {
    const KEPT: &percent_encoding::AsciiSet =
        &percent_encoding::NON_ALPHANUMERIC.remove(b'.').remove(b'-').remove(b'_');
    percent_encoding::utf8_percent_encode(name, KEPT).to_string()
}

/// Makes an object of each kind that is stored, as far as one is good by itself.
pub async fn furnish(api: &Harness) {
    for kind in kinds::all().iter().filter(|kind| kind.is_stored() && !objects::is_muting(kind)) {
        for name in NAMES {
            let answer = api.post(&collection(kind), &objects::good(kind, name)).await;
            assert!(answer.code < 500, "{}: {}", kind.kind, answer.text);
        }
    }
}
