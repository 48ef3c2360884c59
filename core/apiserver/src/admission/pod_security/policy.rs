//! Which standard a namespace wants, of which version, and what happens where it is
//! not met. Pure.
//!
//! <https://kubernetes.io/docs/concepts/security/pod-security-admission/>

use std::fmt;

use serde_json::Value;
use tiphys_api::field::FieldError;

const PREFIX: &str = "pod-security.kubernetes.io/";

/// In the order of their strictness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Privileged,
    Baseline,
    Restricted,
}

/// A minor version of Kubernetes; the latest is later than any number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    Minor(u32),
    Latest,
}

/// `restricted:latest`, `baseline:v1.30`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standard {
    pub level: Level,
    pub version: Version,
}

/// What a namespace enforces, records and warns of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    pub enforce: Standard,
    pub audit: Standard,
    pub warn: Standard,
}

impl fmt::Display for Standard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Privileged => "privileged",
            Level::Baseline => "baseline",
            Level::Restricted => "restricted",
        };
        match self.version {
            Version::Latest => write!(f, "{level}:latest"),
            Version::Minor(minor) => write!(f, "{level}:v1.{minor}"),
        }
    }
}

impl Standard {
    const OPEN: Self = Self { level: Level::Privileged, version: Version::Latest };
}

impl Policy {
    /// What holds in namespaces without labels.
    pub const DEFAULT: Self = Self { enforce: Standard::OPEN, audit: Standard::OPEN, warn: Standard::OPEN };

    pub fn is_open(&self) -> bool {
        [self.enforce, self.audit, self.warn].iter().all(|standard| standard.level == Level::Privileged)
    }
}

/// Reads a namespace's labels. Where a label makes no sense, the strictest is enforced
/// and nothing is recorded or warned of.
pub fn of_labels(labels: &Value) -> (Policy, Vec<FieldError>) {
    let mut policy = Policy::DEFAULT;
    let mut errors = Vec::new();
    let label = |name: &str| labels[format!("{PREFIX}{name}")].as_str();
    let mut wrong = |name: &str, value: &str, why: &str| {
        errors.push(FieldError::invalid(format!("metadata.labels[{PREFIX}{name}]"), &value.into(), why));
    };
    let mut enforces = false;
    let modes = [
        ("enforce", &mut policy.enforce, Level::Restricted),
        ("audit", &mut policy.audit, Level::Privileged),
        ("warn", &mut policy.warn, Level::Privileged),
    ];
    for (mode, standard, otherwise) in modes {
        if let Some(value) = label(mode) {
            let level = parse_level(value);
            if level.is_none() {
                wrong(mode, value, "must be one of privileged, baseline, restricted");
            }
            enforces |= mode == "enforce" && level.is_some();
            standard.level = level.unwrap_or(otherwise);
        }
        let name = format!("{mode}-version");
        if let Some(value) = label(&name) {
            let version = parse_version(value);
            if version.is_none() {
                wrong(&name, value, "must be \"latest\" or \"v1.x\"");
            }
            standard.version = version.unwrap_or(Version::Latest);
        }
    }
    // What is enforced is also warned of, so that workloads hear of it and not their Pods only.
    if label("warn").is_none() && enforces && policy.enforce.level > policy.warn.level {
        policy.warn.level = policy.enforce.level;
        if label("warn-version").is_none() {
            policy.warn.version = policy.enforce.version;
        }
    }
    (policy, errors)
}

fn parse_level(text: &str) -> Option<Level> {
    match text {
        "privileged" => Some(Level::Privileged),
        "baseline" => Some(Level::Baseline),
        "restricted" => Some(Level::Restricted),
        _ => None,
    }
}

fn parse_version(text: &str) -> Option<Version> {
    if text == "latest" {
        return Some(Version::Latest);
    }
    let minor = text.strip_prefix("v1.")?;
    let canonical = minor == "0" || !minor.starts_with('0');
    let digits = !minor.is_empty() && minor.bytes().all(|byte| byte.is_ascii_digit());
    if canonical && digits { minor.parse().ok().map(Version::Minor) } else { None }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(labels: &[(&str, &str)]) -> (String, usize) {
        let labels: Value =
            labels.iter().map(|(name, value)| (format!("{PREFIX}{name}"), json!(value))).collect();
        let (policy, errors) = of_labels(&labels);
        (format!("{} {} {}", policy.enforce, policy.audit, policy.warn), errors.len())
    }

    #[test]
    fn labels_say_what_is_wanted() {
        type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, usize);
        let table: [Case<'_>; 8] = [
            (&[], "privileged:latest privileged:latest privileged:latest", 0),
            (&[("enforce", "baseline")], "baseline:latest privileged:latest baseline:latest", 0),
            (
                &[("enforce", "restricted"), ("enforce-version", "v1.30")],
                "restricted:v1.30 privileged:latest restricted:v1.30",
                0,
            ),
            (
                &[("enforce", "restricted"), ("warn", "privileged")],
                "restricted:latest privileged:latest privileged:latest",
                0,
            ),
            (
                &[("audit", "restricted"), ("warn-version", "v1.5")],
                "privileged:latest restricted:latest privileged:v1.5",
                0,
            ),
            (&[("enforce", "none")], "restricted:latest privileged:latest privileged:latest", 1),
            (&[("audit", "x"), ("warn", "x")], "privileged:latest privileged:latest privileged:latest", 2),
            (
                &[("enforce-version", "1.30"), ("warn-version", "v1.01")],
                "privileged:latest privileged:latest privileged:latest",
                2,
            ),
        ];
        for (labels, expected, errors) in table {
            assert_eq!(read(labels), (expected.to_owned(), errors), "{labels:?}");
        }
        assert!(Version::Minor(40) < Version::Latest && Version::Minor(9) < Version::Minor(10));
    }
}
