//! Operators between two vectors: one series with one, or many with one.
//!
//! Series are matched once. Whether a match is ambiguous depends on what is there at a
//! step, so that is looked at only where more than two series share the labels that decide.

use std::collections::HashMap;

use promql_parser::parser::{BinaryExpr, VectorMatchCardinality, VectorMatchFillValues};

use super::{
    super::{
        column::{Cell, Column, is_absent, without_name},
        error::QueryError,
        unique::unique,
    },
    Said,
    matching::{Match, Signature, matches},
    operator::Operator,
};
use crate::series::Labels;

/// How two vectors are combined. `many` and `one` are the sides; swapped for `group_right`.
struct Combine<'a> {
    operator: Operator,
    as_bool: bool,
    signature: Signature,
    /// Labels taken from the one side; absent where each series has one partner.
    group: Option<&'a [String]>,
    swapped: bool,
    many: &'a [Column],
    one: &'a [Column],
}

pub fn combine(
    operator: Operator,
    left: &[Column],
    right: &[Column],
    binary: &BinaryExpr,
    said: &mut Said,
) -> Result<Vec<Column>, QueryError> {
    let modifier = binary.modifier.as_ref();
    let fill = modifier.map(|modifier| modifier.fill_values.clone()).unwrap_or_default();
    let signature = Signature::of(modifier);
    let with_constants;
    let (left, right) = if fill.lhs.is_none() && fill.rhs.is_none() {
        (left, right)
    } else {
        with_constants = filled(left, right, &signature, &fill);
        (&with_constants.0[..], &with_constants.1[..])
    };
    let group = modifier.and_then(|modifier| modifier.card.labels()).map(|labels| labels.labels.as_slice());
    let swapped =
        modifier.is_some_and(|modifier| matches!(modifier.card, VectorMatchCardinality::OneToMany(_)));
    let (many, one) = if swapped { (right, left) } else { (left, right) };
    let combine = Combine { operator, as_bool: binary.return_bool(), signature, group, swapped, many, one };
    let mut found = Vec::new();
    for matched in matches(many, one, &combine.signature) {
        if !matched.left.is_empty() && !matched.right.is_empty() {
            combine.matched(&matched, &mut found, said)?;
        }
    }
    found.retain(|column| !column.is_empty());
    unique(found)
}

