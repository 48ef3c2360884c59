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
//! nothing is shown at all. A name that is none of these is named, too: it may be a
//! rule of redaction that is misspelt. What a namespace says of how much it keeps
//! ([`RETENTION`], [`RETENTION_BYTES`]) is read by [`crate::index::Keep`].

mod limit;
mod redact;
mod seams;
mod told;

use std::collections::BTreeMap;

pub use limit::{Limiter, Verdict};
pub use redact::Redaction;
pub use seams::{Passed, Seams};
pub use told::Told;

/// The annotations that say something of logs, by what stands after [`PREFIX`].
pub type Annotations = BTreeMap<String, String>;

/// What these annotations' names begin with.
pub const PREFIX: &str = "logs.tiphys.io/";
/// How long a namespace keeps records.
pub const RETENTION: &str = "retention";
/// How many bytes of them.
pub const RETENTION_BYTES: &str = "retention-bytes";

const NAMESPACE: &str = "namespace";
const POD: &str = "Pod";
/// What both a namespace and a Pod may say.
const OF_BOTH: [&str; 4] = ["collect", "sample", "rate-limit", "redact"];
/// What a namespace alone may say.
const OF_NAMESPACE: [&str; 2] = [RETENTION, RETENTION_BYTES];
/// Names of an object that are told as unknown, each.
const MAX_UNKNOWN: usize = 16;

/// Those of an object's annotations that begin with [`PREFIX`], without it.
pub fn own<'a>(annotations: impl IntoIterator<Item = (&'a String, &'a String)>) -> Annotations {
    let own =
        |(name, value): (&String, &String)| Some((name.strip_prefix(PREFIX)?.to_owned(), value.clone()));
    annotations.into_iter().filter_map(own).collect()
}

/// That an annotation of a namespace is not understood, as a sentence.
pub fn mistake_of_namespace(name: &str, why: &str) -> String {
    mistake(name, NAMESPACE, why)
}

fn mistake(name: &str, owner: &str, why: &str) -> String {
    format!("annotation {PREFIX}{name} of the {owner}: {why}")
}

/// Annotations whose names say nothing to anybody.
fn unknown(annotations: &Annotations, owner: &'static str) -> impl Iterator<Item = String> {
    let is_known =
        move |name: &str| OF_BOTH.contains(&name) || (owner == NAMESPACE && OF_NAMESPACE.contains(&name));
    let unknown = annotations.keys().filter(move |name| !is_known(name)).take(MAX_UNKNOWN);
    unknown.map(move |name| {
        let why = match OF_NAMESPACE.contains(&name.as_str()) {
            true => "only a namespace says it".to_owned(),
            false => {
                let more: &[&str] = if owner == NAMESPACE { &OF_NAMESPACE } else { &[] };
                format!("there is none of this name, only {}", [&OF_BOTH[..], more].concat().join(", "))
            }
        };
        mistake(name, owner, &why)
    })
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
    pub mistakes: Mistakes,
}

/// By who made them.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Mistakes {
    pub of_namespace: Vec<String>,
    pub of_pod: Vec<String>,
}

impl Policy {
    /// What the two say together.
    pub fn read(namespace: &Annotations, pod: &Annotations) -> Self {
        let mut policy = Self::default();
        let mut mistakes = Mistakes::default();
        for (owner, annotations, mistakes) in
            [(NAMESPACE, namespace, &mut mistakes.of_namespace), (POD, pod, &mut mistakes.of_pod)]
        {
            let mut take = |name: &str, set: &mut dyn FnMut(&str) -> Result<(), String>| {
                if let Some(value) = annotations.get(name)
                    && let Err(why) = set(value.trim())
                {
                    mistakes.push(mistake(name, owner, &why));
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
            mistakes.extend(unknown(annotations, owner));
        }
        Self { mistakes, ..policy }
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
        assert_eq!(policy.mistakes, Mistakes::default());
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
            let mistake = format!("annotation logs.tiphys.io/{name} of the Pod: {why}");
            assert_eq!(policy.mistakes, Mistakes { of_pod: vec![mistake], ..Mistakes::default() });
            assert!(policy.is_plain(), "{name}: {value}");
        }
    }

    #[test]
    fn names_that_are_none_are_mistakes_of_whose_they_are() {
        let both = "there is none of this name, only collect, sample, rate-limit, redact";
        let check = |name: &str, of_namespace: Option<&str>, of_pod: Option<&str>| {
            let said = annotations(&[(name, "email")]);
            let found = Policy::read(&said, &said).mistakes;
            let mistake = |owner: &str, why: Option<&str>| -> Vec<String> {
                let why = why.map(|why| format!("annotation logs.tiphys.io/{name} of the {owner}: {why}"));
                why.into_iter().collect()
            };
            let (of_namespace, of_pod) = (mistake("namespace", of_namespace), mistake("Pod", of_pod));
            assert_eq!(found, Mistakes { of_namespace, of_pod }, "{name}");
        };
        let all = format!("{both}, retention, retention-bytes");
        check("redac", Some(all.as_str()), Some(both));
        check("Redact", Some(all.as_str()), Some(both));
        check("redact", None, None);
        // These are read where what is kept is decided.
        check("retention", None, Some("only a namespace says it"));
        check("retention-bytes", None, Some("only a namespace says it"));
        let many: Annotations = (0..1_000).map(|number| (format!("n{number}"), String::new())).collect();
        assert_eq!(Policy::read(&many, &many).mistakes.of_pod.len(), MAX_UNKNOWN);
    }
}
