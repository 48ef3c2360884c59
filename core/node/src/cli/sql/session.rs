//! What is carried out, whether a prompt or a script says so: statements are asked and shown,
//! commands change how.
//!
//! ```text
//! piece ─> a command (\d, \x, ...) or a statement ─> asked ─> shown, through a pager, or into a file
//! ```
//!
//! Ctrl-C ends the statement that runs: the server stops when nobody waits for it.

use std::{io, path::Path, time::Instant};

use jiff::Zoned;
use kube::Client;
use tokio::signal::ctrl_c;

use super::{
    Format,
    command::{Command, Watch},
    copy::{CopyTo, Records},
    help, pager, request,
    script::{Piece, split},
    settings::{Expanded, Settings},
    sink::Sink,
    table::Rows,
};
use crate::{
    failure::{Failure, OrAsked, Outcome},
    output,
};

/// Bytes of an answer that is shown as a table.
const LARGEST_TABLE: usize = 64 << 20;
/// Files that read each other.
const DEEPEST: usize = 16;

/// What comes after a piece.
#[derive(Debug, PartialEq, Eq)]
pub enum Flow {
    On,
    Leave,
    /// This statement into the user's editor.
    Edit(String),
}

/// How one answer differs from what the settings say.
#[derive(Default)]
struct Wish {
    expanded: bool,
    file: Option<String>,
    unpaged: bool,
    /// What is said where there is no row.
    nothing: Option<String>,
}

pub struct Session {
    client: Client,
    settings: Settings,
    sink: Sink,
    /// What `\g` asks once more.
    last: String,
    depth: usize,
}

