//! Labels and annotations of objects, told as `kube_pod_labels` and its like. Pure.
//!
//! None is told without being asked for: each of their values is a series of its own, and what
//! annotations say may be much. An object's own copy of itself, which `kubectl apply` leaves in an
//! annotation, is never told: it has what Secrets and ConfigMaps hold. As kube-state-metrics has
//! it: <https://github.com/kubernetes/kube-state-metrics/blob/main/docs/developer/cli-arguments.md>.

use std::{
    collections::{BTreeMap, HashMap},
    str::FromStr,
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;

use super::{
    kinds::{KINDS, Kind},
    rows::Rows,
};

const COPY: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// In place of a resource or in a key: whatever stands there.
const ANY: char = '*';
/// Labels and annotations of one object that are told, the first by name: a series has no more.
const MOST: usize = 50;
/// Bytes of a value that is told: a series has no longer one.
const LONGEST: usize = 4096;

/// Which labels and annotations are told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words {
    pub labels: Allowed,
    pub annotations: Allowed,
}

/// The keys that are told, by resource: of `pods=[app,team],namespaces=[*]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowed(Vec<(String, Vec<String>)>);

impl Allowed {
    /// The keys of a resource.
    fn of(&self, resource: &str) -> Vec<String> {
        let means = |one: &String| one == resource || one.chars().eq([ANY]);
        self.0.iter().filter(|(of, _)| means(of)).flat_map(|(_, keys)| keys.clone()).collect()
    }
}

impl FromStr for Allowed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no list such as pods=[app,team],namespaces=[*]");
        let (mut all, mut rest) = (Vec::new(), text.trim());
        while !rest.is_empty() {
            let (resource, behind) = rest.split_once("=[").ok_or_else(wrong)?;
            let (listed, behind) = behind.split_once(']').ok_or_else(wrong)?;
            let mut keys = Vec::new();
            for one in listed.split(',').map(str::trim).filter(|_| !listed.trim().is_empty()) {
                if one.is_empty() {
                    return Err(wrong());
                }
                keys.push(key(one, keys.is_empty())?);
            }
            all.push((known(resource.trim())?, keys));
            rest = match behind.trim_start().strip_prefix(',') {
                Some(next) if !next.trim().is_empty() => next,
                None if behind.trim().is_empty() => "",
                _ => return Err(wrong()),
            };
        }
        Ok(Self(all))
    }
}

fn key(text: &str, is_first: bool) -> Result<String, String> {
    match text.matches(ANY).count() {
        0 => Ok(text.to_owned()),
        1 if text.len() > 1 || is_first => Ok(text.to_owned()),
        1 => Err("`*` is all of them and stands first".to_owned()),
        _ => Err(format!("`{text}` has more than one `*`")),
    }
}

/// A resource whose words are told, or all of them.
fn known(resource: &str) -> Result<String, String> {
    let told = || KINDS.iter().filter(|kind| !kind.words.is_empty()).map(|kind| kind.subject.resource);
    if resource.chars().eq([ANY]) || told().any(|one| one == resource) {
        return Ok(resource.to_owned());
    }
    let all: Vec<_> = told().collect();
    Err(format!("`{resource}` is none of the resources that are told of by their words: {}", all.join(", ")))
}

/// What is told of the labels and annotations of one kind.
#[derive(Debug, Default)]
pub struct WordsOf {
    /// Their name, and the keys; nothing where none is told.
    labels: Option<(&'static str, Vec<String>)>,
    annotations: Option<(&'static str, Vec<String>)>,
}

impl Words {
    pub fn of(&self, kind: &Kind) -> WordsOf {
        let told = |place: usize, allowed: &Allowed| {
            let keys = allowed.of(kind.subject.resource);
            kind.words.get(place).filter(|_| !keys.is_empty()).map(|name| (name.0, keys))
        };
        WordsOf { labels: told(0, &self.labels), annotations: told(1, &self.annotations) }
    }
}

impl WordsOf {
    /// All that is told of an object.
    pub fn rows<K: Resource>(&self, tell: fn(&K) -> Rows, object: &K) -> Rows {
        let mut rows = tell(object);
        self.put(&mut rows, object.meta());
        rows
    }

    /// Adds an object's words to what else is told of it.
    fn put(&self, rows: &mut Rows, meta: &ObjectMeta) {
        let of = [
            ("label", self.labels.as_ref(), meta.labels.as_ref()),
            ("annotation", self.annotations.as_ref(), meta.annotations.as_ref()),
        ];
        for (prefix, told, all) in of {
            let Some(&(name, ref keys)) = told else { continue };
            let labels = named(prefix, all, |key| wants(keys, key));
            let labels: Vec<_> = labels.iter().map(|(name, value)| (name.as_str(), *value)).collect();
            rows.with(name, &labels, 1.0);
        }
    }
}

/// Whether a key is among those that are told.
fn wants(keys: &[String], key: &str) -> bool {
    keys.iter().any(|wanted| match wanted.split_once(ANY) {
        Some((front, back)) => {
            key.len() >= front.len() + back.len() && key.starts_with(front) && key.ends_with(back)
        }
        None => wanted == key,
    })
}

/// Keys and values as a series has them: the keys in snake case behind a prefix, and numbered where
/// several would be the same.
pub fn named<'a>(
    prefix: &str,
    all: Option<&'a BTreeMap<String, String>>,
    wants: impl Fn(&str) -> bool,
) -> Vec<(String, &'a str)> {
    let told = all.into_iter().flatten();
    let told = told.filter(|(key, value)| *key != COPY && value.len() <= LONGEST && wants(key));
    let told: Vec<(String, &str)> =
        told.take(MOST).map(|(key, value)| (format!("{prefix}_{}", snake(key)), value.as_str())).collect();
    let mut uses: HashMap<&str, usize> = HashMap::new();
    told.iter().for_each(|(name, _)| *uses.entry(name.as_str()).or_default() += 1);
    let mut numbers: HashMap<&str, usize> = HashMap::new();
    let mut labels = Vec::with_capacity(told.len());
    for (name, value) in &told {
        let label = match uses.get(name.as_str()) {
            Some(1) => name.clone(),
            _ => {
                let number = numbers.entry(name.as_str()).or_default();
                numbered(name, number, |label| uses.contains_key(label))
            }
        };
        labels.push((label, *value));
    }
    labels
}

/// With the next number that makes it a name of its own.
fn numbered(name: &str, number: &mut usize, is_taken: impl Fn(&str) -> bool) -> String {
    loop {
        *number += 1;
        let label = format!("{name}_conflict{number}");
        if !is_taken(&label) {
            return label;
        }
    }
}

fn snake(key: &str) -> String {
    let mut name = String::with_capacity(key.len() + 4);
    let mut before = '_';
    for c in key.chars() {
        let c = if c.is_ascii_alphanumeric() { c } else { '_' };
        if c.is_ascii_uppercase() && (before.is_ascii_lowercase() || before.is_ascii_digit()) {
            name.push('_');
        }
        name.push(c.to_ascii_lowercase());
        before = c;
    }
    name
}
