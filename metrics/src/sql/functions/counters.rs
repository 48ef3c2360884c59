//! `rate`, `increase`, `first` and `last`: a value over time, whatever order its rows come in.
//!
//! A counter that falls began anew: what it shows then has been counted since. `rate` is
//! the increase over the time between the first and the last sample, without guessing
//! what was before and after; so it is lower than PromQL's where samples are few. Where a
//! value is no number, neither is the growth. Texts, which histograms are, have it in
//! [`growth`](super::growth); where there is a `group by`, [`grouped`](super::grouped) keeps the samples.

use std::{mem::size_of, sync::Arc};

use datafusion::{
    arrow::{
        array::{ArrayRef, AsArray, Float64Array, Int64Array},
        datatypes::{DataType, FieldRef, TimeUnit, TimestampNanosecondType},
    },
    common::{DataFusionError, Result, ScalarValue},
    logical_expr::{
        Accumulator, AggregateUDFImpl, DocSection, Documentation, GroupsAccumulator, Signature, Volatility,
        function::{AccumulatorArgs, StateFieldsArgs},
    },
};

use super::{grouped::Grouped, growth::Texts, pairs};

/// Which of the functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum What {
    Rate,
    Increase,
    First,
    Last,
}

impl What {
    fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Increase => "increase",
            Self::First => "first",
            Self::Last => "last",
        }
    }

    fn about(self) -> &'static str {
        match self {
            Self::Rate => {
                "How fast a counter or a native histogram grows, a second, resets counted. Group by what \
                 makes a series one, or counters of several are mixed"
            }
            Self::Increase => "How much a counter or a native histogram has grown, resets counted",
            Self::First => "The value at the earliest time",
            Self::Last => "The value at the latest time",
        }
    }

    fn takes(self) -> &'static str {
        match self {
            Self::Rate | Self::Increase => "a number, or a histogram as samples has them",
            Self::First | Self::Last => "a number or a text",
        }
    }

    /// Of samples in order of time (nanoseconds).
    pub fn of(self, samples: &[(i64, f64)]) -> Option<f64> {
        let (first, last) = (samples.first()?, samples.last()?);
        match self {
            Self::First => Some(first.1),
            Self::Last => Some(last.1),
            Self::Increase => increase(samples),
            Self::Rate => {
                let seconds = (last.0 - first.0) as f64 / 1e9;
                (seconds > 0.0).then(|| increase(samples).map(|grown| grown / seconds))?
            }
        }
    }
}

/// Absent: fewer than two samples.
fn increase(samples: &[(i64, f64)]) -> Option<f64> {
    let step = |pair: &[(i64, f64)]| if pair[1].1 < pair[0].1 { pair[1].1 } else { pair[1].1 - pair[0].1 };
    (samples.len() > 1).then(|| samples.windows(2).map(step).sum())
}

/// One of the functions.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct OverTime {
    what: What,
    signature: Signature,
    documentation: Documentation,
}

/// All of them.
pub fn all() -> impl Iterator<Item = OverTime> {
    [What::Rate, What::Increase, What::First, What::Last].into_iter().map(|what| OverTime {
        what,
        signature: Signature::user_defined(Volatility::Immutable),
        documentation: Documentation::builder(
            DocSection::default(),
            what.about(),
            format!("{}(value, time)", what.name()),
        )
        .with_argument("value", what.takes())
        .with_argument("time", "when it was so")
        .build(),
    })
}

fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()))
}

