//! Fields of a block's records from the columns of their variables: what predicates
//! and statistics ask for without putting a body together, where that is exact.
//!
//! A template whose [`Form`] has all values in its text is decided without a look at
//! its columns; of the others the columns are read, and what is still open is left
//! to the bodies.

use std::collections::HashMap;

use super::look::{Row, State, Want};
use crate::{
    block::{
        CorruptBlock, Reader, Templates,
        template::{FieldValue, Form, Template},
    },
    query::compile::{Compiled, Verdict},
};

/// Values of the wanted fields, by record.
pub(super) type FieldsOf = HashMap<usize, Vec<Vec<String>>>;

/// What is asked of a template's columns.
struct Plan {
    form: Form,
    /// The query's leaves that are open, with the values of their fields.
    leaves: Vec<(usize, Vec<FieldValue>)>,
    /// The values of each wanted field, if all are known.
    fields: Option<Vec<Vec<FieldValue>>>,
}

impl Plan {
    /// The wanted fields, if all records of the template have the same.
    fn fixed_fields(&self) -> Option<Vec<Vec<String>>> {
        let fixed = |value: &FieldValue| match value {
            FieldValue::Fixed(text) => Some(text.clone()),
            FieldValue::Variable(_) => None,
        };
        let fields = self.fields.as_ref().filter(|_| self.form.is_certain())?;
        fields.iter().map(|values| values.iter().map(fixed).collect()).collect()
    }
}

/// A block's records on the way to be decided.
pub(super) struct Undecided<'a> {
    pub query: &'a Compiled,
    pub want: Want<'a>,
    pub templates: &'a Templates,
    /// What templates say, where that was asked.
    pub judged: Vec<Option<Vec<Verdict>>>,
    pub row: &'a dyn Fn(usize) -> Row,
    pub states: &'a mut [State],
}

