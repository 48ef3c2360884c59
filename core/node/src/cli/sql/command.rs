//! What a line of the prompt says: a command of its own, or a piece of a statement. Pure.

/// A command, as psql has them.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    Help,
    Quit,
    /// All tables.
    Tables,
    /// The columns of one.
    Describe(String),
    /// Functions whose name has this in it.
    Functions(String),
    /// Each value on a line of its own: on, off, or the other way round.
    Expanded(Option<bool>),
    Timing(Option<bool>),
    /// The form of answers.
    Format(String),
    /// Answers go into a file; without a name, back to the terminal.
    Output(Option<String>),
    /// One that there isn't.
    Unknown(String),
}

impl Command {
    /// The command of a line that begins with a backslash.
    pub fn parse(line: &str) -> Option<Self> {
        let line = line.trim().strip_prefix('\\')?.trim_end_matches(';');
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        let name = || rest.to_owned();
        Some(match word.trim_end_matches('+') {
            "?" | "h" | "help" => Self::Help,
            "q" | "quit" => Self::Quit,
            "d" if !rest.is_empty() => Self::Describe(name()),
            "d" | "dt" | "l" => Self::Tables,
            "df" => Self::Functions(name()),
            "x" => Self::Expanded(switch(rest)),
            "timing" => Self::Timing(switch(rest)),
            "f" | "format" => Self::Format(name()),
            "o" => Self::Output((!rest.is_empty()).then(name)),
            _ => Self::Unknown(word.to_owned()),
        })
    }

    /// The statement that answers it, if one does.
    pub fn statement(&self) -> Option<String> {
        match self {
            Self::Tables => Some(
                "select table_schema as schema, table_name as name from information_schema.tables \
                 where table_schema <> 'information_schema' order by table_schema <> 'public', 1, 2"
                    .to_owned(),
            ),
            Self::Describe(table) => {
                // Every kind of the API's objects has the same columns.
                let table = if table.starts_with("objects.") { "objects.*" } else { table };
                let table = quoted(table);
                Some(format!(
                    "select column_name as column, type, description from columns where table_name = {table}"
                ))
            }
            Self::Functions(part) => Some(format!(
                "select function_name as name, kind, arguments, description from functions \
                 where strpos(function_name, {}) > 0 order by 1",
                quoted(part)
            )),
            _ => None,
        }
    }
}

fn switch(word: &str) -> Option<bool> {
    match word {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    }
}

/// A text as a literal.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The statements of a text that are whole, ended by `;`, and what is left after them. A `;` in
/// quotes or in a comment ends nothing.
pub fn split(text: &str) -> (Vec<String>, String) {
    let (mut whole, mut begin) = (Vec::new(), 0);
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let skipped = match bytes[at] {
            quote @ (b'\'' | b'"') => past(text, at + 1, char::from(quote).encode_utf8(&mut [0; 1])),
            b'-' if bytes.get(at + 1) == Some(&b'-') => past(text, at, "\n"),
            b'/' if bytes.get(at + 1) == Some(&b'*') => past(text, at + 2, "*/"),
            b';' => {
                let statement = text[begin..at].trim();
                if !statement.is_empty() {
                    whole.push(statement.to_owned());
                }
                begin = at + 1;
                Some(begin)
            }
            _ => Some(at + 1),
        };
        match skipped {
            Some(next) => at = next,
            None => break,
        }
    }
    (whole, text[begin..].trim_start().to_owned())
}

/// Where it goes on behind `end`; absent if that is still to come.
fn past(text: &str, from: usize, end: &str) -> Option<usize> {
    // All bytes looked for are ASCII, and so is what stands before `from`.
    Some(from + text.get(from..)?.find(end)? + end.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_those_of_psql() {
        let table = [
            (r"\q", Command::Quit),
            (r"\d", Command::Tables),
            (r"\dt+", Command::Tables),
            (r"\d pod;", Command::Describe("pod".into())),
            (r"\d+ objects.pods", Command::Describe("objects.pods".into())),
            (r"\df", Command::Functions(String::new())),
            (r"\df rate", Command::Functions("rate".into())),
            (r"\x", Command::Expanded(None)),
            (r"\timing on", Command::Timing(Some(true))),
            (r"\o a b.csv", Command::Output(Some("a b.csv".into()))),
            (r"\o", Command::Output(None)),
            (r"\z", Command::Unknown("z".into())),
        ];
        for (line, expected) in table {
            assert_eq!(Command::parse(line), Some(expected), "{line}");
        }
        assert_eq!(Command::parse("select 1"), None);
        let described = Command::Describe("o'k".into()).statement().expect("a statement");
        assert!(described.ends_with("'o''k'"), "{described}");
    }

    #[test]
    fn statements_end_at_semicolons_that_are_theirs() {
        let table: [(&str, &[&str], &str); 7] = [
            ("select 1", &[], "select 1"),
            ("select 1; select 2;", &["select 1", "select 2"], ""),
            ("select ';' || \"a;b\"; rest", &["select ';' || \"a;b\""], "rest"),
            ("select 'it''s;'; x", &["select 'it''s;'"], "x"),
            ("select 1 -- a; b\n + 2; y", &["select 1 -- a; b\n + 2"], "y"),
            ("select /* ; */ 1;;", &["select /* ; */ 1"], ""),
            ("select 'é;", &[], "select 'é;"),
        ];
        for (text, whole, rest) in table {
            assert_eq!(
                split(text),
                (whole.iter().map(ToString::to_string).collect(), rest.to_owned()),
                "{text}"
            );
        }
    }
}
