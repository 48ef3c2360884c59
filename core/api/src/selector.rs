//! Label selectors in their text form: `app=web,tier in (a, b),!canary`.
//!
//! The grammar and its corner cases are upstream's (apimachinery `labels.Parse`):
//! a missing key satisfies `!=`, `notin` and `!key`; an empty text selects all.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1;

use crate::labels::LabelMap;

/// A conjunction of requirements; the empty one selects everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelSelector {
    requirements: Vec<Requirement>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    pub key: String,
    pub operator: Operator,
    /// One for the comparisons, any number for `in` and `notin`, none for existence.
    pub values: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
    GreaterThan,
    LessThan,
}

/// Where the text stops being a selector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectorError {
    found: String,
    expected: &'static str,
}

impl fmt::Display for SelectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unable to parse requirement: found '{}', expected: {}", self.found, self.expected)
    }
}

impl std::error::Error for SelectorError {}

impl LabelSelector {
    /// # Errors
    /// The text is no selector.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let mut parser = Parser { rest: text };
        let mut requirements = Vec::new();
        if parser.peek().is_empty() {
            return Ok(Self::default());
        }
        loop {
            requirements.push(parser.requirement()?);
            match parser.next() {
                "" => return Ok(Self { requirements }),
                "," => {}
                other => return Err(unexpected(other, "',' or 'end of string'")),
            }
        }
    }

    pub fn selects_all(&self) -> bool {
        self.requirements.is_empty()
    }

    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    pub fn matches<L: LabelMap + ?Sized>(&self, labels: &L) -> bool {
        self.requirements.iter().all(|requirement| requirement.matches(labels.value(&requirement.key)))
    }

    /// These labels, each with its value.
    pub fn equal<'a>(labels: impl IntoIterator<Item = (&'a String, &'a String)>) -> Self {
        let equal = |(key, value): (&String, &String)| Requirement {
            key: key.clone(),
            operator: Operator::In,
            values: vec![value.clone()],
        };
        Self { requirements: labels.into_iter().map(equal).collect() }
    }

    /// Narrowed to what this one selects too.
    pub fn and(&mut self, more: Self) {
        self.requirements.extend(more.requirements);
    }
}

/// An object's form of a selector, with an operator that is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownOperator(String);

impl fmt::Display for UnknownOperator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a valid label selector operator", self.0)
    }
}

impl std::error::Error for UnknownOperator {}

impl TryFrom<&v1::LabelSelector> for LabelSelector {
    type Error = UnknownOperator;

    fn try_from(selector: &v1::LabelSelector) -> Result<Self, UnknownOperator> {
        let mut parsed = Self::equal(selector.match_labels.iter().flatten());
        for expression in selector.match_expressions.iter().flatten() {
            let operator = match expression.operator.as_str() {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                other => return Err(UnknownOperator(other.to_owned())),
            };
            let values = expression.values.clone().unwrap_or_default();
            parsed.requirements.push(Requirement { key: expression.key.clone(), operator, values });
        }
        Ok(parsed)
    }
}

impl Requirement {
    /// Whether a label with this value (`None`: absent) satisfies it.
    pub fn matches(&self, value: Option<&str>) -> bool {
        let listed = |value: &str| self.values.iter().any(|one| one == value);
        let compared = |holds: fn(i64, i64) -> bool| {
            let (Some(value), Some(bound)) = (value, self.values.first()) else { return false };
            matches!((value.parse(), bound.parse()), (Ok(value), Ok(bound)) if holds(value, bound))
        };
        match self.operator {
            Operator::In => value.is_some_and(listed),
            Operator::NotIn => !value.is_some_and(listed),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan => compared(|value, bound| value > bound),
            Operator::LessThan => compared(|value, bound| value < bound),
        }
    }
}

fn unexpected(found: &str, expected: &'static str) -> SelectorError {
    SelectorError { found: found.to_owned(), expected }
}

