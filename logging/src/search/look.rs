//! A block's records that match, read no further than it takes to tell.
//!
//! ```text
//! columns   -> records in range that the caller still takes
//! templates -> words without digits: decided for all records of a template at once
//! levels    -> decided record by record
//! columns of variables -> fields of bodies, where they tell them exactly
//! variables -> numbers and ids: records that can't have them are out, by their columns
//! bodies    -> only of records that are undecided, or wanted with their body
//! ```
//!
//! An open block is plain and is matched record by record, and a block of version
//! 1 has no templates: its bodies are all read.

use std::cell::Cell;

use bytes::Bytes;

use super::{
    Progress, Request,
    columns::{FieldsOf, Undecided},
    order,
    plan::Candidate,
};
use crate::{
    block::{
        Columns, CorruptBlock, Reader, Templates, Texts,
        template::{self, Template, Variable},
    },
    index::Store,
    query::{compile::Verdict, fields::Fields, plain::plain},
    record::{Level, Record, Source},
};

/// What of a match the caller wants beside its columns.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Want<'a> {
    pub bodies: bool,
    /// The keys of their templates.
    pub templates: bool,
    /// The values of these fields of their bodies.
    pub fields: &'a [String],
    /// Only so many, the first in the request's order; there may be some more where that isn't
    /// known without their bodies.
    pub first: Option<usize>,
}

impl Want<'_> {
    /// The columns that every record has will do.
    fn is_nothing(&self) -> bool {
        !self.bodies && !self.templates && self.fields.is_empty()
    }
}

/// A record that matches. What is wanted of it is there, the rest is empty.
pub(super) struct Match<'a> {
    pub record: Record,
    pub key: &'a [u8],
    /// The values of each wanted field.
    pub fields: &'a [Vec<String>],
}

/// A record as its columns tell.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub time: i64,
    pub seq: u64,
    pub level: Level,
    pub source: Source,
}

impl Row {
    fn at(columns: &Columns, at: usize) -> Self {
        Self {
            time: columns.times[at],
            seq: columns.seqs[at],
            level: columns.levels[at],
            source: columns.sources[at],
        }
    }

    fn of(record: &Record) -> Self {
        Self { time: record.time, seq: record.seq, level: record.level, source: record.source }
    }

    fn with(self, body: Bytes) -> Record {
        Record { time: self.time, seq: self.seq, level: self.level, source: self.source, body }
    }
}

/// One look into a block.
pub(super) struct Look<'a> {
    pub store: &'a Store,
    pub request: &'a Request,
    pub candidate: &'a Candidate,
    pub want: Want<'a>,
}

