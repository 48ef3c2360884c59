//! `tiphys logs`: search the logs of all nodes, and follow them.

use std::{
    collections::HashSet,
    io::{IsTerminal, Write},
    process::ExitCode,
};

use futures::StreamExt;
use tiphys_logging::{
    client,
    render::{self, Style},
    wire::{FacetValue, FacetsRequest, LogRecord, NodeError, SearchRequest, TailLine},
};

use super::{Global, connect::Connect};
use crate::{
    failure::{OrAsked, Outcome},
    output,
};

/// What to try when a search was refused.
const NEXT: &str = "tiphys logs --help";

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A line for people
    Text,
    /// One JSON object a line
    Jsonl,
    /// One JSON array with all that is known; with --follow one object after another
    Json,
}

/// Search the logs of all nodes.
///
/// Examples:
///   tiphys logs 'error AND pod:web-*' --since 15m
///   tiphys logs -A 'level:>=warn NOT "connection reset"' -f
///   tiphys logs -n shop 'app:cart status:500' -o jsonl
///   tiphys logs 'level:error' --since 1h --patterns
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Logs {
    /// What to search for; nothing finds all
    #[arg(default_value = "")]
    query: String,
    /// Only this namespace
    #[arg(short, long, conflicts_with = "all_namespaces")]
    namespace: Option<String>,
    /// All namespaces that you may read (also the default)
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// From this time on: RFC 3339, or back from now such as 15m, 2h, 7d
    #[arg(long)]
    since: Option<String>,
    /// Up to this time
    #[arg(long)]
    until: Option<String>,
    /// The most records, or patterns, to print; 0 prints all records, or 1,000 patterns
    #[arg(long, default_value_t = 100)]
    limit: usize,
    /// Go on with new records as they are written
    #[arg(short, long)]
    follow: bool,
    /// Show how often each kind of line occurs: those that differ only in numbers, ids, times and addresses are one;
    /// with --since, kinds that did not occur in the same span before are marked new
    #[arg(long, conflicts_with = "follow")]
    patterns: bool,
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
    #[command(flatten)]
    connect: Connect,
}

impl Logs {
    pub async fn run(self, global: &Global) -> Outcome<ExitCode> {
        let client = self.connect.client(global).await?;
        if self.patterns {
            return self.show_patterns(&client).await;
        }
        // Connected first, searched afterwards: together they miss nothing.
        let tail = match self.follow {
            true => Some(client::tail(&client, &self.request(None)).await.or_asked(NEXT)?),
            false => None,
        };
        let found = self.search(&client).await?;
        let shown: HashSet<String> = found.iter().map(|record| record.id.clone()).collect();
        self.print_all(&found)?;
        let Some(tail) = tail else { return Ok(ExitCode::SUCCESS) };
        let mut tail = Box::pin(tail);
        while let Some(line) = tail.next().await {
            match line.or_asked("tiphys status")? {
                TailLine::Record(record) if shown.contains(&record.id) => {}
                TailLine::Record(record) => self.print(&record)?,
                TailLine::Dropped { dropped, node } => {
                    output::warning(&format!(
                        "{dropped} records of {node} were passed over: this reader is too slow"
                    ));
                }
                TailLine::Partial { partial } => warn_partial(&[partial]),
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The most frequent pattern first.
    async fn show_patterns(&self, client: &kube::Client) -> Outcome<ExitCode> {
        let request = FacetsRequest {
            query: self.query.clone(),
            since: self.since.clone(),
            until: self.until.clone(),
            namespace: self.namespace.clone(),
            limit: Some(if self.limit == 0 { 1000 } else { self.limit.min(1000) }),
            patterns: true,
            // With a begin, there is a time before it to compare with.
            compare: self.since.as_ref().map(|_| "same".to_owned()),
            ..FacetsRequest::default()
        };
        let mut answer = client::facets(client, &request).await.or_asked(NEXT)?;
        warn_partial(&answer.partial);
        let patterns = answer.facets.remove("pattern").unwrap_or_default();
        let lines = |of: fn(&FacetValue) -> String| -> Vec<String> { patterns.iter().map(of).collect() };
        let text = match self.output {
            Format::Text => lines(render::pattern).join("\n"),
            Format::Jsonl => lines(render::pattern_json).join("\n"),
            Format::Json => format!("[{}]", lines(render::pattern_json).join(",\n")),
        };
        if !text.is_empty() {
            output::data(&format!("{text}\n"))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn request(&self, cursor: Option<String>) -> SearchRequest {
        SearchRequest {
            query: self.query.clone(),
            since: self.since.clone(),
            until: self.until.clone(),
            limit: Some(if self.limit == 0 { 10_000 } else { self.limit.min(10_000) }),
            cursor,
            namespace: self.namespace.clone(),
            ..SearchRequest::default()
        }
    }

    /// All pages up to the limit, oldest record first.
    async fn search(&self, client: &kube::Client) -> Outcome<Vec<LogRecord>> {
        let mut found = Vec::new();
        let mut cursor = None;
        loop {
            let answer = client::search(client, &self.request(cursor)).await.or_asked(NEXT)?;
            warn_partial(&answer.partial);
            found.extend(answer.records);
            cursor = answer.cursor;
            if cursor.is_none() || (self.limit > 0 && found.len() >= self.limit) {
                break;
            }
        }
        if self.limit > 0 {
            found.truncate(self.limit);
        }
        found.reverse();
        Ok(found)
    }

    fn print_all(&self, records: &[LogRecord]) -> std::io::Result<()> {
        // While following, an array would have no end.
        if self.output == Format::Json && !self.follow {
            let records: Vec<_> = records.iter().map(render::json).collect();
            return output::data(&format!("[{}]\n", records.join(",\n")));
        }
        records.iter().try_for_each(|record| self.print(record))
    }

    fn print(&self, record: &LogRecord) -> std::io::Result<()> {
        let stdout = std::io::stdout();
        let colour = stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let line = match self.output {
            Format::Text => {
                render::line(record, Style { colour, namespace: self.namespace.is_none(), time: true })
            }
            Format::Json => render::json(record),
            Format::Jsonl => render::jsonl(record),
        };
        writeln!(stdout.lock(), "{line}")
    }
}

fn warn_partial(missing: &[NodeError]) {
    for node in missing {
        output::warning(&format!("{} is missing from this answer: {}", node.node, node.error));
    }
}