impl Combine<'_> {
    fn matched(&self, matched: &Match, found: &mut Vec<Column>, said: &mut Said) -> Result<(), QueryError> {
        if matched.right.len() > 1 {
            self.check_one_side(matched)?;
        }
        let mut by_labels: HashMap<Labels, Vec<(usize, usize)>> = HashMap::new();
        let mut order = Vec::new();
        for many in &matched.left {
            for one in &matched.right {
                let labels = self.labels(&self.many[*many].labels, &self.one[*one].labels);
                // Of one-to-one matches all are checked together, whatever their labels become.
                by_labels
                    .entry(labels.clone())
                    .or_insert_with(|| {
                        order.push(labels);
                        Vec::new()
                    })
                    .push((*many, *one));
            }
        }
        if self.group.is_none() && matched.left.len() > 1 {
            let all: Vec<_> = by_labels.values().flatten().copied().collect();
            self.check_pairs(&all, "many-to-one matching must be explicit (group_left/group_right)")?;
        }
        for labels in order {
            let pairs = &by_labels[&labels];
            if self.group.is_some() && pairs.len() > 1 {
                self.check_pairs(pairs, "grouping labels must ensure unique matches")?;
            }
            let columns = pairs
                .iter()
                .map(|(many, one)| self.pair(&self.many[*many], &self.one[*one], labels.clone(), said));
            found.extend(columns.collect::<Vec<_>>());
        }
        Ok(())
    }

    /// One series with another, step by step.
    fn pair(&self, many: &Column, one: &Column, labels: Labels, said: &mut Said) -> Column {
        let (left, right) = if self.swapped { (one, many) } else { (many, one) };
        if left.has_histograms() || right.has_histograms() {
            let mut column = Column::new(labels, left.numbers.len());
            for step in 0..left.numbers.len() {
                column.set(
                    step,
                    self.operator.of_cells(&left.cell(step), &right.cell(step), self.as_bool, said),
                );
            }
            return column;
        }
        let compute = |(left, right): (&f64, &f64)| {
            if is_absent(*left) {
                *left
            } else if is_absent(*right) {
                *right
            } else {
                self.operator.of_numbers(*left, *right, *left, self.as_bool)
            }
        };
        Column::of_numbers(labels, left.numbers.iter().zip(&right.numbers).map(compute).collect())
    }

    fn labels(&self, many: &Labels, one: &Labels) -> Labels {
        let base =
            if self.operator.changes_meaning() || self.as_bool { without_name(many) } else { many.clone() };
        match self.group {
            None if self.signature.on => base.keep(&self.signature.names),
            None if self.signature.names.is_empty() => base,
            None => base.without(&self.signature.names),
            Some([]) => base,
            Some(names) => {
                let mut labels = base.edit();
                for name in names {
                    labels.set(name, one.get(name).unwrap_or_default());
                }
                labels.finish()
            }
        }
    }

    /// At no step two series of the one side.
    fn check_one_side(&self, matched: &Match) -> Result<(), QueryError> {
        let steps = self.one[matched.right[0]].numbers.len();
        for step in 0..steps {
            let mut there = matched.right.iter().map(|one| &self.one[*one]).filter(|one| one.has(step));
            if let (Some(first), Some(second)) = (there.next(), there.next()) {
                let side = if self.swapped { "left" } else { "right" };
                return Err(QueryError::Execution(format!(
                    "found duplicate series for the match group {} on the {side} hand-side of the operation: [{}, {}];many-to-many matching not allowed: matching labels must be unique on one side",
                    bare(&matched.labels),
                    bare(&first.labels),
                    bare(&second.labels),
                )));
            }
        }
        Ok(())
    }

    /// At no step two pairs.
    fn check_pairs(&self, pairs: &[(usize, usize)], sentence: &str) -> Result<(), QueryError> {
        let steps = self.many[pairs[0].0].numbers.len();
        let both = |step: usize| {
            let there =
                |(many, one): &&(usize, usize)| self.many[*many].has(step) && self.one[*one].has(step);
            pairs.iter().filter(there).count()
        };
        if (0..steps).any(|step| both(step) > 1) {
            return Err(QueryError::Execution(format!("multiple matches for labels: {sentence}")));
        }
        Ok(())
    }
}

/// Labels as Prometheus' errors have them, the name among them.
fn bare(labels: &Labels) -> String {
    let pairs: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{{{}}}", pairs.join(", "))
}

/// Both sides, with series of a constant where `fill` puts one for a missing partner.
fn filled(
    left: &[Column],
    right: &[Column],
    signature: &Signature,
    fill: &VectorMatchFillValues,
) -> (Vec<Column>, Vec<Column>) {
    let (mut all_left, mut all_right) = (left.to_vec(), right.to_vec());
    for matched in matches(left, right, signature) {
        let sides = [
            (&matched.left, left, &mut all_left, &matched.right, right, fill.lhs),
            (&matched.right, right, &mut all_right, &matched.left, left, fill.rhs),
        ];
        for (own, own_side, into, partners, partner_side, number) in sides {
            let Some(number) = number else { continue };
            let steps = own_side.iter().chain(partner_side).map(|column| column.numbers.len()).max();
            let mut column = Column::new(matched.labels.clone(), steps.unwrap_or_default());
            for step in 0..column.numbers.len() {
                let is_there =
                    |side: &[Column], places: &[usize]| places.iter().any(|at| side[*at].has(step));
                if !is_there(own_side, own) && is_there(partner_side, partners) {
                    column.set(step, Cell::Number(number));
                }
            }
            if !column.is_empty() {
                into.push(column);
            }
        }
    }
    (all_left, all_right)
}
