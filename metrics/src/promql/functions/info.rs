//! `info`: labels of another series that says more about the same target.

use std::collections::HashMap;

use promql_parser::parser::{Call, Expr, VectorSelector};

use super::{
    super::{
        column::Column,
        error::QueryError,
        evaluate::Evaluator,
        grid::Grid,
        selector::{self, matchers},
        unique::unique,
    },
    argument,
};
use crate::series::{Labels, Matcher, NAME};

/// By these labels an info series belongs to others.
const IDENTITY: [&str; 2] = ["instance", "job"];
/// The info metric where none is named.
const TARGET: &str = "target_info";

pub async fn info(evaluator: &Evaluator<'_>, call: &Call, grid: Grid) -> Result<Vec<Column>, QueryError> {
    let base = evaluator.vector(argument(call, 0)?, grid).await?;
    let mut selector = match call.args.args.get(1).map(AsRef::as_ref) {
        None => VectorSelector::default(),
        Some(Expr::VectorSelector(selector)) => selector.clone(),
        Some(_) => {
            return Err(QueryError::Invalid("argument 2 of info() must be a selector of labels".into()));
        }
    };
    let mut wanted = matchers(&selector)?;
    let named: Vec<_> = wanted.iter().filter(|matcher| matcher.name == NAME).cloned().collect();
    wanted.retain(|matcher| matcher.name != NAME);
    if named.is_empty() {
        selector.name = Some(TARGET.to_owned());
    }
    let is_info = |name: &str| match named.is_empty() {
        true => name == TARGET,
        false => named.iter().all(|matcher| matcher.matches(name)),
    };
    let infos = selector::instant(evaluator, &selector, grid).await?;
    let mut by_identity: HashMap<Labels, Vec<&Column>> = HashMap::new();
    for column in &infos {
        by_identity.entry(column.labels.keep(&IDENTITY)).or_default().push(column);
    }
    let mut found = Vec::new();
    for column in base {
        evaluator.breathe().await;
        match by_identity.get(&column.labels.keep(&IDENTITY)) {
            Some(infos) if !is_info(column.labels.name()) => found.extend(joined(&column, infos, &wanted)?),
            None if !is_info(column.labels.name()) && !wanted.iter().all(Matcher::matches_absent) => {}
            _ => found.push(column),
        }
    }
    unique(found)
}

/// A series with the labels of the info series that is there at each step.
fn joined(column: &Column, infos: &[&Column], wanted: &[Matcher]) -> Result<Vec<Column>, QueryError> {
    let mut by_labels: Vec<Column> = Vec::new();
    for step in (0..column.numbers.len()).filter(|step| column.has(*step)) {
        let mut labels = column.labels.edit();
        let there: Vec<_> = infos.iter().filter(|info| info.has(step)).collect();
        if there.is_empty() && !wanted.iter().all(Matcher::matches_absent) {
            continue;
        }
        for info in there {
            for (name, value) in info.labels.iter() {
                let is_wanted = wanted.is_empty() || wanted.iter().any(|matcher| matcher.name == name);
                if name == NAME || IDENTITY.contains(&name) || !is_wanted || column.labels.get(name).is_some()
                {
                    continue;
                }
                if labels.get(name).is_some_and(|other| other != value) {
                    return Err(QueryError::Execution(format!(
                        "conflicting label {name:?} of info series of the same target"
                    )));
                }
                labels.set(name, value);
            }
        }
        let labels = labels.finish();
        let place = by_labels.iter().position(|known| known.labels == labels).unwrap_or_else(|| {
            by_labels.push(Column::new(labels, column.numbers.len()));
            by_labels.len() - 1
        });
        by_labels[place].set(step, column.cell(step));
    }
    Ok(by_labels)
}
