//! `time_bucket('15s', time)`: the begin of the interval that a time falls into.
//!
//! It is the engine's `date_bin` once it is planned, so that whatever knows that one, such
//! as counts that the index of logs answers, knows this one.

use datafusion::{
    arrow::datatypes::{DataType, IntervalUnit, TimeUnit},
    common::{DataFusionError, Result, ScalarValue},
    functions::datetime::date_bin,
    logical_expr::{
        ColumnarValue, DocSection, Documentation, Expr, ScalarFunctionArgs, ScalarUDFImpl, Signature,
        Volatility,
        expr::ScalarFunction,
        simplify::{ExprSimplifyResult, SimplifyContext},
    },
};

/// The function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct TimeBucket {
    signature: Signature,
    documentation: Documentation,
}

impl Default for TimeBucket {
    fn default() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
            documentation: Documentation::builder(
                DocSection::default(),
                "The begin of the interval that a time falls into; intervals begin at round times",
                "time_bucket(width, time)",
            )
            .with_argument("width", "'15s', '5m', '1h', '1d', or an interval")
            .with_argument("time", "a time")
            .build(),
        }
    }
}

impl ScalarUDFImpl for TimeBucket {
    fn name(&self) -> &str {
        "time_bucket"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(arguments.get(1).cloned().unwrap_or(DataType::Timestamp(TimeUnit::Nanosecond, None)))
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        match arguments {
            [DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8, time @ DataType::Timestamp(..)] => {
                Ok(vec![DataType::Utf8, time.clone()])
            }
            [DataType::Interval(_) | DataType::Duration(_), time @ DataType::Timestamp(..)] => {
                Ok(vec![DataType::Interval(IntervalUnit::MonthDayNano), time.clone()])
            }
            _ => Err(DataFusionError::Plan(
                "time_bucket takes a width and a time: time_bucket('15s', time)".to_owned(),
            )),
        }
    }

    fn simplify(&self, mut args: Vec<Expr>, _: &SimplifyContext) -> Result<ExprSimplifyResult> {
        if let Some(Expr::Literal(width, _)) = args.first()
            && let Some(text) = width.try_as_str().flatten()
        {
            args[0] = Expr::Literal(width_of(text)?, None);
        }
        Ok(ExprSimplifyResult::Simplified(Expr::ScalarFunction(ScalarFunction::new_udf(date_bin(), args))))
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if let Some(ColumnarValue::Scalar(width)) = args.args.first()
            && let Some(text) = width.try_as_str().flatten()
        {
            args.args[0] = ColumnarValue::Scalar(width_of(text)?);
        }
        date_bin().inner().invoke_with_args(args)
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}

/// `15s` and the like; `15 seconds` and other words of intervals too.
fn width_of(text: &str) -> Result<ScalarValue> {
    let text = text.trim();
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = &text[digits.len()..];
    let nanos = match unit {
        "ms" => Some(1_000_000),
        "s" => Some(1_000_000_000),
        "m" => Some(60_000_000_000),
        "h" => Some(3_600_000_000_000),
        "d" => Some(86_400_000_000_000),
        "w" => Some(7 * 86_400_000_000_000),
        _ => None,
    };
    if let Some(width) = nanos.and_then(|unit: i64| digits.trim().parse::<i64>().ok()?.checked_mul(unit)) {
        return Ok(ScalarValue::new_interval_mdn(0, 0, width));
    }
    let words = ScalarValue::Utf8(Some(text.to_owned()));
    words.cast_to(&DataType::Interval(IntervalUnit::MonthDayNano)).map_err(|_| {
        DataFusionError::Plan(format!("'{text}' is no width of time: '15s', '5m', '1h' and '1d' are"))
    })
}

#[cfg(test)]
mod tests {
    use datafusion::common::ScalarValue;

    use super::width_of;

    #[test]
    fn widths_are_said_shortly_or_in_words() {
        let nanos = |text| match width_of(text).expect("a width") {
            ScalarValue::IntervalMonthDayNano(Some(width)) => (width.days, width.nanoseconds),
            other => panic!("{other:?}"),
        };
        assert_eq!(nanos("15s"), (0, 15_000_000_000));
        assert_eq!(nanos(" 5m"), (0, 300_000_000_000));
        assert_eq!(nanos("250ms"), (0, 250_000_000));
        assert_eq!(nanos("2 minutes"), (0, 120_000_000_000));
        assert_eq!(nanos("1 day"), (1, 0));
        assert!(width_of("soon").is_err());
    }
}
