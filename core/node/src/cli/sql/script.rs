//! Text cut into what is carried out: statements that end with `;`, and commands, which begin with a
//! backslash and go up to the end of their line. Whatever stands in quotes or in a comment ends
//! nothing and begins nothing. Pure.

use super::command::Command;

/// What is carried out at once.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Piece {
    /// The line on which it begins; the first is 1.
    pub line: usize,
    /// The statement; empty if there is a command alone.
    pub statement: String,
    /// The command, with its backslash.
    pub command: Option<String>,
}

impl Piece {
    /// As a user would type it.
    pub fn typed(&self) -> String {
        match (&self.command, self.statement.is_empty()) {
            (None, _) => format!("{};", self.statement),
            (Some(command), true) => command.clone(),
            (Some(command), false) => format!("{} {command}", self.statement),
        }
    }
}

/// The pieces that are whole, and the statement that is left after them. A command that isn't about
/// the statement before it is carried out first, and that one goes on behind it. Comments in front
/// of a statement are left out.
pub fn split(text: &str) -> (Vec<Piece>, Piece) {
    let (mut pieces, mut open) = (Vec::new(), Open { text: String::new(), line: 1 });
    let (mut at, mut line) = (0, 1);
    let bytes = text.as_bytes();
    while at < bytes.len() {
        // All that is looked for is ASCII, so that each cut is between two characters.
        let (token, end) = token(text, at);
        let part = &text[at..end];
        match token {
            Token::End => pieces.extend(open.taken()),
            Token::Backslash => {
                let word = part.trim();
                let takes = Command::parse(word).is_some_and(|command| command.takes_statement());
                if takes {
                    let begin = if open.text.is_empty() { line } else { open.line };
                    let statement = std::mem::take(&mut open.text).trim().to_owned();
                    pieces.push(Piece { line: begin, statement, command: Some(word.to_owned()) });
                } else {
                    pieces.push(Piece { line, statement: String::new(), command: Some(word.to_owned()) });
                }
            }
            Token::Comment | Token::Space if open.text.is_empty() => {}
            Token::Comment | Token::Space | Token::Text => {
                if open.text.is_empty() {
                    open.line = line;
                }
                open.text.push_str(part);
            }
        }
        line += part.matches('\n').count();
        at = end;
    }
    (pieces, Piece { line: open.line, statement: open.text, command: None })
}

/// The statement that is being read.
struct Open {
    text: String,
    line: usize,
}

impl Open {
    /// The piece that it becomes at its end; none if there was none.
    fn taken(&mut self) -> Option<Piece> {
        let statement = std::mem::take(&mut self.text).trim().to_owned();
        (!statement.is_empty()).then_some(Piece { line: self.line, statement, command: None })
    }
}

enum Token {
    /// `;`
    End,
    /// A command, up to the end of its line.
    Backslash,
    /// A comment that is whole.
    Comment,
    Space,
    Text,
}

/// What begins here, and where it ends.
fn token(text: &str, at: usize) -> (Token, usize) {
    let rest = &text[at..];
    let bytes = rest.as_bytes();
    let past = |from: usize, end: &str| rest[from..].find(end).map(|found| at + from + found + end.len());
    match (bytes[0], bytes.get(1)) {
        (b';', _) => (Token::End, at + 1),
        (b'\\', _) => (Token::Backslash, at + rest.find('\n').unwrap_or(rest.len())),
        // One that is still open goes up to the end of the text.
        (b'\'', _) => (Token::Text, past(1, "'").unwrap_or(text.len())),
        (b'"', _) => (Token::Text, past(1, "\"").unwrap_or(text.len())),
        (b'-', Some(b'-')) => (Token::Comment, past(2, "\n").unwrap_or(text.len())),
        (b'/', Some(b'*')) => match past(2, "*/") {
            Some(end) => (Token::Comment, end),
            None => (Token::Text, text.len()),
        },
        (byte, _) if byte.is_ascii_whitespace() => (Token::Space, at + 1),
        _ => {
            let other = |letter: char| {
                letter.is_ascii_whitespace() || [';', '\\', '\'', '"', '-', '/'].contains(&letter)
            };
            // A single dash or slash is text.
            let first = rest.chars().next().map_or(1, char::len_utf8);
            (Token::Text, at + rest[first..].find(other).map_or(rest.len(), |found| found + first))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_at_semicolons_that_are_theirs() {
        let table: [(&str, &[&str], &str); 12] = [
            ("select 1", &[], "select 1"),
            ("select 1; select 2;", &["1 select 1;", "1 select 2;"], ""),
            ("select ';' || \"a;b\"; rest", &["1 select ';' || \"a;b\";"], "rest"),
            ("select 'it''s;'; x", &["1 select 'it''s;';"], "x"),
            ("select 1 -- a; b\n + 2; y", &["1 select 1 -- a; b\n + 2;"], "y"),
            ("select /* ; */ 1;;", &["1 select /* ; */ 1;"], ""),
            ("select 'é;", &[], "select 'é;"),
            (
                "-- it's\n\nselect 4-1/1;\n/* a\n*/ select\n2;\n-- end",
                &["3 select 4-1/1;", "5 select\n2;"],
                "",
            ),
            ("/* open; ", &[], "/* open; "),
            ("select '\n\n;';\nselect é;", &["1 select '\n\n;';", "4 select é;"], ""),
            ("select 1 -", &[], "select 1 -"),
            ("", &[], ""),
        ];
        for (text, whole, rest) in table {
            let (pieces, left) = split(text);
            let told: Vec<_> =
                pieces.iter().map(|piece| format!("{} {}", piece.line, piece.typed())).collect();
            assert_eq!((told.join("|"), left.statement.as_str()), (whole.join("|"), rest), "{text}");
        }
    }

    #[test]
    fn commands_stand_between_and_behind_statements() {
        let table: [(&str, &[&str], &str); 6] = [
            ("\\x\nselect 1;\n\\q", &["1 \\x", "2 select 1;", "3 \\q"], ""),
            ("select 1\n\\gx\n", &["1 select 1 \\gx"], ""),
            ("select 1; \\watch 2", &["1 select 1;", "1 \\watch 2"], ""),
            // What isn't about the statement leaves it.
            ("select 1 \\timing on\n+ 1;", &["1 \\timing on", "1 select 1 \n+ 1;"], ""),
            ("select 'a\\b' -- \\q\n;", &["1 select 'a\\b' -- \\q;"], ""),
            ("\\copy (select ';' as a) to a.csv\nselect", &["1 \\copy (select ';' as a) to a.csv"], "select"),
        ];
        for (text, whole, rest) in table {
            let (pieces, left) = split(text);
            let told: Vec<_> =
                pieces.iter().map(|piece| format!("{} {}", piece.line, piece.typed())).collect();
            assert_eq!((told.join("|"), left.statement.as_str()), (whole.join("|"), rest), "{text}");
        }
    }
}
