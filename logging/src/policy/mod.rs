//! What a namespace or a Pod says of its own logs, by annotation. Pure.
//!
//! ```text
//! logs.tiphys.io/collect: "false"       nothing is indexed (the log files stay what they are)
//! logs.tiphys.io/sample: "0.1"          this share of the records below `warn` is kept
//! logs.tiphys.io/rate-limit: "500"      records a second of one container, by their own time
//! logs.tiphys.io/redact: |              one rule a line, see [`Redaction`]
//!   email
//!   /card=\d+/card=***/
//! ```
//!
//! A Pod's word on the first three wins over its namespace's. Redaction adds up: a
//! Pod can't lift a rule of its namespace. What can't be understood is never
//! guessed at: the setting is left out and named, and with a wrong redaction rule
//! nothing is shown at all.

mod limit;
mod redact;
mod seams;

use std::collections::BTreeMap;

pub use limit::{Limiter, Verdict};
pub use redact::Redaction;
pub use seams::{Passed, Seams};

/// The annotations that say something of logs, by what stands after [`PREFIX`].
pub type Annotations = BTreeMap<String, String>;

/// What these annotations' names begin with.
pub const PREFIX: &str = "logs.tiphys.io/";

/// Those of an object's annotations that begin with [`PREFIX`], without it.
pub fn own<'a>(annotations: impl IntoIterator<Item = (&'a String, &'a String)>) -> Annotations {
    let own =
        |(name, value): (&String, &String)| Some((name.strip_prefix(PREFIX)?.to_owned(), value.clone()));
    annotations.into_iter().filter_map(own).collect()
}

/// What becomes of a stream's records.
#[derive(Debug, Default)]
pub struct Policy {
    /// Nothing is indexed.
    pub opted_out: bool,
    /// The share of records below `warn` that is kept, 0 to 1.
    pub sample: Option<f64>,
    /// Records a second.
    pub rate_limit: Option<u32>,
    pub redaction: Redaction,
    /// Annotations that are not understood, as sentences.
    pub mistakes: Vec<String>,
}

impl Policy {
    /// What the two say together.
    pub fn read(namespace: &Annotations, pod: &Annotations) -> Self {
        let mut policy = Self::default();
        for (owner, annotations) in [("namespace", namespace), ("Pod", pod)] {
            let mut take = |name: &str, set: &mut dyn FnMut(&str) -> Result<(), String>| {
                if let Some(value) = annotations.get(name)
                    && let Err(why) = set(value.trim())
                {
                    policy.mistakes.push(format!("annotation {PREFIX}{name} of the {owner}: {why}"));
                }
            };
            take("collect", &mut |value| {
                let collect: bool =
                    value.parse().map_err(|_| format!("`{value}` is neither true nor false"))?;
                policy.opted_out = !collect;
                Ok(())
            });
            take("sample", &mut |value| {
                let share = value.parse().ok().filter(|share| (0.0..=1.0).contains(share));
                policy.sample =
                    Some(share.ok_or_else(|| format!("`{value}` is no share from 0 to 1, such as 0.1"))?);
                Ok(())
            });
            take("rate-limit", &mut |value| {
                let rate =
                    value.parse().map_err(|_| format!("`{value}` is no number of records a second"))?;
                policy.rate_limit = Some(rate);
                Ok(())
            });
            take("redact", &mut |value| policy.redaction.add(value));
        }
        policy
    }

    /// Whether every record is indexed as it is.
    pub fn is_plain(&self) -> bool {
        !self.opted_out && self.sample.is_none() && self.rate_limit.is_none() && self.redaction.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn annotations(entries: &[(&str, &str)]) -> Annotations {
        entries.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn only_our_annotations_count() {
        let all = annotations(&[("logs.tiphys.io/sample", "0.5"), ("example.com/sample", "1")]);
        assert_eq!(own(&all), annotations(&[("sample", "0.5")]));
    }

    #[test]
    fn a_pods_word_wins_and_redaction_adds_up() {
        let namespace = annotations(&[
            ("collect", "false"),
            ("sample", "0.5"),
            ("rate-limit", "10"),
            ("redact", "email"),
        ]);
        let pod = annotations(&[("collect", "true"), ("rate-limit", "20"), ("redact", "/x+/")]);
        let policy = Policy::read(&namespace, &pod);
        assert!(!policy.opted_out);
        assert_eq!((policy.sample, policy.rate_limit), (Some(0.5), Some(20)));
        assert_eq!(policy.redaction.apply(b"xx of a@b.org"), Some(b"[redacted] of [redacted]".to_vec()));
        assert!(policy.mistakes.is_empty());
        assert!(Policy::read(&namespace, &Annotations::new()).opted_out);
        assert!(Policy::read(&Annotations::new(), &Annotations::new()).is_plain());
    }

    #[test]
    fn mistakes_are_named_and_left_out() {
        for (name, value, why) in [
            ("collect", "no", "`no` is neither true nor false"),
            ("sample", "2", "`2` is no share from 0 to 1, such as 0.1"),
            ("sample", "NaN", "`NaN` is no share from 0 to 1, such as 0.1"),
            ("rate-limit", "-1", "`-1` is no number of records a second"),
        ] {
            let policy = Policy::read(&Annotations::new(), &annotations(&[(name, value)]));
            assert_eq!(policy.mistakes, [format!("annotation logs.tiphys.io/{name} of the Pod: {why}")]);
            assert!(policy.is_plain(), "{name}: {value}");
        }
    }
}
