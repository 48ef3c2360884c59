//! The tables: their columns with documentation, and their rows.
//!
//! `node`, `pod` and `container`: see [`usage`]. `decisions` has a row a decision.
//! A table is bound to what one user may see.

pub mod joined;
pub mod usage;

use std::{collections::HashMap, sync::Arc};

use datafusion::{
    arrow::{
        array::{
            ArrayRef, BooleanBuilder, Float64Builder, Int32Builder, Int64Builder, RecordBatch, StringBuilder,
            TimestampMicrosecondBuilder,
        },
        datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
        error::ArrowError,
    },
    common::Result,
};
use tiphys_api::decisions::Decision;

pub fn documented(name: &str, kind: DataType, nullable: bool, about: &str) -> Field {
    Field::new(name, kind, nullable)
        .with_metadata(HashMap::from([("description".to_owned(), about.to_owned())]))
}

pub fn time_column(about: &str) -> Field {
    documented("time", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false, about)
}

/// The columns of `decisions`.
pub fn decisions_schema() -> SchemaRef {
    let text = |name, about| documented(name, DataType::Utf8, false, about);
    let number = |name, about| documented(name, DataType::Int32, false, about);
    Arc::new(Schema::new(vec![
        time_column("when it was decided"),
        text("namespace", "the autoscaler's namespace"),
        text("autoscaler", "the HorizontalPodAutoscaler"),
        text("target", "what it scales, as Kind/name"),
        number("current_replicas", "replicas before"),
        number("desired_replicas", "replicas decided on"),
        number("min_replicas", "the lower limit"),
        number("max_replicas", "the upper limit"),
        number("proposed_replicas", "what the metrics asked for"),
        number("stabilized_replicas", "what stabilization made of it"),
        text("limited_by", "what held it back: a limit, a policy, stabilization, tolerance; or nothing"),
        text("reason", "the decision in words"),
        text("metrics", "each metric's reading and proposal, as JSON"),
        text("policy", "the policy behind scaleUpPolicy or scaleDownPolicy"),
        documented(
            "held_until",
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            true,
            "when what held it back lets go, if nothing new happens",
        ),
        documented("tolerance_up", DataType::Float64, false, "how far above 1 a ratio changes nothing"),
        documented("tolerance_down", DataType::Float64, false, "how far below 1 a ratio changes nothing"),
        documented("forecast", DataType::Int32, true, "what the same hours of past days asked for"),
        text("failure", "why metrics could not be used; empty when all could"),
        documented("sample_age_ms", DataType::Int64, false, "age of the newest sample, milliseconds"),
        documented("scaled", DataType::Boolean, false, "whether the target was changed"),
    ]))
}

/// Decisions as rows.
///
/// # Errors
/// None in practice.
pub fn decision_rows(decisions: &[Arc<Decision>]) -> Result<RecordBatch> {
    let mut time = TimestampMicrosecondBuilder::new().with_timezone("UTC");
    let mut until = TimestampMicrosecondBuilder::new().with_timezone("UTC");
    let mut forecast = Int32Builder::new();
    let mut tolerances = [Float64Builder::new(), Float64Builder::new()];
    let mut age = Int64Builder::new();
    let mut scaled = BooleanBuilder::new();
    let mut metrics = StringBuilder::new();
    for row in decisions {
        time.append_value(row.time);
        until.append_option(row.held_until);
        forecast.append_option(row.forecast);
        tolerances[0].append_value(row.tolerance_up);
        tolerances[1].append_value(row.tolerance_down);
        age.append_value(row.sample_age_ms);
        scaled.append_value(row.scaled);
        let json =
            serde_json::to_string(&row.metrics).map_err(|error| ArrowError::ExternalError(error.into()))?;
        metrics.append_value(json);
    }
    let text = |value: fn(&Decision) -> &str| -> ArrayRef {
        let mut builder = StringBuilder::new();
        decisions.iter().for_each(|row| builder.append_value(value(row)));
        Arc::new(builder.finish())
    };
    let number = |value: fn(&Decision) -> i32| -> ArrayRef {
        let mut builder = Int32Builder::new();
        decisions.iter().for_each(|row| builder.append_value(value(row)));
        Arc::new(builder.finish())
    };
    let [mut up, mut down] = tolerances;
    let columns: Vec<ArrayRef> = vec![
        Arc::new(time.finish()),
        text(|row| &row.namespace),
        text(|row| &row.autoscaler),
        text(|row| &row.target),
        number(|row| row.current_replicas),
        number(|row| row.desired_replicas),
        number(|row| row.min_replicas),
        number(|row| row.max_replicas),
        number(|row| row.proposed_replicas),
        number(|row| row.stabilized_replicas),
        text(|row| &row.limited_by),
        text(|row| &row.reason),
        Arc::new(metrics.finish()),
        text(|row| &row.policy),
        Arc::new(until.finish()),
        Arc::new(up.finish()),
        Arc::new(down.finish()),
        Arc::new(forecast.finish()),
        text(|row| &row.failure),
        Arc::new(age.finish()),
        Arc::new(scaled.finish()),
    ];
    Ok(RecordBatch::try_new(decisions_schema(), columns)?)
}
