//! What records are grouped by: a name of their stream, a label, a field of the body.
//!
//! A label of the Pod comes before a field of the body with the same name. What the
//! stream says is known once a block; of the rest a [`Match`] has what it takes.

use std::{borrow::Cow, collections::HashMap};

use super::{
    look::{Match, Want},
    patterns,
    plan::Candidate,
};
use crate::query::compile::{OF_BODY, StreamView};

/// The key that is all names and labels of a stream, as a JSON object.
pub const LABELS: &str = "_labels";
/// The key whose values are the names of the labels of a stream.
pub const LABEL_NAMES: &str = "_label_names";

/// Characters of a value that are shown and told apart.
const MAX_VALUE: usize = 256;

/// Keys by their names, ready to be read from records.
#[derive(Debug)]
pub(super) struct Keys {
    names: Vec<String>,
    shown: HashMap<Box<[u8]>, String>,
}

/// Where the value of a key is, for the records of one block.
#[derive(Debug)]
enum Source {
    Stream(Option<String>),
    /// Of the stream, too, and there may be several.
    Names(Vec<String>),
    Level,
    Output,
    Pattern,
    /// Its number among the fields that are wanted.
    Field(usize),
}

/// Keys at one block.
#[derive(Debug)]
pub(super) struct Placed {
    sources: Vec<Source>,
    /// Fields that the block's records are asked for.
    pub fields: Vec<String>,
    pub templates: bool,
}

impl Keys {
    pub fn new(names: &[String]) -> Self {
        Self { names: names.to_vec(), shown: HashMap::new() }
    }

    /// Where their values are in this block.
    pub fn at(&self, candidate: &Candidate) -> Placed {
        let view = StreamView { info: &candidate.info, labels: candidate.labels.as_deref() };
        let mut placed = Placed { sources: Vec::new(), fields: Vec::new(), templates: false };
        for name in &self.names {
            let own = |value: Option<&str>| Source::Stream(value.map(|value| short(value).into_owned()));
            let source = match (name.as_str(), view.own(name), view.label(name)) {
                ("level", ..) => Source::Level,
                ("stream", ..) => Source::Output,
                ("pattern", ..) => Source::Pattern,
                // Before labels of these names, which a sender may have.
                (LABELS, ..) => Source::Stream(Some(all_labels(candidate))),
                (LABEL_NAMES, ..) => Source::Names(label_names(candidate)),
                (_, Some(value), _) => own(value.as_deref()),
                (_, None, Some(label)) => own(Some(label)),
                _ => Source::Field(placed.field(name)),
            };
            placed.templates |= matches!(source, Source::Pattern);
            placed.sources.push(source);
        }
        placed
    }

    /// Calls `value` with the number of each key and its value in a record, `None` where it has
    /// none; more than once where a field has several values.
    pub fn each(
        &mut self,
        placed: &Placed,
        found: &Match<'_>,
        value: &mut dyn FnMut(usize, Option<Cow<'_, str>>),
    ) {
        for (at, source) in placed.sources.iter().enumerate() {
            match source {
                Source::Stream(text) => value(at, text.as_deref().map(Cow::Borrowed)),
                Source::Names(names) => names.iter().for_each(|name| value(at, Some(name.into()))),
                Source::Level => value(at, Some(found.record.level.name().into())),
                Source::Output => value(at, Some(found.record.source.name().into())),
                Source::Pattern => value(at, Some(self.pattern(found.key).into())),
                Source::Field(field) => {
                    let values = &found.fields[*field];
                    values.iter().for_each(|text| value(at, Some(short(text))));
                    if values.is_empty() {
                        value(at, None);
                    }
                }
            }
        }
    }

    /// A template as it is shown; made once for many records.
    fn pattern(&mut self, key: &[u8]) -> &str {
        const KEPT: usize = 10_000;
        if self.shown.len() >= KEPT && !self.shown.contains_key(key) {
            self.shown.clear();
        }
        self.shown.entry(key.into()).or_insert_with(|| patterns::pattern(key))
    }
}

impl Placed {
    /// Asks for a field too; its number.
    pub fn field(&mut self, name: &str) -> usize {
        let name = name.strip_prefix(OF_BODY).unwrap_or(name);
        match self.fields.iter().position(|field| field == name) {
            Some(at) => at,
            None => {
                self.fields.push(name.to_owned());
                self.fields.len() - 1
            }
        }
    }

    pub fn want(&self, bodies: bool) -> Want<'_> {
        Want { bodies, templates: self.templates, fields: &self.fields, first: None }
    }

    /// Whether a block's head alone tells the values.
    pub fn is_of_stream(&self) -> bool {
        self.sources.iter().all(|source| matches!(source, Source::Stream(_) | Source::Names(_)))
    }

    /// The values, when [`Placed::is_of_stream`]; of several the first.
    pub fn of_stream(&self) -> impl Iterator<Item = Option<&str>> {
        self.sources.iter().map(|source| match source {
            Source::Stream(text) => text.as_deref(),
            Source::Names(names) => names.first().map(String::as_str),
            _ => None,
        })
    }

    /// Calls `value` with the number of each key and all its values, when [`Placed::is_of_stream`].
    pub fn each_of_stream(&self, value: &mut dyn FnMut(usize, &str)) {
        for (at, source) in self.sources.iter().enumerate() {
            match source {
                Source::Stream(text) => text.iter().for_each(|text| value(at, text)),
                Source::Names(names) => names.iter().for_each(|name| value(at, name)),
                _ => {}
            }
        }
    }
}

/// `{"namespace": ..., "pod": ..., "container": ..., "node": ..., "labels": {...}}`
fn all_labels(candidate: &Candidate) -> String {
    let info = &candidate.info;
    serde_json::json!({
        "namespace": info.namespace,
        "pod": info.pod,
        "container": info.container,
        "node": info.node,
        "labels": candidate.labels.as_deref(),
    })
    .to_string()
}

fn label_names(candidate: &Candidate) -> Vec<String> {
    let labels = candidate.labels.as_deref().into_iter().flatten();
    labels.map(|(name, _)| short(name).into_owned()).collect()
}

/// A value as it is told apart: long ones are cut.
pub(super) fn short(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(MAX_VALUE) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
    }
}
