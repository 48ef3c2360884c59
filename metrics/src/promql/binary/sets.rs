//! `and`, `or`, `unless`: which series stay.

use promql_parser::parser::token::{T_LAND, T_LOR};

use super::{
    super::{column::Column, error::QueryError, unique::unique},
    matching::{Signature, matches},
};

pub fn combine(
    op: u16,
    left: &[Column],
    right: &[Column],
    signature: &Signature,
) -> Result<Vec<Column>, QueryError> {
    let steps = left.iter().chain(right).map(|column| column.numbers.len()).max().unwrap_or_default();
    let (mut of_left, mut of_right) = (vec![None; left.len()], vec![None; right.len()]);
    for found in matches(left, right, signature) {
        let (deciding, others) = match op {
            T_LOR => (&found.left, &found.right),
            _ => (&found.right, &found.left),
        };
        let side = if op == T_LOR { left } else { right };
        let there: Vec<bool> =
            (0..steps).map(|step| deciding.iter().any(|number| side[*number].has(step))).collect();
        for number in others {
            let (from, into) = match op {
                T_LOR => (&right[*number], &mut of_right[*number]),
                _ => (&left[*number], &mut of_left[*number]),
            };
            let mut column = from.clone();
            column.retain(|step| there[step] == (op == T_LAND));
            *into = Some(column);
        }
    }
    let kept = of_left.into_iter().chain(of_right).flatten().filter(|column| !column.is_empty());
    if op == T_LOR {
        return unique(left.iter().cloned().chain(kept).collect());
    }
    Ok(kept.collect())
}
