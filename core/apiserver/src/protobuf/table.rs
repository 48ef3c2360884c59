//! Field numbers of the messages, out of `tags.txt`: one line a definition,
//! `api.core.v1.Volume name=1 hostPath=2.1 ...`.

use std::{
    collections::{BTreeMap, HashMap},
    sync::OnceLock,
};

/// The fields of a message by their numbers.
#[derive(Debug, Default)]
pub struct Fields(BTreeMap<u32, Place>);

/// What a field number stands for.
#[derive(Debug)]
pub enum Place {
    /// A property of the object.
    Property(&'static str),
    /// A message whose fields are properties of the object itself.
    Inline(Fields),
}

impl Fields {
    pub fn get(&self, number: u32) -> Option<&Place> {
        self.0.get(&number)
    }

    fn add(&mut self, name: &'static str, path: &str) {
        let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
        let Ok(number) = first.parse() else { return };
        let Some(rest) = rest else {
            self.0.insert(number, Place::Property(name));
            return;
        };
        let place = self.0.entry(number).or_insert_with(|| Place::Inline(Self::default()));
        if let Place::Inline(fields) = place {
            fields.add(name, rest);
        }
    }
}

/// The fields of a definition such as `io.k8s.api.core.v1.Pod`.
pub fn of(definition: &str) -> Option<&'static Fields> {
    static ALL: OnceLock<HashMap<&'static str, Fields>> = OnceLock::new();
    let all = ALL.get_or_init(|| include_str!("tags.txt").lines().filter_map(line).collect());
    all.get(definition.strip_prefix("io.k8s.")?)
}

fn line(line: &'static str) -> Option<(&'static str, Fields)> {
    let (definition, entries) = line.split_once(' ')?;
    let mut fields = Fields::default();
    for (name, path) in entries.split(' ').filter_map(|entry| entry.split_once('=')) {
        fields.add(name, path);
    }
    Some((definition, fields))
}

#[cfg(test)]
mod tests {
    use tiphys_api::{kinds, schema};

    use super::*;

    #[test]
    fn every_kind_has_its_numbers() {
        for kind in kinds::all() {
            assert!(of(kind.definition).is_some(), "{}", kind.definition);
        }
    }

    #[test]
    fn every_name_is_a_property_of_its_schema() {
        for line in include_str!("tags.txt").lines() {
            let (definition, entries) = line.split_once(' ').expect("a definition");
            let Some(schema) = schema::definitions().get(&format!("io.k8s.{definition}")) else {
                panic!("no schema of {definition}");
            };
            for (name, _) in entries.split(' ').filter_map(|entry| entry.split_once('=')) {
                assert!(schema["properties"].get(name).is_some(), "{definition} {name}");
            }
        }
    }
}
