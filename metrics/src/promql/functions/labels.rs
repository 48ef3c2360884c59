//! `label_replace` and `label_join`: values stay, labels change.

use promql_parser::parser::Call;
use regex::Regex;

use super::{
    super::{
        braces,
        column::Column,
        error::QueryError,
        evaluate::{Evaluator, text_argument},
        grid::Grid,
        unique::unique,
    },
    argument,
};

pub async fn replace(evaluator: &Evaluator<'_>, call: &Call, grid: Grid) -> Result<Vec<Column>, QueryError> {
    let text = |number| text_argument(call, number);
    let (target, replacement, source, pattern) = (text(1)?, text(2)?, text(3)?, text(4)?);
    valid(target, "destination", "label_replace")?;
    let pattern = Regex::new(&format!("^(?s:{})$", braces::literal(pattern))).map_err(|error| {
        QueryError::Execution(format!("invalid regular expression in label_replace(): {pattern}: {error}"))
    })?;
    let mut columns = evaluator.vector(argument(call, 0)?, grid).await?;
    for column in &mut columns {
        let value = column.labels.get(source).unwrap_or_default();
        if let Some(found) = pattern.captures(value) {
            let mut new = String::new();
            found.expand(replacement, &mut new);
            let mut labels = column.labels.edit();
            labels.set(target, &new);
            column.labels = labels.finish();
        }
    }
    unique(columns)
}

pub async fn join(evaluator: &Evaluator<'_>, call: &Call, grid: Grid) -> Result<Vec<Column>, QueryError> {
    let (target, separator) = (text_argument(call, 1)?, text_argument(call, 2)?);
    let sources: Result<Vec<_>, _> =
        (3..call.args.args.len()).map(|number| text_argument(call, number)).collect();
    let sources = sources?;
    valid(target, "destination", "label_join")?;
    for source in &sources {
        valid(source, "source", "label_join")?;
    }
    let mut columns = evaluator.vector(argument(call, 0)?, grid).await?;
    for column in &mut columns {
        let values: Vec<_> =
            sources.iter().map(|source| column.labels.get(source).unwrap_or_default()).collect();
        let mut labels = column.labels.edit();
        labels.set(target, &values.join(separator));
        column.labels = labels.finish();
    }
    unique(columns)
}

fn valid(name: &str, which: &str, function: &str) -> Result<(), QueryError> {
    if name.is_empty() {
        return Err(QueryError::Execution(format!("invalid {which} label name in {function}(): {name}")));
    }
    Ok(())
}
