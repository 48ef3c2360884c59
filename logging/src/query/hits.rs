//! Where in a body a query found what it asked for: for readers' eyes only. Search
//! itself never asks here.

use regex::{Regex, RegexBuilder};

use super::{
    ast::{Expr, Part, Text, Value},
    compile,
};

/// Bytes that the expression may take when it is compiled.
const SIZE: usize = 1 << 20;

/// Finds the words, phrases and patterns that a query wants.
#[derive(Debug)]
pub struct Hits(Regex);

impl Hits {
    /// `None` when the query wants no text, or none that can be shown.
    pub fn of(query: &Expr) -> Option<Self> {
        let mut patterns = Vec::new();
        collect(query, &mut patterns);
        if patterns.is_empty() {
            return None;
        }
        let pattern = format!("(?:{})", patterns.join("|"));
        RegexBuilder::new(&pattern).size_limit(SIZE).dfa_size_limit(SIZE).build().ok().map(Self)
    }

    /// The places, in bytes of the text, one after the other.
    pub fn spans(&self, text: &str) -> Vec<std::ops::Range<usize>> {
        self.0.find_iter(text).map(|hit| hit.range()).filter(|hit| !hit.is_empty()).collect()
    }
}

fn collect(query: &Expr, patterns: &mut Vec<String>) {
    match query {
        Expr::All | Expr::Not(_) => {}
        Expr::And(parts) | Expr::Or(parts) => parts.iter().for_each(|part| collect(part, patterns)),
        Expr::Text(text) => patterns.push(words(text)),
        Expr::Regex(pattern) => patterns.push(format!("(?-i:{pattern})")),
        Expr::Field { name, value } => {
            let of_record = compile::is_level(name) || compile::is_meta(name);
            match value {
                Value::Text(text) if !of_record => patterns.push(words(text)),
                Value::Is(text) if !of_record && !text.is_empty() => {
                    patterns.push(format!("(?-i:{})", regex::escape(text)));
                }
                Value::Regex(pattern) if !of_record => patterns.push(format!("(?-i:{pattern})")),
                _ => {}
            }
        }
    }
}

/// As an expression; a word does not begin or end within another.
fn words(text: &Text) -> String {
    let parts = match text {
        Text::Exact(text) => &[Part::Literal(text.clone())],
        Text::Glob(glob) => glob.0.as_slice(),
    };
    let in_word = |character: Option<char>| character.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let first = matches!(parts.first(), Some(Part::Literal(text)) if in_word(text.chars().next()));
    let last = matches!(parts.last(), Some(Part::Literal(text)) if in_word(text.chars().next_back()));
    let mut pattern = format!("(?i:{}", if first { r"\b" } else { "" });
    for part in parts {
        match part {
            Part::Literal(text) => pattern.push_str(&regex::escape(text)),
            Part::Any => pattern.push_str(r"\S*"),
            Part::One => pattern.push_str(r"\S"),
        }
    }
    pattern.push_str(if last { r"\b)" } else { ")" });
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_is_found_again() {
        let check = |query: &str, text: &str, expected: &[&str]| {
            let hits = Hits::of(&super::super::parse(query).expect(query));
            let spans = hits.map(|hits| hits.spans(text)).unwrap_or_default();
            assert_eq!(spans.into_iter().map(|span| &text[span]).collect::<Vec<_>>(), expected, "{query}");
        };
        check("error -timeout pod:web", "Error errors timeout web error", &["Error", "error"]);
        check("time* OR \"b (c\"", "timed out b (C", &["timed", "b (C"]);
        check("/id_\\d+/ status:500", "id_77 status=500 ID_7", &["id_77", "500"]);
        check("user:=\"a b\" x:=\"\"", "user=\"a b\" A B", &["a b"]);
        check("level:error", "error", &[]);
        check("/x*/", "axxb", &["xx"]);
        check("NOT a", "a", &[]);
    }
}
