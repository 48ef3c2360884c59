//! What the word before the cursor may become: keywords, tables, columns, functions and
//! the prompt's own commands. Pure.

use rustyline::{
    Context, Helper, completion::Completer, highlight::Highlighter, hint::Hinter, validate::Validator,
};

const KEYWORDS: &[&str] = &[
    "select",
    "from",
    "where",
    "group by",
    "order by",
    "limit",
    "having",
    "join",
    "left join",
    "on",
    "using",
    "as",
    "and",
    "or",
    "not",
    "in",
    "is null",
    "is not null",
    "like",
    "ilike",
    "between",
    "case",
    "when",
    "then",
    "else",
    "end",
    "with",
    "distinct",
    "union all",
    "interval",
    "desc",
    "asc",
    "over",
    "partition by",
    "explain",
    "explain analyze",
    "describe",
    "show tables",
];
const COMMANDS: &[&str] = &[
    "\\?",
    "\\a",
    "\\conninfo",
    "\\copy",
    "\\d",
    "\\d+",
    "\\df",
    "\\dn",
    "\\dt",
    "\\e",
    "\\g",
    "\\gx",
    "\\h",
    "\\i",
    "\\l",
    "\\o",
    "\\pset",
    "\\q",
    "\\r",
    "\\t",
    "\\timing",
    "\\watch",
    "\\x",
];

/// The names that a cluster's SQL has.
#[derive(Debug, Default)]
pub struct Names {
    pub tables: Vec<String>,
    pub columns: Vec<String>,
    pub functions: Vec<String>,
}

impl Names {
    /// Where the word begins, and what it may become; tables first behind FROM and JOIN.
    fn candidates(&self, line: &str, at: usize) -> (usize, Vec<String>) {
        let before = line.get(..at).unwrap_or(line);
        let own = |letter: char| letter.is_alphanumeric() || ['_', '.', '*'].contains(&letter);
        let begin = match before.trim_start().starts_with('\\') && !before.trim_start().contains(' ') {
            true => before.len() - before.trim_start().len(),
            false => before
                .rfind(|letter| !own(letter))
                .map_or(0, |place| place + before[place..].chars().next().map_or(1, char::len_utf8)),
        };
        let word = before[begin..].to_lowercase();
        if word.starts_with('\\') {
            return (begin, beginning(COMMANDS.iter().copied(), &word));
        }
        let last = before[..begin].split_whitespace().next_back().unwrap_or_default().to_lowercase();
        let tables = self.tables.iter().map(String::as_str);
        if ["from", "join", "\\d", "\\d+", "\\dt"].contains(&last.as_str()) {
            return (begin, beginning(tables, &word));
        }
        if word.is_empty() {
            return (begin, Vec::new());
        }
        let functions = self.functions.iter().map(String::as_str);
        let all = KEYWORDS.iter().copied().chain(self.columns.iter().map(String::as_str));
        (begin, beginning(all.chain(functions).chain(tables), &word))
    }
}

fn beginning<'a>(names: impl Iterator<Item = &'a str>, word: &str) -> Vec<String> {
    let mut found: Vec<String> = names.filter(|name| name.starts_with(word)).map(str::to_owned).collect();
    found.sort_unstable();
    found.dedup();
    found
}

impl Completer for Names {
    type Candidate = String;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(self.candidates(line, pos))
    }
}

impl Hinter for Names {
    type Hint = String;
}

impl Highlighter for Names {}
impl Validator for Names {}
impl Helper for Names {}

#[cfg(test)]
mod tests {
    use super::Names;

    #[test]
    fn words_become_what_may_stand_there() {
        let list = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let names = Names {
            tables: list(&["node", "pod", "objects.pods"]),
            columns: list(&["node", "pod", "cpu_cores"]),
            functions: list(&["rate", "count"]),
        };
        let table: [(&str, usize, &[&str]); 8] = [
            ("sel", 0, &["select"]),
            ("select c", 7, &["case", "count", "cpu_cores"]),
            ("select count(cpu", 13, &["cpu_cores"]),
            ("select 1 from ", 14, &["node", "objects.pods", "pod"]),
            ("select 1 from objects.p", 14, &["objects.pods"]),
            ("select 1, ", 10, &[]),
            ("\\t", 0, &["\\t", "\\timing"]),
            ("\\d n", 3, &["node"]),
        ];
        for (line, begin, expected) in table {
            assert_eq!(names.candidates(line, line.len()), (begin, list(expected)), "{line}");
        }
        assert_eq!(names.candidates("select 'é' ra", 14), (12, list(&["rate"])));
    }
}