impl Undecided<'_> {
    /// Decides what columns decide, and reads wanted fields where they tell them.
    pub fn read(mut self, reader: &Reader<'_>) -> Result<FieldsOf, CorruptBlock> {
        let mut fields = FieldsOf::new();
        if self.query.field_leaves().next().is_none() && self.want.fields.is_empty() {
            return Ok(fields);
        }
        let mut plans = self.plans();
        for (number, plan) in plans.iter_mut().enumerate() {
            let Some(certain) = plan.as_mut().filter(|plan| plan.form.is_certain()) else { continue };
            self.judge_fixed(number, certain);
        }
        let columns = self.needed(&plans);
        let templates = self.templates;
        let mut open = |number: usize, template: &Template<'_>, records: &[u32]| {
            if let Some(plan) = plans[number].as_ref().filter(|plan| plan.form.fits(template)) {
                self.take_in(number, plan, template, records, &mut fields)?;
            }
            Some(())
        };
        if columns.contains(&true) {
            reader.each_template(templates, |number| columns[number], &mut open)?;
        }
        for (at, number) in templates.of().iter().enumerate() {
            if self.states[at] == State::In
                && let Some(fixed) = plans[*number as usize].as_ref().and_then(Plan::fixed_fields)
            {
                fields.entry(at).or_insert(fixed);
            }
        }
        Ok(fields)
    }

    fn plans(&self) -> Vec<Option<Plan>> {
        let mut asked = vec![false; self.templates.len()];
        for (state, number) in self.states.iter().zip(self.templates.of()) {
            asked[*number as usize] |= *state != State::Out;
        }
        let plan = |(number, asked): (usize, bool)| if asked { self.plan(number) } else { None };
        asked.into_iter().enumerate().map(plan).collect()
    }

    fn plan(&self, number: usize) -> Option<Plan> {
        let form = Form::of(self.templates.key(number))?;
        let mut leaves = Vec::new();
        if let Some(verdicts) = &self.judged[number] {
            for (leaf, name) in
                self.query.field_leaves().filter(|(leaf, _)| verdicts[*leaf] == Verdict::Maybe)
            {
                leaves.extend(form.values(name).map(|values| (leaf, values)));
            }
        }
        let wanted = !self.want.fields.is_empty() && !self.want.bodies;
        let fields: Option<Vec<_>> =
            if wanted { self.want.fields.iter().map(|name| form.values(name)).collect() } else { None };
        (!leaves.is_empty() || fields.is_some()).then_some(Plan { form, leaves, fields })
    }

    /// Leaves whose values are the same for all records of a template.
    fn judge_fixed(&mut self, number: usize, plan: &mut Plan) {
        let Some(verdicts) = self.judged[number].as_mut() else { return };
        let before = plan.leaves.len();
        plan.leaves.retain(|(leaf, values)| {
            let fixed: Option<Vec<&str>> = values
                .iter()
                .map(|value| match value {
                    FieldValue::Fixed(text) => Some(text.as_str()),
                    FieldValue::Variable(_) => None,
                })
                .collect();
            let Some(fixed) = fixed else { return true };
            verdicts[*leaf] = self.query.on_values(*leaf, fixed.into_iter());
            false
        });
        if plan.leaves.len() < before {
            let verdicts = verdicts.clone();
            for at in 0..self.states.len() {
                if self.templates.of()[at] as usize == number {
                    self.decide(at, &verdicts);
                }
            }
        }
    }

    fn decide(&mut self, at: usize, verdicts: &[Verdict]) {
        if self.states[at] == State::Undecided {
            let row = (self.row)(at);
            self.states[at] = State::of(self.query.on_row(verdicts, row.time, row.level, row.source));
        }
    }

    /// The templates whose columns tell something yet.
    fn needed(&self, plans: &[Option<Plan>]) -> Vec<bool> {
        let mut needed = vec![false; plans.len()];
        let fixed = |plan: &Option<Plan>| plan.as_ref().is_some_and(|plan| plan.fixed_fields().is_some());
        let fixed: Vec<bool> = plans.iter().map(fixed).collect();
        for (state, number) in self.states.iter().zip(self.templates.of()) {
            let number = *number as usize;
            let Some(plan) = &plans[number] else { continue };
            needed[number] |= match state {
                State::Out => false,
                State::In => plan.fields.is_some() && !fixed[number],
                State::Undecided => !plan.leaves.is_empty(),
            };
        }
        needed
    }

    /// The records of a template, with its columns.
    fn take_in(
        &mut self,
        number: usize,
        plan: &Plan,
        template: &Template<'_>,
        records: &[u32],
        fields: &mut FieldsOf,
    ) -> Option<()> {
        let mut verdicts = self.judged[number].clone().unwrap_or_default();
        let mut buffer = Vec::new();
        for (at, record) in records.iter().map(|record| *record as usize).enumerate() {
            let time = (self.row)(record).time;
            let read = |value: &FieldValue| match value {
                FieldValue::Fixed(text) => Some(text.clone()),
                FieldValue::Variable(text) => text.read(template, at, time),
            };
            if self.states[record] == State::Undecided && !plan.leaves.is_empty() {
                for (leaf, values) in &plan.leaves {
                    verdicts[*leaf] = match values.as_slice() {
                        [FieldValue::Variable(text)] => {
                            let value = text.read_into(&mut buffer, template, at, time)?;
                            self.query.on_values(*leaf, [value].into_iter())
                        }
                        several => {
                            let values: Vec<String> = several.iter().map(read).collect::<Option<_>>()?;
                            self.query.on_values(*leaf, values.iter())
                        }
                    };
                }
                self.decide(record, &verdicts);
            }
            if self.states[record] == State::In
                && let Some(wanted) = &plan.fields
            {
                let all = wanted.iter().map(|values| values.iter().map(read).collect::<Option<_>>());
                fields.insert(record, all.collect::<Option<_>>()?);
            }
        }
        Some(())
    }
}
