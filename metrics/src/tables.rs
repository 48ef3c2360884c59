//! The tables: their columns with documentation, and their rows.
//!
//! `node`, `pod` and `container` are one table each over memory's series of that
//! level: who it is, then a column a figure and a column a rate. `decisions` has
//! a row a decision. A table is bound to what one user may see.

use std::{collections::HashMap, sync::Arc};

use datafusion::{
    arrow::{
        array::{
            ArrayRef, BooleanBuilder, Float64Builder, Int32Builder, Int64Builder, RecordBatch, StringBuilder,
            TimestampMicrosecondBuilder, UInt64Builder,
        },
        datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
        error::ArrowError,
    },
    common::Result,
};
use tiphys_api::decisions::Decision;

use crate::{
    figures::{FIGURES, Kind},
    memory::{Level, Memory, Point, SeriesKey, rate},
    scope::Scope,
};

/// Rows of one batch at most.
const BATCH: usize = 8192;

pub fn documented(name: &str, kind: DataType, nullable: bool, about: &str) -> Field {
    Field::new(name, kind, nullable)
        .with_metadata(HashMap::from([("description".to_owned(), about.to_owned())]))
}

fn time_column(about: &str) -> Field {
    documented("time", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false, about)
}

/// The columns of `node`, `pod` or `container`.
pub fn usage_schema(level: Level) -> SchemaRef {
    let mut fields = vec![time_column("when the figures were read")];
    let names: &[(&str, &str)] = match level {
        Level::Node => &[("node", "the node")],
        Level::Pod => &[("namespace", "the Pod's namespace"), ("pod", "the Pod"), ("node", "where it ran")],
        Level::Container => &[
            ("namespace", "the Pod's namespace"),
            ("pod", "the Pod"),
            ("container", "the container"),
            ("node", "where it ran"),
        ],
    };
    fields.extend(names.iter().map(|(name, about)| documented(name, DataType::Utf8, false, about)));
    for figure in FIGURES {
        if let Kind::Counter { rate, about, .. } = figure.kind {
            fields.push(documented(rate, DataType::Float64, true, about));
        }
        fields.push(documented(figure.name, DataType::UInt64, false, figure.about));
    }
    Arc::new(Schema::new(fields))
}

/// The rows of a level that a user sees, in order of series and time.
///
/// # Errors
/// None in practice: the columns are made from the same list as the schema.
pub fn usage_rows(level: Level, memory: &Memory, scope: &Scope) -> Result<Vec<RecordBatch>> {
    let mut rows = UsageRows::new(level);
    let mut result = Ok(());
    memory.visit(level, |key, ring| {
        let visible =
            if level == Level::Node { scope.sees_nodes() } else { scope.sees_namespace(&key.namespace) };
        if !visible || result.is_err() {
            return;
        }
        let mut before = None;
        for point in ring.points() {
            rows.push(key, before.as_ref(), &point);
            before = Some(point);
            if rows.length == BATCH {
                result = rows.finish();
            }
        }
    });
    result?;
    rows.finish()?;
    Ok(rows.batches)
}

struct UsageRows {
    level: Level,
    schema: SchemaRef,
    time: TimestampMicrosecondBuilder,
    names: Vec<StringBuilder>,
    rates: Vec<Float64Builder>,
    values: Vec<UInt64Builder>,
    length: usize,
    batches: Vec<RecordBatch>,
}

impl UsageRows {
    fn new(level: Level) -> Self {
        let schema = usage_schema(level);
        let names = schema.fields().iter().filter(|field| field.data_type() == &DataType::Utf8).count();
        Self {
            level,
            schema,
            time: TimestampMicrosecondBuilder::new().with_timezone("UTC"),
            names: (0..names).map(|_| StringBuilder::new()).collect(),
            rates: FIGURES.iter().map(|_| Float64Builder::new()).collect(),
            values: FIGURES.iter().map(|_| UInt64Builder::new()).collect(),
            length: 0,
            batches: Vec::new(),
        }
    }

    fn push(&mut self, key: &SeriesKey, before: Option<&Point>, point: &Point) {
        self.time.append_value(point.time);
        let names: &[&str] = match self.level {
            Level::Node => &[&key.node],
            Level::Pod => &[&key.namespace, &key.pod, &key.node],
            Level::Container => &[&key.namespace, &key.pod, &key.container, &key.node],
        };
        for (builder, name) in self.names.iter_mut().zip(names) {
            builder.append_value(name);
        }
        for ((figure, rates), values) in FIGURES.iter().zip(&mut self.rates).zip(&mut self.values) {
            if let Kind::Counter { scale, .. } = figure.kind {
                rates.append_option(before.map(|before| rate(figure, before, point) * scale));
            }
            values.append_value((figure.value)(&point.usage));
        }
        self.length += 1;
    }

    fn finish(&mut self) -> Result<()> {
        if self.length == 0 {
            return Ok(());
        }
        let mut columns: Vec<ArrayRef> = vec![Arc::new(self.time.finish())];
        columns.extend(self.names.iter_mut().map(|names| Arc::new(names.finish()) as ArrayRef));
        for ((figure, rates), values) in FIGURES.iter().zip(&mut self.rates).zip(&mut self.values) {
            if matches!(figure.kind, Kind::Counter { .. }) {
                columns.push(Arc::new(rates.finish()));
            }
            columns.push(Arc::new(values.finish()));
        }
        self.time = TimestampMicrosecondBuilder::new().with_timezone("UTC");
        self.length = 0;
        self.batches.push(RecordBatch::try_new(self.schema.clone(), columns)?);
        Ok(())
    }
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

/// The decisions that a user sees.
///
/// # Errors
/// None in practice.
pub fn decision_rows(decisions: &[Arc<Decision>], scope: &Scope) -> Result<Vec<RecordBatch>> {
    let visible: Vec<_> = decisions.iter().filter(|row| scope.sees_namespace(&row.namespace)).collect();
    if visible.is_empty() {
        return Ok(Vec::new());
    }
    let mut time = TimestampMicrosecondBuilder::new().with_timezone("UTC");
    let mut until = TimestampMicrosecondBuilder::new().with_timezone("UTC");
    let mut forecast = Int32Builder::new();
    let mut tolerances = [Float64Builder::new(), Float64Builder::new()];
    let mut age = Int64Builder::new();
    let mut scaled = BooleanBuilder::new();
    let mut metrics = StringBuilder::new();
    for row in &visible {
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
        visible.iter().for_each(|row| builder.append_value(value(row)));
        Arc::new(builder.finish())
    };
    let number = |value: fn(&Decision) -> i32| -> ArrayRef {
        let mut builder = Int32Builder::new();
        visible.iter().for_each(|row| builder.append_value(value(row)));
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
    Ok(vec![RecordBatch::try_new(decisions_schema(), columns)?])
}
