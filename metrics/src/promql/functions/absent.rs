//! `absent` and `absent_over_time`: 1 at the steps where nothing is there.

use std::collections::HashSet;

use futures::StreamExt;
use promql_parser::{
    label::{MatchOp, Matchers},
    parser::Expr,
};

use super::super::{
    column::{ABSENT, Column},
    error::QueryError,
    evaluate::Evaluator,
    grid::Grid,
    window::{Known, ranges},
};
use crate::series::{Labels, LabelsBuilder, NAME};

pub async fn absent(
    evaluator: &Evaluator<'_>,
    argument: &Expr,
    grid: Grid,
) -> Result<Vec<Column>, QueryError> {
    let columns = evaluator.vector(argument, grid).await?;
    let there = |step: usize| columns.iter().any(|column| column.has(step));
    Ok(ones(argument, (0..grid.steps).map(there)))
}

pub async fn absent_over_time(
    evaluator: &Evaluator<'_>,
    argument: &Expr,
    grid: Grid,
) -> Result<Vec<Column>, QueryError> {
    let found = ranges(evaluator, argument, grid).await?;
    let windows = found.windows;
    let mut found = found.each(move |tracks| {
        let (mut there, mut known) = (vec![false; grid.steps], Known::default());
        for track in tracks {
            windows.slide(&track?, &mut known, |step, _| {
                there[step] = true;
                super::Cell::Nothing
            });
        }
        Ok(there)
    });
    let mut there = vec![false; grid.steps];
    while let Some(more) = found.next().await.transpose()? {
        there.iter_mut().zip(more).for_each(|(there, more)| *there |= more);
        evaluator.breathe().await;
    }
    Ok(ones(argument, there.into_iter()))
}

fn ones(argument: &Expr, there: impl Iterator<Item = bool>) -> Vec<Column> {
    let numbers = there.map(|there| if there { ABSENT } else { 1.0 }).collect();
    let column = Column::of_numbers(labels_of(argument), numbers);
    if column.is_empty() { Vec::new() } else { vec![column] }
}

/// The labels that a selector states exactly and once.
fn labels_of(argument: &Expr) -> Labels {
    let matchers: &Matchers = match argument {
        Expr::Paren(inner) => return labels_of(&inner.expr),
        Expr::VectorSelector(selector) => &selector.matchers,
        Expr::MatrixSelector(selector) => &selector.vs.matchers,
        _ => return Labels::default(),
    };
    let mut builder = LabelsBuilder::default();
    let mut seen = HashSet::new();
    for matcher in matchers.matchers.iter().filter(|matcher| matcher.name != NAME) {
        let states = matcher.op == MatchOp::Equal && seen.insert(&matcher.name);
        builder.set(&matcher.name, if states { &matcher.value } else { "" });
    }
    builder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_stated_once_are_known() {
        let labels = |query| labels_of(&promql_parser::parser::parse(query).expect("valid"));
        assert_eq!(labels(r#"up{job="a",b!="c",x="1",x="2",y=~"z"}"#), Labels::new([("job", "a")]));
        assert_eq!(labels(r#"up{job="a"}[5m]"#), Labels::new([("job", "a")]));
        assert_eq!(labels("sum(up)"), Labels::default());
    }
}