impl Session {
    pub fn new(client: Client, format: Format, sink: Sink) -> Self {
        Self { client, settings: Settings::new(format), sink, last: String::new(), depth: 0 }
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Gives the file of the answers its name.
    ///
    /// # Errors
    /// A full disk.
    pub fn finish(self) -> Outcome<()> {
        Ok(self.sink.finish()?)
    }

    /// Carries out a text, one piece after the other, up to the first that fails. Its error has
    /// `name` and the line in front, or nothing where there is no name and one piece.
    ///
    /// # Errors
    /// That of the first piece that fails.
    pub async fn script(&mut self, text: &str, name: Option<&str>) -> Outcome<Flow> {
        let (mut pieces, rest) = split(text);
        if !rest.statement.is_empty() {
            pieces.push(rest);
        }
        let alone = name.is_none() && pieces.len() == 1;
        for piece in pieces {
            let line = piece.line;
            let flow = match Box::pin(self.piece(piece)).await {
                Ok(Flow::Edit(_)) => Err(Failure::new("\\e is for the prompt", "tiphys sql")),
                flow => flow,
            };
            match flow {
                Ok(Flow::Leave) => return Ok(Flow::Leave),
                Err(error) if !alone => return Err(placed(name, line, error)),
                Err(error) => return Err(error),
                Ok(_) => {}
            }
        }
        Ok(Flow::On)
    }

    /// Carries out one piece.
    ///
    /// # Errors
    /// Why a statement has no answer, or a command no effect.
    pub async fn piece(&mut self, piece: Piece) -> Outcome<Flow> {
        let statement = piece.statement;
        match piece.command.as_deref().and_then(Command::parse) {
            None => self.ask(statement, Wish::default()).await?,
            Some(command) => return self.obey(command, statement).await,
        }
        Ok(Flow::On)
    }

    /// Carries out a command; `statement` is what stands before it.
    async fn obey(&mut self, command: Command, statement: String) -> Outcome<Flow> {
        if let Some(own) = command.statement() {
            let wish = Wish { nothing: command.nothing(), ..Wish::default() };
            self.answer(&own, wish).await?;
            return Ok(Flow::On);
        }
        match command {
            Command::Quit => return Ok(Flow::Leave),
            Command::Edit => {
                return Ok(Flow::Edit(if statement.is_empty() { self.last.clone() } else { statement }));
            }
            Command::Help => pager::show(help::COMMANDS, self.settings.pager).await?,
            Command::SqlHelp(word) => output::data(&help::of_sql(&word))?,
            Command::Settings => output::line(&self.settings.all()),
            Command::Set(setting) => output::line(&self.settings.set(setting)),
            Command::Output(file) => {
                let sink = file.map_or_else(|| Ok(Sink::stdout()), |file| Sink::create(&file))?;
                std::mem::replace(&mut self.sink, sink).finish()?;
            }
            Command::Input(file) => self.read(&file).await?,
            Command::Go { file, expanded } => {
                self.ask(statement, Wish { file, expanded, ..Wish::default() }).await?;
            }
            Command::Watch(watch) => self.watch(statement, watch).await?,
            Command::Copy(copy) => interruptible(self.copy(copy)).await?,
            Command::Connection => self.tell_connection().await?,
            Command::Wrong(said) => return Err(Failure::new(said, "\\?")),
            // What stood before it is gone, and the others have a statement.
            _ => {}
        }
        Ok(Flow::On)
    }

    /// Asks what the user wrote, or the last once more where there is nothing.
    async fn ask(&mut self, statement: String, wish: Wish) -> Outcome<()> {
        if !statement.is_empty() {
            self.last = statement;
        }
        if self.last.is_empty() {
            return Err(Failure::new("there is no statement yet", "select 1;"));
        }
        let statement = self.last.clone();
        self.answer(&statement, wish).await
    }

    async fn answer(&mut self, statement: &str, wish: Wish) -> Outcome<()> {
        let began = Instant::now();
        let mut settings = self.settings.clone();
        if wish.expanded {
            settings.expanded = Expanded::On;
        }
        settings.pager &= !wish.unpaged;
        let mut own = wish.file.as_deref().map(Sink::create).transpose()?;
        let sink = own.as_mut().unwrap_or(&mut self.sink);
        let told = interruptible(tell(&self.client, statement, &settings, sink, wish.nothing)).await;
        let took = began.elapsed();
        // While it is read, Ctrl-C is the pager's and ends no statement.
        let shown = match told {
            Ok(Some(text)) => pager::show(&text, settings.pager).await.map_err(Failure::from),
            told => told.map(drop),
        };
        if settings.timing {
            output::line(&format!("Time: {:.1} ms", took.as_secs_f64() * 1000.0));
        }
        shown
    }

    async fn read(&mut self, file: &str) -> Outcome<()> {
        if self.depth == DEEPEST {
            return Err(Failure::new(format!("{file} is the file of a file of a file"), "\\i another one"));
        }
        let text = text_of(Path::new(file))?;
        self.depth += 1;
        // `\q` in it leaves the file.
        let done = self.script(&text, Some(file)).await;
        self.depth -= 1;
        done.map(drop)
    }

    async fn watch(&mut self, statement: String, watch: Watch) -> Outcome<()> {
        let mut statement = Some(statement);
        let mut times = 0;
        loop {
            let now = Zoned::now();
            output::line(&format!("{} (every {}s)", now.strftime("%F %T"), watch.every.as_secs_f64()));
            let wish = Wish { unpaged: true, ..Wish::default() };
            self.ask(statement.take().unwrap_or_default(), wish).await?;
            times += 1;
            if watch.times == Some(times) {
                return Ok(());
            }
            tokio::select! {
                () = tokio::time::sleep(watch.every) => {}
                signal = ctrl_c() => return Ok(signal?),
            }
        }
    }

    async fn copy(&self, copy: CopyTo) -> Outcome<()> {
        let mut sink = match &copy.file {
            Some(file) => Sink::whole(Path::new(file))?,
            None => Sink::stdout(),
        };
        sink.begin(copy.format == Format::Parquet)?;
        let mut records = Records::new(copy.header);
        match copy.format {
            Format::Parquet => {
                request::parquet(&self.client, &copy.statement, &mut |piece| sink.write(piece)).await?;
            }
            Format::Csv => {
                let take = &mut |piece: &[u8]| sink.write(records.pass(piece));
                request::stream(&self.client, &copy.statement, "csv", output::warning, take).await?;
            }
            other => {
                let take = &mut |piece: &[u8]| sink.write(piece);
                request::stream(&self.client, &copy.statement, other.name(), output::warning, take).await?;
            }
        }
        sink.finish()?;
        output::line(&match copy.format {
            Format::Csv => format!("COPY {}", records.rows()),
            _ => "COPY".to_owned(),
        });
        Ok(())
    }

    /// Who asks, and whom.
    async fn tell_connection(&self) -> Outcome<()> {
        let review =
            serde_json::json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
        let request = http::Request::post("/apis/authentication.k8s.io/v1/selfsubjectreviews")
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(serde_json::to_vec(&review)?)?;
        let told: serde_json::Value = self.client.request(request).await.or_asked("tiphys status")?;
        let version = self.client.apiserver_version().await.or_asked("tiphys status")?.git_version;
        let user = &told["status"]["userInfo"];
        let groups = user["groups"].as_array().map(Vec::as_slice).unwrap_or_default();
        let groups: Vec<_> = groups.iter().filter_map(serde_json::Value::as_str).collect();
        let name = user["username"].as_str().unwrap_or("unknown");
        let groups = groups.join(", ");
        Ok(output::data(&format!("You are connected as \"{name}\" ({groups}) to a server of {version}.\n"))?)
    }
}

/// A file of statements.
///
/// # Errors
/// One that can't be read, or is no text.
pub fn text_of(path: &Path) -> Outcome<String> {
    std::fs::read_to_string(path).map_err(|error| {
        Failure::new(format!("{} can't be read: {error}", path.display()), "name a file of statements")
    })
}

/// Asks one statement, and saves the answer; gives what is to be shown of it.
async fn tell(
    client: &Client,
    statement: &str,
    settings: &Settings,
    sink: &mut Sink,
    nothing: Option<String>,
) -> Outcome<Option<String>> {
    sink.begin(settings.format == Format::Parquet)?;
    match settings.format {
        Format::Table => {
            let rows = whole(client, statement).await?;
            if let Some(nothing) = nothing.filter(|_| rows.count() == 0) {
                return Err(Failure::new(nothing, "\\dt"));
            }
            let columns = pager::size().map(|(columns, _)| columns).filter(|_| sink.is_stdout());
            let text = rows.shown(settings, columns)?;
            if sink.is_stdout() {
                sink.takes_room();
                return Ok(Some(text));
            }
            sink.write(text.as_bytes())?;
        }
        Format::Parquet => request::parquet(client, statement, &mut |piece| sink.write(piece)).await?,
        other => {
            let take = &mut |piece: &[u8]| sink.write(piece);
            request::stream(client, statement, other.name(), output::warning, take).await?;
        }
    }
    Ok(None)
}

/// An answer that is whole before it is shown, so that its columns are as wide as their values.
async fn whole(client: &Client, statement: &str) -> Outcome<Rows> {
    let mut bytes = Vec::new();
    let take = &mut |piece: &[u8]| {
        if bytes.len() + piece.len() > LARGEST_TABLE {
            let limit = LARGEST_TABLE >> 20;
            return Err(io::Error::other(format!(
                "the answer is larger than {limit} MB; add a limit, select fewer columns, \
                 or take it as csv or jsonl"
            )));
        }
        bytes.extend_from_slice(piece);
        Ok(())
    };
    request::stream(client, statement, "arrow", output::warning, take).await?;
    Ok(Rows::read(&bytes)?)
}

/// What Ctrl-C ends: from the moment that it begins, as it may make a file at once.
async fn interruptible<T>(work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    tokio::select! {
        biased;
        signal = ctrl_c() => {
            signal?;
            Err(Failure::new("cancelled", "ask again"))
        }
        done = work => done,
    }
}

/// The error with its place in front.
fn placed(name: Option<&str>, line: usize, error: Failure) -> Failure {
    if error.is_closed_pipe() {
        return error;
    }
    let message = match name {
        Some(name) => format!("{name}:{line}: {}", error.message()),
        None => format!("line {line}: {}", error.message()),
    };
    match error.exit_code() {
        2 => Failure::usage(message, error.next()),
        _ => Failure::new(message, error.next()),
    }
}

#[cfg(test)]
mod tests;