impl AggregateUDFImpl for OverTime {
    fn name(&self) -> &str {
        self.what.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        let is_text = arguments.first().is_some_and(DataType::is_string);
        Ok(if is_text { DataType::Utf8 } else { DataType::Float64 })
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let name = self.what.name();
        match arguments {
            [value, DataType::Timestamp(..)] if value.is_numeric() || value.is_null() => {
                Ok(vec![DataType::Float64, time_type()])
            }
            [value, DataType::Timestamp(..)] if value.is_string() => Ok(vec![DataType::Utf8, time_type()]),
            _ => {
                let value = self.what.takes();
                Err(DataFusionError::Plan(format!("{name} takes {value}, and its time: {name}(value, time)")))
            }
        }
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(vec![
            pairs::state_field(&args, "times", DataType::Int64),
            pairs::state_field(&args, "values", args.return_type().clone()),
        ])
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        if args.return_field.data_type().is_string() {
            return Ok(Box::new(Texts::new(self.what)));
        }
        Ok(Box::new(Samples { what: self.what, samples: Vec::new() }))
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs<'_>) -> bool {
        true
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        if args.return_field.data_type().is_string() {
            return Ok(Box::new(Grouped::<String>::new(self.what)));
        }
        Ok(Box::new(Grouped::<f64>::new(self.what)))
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}

#[derive(Debug)]
struct Samples {
    what: What,
    samples: Vec<(i64, f64)>,
}

impl Accumulator for Samples {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        let [values, times] = columns else { return Err(pairs::foreign()) };
        let values = pairs::column(values)?;
        let times = times.as_primitive_opt::<TimestampNanosecondType>().ok_or_else(pairs::foreign)?;
        self.samples.extend(times.iter().zip(values).filter_map(|(time, value)| Some((time?, value?))));
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.samples.sort_by_key(|sample| sample.0);
        Ok(ScalarValue::Float64(self.what.of(&self.samples)))
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.samples.capacity() * size_of::<(i64, f64)>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let (times, values): (Vec<i64>, Vec<f64>) = std::mem::take(&mut self.samples).into_iter().unzip();
        Ok(vec![
            pairs::as_state(Arc::new(Int64Array::from(times))),
            pairs::as_state(Arc::new(Float64Array::from(values))),
        ])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [times, values] = states else { return Err(pairs::foreign()) };
        self.samples.extend(pairs::integers(times)?.into_iter().zip(pairs::floats(values)?));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use datafusion::{
        arrow::datatypes::{Field, Schema},
        logical_expr::{AggregateUDF, EmitTo},
        physical_expr::{PhysicalExpr, aggregate::AggregateExprBuilder, expressions::Column},
    };

    use super::*;

    #[test]
    fn the_engine_has_one_accumulator_for_all_groups() {
        for kind in [DataType::Float64, DataType::Utf8] {
            for function in all() {
                let what = function.what;
                let fields = [Field::new("value", kind.clone(), true), Field::new("time", time_type(), true)];
                let arguments: Vec<Arc<dyn PhysicalExpr>> =
                    vec![Arc::new(Column::new("value", 0)), Arc::new(Column::new("time", 1))];
                let function = AggregateExprBuilder::new(Arc::new(AggregateUDF::from(function)), arguments)
                    .schema(Arc::new(Schema::new(fields.to_vec())))
                    .alias("of")
                    .build()
                    .expect("an aggregate");
                assert!(function.groups_accumulator_supported(), "{what:?} of {kind}");
                let mut made = function.create_groups_accumulator().expect("an accumulator");
                let found = made.evaluate(EmitTo::All).expect("of no rows");
                assert_eq!(found.data_type(), &kind, "{what:?}");
            }
        }
    }

    #[test]
    fn counters_grow_through_resets() {
        const SECOND: i64 = 1_000_000_000;
        let samples = |values: &[f64]| -> Vec<_> {
            values.iter().zip(0..).map(|(value, at)| (at * SECOND, *value)).collect()
        };
        let table: [(&[f64], What, Option<f64>); 9] = [
            (&[], What::Rate, None),
            (&[3.0], What::Rate, None),
            (&[3.0], What::Increase, None),
            (&[3.0], What::Last, Some(3.0)),
            (&[10.0, 14.0, 20.0], What::Increase, Some(10.0)),
            (&[10.0, 14.0, 20.0], What::Rate, Some(5.0)),
            (&[10.0, 14.0, 2.0, 5.0], What::Increase, Some(9.0)),
            (&[7.0, 1.0], What::First, Some(7.0)),
            (&[10.0, 0.0, 0.0], What::Increase, Some(0.0)),
        ];
        for (values, what, expected) in table {
            assert_eq!(what.of(&samples(values)), expected, "{what:?} of {values:?}");
        }
        // What follows no number is no new beginning.
        for values in [[f64::NAN, 5.0, 7.0], [5.0, f64::NAN, 7.0], [5.0, 7.0, f64::NAN]] {
            assert!(What::Increase.of(&samples(&values)).is_some_and(f64::is_nan), "{values:?}");
        }
    }
}
