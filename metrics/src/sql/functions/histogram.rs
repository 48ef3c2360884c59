//! `histogram_quantile(q, le, count)`: a quantile out of cumulative buckets, as Prometheus'
//! classic histograms have them; and `histogram_quantile(q, histogram)`: one of native
//! histograms, which add up.
//!
//! The formulas are PromQL's. Where those find no number, here is a null.

use std::{mem::size_of, sync::Arc};

use datafusion::{
    arrow::{
        array::{ArrayRef, Float64Array},
        datatypes::{DataType, Field, FieldRef},
    },
    common::{DataFusionError, Result, ScalarValue},
    logical_expr::{
        Accumulator, AggregateUDFImpl, DocSection, Documentation, Signature, Volatility,
        function::{AccumulatorArgs, StateFieldsArgs},
    },
};

use super::{native, pairs};
use crate::promql::histogram::{ClassicBucket, Total, classic_quantile, quantile};

/// The value below which the share `q` of the counts lies; buckets with the same bound add up.
fn of_buckets(q: f64, buckets: &[(f64, f64)]) -> Option<f64> {
    let buckets: Vec<_> =
        buckets.iter().map(|(upper, count)| ClassicBucket { upper: *upper, count: *count }).collect();
    if buckets.is_empty() {
        return None;
    }
    said(classic_quantile(q, buckets).0)
}

/// What is no number is null.
fn said(value: f64) -> Option<f64> {
    (!value.is_nan()).then_some(value)
}

/// Arguments where histograms are native.
const NATIVE: usize = 2;

/// The function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct HistogramQuantile {
    signature: Signature,
    documentation: Documentation,
}

impl Default for HistogramQuantile {
    fn default() -> Self {
        let about = "The quantile q, from 0 to 1, of a histogram's cumulative buckets, where counts of \
                     the same bound add up, or of native histograms, which add up";
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
            documentation: Documentation::builder(
                DocSection::default(),
                about,
                "histogram_quantile(q, le, count), histogram_quantile(q, histogram)",
            )
            .with_argument("q", "0.99 for the 99th percentile")
            .with_argument("le", "the bucket's upper bound, a number or a text such as '+Inf'")
            .with_argument("count", "how many were at most that, a count or a rate")
            .with_argument("histogram", "a native histogram as samples has them, or its increase or rate")
            .build(),
        }
    }
}

impl AggregateUDFImpl for HistogramQuantile {
    fn name(&self) -> &str {
        "histogram_quantile"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        match arguments {
            [q, _, count] if q.is_numeric() && (count.is_numeric() || count.is_null()) => {
                Ok(vec![DataType::Float64, DataType::Utf8, DataType::Float64])
            }
            [q, histogram] if q.is_numeric() && (histogram.is_string() || histogram.is_null()) => {
                Ok(vec![DataType::Float64, DataType::Utf8])
            }
            _ => Err(DataFusionError::Plan(
                "histogram_quantile takes a share, and a bound and a count or a native histogram: \
                 histogram_quantile(0.99, le, count) or histogram_quantile(0.99, histogram)"
                    .into(),
            )),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let list = |name| pairs::state_field(&args, name, DataType::Float64);
        if args.input_fields.len() == NATIVE {
            let sum = Field::new(format!("{}[sum]", args.name), DataType::Utf8, true);
            return Ok(vec![list("q"), Arc::new(sum)]);
        }
        Ok(["q", "bounds", "counts"].map(list).into())
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        if args.exprs.len() == NATIVE {
            return Ok(Box::<Natives>::default());
        }
        Ok(Box::<Buckets>::default())
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}

#[derive(Debug, Default)]
struct Buckets {
    q: Option<f64>,
    buckets: Vec<(f64, f64)>,
}

impl Accumulator for Buckets {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        let [q, bounds, counts] = columns else { return Err(pairs::foreign()) };
        self.q = self.q.or_else(|| pairs::parameter(q));
        for (bound, count) in pairs::text_column(bounds)?.iter().zip(pairs::column(counts)?) {
            // A row that is no bucket has no bound.
            if let (Some(Ok(bound)), Some(count)) = (bound.map(str::parse::<f64>), count)
                && !bound.is_nan()
            {
                self.buckets.push((bound, count));
            }
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64(self.q.and_then(|q| of_buckets(q, &self.buckets))))
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.buckets.capacity() * size_of::<(f64, f64)>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let (bounds, counts): (Vec<f64>, Vec<f64>) = std::mem::take(&mut self.buckets).into_iter().unzip();
        let q: Vec<f64> = self.q.into_iter().collect();
        Ok([q, bounds, counts].map(|list| pairs::as_state(Arc::new(Float64Array::from(list)))).into())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [q, bounds, counts] = states else { return Err(pairs::foreign()) };
        self.q = self.q.or(pairs::floats(q)?.first().copied());
        self.buckets.extend(pairs::floats(bounds)?.into_iter().zip(pairs::floats(counts)?));
        Ok(())
    }
}

/// The sum of the native histograms so far.
#[derive(Debug, Default)]
struct Natives {
    q: Option<f64>,
    total: Option<Total>,
}

impl Natives {
    fn take<'a>(&mut self, texts: impl Iterator<Item = &'a str>) -> Result<()> {
        for text in texts {
            let next = native::read(text)?;
            match &mut self.total {
                Some(total) => total.take(&next).map_err(native::unlike)?,
                None => self.total = Some(Total::of(&next)),
            }
        }
        Ok(())
    }
}

