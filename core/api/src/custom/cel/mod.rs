//! `x-kubernetes-validations`: rules in the Common Expression Language.
//!
//! ```text
//! definition ──> parse ──> estimate over the schema (names, types, worst cost) ──> refused, or compiled Rules
//! object     ──> evaluate, metered ──> messages
//! ```
//!
//! What a rule can cost at worst is told from the schema's bounds when its definition is written;
//! what it does cost is counted when it is asked (`crate::cel::meter`).

mod estimate;
mod evaluate;
mod faults;
mod functions;
mod reach;
mod schema_type;
#[cfg(test)]
mod tests;
mod values;

pub use faults::{Total, faults};

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use super::{
    Structural,
    path::{Path, former_item},
};
use crate::{
    access::{flag, text},
    cel::{meter::PER_OBJECT, parse::Expression},
    field::{FieldError, Reason},
    validate::Errors,
};

/// The rules of a schema, at their places. Places without rules at or below them aren't there.
#[derive(Default)]
pub struct Rules {
    rules: Vec<Rule>,
    properties: BTreeMap<String, Rules>,
    items: Option<Box<Rules>>,
    additional: Option<Box<Rules>>,
}

struct Rule {
    /// Or why it can't be read.
    expression: Result<Arc<Expression>, String>,
    message: Option<Arc<Expression>>,
    source: String,
    given_message: String,
    /// What is said when there is no message of the moment.
    fallback: String,
    reason: String,
    field_path: Vec<String>,
    uses_old: bool,
    optional_old: bool,
}

impl Rule {
    fn of(rule: &Value) -> Self {
        let source = text(rule, "/rule");
        let expression = Expression::parse(source);
        let message = Some(text(rule, "/messageExpression")).filter(|text| !text.is_empty());
        Self {
            uses_old: expression.as_ref().is_ok_and(|expression| expression.uses("oldSelf")),
            expression: expression.map(Arc::new),
            message: message.and_then(|text| Expression::parse(text).ok()).map(Arc::new),
            source: source.trim().to_owned(),
            given_message: text(rule, "/message").trim().to_owned(),
            fallback: match text(rule, "/message").trim() {
                "" => format!("failed rule: {}", source.trim()),
                message => message.to_owned(),
            },
            reason: text(rule, "/reason").to_owned(),
            field_path: super::path::steps(text(rule, "/fieldPath")).unwrap_or_default(),
            optional_old: flag(rule, "/optionalOldSelf"),
        }
    }

    /// How faults of its own name it.
    fn told(&self) -> &str {
        if self.given_message.is_empty() { &self.source } else { &self.given_message }
    }
}

/// Whether a text is an expression at all.
///
/// # Errors
/// Why it is none.
pub fn syntax(text: &str) -> Result<(), String> {
    Expression::parse(text).map(drop)
}

impl Rules {
    pub fn compile(schema: &Structural) -> Self {
        let below =
            |schema: &Structural| Some(Box::new(Self::compile(schema))).filter(|rules| !rules.is_empty());
        Self {
            rules: schema.rules.iter().map(Rule::of).collect(),
            properties: schema
                .properties
                .iter()
                .map(|(name, field)| (name.clone(), Self::compile(field)))
                .filter(|(_, rules)| !rules.is_empty())
                .collect(),
            items: schema.items.as_deref().and_then(below),
            additional: schema.additional.schema().and_then(below),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
            && self.properties.is_empty()
            && self.items.is_none()
            && self.additional.is_none()
    }

    /// What the rules say of an object, and of its change. Not asked while the object
    /// has faults that would make rules fail for no reason of their own.
    pub fn check(
        &self,
        schema: &Structural,
        new: &Value,
        old: Option<&Value>,
        found: &[FieldError],
    ) -> Errors {
        if self.is_empty() {
            return Vec::new();
        }
        let blocks = |error: &FieldError| {
            !matches!(error.reason, Reason::Invalid | Reason::Duplicate | Reason::Forbidden)
        };
        if found.iter().any(blocks) {
            let detail = "Invalid value: \"null\": some validation rules were not checked because the object was \
                          invalid; correct the existing errors to complete validation";
            let field = "<nil>".into();
            return vec![FieldError { reason: Reason::Invalid, field, message: detail.into() }];
        }
        let mut run = evaluate::Run::new(PER_OBJECT);
        self.walk(schema, new, old, &Path::Root, true, &mut run);
        run.errors
    }

    fn walk(
        &self,
        schema: &Structural,
        new: &Value,
        old: Option<&Value>,
        at: &Path<'_>,
        root: bool,
        run: &mut evaluate::Run,
    ) {
        // Rules hold for values that are there; what is as it was isn't asked again.
        if new.is_null() || old == Some(new) || run.is_over() {
            return;
        }
        if !self.rules.is_empty() {
            run.rules(&self.rules, schema, new, old, at, root);
        }
        match new {
            Value::Object(map) => {
                for (name, value) in map {
                    let former = old.and_then(|old| old.get(name));
                    if let (Some(rules), Some(field)) =
                        (self.properties.get(name), schema.properties.get(name))
                    {
                        rules.walk(field, value, former, &Path::Field(at, name), field.embedded, run);
                    } else if let (Some(rules), Some(field)) = (&self.additional, schema.additional.schema())
                        && !schema.properties.contains_key(name)
                    {
                        rules.walk(field, value, former, &Path::Key(at, name), field.embedded, run);
                    }
                }
            }
            Value::Array(items) => {
                let (Some(rules), Some(item)) = (&self.items, &schema.items) else { return };
                for (index, value) in items.iter().enumerate() {
                    let former = former_item(schema, value, old);
                    rules.walk(item, value, former, &Path::Index(at, index), item.embedded, run);
                }
            }
            _ => {}
        }
    }
}