impl Look<'_> {
    /// Calls `hit` with each record that matches, of those that `takes` takes. A
    /// damaged split is reported, and has no matches from there on.
    pub fn each(
        &self,
        progress: &mut Progress,
        mut takes: impl FnMut(&Row) -> bool,
        mut hit: impl FnMut(Match<'_>),
    ) {
        let (request, candidate) = (self.request, self.candidate);
        progress.scanned += u64::from(candidate.head.count);
        let mut takes = |row: &Row| row.time >= candidate.floor && request.in_range(row.time) && takes(row);
        if let Some(records) = candidate.open() {
            return self.each_open(records, progress, &mut takes, &mut hit);
        }
        // What is damaged is found again by who reads it whole.
        let mut front = None;
        if candidate.verdict == Verdict::Maybe
            && let Ok(Some(templates)) = candidate.with_front(false, |front| front.templates().map(Some))
        {
            if !self.may_match(&templates) {
                return;
            }
            front = Some(templates);
        }
        let late = &mut progress.late;
        let looked = candidate.with_data(|data| self.each_sealed(data, front, late, &mut takes, &mut hit));
        candidate.sound(looked, self.store, progress);
    }

    fn each_open(
        &self,
        records: &[Record],
        progress: &mut Progress,
        takes: &mut dyn FnMut(&Row) -> bool,
        hit: &mut dyn FnMut(Match<'_>),
    ) {
        let (mut keys, mut values) = (Keys::default(), Values::default());
        for (at, record) in records.iter().enumerate() {
            if at % 1024 == 1023 && progress.is_late(self.request) {
                return;
            }
            if takes(&Row::of(record)) && self.matches(record) {
                let (key, fields) = (keys.of(record, self.want), values.of(record, self.want));
                hit(Match { record: record.clone(), key, fields });
            }
        }
    }

    fn each_sealed(
        &self,
        data: &[u8],
        front: Option<Templates>,
        late: &mut bool,
        takes: &mut dyn FnMut(&Row) -> bool,
        hit: &mut dyn FnMut(Match<'_>),
    ) -> Result<(), CorruptBlock> {
        let reader = Reader::open(data)?;
        let columns = reader.columns();
        let row = |at: usize| Row::at(columns, at);
        let verdict = self.candidate.verdict;
        if verdict == Verdict::Yes && self.want.is_nothing() {
            let rows = (0..columns.len()).map(row).filter(|row| takes(row));
            rows.for_each(|row| hit(Match { record: row.with(Bytes::new()), key: &[], fields: &[] }));
            return Ok(());
        }
        let taken = if verdict == Verdict::Yes { State::In } else { State::Undecided };
        let state = |at| if takes(&row(at)) { taken } else { State::Out };
        let mut states: Vec<State> = (0..columns.len()).map(state).collect();
        let want = self.want;
        let fields = !want.fields.is_empty();
        let templates = self.templates(front, &reader)?;
        let mut read = FieldsOf::new();
        let mut judged = Vec::new();
        if let Some(templates) = &templates {
            judged = match verdict {
                Verdict::Maybe => self.judge(templates, &row, &mut states),
                _ => vec![None; templates.len()],
            };
            let (query, states) = (&self.request.query, &mut states);
            let open = Undecided { query, want, templates, judged: judged.clone(), row: &row, states };
            read = open.read(&reader)?;
        }
        self.keep_first(&mut states, |at| (columns.times[at], columns.seqs[at]));
        let states: Vec<Cell<State>> = states.into_iter().map(Cell::new).collect();
        let wants_bodies = want.bodies || (want.templates && templates.is_none());
        let needed = |at: usize| match states[at].get() {
            State::Out => false,
            State::In => wants_bodies || (fields && !read.contains_key(&at)),
            State::Undecided => true,
        };
        let bodies = match (&templates, (0..states.len()).any(needed)) {
            (_, false) => Texts::default(),
            (None, true) => reader.bodies(None, needed)?,
            (Some(templates), true) => {
                reader.sieved(templates, &needed, &mut |number, template, members| {
                    if let Some(Some(verdicts)) = judged.get(number) {
                        self.sieve(verdicts, templates.key(number), template, members, &row, &states);
                    }
                })?
            }
        };
        let (mut keys, mut values) = (Keys::default(), Values::default());
        for at in (0..states.len()).filter(|at| states[*at].get() != State::Out) {
            if at % 1024 == 1023 {
                *late |= self.request.is_late();
            }
            if *late {
                break;
            }
            let (row, body) = (row(at), bodies.get(at));
            if states[at].get() == State::In || self.matches_parts(row, body) {
                let keeps = wants_bodies || (fields && !read.contains_key(&at));
                let body = if keeps { Bytes::copy_from_slice(body) } else { Bytes::new() };
                let record = row.with(body);
                let key = match &templates {
                    Some(templates) => templates.key(templates.of()[at] as usize),
                    None => keys.of(&record, want),
                };
                let fields = match read.get(&at) {
                    Some(fields) => fields,
                    None => values.of(&record, want),
                };
                hit(Match { record, key, fields });
            }
        }
        Ok(())
    }

    /// The templates, where they are needed: those that the front gave are this block's.
    fn templates(
        &self,
        front: Option<Templates>,
        reader: &Reader<'_>,
    ) -> Result<Option<Templates>, CorruptBlock> {
        let (want, verdict) = (self.want, self.candidate.verdict);
        let are_needed =
            verdict == Verdict::Maybe || want.bodies || want.templates || !want.fields.is_empty();
        // The front was read as the directory of its split counts, the columns as they say.
        match front.filter(|front| front.of().len() == reader.columns().len()) {
            None if are_needed => reader.templates(),
            front => Ok(front),
        }
    }

    /// Decides what templates and levels decide; gives what the templates say that were asked.
    fn judge(
        &self,
        templates: &Templates,
        row: &dyn Fn(usize) -> Row,
        states: &mut [State],
    ) -> Vec<Option<Vec<Verdict>>> {
        let query = &self.request.query;
        let mut judged: Vec<Option<Vec<Verdict>>> = vec![None; templates.len()];
        let undecided = states.iter_mut().enumerate().filter(|(_, state)| **state == State::Undecided);
        for (at, state) in undecided {
            let number = templates.of()[at] as usize;
            let verdicts = judged[number].get_or_insert_with(|| self.on_template(templates, number));
            let row = row(at);
            *state = State::of(query.on_row(verdicts, row.time, row.level, row.source));
        }
        judged
    }

    /// Whether some template has records that may match.
    fn may_match(&self, templates: &Templates) -> bool {
        let query = &self.request.query;
        // Of its records' levels and times nothing is known here.
        let may = |number| query.verdict(&self.on_template(templates, number)) != Verdict::No;
        (0..templates.len()).any(may)
    }

    /// Takes out what stands behind the first that are wanted, of those that match for certain.
    fn keep_first(&self, states: &mut [State], record: impl Fn(usize) -> (i64, u64)) {
        let Some(first) = self.want.first else { return };
        let order = self.request.order;
        let certain = (0..states.len()).filter(|at| states[*at] == State::In).collect();
        let Some(last) = order::nth(order, first, certain, &record) else { return };
        for (at, state) in states.iter_mut().enumerate() {
            let (time, seq) = record(at);
            if order.place(time, "", seq) > last {
                *state = State::Out;
            }
        }
    }

    /// What the query's leaves are for the records of a template.
    pub fn on_template(&self, templates: &Templates, number: usize) -> Vec<Verdict> {
        let (key, letters) = (templates.key(number), templates.letters(number));
        self.request.query.on_spelt(&self.candidate.verdicts, key, letters)
    }

    /// Takes out the records of a template that lack what the query must find in them.
    fn sieve(
        &self,
        verdicts: &[Verdict],
        key: &[u8],
        template: &Template<'_>,
        members: &[u32],
        row: &dyn Fn(usize) -> Row,
        states: &[Cell<State>],
    ) {
        let time = |at: usize| row(members[at] as usize).time;
        let mut possible: Vec<(usize, Vec<bool>)> = Vec::new();
        for (leaf, runs) in self.request.query.needs(verdicts, key, || template.may_respell()) {
            let mut all = vec![true; members.len()];
            for run in runs {
                let mut rows = vec![false; members.len()];
                template.mark(run, &time, &mut rows);
                all.iter_mut().zip(rows).for_each(|(all, row)| *all &= row);
            }
            possible.push((leaf, all));
        }
        let lacking = self.request.query.beyond(verdicts, key, |letters| template.may_spell(letters));
        possible.extend(lacking.into_iter().map(|leaf| (leaf, vec![false; members.len()])));
        if possible.is_empty() {
            return;
        }
        let mut of_row = verdicts.to_vec();
        for (at, record) in members.iter().map(|record| *record as usize).enumerate() {
            if states[record].get() == State::Undecided {
                for (leaf, rows) in &possible {
                    of_row[*leaf] = if rows[at] { verdicts[*leaf] } else { Verdict::No };
                }
                let row = row(record);
                let verdict = self.request.query.on_row(&of_row, row.time, row.level, row.source);
                states[record].set(State::of(verdict));
            }
        }
    }

    fn matches_parts(&self, row: Row, body: &[u8]) -> bool {
        let candidate = self.candidate;
        candidate.verdict == Verdict::Yes
            || self.request.query.matches_parts(&candidate.verdicts, row.time, row.level, row.source, body)
    }

    fn matches(&self, record: &Record) -> bool {
        let candidate = self.candidate;
        candidate.verdict == Verdict::Yes || self.request.query.matches(&candidate.verdicts, record)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Out,
    In,
    Undecided,
}

impl State {
    pub fn of(verdict: Verdict) -> Self {
        match verdict {
            Verdict::No => State::Out,
            Verdict::Maybe => State::Undecided,
            Verdict::Yes => State::In,
        }
    }
}

/// Keys of records that have none yet.
#[derive(Default)]
struct Keys {
    key: Vec<u8>,
    variables: Vec<Variable>,
}

impl Keys {
    fn of(&mut self, record: &Record, want: Want<'_>) -> &[u8] {
        if !want.templates {
            return &[];
        }
        self.variables.clear();
        template::split(&record.body, record.time, &mut self.key, &mut self.variables);
        &self.key
    }
}

/// Values of wanted fields, one record after the other.
#[derive(Default)]
struct Values {
    values: Vec<Vec<String>>,
}

impl Values {
    fn of(&mut self, record: &Record, want: Want<'_>) -> &[Vec<String>] {
        if want.fields.is_empty() {
            return &[];
        }
        self.values.resize_with(want.fields.len(), Vec::new);
        let body = plain(&record.body);
        let fields = Fields::of(&body);
        for (name, values) in want.fields.iter().zip(&mut self.values) {
            values.clear();
            fields.values(name, values);
        }
        &self.values
    }
}
