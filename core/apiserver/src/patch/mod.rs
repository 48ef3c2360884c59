//! Changes to an object: the four patch types and the ownership of fields.
//!
//! Pure functions from values to values; the verbs decode, call one of these,
//! default, validate and store. What differs between kinds is read off the
//! compiled [`Schema`](tiphys_api::schema::Schema).
//!
//! - [`json`]: RFC 6902; [`merge`]: RFC 7396; [`strategic`]: by the schema's
//!   patch strategies; [`apply`]: server-side apply and `managedFields`, over the
//!   sets of [`fields`].

pub mod apply;
pub mod fields;
pub mod json;
mod managed;
pub mod merge;
mod order;
pub mod strategic;

#[cfg(test)]
mod apply_tests;
#[cfg(test)]
mod difference_tests;
#[cfg(test)]
mod differences;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod strategic_tests;

/// The type of a PATCH request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchType {
    Json,
    Merge,
    Strategic,
    /// Server-side apply: YAML or JSON.
    Apply,
}

impl PatchType {
    /// By the Content-Type header, parameters ignored.
    pub fn from_content_type(content_type: &str) -> Option<Self> {
        match content_type.split(';').next().unwrap_or_default().trim() {
            "application/json-patch+json" => Some(Self::Json),
            "application/merge-patch+json" => Some(Self::Merge),
            "application/strategic-merge-patch+json" => Some(Self::Strategic),
            "application/apply-patch+yaml" => Some(Self::Apply),
            _ => None,
        }
    }
}

/// Why a patch was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// The body is no patch of its type: 400.
    #[error("{0}")]
    Malformed(String),
    /// It can't be made to this object (a JSON patch's test or path): 422.
    #[error("{0}")]
    Unprocessable(String),
    /// The result would be larger than allowed: 413.
    #[error("{0}")]
    TooLarge(String),
    /// Fields owned by other managers: 409, with one cause a field.
    #[error("{}", apply::conflict_message(.0))]
    Conflicts(Vec<apply::Conflict>),
}
