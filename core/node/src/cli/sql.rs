//! `tiphys sql`: ask about metrics and decisions in SQL.

use std::{io::Read, process::ExitCode};

use super::{Global, connect::Connect};
use crate::{
    failure::{Failure, OrAsked, Outcome},
    output,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Columns for people
    Table,
    /// One JSON array of objects
    Json,
    /// One JSON object a row
    Jsonl,
    /// Comma-separated, with a header
    Csv,
}

impl Format {
    fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Json => "json",
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
        }
    }
}

/// Ask about metrics and decisions in SQL.
///
/// Examples:
///   tiphys sql 'select node, count(distinct pod) from pod group by node'
///   tiphys sql "select * from decisions order by time desc limit 5"
///   tiphys sql -o csv 'select time, pod, cpu_cores from pod order by time'
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Sql {
    /// The statement; from stdin when it is `-` or absent
    statement: Option<String>,
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    connect: Connect,
}

impl Sql {
    pub async fn run(self, global: &Global) -> Outcome<ExitCode> {
        let statement = match self.statement.as_deref() {
            Some(text) if text != "-" => text.to_owned(),
            _ => {
                let mut text = String::new();
                std::io::stdin().read_to_string(&mut text)?;
                text
            }
        };
        if statement.trim().is_empty() {
            return Err(Failure::usage("there is no statement", "tiphys sql 'show tables'"));
        }
        let client = self.connect.client(global).await?;
        let body = serde_json::to_vec(&serde_json::json!({"sql": statement, "format": self.output.name()}))?;
        let request = http::Request::post("/tiphys/v1/sql")
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(body)?;
        let answer = client.request_text(request).await.or_asked("tiphys sql 'show tables'")?;
        output::data(&answer)?;
        Ok(ExitCode::SUCCESS)
    }
}
