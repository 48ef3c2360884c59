//! A command of the prompt, which begins with a backslash: what it means, and the statement that
//! answers it. They are psql's. Pure.

use std::time::Duration;

use super::{
    copy::CopyTo,
    settings::{self, Setting, switch},
};

/// A command, as psql has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Help,
    /// How SQL is written: all of it, or what begins with this word.
    SqlHelp(String),
    Quit,
    Databases,
    /// Schemas, by a pattern.
    Schemas(String),
    /// Tables, by a pattern.
    Tables(String),
    /// The columns of one; with what they say.
    Describe {
        table: String,
        described: bool,
    },
    /// Functions, by a pattern.
    Functions(String),
    /// All settings.
    Settings,
    Set(Setting),
    /// Answers go into a file; without a name, back to the terminal.
    Output(Option<String>),
    /// Statements and commands come from a file.
    Input(String),
    /// The statement into the user's editor.
    Edit,
    /// Ends the statement; the answer may have a file and a form of its own.
    Go {
        file: Option<String>,
        expanded: bool,
    },
    /// Throws the statement away.
    Reset,
    Watch(Watch),
    Copy(CopyTo),
    Connection,
    /// None that there is, or not in this form: what is said then.
    Wrong(String),
}

/// A statement that is asked again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watch {
    pub every: Duration,
    /// How often; until Ctrl-C, if absent.
    pub times: Option<u64>,
}

/// Shorter intervals would be a load and nothing to read.
const SHORTEST_WATCH: Duration = Duration::from_millis(100);
const USUAL_WATCH: Duration = Duration::from_secs(2);

impl Command {
    /// The command of a text that begins with a backslash.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().strip_prefix('\\')?.trim_end_matches(';').trim_end();
        let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let parsed = named(word, rest.trim()).unwrap_or_else(|| Err(unknown(word)));
        Some(parsed.unwrap_or_else(Self::Wrong))
    }

    /// Whether it is about the statement that stands before it.
    pub fn takes_statement(&self) -> bool {
        matches!(self, Self::Go { .. } | Self::Watch(_) | Self::Edit | Self::Reset)
    }

    /// The statement that answers it, if one does.
    pub fn statement(&self) -> Option<String> {
        Some(match self {
            Self::Databases => {
                "select distinct table_catalog as name from information_schema.tables order by 1".to_owned()
            }
            Self::Schemas(pattern) => format!(
                "select distinct table_schema as name from information_schema.tables \
                 where table_schema <> 'information_schema' and {} order by 1",
                matching("table_schema", pattern)
            ),
            Self::Tables(pattern) => {
                let whole = "(table_schema || '.' || table_name)";
                let name = if pattern.contains('.') { whole } else { "table_name" };
                format!(
                    "select table_schema as schema, table_name as name from information_schema.tables \
                     where table_schema <> 'information_schema' and {} \
                     order by table_schema <> 'public', 1, 2",
                    matching(name, pattern)
                )
            }
            Self::Describe { table, described } => {
                let table = table.strip_prefix("public.").unwrap_or(table);
                // Every kind of the API's objects has the same columns.
                let table = if table.starts_with("objects.") { "objects.*" } else { table };
                let description = if *described { ", description" } else { "" };
                let table = quoted(table);
                format!(
                    "select column_name as column, type{description} from columns \
                     where table_name = {table}"
                )
            }
            Self::Functions(pattern) => format!(
                "select function_name as name, kind, arguments, description from functions \
                 where {} order by 1",
                matching("function_name", pattern)
            ),
            _ => return None,
        })
    }

    /// What is said where the statement of [`Command::statement`] has no row.
    pub fn nothing(&self) -> Option<String> {
        match self {
            Self::Describe { table, .. } => Some(format!("there is no table {table}: \\dt lists them")),
            _ => None,
        }
    }
}

