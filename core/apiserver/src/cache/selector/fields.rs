//! `fieldSelector`: `spec.nodeName=a,status.phase!=Running`. Commas, equals signs
//! and backslashes in a value are escaped by a backslash.

use super::SelectorError;

/// Conditions that must all hold; none select everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldSelector(pub(super) Vec<Condition>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Condition {
    pub field: String,
    pub value: String,
    /// `!=`
    pub negated: bool,
}

impl FieldSelector {
    /// Parses the query string's form.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let terms = split(text);
        let conditions = terms.iter().filter(|term| !term.is_empty()).map(|term| condition(text, term));
        conditions.collect::<Result<_, _>>().map(Self)
    }

    /// `field=value`, without parsing.
    pub fn equals(field: impl Into<String>, value: impl Into<String>) -> Self {
        Self(vec![Condition { field: field.into(), value: value.into(), negated: false }])
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The fields that it names: whether they can be selected by is the kind's matter.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|condition| condition.field.as_str())
    }

    /// Whether an object with these values of its fields is selected.
    pub fn matches<'a>(&self, value: impl Fn(&str) -> &'a str) -> bool {
        self.0.iter().all(|condition| (value(&condition.field) == condition.value) != condition.negated)
    }

    /// The value that a field must have, if there is such a condition.
    pub fn required(&self, field: &str) -> Option<&str> {
        let condition = self.0.iter().find(|condition| condition.field == field && !condition.negated);
        condition.map(|condition| condition.value.as_str())
    }
}

/// Terms between commas that aren't escaped.
fn split(text: &str) -> Vec<&str> {
    let mut terms = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                terms.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    terms.push(&text[start..]);
    terms
}

fn condition(selector: &str, term: &str) -> Result<Condition, SelectorError> {
    let operators = [("!=", true), ("==", false), ("=", false)];
    for (at, _) in term.char_indices() {
        let rest = &term[at..];
        if let Some((operator, negated)) = operators.iter().find(|(operator, _)| rest.starts_with(operator)) {
            let value = unescape(&rest[operator.len()..])?;
            return Ok(Condition { field: term[..at].to_owned(), value, negated: *negated });
        }
    }
    Err(SelectorError(format!("invalid selector: '{selector}'; can't understand '{term}'")))
}

fn unescape(value: &str) -> Result<String, SelectorError> {
    let mut plain = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(escaped @ ('\\' | ',' | '=')) => plain.push(escaped),
                other => {
                    let shown: String = other.into_iter().collect();
                    return Err(SelectorError(format!(
                        "invalid field selector: invalid escape sequence: \\{shown}"
                    )));
                }
            },
            '=' => {
                return Err(SelectorError(format!(
                    "invalid field selector: unescaped character in value: {value}"
                )));
            }
            c => plain.push(c),
        }
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_read() {
        let selector = FieldSelector::parse(r"spec.nodeName=a,status.phase!=Running,,x==a\,b\=\\").unwrap();
        let terms: Vec<_> =
            selector.0.iter().map(|one| (one.field.as_str(), one.negated, one.value.as_str())).collect();
        assert_eq!(
            terms,
            [("spec.nodeName", false, "a"), ("status.phase", true, "Running"), ("x", false, r"a,b=\")]
        );
        assert_eq!(selector.required("spec.nodeName"), Some("a"));
        assert_eq!(selector.required("status.phase"), None);
        assert!(FieldSelector::parse("").unwrap().is_empty());
    }

    #[test]
    fn mistakes_are_told() {
        let error = FieldSelector::parse("metadata.name").unwrap_err();
        assert_eq!(error.to_string(), "invalid selector: 'metadata.name'; can't understand 'metadata.name'");
        FieldSelector::parse(r"a=\x").unwrap_err();
        FieldSelector::parse("a=b=c").unwrap_err();
    }
}
