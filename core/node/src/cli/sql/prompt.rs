//! `tiphys sql` at a terminal: a prompt as psql's users know it.
//!
//! ```text
//! line ─> command (\d, \x, ...) or a piece of a statement ─> at `;` asked ─> shown, or into a file
//! ```
//!
//! The line editor blocks and has a thread of its own. Ctrl-C at the prompt throws the
//! statement away that is being written, and while one runs it ends that one: the server
//! stops when nobody waits for it.

use std::{io::Write, path::PathBuf, time::Instant};

use kube::Client;
use rustyline::{Config, Editor, error::ReadlineError, history::FileHistory};
use tokio::signal::ctrl_c;

use super::{
    Format, Said,
    command::{Command, split},
    complete::Names,
    expanded,
};
use crate::{
    failure::{Failure, Outcome},
    output,
};

const HELP: &str = "\
  \\d, \\dt          tables
  \\d TABLE         its columns, and what they say
  \\df [TEXT]       functions, and what they do
  \\x [on|off]      each value on a line of its own
  \\timing [on|off] how long statements take
  \\f FORMAT        table, json, jsonl, csv or parquet
  \\o [FILE]        answers into a file; without a name, to the terminal again
  \\q               leave
A statement ends with ; and Ctrl-C ends one that runs.
";
/// Lines that are remembered.
const REMEMBERED: usize = 10_000;

type Lines = Editor<Names, FileHistory>;

/// The prompt's state.
pub struct Prompt {
    client: Client,
    format: Format,
    expanded: bool,
    timing: bool,
    file: Option<PathBuf>,
}

impl Prompt {
    pub fn new(client: Client, format: Format) -> Self {
        Self { client, format, expanded: false, timing: false, file: None }
    }

    /// Asks until the user leaves.
    ///
    /// # Errors
    /// A terminal that can't be read from.
    pub async fn run(mut self) -> Outcome<()> {
        let config = Config::builder().max_history_size(REMEMBERED)?.auto_add_history(false).build();
        let mut lines = Lines::with_config(config)?;
        lines.set_helper(Some(self.names().await));
        let history = history_file();
        if let Some(path) = history.as_ref().filter(|path| path.exists())
            && let Err(error) = lines.load_history(path)
        {
            output::warning(&format!("{} can't be read: {error}", path.display()));
        }
        output::line("\\? for help, \\q to leave");
        let mut pending = String::new();
        loop {
            let sign = if pending.is_empty() { "tiphys=> " } else { "tiphys-> " };
            let (back, line) = tokio::task::spawn_blocking(move || {
                let line = lines.readline(sign);
                (lines, line)
            })
            .await?;
            lines = back;
            match line {
                Ok(line) if pending.is_empty() && line.trim_start().starts_with('\\') => {
                    lines.add_history_entry(line.trim())?;
                    if self.obey(&line).await? {
                        break;
                    }
                }
                Ok(line) => {
                    pending.push_str(&line);
                    pending.push('\n');
                    let (whole, rest) = split(&pending);
                    pending = rest;
                    for statement in whole {
                        lines.add_history_entry(format!("{statement};"))?;
                        self.answer(&statement).await?;
                    }
                }
                Err(ReadlineError::Interrupted) => pending.clear(),
                Err(ReadlineError::Eof) => break,
                Err(error) => return Err(error.into()),
            }
            // Kept as it goes, for a terminal that is closed.
            if let Some(path) = &history
                && let Err(error) = kept(&mut lines, path)
            {
                output::warning(&format!("{} can't be written: {error}", path.display()));
            }
        }
        Ok(())
    }

    /// What may be completed; nothing if the cluster doesn't say.
    async fn names(&self) -> Names {
        let list = async |statement: &str| -> Vec<String> {
            let said = super::ask(&self.client, statement, Format::Csv.name()).await;
            let text = said.map(|said| String::from_utf8_lossy(&said.body).into_owned()).unwrap_or_default();
            text.lines().skip(1).map(str::to_owned).collect()
        };
        Names {
            tables: list(
                "select case when table_schema = 'public' then table_name else table_schema || '.' || table_name end \
                 from information_schema.tables",
            )
            .await,
            columns: list("select distinct column_name from columns").await,
            functions: list("select distinct function_name from functions").await,
        }
    }

    /// Carries out a command; true to leave.
    async fn obey(&mut self, line: &str) -> Outcome<bool> {
        let Some(command) = Command::parse(line) else { return Ok(false) };
        if let Some(statement) = command.statement() {
            self.answer(&statement).await?;
            return Ok(false);
        }
        match command {
            Command::Quit => return Ok(true),
            Command::Help => output::data(HELP)?,
            Command::Expanded(on) => {
                self.expanded = on.unwrap_or(!self.expanded);
                output::line(&format!("expanded display is {}", on_or_off(self.expanded)));
            }
            Command::Timing(on) => {
                self.timing = on.unwrap_or(!self.timing);
                output::line(&format!("timing is {}", on_or_off(self.timing)));
            }
            Command::Format(name) => match <Format as clap::ValueEnum>::from_str(&name, true) {
                Ok(format) => self.format = format,
                Err(_) => output::line("formats are table, json, jsonl, csv and parquet"),
            },
            Command::Output(file) => self.file = file.map(PathBuf::from),
            other => output::line(&format!("there is no {other:?}: \\? says what there is")),
        }
        Ok(false)
    }

    /// Asks and shows; an error is told, and the prompt goes on.
    async fn answer(&mut self, statement: &str) -> Outcome<()> {
        let began = Instant::now();
        let form = if self.expanded && self.format == Format::Table { "columns" } else { self.format.name() };
        let asked = tokio::select! {
            asked = super::ask(&self.client, statement, form) => asked,
            signal = ctrl_c() => {
                signal?;
                Err(Failure::new("cancelled", "ask again"))
            }
        };
        match asked.and_then(|said| self.show(said)) {
            Ok(()) => {}
            Err(error) => output::line(&format!("error: {}", error.message())),
        }
        if self.timing {
            output::line(&format!("time: {:.1} ms", began.elapsed().as_secs_f64() * 1000.0));
        }
        Ok(())
    }

    fn show(&self, said: Said) -> Outcome<()> {
        said.warnings.iter().for_each(|warning| output::warning(warning));
        let body = match self.expanded.then(|| expanded::shown(&said.body)).flatten() {
            Some(text) => text.into_bytes(),
            None => said.body,
        };
        if let Some(path) = &self.file {
            let mut file = std::fs::OpenOptions::new()
                .create(true)
                .write(true)
                // Texts follow each other; a Parquet file is one answer.
                .append(self.format != Format::Parquet)
                .truncate(self.format == Format::Parquet)
                .open(path)?;
            return Ok(file.write_all(&body)?);
        }
        if self.format == Format::Parquet {
            return Err(Failure::new(
                "a Parquet file is nothing for a terminal: name a file with \\o",
                "\\o w.parquet",
            ));
        }
        Ok(std::io::stdout().write_all(&body)?)
    }
}

fn on_or_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

/// `$XDG_STATE_HOME/tiphys/sql_history`; none for who has no home.
fn history_file() -> Option<PathBuf> {
    let named = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let state = named.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/state")))?;
    Some(state.join("tiphys/sql_history"))
}

fn kept(lines: &mut Lines, path: &std::path::Path) -> rustyline::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    lines.append_history(path)
}

#[cfg(test)]
mod tests;
