//! What is wrong with a field, and where, as `metav1.StatusCause` and upstream's
//! field errors say it.

use std::fmt;

use serde_json::Value;

/// One thing wrong with an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    pub reason: Reason,
    /// `spec.containers[0].image`
    pub field: String,
    /// The sentence after the field, as upstream words it: `Required value`,
    /// `Invalid value: "x": must be ...`.
    pub message: String,
}

/// The reasons of field errors, with the names clients match on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    Required,
    Invalid,
    NotSupported,
    Duplicate,
    Forbidden,
    TooLong,
    TooMany,
    TypeInvalid,
    NotFound,
}

impl Reason {
    /// The `reason` of a cause in a Status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Required => "FieldValueRequired",
            Self::Invalid => "FieldValueInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::TypeInvalid => "FieldValueTypeInvalid",
            Self::NotFound => "FieldValueNotFound",
        }
    }
}

impl FieldError {
    fn new(reason: Reason, field: impl Into<String>, message: String) -> Self {
        Self { reason, field: field.into(), message }
    }

    pub fn required(field: impl Into<String>, detail: &str) -> Self {
        Self::new(Reason::Required, field, with_detail("Required value", detail))
    }

    /// `value` as it stands in the object.
    pub fn invalid(field: impl Into<String>, value: &Value, detail: impl fmt::Display) -> Self {
        Self::new(Reason::Invalid, field, format!("Invalid value: {value}: {detail}"))
    }

    pub fn not_supported(field: impl Into<String>, value: &str, supported: &[&str]) -> Self {
        let supported: Vec<String> = supported.iter().map(|s| format!("{s:?}")).collect();
        let message = format!("Unsupported value: {value:?}: supported values: {}", supported.join(", "));
        Self::new(Reason::NotSupported, field, message)
    }

    pub fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        Self::new(Reason::Duplicate, field, format!("Duplicate value: {value}"))
    }

    pub fn forbidden(field: impl Into<String>, detail: &str) -> Self {
        Self::new(Reason::Forbidden, field, with_detail("Forbidden", detail))
    }

    /// Invalid, where the value is not worth telling.
    pub fn unfit(field: impl Into<String>, detail: &str) -> Self {
        Self::new(Reason::Invalid, field, with_detail("Invalid value", detail))
    }

    pub fn too_long(field: impl Into<String>, limit: usize) -> Self {
        Self::new(Reason::TooLong, field, format!("Too long: may not be more than {limit} bytes"))
    }

    pub fn too_many(field: impl Into<String>, count: usize, limit: usize) -> Self {
        Self::new(Reason::TooMany, field, format!("Too many: {count}: must have at most {limit} items"))
    }

    /// A name that nothing has.
    pub fn not_found(field: impl Into<String>, name: &str) -> Self {
        Self::new(Reason::NotFound, field, format!("Not found: {name:?}"))
    }

    /// A field that may never change.
    pub fn immutable(field: impl Into<String>, value: &Value) -> Self {
        Self::invalid(field, value, "field is immutable")
    }
}

fn with_detail(what: &str, detail: &str) -> String {
    if detail.is_empty() { what.to_owned() } else { format!("{what}: {detail}") }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}
