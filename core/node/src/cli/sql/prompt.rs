//! `tiphys sql` at a terminal: a prompt as psql's users know it.
//!
//! ```text
//! line ─> pieces (\d, \x, ..., statements that end with `;`) ─> the session ─> the next line
//! ```
//!
//! The line editor blocks and has a thread of its own. Ctrl-C at the prompt throws the
//! statement away that is being written.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use rustyline::{Config, Editor, error::ReadlineError, history::FileHistory};

use super::{
    Format,
    complete::Names,
    request,
    script::split,
    session::{Flow, Session},
};
use crate::{
    failure::{Failure, OrNext, Outcome},
    output,
};

/// Lines that are remembered.
const REMEMBERED: usize = 10_000;

type Lines = Editor<Names, FileHistory>;

/// The prompt's state.
pub struct Prompt {
    session: Session,
    /// What is written of a statement.
    pending: String,
}

impl Prompt {
    pub fn new(session: Session) -> Self {
        Self { session, pending: String::new() }
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
        loop {
            let sign = if self.pending.is_empty() { "tiphys=> " } else { "tiphys-> " };
            let (back, line) = tokio::task::spawn_blocking(move || {
                let line = lines.readline(sign);
                (lines, line)
            })
            .await?;
            lines = back;
            match line {
                Ok(line) => {
                    self.pending.push_str(&line);
                    self.pending.push('\n');
                    if self.carry_out(&mut lines).await? == Flow::Leave {
                        break;
                    }
                }
                Err(ReadlineError::Interrupted) => self.pending.clear(),
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
        self.session.finish()
    }

    /// Carries out what is whole of what was written. An error is told, and the prompt goes on.
    async fn carry_out(&mut self, lines: &mut Lines) -> Outcome<Flow> {
        loop {
            let (pieces, rest) = split(&self.pending);
            self.pending = rest.statement;
            if pieces.is_empty() {
                return Ok(Flow::On);
            }
            for piece in pieces {
                lines.add_history_entry(piece.typed())?;
                let text = match self.session.piece(piece).await {
                    Ok(Flow::On) => continue,
                    Ok(Flow::Leave) => return Ok(Flow::Leave),
                    Ok(Flow::Edit(statement)) => edited(&statement),
                    Err(error) => Err(error),
                };
                match text {
                    Ok(text) => {
                        output::line(text.trim_end());
                        self.pending = text;
                    }
                    Err(error) => output::line(&format!("error: {}", error.message())),
                }
            }
        }
    }

    /// What may be completed; nothing if the cluster doesn't say.
    async fn names(&self) -> Names {
        let list = async |statement: &str| -> Vec<String> {
            let mut bytes = Vec::new();
            let take = &mut |piece: &[u8]| {
                bytes.extend_from_slice(piece);
                Ok(())
            };
            let client = self.session.client();
            let asked = request::stream(client, statement, Format::Csv.name(), |_| {}, take).await;
            let text = asked.map(|()| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
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
}

/// The statement as the user's editor left it.
///
/// # Errors
/// An editor that there isn't, or that gave up.
fn edited(statement: &str) -> Outcome<String> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("statement.sql");
    std::fs::write(&path, format!("{}\n", statement.trim_end()))?;
    let own = ["PSQL_EDITOR", "EDITOR", "VISUAL"].into_iter().find_map(|name| std::env::var(name).ok());
    let editor = own.filter(|editor| !editor.trim().is_empty()).unwrap_or_else(|| "vi".to_owned());
    // A shell, for an editor that has options.
    let done = Command::new("sh").args(["-c", &format!("{editor} \"$1\""), "sh"]).arg(&path).status()?;
    if !done.success() {
        return Err(Failure::new(format!("{editor} ended with {done}"), "set EDITOR"));
    }
    std::fs::read_to_string(&path).or_next("set EDITOR")
}

/// `$XDG_STATE_HOME/tiphys/sql_history`; none for who has no home.
fn history_file() -> Option<PathBuf> {
    let named = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let state = named.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/state")))?;
    Some(state.join("tiphys/sql_history"))
}

fn kept(lines: &mut Lines, path: &Path) -> rustyline::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    lines.append_history(path)
}

#[cfg(test)]
mod tests;
