//! The bytes of a block, read as far as somebody asks: columns at once, then
//! templates, then the bodies of chosen records.
//!
//! Nothing that was written is believed before it is checked: damaged bytes are
//! refused with [`CorruptBlock`], and no length takes memory that isn't there.

use bytes::Bytes;

use super::{
    MAX_BODIES,
    columns::{self, Columns},
    ints,
    section::{CorruptBlock, Section},
    template::{self, Piece, Spelt},
    varint::take,
    writer::{FRONT, MAGIC, MAX_SECTIONS, PLAIN, TEMPLATES},
};
use crate::record::{Level, Record};

/// A block whose columns are read.
pub struct Reader<'a> {
    columns: Columns,
    bodies: Bodies<'a>,
}

enum Bodies<'a> {
    Plain { lengths: Vec<usize>, section: Section<'a> },
    Split { templates: Section<'a>, lettered: bool, variables: &'a [u8] },
}

/// The templates of a block.
#[derive(Debug)]
pub struct Templates {
    /// The template of each record.
    of: Vec<u32>,
    text: Vec<u8>,
    /// Where each key ends in `text`.
    ends: Vec<usize>,
    /// Which section of variables each is in.
    sections: Vec<usize>,
    /// What the variables of each slot spell, and where each template's begin, and the end. Blocks
    /// of version 2 don't tell.
    letters: Option<(Vec<Spelt>, Vec<usize>)>,
}

impl Templates {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The template's key: see [`template::pieces`].
    pub fn key(&self, number: usize) -> &[u8] {
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..self.ends[number]]
    }

    /// What the variables of the template spell, slot by slot, if the block tells.
    pub fn letters(&self, number: usize) -> Option<&[Spelt]> {
        let (letters, starts) = self.letters.as_ref()?;
        letters.get(starts[number]..starts[number + 1])
    }

    /// The template of each record.
    pub fn of(&self) -> &[u32] {
        &self.of
    }
}

/// The front of a block: columns and templates, each when it is asked for. What stands
/// behind them need not be there.
pub struct Front<'a> {
    columns: Section<'a>,
    templates: Section<'a>,
    /// Behind it.
    times: Option<Section<'a>>,
    count: usize,
}

impl<'a> Front<'a> {
    /// Of a block of so many records, from its first bytes. `None`: it is of an old version, or
    /// the bytes end before its front does.
    pub fn open(bytes: &'a [u8], count: usize) -> Result<Option<Self>, CorruptBlock> {
        let (magic, mut rest) = begin(bytes)?;
        if magic[MAGIC.len()] != FRONT {
            return Ok(None);
        }
        let (Ok(columns), Ok(templates)) = (Section::take(&mut rest), Section::take(&mut rest)) else {
            return Ok(None);
        };
        Ok(Some(Self { columns, templates, times: Section::take(&mut rest).ok(), count }))
    }

    /// The level of each record.
    pub fn levels(&self) -> Result<Vec<Level>, CorruptBlock> {
        let columns = columns::read(&self.columns.unpack()?).filter(|columns| columns.len() == self.count);
        columns.map(|columns| columns.levels).ok_or(NO_COLUMNS)
    }

    /// The time of each record; `None` when the bytes end before them.
    pub fn times(&self) -> Result<Option<Vec<i64>>, CorruptBlock> {
        let Some(times) = self.times else { return Ok(None) };
        columns::read_times(&times.unpack()?, self.count).map(Some).ok_or(NO_COLUMNS)
    }

    pub fn templates(&self) -> Result<Templates, CorruptBlock> {
        read_templates(&self.templates.unpack()?, self.count, true).ok_or(NO_TEMPLATES)
    }
}

/// Looks at the checksums of all sections.
pub fn check(block: &[u8]) -> Result<(), CorruptBlock> {
    let (_, mut rest) = begin(block)?;
    while !rest.is_empty() {
        Section::take(&mut rest)?.check()?;
    }
    Ok(())
}

/// The head, and what follows it.
fn begin(block: &[u8]) -> Result<(&[u8], &[u8]), CorruptBlock> {
    let head = block.split_at_checked(MAGIC.len() + 1).filter(|(head, _)| head.starts_with(&MAGIC));
    head.ok_or(CorruptBlock("it does not begin as a block"))
}

