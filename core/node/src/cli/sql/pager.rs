//! A text that is longer than the terminal goes through a pager, as psql does it: `$PSQL_PAGER`,
//! `$PAGER`, or less.

use std::{
    io::{self, IsTerminal, Write},
    process::{Command, Stdio},
};

/// Ends at once where all fits, cuts no line in two and leaves the text on the screen.
const LESS: &str = "-SFX";
/// What a shell says of a program that there isn't.
const NOT_FOUND: i32 = 127;

/// Columns and rows of the terminal that stdout is; absent where it is none.
pub fn size() -> Option<(usize, usize)> {
    if !io::stdout().is_terminal() {
        return None;
    }
    let (columns, rows) = rustyline::DefaultEditor::new().ok()?.dimensions()?;
    Some((usize::from(columns), usize::from(rows)))
}

/// Writes the text to stdout, through a pager if it is wanted and there is more than fits.
///
/// # Errors
/// A closed stdout, or a shell that can't be started.
pub fn show(text: &str, wanted: bool) -> io::Result<()> {
    let rows = if wanted { size().map(|(_, rows)| rows) } else { None };
    let paged = rows.is_some_and(|rows| is_longer(text, rows));
    if paged && through(text, &program(|name| std::env::var(name).ok()))? {
        return Ok(());
    }
    io::stdout().write_all(text.as_bytes())
}

/// Whether more lines than fit above the prompt.
fn is_longer(text: &str, rows: usize) -> bool {
    rows > 0 && text.lines().count() >= rows
}

/// The pager's command line, by the environment; an empty one asks for none.
fn program(variable: impl Fn(&str) -> Option<String>) -> String {
    variable("PSQL_PAGER")
        .or_else(|| variable("PAGER"))
        .unwrap_or_else(|| "less".to_owned())
        .trim()
        .to_owned()
}

/// Whether there is such a pager, which has shown the text then.
fn through(text: &str, program: &str) -> io::Result<bool> {
    if program.is_empty() {
        return Ok(false);
    }
    let mut command = Command::new("sh");
    command.args(["-c", program]).stdin(Stdio::piped());
    if std::env::var_os("LESS").is_none() {
        command.env("LESS", LESS);
    }
    let mut child = command.spawn()?;
    let written = child.stdin.take().map_or(Ok(()), |mut input| input.write_all(text.as_bytes()));
    let status = child.wait()?;
    match written {
        // Who has seen enough leaves.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(status.code() != Some(NOT_FOUND)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_paged() {
        for (text, rows, expected) in [("a\nb\n", 3, false), ("a\nb\nc\n", 3, true), ("a\n", 0, false)] {
            assert_eq!(is_longer(text, rows), expected, "{text:?} in {rows}");
        }
    }

    #[test]
    fn the_environment_names_the_pager() {
        let table: [(&[(&str, &str)], &str); 4] = [
            (&[], "less"),
            (&[("PAGER", "more")], "more"),
            (&[("PAGER", "more"), ("PSQL_PAGER", "less -R")], "less -R"),
            (&[("PAGER", " ")], ""),
        ];
        for (set, expected) in table {
            let told = program(|name| {
                set.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned())
            });
            assert_eq!(told, expected, "{set:?}");
        }
    }

    #[test]
    fn a_pager_that_is_not_there_is_told_apart() {
        assert!(!through("a", "").expect("none"));
        assert!(!through("a", "no-such-pager-of-tiphys 2> /dev/null").expect("a shell"));
        assert!(through("a", "cat > /dev/null").expect("a shell"));
        // One that reads nothing.
        assert!(through(&"a\n".repeat(1 << 20), "true").expect("a shell"));
    }
}
