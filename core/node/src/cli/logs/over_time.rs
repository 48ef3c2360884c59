//! Counts over time as bars, and statistics: one request each, and its answer for people, for
//! programs, or as a file.

use std::process::ExitCode;

use tiphys_logging::{
    client,
    query::Expr,
    render, time,
    wire::{HistogramAnswer, HistogramRequest, StatsRequest},
};

use super::{
    Logs, NEXT, bars,
    counts_file::{self, Columns},
    figures::Figures,
    file,
    print::Format,
    range::{self, Range},
};
use crate::{
    failure::{Failure, OrAsked, Outcome},
    output,
};

impl Logs {
    /// From and to, by options or else by the query: the last hour where nothing is said.
    fn range(&self, query: &Expr) -> Outcome<(i64, i64)> {
        let now = time::now();
        let within = query.within(now);
        let of = |text: &Option<String>, name, none| match text {
            Some(text) => time::resolve(text, now, name).map_err(|error| Failure::usage(error, NEXT)),
            None => Ok(none),
        };
        let until = of(&self.until, "until", within.until.unwrap_or(now.saturating_add(1)))?;
        let hour = until.saturating_sub(3600 * time::SECOND);
        let since = of(&self.since, "since", within.since.unwrap_or(hour))?;
        if since >= until {
            return Err(Failure::usage(
                "nothing lies between the begin and the end of the time asked for",
                "swap --since and --until, or look at `time:` in the query",
            ));
        }
        Ok((since, until))
    }

    pub(super) async fn show_histogram(&self, client: &kube::Client, query: &Expr) -> Outcome<ExitCode> {
        /// Lines that fit a screen with the prompt.
        const LINES: usize = 20;
        let lines = self.limit.filter(|limit| *limit > 0).unwrap_or(LINES).min(1000);
        let (since, until) = self.range(query)?;
        let range = Range::in_lines(since, until, lines);
        let request = HistogramRequest {
            query: query.to_string(),
            since: Some(time::format(range.since)),
            until: Some(time::format(range.until)),
            namespace: self.namespace.clone(),
            buckets: Some(range.steps()),
            by: self.by.clone(),
            top: self.by.as_ref().map(|_| self.top),
            within: self.within.clone(),
        };
        let mut answer = client::histogram(client, &request).await.or_asked(NEXT)?;
        self.missing.tell(&answer.partial);
        if answer.capped {
            output::warning(
                "there are more values than can be told apart: (others) may hold some of the shown",
            );
        }
        match self.output {
            Format::Parquet if self.by.is_some() => self.save_counts(counts_file::of_values(&answer))?,
            Format::Parquet => self.save_counts(counts_file::of_bars(&answer))?,
            _ => self.out.write(self.histogram_text(&mut answer)?.as_bytes())?,
        }
        Ok(self.exit_code())
    }

    /// Objects with their times in UTC, or bars with those of the zone.
    fn histogram_text(&self, answer: &mut HistogramAnswer) -> Outcome<String> {
        if !matches!(self.output, Format::Json | Format::Jsonl) {
            answer.buckets.iter_mut().for_each(|bar| bar.time = self.timezone.shown(&bar.time));
        }
        Ok(match self.output {
            Format::Json => format!("{}\n", render::inert(&serde_json::to_string(answer)?)),
            Format::Jsonl => {
                let lines: Result<Vec<_>, _> = answer.buckets.iter().map(serde_json::to_string).collect();
                lines?.iter().map(|line| format!("{}\n", render::inert(line))).collect()
            }
            _ if self.by.is_some() => bars::columns(answer),
            _ => bars::bars(answer, self.colour()),
        })
    }

    pub(super) async fn show_figures(
        &self,
        client: &kube::Client,
        query: &Expr,
        figures: &Figures,
    ) -> Outcome<ExitCode> {
        let (since, until) = self.range(query)?;
        let step = figures.request.step.as_deref().and_then(time::span).filter(|step| *step > 0);
        let since = step.map_or(since, |step| range::floor(since, step));
        let request = StatsRequest {
            query: query.to_string(),
            since: Some(time::format(since)),
            until: Some(time::format(until)),
            namespace: self.namespace.clone(),
            limit: Some(self.limit().unwrap_or(1000)),
            within: self.within.clone(),
            ..figures.request.clone()
        };
        let mut answer = client::stats(client, &request).await.or_asked(NEXT)?;
        self.missing.tell(&answer.partial);
        let text = match self.output {
            Format::Parquet => {
                self.save_counts(figures.columns(&answer))?;
                return Ok(self.exit_code());
            }
            Format::Json => format!("{}\n", render::inert(&serde_json::to_string(&answer)?)),
            Format::Jsonl => {
                let lines: Result<Vec<_>, _> = answer.series.iter().map(serde_json::to_string).collect();
                lines?.iter().map(|line| format!("{}\n", render::inert(line))).collect()
            }
            _ => {
                let series = answer.series.iter_mut().chain(answer.other.as_mut());
                let points = series.flat_map(|series| series.points.iter_mut());
                points.for_each(|point| point.time = self.timezone.shown(&point.time));
                figures.table(&answer)
            }
        };
        self.out.write(text.as_bytes())?;
        Ok(self.exit_code())
    }

    /// Writes counts into the file that was asked for.
    pub(super) fn save_counts(&self, columns: Columns) -> Outcome<()> {
        let rows = file::save(self.file.as_deref(), columns, &self.missing.notes())?;
        if let Some(path) = &self.file {
            output::line(&format!("{rows} rows are in {}", path.display()));
        }
        Ok(())
    }
}
