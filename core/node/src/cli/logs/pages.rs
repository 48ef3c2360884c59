//! Records page by page: the newest few oldest first, or all from the oldest on without
//! holding more than a page.

use tiphys_logging::{
    client,
    wire::{LogRecord, MAX_LIMIT, SearchRequest},
};

use super::missing::Missing;
use crate::failure::{OrAsked, Outcome};

/// A search that is asked on.
pub struct Pages<'a> {
    client: &'a kube::Client,
    request: SearchRequest,
    /// `None`: all there are.
    limit: Option<usize>,
    more: bool,
    /// Records that were found already.
    found: Option<Vec<LogRecord>>,
    missing: &'a Missing,
}

impl<'a> Pages<'a> {
    /// `limit` counts from the newest record; all are given when there is none.
    pub fn new(
        client: &'a kube::Client,
        request: SearchRequest,
        limit: Option<usize>,
        missing: &'a Missing,
    ) -> Self {
        Self { client, request, limit, more: true, found: None, missing }
    }

    /// These records, oldest first, as the only page.
    pub fn of(client: &'a kube::Client, records: Vec<LogRecord>, missing: &'a Missing) -> Self {
        Self { found: Some(records), ..Self::new(client, SearchRequest::default(), None, missing) }
    }

    /// The next records, oldest first; `None` after the last.
    ///
    /// # Errors
    /// The server refuses, or can't be reached.
    pub async fn next(&mut self, next: &str) -> Outcome<Option<Vec<LogRecord>>> {
        if !std::mem::take(&mut self.more) {
            return Ok(None);
        }
        if let Some(found) = self.found.take() {
            return Ok(Some(found));
        }
        let Some(limit) = self.limit else {
            self.request.oldest_first = true;
            let records = self.page(MAX_LIMIT, next).await?;
            self.more = self.request.cursor.is_some();
            return Ok(Some(records));
        };
        let mut newest = Vec::new();
        while newest.len() < limit {
            newest.extend(self.page((limit - newest.len()).min(MAX_LIMIT), next).await?);
            if self.request.cursor.is_none() {
                break;
            }
        }
        newest.reverse();
        Ok(Some(newest))
    }

    async fn page(&mut self, limit: usize, next: &str) -> Outcome<Vec<LogRecord>> {
        self.request.limit = Some(limit);
        let answer = client::search(self.client, &self.request).await.or_asked(next)?;
        self.missing.tell(&answer.partial);
        self.request.cursor = answer.cursor;
        Ok(answer.records)
    }
}