struct Parser<'a> {
    rest: &'a str,
}

const SYMBOLS: &[&str] = &["==", "!=", "=", "!", ",", "(", ")", ">", "<"];

impl<'a> Parser<'a> {
    /// The next token; empty at the end.
    fn peek(&self) -> &'a str {
        let rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
        if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
            return &rest[..symbol.len()];
        }
        let end = rest.find(|c: char| c.is_whitespace() || "=!,()><".contains(c)).unwrap_or(rest.len());
        &rest[..end]
    }

    fn next(&mut self) -> &'a str {
        let token = self.peek();
        let rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
        self.rest = &rest[token.len()..];
        token
    }

    fn word(&mut self, expected: &'static str) -> Result<String, SelectorError> {
        let token = self.next();
        if token.is_empty() || SYMBOLS.contains(&token) {
            Err(unexpected(token, expected))
        } else {
            Ok(token.to_owned())
        }
    }

    fn requirement(&mut self) -> Result<Requirement, SelectorError> {
        if self.peek() == "!" {
            self.next();
            let key = self.word("identifier")?;
            return Ok(Requirement { key, operator: Operator::DoesNotExist, values: Vec::new() });
        }
        let key = self.word("!, identifier, or 'end of string'")?;
        let (operator, values) = match self.peek() {
            "" | "," => (Operator::Exists, Vec::new()),
            "=" | "==" => (Operator::In, self.compared()),
            "!=" => (Operator::NotIn, self.compared()),
            ">" => (Operator::GreaterThan, self.number()?),
            "<" => (Operator::LessThan, self.number()?),
            "in" => (Operator::In, self.listed()?),
            "notin" => (Operator::NotIn, self.listed()?),
            other => return Err(unexpected(other, "in, notin, =, ==, !=, gt, lt")),
        };
        Ok(Requirement { key, operator, values })
    }

    /// The value after a comparison; it may be empty.
    fn compared(&mut self) -> Vec<String> {
        self.next();
        let empty = matches!(self.peek(), "" | ",");
        vec![if empty { String::new() } else { self.next().to_owned() }]
    }

    fn number(&mut self) -> Result<Vec<String>, SelectorError> {
        self.next();
        let word = self.word("integer")?;
        word.parse::<i64>().map_err(|_| unexpected(&word, "integer"))?;
        Ok(vec![word])
    }

    /// `in (a, b,)`: an empty entry is the empty value.
    fn listed(&mut self) -> Result<Vec<String>, SelectorError> {
        self.next();
        if self.next() != "(" {
            return Err(unexpected(self.peek(), "'('"));
        }
        let mut values = Vec::new();
        loop {
            let value = if matches!(self.peek(), "," | ")") {
                String::new()
            } else {
                self.word("',', ')' or identifier")?
            };
            values.push(value);
            match self.next() {
                "," => {}
                ")" => return Ok(values),
                other => return Err(unexpected(other, "',' or ')'")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn selectors_select() {
        let web = labels(&[("app", "web"), ("tier", "front"), ("weight", "7")]);
        let table = [
            ("", true),
            ("app=web", true),
            ("app == web , tier=front", true),
            ("app!=web", false),
            ("missing!=x", true),
            ("app in (db, web)", true),
            ("app notin (db,web)", false),
            ("missing notin (x)", true),
            ("app", true),
            ("!app", false),
            ("!missing", true),
            ("weight>6,weight<8", true),
            ("app>6", false),
            ("missing=", false),
            ("missing in (,x)", false),
        ];
        for (text, expected) in table {
            assert_eq!(LabelSelector::parse(text).expect(text).matches(&web), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_selector_is_refused_where_it_ends() {
        for text in ["app=web,", "app in web", "app in (a", "=x", "a b", "a>b", "!", "a=b=c", "a in (b c)"] {
            assert!(LabelSelector::parse(text).is_err(), "{text}");
        }
    }
}
