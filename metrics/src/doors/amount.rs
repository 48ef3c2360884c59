//! How much one request may have in it, whatever its bytes: two of them can be a sample, and a label
//! that is written once can be one of very many series. It is counted while a request is taken
//! apart, so that what is too much never stands in memory. Pure.

use super::Refusal;
use crate::series::Value;

/// Samples of one request, exemplars among them.
pub const MOST_SAMPLES: usize = 500_000;
/// As how many of them a histogram counts.
pub const HISTOGRAM: usize = 10;
/// Bytes of all labels where they are written out.
const MOST_BYTES: usize = 64 << 20;

/// What a request has had so far.
#[derive(Debug, Default)]
pub struct Amount {
    samples: usize,
    bytes: usize,
}

impl Amount {
    /// So many samples more.
    ///
    /// # Errors
    /// They are too many.
    pub fn samples(&mut self, more: usize) -> Result<(), Refusal> {
        self.samples = self.samples.saturating_add(more);
        match self.samples > MOST_SAMPLES {
            true => Err(Refusal::too_large(format!(
                "the request has more than {MOST_SAMPLES} samples, where a histogram counts as {HISTOGRAM}: \
                 send less at once"
            ))),
            false => Ok(()),
        }
    }

    /// A sample of this value more.
    ///
    /// # Errors
    /// As above.
    pub fn sample(&mut self, value: &Value) -> Result<(), Refusal> {
        self.samples(match value {
            Value::Number(_) => 1,
            Value::Histogram(_) => HISTOGRAM,
        })
    }

    /// So many bytes of labels more.
    ///
    /// # Errors
    /// They are too many.
    pub fn labels(&mut self, bytes: usize) -> Result<(), Refusal> {
        self.bytes = self.bytes.saturating_add(bytes);
        match self.bytes > MOST_BYTES {
            true => Err(Refusal::too_large(format!(
                "the request's labels take more than {} MiB when they are written out: send less at once",
                MOST_BYTES >> 20
            ))),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_told_with_the_number() {
        let mut amount = Amount::default();
        assert_eq!((amount.samples(MOST_SAMPLES), amount.labels(MOST_BYTES)), (Ok(()), Ok(())));
        let refused = amount.samples(1).expect_err("one too many");
        assert!(refused.message.contains("500000 samples"), "{refused}");
        assert!(amount.labels(usize::MAX).expect_err("too many").message.contains("64 MiB"));
    }
}