impl Accumulator for Natives {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        let [q, histograms] = columns else { return Err(pairs::foreign()) };
        self.q = self.q.or_else(|| pairs::parameter(q));
        self.take(pairs::text_column(histograms)?.iter().flatten())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let found = self.q.zip(self.total.as_ref()).and_then(|(q, total)| said(quantile(q, &total.sum).0));
        Ok(ScalarValue::Float64(found))
    }

    fn size(&self) -> usize {
        let buckets = self.total.iter().flat_map(|total| [&total.sum.positive, &total.sum.negative]);
        let of = buckets.map(|one| one.counts.capacity() * 8 + one.spans.capacity() * 8).sum::<usize>();
        size_of::<Self>() + of
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let q: Vec<f64> = self.q.into_iter().collect();
        let sum = self.total.take().map(|total| native::text(&total.sum));
        Ok(vec![pairs::as_state(Arc::new(Float64Array::from(q))), ScalarValue::Utf8(sum)])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [q, sums] = states else { return Err(pairs::foreign()) };
        self.q = self.q.or(pairs::floats(q)?.first().copied());
        self.take(pairs::text_column(sums)?.iter().flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::of_buckets;

    const INF: f64 = f64::INFINITY;

    #[test]
    fn quantiles_lie_within_their_bucket() {
        type Case<'a> = (f64, &'a [(f64, f64)], Option<f64>);
        let table: [Case<'_>; 9] = [
            (0.5, &[(1.0, 50.0), (2.0, 100.0), (INF, 100.0)], Some(1.0)),
            (0.75, &[(1.0, 50.0), (2.0, 100.0), (INF, 100.0)], Some(1.5)),
            (0.25, &[(2.0, 100.0), (INF, 100.0)], Some(0.5)),
            // Beyond the last bound nothing is known but the bound.
            (0.99, &[(1.0, 50.0), (INF, 100.0)], Some(1.0)),
            // The same bound of two series.
            (0.5, &[(INF, 50.0), (1.0, 25.0), (INF, 50.0), (1.0, 25.0)], Some(1.0)),
            (0.5, &[(1.0, 10.0)], None),
            (0.5, &[(1.0, 0.0), (INF, 0.0)], None),
            (1.5, &[(1.0, 1.0), (INF, 1.0)], Some(INF)),
            (-0.1, &[(1.0, 1.0), (INF, 1.0)], Some(-INF)),
        ];
        for (q, buckets, expected) in table {
            assert_eq!(of_buckets(q, buckets), expected, "{q} of {buckets:?}");
        }
    }
}