/// The command of this name; `None` if there is none.
fn named(word: &str, rest: &str) -> Option<Result<Command, String>> {
    let text = || rest.to_owned();
    // What psql adds to say how much is shown, and that its own tables are.
    let listing = word.starts_with(['d', 'l']);
    let bare = if listing { word.trim_end_matches(['+', 'S']) } else { word };
    Some(Ok(match bare {
        "?" => Command::Help,
        "h" | "help" => Command::SqlHelp(text()),
        "q" | "quit" => Command::Quit,
        "l" | "list" => Command::Databases,
        "dn" => Command::Schemas(text()),
        "d" if rest.is_empty() || rest.contains(['*', '?']) => Command::Tables(text()),
        "d" => Command::Describe { table: text(), described: word.contains('+') },
        "dt" => Command::Tables(text()),
        "df" => Command::Functions(text()),
        "pset" if rest.is_empty() => Command::Settings,
        "x" => return Some(settings::expanded(rest).map(|value| Command::Set(Setting::Expanded(value)))),
        "a" => Command::Set(Setting::Aligned),
        "t" => return Some(switch(rest).map(|on| Command::Set(Setting::TuplesOnly(on)))),
        "timing" => return Some(switch(rest).map(|on| Command::Set(Setting::Timing(on)))),
        "pset" => {
            let (name, value) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            return Some(Setting::parse(name, value.trim()).map(Command::Set));
        }
        "o" | "out" => return Some(file("o", rest).map(Command::Output)),
        "i" | "include" if rest.is_empty() => return Some(Err("\\i takes the name of a file".to_owned())),
        "i" | "include" => Command::Input(bare_name(rest)),
        "e" | "edit" if rest.is_empty() => Command::Edit,
        "e" | "edit" => return Some(Err("\\e takes no file: \\i reads one".to_owned())),
        "g" => return Some(file("g", rest).map(|file| Command::Go { file, expanded: false })),
        "gx" => return Some(file("gx", rest).map(|file| Command::Go { file, expanded: true })),
        "r" | "reset" => Command::Reset,
        "watch" => return Some(watch(rest).map(Command::Watch)),
        "copy" => return Some(CopyTo::parse(rest).map(Command::Copy)),
        "conninfo" => Command::Connection,
        _ => return None,
    }))
}

fn unknown(word: &str) -> String {
    let next = match word {
        "f" | "format" => "\\pset format sets the form of answers",
        "c" | "connect" => "tiphys sql --context names another cluster",
        _ => "\\? lists them",
    };
    format!("there is no command \\{word}: {next}")
}

/// The file that an answer goes into; a program is none.
fn file(word: &str, rest: &str) -> Result<Option<String>, String> {
    if rest.starts_with('|') {
        return Err(format!("\\{word} runs no program: name a file, or use tiphys sql '...' | program"));
    }
    Ok((!rest.is_empty()).then(|| bare_name(rest)))
}

/// A name without the quotes around it.
fn bare_name(text: &str) -> String {
    let inner = text.strip_prefix('\'').and_then(|text| text.strip_suffix('\''));
    inner.unwrap_or(text).to_owned()
}

/// `2`, `i=2`, `c=5`: seconds between two, and how often.
fn watch(rest: &str) -> Result<Watch, String> {
    let mut watch = Watch { every: USUAL_WATCH, times: None };
    let wrong = |word: &str| format!("\\watch takes seconds, 0.1 or more, and c=TIMES: {word:?} is neither");
    for word in rest.split_whitespace() {
        if let Some(times) = word.strip_prefix("c=") {
            let times = times.parse::<u64>().ok().filter(|times| *times > 0);
            watch.times = Some(times.ok_or_else(|| wrong(word))?);
            continue;
        }
        let seconds = word.strip_prefix("i=").unwrap_or(word).parse::<f64>().ok();
        let every = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        watch.every = every.filter(|every| *every >= SHORTEST_WATCH).ok_or_else(|| wrong(word))?;
    }
    Ok(watch)
}

/// The condition of a pattern: `*` and `?` stand for what they do in psql; without one, the name
/// has the text in it.
fn matching(column: &str, pattern: &str) -> String {
    if !pattern.contains(['*', '?']) {
        return format!("strpos({column}, {}) > 0", quoted(pattern));
    }
    let expression: String = pattern
        .chars()
        .map(|letter| match letter {
            '*' => ".*".to_owned(),
            '.' | '-' => format!("[{letter}]"),
            letter if letter.is_alphanumeric() || letter == '_' => letter.to_string(),
            // And what no name has.
            _ => ".".to_owned(),
        })
        .collect();
    format!("{column} ~ '^{expression}$'")
}

/// A text as a literal.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests;
