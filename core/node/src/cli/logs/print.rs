//! Records on stdout, in the form that was asked for.
//!
//! On a terminal nothing foreign is sent as it is; `raw` gives exact bytes to files
//! and pipes only.

use std::io::{IsTerminal, Write};

use tiphys_logging::{
    query::Hits,
    render::{self, Style},
    time,
    wire::LogRecord,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A line for people
    Text,
    /// What the containers wrote, nothing added
    Raw,
    /// One JSON object a line
    Jsonl,
    /// One JSON array with all that is known; with --follow one object after another
    Json,
    /// A Parquet file: see --file
    Parquet,
}

impl Format {
    /// Whether records are objects.
    pub fn is_json(self) -> bool {
        matches!(self, Self::Json | Self::Jsonl)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum When {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    Always,
    Never,
}

impl When {
    pub fn now(self) -> bool {
        match self {
            Self::Auto => std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
            Self::Always => true,
            Self::Never => false,
        }
    }
}

/// How records are written.
pub struct Printer {
    pub format: Format,
    pub colour: bool,
    pub namespace: bool,
    pub hits: Option<Hits>,
    today: String,
    terminal: bool,
}

impl Printer {
    pub fn new(format: Format, colour: bool, namespace: bool, hits: Option<Hits>) -> Self {
        let today = time::format(time::now()).chars().take(10).collect();
        Self { format, colour, namespace, hits, today, terminal: std::io::stdout().is_terminal() }
    }

    /// Writes a record and its line end. `aside`: it stands beside a hit.
    ///
    /// # Errors
    /// A closed or full stdout.
    pub fn print(&self, record: &LogRecord, aside: bool) -> std::io::Result<()> {
        let mut line = match self.format {
            Format::Text => {
                let style = Style {
                    colour: self.colour,
                    namespace: self.namespace,
                    time: true,
                    today: &self.today,
                    hits: self.hits.as_ref(),
                    aside,
                };
                render::line(record, style).into_bytes()
            }
            Format::Raw if self.terminal => render::shown_body(record).into_bytes(),
            Format::Raw => render::raw_body(record),
            Format::Json => render::json(record).into_bytes(),
            Format::Jsonl | Format::Parquet => render::jsonl(record).into_bytes(),
        };
        line.push(b'\n');
        std::io::stdout().lock().write_all(&line)
    }
}
