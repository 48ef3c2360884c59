//! Records as the bytes of a block.
//!
//! ```text
//! "TPB" version   section of columns   section of templates   section of times   sections of variables...
//! templates:  how many; the template of each record; lengths of the keys; which section
//!             has the variables of each template; the letters of each slot; the keys
//! variables:  of each template of the section, ascending: length, a column a slot
//! ```
//!
//! Columns but for the times, and templates, are a few kilobytes: much is decided there
//! and nothing behind them read. Templates with much to say have a section of their
//! own, so that a search unpacks what it needs; the others share the first.
//!
//! Version 2 had the times among the columns, and no letters. Version 1 had one section
//! of bodies in the place of templates and variables, and is written only to be measured
//! against. Both are still read.

use std::io;

use super::{
    MAX_BODIES, Terms, columns, ints, section,
    template::{self, Intern, Piece, Scratch, Variable},
    varint::put,
};
use crate::record::Record;

pub const MAGIC: [u8; 3] = *b"TPB";
pub const PLAIN: u8 = 1;
pub const TEMPLATES: u8 = 2;
/// Not 3: no changed bit makes one known version another, for nothing else tells of it.
pub const FRONT: u8 = 4;
/// Bytes of columns, before zstd, that are worth a section of their own.
const OWN_SECTION: usize = 8 << 10;
/// Sections of variables at most.
pub const MAX_SECTIONS: usize = 32;

/// Records as a block of the newest version.
pub fn encode(records: &[Record], split: &Split) -> io::Result<Vec<u8>> {
    let bodies: usize = records.iter().map(|record| record.body.len()).sum();
    if bodies > MAX_BODIES || records.len() > columns::MAX_COUNT {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the records are too many for a block"));
    }
    let mut block = begin(FRONT);
    section::put(&mut block, &columns::write(records))?;
    let variables = split.write_variables(records);
    section::put(&mut block, &split.write_templates(&variables.placed, Some(&variables.letters)))?;
    section::put(&mut block, &columns::write_times(records))?;
    variables.sections.iter().try_for_each(|raw| section::put(&mut block, raw))?;
    Ok(block)
}

/// Records as a block of version 2.
#[cfg(test)]
pub fn encode_second(records: &[Record]) -> io::Result<Vec<u8>> {
    let split = Split::of(records);
    let mut block = begin(TEMPLATES);
    section::put(&mut block, &columns::write_second(records))?;
    let variables = split.write_variables(records);
    section::put(&mut block, &split.write_templates(&variables.placed, None))?;
    variables.sections.iter().try_for_each(|raw| section::put(&mut block, raw))?;
    Ok(block)
}

/// Records as a block of version 1.
pub fn encode_plain(records: &[Record]) -> io::Result<Vec<u8>> {
    let mut bodies = Vec::with_capacity(records.iter().map(|record| record.body.len()).sum());
    for record in records {
        bodies.extend_from_slice(&record.body);
    }
    let mut block = begin(PLAIN);
    section::put(&mut block, &columns::write_plain(records))?;
    section::put(&mut block, &bodies)?;
    Ok(block)
}

fn begin(version: u8) -> Vec<u8> {
    let mut block = MAGIC.to_vec();
    block.push(version);
    block
}

/// The variables of a block, written.
struct Variables {
    sections: Vec<Vec<u8>>,
    /// The section of each template.
    placed: Vec<u64>,
    /// Of each slot of each template, see [`template::Spelt`].
    letters: Vec<u64>,
}

/// The bodies of a block, split.
pub struct Split {
    templates: Intern,
    /// The template of each record.
    of: Vec<u64>,
    /// Of all records, one after the other.
    variables: Vec<Variable>,
    /// Where each record's begin, and the end.
    starts: Vec<usize>,
}

impl Split {
    pub fn of(records: &[Record]) -> Self {
        let mut split = Self {
            templates: Intern::default(),
            of: Vec::with_capacity(records.len()),
            variables: Vec::with_capacity(records.len() * 8),
            starts: Vec::with_capacity(records.len() + 1),
        };
        let mut key = Vec::with_capacity(256);
        for record in records {
            split.starts.push(split.variables.len());
            template::split(&record.body, record.time, &mut key, &mut split.variables);
            split.of.push(u64::from(split.templates.number(&key)));
        }
        split.starts.push(split.variables.len());
        split
    }

    /// The tokens of all bodies; the words of a template once.
    pub fn terms(&self, records: &[Record]) -> Terms {
        let mut terms = Terms::default();
        let mut n_seen = 0;
        for (at, record) in records.iter().enumerate() {
            // Numbers are given in the order of the records.
            if self.of[at] == n_seen {
                n_seen += 1;
                terms.add(&record.body);
            } else {
                let variables = &self.variables[self.starts[at]..self.starts[at + 1]];
                terms.add_variables(&record.body, variables.iter().map(Variable::range));
            }
        }
        terms
    }

    fn write_variables(&self, records: &[Record]) -> Variables {
        let (mut sections, mut letters) = (vec![Vec::new()], Vec::new());
        let mut members = vec![Vec::new(); self.templates.count()];
        for (record, template) in self.of.iter().enumerate() {
            members[*template as usize].push(record);
        }
        let mut scratch = Scratch::default();
        let mut part = Vec::new();
        let mut placed = Vec::with_capacity(members.len());
        for (number, members) in members.iter().enumerate() {
            part.clear();
            let classes = template::pieces(self.templates.get(number)).filter_map(|piece| match piece {
                Piece::Slot(class) => Some(class),
                Piece::Literal(_) => None,
            });
            for (slot, class) in classes.enumerate() {
                let column = members
                    .iter()
                    .map(|record| (&*records[*record].body, self.variables[self.starts[*record] + slot]));
                let spelt = template::write_slot(&mut part, class, column, &mut scratch);
                letters.push(u64::from(spelt.bits()));
            }
            let own = part.len() >= OWN_SECTION && sections.len() < MAX_SECTIONS;
            if own {
                sections.push(Vec::new());
            }
            let section = if own { sections.len() - 1 } else { 0 };
            placed.push(section as u64);
            put(&mut sections[section], part.len() as u64);
            sections[section].extend_from_slice(&part);
        }
        Variables { sections, placed, letters }
    }

    fn write_templates(&self, placed: &[u64], letters: Option<&[u64]>) -> Vec<u8> {
        let mut raw = Vec::with_capacity(self.templates.text().len() + self.of.len());
        let mut scratch = Vec::new();
        put(&mut raw, self.templates.count() as u64);
        ints::write(&mut raw, &self.of, &mut scratch);
        let lengths: Vec<u64> =
            (0..self.templates.count()).map(|number| self.templates.get(number).len() as u64).collect();
        ints::write(&mut raw, &lengths, &mut scratch);
        ints::write(&mut raw, placed, &mut scratch);
        if let Some(letters) = letters {
            ints::write(&mut raw, letters, &mut scratch);
        }
        raw.extend_from_slice(self.templates.text());
        raw
    }
}