impl<'a> Reader<'a> {
    /// Reads the columns.
    pub fn open(block: &'a [u8]) -> Result<Self, CorruptBlock> {
        let (magic, mut rest) = begin(block)?;
        let version = magic[MAGIC.len()];
        if !matches!(version, PLAIN | TEMPLATES | FRONT) {
            return Err(CorruptBlock("its version is not known"));
        }
        let first = Section::take(&mut rest)?.unpack()?;
        let second = Section::take(&mut rest)?;
        let columns = match version {
            PLAIN => {
                let (columns, lengths) = columns::read_plain(&first).ok_or(NO_COLUMNS)?;
                return Ok(Self { columns, bodies: Bodies::Plain { lengths, section: second } });
            }
            TEMPLATES => columns::read_second(&first).ok_or(NO_COLUMNS)?,
            _ => {
                let columns = columns::read(&first).ok_or(NO_COLUMNS)?;
                let times = Section::take(&mut rest)?.unpack()?;
                let times = columns::read_times(&times, columns.len()).ok_or(NO_COLUMNS)?;
                Columns { times, ..columns }
            }
        };
        let lettered = version == FRONT;
        Ok(Self { columns, bodies: Bodies::Split { templates: second, lettered, variables: rest } })
    }

    pub fn columns(&self) -> &Columns {
        &self.columns
    }

    /// The templates; `None` in a block of version 1, which has none.
    pub fn templates(&self) -> Result<Option<Templates>, CorruptBlock> {
        let Bodies::Split { templates, lettered, .. } = &self.bodies else { return Ok(None) };
        let raw = templates.unpack()?;
        read_templates(&raw, self.columns.len(), *lettered).map(Some).ok_or(NO_TEMPLATES)
    }

    /// The bodies of the records that are wanted, the others empty. `templates` are this block's.
    pub fn bodies(
        &self,
        templates: Option<&Templates>,
        wanted: impl Fn(usize) -> bool,
    ) -> Result<Texts, CorruptBlock> {
        match templates {
            Some(templates) => self.sieved(templates, &wanted, &mut |_, _, _| {}),
            None => match (&self.bodies, self.templates()?) {
                (Bodies::Plain { lengths, section }, _) => plain(*section, lengths),
                (_, Some(templates)) => self.sieved(&templates, &wanted, &mut |_, _, _| {}),
                (_, None) => Err(CorruptBlock("it has no templates")),
            },
        }
    }

    /// The same, but that each template with wanted records is shown to `sieve` first, with its
    /// number and its records; `wanted` is asked again after that.
    pub fn sieved(
        &self,
        templates: &Templates,
        wanted: &dyn Fn(usize) -> bool,
        sieve: &mut Sieve<'_>,
    ) -> Result<Texts, CorruptBlock> {
        match &self.bodies {
            Bodies::Plain { lengths, section } => plain(*section, lengths),
            Bodies::Split { .. } => self.join(templates, wanted, sieve),
        }
    }

    /// Consumes the reader for all records.
    pub fn records(self) -> Result<Vec<Record>, CorruptBlock> {
        let mut bodies = self.bodies(None, |_| true)?;
        let columns = self.columns;
        let text = bodies.shared();
        let record = |(at, span): (usize, &(usize, usize))| Record {
            time: columns.times[at],
            seq: columns.seqs[at],
            level: columns.levels[at],
            source: columns.sources[at],
            body: text.slice(span.0..span.1),
        };
        Ok(bodies.spans.iter().enumerate().map(record).collect())
    }

    /// Calls `found` with number, columns and records of each template that is wanted, of which
    /// `templates` are this block's. A block of version 1 has none.
    pub fn each_template(
        &self,
        templates: &Templates,
        wanted: impl Fn(usize) -> bool,
        mut found: impl FnMut(usize, &template::Template<'_>, &[u32]) -> Option<()>,
    ) -> Result<(), CorruptBlock> {
        let Bodies::Split { mut variables, .. } = self.bodies else { return Ok(()) };
        let members = members(templates);
        let n_sections = templates.sections.iter().max().map_or(0, |last| last + 1);
        for section in 0..n_sections {
            let packed = Section::take(&mut variables)?;
            let inside = || (0..templates.len()).filter(|number| templates.sections[*number] == section);
            // What stands behind the last one needs no look.
            let Some(last) = inside().rfind(|number| wanted(*number)) else { continue };
            let raw = packed.unpack()?;
            let mut rest = raw.as_slice();
            for number in inside().take_while(|number| *number <= last) {
                let part = part(&mut rest).ok_or(CAN_NOT_BE)?;
                if wanted(number) {
                    let members = &members[number];
                    let template = template::Template::read(templates.key(number), part, members.len());
                    found(number, &template.ok_or(CAN_NOT_BE)?, members).ok_or(CAN_NOT_BE)?;
                }
            }
        }
        if variables.is_empty() { Ok(()) } else { Err(CorruptBlock("something follows it")) }
    }

    fn join(
        &self,
        templates: &Templates,
        wanted: &dyn Fn(usize) -> bool,
        sieve: &mut Sieve<'_>,
    ) -> Result<Texts, CorruptBlock> {
        let mut is_wanted = vec![false; templates.len()];
        for (record, template) in templates.of.iter().enumerate() {
            is_wanted[*template as usize] |= wanted(record);
        }
        let mut joined = Texts { text: Vec::new(), spans: vec![(0, 0); templates.of.len()] };
        let times = &self.columns.times;
        self.each_template(
            templates,
            |number| is_wanted[number],
            |number, template, members| {
                sieve(number, template, members);
                joined.add(template, members, times, wanted)
            },
        )?;
        Ok(joined)
    }
}

const NO_COLUMNS: CorruptBlock = CorruptBlock("its columns end early");
const NO_TEMPLATES: CorruptBlock = CorruptBlock("its templates can't be");
const CAN_NOT_BE: CorruptBlock = CorruptBlock("its variables can't be");

/// Sees a template, by its number, before bodies of its records (these) are put together.
pub type Sieve<'a> = dyn FnMut(usize, &template::Template<'_>, &[u32]) + 'a;

