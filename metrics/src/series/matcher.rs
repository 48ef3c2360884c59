//! Which series a selector means.

use super::pattern::Pattern;

/// How a label's value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MatchOp {
    Equal,
    NotEqual,
    /// The whole value matches a regular expression.
    Matches,
    NotMatches,
}

/// One condition on one label; an absent label has the value "".
#[derive(Debug, Clone)]
pub struct Matcher {
    pub name: String,
    pub op: MatchOp,
    pub value: String,
    pattern: Option<Pattern>,
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.op, &self.value) == (&other.name, other.op, &other.value)
    }
}

impl Matcher {
    /// # Errors
    /// The value is no regular expression; the sentence says where.
    pub fn new(name: &str, op: MatchOp, value: &str) -> Result<Self, String> {
        let pattern = match op {
            MatchOp::Matches | MatchOp::NotMatches => Some(Pattern::new(value)?),
            MatchOp::Equal | MatchOp::NotEqual => None,
        };
        Ok(Self { name: name.to_owned(), op, value: value.to_owned(), pattern })
    }

    /// The label has exactly this value.
    pub fn equal(name: &str, value: &str) -> Self {
        Self { name: name.to_owned(), op: MatchOp::Equal, value: value.to_owned(), pattern: None }
    }

    pub fn matches(&self, value: &str) -> bool {
        let whole = || self.pattern.as_ref().is_some_and(|pattern| pattern.is_match(value));
        match self.op {
            MatchOp::Equal => value == self.value,
            MatchOp::NotEqual => value != self.value,
            MatchOp::Matches => whole(),
            MatchOp::NotMatches => !whole(),
        }
    }

    /// Whether a series without the label matches.
    pub fn matches_absent(&self) -> bool {
        self.matches("")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_matched_whole() {
        let check = |op, pattern, value| Matcher::new("a", op, pattern).expect("valid").matches(value);
        assert!(check(MatchOp::Equal, "x", "x") && !check(MatchOp::Equal, "x", "xx"));
        assert!(check(MatchOp::NotEqual, "x", ""));
        assert!(check(MatchOp::Matches, "x|y", "y") && !check(MatchOp::Matches, "x|y", "xy"));
        assert!(check(MatchOp::Matches, "a.b", "a\nb"));
        assert!(check(MatchOp::NotMatches, "x+", "") && !check(MatchOp::NotMatches, "x*", ""));
        assert!(Matcher::new("a", MatchOp::Matches, "(").is_err());
    }
}
