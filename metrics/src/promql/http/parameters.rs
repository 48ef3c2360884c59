//! What a request asks for: parameters of the path's query and of a form, together.

use std::time::Duration;

use axum::{
    body::Body,
    extract::{FromRequest, Request},
    http::{Method, header},
    response::Response,
};

use super::{super::matchers_of, reply::Refusal};
use crate::series::Matcher;

/// Bytes of a form.
const LARGEST_FORM: usize = 4 << 20;

/// Names and values in the order they came in.
#[derive(Debug, Default)]
pub struct Parameters(Vec<(String, String)>);

impl<S: Send + Sync> FromRequest<S> for Parameters {
    type Rejection = Response;

    async fn from_request(request: Request<Body>, _: &S) -> Result<Self, Response> {
        let (parts, body) = request.into_parts();
        let mut all = Self::of(parts.uri.query().unwrap_or_default());
        if parts.method == Method::POST {
            let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
            let bytes = axum::body::to_bytes(body, LARGEST_FORM).await;
            let bytes = bytes.map_err(|error| Refusal::bad(format!("form: {error}")).response())?;
            if kind.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded")) {
                let form = Self::of(&String::from_utf8_lossy(&bytes));
                all.0.splice(0..0, form.0);
            }
        }
        Ok(all)
    }
}

impl Parameters {
    fn of(query: &str) -> Self {
        let pairs = form_urlencoded::parse(query.as_bytes());
        Self(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }

    /// A parameter that isn't empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(found, _)| found == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    pub fn wanted(&self, name: &str) -> Result<&str, Refusal> {
        self.get(name).ok_or_else(|| Refusal::parameter(name, "it is missing"))
    }

    /// A time in milliseconds.
    pub fn time(&self, name: &str) -> Result<Option<i64>, Refusal> {
        self.get(name)
            .map(|text| {
                time(text).ok_or_else(|| {
                    Refusal::parameter(name, format!("cannot parse {text:?} to a valid timestamp"))
                })
            })
            .transpose()
    }

    pub fn duration(&self, name: &str) -> Result<Option<Duration>, Refusal> {
        self.get(name)
            .map(|text| {
                duration(text).ok_or_else(|| {
                    Refusal::parameter(name, format!("cannot parse {text:?} to a valid duration"))
                })
            })
            .transpose()
    }

    /// How many entries are wanted at most.
    pub fn limit(&self) -> Result<usize, Refusal> {
        self.at_most("limit")
    }

    /// A parameter that says how many; 0 is no limit, as where it is missing.
    pub fn at_most(&self, name: &str) -> Result<usize, Refusal> {
        match self.get(name).map(str::parse::<usize>) {
            None | Some(Ok(0)) => Ok(usize::MAX),
            Some(Ok(limit)) => Ok(limit),
            Some(Err(_)) => Err(Refusal::parameter(name, "it must be a number of 0 or more")),
        }
    }

    /// The selectors `match[]`.
    pub fn selectors(&self) -> Result<Vec<Vec<Matcher>>, Refusal> {
        let texts = self.0.iter().filter(|(name, _)| name == "match[]").map(|(_, text)| text);
        texts.map(|text| selector(text)).collect()
    }

    /// `start` and `end`, all of time where they are missing; the end excluded.
    pub fn range(&self) -> Result<std::ops::Range<i64>, Refusal> {
        let start = self.time("start")?.unwrap_or(i64::MIN / 2);
        let end = self.time("end")?.unwrap_or(i64::MAX / 2);
        if end < start {
            return Err(Refusal::parameter("end", "end timestamp must not be before start time"));
        }
        Ok(start..end.saturating_add(1))
    }
}

fn selector(text: &str) -> Result<Vec<Matcher>, Refusal> {
    matchers_of(text).map_err(|error| Refusal::parameter("match[]", error))
}

/// Seconds since the Unix epoch, or RFC 3339, in milliseconds.
fn time(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<f64>() {
        let millis = (seconds * 1000.0).round();
        return (millis.abs() < 9e18).then_some(millis as i64);
    }
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}

/// Seconds, or Prometheus' form `1h30m`.
fn duration(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    promql_parser::util::parse_duration(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_durations_have_two_forms() {
        assert_eq!(
            (time("1.5"), time("1970-01-01T00:00:02Z"), time("x"), time("NaN")),
            (Some(1500), Some(2000), None, None)
        );
        assert_eq!(duration("1h30m"), Some(Duration::from_secs(5400)));
        assert_eq!(
            (duration("0.5"), duration("-1"), duration("x")),
            (Some(Duration::from_millis(500)), None, None)
        );
    }

    #[test]
    fn selectors_are_read() {
        let parameters = Parameters::of("match[]=up&match[]=%7Bjob%3D%22a%22%7D&limit=3");
        assert_eq!(parameters.selectors().expect("valid").len(), 2);
        assert_eq!(parameters.limit().expect("valid"), 3);
        let wrong = Parameters::of("match[]=sum(up)").selectors().expect_err("no selector");
        assert!(wrong.sentence.contains("match[]"), "{}", wrong.sentence);
    }
}
