//! Regular expressions that are none: most that people and dashboards write are some texts, or a
//! text and whatever follows it. These are compared, which takes no time to prepare.

use regex::Regex;

/// What a whole text is matched with.
#[derive(Debug, Clone)]
pub enum Pattern {
    /// One of these texts.
    Texts(Vec<String>),
    /// A text that begins so, with at least so many bytes behind that.
    Begin(String, usize),
    Regex(Regex),
}

impl Pattern {
    /// # Errors
    /// It is no regular expression; the sentence says where.
    pub fn new(pattern: &str) -> Result<Self, String> {
        if let Some(simple) = Self::simple(pattern) {
            return Ok(simple);
        }
        let whole = Regex::new(&format!("^(?s:{pattern})$"));
        whole.map(Self::Regex).map_err(|error| format!("{pattern:?} is no regular expression: {error}"))
    }

    fn simple(pattern: &str) -> Option<Self> {
        let begin = |text: &str, least| is_plain(text).then(|| Self::Begin(text.to_owned(), least));
        if let Some(text) = pattern.strip_suffix(".*") {
            return begin(text, 0);
        }
        if let Some(text) = pattern.strip_suffix(".+") {
            return begin(text, 1);
        }
        let texts = pattern.split('|');
        texts.clone().all(is_plain).then(|| Self::Texts(texts.map(str::to_owned).collect()))
    }

    pub fn is_match(&self, text: &str) -> bool {
        match self {
            Self::Texts(texts) => texts.iter().any(|one| one == text),
            Self::Begin(begin, least) => text.starts_with(begin) && text.len() >= begin.len() + least,
            Self::Regex(regex) => regex.is_match(text),
        }
    }
}

/// Whether each character stands for itself.
fn is_plain(pattern: &str) -> bool {
    !pattern.contains(['\\', '.', '+', '*', '?', '(', ')', '|', '[', ']', '{', '}', '^', '$'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_simple_is_no_regular_expression() {
        for simple in ["", "a", "a|b", "|", "web-1-.*", ".*", ".+", "a_b/c:d é.+", "a\nb"] {
            assert!(!matches!(Pattern::new(simple), Ok(Pattern::Regex(_))), "{simple:?}");
        }
        for other in
            ["a.", "a.*b", "a.*|b", "(a|b)", "a?", "[a]", "a\\.b", "^a", "a$", "a..*", "a{2}", "(?i)a"]
        {
            assert!(matches!(Pattern::new(other), Ok(Pattern::Regex(_))), "{other:?}");
        }
        assert!(Pattern::new("a(").is_err() && Pattern::new("*").is_err());
    }

    proptest! {
        #[test]
        fn it_matches_what_the_regular_expression_matches(pattern in "[ab.*+|\\n-]{0,6}", texts in prop::collection::vec("[ab.\\n-]{0,5}", 1..8)) {
            let regex = Regex::new(&format!("^(?s:{pattern})$"));
            match (Pattern::new(&pattern), regex) {
                (Ok(pattern), Ok(regex)) => for text in texts {
                    prop_assert_eq!(pattern.is_match(&text), regex.is_match(&text), "{:?} {:?}", pattern, text);
                },
                (ours, regex) => prop_assert_eq!(ours.is_err(), regex.is_err()),
            }
        }
    }
}
