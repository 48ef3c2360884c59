//! `rate`, `increase`, `first` and `last` of a text over time. Of native histograms it is the
//! growth that counts; `first` and `last` take any text.
//!
//! A histogram began anew where a count of it fell, as a counter does. What it gives is a
//! histogram again, for `histogram_quantile`.

use std::{mem::size_of, sync::Arc};

use datafusion::{
    arrow::{
        array::{ArrayRef, AsArray, Int64Array, StringArray},
        datatypes::TimestampNanosecondType,
    },
    common::{Result, ScalarValue},
    logical_expr::Accumulator,
};

use super::{counters::What, native, pairs};
use crate::{
    promql::histogram::{self, scale},
    series::Histogram,
};

/// The texts of a group, with their times in nanoseconds.
#[derive(Debug)]
pub struct Texts {
    what: What,
    samples: Vec<(i64, String)>,
    /// Of the texts.
    bytes: usize,
}

impl Texts {
    pub fn new(what: What) -> Self {
        Self { what, samples: Vec::new(), bytes: 0 }
    }

    fn take(&mut self, samples: impl Iterator<Item = (i64, String)>) {
        self.samples.extend(samples);
        // One is enough of those that give one.
        let kept = match self.what {
            What::First => self.samples.drain(..).min_by_key(|sample| sample.0),
            What::Last => self.samples.drain(..).max_by_key(|sample| sample.0),
            What::Rate | What::Increase => None,
        };
        self.samples.extend(kept);
        self.bytes = self.samples.iter().map(|(_, text)| text.capacity()).sum();
    }
}

impl Accumulator for Texts {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        let [texts, times] = columns else { return Err(pairs::foreign()) };
        let texts = pairs::text_column(texts)?;
        let times = times.as_primitive_opt::<TimestampNanosecondType>().ok_or_else(pairs::foreign)?;
        let both = times.iter().zip(texts);
        self.take(both.filter_map(|(time, text)| Some((time?, text?.to_owned()))));
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.samples.sort_by_key(|sample| sample.0);
        let found = of(self.what, &self.samples)?;
        Ok(ScalarValue::Utf8(found))
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.samples.capacity() * size_of::<(i64, String)>() + self.bytes
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let (times, texts): (Vec<i64>, Vec<String>) = std::mem::take(&mut self.samples).into_iter().unzip();
        Ok(vec![
            pairs::as_state(Arc::new(Int64Array::from(times))),
            pairs::as_state(Arc::new(StringArray::from(texts))),
        ])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [times, texts] = states else { return Err(pairs::foreign()) };
        let times = pairs::integers(times)?;
        let texts = pairs::texts(texts)?;
        self.take(times.into_iter().zip(texts));
        Ok(())
    }
}

/// What a function gives of texts in order of time.
///
/// # Errors
/// `rate` and `increase` take histograms, and these are none.
pub fn of(what: What, samples: &[(i64, String)]) -> Result<Option<String>> {
    Ok(match what {
        What::First => samples.first().map(|sample| sample.1.clone()),
        What::Last => samples.last().map(|sample| sample.1.clone()),
        What::Increase => grown(samples)?.as_ref().map(native::text),
        What::Rate => rate(samples)?.as_ref().map(native::text),
    })
}

/// How much it grew a second. Absent: all samples are of one time.
fn rate(samples: &[(i64, String)]) -> Result<Option<Histogram>> {
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else { return Ok(None) };
    let seconds = (last.0 - first.0) as f64 / 1e9;
    if seconds <= 0.0 {
        return Ok(None);
    }
    Ok(grown(samples)?.map(|grown| scale(&grown, 1.0 / seconds)))
}

/// The last histogram without the first, and with what was lost where it began anew. Absent:
/// fewer than two samples.
fn grown(samples: &[(i64, String)]) -> Result<Option<Histogram>> {
    if samples.len() < 2 {
        return Ok(None);
    }
    let all = samples.iter().map(|(_, text)| native::read(text)).collect::<Result<Vec<_>>>()?;
    let grown = histogram::grown(&all, |one| one, true).map_err(native::unlike)?;
    Ok(grown.map(|grown| grown.histogram))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_grow_through_resets() {
        let of =
            |count: u32| format!(r#"{{"count":{count},"sum":{count},"schema":0,"positive":[[1,{count}]]}}"#);
        let samples = |counts: &[u32]| -> Vec<(i64, String)> {
            counts.iter().zip(1..).map(|(count, at)| (at * 1_000_000_000, of(*count))).collect()
        };
        let table: [(&[u32], Option<f64>); 5] = [
            (&[], None),
            (&[3], None),
            (&[10, 14, 20], Some(10.0)),
            (&[10, 14, 2, 5], Some(9.0)),
            (&[10, 2, 5], Some(5.0)),
        ];
        for (counts, expected) in table {
            let samples = samples(counts);
            let found = grown(&samples).expect("histograms");
            assert_eq!(found.as_ref().map(|found| found.count), expected, "{counts:?}");
            let in_bucket: Option<f64> = found.map(|found| found.positive.counts.iter().sum());
            assert_eq!(in_bucket, expected, "{counts:?}");
            let a_second = rate(&samples).expect("histograms").map(|found| found.count);
            let seconds = counts.len().saturating_sub(1) as f64;
            assert_eq!(a_second.map(|count| (count * seconds).round()), expected, "{counts:?}");
        }
    }
}
