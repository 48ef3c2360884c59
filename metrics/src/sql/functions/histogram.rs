//! `histogram_quantile(q, le, count)`: a quantile out of cumulative buckets, as Prometheus'
//! classic histograms have them. Within its bucket a value is taken to be anywhere alike.

use std::{mem::size_of, sync::Arc};

use datafusion::{
    arrow::{
        array::{ArrayRef, AsArray, Float64Array},
        compute::cast,
        datatypes::{DataType, FieldRef},
    },
    common::{DataFusionError, Result, ScalarValue},
    logical_expr::{
        Accumulator, AggregateUDFImpl, DocSection, Documentation, Signature, Volatility,
        function::{AccumulatorArgs, StateFieldsArgs},
    },
};

use super::pairs;

/// The value below which the share `q` of the counts lies; buckets with the same bound add up.
fn quantile(q: f64, buckets: &mut Vec<(f64, f64)>) -> Option<f64> {
    buckets.retain(|(bound, _)| !bound.is_nan());
    buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
    buckets.dedup_by(|next, kept| {
        next.0 == kept.0 && {
            kept.1 += next.1;
            true
        }
    });
    // Without the bucket of everything nobody knows how much there is.
    let (last, total) = *buckets.last()?;
    if buckets.len() < 2 || last != f64::INFINITY || total.is_nan() || total <= 0.0 || q.is_nan() {
        return None;
    }
    if !(0.0..=1.0).contains(&q) {
        return Some(if q < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY });
    }
    let rank = q * total;
    // Counts of different moments may fall a little from bucket to bucket.
    let mut most = 0.0_f64;
    buckets.iter_mut().for_each(|(_, count)| {
        most = most.max(*count);
        *count = most;
    });
    let at = buckets.iter().position(|(_, count)| *count >= rank)?;
    let (bound, count) = buckets[at];
    if bound == f64::INFINITY {
        return Some(buckets[at - 1].0);
    }
    let (below, before) = match at {
        0 if bound <= 0.0 => return Some(bound),
        0 => (0.0, 0.0),
        _ => buckets[at - 1],
    };
    let share = if count > before { (rank - before) / (count - before) } else { 1.0 };
    Some(below + (bound - below) * share)
}

/// The function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct HistogramQuantile {
    signature: Signature,
    documentation: Documentation,
}

impl Default for HistogramQuantile {
    fn default() -> Self {
        let about = "The quantile q, from 0 to 1, of a histogram's cumulative buckets; \
                     counts of the same bound add up";
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
            documentation: Documentation::builder(
                DocSection::default(),
                about,
                "histogram_quantile(q, le, count)",
            )
            .with_argument("q", "0.99 for the 99th percentile")
            .with_argument("le", "the bucket's upper bound, a number or a text such as '+Inf'")
            .with_argument("count", "how many were at most that, a count or a rate")
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
            _ => Err(DataFusionError::Plan(
                "histogram_quantile takes a share, a bound and a count: histogram_quantile(0.99, le, count)"
                    .into(),
            )),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let names = ["q", "bounds", "counts"];
        Ok(names.map(|name| pairs::state_field(&args, name, DataType::Float64)).into())
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
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
        self.q = self.q.or_else(|| pairs::column(q).ok()?.iter().flatten().next());
        let bounds = cast(bounds, &DataType::Utf8)?;
        let bounds = bounds.as_string_opt::<i32>().ok_or_else(pairs::foreign)?;
        for (bound, count) in bounds.iter().zip(pairs::column(counts)?) {
            // A row that is no bucket has no bound.
            if let (Some(Ok(bound)), Some(count)) = (bound.map(str::parse), count) {
                self.buckets.push((bound, count));
            }
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let found = self.q.and_then(|q| quantile(q, &mut self.buckets.clone()));
        Ok(ScalarValue::Float64(found))
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

#[cfg(test)]
mod tests {
    use super::quantile;

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
            assert_eq!(quantile(q, &mut buckets.to_vec()), expected, "{q} of {buckets:?}");
        }
    }
}
