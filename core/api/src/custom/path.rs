//! A place in an object, built on the stack on the way down and written only when something is wrong.

use std::fmt;

use serde_json::Value;

use crate::{custom::Structural, schema::ListType};

#[derive(Clone, Copy)]
pub enum Path<'a> {
    Root,
    Field(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
    /// A key of a map where it is named in brackets: `labels[a.b/c]`.
    Key(&'a Path<'a>, &'a str),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Field(Self::Root, name) => f.write_str(name),
            Self::Field(parent, name) => write!(f, "{parent}.{name}"),
            Self::Index(parent, index) => write!(f, "{parent}[{index}]"),
            Self::Key(parent, key) => write!(f, "{parent}[{key}]"),
        }
    }
}

/// What stood in the old object in the place of a list's element: elements are known
/// by their keys where the schema names some, else they can't be told apart.
pub fn former_item<'a>(list: &Structural, item: &Value, old: Option<&'a Value>) -> Option<&'a Value> {
    let Some(ListType::Map(keys)) = &list.list_type else { return None };
    let same = |other: &&Value| keys.iter().all(|key| item.get(key) == other.get(key));
    old?.as_array()?.iter().find(same)
}

/// The names in a path such as `.spec.a['b.c']`; none if it is no such path.
pub fn steps(path: &str) -> Option<Vec<String>> {
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix("['") {
            let end = quoted.find("']")?;
            steps.push(quoted[..end].replace("\\'", "'"));
            rest = &quoted[end + 2..];
        } else {
            let named = rest.strip_prefix('.')?;
            let end = named.find(['.', '[']).unwrap_or(named.len());
            steps.push(named[..end].to_owned());
            rest = &named[end..];
        }
    }
    steps.iter().all(|step| !step.is_empty()).then_some(steps)
}
