//! What the OpenAPI schemas don't say of a type, out of `tags.txt`: one line a
//! definition, `api.core.v1.Volume name=1! hostPath=2.1 ...`.
//!
//! The facts are those of the struct tags of `k8s.io/api`, `k8s.io/apimachinery`
//! and `k8s.io/apiextensions-apiserver`, read off the Go types of v0.37 and kept
//! only where the schema has the property, too:
//!
//! | text | Go |
//! |---|---|
//! | `name=4` | field 4 of the message |
//! | `hostPath=2.3` | field 3 of the message in field 2: a struct that JSON inlines, or the list in a wrapper |
//! | `scope=2.2.4` | field 4 of the message in field 2 of the message in field 2 |
//! | `replicas=1*` | a pointer: a zero on the wire says something else than its absence |
//! | `name=1!` | no pointer and no `omitempty`: JSON shows its zero |
//! | `paused=7` | no pointer, `omitempty`: Go writes its zero to the wire, and JSON leaves it out |
//!
//! Marks stand at scalars, lists and maps. This file reads lines; what they mean for JSON is
//! the compiled schema's part, and for a message the API server's.

/// One line: a definition without `io.k8s.`, and its fields.
pub struct Line {
    pub definition: &'static str,
    pub fields: Vec<Fact>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Fact {
    pub name: &'static str,
    /// The [`within`] of the message that holds the field; 0 if it is the object's own.
    pub outer: u32,
    pub number: u32,
    /// Whether a zero, or an empty list or map, is shown in JSON.
    pub zero_counts: bool,
}

/// The message in field `number` of the message `outer`, as one number; none for what no fact names.
pub fn within(outer: u32, number: u32) -> Option<u32> {
    let fits = |number: u32| number < 1 << LEVEL;
    (fits(outer) && fits(number)).then_some((outer << LEVEL) | number)
}

/// The other way round: the message around it, and the field that it is in.
pub fn around(message: u32) -> (u32, u32) {
    (message >> LEVEL, message & ((1 << LEVEL) - 1))
}

const LEVEL: u32 = 12;

pub fn lines() -> impl Iterator<Item = Line> {
    include_str!("tags.txt").lines().map(line)
}

fn line(text: &'static str) -> Line {
    let (definition, fields) = text.split_once(' ').unwrap_or((text, ""));
    Line { definition, fields: fields.split(' ').filter_map(fact).collect() }
}

fn fact(text: &'static str) -> Option<Fact> {
    let (name, place) = text.split_once('=')?;
    let path = place.trim_end_matches(['*', '!']);
    let (outer, number) = path.rsplit_once('.').unwrap_or(("0", path));
    let outer = outer.split('.').try_fold(0, |outer, number| within(outer, number.parse().ok()?))?;
    let zero_counts = path.len() < place.len();
    Some(Fact { name, outer, number: number.parse().ok()?, zero_counts })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{kinds, schema};

    #[test]
    fn a_line_is_read() {
        let Line { definition, fields } = line("a.B name=1! one=2.3* two=4 three=2.5.6");
        let fact = |name, outer, number, zero_counts| Fact { name, outer, number, zero_counts };
        assert_eq!(definition, "a.B");
        let three_levels = within(2, 5).expect("small");
        let three = fact("three", three_levels, 6, false);
        assert_eq!(
            fields,
            [fact("name", 0, 1, true), fact("one", 2, 3, true), fact("two", 0, 4, false), three]
        );
        assert_eq!(around(three_levels), (2, 5));
        // A message may have no fields at all.
        let Line { definition, fields } = line("a.Empty");
        assert_eq!((definition, fields), ("a.Empty", Vec::new()));
    }

    #[test]
    fn every_kind_has_its_numbers() {
        for kind in kinds::all() {
            assert!(lines().any(|line| kind.definition.ends_with(line.definition)), "{}", kind.definition);
        }
    }

    #[test]
    fn the_facts_and_the_schemas_know_the_same_properties() {
        let mut known = BTreeSet::new();
        for line in lines() {
            known.extend(line.fields.iter().map(|fact| format!("{} {}", line.definition, fact.name)));
        }
        let mut wanted = BTreeSet::new();
        for line in lines() {
            let schema = schema::definitions().get(&format!("io.k8s.{}", line.definition));
            let properties = schema.and_then(|schema| schema["properties"].as_object());
            let names = properties.into_iter().flat_map(|properties| properties.keys());
            let own = |name: &&String| {
                let type_meta = matches!(name.as_str(), "apiVersion" | "kind");
                !type_meta || line.fields.iter().any(|fact| fact.name == name.as_str())
            };
            wanted.extend(names.filter(own).map(|name| format!("{} {name}", line.definition)));
        }
        let unknown: Vec<_> = wanted.difference(&known).collect();
        let without_schema: Vec<_> = known.difference(&wanted).collect();
        assert!(unknown.is_empty() && without_schema.is_empty(), "{unknown:#?} {without_schema:#?}");
    }

    #[test]
    fn no_number_stands_twice() {
        for line in lines() {
            let places: BTreeSet<_> = line.fields.iter().map(|fact| (fact.outer, fact.number)).collect();
            assert_eq!(places.len(), line.fields.len(), "{}", line.definition);
            let inlined = |fact: &Fact| line.fields.iter().any(|other| other.outer == fact.number);
            assert!(!line.fields.iter().any(|fact| fact.outer == 0 && inlined(fact)), "{}", line.definition);
        }
    }
}
