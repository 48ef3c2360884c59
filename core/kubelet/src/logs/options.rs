//! What of a log is asked for: the parameters of `/containerLogs`, as
//! `PodLogOptions` names them.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Options {
    pub follow: bool,
    pub previous: bool,
    pub timestamps: bool,
    /// The last so many lines.
    pub tail_lines: Option<u64>,
    pub limit_bytes: Option<u64>,
    pub since: Option<Timestamp>,
    /// `stdout` or `stderr` only.
    pub stream: Option<String>,
}

impl Options {
    /// `Err` names the parameter.
    pub(crate) fn read(query: &HashMap<String, String>, now: Timestamp) -> Result<Self, String> {
        let flag = |name: &str| matches!(query.get(name).map(String::as_str), Some("true" | "1" | "True"));
        let number = |name: &str| match query.get(name).filter(|value| !value.is_empty()) {
            None => Ok(None),
            Some(value) => {
                value.parse::<u64>().map(Some).map_err(|_| format!("{name}: {value:?} is not a count"))
            }
        };
        let since_time = match query.get("sinceTime").filter(|value| !value.is_empty()) {
            None => None,
            Some(value) => {
                Some(value.parse().map_err(|_| format!("sinceTime: {value:?} is not a time in RFC 3339"))?)
            }
        };
        let seconds = number("sinceSeconds")?.and_then(|seconds| i64::try_from(seconds).ok());
        let since_seconds =
            seconds.and_then(|seconds| now.checked_sub(SignedDuration::from_secs(seconds)).ok());
        if since_time.is_some() && since_seconds.is_some() {
            return Err("at most one of sinceTime and sinceSeconds may be given".into());
        }
        let stream = query.get("stream").map(|name| name.to_lowercase());
        Ok(Self {
            follow: flag("follow"),
            previous: flag("previous"),
            timestamps: flag("timestamps"),
            tail_lines: number("tailLines")?,
            limit_bytes: number("limitBytes")?,
            since: since_time.or(since_seconds),
            stream: stream.filter(|name| name == "stdout" || name == "stderr"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_and_checked() {
        let now = Timestamp::from_second(1000).expect("a time");
        let read = |pairs: &[(&str, &str)]| {
            Options::read(&pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(), now)
        };
        let options =
            read(&[("follow", "true"), ("tailLines", "5"), ("sinceSeconds", "60"), ("stream", "All")]);
        let expected = Options {
            follow: true,
            tail_lines: Some(5),
            since: Timestamp::from_second(940).ok(),
            ..Options::default()
        };
        assert_eq!(options, Ok(expected));
        assert!(read(&[("tailLines", "-1")]).is_err());
        assert!(read(&[("sinceTime", "yesterday")]).is_err());
        assert!(read(&[("sinceTime", "2026-01-01T00:00:00Z"), ("sinceSeconds", "1")]).is_err());
    }
}
