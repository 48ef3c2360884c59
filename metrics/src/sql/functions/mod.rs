//! What people ask of measurements and SQL has no word for: one list, registered in
//! every session and described by the table `functions`.

mod buckets;
mod counters;
mod grouped;
mod growth;
mod histogram;
pub mod json;
pub mod native;
mod pairs;

use std::sync::Arc;

use datafusion::{
    common::Result,
    execution::FunctionRegistry,
    logical_expr::{AggregateUDF, ScalarUDF},
    prelude::SessionContext,
};

/// Adds them to a session.
///
/// # Errors
/// None in practice: the session takes any name.
pub fn register(session: &SessionContext) -> Result<()> {
    for function in counters::all() {
        session.register_udaf(AggregateUDF::from(function));
    }
    session.register_udaf(AggregateUDF::from(histogram::HistogramQuantile::default()));
    session.register_udf(ScalarUDF::from(buckets::TimeBucket::default()));
    for function in json::all() {
        session.register_udf(ScalarUDF::from(function));
    }
    session.state_ref().write().register_expr_planner(Arc::new(json::Operators))
}
