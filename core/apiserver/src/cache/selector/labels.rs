//! `labelSelector`: `app=web,tier in (a, b),!canary,version>3`.

use tiphys_api::labels::Labels;

use super::{
    SelectorError,
    lexer::{Token, tokens},
    names,
};

/// Requirements that must all hold; none select everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelSelector(Vec<Requirement>);

/// What one label must be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    pub key: String,
    pub operator: Operator,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operator {
    /// One of these values; `=` and `==` name a single one.
    In(Vec<String>),
    /// None of these values, or no such label; `!=` names a single one.
    NotIn(Vec<String>),
    Exists,
    DoesNotExist,
    GreaterThan(i64),
    LessThan(i64),
}

impl LabelSelector {
    pub fn new(requirements: Vec<Requirement>) -> Self {
        Self(requirements)
    }

    /// Parses the query string's form; the messages are kubectl users' familiar ones.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        Parser { tokens: tokens(text), at: 0 }.selector().map(Self).map_err(SelectorError)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn requirements(&self) -> &[Requirement] {
        &self.0
    }

    pub fn matches(&self, labels: &Labels) -> bool {
        self.0.iter().all(|requirement| requirement.operator.holds(labels.get(&requirement.key)))
    }
}

impl Operator {
    fn holds(&self, value: Option<&str>) -> bool {
        let number = |value: &str| value.parse::<i64>().ok();
        match self {
            Self::In(values) => value.is_some_and(|value| values.iter().any(|one| one == value)),
            Self::NotIn(values) => value.is_none_or(|value| values.iter().all(|one| one != value)),
            Self::Exists => value.is_some(),
            Self::DoesNotExist => value.is_none(),
            Self::GreaterThan(bound) => value.and_then(number).is_some_and(|value| value > *bound),
            Self::LessThan(bound) => value.and_then(number).is_some_and(|value| value < *bound),
        }
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    fn take(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    fn selector(&mut self) -> Result<Vec<Requirement>, String> {
        let mut requirements = Vec::new();
        loop {
            match self.peek() {
                Token::End => return Ok(requirements),
                Token::Identifier(_) | Token::Symbol("!") => {}
                other => return Err(found(other, "!, identifier, or 'end of string'")),
            }
            let requirement =
                self.requirement().map_err(|error| format!("unable to parse requirement: {error}"))?;
            requirements.push(requirement);
            match self.take() {
                Token::End => return Ok(requirements),
                Token::Symbol(",") => {}
                other => return Err(found(&other, "',' or 'end of string'")),
            }
            if !matches!(self.peek(), Token::Identifier(_) | Token::Symbol("!")) {
                return Err(found(self.peek(), "identifier after ','"));
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let negated = self.peek().is("!");
        if negated {
            self.take();
        }
        let key = match self.take() {
            Token::Identifier(key) => key,
            other => return Err(found(&other, "identifier")),
        };
        if let Some(fault) = names::key_fault(&key) {
            return Err(format!("key: Invalid value: {key:?}: {fault}"));
        }
        let operator = match self.peek() {
            _ if negated => Operator::DoesNotExist,
            Token::End | Token::Symbol(",") => Operator::Exists,
            _ => self.comparison(&key)?,
        };
        Ok(Requirement { key, operator })
    }

    fn comparison(&mut self, key: &str) -> Result<Operator, String> {
        let operator = self.take();
        match &operator {
            Token::Symbol("=" | "==") => Ok(Operator::In(vec![self.value(key)?])),
            Token::Symbol("!=") => Ok(Operator::NotIn(vec![self.value(key)?])),
            Token::Symbol(">") => self.number(key).map(Operator::GreaterThan),
            Token::Symbol("<") => self.number(key).map(Operator::LessThan),
            Token::Identifier(word) if word == "in" => self.values(key).map(Operator::In),
            Token::Identifier(word) if word == "notin" => self.values(key).map(Operator::NotIn),
            other => Err(found(other, "in, notin, =, ==, !=, gt, lt")),
        }
    }

    fn value(&mut self, key: &str) -> Result<String, String> {
        match self.peek() {
            Token::End | Token::Symbol(",") => return Ok(String::new()),
            Token::Identifier(_) => {}
            other => return Err(found(other, "identifier")),
        }
        checked(key, self.take().text())
    }

    fn number(&mut self, key: &str) -> Result<i64, String> {
        let value = self.value(key)?;
        let fault = || {
            format!(
                "values[0][{key}]: Invalid value: {value:?}: for 'Gt', 'Lt' operators, the value must be an integer"
            )
        };
        value.parse().map_err(|_| fault())
    }

    /// `(a, b)`; an empty place between commas is the empty value.
    fn values(&mut self, key: &str) -> Result<Vec<String>, String> {
        let open = self.take();
        if !open.is("(") {
            return Err(format!("found '{}' expected: '('", open.text()));
        }
        if self.peek().is(")") {
            return Err(
                "values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty".into()
            );
        }
        let mut values = Vec::new();
        loop {
            let value = match self.peek() {
                Token::Identifier(_) => checked(key, self.take().text())?,
                Token::Symbol("," | ")") => String::new(),
                other => return Err(found(other, "',', ')' or identifier")),
            };
            values.push(value);
            match self.take() {
                Token::Symbol(",") => {}
                Token::Symbol(")") => {
                    values.sort_unstable();
                    values.dedup();
                    return Ok(values);
                }
                other => return Err(found(&other, "',' or ')'")),
            }
        }
    }
}

fn found(token: &Token, expected: &str) -> String {
    format!("found '{}', expected: {expected}", token.text())
}

fn checked(key: &str, value: &str) -> Result<String, String> {
    match names::value_fault(value) {
        Some(fault) => Err(format!("values[0][{key}]: Invalid value: {value:?}: {fault}")),
        None => Ok(value.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> Labels {
        let pairs = text.split(',').filter(|pair| !pair.is_empty());
        Labels::new(
            pairs.filter_map(|pair| pair.split_once('=')).map(|(k, v)| (k.into(), v.into())).collect(),
        )
    }

    #[test]
    fn selectors_match() {
        for (selector, matching, other) in [
            ("", &["", "a=1"][..], &[][..]),
            ("a=1", &["a=1", "a=1,b=2"], &["", "a=2"]),
            ("a == 1,b!=2", &["a=1", "a=1,b=3"], &["a=1,b=2"]),
            ("a=", &["a="], &["", "a=1"]),
            ("a in (1, 2)", &["a=1", "a=2"], &["a=3", ""]),
            ("a notin (1,2)", &["a=3", ""], &["a=1"]),
            ("a in (,1)", &["a=", "a=1"], &["a=2"]),
            ("a", &["a=", "a=1"], &["b=1"]),
            ("!a , b", &["b=1"], &["a=1,b=1", ""]),
            ("a>5,a<9", &["a=6"], &["a=5", "a=9", "a=x", ""]),
            ("in in (in)", &["in=in"], &["in=notin"]),
            ("example.com/x=y", &["example.com/x=y"], &["x=y"]),
        ] {
            let parsed = LabelSelector::parse(selector).unwrap();
            for text in matching {
                assert!(parsed.matches(&labels(text)), "{selector} must match {text}");
            }
            for text in other {
                assert!(!parsed.matches(&labels(text)), "{selector} must not match {text}");
            }
        }
    }

    #[test]
    fn mistakes_are_told() {
        for (selector, message) in [
            ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
            ("a,", "found '', expected: identifier after ','"),
            ("=a", "found '=', expected: !, identifier, or 'end of string'"),
            ("a in 1", "unable to parse requirement: found '1' expected: '('"),
            ("a in (1", "unable to parse requirement: found '', expected: ',' or ')'"),
            ("a=1 b=2", "found 'b', expected: ',' or 'end of string'"),
            ("!a=1", "found '=', expected: ',' or 'end of string'"),
            ("!", "unable to parse requirement: found '', expected: identifier"),
            ("a==(1)", "unable to parse requirement: found '(', expected: identifier"),
        ] {
            assert_eq!(LabelSelector::parse(selector), Err(SelectorError(message.into())), "{selector}");
        }
        for selector in ["-a=1", "a=-b", "a in ()", "a>x", "a/b/c", "a=é"] {
            LabelSelector::parse(selector).unwrap_err();
        }
    }
}
