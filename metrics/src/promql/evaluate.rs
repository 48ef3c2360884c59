//! Walks the query's tree and evaluates each part over all steps at once.
//!
//! ```text
//! Expr ─> selectors: fetched once for all steps ─> columns ─> functions, operators, aggregations ─> columns
//!         ranges: windows that slide over each series ─────^
//! ```
//!
//! A part's value is a row of numbers (scalar) or columns (vector). Between series it lets
//! others run, so a query that nobody waits for any more ends there.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use futures::{
    FutureExt,
    future::{BoxFuture, ready},
};
use parking_lot::Mutex;
use promql_parser::parser::{Call, Expr, value::ValueType};

use super::{
    aggregate, binary,
    budget::Share,
    column::{Column, without_name},
    error::QueryError,
    functions,
    grid::Grid,
    notes::{Note, Notes},
    selector,
    unique::unique,
};
use crate::series::{Missing, Select};

/// What a part of a query comes to.
#[derive(Debug, Clone, PartialEq)]
pub enum Evaluated {
    /// One number a step.
    Scalar(Vec<f64>),
    Vector(Vec<Column>),
    Text(String),
}

/// After so long others get a turn.
const TURN: Duration = Duration::from_millis(4);

pub struct Evaluator<'a> {
    pub source: &'a dyn Select,
    /// How old a sample may be that an instant selector takes, milliseconds.
    pub lookback: i64,
    /// Where the whole query starts and ends: what `@ start()` means, in subqueries too.
    pub whole: Grid,
    /// The step of subqueries that name none, milliseconds.
    pub subquery_step: i64,
    /// Samples and values that may be held at once.
    pub most: usize,
    pub held: AtomicUsize,
    /// What is held of what all queries together may.
    pub share: Share,
    pub notes: Mutex<Notes>,
    /// What can't be read of the series.
    pub missing: Missing,
    pub turn: Mutex<Instant>,
}

impl Evaluator<'_> {
    /// Evaluates a part. Each kind has a future of its own: one that could be any of them would take
    /// their room on the stack at each level of the query.
    pub fn eval<'b>(&'b self, expr: &'b Expr, grid: Grid) -> BoxFuture<'b, Result<Evaluated, QueryError>> {
        match expr {
            Expr::NumberLiteral(number) => {
                async move { Ok(Evaluated::Scalar(vec![number.val; grid.steps])) }.boxed()
            }
            Expr::StringLiteral(text) => async move { Ok(Evaluated::Text(text.val.clone())) }.boxed(),
            Expr::Paren(inner) => self.eval(&inner.expr, grid),
            Expr::Unary(unary) => async move { negate(self.eval(&unary.expr, grid).await?) }.boxed(),
            Expr::VectorSelector(chosen) => {
                async move { selector::instant(self, chosen, grid).await.map(Evaluated::Vector) }.boxed()
            }
            Expr::Call(call) => functions::call(self, call, grid).boxed(),
            Expr::Binary(binary) => binary::evaluate(self, binary, grid).boxed(),
            Expr::Aggregate(aggregate) => {
                async move { aggregate::evaluate(self, aggregate, grid).await.map(Evaluated::Vector) }.boxed()
            }
            Expr::MatrixSelector(_) | Expr::Subquery(_) => refused(
                "a range of samples stands where one value a step is wanted; put a function such as rate(...) around it",
            ),
            Expr::Extension(_) => refused("this kind of expression is not known"),
        }
    }

    /// A part that is a vector by its type.
    pub async fn vector(&self, expr: &Expr, grid: Grid) -> Result<Vec<Column>, QueryError> {
        match self.eval(expr, grid).await? {
            Evaluated::Vector(columns) => Ok(columns),
            _ => Err(wrong(ValueType::Vector)),
        }
    }

    /// A part that is a scalar by its type.
    pub async fn scalar(&self, expr: &Expr, grid: Grid) -> Result<Vec<f64>, QueryError> {
        match self.eval(expr, grid).await? {
            Evaluated::Scalar(numbers) => Ok(numbers),
            _ => Err(wrong(ValueType::Scalar)),
        }
    }

    pub fn note(&self, note: &Note) {
        self.notes.lock().add(note);
    }

    /// Lets others run when this query had its turn. Called between series.
    pub async fn breathe(&self) {
        if self.turn.lock().elapsed() > TURN {
            tokio::task::yield_now().await;
            *self.turn.lock() = Instant::now();
        }
    }

    /// Counts what is held from now on.
    pub fn hold(&self, count: usize) -> Result<(), QueryError> {
        let held = self.held.fetch_add(count, Ordering::Relaxed).saturating_add(count);
        if held > self.most { Err(QueryError::too_many(self.most)) } else { self.share.take(count) }
    }
}

fn refused(why: &'static str) -> BoxFuture<'static, Result<Evaluated, QueryError>> {
    ready(Err(QueryError::Invalid(why.to_owned()))).boxed()
}

fn wrong(wanted: ValueType) -> QueryError {
    QueryError::Invalid(format!("an expression of type {wanted} is wanted here"))
}

fn negate(value: Evaluated) -> Result<Evaluated, QueryError> {
    Ok(match value {
        Evaluated::Scalar(numbers) => Evaluated::Scalar(numbers.into_iter().map(|number| -number).collect()),
        Evaluated::Vector(columns) => {
            let negated = columns.into_iter().map(|mut column| {
                let histograms = std::mem::take(&mut column.histograms);
                let mut column = column.map(|number| -number);
                column.histograms = binary::scaled(&histograms, -1.0);
                column.labels = without_name(&column.labels);
                column
            });
            Evaluated::Vector(unique(negated.collect())?)
        }
        text @ Evaluated::Text(_) => text,
    })
}

/// The text that an argument must be.
pub fn text_argument(call: &Call, number: usize) -> Result<&str, QueryError> {
    let mut expr = call.args.args.get(number).map(AsRef::as_ref);
    while let Some(Expr::Paren(inner)) = expr {
        expr = Some(&inner.expr);
    }
    match expr {
        Some(Expr::StringLiteral(text)) => Ok(&text.val),
        _ => Err(QueryError::Invalid(format!(
            "argument {} of {}() must be a text in quotes",
            number + 1,
            call.func.name
        ))),
    }
}
