//! What `\?` and `\h` say. Pure.

/// The commands of the prompt.
pub const COMMANDS: &str = "\
Tables
  \\d, \\dt [PATTERN]        tables; * and ? stand for any letters
  \\d TABLE                 its columns; \\d+ with what they say
  \\dn, \\l                  schemas, databases
  \\df [PATTERN]            functions, and what they do
Statements: one ends with ; and Ctrl-C ends one that runs
  \\g [FILE], \\gx           end one without ; its answer into FILE, or expanded
                           (alone: the last one again)
  \\watch [SECONDS] [c=N]   ask again and again, until Ctrl-C
  \\e                       edit it with $EDITOR
  \\r                       throw away what is written of it
  \\i FILE                  statements and commands of a file
Answers
  \\x [on|off|auto]         each value on a line of its own
  \\a, \\t [on|off]          without alignment; without header and number of rows
  \\pset [NAME VALUE]       format aligned, unaligned, csv, json, jsonl or parquet; pager; footer
  \\timing [on|off]         how long statements take
  \\o [FILE]                answers into a new file; without a name, to the terminal again
  \\copy (QUERY) to FILE [csv [header] | json | jsonl | parquet]
                           one answer into a file
Other
  \\conninfo                who asks
  \\h [WORD]                how statements are written
  \\q                       leave
";

/// What statements there are: their first word, and how they are written.
const STATEMENTS: &[(&str, &str)] = &[
    (
        "SELECT",
        "\
SELECT [DISTINCT] expression [AS name], ...
  FROM table [JOIN table ON condition | USING (column)] ...
  WHERE condition
  GROUP BY expression, ...
  HAVING condition
  ORDER BY expression [DESC] [NULLS LAST], ...
  LIMIT count OFFSET start
A statement that says nothing of time is about the last hour:
  WHERE time > now() - INTERVAL '6 hours'",
    ),
    ("WITH", "WITH name AS (SELECT ...), ... SELECT ... FROM name"),
    ("VALUES", "VALUES (1, 'a'), (2, 'b')"),
    ("EXPLAIN", "EXPLAIN [ANALYZE] SELECT ...   how it is carried out; with ANALYZE, what it cost"),
    ("DESCRIBE", "DESCRIBE table   its columns; \\d+ TABLE with what they say"),
    ("SHOW", "SHOW TABLES | SHOW COLUMNS FROM table"),
];

/// How the statement is written that begins with this word; which there are, without one.
pub fn of_sql(word: &str) -> String {
    let first = word.split_whitespace().next().unwrap_or_default().trim_end_matches(';').to_uppercase();
    if let Some((_, text)) = STATEMENTS.iter().find(|(name, _)| *name == first) {
        return format!("{text}\n");
    }
    let names: Vec<_> = STATEMENTS.iter().map(|(name, _)| *name).collect();
    let known = format!("\\h WORD tells of {}; \\df of functions\n", names.join(", "));
    if first.is_empty() { known } else { format!("there is no help on {word}: {known}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::sql::command::Command;

    #[test]
    fn words_have_their_help() {
        assert!(of_sql("select").starts_with("SELECT [DISTINCT]"));
        assert!(of_sql("Explain analyze;").starts_with("EXPLAIN"));
        assert!(of_sql("").starts_with("\\h WORD tells of SELECT, WITH"));
        assert!(of_sql("drop table").starts_with("there is no help on drop table: \\h WORD"));
    }

    #[test]
    fn every_command_that_help_names_is_one() {
        let words = COMMANDS.split_whitespace().filter(|word| word.starts_with('\\'));
        let words: Vec<_> = words.map(|word| word.trim_end_matches([',', ';'])).collect();
        assert!(words.len() > 20, "{words:?}");
        for word in words {
            // Some want more than their name.
            if let Some(Command::Wrong(said)) = Command::parse(word) {
                assert!(!said.starts_with("there is no command"), "{said}");
            }
        }
    }
}
