//! `/federate`: the newest samples of chosen series, for another Prometheus to scrape.

use axum::{
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use futures::StreamExt;

use super::{Asked, json, parameters::Parameters, reply::Refusal};
use crate::series::{Labels, Missing, NAME, Select, SelectError, SeriesColumns, Wanted, is_stale};

/// The exposition formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Text,
    OpenMetrics,
}

impl Format {
    fn wanted(headers: &HeaderMap) -> Self {
        let accepts = headers.get_all(header::ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
        let wanted = accepts.into_iter().any(|accept| accept.contains("application/openmetrics-text"));
        if wanted { Self::OpenMetrics } else { Self::Text }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

pub async fn federate(headers: HeaderMap, asked: Asked, parameters: Parameters) -> Response {
    let format = Format::wanted(&headers);
    match newest(&asked, &parameters).await {
        Ok(found) => {
            ([(header::CONTENT_TYPE, format.content_type())], written(&found, format)).into_response()
        }
        Err(refusal) => (refusal.status, refusal.sentence).into_response(),
    }
}

/// Number and time of each chosen series that has not ended.
async fn newest(asked: &Asked, parameters: &Parameters) -> Result<Vec<(Labels, i64, f64)>, Refusal> {
    let selectors = parameters.selectors()?;
    let now = jiff::Timestamp::now().as_millisecond();
    let lookback = i64::try_from(asked.limits.lookback.as_millis()).unwrap_or(i64::MAX);
    let mut found = Vec::new();
    let _place = asked.place(asked.limits.deadline).await?;
    for matchers in selectors {
        let range = now - lookback + 1..now + 1;
        // So recent that nothing of it can be missing.
        let mut series = asked.source.stream(&matchers, range, Wanted::Newest, &Missing::default()).await?;
        while let Some(batch) = series.next().await {
            let before = found.len();
            for series in batch? {
                found.extend(last(series?));
            }
            asked.limits.share.take(found.len() - before)?;
            if found.len() > asked.limits.samples {
                return Err(SelectError::TooMany(asked.limits.samples).into());
            }
        }
    }
    found.sort_by(|a, b| a.0.name().cmp(b.0.name()).then_with(|| a.0.cmp(&b.0)));
    found.dedup_by(|a, b| a.0 == b.0);
    Ok(found)
}

/// Native histograms have no place in these formats.
fn last(series: SeriesColumns) -> Option<(Labels, i64, f64)> {
    let (time, number) = (*series.times.last()?, *series.values.last()?);
    let newer = series.histograms.last().is_some_and(|(at, _)| *at > time);
    (!newer && !is_stale(number)).then_some((series.labels, time, number))
}

fn written(found: &[(Labels, i64, f64)], format: Format) -> String {
    let kind = if format == Format::Text { "untyped" } else { "unknown" };
    let mut text = String::new();
    let mut before = "";
    for (labels, time, number) in found {
        let name = labels.name();
        if name != before {
            text.push_str(&format!("# TYPE {name} {kind}\n"));
            before = name;
        }
        text.push_str(name);
        let mut pairs: Vec<_> = labels.iter().filter(|(name, _)| *name != NAME).collect();
        // Else the one who scrapes would put its own there.
        if !pairs.iter().any(|(name, _)| *name == "instance") {
            pairs.push(("instance", ""));
        }
        let pairs: Vec<_> =
            pairs.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        text.push_str(&format!("{{{}}} ", pairs.join(",")));
        json::plain(&mut text, *number);
        text.push(' ');
        match format {
            Format::Text => text.push_str(&time.to_string()),
            Format::OpenMetrics => json::seconds(&mut text, *time),
        }
        text.push('\n');
    }
    if format == Format::OpenMetrics {
        text.push_str("# EOF\n");
    }
    text
}

fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_are_written() {
        let labels = Labels::new([(NAME, "up"), ("job", "a\"b")]);
        let found = [(labels, 1500, 1.0)];
        assert_eq!(
            written(&found, Format::Text),
            "# TYPE up untyped\nup{job=\"a\\\"b\",instance=\"\"} 1 1500\n"
        );
        assert_eq!(
            written(&found, Format::OpenMetrics),
            "# TYPE up unknown\nup{job=\"a\\\"b\",instance=\"\"} 1 1.500\n# EOF\n"
        );
    }
}
