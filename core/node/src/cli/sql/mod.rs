//! `tiphys sql`: ask about metrics, logs, objects and decisions in SQL, a statement or at
//! a prompt.

mod command;
mod complete;
mod expanded;
mod prompt;

use std::{
    io::{IsTerminal, Read, Write},
    path::PathBuf,
    process::ExitCode,
};

use futures::AsyncReadExt;
use http_body_util::BodyExt;
use kube::Client;

use super::{Global, connect::Connect, logs::file::Target};
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
    /// A Parquet file: see --file
    Parquet,
}

impl Format {
    fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Json => "json",
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        }
    }
}

/// Ask about metrics, logs, objects and decisions in SQL.
///
/// Without a statement, at a terminal: a prompt, whose \? says what it can.
///
/// Examples:
///   tiphys sql
///   tiphys sql '\d'
///   tiphys sql '\d logs'
///   tiphys sql '\df rate'
///   tiphys sql 'select node, count(distinct pod) from pod group by node'
///   tiphys sql "select namespace, level, count(*) from logs
///               where match(body, 'timeout -retry')
///                 and time > now() - interval '1 hour'
///               group by 1, 2 order by 3 desc"
///   tiphys sql "select namespace, name, object->'spec'->>'replicas'
///               from objects.deployments"
///   tiphys sql "select pod, rate(cpu_usage_nanos_total, time) / 1e9 as cores
///               from pod where time > now() - interval '5 minutes' group by pod"
///   tiphys sql "select * from decisions order by time desc limit 5"
///   tiphys sql -o csv 'select time, pod, cpu_cores from pod order by time'
///   tiphys sql -o parquet --file w.parquet 'select * from logs where severity > 3'
///
/// match(body, '...') takes the query language of tiphys logs.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Sql {
    /// The statement, or a command of the prompt such as '\d'; from stdin when it is `-` or absent
    statement: Option<String>,
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
    /// Where a Parquet file goes; it has its name when it is whole
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
    #[command(flatten)]
    connect: Connect,
}

impl Sql {
    pub async fn run(self, global: &Global) -> Outcome<ExitCode> {
        let statement = match self.statement.as_deref() {
            Some(text) if text != "-" => text.to_owned(),
            None if std::io::stdin().is_terminal() => {
                let client = self.connect.client(global).await?;
                prompt::Prompt::new(client, self.output).run().await?;
                return Ok(ExitCode::SUCCESS);
            }
            _ => {
                let mut text = String::new();
                std::io::stdin().read_to_string(&mut text)?;
                text
            }
        };
        let statement = match command::Command::parse(&statement) {
            Some(command) => command.statement().ok_or_else(|| {
                Failure::usage("that is a command of the prompt", "tiphys sql, without a statement")
            })?,
            None => statement,
        };
        if statement.trim().is_empty() {
            return Err(Failure::usage("there is no statement", "tiphys sql 'show tables'"));
        }
        let client = self.connect.client(global).await?;
        if self.file.is_some() && self.output != Format::Parquet {
            return Err(Failure::usage("--file is for -o parquet", "send other formats into a file with >"));
        }
        match self.output {
            Format::Parquet => self.save(&client, request(&statement, self.output.name())?).await,
            Format::Csv | Format::Jsonl => pass_on(&client, &statement, self.output.name()).await,
            Format::Table | Format::Json => {
                let said = ask(&client, &statement, self.output.name()).await?;
                // What the answer lacks is said before it scrolls away, and not in it.
                said.warnings.iter().for_each(|warning| output::warning(warning));
                std::io::stdout().write_all(&said.body)?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }

    /// The file as it comes; what it says of itself is told at its end.
    async fn save(&self, client: &Client, request: http::Request<Vec<u8>>) -> Outcome<ExitCode> {
        let mut target = Target::open(self.file.as_deref())?;
        let mut reader = std::pin::pin!(client.request_stream(request).await.or_asked(NEXT)?);
        let (mut piece, mut end) = (vec![0; 64 << 10], Vec::new());
        loop {
            let length = reader.read(&mut piece).await?;
            if length == 0 {
                break;
            }
            target.write(&piece[..length])?;
            end.extend_from_slice(&piece[..length]);
            end.drain(..end.len().saturating_sub(NOTES_WITHIN));
        }
        target.finish()?;
        tiphys_metrics::notes_of(&end).iter().for_each(|note| output::warning(note));
        Ok(ExitCode::SUCCESS)
    }
}

/// An answer.
struct Said {
    body: Vec<u8>,
    warnings: Vec<String>,
}

/// Asks one statement. Dropped, the server gives it up.
async fn ask(client: &Client, statement: &str, format: &str) -> Outcome<Said> {
    let request = request(statement, format)?;
    let answer = client.send(request.map(kube::client::Body::from)).await.or_asked(NEXT)?;
    let (status, warnings) = (answer.status(), warnings(answer.headers()));
    let body = answer.into_body().collect_bytes().await.or_asked(NEXT)?;
    if !status.is_success() {
        return Err(refused(&body));
    }
    Ok(Said { body: body.to_vec(), warnings })
}

/// Writes an answer as it comes, however long it is.
async fn pass_on(client: &Client, statement: &str, format: &str) -> Outcome<ExitCode> {
    let request = request(statement, format)?;
    let answer = client.send(request.map(kube::client::Body::from)).await.or_asked(NEXT)?;
    let (head, mut body) = answer.into_parts();
    if !head.status.is_success() {
        return Err(refused(&body.collect().await.or_asked(NEXT)?.to_bytes()));
    }
    warnings(&head.headers).iter().for_each(|warning| output::warning(warning));
    let mut out = std::io::stdout();
    while let Some(frame) = body.frame().await {
        match frame.or_asked(NEXT)?.into_data() {
            Ok(piece) => out.write_all(&piece)?,
            // What turned out later to be missing.
            Err(frame) => {
                let late = frame.into_trailers().map(|trailers| warnings(&trailers)).unwrap_or_default();
                late.iter().for_each(|warning| output::warning(warning));
            }
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn request(statement: &str, format: &str) -> Outcome<http::Request<Vec<u8>>> {
    let body = serde_json::to_vec(&serde_json::json!({"sql": statement, "format": format}))?;
    Ok(http::Request::post("/tiphys/v1/sql")
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(body)?)
}

/// What to try when a statement was refused.
const NEXT: &str = "tiphys sql 'show tables'";
/// The metadata of a Parquet file is looked for in so many bytes of its end.
const NOTES_WITHIN: usize = 1 << 20;

/// The texts of `Warning: 299 - "text"`.
fn warnings(headers: &http::HeaderMap) -> Vec<String> {
    let values = headers.get_all(http::header::WARNING).iter().filter_map(|value| value.to_str().ok());
    let texts = values.filter_map(|value| value.strip_prefix("299 - \"")?.strip_suffix('"'));
    texts.map(|text| text.replace("\\\"", "\"").replace("\\\\", "\\")).collect()
}

fn refused(body: &[u8]) -> Failure {
    let status: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let message = status.as_ref().and_then(|status| status["message"].as_str());
    Failure::new(message.unwrap_or("the server did not say what is wrong"), NEXT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_answer_lacks_is_read_from_its_head() {
        let mut headers = http::HeaderMap::new();
        for value in ["299 - \"n3 is \\\"down\\\" in C:\\\\\"", "110 other", "299 - \"b\""] {
            headers.append(http::header::WARNING, value.parse().expect("a value"));
        }
        assert_eq!(warnings(&headers), ["n3 is \"down\" in C:\\", "b"]);
        assert_eq!(refused(br#"{"message": "no"}"#).message(), "no");
    }
}
