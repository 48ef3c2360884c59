//! `tiphys sql`: ask about metrics, logs, objects and decisions in SQL, a statement or at
//! a prompt.

mod command;
mod complete;
mod copy;
mod expanded;
mod help;
mod pager;
mod prompt;
mod request;
mod script;
mod session;
mod settings;
#[cfg(test)]
mod signal_tests;
mod sink;
mod table;
mod terminal;
#[cfg(test)]
mod test_world;

use std::{
    io::{IsTerminal, Read},
    path::PathBuf,
    process::ExitCode,
};

use kube::Client;
use session::Session;
use sink::Sink;

use super::{
    Global,
    connect::Connect,
    logs::interrupt::{Signals, interrupted, unless_terminated},
};
use crate::failure::{Failure, Outcome};

/// With what a prompt exits that SIGTERM ends: what shells show of a process that died of it.
const TERMINATED: i32 = 128 + 15;

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
    /// A Parquet file, for --file or >
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
/// Several statements, each ended by ;, and commands of the prompt, each on a line
/// of its own, are carried out one after the other, up to the first that fails.
///
/// As psql's, -f is a file of statements; --file is where the answer goes.
///
/// Examples:
///   tiphys sql
///   tiphys sql '\dt'
///   tiphys sql '\d+ logs'
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
///   tiphys sql -f report.sql
///   tiphys sql -o csv 'select time, pod, cpu_cores from pod order by time'
///   tiphys sql -o parquet --file w.parquet 'select * from logs where severity > 3'
///
/// match(body, '...') takes the query language of tiphys logs.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Sql {
    /// Statements, or a command of the prompt such as '\d'; from stdin when it is `-` or absent
    statement: Option<String>,
    /// Take statements and commands from this file; - is stdin
    #[arg(short = 'f', long, value_name = "PATH", conflicts_with = "statement")]
    input: Option<PathBuf>,
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
    /// Where the answer goes; the file has its name when it is whole
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
    #[command(flatten)]
    connect: Connect,
}

impl Sql {
    pub async fn run(self, global: &Global) -> Outcome<ExitCode> {
        let at_a_prompt = self.statement.is_none() && self.input.is_none() && std::io::stdin().is_terminal();
        self.refuse_a_script_as_answer(at_a_prompt)?;
        if at_a_prompt {
            let session = Session::new(self.connect.client(global).await?, self.output, Sink::stdout());
            let terminal = terminal::Terminal::now();
            let Some(ended) = unless_terminated(Box::pin(prompt::Prompt::new(session).run())).await? else {
                // The line editor's thread may wait for a line, and whoever returns waits for it. It has set
                // the terminal for that.
                terminal.iter().for_each(terminal::Terminal::restore);
                std::process::exit(TERMINATED);
            };
            return ended.map(|()| ExitCode::SUCCESS);
        }
        let (text, name) = self.text()?;
        let (pieces, rest) = script::split(&text);
        if pieces.is_empty() && rest.statement.is_empty() {
            return Err(Failure::usage("there is no statement", request::NEXT));
        }
        let client = self.connect.client(global).await?;
        Box::pin(self.answer_or_end(client, &text, name.as_deref())).await?;
        Ok(ExitCode::SUCCESS)
    }

    /// The answers, unless a signal ends them: then nothing of them is left in a file.
    async fn answer_or_end(&self, client: Client, text: &str, name: Option<&str>) -> Outcome<()> {
        let Some(path) = &self.file else {
            let work = Box::pin(self.answer(client, text, name, Sink::stdout()));
            let ended = || Failure::new("terminated: what was not whole yet is not kept", "ask again");
            return unless_terminated(work).await?.unwrap_or_else(|| Err(ended()));
        };
        let mut signals = Signals::watch()?;
        // The file is the work's, and goes with it.
        let work = Box::pin(self.answer(client, text, name, Sink::whole(path)?));
        signals.unless(work).await.unwrap_or_else(|| Err(interrupted(path)))
    }

    async fn answer(&self, client: Client, text: &str, name: Option<&str>, sink: Sink) -> Outcome<()> {
        let mut session = Session::new(client, self.output, sink);
        session.script(text, name).await?;
        session.finish()
    }

    /// `psql --file` is what is read; here that would be written over.
    fn refuse_a_script_as_answer(&self, at_a_prompt: bool) -> Outcome<()> {
        let Some(file) = &self.file else { return Ok(()) };
        if at_a_prompt || file.extension().is_some_and(|ending| ending == "sql") {
            return Err(Failure::usage(
                "--file is where the answer goes",
                format!("tiphys sql -f {} reads statements", file.display()),
            ));
        }
        Ok(())
    }

    /// The statements, and what they are called where there is a mistake in them.
    fn text(&self) -> Outcome<(String, Option<String>)> {
        if let Some(path) = self.input.as_ref().filter(|path| path.as_os_str() != "-") {
            return Ok((session::text_of(path)?, Some(path.display().to_string())));
        }
        match self.statement.as_deref() {
            Some(text) if text != "-" => Ok((text.to_owned(), None)),
            _ => {
                let mut text = String::new();
                std::io::stdin().read_to_string(&mut text)?;
                Ok((text, Some("stdin".to_owned())))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        sql: Sql,
    }

    fn parsed(words: &[&str]) -> Result<Sql, clap::Error> {
        Line::try_parse_from([&["sql"][..], words].concat()).map(|line| line.sql)
    }

    #[test]
    fn a_script_is_not_written_over() {
        let table: [(&[&str], bool, bool); 5] = [
            (&["--file", "w.csv", "select 1"], false, true),
            (&["--file", "w.sql", "select 1"], false, false),
            (&["--file", "w.csv"], true, false),
            (&["-f", "w.sql"], false, true),
            (&[], true, true),
        ];
        for (words, at_a_prompt, expected) in table {
            let sql = parsed(words).expect("a command line");
            let told = sql.refuse_a_script_as_answer(at_a_prompt);
            assert_eq!(told.is_ok(), expected, "{words:?}");
        }
        assert!(parsed(&["-f", "w.sql", "select 1"]).is_err(), "both would be asked");
    }

    #[test]
    fn statements_come_from_a_file_or_the_command_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("w.sql").display().to_string();
        std::fs::write(&path, "select 2;").expect("written");
        let text = |words: &[&str]| parsed(words).expect("a command line").text().expect("a text");
        assert_eq!(text(&["select 1"]), ("select 1".to_owned(), None));
        assert_eq!(text(&["-f", &path]), ("select 2;".to_owned(), Some(path.clone())));
        assert!(parsed(&["-f", "/nowhere/w.sql"]).expect("a command line").text().is_err());
    }
}
