//! `allOf`, `anyOf`, `oneOf` and `not`.

use serde_json::Value;

use super::{Outcome, walk};
use crate::custom::{Structural, path::Path};

pub fn check(schema: &Structural, value: &Value, at: &Path<'_>, out: &mut Outcome) {
    any_of(schema, value, at, out);
    one_of(schema, value, at, out);
    all_of(schema, value, at, out);
    if let Some(not) = &schema.not
        && of_branch(not, value, at).errors.is_empty()
    {
        out.composite(format!("{:?} must not validate the schema (not)", at.to_string()));
    }
    out.passed += 1;
}

fn of_branch(branch: &Structural, value: &Value, at: &Path<'_>) -> Outcome {
    let mut outcome = Outcome::default();
    walk(branch, value, None, at, &mut outcome);
    outcome
}

fn any_of(schema: &Structural, value: &Value, at: &Path<'_>, out: &mut Outcome) {
    if schema.any_of.is_empty() {
        return;
    }
    let mut best: Option<Outcome> = None;
    for branch in &schema.any_of {
        let outcome = of_branch(branch, value, at);
        if outcome.errors.is_empty() {
            return out.merge(outcome);
        }
        if best.as_ref().is_none_or(|best| outcome.passed > best.passed) {
            best = Some(outcome);
        }
    }
    out.composite(format!("{:?} must validate at least one schema (anyOf)", at.to_string()));
    best.into_iter().for_each(|best| out.merge(best));
}

fn one_of(schema: &Structural, value: &Value, at: &Path<'_>, out: &mut Outcome) {
    if schema.one_of.is_empty() {
        return;
    }
    let mut best: Option<Outcome> = None;
    let mut n_valid = 0;
    for branch in &schema.one_of {
        let outcome = of_branch(branch, value, at);
        if outcome.errors.is_empty() {
            n_valid += 1;
        } else if best.as_ref().is_none_or(|best| outcome.passed > best.passed) {
            best = Some(outcome);
        }
    }
    let why = match n_valid {
        1 => return,
        0 => "Found none valid".to_owned(),
        n => format!("Found {n} valid alternatives"),
    };
    out.composite(format!("{:?} must validate one and only one schema (oneOf). {why}", at.to_string()));
    if n_valid == 0 {
        best.into_iter().for_each(|best| out.merge(best));
    }
}

fn all_of(schema: &Structural, value: &Value, at: &Path<'_>, out: &mut Outcome) {
    let mut n_valid = 0;
    for branch in &schema.all_of {
        let outcome = of_branch(branch, value, at);
        n_valid += usize::from(outcome.errors.is_empty());
        out.merge(outcome);
    }
    if n_valid < schema.all_of.len() {
        let none = if n_valid == 0 { ". None validated" } else { "" };
        out.composite(format!("{:?} must validate all the schemas (allOf){none}", at.to_string()));
    }
}
