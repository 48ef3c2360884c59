//! `\copy (query) to FILE`: what its words mean, and its CSV, which has a header only where one is
//! asked for, as psql's has. Pure.

use super::Format;

/// An answer that goes into a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyTo {
    pub statement: String,
    /// The terminal, if absent.
    pub file: Option<String>,
    pub format: Format,
    /// Whether CSV begins with the names of its columns.
    pub header: bool,
}

const SHAPE: &str = "\\copy (select ...) to FILE [csv [header] | json | jsonl | parquet]";

impl CopyTo {
    /// What stands behind `\copy`.
    ///
    /// # Errors
    /// The sentence that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (source, rest) = source(text).ok_or_else(|| format!("it is {SHAPE}"))?;
        let (word, rest) = word(rest);
        match word.to_lowercase().as_str() {
            "to" => {}
            "from" => return Err("\\copy ... from would write, and all tables are read-only".to_owned()),
            _ => return Err(format!("TO is missing: it is {SHAPE}")),
        }
        let (name, rest) = file(rest).ok_or_else(|| format!("the file is missing: it is {SHAPE}"))?;
        let file = (!["stdout", "pstdout"].contains(&name.to_lowercase().as_str())).then_some(name);
        let (format, header) = options(rest, file.as_deref())?;
        Ok(Self { statement: source, file, format, header })
    }
}

/// The query in its parentheses, or the table's name, and what stands behind.
fn source(text: &str) -> Option<(String, &str)> {
    let text = text.trim();
    if !text.starts_with('(') {
        let (table, rest) = word(text);
        return (!table.is_empty()).then(|| (format!("select * from {table}"), rest));
    }
    let (mut depth, mut quote) = (0_usize, None);
    for (at, letter) in text.char_indices() {
        match (quote, letter) {
            (Some(open), _) => quote = (open != letter).then_some(open),
            (None, '\'' | '"') => quote = Some(letter),
            (None, '(') => depth += 1,
            (None, ')') => {
                depth -= 1;
                if depth == 0 {
                    return Some((text[1..at].trim().to_owned(), &text[at + 1..]));
                }
            }
            (None, _) => {}
        }
    }
    None
}

/// The first word, and what stands behind.
fn word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    text.split_once(char::is_whitespace).unwrap_or((text, ""))
}

/// The file's name, which may stand in quotes, and what stands behind.
fn file(text: &str) -> Option<(String, &str)> {
    let text = text.trim_start();
    let (name, rest) = match text.strip_prefix('\'') {
        Some(quoted) => quoted.split_once('\'')?,
        None => word(text),
    };
    (!name.is_empty()).then(|| (name.to_owned(), rest))
}

/// The format, which the file's name says where no word does, and whether there is a header.
fn options(text: &str, file: Option<&str>) -> Result<(Format, bool), String> {
    let text = text.to_lowercase().replace(['(', ')', ','], " ");
    let (mut format, mut header) = (None, false);
    for word in text.split_whitespace() {
        match word {
            "with" | "format" | "true" => {}
            "header" => header = true,
            "false" => header = false,
            "csv" => format = Some(Format::Csv),
            "json" => format = Some(Format::Json),
            "jsonl" => format = Some(Format::Jsonl),
            "parquet" => format = Some(Format::Parquet),
            other => return Err(format!("\\copy has no option {other}: it is {SHAPE}")),
        }
    }
    let named = match file.and_then(|file| file.rsplit_once('.')).map(|(_, ending)| ending) {
        Some("json") => Format::Json,
        Some("jsonl") => Format::Jsonl,
        Some("parquet") => Format::Parquet,
        _ => Format::Csv,
    };
    Ok((format.unwrap_or(named), header))
}

/// CSV as it comes: counts its records, and leaves the first one out where no header is asked for.
#[derive(Debug)]
pub struct Records {
    header: bool,
    quoted: bool,
    ended: usize,
}

impl Records {
    pub fn new(header: bool) -> Self {
        Self { header, quoted: false, ended: 0 }
    }

    /// What of the piece is to be written.
    pub fn pass<'a>(&mut self, piece: &'a [u8]) -> &'a [u8] {
        let mut begin = if self.header || self.ended > 0 { 0 } else { piece.len() };
        for (at, byte) in piece.iter().enumerate() {
            match byte {
                b'"' => self.quoted = !self.quoted,
                // One in quotes is part of a value.
                b'\n' if !self.quoted => {
                    if self.ended == 0 && !self.header {
                        begin = at + 1;
                    }
                    self.ended += 1;
                }
                _ => {}
            }
        }
        &piece[begin..]
    }

    /// How many rows there were.
    pub fn rows(&self) -> usize {
        self.ended.saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(statement: &str, file: Option<&str>, format: Format, header: bool) -> CopyTo {
        CopyTo { statement: statement.to_owned(), file: file.map(str::to_owned), format, header }
    }

    #[test]
    fn words_say_what_goes_where() {
        let table = [
            ("(select 1) to a.csv", copy("select 1", Some("a.csv"), Format::Csv, false)),
            (
                "(select ')' as \"(\") TO 'a b' CSV HEADER",
                copy("select ')' as \"(\"", Some("a b"), Format::Csv, true),
            ),
            ("(select f(1)) to stdout", copy("select f(1)", None, Format::Csv, false)),
            ("pod to p.parquet", copy("select * from pod", Some("p.parquet"), Format::Parquet, false)),
            ("pod to p with (format json)", copy("select * from pod", Some("p"), Format::Json, false)),
            (
                "pod to p.json (format csv, header true)",
                copy("select * from pod", Some("p.json"), Format::Csv, true),
            ),
            ("pod to p (format csv, header false)", copy("select * from pod", Some("p"), Format::Csv, false)),
        ];
        for (text, expected) in table {
            assert_eq!(CopyTo::parse(text), Ok(expected), "{text}");
        }
        let wrong = [
            ("", "it is \\copy"),
            ("(select 1", "it is \\copy"),
            ("(select 1) a.csv", "TO is missing"),
            ("(select 1) to", "the file is missing"),
            ("pod from p.csv", "read-only"),
            ("pod to p.csv delimiter ';'", "no option delimiter"),
        ];
        for (text, part) in wrong {
            let said = CopyTo::parse(text).expect_err(text);
            assert!(said.contains(part), "{text}: {said}");
        }
    }

    #[test]
    fn a_header_is_left_out_and_rows_are_counted() {
        let whole = b"\"a\nb\",c\n1,\"x\ny\"\n2,z\n";
        for (header, expected) in [(true, &whole[..]), (false, b"1,\"x\ny\"\n2,z\n")] {
            // However it is cut.
            for length in 1..=whole.len() {
                let mut records = Records::new(header);
                let mut passed = Vec::new();
                whole.chunks(length).for_each(|piece| passed.extend_from_slice(records.pass(piece)));
                assert_eq!((passed.as_slice(), records.rows()), (expected, 2), "{header} {length}");
            }
        }
    }
}
