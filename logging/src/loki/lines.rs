//! Lines of a log query: pages of a search, each line through the stages.

use std::{
    ops::ControlFlow,
    time::{Duration, Instant},
};

use tiphys_api::auth::UserInfo;

use super::{
    answer::{LokiError, missing},
    labels::{self, Labels},
    logql::LogQuery,
    pipeline::{Line, Pipeline},
    translate,
};
use crate::{
    root::LogRoot,
    time,
    wire::{LogRecord, SearchRequest},
};

/// Lines that a query may look at one by one.
pub const MAX_LOOKED: usize = 200_000;
/// The time that it may take.
const WITHIN: Duration = Duration::from_secs(30);
/// Lines of a page, where how many pass the stages isn't known.
const PAGE: usize = 5_000;

#[cfg(test)]
thread_local! {
    /// Lines that this thread looked at one by one.
    pub static LOOKED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Who asks whom.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    pub root: &'a LogRoot,
    pub user: &'a UserInfo,
}

/// How a walk over lines ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Walked {
    pub warnings: Vec<String>,
    /// Not all lines were looked at.
    pub cut: bool,
}

impl Ask<'_> {
    /// Calls `found` with time, labels and line of all that the query finds in `range`.
    pub async fn each_line(
        self,
        query: &LogQuery,
        range: std::ops::Range<i64>,
        oldest_first: bool,
        limit: Option<usize>,
        mut found: impl FnMut(i64, Line) -> ControlFlow<()>,
    ) -> Result<Walked, LokiError> {
        let started = Instant::now();
        let pipeline = Pipeline::new(&query.stages)?;
        let pushed = translate::push(query);
        let mut request = SearchRequest {
            query: pushed.expr.to_string(),
            since: Some(time::format(range.start)),
            until: Some(time::format(range.end)),
            limit: Some(limit.filter(|_| pushed.exact).unwrap_or(PAGE)),
            oldest_first,
            ..SearchRequest::default()
        };
        let (mut walked, mut looked) = (Walked::default(), 0);
        if range.is_empty() {
            return Ok(walked);
        }
        loop {
            let page = self.root.search(self.user, &request).await?;
            for text in missing(&page.partial) {
                if !walked.warnings.contains(&text) {
                    walked.warnings.push(text);
                }
            }
            looked += page.records.len();
            #[cfg(test)]
            LOOKED.set(LOOKED.get() + page.records.len());
            for record in page.records {
                let Some((time, mut line)) = line(record) else { continue };
                if pipeline.run(&mut line) && found(time, line).is_break() {
                    return Ok(walked);
                }
            }
            request.cursor = page.cursor;
            if request.cursor.is_none() {
                return Ok(walked);
            }
            if looked >= MAX_LOOKED || started.elapsed() >= WITHIN {
                walked.cut = true;
                walked.warnings.push(format!(
                    "{looked} lines were looked at one by one and there are more: narrow the range or the filters"
                ));
                return Ok(walked);
            }
        }
    }

    /// The lines by their labels, at most `limit` in all, in the order that was asked for.
    pub async fn streams(
        self,
        query: &LogQuery,
        range: std::ops::Range<i64>,
        oldest_first: bool,
        limit: usize,
    ) -> Result<(Vec<Stream>, Vec<String>), LokiError> {
        let mut streams: Vec<Stream> = Vec::new();
        let mut index: std::collections::HashMap<Labels, usize> = std::collections::HashMap::new();
        let mut count = 0;
        let walked = self
            .each_line(query, range, oldest_first, Some(limit), |time, line| {
                let at = *index.entry(line.labels).or_insert_with_key(|labels| {
                    streams.push((labels.clone(), Vec::new()));
                    streams.len() - 1
                });
                streams[at].1.push((time, line.text));
                count += 1;
                if count >= limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
            .await?;
        Ok((streams, walked.warnings))
    }
}

/// Lines of one label set with their times.
pub type Stream = (Labels, Vec<(i64, String)>);

/// A record as it enters the stages.
pub fn line(record: LogRecord) -> Option<(i64, Line)> {
    let time = time::parse(&record.time)?;
    let labels = labels::of(&record);
    Some((time, Line { text: record.body, labels, value: None }))
}