/// Bodies, put together in one buffer.
#[derive(Debug, Default)]
pub struct Texts {
    text: Vec<u8>,
    /// Where each record's stands.
    spans: Vec<(usize, usize)>,
}

impl Texts {
    /// The record's body, empty when it wasn't wanted.
    pub fn get(&self, record: usize) -> &[u8] {
        self.spans.get(record).map_or(&[], |(start, end)| &self.text[*start..*end])
    }

    /// The buffer, for bodies that are to outlive it.
    fn shared(&mut self) -> Bytes {
        Bytes::from(std::mem::take(&mut self.text))
    }

    /// The wanted ones of a template's records.
    fn add(
        &mut self,
        template: &template::Template<'_>,
        members: &[u32],
        times: &[i64],
        wanted: &dyn Fn(usize) -> bool,
    ) -> Option<()> {
        for (at, record) in members.iter().map(|record| *record as usize).enumerate() {
            if wanted(record) {
                let start = self.text.len();
                template::join(&mut self.text, template, at, times[record])?;
                self.spans[record] = (start, self.text.len());
            }
        }
        Some(())
    }
}

/// Takes a template's columns off the front.
fn part<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(take(bytes)?).ok()?;
    let (part, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(part)
}

fn plain(section: Section<'_>, lengths: &[usize]) -> Result<Texts, CorruptBlock> {
    let text = section.unpack()?;
    let (mut start, mut spans) = (0usize, Vec::with_capacity(lengths.len()));
    for length in lengths {
        let end = start.checked_add(*length).filter(|end| *end <= text.len());
        let end = end.ok_or(CorruptBlock("its bodies end early"))?;
        spans.push((start, end));
        start = end;
    }
    Ok(Texts { text, spans })
}

/// The records of each template, ascending.
fn members(templates: &Templates) -> Vec<Vec<u32>> {
    let mut members = vec![Vec::new(); templates.len()];
    for (record, template) in templates.of.iter().enumerate() {
        members[*template as usize].push(record as u32);
    }
    members
}

fn read_templates(mut raw: &[u8], count: usize, lettered: bool) -> Option<Templates> {
    let raw = &mut raw;
    // Each has a record.
    let n_templates = usize::try_from(take(raw)?).ok().filter(|n| *n <= count)?;
    let number = |number: u64| u32::try_from(number).ok().filter(|number| (*number as usize) < n_templates);
    let of = ints::read(raw, count)?.into_iter().map(number).collect::<Option<_>>()?;
    let mut end = 0usize;
    let mut end_of = |length: u64| {
        end = end.checked_add(usize::try_from(length).ok()?).filter(|end| *end <= 2 * MAX_BODIES)?;
        Some(end)
    };
    let ends: Vec<usize> =
        ints::read(raw, n_templates)?.into_iter().map(&mut end_of).collect::<Option<_>>()?;
    let section = |section: u64| usize::try_from(section).ok().filter(|section| *section < MAX_SECTIONS);
    let sections = ints::read(raw, n_templates)?.into_iter().map(section).collect::<Option<_>>()?;
    // The keys are the rest.
    let length = ends.last().copied().unwrap_or(0);
    let keys = raw.get(raw.len().checked_sub(length)?..)?;
    let letters = if lettered { Some(read_letters(raw, keys, &ends)?) } else { None };
    (raw.len() == length).then(|| Templates { of, text: keys.to_vec(), ends, sections, letters })
}

/// Takes the letters of all slots of these keys off the front.
fn read_letters(raw: &mut &[u8], keys: &[u8], ends: &[usize]) -> Option<(Vec<Spelt>, Vec<usize>)> {
    let mut starts = vec![0];
    let (mut at, mut slots) = (0, 0);
    for end in ends {
        slots +=
            template::pieces(keys.get(at..*end)?).filter(|piece| matches!(piece, Piece::Slot(_))).count();
        starts.push(slots);
        at = *end;
    }
    let letters = ints::read(raw, slots)?;
    let letters = letters.into_iter().map(|bits| u32::try_from(bits).ok().map(Spelt::from_bits));
    Some((letters.collect::<Option<_>>()?, starts))
}
